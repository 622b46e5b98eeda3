/* QEMU's mps2-an385: an ARM Cortex-M3 with CMSDK timers. Arguments, randomness and log lines go
 * through semihosting, the debugger's interface: a product has flash, a true random number generator
 * and a serial port there. */
#include "board.h"

#include <picotls.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "genkan.h"
#include "lan9118.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Timer 0 counts down for ever at 25 MHz; timer 1 is the alarm that ends a sleep. */
#define COUNTER_CONTROL REGISTER(0x40000000)
#define COUNTER_VALUE REGISTER(0x40000004)
#define COUNTER_RELOAD REGISTER(0x40000008)
#define ALARM_CONTROL REGISTER(0x40001000)
#define ALARM_VALUE REGISTER(0x40001004)
#define ALARM_RELOAD REGISTER(0x40001008)
#define ALARM_CLEAR REGISTER(0x4000100c)
#define NVIC_ENABLE REGISTER(0xe000e100)
#define NVIC_DISABLE REGISTER(0xe000e180)
#define NVIC_UNPEND REGISTER(0xe000e280)
#define RESET_CONTROL REGISTER(0xe000ed0c)

enum { TICKS = 25, IRQ_ALARM = 9, IRQ_ETHERNET = 13 };

int main(void);
extern uint8_t __stack[], __data_start[], __data_source[], __data_size[], __bss_start[], __bss_size[], __tls_base[];
/* The linker keeps the room from here to __stack for the stack. */
extern uint32_t __heap_end[];

/* --- Semihosting --- */

static int semihosting(int operation, void *arguments) {
  register int r0 __asm__("r0") = operation;
  register void *r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

/* Opens one of the host's files: read as 1, write as 4; ":tt" is its terminal. */
static int open_host(const char *name, uintptr_t mode) {
  uintptr_t arguments[3] = {(uintptr_t)name, mode, strlen(name)};
  return semihosting(0x01, arguments);
}

void board_say(const char *format, ...) {
  static int terminal = -1;
  char line[160];
  va_list arguments;
  int length;
  va_start(arguments, format);
  length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (length < 0) return;
  if ((size_t)length > sizeof line - 2) length = (int)sizeof line - 2;
  line[length] = '\n';
  if (terminal < 0) terminal = open_host(":tt", 4);
  uintptr_t write[3] = {(uintptr_t)terminal, (uintptr_t)line, (uintptr_t)length + 1};
  semihosting(0x05, write);
}

int32_t board_entropy(void *context, uint8_t *dest, size_t length) {
  static int file = -1;
  (void)context;
  if (file < 0) file = open_host("/dev/urandom", 1);
  if (file < 0) return -1;
  uintptr_t read[3] = {(uintptr_t)file, (uintptr_t)dest, length};
  return semihosting(0x06, read) == 0 ? 0 : -1;
}

const char *board_argument(const char *name, size_t *length) {
  static char line[512];
  const char *at = line;
  if (line[0] == 0) {
    uintptr_t command[2] = {(uintptr_t)line, sizeof line};
    if (semihosting(0x15, command) != 0) return NULL;
  }
  while ((at = strstr(at, name)) != NULL) {
    int begins = at == line || at[-1] == ' ';
    at += strlen(name);
    if (begins) {
      *length = strcspn(at, " ");
      return at;
    }
  }
  return NULL;
}

/* --- Time and sleep --- */

uint64_t board_micros(void) {
  static uint32_t last = UINT32_MAX;
  static uint64_t ticks;
  uint32_t value = COUNTER_VALUE;
  ticks += last - value;
  last = value;
  return ticks / TICKS;
}

void board_sleep(uint64_t micros) {
  uint32_t ticks = micros < 60000000 ? (uint32_t)micros * TICKS : 60000000u * TICKS;
  if (ticks == 0) return;
  /* An interrupt that comes from here on is taken only after wfi, which it ends. */
  __asm__ volatile("cpsid i");
  ALARM_CONTROL = 0;
  ALARM_CLEAR = 1;
  ALARM_RELOAD = ticks;
  ALARM_VALUE = ticks;
  ALARM_CONTROL = 1 | 1 << 3;
  NVIC_UNPEND = 1u << IRQ_ALARM;
  if (lan9118_arm()) {
    NVIC_UNPEND = 1u << IRQ_ETHERNET;
    NVIC_ENABLE = 1u << IRQ_ALARM | 1u << IRQ_ETHERNET;
    __asm__ volatile("dsb\n wfi");
  }
  __asm__ volatile("cpsie i");
}

/* --- The stack's depth --- */

enum { PAINT = 0x5ca1ab1e };

/* Paints what of the stack is not in use yet. */
static inline __attribute__((always_inline)) void paint_stack(void) {
  volatile uint32_t *place = __heap_end;
  uint32_t *pointer;
  __asm__ volatile("mov %0, sp" : "=r"(pointer));
  while (place < pointer) *place++ = PAINT;
}

uint32_t board_stack(void) {
  const volatile uint32_t *place = __heap_end;
  while (place < (uint32_t *)(void *)__stack && *place == PAINT) place++;
  return (uint32_t)((uintptr_t)__stack - (uintptr_t)place);
}

/* --- Start and end --- */

_Noreturn void board_reset(void) {
  __asm__ volatile("dsb");
  RESET_CONTROL = 0x05fa0004;
  for (;;) {
  }
}

void genkan_panicked(const char *file, size_t length, uint32_t line) {
  board_say("panicked at %.*s:%u", (int)length, file, (unsigned)line);
  board_reset();
}

/* Masks the line that has come; the main loop looks what there is to do. */
static void interrupted(void) {
  uint32_t number;
  __asm__ volatile("mrs %0, ipsr" : "=r"(number));
  NVIC_DISABLE = 1u << (number - 16);
}

static void fault_at(const uint32_t *frame) {
  board_say("fault at %08x", (unsigned)frame[6]);
  board_reset();
}

__attribute__((naked)) static void faulted(void) {
  __asm__ volatile("mrs r0, msp\n b %0" ::"i"(fault_at));
}

/* Where everything begins. */
void _start(void);
void _start(void) {
  memcpy(__data_start, __data_source, (size_t)__data_size);
  memset(__bss_start, 0, (size_t)__bss_size);
  _set_tls(__tls_base);
  paint_stack();
  COUNTER_RELOAD = UINT32_MAX;
  COUNTER_VALUE = UINT32_MAX;
  COUNTER_CONTROL = 1;
  main();
  board_reset();
}

/* The processor's table: stack, start, faults, and the board's interrupts from 16 on. */
__attribute__((section(".data.init.enter"), used)) static void *const vectors[32] = {
    [0] = __stack,
    [1] = _start,
    [2] = faulted,
    [3] = faulted,
    [4] = faulted,
    [5] = faulted,
    [6] = faulted,
    [16 + IRQ_ALARM] = interrupted,
    [16 + IRQ_ETHERNET] = interrupted,
};
