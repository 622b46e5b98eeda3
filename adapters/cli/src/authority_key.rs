//! An authority's public key as an argument.
//!
//! It is what every user needs beside the server's address: short enough for a message, and its
//! checksum catches a wrong character.

use core::fmt;
use core::str::FromStr;

use genkan_core::EquipmentId;
use genkan_std::files::{Problem, format_authority, parse_authority};

/// An authority's Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AuthorityKey(pub(crate) [u8; 32]);

impl fmt::Display for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_authority(&self.0))
    }
}

impl FromStr for AuthorityKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_authority(text).map(Self).map_err(|problem| match problem {
            _ if text.parse::<EquipmentId>().is_ok() => {
                "this is an id; what is wanted is the authority key that `genkan serve` prints"
                    .to_owned()
            }
            Problem::Content { why, .. } => format!("not an authority key: {why}"),
            other => other.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form_and_nothing_else_passes() {
        let text = AuthorityKey([9; 32]).to_string();
        assert_eq!(text.parse(), Ok(AuthorityKey([9; 32])));
        let last = text.len() - 1;
        for position in text.rfind('1').unwrap() + 1..last {
            let mut wrong = text.clone().into_bytes();
            wrong[position] = if wrong[position] == b'q' { b'p' } else { b'q' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(wrong.parse::<AuthorityKey>().is_err(), "{wrong}");
        }
        let id = EquipmentId([9; 32]).to_string();
        assert!(id.parse::<AuthorityKey>().unwrap_err().contains("this is an id"));
        assert!("".parse::<AuthorityKey>().is_err());
    }
}
