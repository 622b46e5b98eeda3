//! The watchdog: a main loop that hangs is reset.
//!
//! This board's CMSDK watchdog raises the non-maskable interrupt when it runs out, and resets when it
//! runs out again. The first is used to note the reason.

use core::time::Duration;

use cortex_m_rt::exception;

use crate::board::Register;
use crate::panic;

const LOAD: Register = Register::at(0x4000_8000);
const CONTROL: Register = Register::at(0x4000_8008);
const CLEAR: Register = Register::at(0x4000_800c);
const LOCK: Register = Register::at(0x4000_8c00);

const INTERRUPT: u32 = 1;
const RESET: u32 = 1 << 1;
const KEY: u32 = 0x1acc_e551;
const TICKS_PER_MILLI: u32 = 25_000;

/// The watchdog runs; it cannot be stopped.
#[derive(Debug)]
pub struct Watchdog(());

impl Watchdog {
    /// Starts it: from now on it must be fed within this time, at most 171 s.
    pub fn start(within: Duration) -> Self {
        let millis = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        LOCK.write(KEY);
        LOAD.write(millis.saturating_mul(TICKS_PER_MILLI));
        CONTROL.write(INTERRUPT | RESET);
        LOCK.write(0);
        Self(())
    }

    /// The main loop has come round.
    pub fn feed(&mut self) {
        LOCK.write(KEY);
        CLEAR.write(1);
        LOCK.write(0);
    }
}

#[exception]
unsafe fn NonMaskableInt() -> ! {
    panic::reset(format_args!("watchdog: the main loop hung"))
}
