/* What lwIP wants to know of compiler and board. */
#ifndef ARCH_CC_H
#define ARCH_CC_H

#include <stdint.h>

#include "board.h"

uint32_t example_random(void);
#define LWIP_RAND() example_random()
#define LWIP_PLATFORM_DIAG(message)
#define LWIP_PLATFORM_ASSERT(message)      \
  do {                                     \
    board_say("lwIP: %s", message);        \
    board_reset();                         \
  } while (0)

#endif
