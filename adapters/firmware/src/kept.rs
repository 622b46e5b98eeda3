//! What survives a reset, though not a power cut: in RAM that nobody initialises, the reason of the
//! reset and the starts since power came.
//!
//! With the starts in RAM, a device that resets again and again does not wear its flash out by
//! counting them, and waits longer each time: [`Start::pause`].

use core::cell::UnsafeCell;
use core::fmt::{self, Write as _};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use heapless::String;

use crate::note::{LENGTH, Note};

/// Between starts that follow each other, at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

struct Kept(UnsafeCell<MaybeUninit<Note>>);

// SAFETY: all access is by `load` and `save`, which only the main loop calls, and code that never
// returns; this processor has one core.
unsafe impl Sync for Kept {}

#[unsafe(link_section = ".uninit.kept")]
static KEPT: Kept = Kept(UnsafeCell::new(MaybeUninit::uninit()));

/// What is kept; `None` after a power cut.
fn load() -> Option<Note> {
    // SAFETY: nobody else uses it, see `Kept`. Every bit pattern is a valid `Note`, and a volatile read
    // takes what the memory holds.
    let note = unsafe { KEPT.0.get().cast::<Note>().read_volatile() };
    note.is_whole().then_some(note)
}

fn save(note: Note) {
    let note = note.sealed();
    // SAFETY: nobody else uses it, see `Kept`. Volatile, because whoever reads it is no part of this run.
    unsafe { KEPT.0.get().cast::<Note>().write_volatile(note) };
}

/// Keeps the reason of the reset that follows; with interrupts off.
pub fn keep_reason(reason: fmt::Arguments<'_>) {
    let mut note = load().unwrap_or(Note::EMPTY);
    note.clear();
    // It cannot fail.
    let _ = note.write_fmt(reason);
    save(note);
}

/// This start, and what the last one has left for it.
#[derive(Debug)]
pub struct Start {
    /// Why the last one ended; `None` after a power cut or a reset from outside.
    pub reason: Option<String<LENGTH>>,
    /// To wait before anything else: nothing when power has come, then 1 s, 2 s and so on up to a
    /// minute, until there is a good run.
    pub pause: Duration,
}

/// Counts this start. To be called once in it.
pub fn start() -> Start {
    let Some(mut note) = load() else {
        save(Note::EMPTY);
        return Start { reason: None, pause: Duration::ZERO };
    };
    let reason = note.reason();
    note.clear();
    note.resets = note.resets.wrapping_add(1);
    if note.resets == 0 {
        // The numbers are used up: the flash counts on.
        note.powered = 0;
    }
    let seconds = 1_u64 << note.hasty.min(6);
    note.hasty = note.hasty.saturating_add(1);
    save(note);
    Start { reason, pause: Duration::from_secs(seconds).min(LONGEST_PAUSE) }
}

/// The device has run well: what comes next is no loop. May be said in each turn: only the first time
/// is work, because the seal takes as many instructions as an idle turn.
pub fn run_well() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(note) = load().filter(|note| note.hasty > 0) {
        save(Note { hasty: 0, ..note });
    }
}

/// This start's number among those since power came, if the flash has counted that already: `powered`
/// is how often it came, by the flash.
pub fn resets(powered: u32) -> Option<u16> {
    let note = load().filter(|note| powered > 0 && note.powered == powered)?;
    Some(note.resets)
}

/// The flash has counted that power came.
pub fn set_powered(powered: u32) {
    save(Note { powered, resets: 0, ..load().unwrap_or(Note::EMPTY) });
}
