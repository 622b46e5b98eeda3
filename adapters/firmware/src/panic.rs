//! A panic, a fault or a hang ends in a reset, and the next start says why.
//!
//! The reason is kept in RAM that nobody initialises. It survives the reset, not a power cut.

use core::cell::UnsafeCell;
use core::fmt::{self, Write as _};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use cortex_m_rt::{ExceptionFrame, exception};
use heapless::String;

/// Longest reason in bytes; what is longer is cut off.
const LENGTH: usize = 160;
/// Whatever else is in that RAM, hardly this.
const MAGIC: u32 = 0x6765_6e6b;

#[derive(Clone, Copy)]
#[repr(C)]
struct Note {
    magic: u32,
    length: usize,
    text: [u8; LENGTH],
}

struct Kept(UnsafeCell<MaybeUninit<Note>>);

// SAFETY: it is written by code that never returns and by the start, before interrupts are used; this
// processor has one core.
unsafe impl Sync for Kept {}

#[unsafe(link_section = ".uninit.reason")]
static KEPT: Kept = Kept(UnsafeCell::new(MaybeUninit::uninit()));

/// Text that is cut off where it does not fit.
struct Cut<'a>(&'a mut Note);

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Note { length, text: kept, .. } = &mut *self.0;
        for &byte in text.as_bytes() {
            let Some(place) = kept.get_mut(*length) else { return Ok(()) };
            *place = byte;
            *length += 1;
        }
        Ok(())
    }
}

/// Notes the reason and resets.
pub fn reset(reason: fmt::Arguments<'_>) -> ! {
    cortex_m::interrupt::disable();
    let mut note = Note { magic: MAGIC, length: 0, text: [0; LENGTH] };
    // It cannot fail.
    let _ = Cut(&mut note).write_fmt(reason);
    // SAFETY: interrupts are off and this never returns, so nobody else uses it. Volatile, because
    // whoever reads it is no part of this run.
    unsafe { KEPT.0.get().cast::<Note>().write_volatile(note) };
    SCB::sys_reset()
}

/// Why the last start ended, once; `None` after a power cut or a reset from outside.
pub fn last_reason() -> Option<String<LENGTH>> {
    let kept = KEPT.0.get().cast::<Note>();
    // SAFETY: nobody else uses it, see `Kept`. Every bit pattern is a valid `Note`, and a volatile
    // read takes what the memory holds.
    let note = unsafe { kept.read_volatile() };
    // SAFETY: as above.
    unsafe { kept.write_volatile(Note { magic: 0, ..note }) };
    if note.magic != MAGIC {
        return None;
    }
    let bytes = note.text.get(..note.length)?;
    // What was cut off may have been half a character.
    let whole = bytes.utf8_chunks().next()?.valid();
    String::try_from(whole).ok()
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    reset(format_args!("{info}"))
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    reset(format_args!("fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr()))
}
