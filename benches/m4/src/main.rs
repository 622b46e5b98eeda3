//! Counts the instructions of the keepalive's possible tags on an emulated Cortex-M4.
//!
//! Under `-icount shift=0` an instruction takes one nanosecond of QEMU's time, so the board's 25 MHz
//! timer moves once in 40 instructions: an exact and repeatable meter of instructions, not of cycles.
#![no_std]
#![no_main]

#[path = "../../src/mac.rs"]
mod mac;

use core::hint::black_box;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};

/// The board's CMSDK timer 0: control, value, reload.
const TIMER: [*mut u32; 3] =
    [0x4000_0000 as *mut u32, 0x4000_0004 as *mut u32, 0x4000_0008 as *mut u32];
const INSTRUCTIONS_PER_TICK: u64 = 40;
const ROUNDS: u32 = 1_000;

#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}

fn ticks() -> u32 {
    let [_, value, _] = TIMER;
    // SAFETY: the register is there on this board, and reading it changes nothing.
    unsafe { value.read_volatile() }
}

#[inline(never)]
fn count(name: &str, mut operation: impl FnMut() -> u8) {
    black_box(operation());
    let before = ticks();
    for _ in 0..ROUNDS {
        black_box(operation());
    }
    let spent = u64::from(before.wrapping_sub(ticks())) * INSTRUCTIONS_PER_TICK;
    hprintln!("{:<20} {:>8}", name, spent / u64::from(ROUNDS));
}

#[entry]
fn main() -> ! {
    let [control, value, reload] = TIMER;
    // SAFETY: the registers are there on this board, and nothing else uses the timer.
    unsafe {
        reload.write_volatile(u32::MAX);
        value.write_volatile(u32::MAX);
        control.write_volatile(1);
    }
    let head = [0x44; 12];
    count("nothing", || black_box(&head)[0]);
    count("siphash-2-4-128", || mac::siphash(black_box(&[7; 16]), black_box(&head))[0]);
    count("chacha20-poly1305", || mac::aead(black_box(&[7; 32]), 1, black_box(&head))[0]);
    count("hmac-sha256", || mac::hmac(black_box(&[7; 32]), black_box(&head))[0]);
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}
