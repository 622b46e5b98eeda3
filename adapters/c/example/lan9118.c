#include "lan9118.h"

#include <string.h>

#include "lwip/etharp.h"
#include "netif/ethernet.h"

/* Registers by the data sheet's names. */
#define REGISTER(offset) (*(volatile uint32_t *)(uintptr_t)(0x40200000 + (offset)))
#define RX_DATA REGISTER(0x00)
#define TX_DATA REGISTER(0x20)
#define RX_STATUS REGISTER(0x40)
#define TX_STATUS REGISTER(0x48)
#define IRQ_CFG REGISTER(0x54)
#define INT_STS REGISTER(0x58)
#define INT_EN REGISTER(0x5c)
#define BYTE_TEST REGISTER(0x64)
#define FIFO_INT REGISTER(0x68)
#define TX_CFG REGISTER(0x70)
#define HW_CFG REGISTER(0x74)
#define RX_FIFO_INF REGISTER(0x7c)
#define TX_FIFO_INF REGISTER(0x80)
#define MAC_CSR_CMD REGISTER(0xa4)
#define MAC_CSR_DATA REGISTER(0xa8)
#define AFC_CFG REGISTER(0xac)

/* The controller's own registers, behind MAC_CSR_CMD. */
enum { MAC_CR = 1, ADDRH = 2, ADDRL = 3 };

/* Largest frame with its checksum, in whole words. */
enum { FRAME = 1520 };

static void mac_wait(void) {
  while (MAC_CSR_CMD & 1u << 31) {
  }
}

static void mac_write(uint32_t number, uint32_t value) {
  MAC_CSR_DATA = value;
  MAC_CSR_CMD = 1u << 31 | number;
  mac_wait();
}

static uint32_t mac_read(uint32_t number) {
  MAC_CSR_CMD = 1u << 31 | 1u << 30 | number;
  mac_wait();
  return MAC_CSR_DATA;
}

static uint32_t waiting(void) { return RX_FIFO_INF >> 16 & 0xff; }

static err_t transmit(struct netif *netif, struct pbuf *frame) {
  static uint32_t words[FRAME / 4];
  uint32_t i, length = frame->tot_len;
  (void)netif;
  if (length > sizeof words) return ERR_ARG;
  if ((TX_FIFO_INF & 0xffff) < FRAME + 16) return ERR_WOULDBLOCK;
  pbuf_copy_partial(frame, words, frame->tot_len, 0);
  /* First and last segment; length and tag. */
  TX_DATA = 1u << 13 | 1u << 12 | length;
  TX_DATA = length << 16 | length;
  for (i = 0; i < (length + 3) / 4; i++) TX_DATA = words[i];
  /* What became of the frames before is of no interest, but must make room. */
  while (TX_FIFO_INF >> 16 & 0xff) (void)TX_STATUS;
  return ERR_OK;
}

err_t lan9118_init(struct netif *netif) {
  uint32_t low, high;
  if (BYTE_TEST != 0x87654321) return ERR_IF;
  /* Soft reset; it takes its address from its EEPROM anew. */
  HW_CFG = 1;
  while (HW_CFG & 1) {
  }
  /* 5 KiB for sending, store and forward; flow control as the data sheet recommends. */
  HW_CFG = 5u << 16 | 1u << 20;
  AFC_CFG = 0x006e3740;
  INT_STS = UINT32_MAX;
  /* Interrupts: active high, push-pull, at the first waiting frame. */
  IRQ_CFG = 0x111;
  FIFO_INT = 0x48000000;
  INT_EN = 1u << 3;
  TX_CFG = 2;
  /* Full duplex, sending and receiving; frames to its own address and broadcasts. */
  mac_write(MAC_CR, 1u << 20 | 1u << 3 | 1u << 2);
  low = mac_read(ADDRL);
  high = mac_read(ADDRH);
  memcpy(netif->hwaddr, &low, 4);
  memcpy(netif->hwaddr + 4, &high, 2);
  netif->hwaddr_len = 6;
  netif->mtu = 1500;
  netif->name[0] = 'e';
  netif->name[1] = 'n';
  netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
  netif->output = etharp_output;
  netif->linkoutput = transmit;
  return ERR_OK;
}

void lan9118_poll(struct netif *netif) {
  static uint32_t words[FRAME / 4];
  if (waiting() > 0) {
    uint32_t i, status = RX_STATUS, length = status >> 16 & 0x3fff;
    int good = !(status & 1u << 15) && length >= 18 && length <= sizeof words;
    struct pbuf *frame = good ? pbuf_alloc(PBUF_RAW, (u16_t)(length - 4), PBUF_POOL) : NULL;
    for (i = 0; i < (length + 3) / 4; i++) {
      uint32_t word = RX_DATA;
      if (i < FRAME / 4) words[i] = word;
    }
    if (frame == NULL) return; /* Damaged, or no memory: lost. */
    pbuf_take(frame, words, (u16_t)(length - 4));
    if (netif->input(frame, netif) != ERR_OK) pbuf_free(frame);
  }
}

int lan9118_arm(void) {
  INT_STS = UINT32_MAX;
  return waiting() == 0;
}
