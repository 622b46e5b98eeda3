/* A thermostat on a bare Cortex-M3, reached through Genkan: network up, server found, main loop. */
#include "board.h"
#include "lan9118.h"
#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/init.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"
#include "node.h"
#include "settings.h"

static struct netif netif;

uint32_t sys_now(void) { return (uint32_t)(board_micros() / 1000); }

uint32_t example_random(void) {
  uint32_t number = 0;
  board_entropy(NULL, (uint8_t *)&number, sizeof number);
  return number;
}

/* Lets lwIP work, and sleeps until something arrives or it is `until`. */
static void network_turn(void) {
  lan9118_poll(&netif);
  sys_check_timeouts();
}

static void sleep_until(uint64_t until) {
  uint64_t now = board_micros(), lwip = now + (uint64_t)sys_timeouts_sleeptime() * 1000;
  if (lwip < until) until = lwip;
  if (until > now) board_sleep(until - now);
}

static void found(const char *name, const ip_addr_t *ip, void *server) {
  (void)name;
  if (ip != NULL) {
    *(ip_addr_t *)server = *ip;
  } else {
    board_say("the server's name has no address");
    board_reset();
  }
}

/* Waits for an address from DHCP, then for the server's from DNS. */
static ip_addr_t find_server(const char *host) {
  ip_addr_t server = *IP4_ADDR_ANY;
  int asked = 0;
  while (ip_addr_isany_val(server)) {
    network_turn();
    if (!asked && dhcp_supplied_address(&netif)) {
      board_say("address %s", ip4addr_ntoa(netif_ip4_addr(&netif)));
      asked = 1;
      if (dns_gethostbyname(host, &server, found, &server) == ERR_ARG) board_reset();
    }
    if (ip_addr_isany_val(server)) sleep_until(UINT64_MAX);
  }
  return server;
}

static void set_server(genkan_address *address, const ip_addr_t *server, uint16_t port) {
  uint32_t raw = ip4_addr_get_u32(ip_2_ip4(server));
  int i;
  for (i = 0; i < 4; i++) address->ip[i] = (uint8_t)(raw >> 8 * i);
  address->port = port;
  address->family = 4;
}

int main(void) {
  static struct settings settings;
  static genkan_config config;
  char id[GENKAN_ID_TEXT_SIZE];
  ip_addr_t server;
  board_say("genkan %s, in C", genkan_version());
  if (!settings_read(&settings, &config)) {
    board_say("arguments are missing or wrong");
    for (;;) board_sleep(UINT64_MAX);
  }
  lwip_init();
  if (netif_add_noaddr(&netif, NULL, lan9118_init, ethernet_input) == NULL) board_say("no LAN9118 answers");
  netif_set_default(&netif);
  netif_set_up(&netif);
  dhcp_start(&netif);
  server = find_server(settings.host);
  set_server(&config.server_datagram, &server, settings.port);
  config.server_stream = config.server_datagram;
  config.entropy = board_entropy;
  if (!node_start(&config)) board_reset();
  if (genkan_id_to_text(settings.id, id, sizeof id) == GENKAN_ERROR_OK) board_say("id %s", id);
  for (;;) {
    network_turn();
    node_turn();
    sleep_until(node_deadline());
  }
}
