/* What the appliance needs of the board: time, sleep, randomness, a word with the outside. A port to
 * another board rewrites board.c and lan9118.c and nothing else. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Microseconds since the start; never goes back. Call it at least every two minutes. */
uint64_t board_micros(void);

/* Sleeps until an Ethernet frame is there or so many microseconds have passed. */
void board_sleep(uint64_t micros);

/* Fills `dest` with random bytes; 0: done. Fits genkan_config.entropy. */
int32_t board_entropy(void *context, uint8_t *dest, size_t length);

/* Writes a line to whoever watches. */
void board_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The text that follows `name` among the start's arguments, with the argument's length; NULL without
 * it. Stands for what a factory writes into flash. */
const char *board_argument(const char *name, size_t *length);

/* How deep the stack has been since the start, in bytes. */
uint32_t board_stack(void);

/* Starts anew. */
_Noreturn void board_reset(void);

#endif
