/* lwIP without an operating system: its raw interface, driven by the main loop. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_IPV6 0
#define LWIP_DHCP 1
#define LWIP_DNS 1
#define LWIP_STATS 0
/* A hop limit of its own for a datagram is set on the socket. */
#define IP_DEFAULT_TTL 64

#define MEM_ALIGNMENT 4
#define MEM_SIZE 16384
#define PBUF_POOL_SIZE 10
/* The main socket, holes, DHCP and DNS. */
#define MEMP_NUM_UDP_PCB 16
#define MEMP_NUM_TCP_PCB 8
/* Two connections may have one local port. */
#define SO_REUSE 1
#define MEMP_NUM_TCP_SEG 32
#define TCP_MSS 1460
#define TCP_WND (2 * TCP_MSS)
#define TCP_SND_BUF (4 * TCP_MSS)
#define TCP_SND_QUEUELEN 16

#endif
