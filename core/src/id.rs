//! Names: who an equipment is, and which socket, stream or connection a call speaks of.
//!
//! An [`EquipmentId`] *is* the equipment's X25519 static public key, so an id can be printed on a
//! label and yet cannot be taken over: who cannot prove the key cannot register the id (threat T1).
//! Its text form is Bech32 (BIP-173) with the prefix `gk`. All other names here are local handles
//! between a machine and its caller; those that can outlive what they name carry a generation.

use core::fmt;
use core::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use serde::{Deserialize, Serialize};

/// An equipment's identity: its X25519 static public key, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EquipmentId(pub [u8; 32]);

/// The prefix of an [`EquipmentId`]'s text form.
pub const ID_PREFIX: &str = "gk";
/// Length of an [`EquipmentId`]'s text form in characters.
pub const ID_TEXT_LEN: usize = 61;

impl EquipmentId {
    /// The id's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for EquipmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32, _>(f, Hrp::parse_unchecked(ID_PREFIX), &self.0)
            .map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for EquipmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not an [`EquipmentId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParseIdError {
    /// Not Bech32: a character or the checksum is wrong (a typing error is caught here).
    Checksum,
    /// Valid Bech32, but the prefix is not `gk`.
    Prefix,
    /// Valid Bech32 with the right prefix, but not 32 bytes.
    Length,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "not a Genkan id: a character is wrong or missing",
            Self::Prefix => "not a Genkan id: it must begin with gk1",
            Self::Length => "not a Genkan id: it does not hold 32 bytes",
        })
    }
}

impl core::error::Error for ParseIdError {}

impl FromStr for EquipmentId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let parsed =
            CheckedHrpstring::new::<Bech32>(text.trim()).map_err(|_| ParseIdError::Checksum)?;
        if parsed.hrp() != Hrp::parse_unchecked(ID_PREFIX) {
            return Err(ParseIdError::Prefix);
        }
        let mut id = [0; 32];
        let mut bytes = parsed.byte_iter();
        for slot in &mut id {
            *slot = bytes.next().ok_or(ParseIdError::Length)?;
        }
        if bytes.next().is_some() { Err(ParseIdError::Length) } else { Ok(Self(id)) }
    }
}

/// A UDP socket or TCP listener of the caller's, by a number that machine and caller agree on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SocketId(pub u16);

impl SocketId {
    /// The UDP socket that every machine has; the caller opens it before anything else.
    pub const MAIN: Self = Self(0);
    /// A server's second UDP port, on the address of the first; the caller opens it at start, where
    /// the server is configured to have one.
    pub const OTHER_PORT: Self = Self(2);
    /// A server's UDP socket on a second address; as [`SocketId::OTHER_PORT`].
    pub const OTHER_ADDRESS: Self = Self(3);
    /// The first number of the UDP sockets that equipment opens and closes by
    /// [`Command::Bind`](crate::Command::Bind) and [`Command::Unbind`](crate::Command::Unbind).
    pub const FRESH: Self = Self(16);
    /// The TCP listener: a server's, opened by the caller at start; an issuer's, opened on
    /// [`Command::Listen`](crate::Command::Listen).
    pub const LISTENER: Self = Self(1);
}

/// One TCP connection. A stale id (older generation) names nothing and is ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamId {
    /// Slot in the machine's stream table.
    pub index: u16,
    /// How often that slot was reused (wraps).
    pub generation: u16,
}

/// One end-to-end connection between an issuer and an acceptor. A stale id gives
/// `UnknownConnection`, never another peer's connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectionId {
    /// Slot in the machine's connection table.
    pub index: u16,
    /// How often that slot was reused (wraps).
    pub generation: u16,
}

impl ConnectionId {
    /// The id as one number: the receiver index that travels in datagrams.
    pub(crate) const fn to_handle(self) -> u32 {
        ((self.generation as u32) << 16) | self.index as u32
    }

    /// The reverse of `to_handle`.
    pub(crate) const fn from_handle(handle: u32) -> Self {
        let [g1, g0, i1, i0] = handle.to_be_bytes();
        Self { index: u16::from_be_bytes([i1, i0]), generation: u16::from_be_bytes([g1, g0]) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = EquipmentId([7; 32]);
        let text = id.to_string();
        assert_eq!(text.len(), ID_TEXT_LEN);
        assert!(text.starts_with("gk1"));
        assert_eq!(text.parse::<EquipmentId>(), Ok(id));
        assert_eq!(text.to_uppercase().parse::<EquipmentId>(), Ok(id));
    }

    #[test]
    fn every_single_wrong_character_is_caught() {
        let text = EquipmentId([0xa5; 32]).to_string();
        for position in 3..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[position] = if wrong[position] == b'q' { b'p' } else { b'q' };
            let wrong = std::string::String::from_utf8(wrong).unwrap();
            assert_eq!(wrong.parse::<EquipmentId>(), Err(ParseIdError::Checksum), "{wrong}");
        }
    }

    #[test]
    fn a_handle_names_its_connection() {
        let id = ConnectionId { index: 0x1234, generation: 0xfedc };
        assert_eq!(ConnectionId::from_handle(id.to_handle()), id);
    }
}
