//! Misfortune on order, for the tests. No product has this.
#![expect(clippy::panic, reason = "that is what it is for")]

use core::time::Duration;

use genkan_core::Instant;

use crate::settings::Provoke;
use crate::store::{Key, Store};
use crate::watchdog::Watchdog;

/// When it comes: the device has registered by then.
const AT: Duration = Duration::from_secs(2);

impl Provoke {
    /// Lets it come when it is time.
    pub fn when_due(self, now: Instant) {
        if now.since(Instant::START) < AT {
            return;
        }
        match self {
            Self::Panic => panic!("provoked"),
            Self::Fault => {
                // SAFETY: nothing is there, so the processor faults and nothing is read.
                unsafe { core::ptr::with_exposed_provenance::<u32>(0x6000_0000).read_volatile() };
            }
            Self::Hang => loop {
                cortex_m::asm::nop();
            },
            Self::Stack => {
                deeper(0);
            }
            Self::Writes => {}
        }
    }
}

/// Fills the stack.
#[inline(never)]
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u32) -> u32 {
    let room = core::hint::black_box([depth; 16]);
    // Not its last act, or it would need no stack.
    deeper(room[0].wrapping_add(1)).wrapping_add(room[1])
}

/// Writes values to the flash for ever, of changing lengths, each of one byte's repetition, and tells
/// each when it is written. At the start it tells what it finds.
pub fn write_for_ever(store: &mut Store, watchdog: &mut Watchdog) -> ! {
    let mut number = match store.read(Key::Trial) {
        Ok(None) => 0,
        Ok(Some(value)) => {
            let number = value.first_chunk().map_or(0, |head| u32::from_be_bytes(*head));
            let is_whole = value.len() == length(number)
                && value.iter().skip(4).all(|&byte| byte == number.to_le_bytes()[0]);
            assert!(is_whole, "a value is broken");
            number
        }
        Err(broken) => panic!("the flash is broken: {broken:?}"),
    };
    defmt::info!("found {=u32}", number);
    loop {
        watchdog.feed();
        number = number.wrapping_add(1);
        let mut value = [number.to_le_bytes()[0]; 200];
        value[..4].copy_from_slice(&number.to_be_bytes());
        if let Err(broken) = store.write(Key::Trial, &value[..length(number)]) {
            panic!("the flash is broken: {broken:?}");
        }
        defmt::info!("wrote {=u32}", number);
    }
}

fn length(number: u32) -> usize {
    4 + (number as usize * 37) % 196
}
