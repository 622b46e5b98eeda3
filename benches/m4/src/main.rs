//! Counts what an acceptor does on an emulated Cortex-M4, and what it is made of: foreseeing ports, meeting,
//! and the keepalive's possible tags. Fails when something takes more than it may.
//!
//! | file | what it has |
//! |---|---|
//! | `meter.rs` | counting, and the table |
//! | `world.rs` | server, issuer and acceptor, of which the last is counted |
//! | `life.rs` | what the acceptor does in its life |
//! | `parts.rs` | ports, meeting, tags |
#![no_std]
#![no_main]

mod life;
#[path = "../../src/mac.rs"]
mod mac;
mod meter;
mod parts;
#[path = "../../src/punch.rs"]
#[allow(dead_code, reason = "the host uses the rest")]
mod punch;
mod world;

use meter::Table;
use semihosting::{println, process};

#[panic_handler]
fn stop(why: &core::panic::PanicInfo<'_>) -> ! {
    println!("{}", why);
    end(false)
}

fn end(well: bool) -> ! {
    process::exit(i32::from(!well))
}

/// Where the board starts (`link.x`).
#[unsafe(no_mangle)]
extern "C" fn reset() -> ! {
    let Some(mut table) = Table::start() else {
        println!("the timer does not count instructions: QEMU needs -icount shift=6");
        end(false)
    };
    println!("{:<44} {:>10} {:>10} {:>7}", "on a Cortex-M4", "instructions", "budget", "stack");
    life::rows(&mut table);
    parts::rows(&mut table);
    parts::sizes();
    end(table.is_green())
}
