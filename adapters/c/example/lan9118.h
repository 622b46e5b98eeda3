/* Driver for the LAN9118 Ethernet controller, as a network interface of lwIP. */
#ifndef LAN9118_H
#define LAN9118_H

#include "lwip/netif.h"

/* For netif_add. */
err_t lan9118_init(struct netif *netif);

/* Gives a frame that waits to lwIP: one, so that all its consequences come before the next. */
void lan9118_poll(struct netif *netif);

/* Lets the next frame interrupt; 0: one is there already. Call it with interrupts held back. */
int lan9118_arm(void);

#endif
