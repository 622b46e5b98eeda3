//! One value of an appliance's state as a file: a name, bytes in hexadecimal, a checksum.
//!
//! ```text
//! genkan-state 1 failures
//! 00000003
//! 0f1e2d3c4b5a6978
//! ```
//!
//! Writing is atomic, so a wrong checksum means that the storage itself has gone bad.

use core::fmt::Write;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::error::Problem;

/// Longest value in bytes.
pub(super) const MAX_VALUE: usize = 4_096;
/// Longest file in bytes: two characters per byte, the lines around them.
pub(super) const MAX_FILE: usize = 2 * MAX_VALUE + 128;

const WANTED: &str = "a value of an appliance's state";

pub(super) fn encode(name: &str, value: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * value.len() + name.len() + 64));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "genkan-state 1 {name}");
    for byte in value {
        let _ = write!(text, "{byte:02x}");
    }
    let _ = writeln!(text, "\n{:016x}", checksum(name, value));
    text
}

pub(super) fn decode(name: &str, content: &[u8]) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let bad = |why| Problem::Content { wanted: WANTED, why };
    let text = core::str::from_utf8(content).map_err(|_| bad("it is not text"))?;
    let mut lines = text.lines();
    let head = lines.next().ok_or_else(|| bad("it is empty"))?;
    let own = head.strip_prefix("genkan-state 1 ").ok_or_else(|| bad("its head is unknown"))?;
    if own != name {
        return Err(bad("it holds another value"));
    }
    let value = bytes(lines.next().unwrap_or_default()).ok_or(Problem::Damaged)?;
    let sum = lines.next().and_then(|line| u64::from_str_radix(line, 16).ok());
    let rest = lines.next();
    if sum == Some(checksum(name, &value)) && rest.is_none() {
        Ok(value)
    } else {
        Err(Problem::Damaged)
    }
}

fn bytes(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut value = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    for [high, low] in pairs {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        value.push((digit(*high)? << 4) | digit(*low)?);
    }
    rest.is_empty().then_some(value)
}

fn checksum(name: &str, value: &[u8]) -> u64 {
    let mut hash = Sha256::new_with_prefix(b"genkan state 1");
    hash.update(name.as_bytes());
    hash.update([0]);
    hash.update(value);
    let hash: [u8; 32] = hash.finalize().into();
    hash.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_every_changed_byte_is_noticed() {
        let text = encode("failures", &[0, 0, 0, 3]);
        assert_eq!(*decode("failures", text.as_bytes()).unwrap(), [0, 0, 0, 3]);
        assert!(decode("boots", text.as_bytes()).is_err());
        for position in 0..text.len() - 1 {
            let mut wrong = text.as_bytes().to_vec();
            wrong[position] ^= 1;
            let read = decode("failures", &wrong);
            assert!(read.is_err(), "byte {position} of {text:?}");
        }
        for cut in 0..text.len() - 1 {
            assert!(decode("failures", &text.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
    }
}
