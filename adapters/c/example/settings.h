/* What the appliance is told at its start; the names are those of the Rust example's arguments.
 *
 *   server=NAME:PORT   authority=HEX   key=HEX   password=HEX (salt and hash)   open   no-punch
 *   spread=MS */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "genkan.h"

struct settings {
  char host[64];
  uint16_t port;
  uint8_t key[32], id[32], authority[32];
  genkan_password password;
};

/* Reads the arguments into `settings` and `config`, which points to `settings` from then on; 0 when
 * one is missing or wrong. The server's addresses and the entropy are left to fill in. */
int settings_read(struct settings *settings, genkan_config *config);

#endif
