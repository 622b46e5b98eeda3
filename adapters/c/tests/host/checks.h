/* What must hold of every call, whatever an issuer does: checked on the way. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "genkan.h"

/* Ends the program, with a word on where, unless the call answers as expected. */
#define ANSWERS(call, expected)                                                              \
  do {                                                                                       \
    int answered_ = (int)(call);                                                             \
    if (answered_ != (int)(expected)) {                                                      \
      fprintf(stderr, "%s:%d: %s answers %d\n", __FILE__, __LINE__, #call, answered_);       \
      exit(1);                                                                               \
    }                                                                                        \
  } while (0)
#define MUST(call) ANSWERS(call, GENKAN_ERROR_OK)

/* What genkan_acceptor_init and its like refuse. `memory` suffices for `connections`. */
void check_refusals(const genkan_config *config, uint8_t *memory, size_t size, uint16_t connections);

/* Nothing is left in memory that was zero before an acceptor was made there, and then destroyed. */
void check_wiped(const uint8_t *memory, size_t size);

/* A certificate was accepted: it can be read, and taken again unless it was damaged. */
void check_certificate(genkan_acceptor *acceptor);

/* What must hold before `head` is written. */
void check_datagram(genkan_acceptor *acceptor, uint64_t now, const genkan_datagram *head);

#endif
