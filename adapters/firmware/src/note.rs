//! What is noted in RAM that nobody initialises: numbers and a text, under a seal.
//!
//! After a power cut that RAM holds anything, or nearly what it held, some bits lost. So the seal is a
//! CRC-32 of all of it: one or two bits that differ are always seen, anything else but once in four
//! billion times.

use core::fmt;

use heapless::String;

/// Longest text in bytes; what is longer is cut off.
pub const LENGTH: usize = 160;
/// CRC-32 (IEEE 802.3), bits reversed.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The note.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Note {
    /// Of all that follows.
    pub seal: u32,
    /// How often power came, as the flash has it; 0: not known yet.
    pub powered: u32,
    /// Starts since, but for the first.
    pub resets: u16,
    /// Those in a row without a good run.
    pub hasty: u16,
    /// Bytes of the text.
    pub length: u32,
    /// The text: why the last start ended.
    pub text: [u8; LENGTH],
}

impl Note {
    /// Nothing is known. RAM of zeros is no such note: its seal is another.
    pub const EMPTY: Self =
        Self { seal: 0, powered: 0, resets: 0, hasty: 0, length: 0, text: [0; LENGTH] };

    /// With its seal.
    pub fn sealed(self) -> Self {
        Self { seal: self.seal(), ..self }
    }

    /// Whether it is as it was sealed.
    pub fn is_whole(&self) -> bool {
        self.seal == self.seal()
    }

    fn seal(&self) -> u32 {
        let Self { seal: _, powered, resets, hasty, length, text } = self;
        let numbers = [*powered, u32::from(*resets) << 16 | u32::from(*hasty), *length];
        let bytes = numbers.iter().flat_map(|it| it.to_le_bytes()).chain(text.iter().copied());
        !bytes.fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| {
                sum >> 1 ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 }
            })
        })
    }

    /// The text, if there is one.
    pub fn reason(&self) -> Option<String<LENGTH>> {
        let bytes = self.text.get(..self.length as usize)?;
        // What was cut off may have been half a character.
        let whole = bytes.utf8_chunks().next()?.valid();
        String::try_from(whole).ok()
    }

    /// No text.
    pub fn clear(&mut self) {
        self.length = 0;
    }
}

/// Text that does not fit is cut off.
impl fmt::Write for Note {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            let Some(place) = self.text.get_mut(self.length as usize) else { return Ok(()) };
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }
}
