/* The service that the examples' appliance has: a thermostat with a web page, reached over the byte
 * streams of a Genkan connection. It knows streams and nothing else. */
#ifndef THERMOSTAT_H
#define THERMOSTAT_H

#include "genkan.h"

/* Requests at once on one connection; further streams wait for a free place. */
#define THERMOSTAT_REQUESTS 2

/* One request and its answer. */
struct thermostat_request {
  genkan_stream_handle stream;
  uint8_t taken;
  uint8_t answered;
  uint64_t since; /* When it came, or something of the answer was taken last. */
  size_t length;
  size_t sent;
  char text[1024];
};

/* The requests of one connection. Zeroed, none is under way. */
struct thermostat_visitor {
  struct thermostat_request requests[THERMOSTAT_REQUESTS];
};

/* The inner port that the page is on: the one that `genkan connect` asks for. */
#define THERMOSTAT_PORT 1

/* Accepts, reads and answers what can be without waiting. Call it after packets have come in. */
void thermostat_serve(struct thermostat_visitor *visitor, genkan_streams *streams, uint64_t now);

#endif
