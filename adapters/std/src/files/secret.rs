//! 32 secret bytes as text: Bech32, so that a wrong character is caught, in capitals, as `age` does.
//!
//! A file holds one such line. Empty lines and lines that begin with `#` are remarks.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use zeroize::Zeroizing;

use super::error::Problem;

/// Longest file that is taken for a key's.
pub(super) const KEY_FILE_LIMIT: usize = 4_096;

/// What the text of a kind of key looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// The Bech32 prefix, in small letters.
    pub(super) prefix: &'static str,
    /// What errors call it.
    pub(super) what: &'static str,
}

impl Format {
    pub(super) fn encode(self, bytes: &[u8; 32]) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(128));
        let prefix = Hrp::parse_unchecked(self.prefix);
        // Writing to a string cannot fail, and the length is within Bech32's limit.
        let _ = bech32::encode_upper_to_fmt::<Bech32, _>(&mut *text, prefix, bytes);
        text
    }

    pub(super) fn encode_lower(self, bytes: &[u8; 32]) -> String {
        let prefix = Hrp::parse_unchecked(self.prefix);
        bech32::encode_lower::<Bech32>(prefix, bytes).unwrap_or_default()
    }

    /// The key in a file's content: its only line that is no remark.
    pub(super) fn find(self, content: &[u8]) -> Result<Zeroizing<[u8; 32]>, Problem> {
        let bad = |why| Problem::Content { wanted: self.what, why };
        let text = core::str::from_utf8(content).map_err(|_| bad("it is not text"))?;
        let mut lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().ok_or_else(|| {
            let empty = text.trim().is_empty();
            bad(if empty {
                "it is empty"
            } else {
                "no line with a key is in it; was it cut short?"
            })
        })?;
        if lines.next().is_some() {
            return Err(bad("it holds more than one line"));
        }
        self.decode(line)
    }

    pub(super) fn decode(self, text: &str) -> Result<Zeroizing<[u8; 32]>, Problem> {
        let bad = |why| Problem::Content { wanted: self.what, why };
        let parsed = CheckedHrpstring::new::<Bech32>(text)
            .map_err(|_| bad("a character is wrong or missing"))?;
        if parsed.hrp() != Hrp::parse_unchecked(self.prefix) {
            return Err(bad("it is a key of another kind"));
        }
        let mut key = Zeroizing::new([0; 32]);
        let mut bytes = parsed.byte_iter();
        if bytes.len() != key.len() {
            return Err(bad("it is not 32 bytes long"));
        }
        key.iter_mut().zip(&mut bytes).for_each(|(slot, byte)| *slot = byte);
        Ok(key)
    }
}

/// 32 bytes from the operating system.
pub(super) fn draw() -> Result<Zeroizing<[u8; 32]>, Problem> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret).map_err(|_| Problem::NoEntropy)?;
    Ok(secret)
}
