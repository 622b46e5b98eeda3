/* A Genkan acceptor on lwIP's raw interface: sockets for its commands, datagrams and frames out and
 * in, and the thermostat on every connection. */
#ifndef NODE_H
#define NODE_H

#include "genkan.h"

/* Makes the acceptor and its main socket; 0 when it cannot be made. */
int node_start(const genkan_config *config);

/* One turn: what is due is done. Call it after lwIP was given what has arrived. */
void node_turn(void);

/* When node_turn must be called again at the latest, in microseconds. */
uint64_t node_deadline(void);

#endif
