//! Time, by two of the board's 32-bit CMSDK timers at 25 MHz.
//!
//! Timer 0 counts down for ever and is extended to 64 bits in software: it wraps in 171 s and must be
//! read once within that, which the main loop does at every turn. Timer 1 is the alarm that ends a
//! sleep. A board needs no more than that: a free-running counter and one compare interrupt.

use core::cell::Cell;
use core::time::Duration;

use cortex_m::interrupt::{self, Mutex};
use cortex_m::peripheral::NVIC;
use genkan_core::Instant;

use crate::board::{Irq, Register};

const TICKS_PER_MICRO: u64 = 25;

const CONTROL: Register = Register::at(0x4000_0000);
const VALUE: Register = Register::at(0x4000_0004);
const RELOAD: Register = Register::at(0x4000_0008);

const ALARM_CONTROL: Register = Register::at(0x4000_1000);
const ALARM_VALUE: Register = Register::at(0x4000_1004);
const ALARM_RELOAD: Register = Register::at(0x4000_1008);
const ALARM_CLEAR: Register = Register::at(0x4000_100c);

const ENABLE: u32 = 1;
const INTERRUPT: u32 = 1 << 3;

/// The counter's last reading, and all ticks up to it.
static LAST: Mutex<Cell<(u32, u64)>> = Mutex::new(Cell::new((u32::MAX, 0)));

/// Starts the counter, or starts it anew; the time is 0 then.
pub fn start() {
    interrupt::free(|token| {
        CONTROL.write(0);
        RELOAD.write(u32::MAX);
        VALUE.write(u32::MAX);
        LAST.borrow(token).set((u32::MAX, 0));
        CONTROL.write(ENABLE);
    });
}

/// Microseconds since the start.
pub fn micros() -> u64 {
    interrupt::free(|token| {
        let (last, ticks) = LAST.borrow(token).get();
        let value = VALUE.read();
        let ticks = ticks + u64::from(last.wrapping_sub(value));
        LAST.borrow(token).set((value, ticks));
        ticks / TICKS_PER_MICRO
    })
}

/// Now, as the machines want it.
pub fn now() -> Instant {
    Instant::from_micros(micros())
}

/// The same for the network stack.
pub fn stack_time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// Sleeps for so long, a minute at most, or until any interrupt that was let through.
pub fn wait(longest: Duration) {
    // The alarm ends the sleep even if it comes before it begins, because it is pending then.
    interrupt::free(|_| {
        alarm(longest);
        cortex_m::asm::wfi();
    });
}

/// Raises the alarm's interrupt after so long.
fn alarm(after: Duration) {
    let micros = after.min(Duration::from_secs(60)).as_micros();
    let ticks = u32::try_from(micros).unwrap_or(u32::MAX).saturating_mul(TICKS_PER_MICRO as u32);
    ALARM_CONTROL.write(0);
    ALARM_CLEAR.write(1);
    ALARM_RELOAD.write(ticks.max(1));
    ALARM_VALUE.write(ticks.max(1));
    ALARM_CONTROL.write(ENABLE | INTERRUPT);
    NVIC::unpend(Irq::ALARM);
    Irq::ALARM.unmask();
}

defmt::timestamp!("{=u64:us}", micros());
