//! Counts the instructions of the keepalive's possible tags, and of foreseeing ports and meeting, on an
//! emulated Cortex-M4.
//!
//! Under `-icount shift=0` an instruction takes one nanosecond of QEMU's time, so the board's 25 MHz
//! timer moves once in 40 instructions: an exact and repeatable meter of instructions, not of cycles.
#![no_std]
#![no_main]

#[path = "../../src/mac.rs"]
mod mac;
#[path = "../../src/punch.rs"]
#[allow(dead_code, reason = "the host uses the rest")]
mod punch;

use core::hint::black_box;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprint, hprintln};
use genkan_core::nat::NatProfile;
use genkan_core::punch::{Attempt, Burst, Coordinator, Method, Party};
use punch::{Ports, WALK};

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
    hprintln!("{:<28} {:>8}", name, spent / u64::from(ROUNDS));
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
    meeting();
    sizes();
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}

fn meeting() {
    for (name, ports) in
        [("known", Ports::Known), ("counted", Ports::Counted), ("drawn", Ports::Drawn)]
    {
        hprint!("measure, ");
        let seen = punch::sightings(ports);
        count(name, || NatProfile::measure(black_box(&seen)).mapping as u8);
    }
    for (name, forecast) in punch::forecasts() {
        hprint!("{} ports, ", WALK);
        count(name, || punch::walk(black_box(forecast)).to_le_bytes()[0]);
    }
    let ramp = punch::pair(Method::Ramp);
    count("plan", || u8::from(punch::planned(black_box(&ramp)).is_some()));
    for (name, method) in [
        ("direct", Method::Direct),
        ("first", Method::First),
        ("both first", Method::BothFirst),
        ("bracket", Method::Bracket),
        ("ramp", Method::Ramp),
        ("birthday", Method::Birthday),
    ] {
        hprint!("round, ");
        let pair = punch::pair(method);
        count(name, || punch::round(black_box(&pair)));
    }
    hprint!("{} packets, ", WALK);
    count("attempt", || punch::attempt().to_le_bytes()[0]);
}

fn sizes() {
    for (name, bytes) in [
        ("NatProfile", size_of::<NatProfile>()),
        ("Party", size_of::<Party>()),
        ("Burst", size_of::<Burst>()),
        ("Attempt", size_of::<Attempt>()),
        ("Coordinator", size_of::<Coordinator>()),
    ] {
        hprintln!("{:<28} {:>8} bytes", name, bytes);
    }
}
