//! NOR flash, emulated in the board's second block of RAM.
//!
//! It behaves as flash does: erasing a sector sets all of its bits, programming only clears bits, word
//! by word, and a power cut may come between any two words. The emulator keeps that RAM in a file of
//! the host, so that what was programmed outlives the emulator, however it ends. Each word is stored
//! inverted: a file of zeros is erased flash.
//!
//! A product has its chip's driver here; those implement the same traits.

use core::ops::Range;
use core::ptr;

use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase,
    check_read, check_write,
};

/// Where the emulator puts the RAM.
const BASE: usize = 0x2100_0000;
/// 16 sectors, in bytes.
const SIZE: usize = 64 * 1_024;
const WORD: usize = 4;

/// The flash. There is one.
#[derive(Debug)]
pub struct Flash(());

impl Flash {
    /// All of it.
    pub const RANGE: Range<u32> = 0..SIZE as u32;

    /// The one flash; `None` when it was taken before.
    pub fn take() -> Option<Self> {
        static TAKEN: cortex_m::interrupt::Mutex<core::cell::Cell<bool>> =
            cortex_m::interrupt::Mutex::new(core::cell::Cell::new(false));
        cortex_m::interrupt::free(|token| (!TAKEN.borrow(token).replace(true)).then_some(Self(())))
    }
}

/// The word at a checked offset. It is volatile, so that words are programmed in order: a power cut
/// must find what a real one finds.
fn word(offset: usize) -> *mut u32 {
    ptr::with_exposed_provenance_mut(BASE + offset / WORD * WORD)
}

fn load(offset: usize) -> u32 {
    // SAFETY: callers have checked the offset; the linker puts nothing into this RAM.
    !unsafe { word(offset).read_volatile() }
}

fn store(offset: usize, value: u32) {
    // SAFETY: as in `load`, and `Flash` is borrowed mutably by whoever comes here.
    unsafe { word(offset).write_volatile(!value) }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        for (at, byte) in (offset as usize..).zip(bytes) {
            *byte = load(at).to_le_bytes()[at % WORD];
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = 4_096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for at in (from as usize..to as usize).step_by(WORD) {
            store(at, u32::MAX);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let (words, _) = bytes.as_chunks::<WORD>();
        for (at, &new) in (offset as usize..).step_by(WORD).zip(words) {
            store(at, load(at) & u32::from_le_bytes(new));
        }
        Ok(())
    }
}

/// Bits may be cleared in several steps.
impl MultiwriteNorFlash for Flash {}
