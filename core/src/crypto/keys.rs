//! What is derived from a root, and from passwords.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{sha256, sha256_of};

/// HMAC-SHA256 of the concatenated `parts` (RFC 2104).
#[inline(never)]
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut pad = [0x36; 64];
    pad.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
    let inner = sha256_of(&pad, parts);
    pad.iter_mut().for_each(|pad| *pad ^= 0x36 ^ 0x5c);
    let outer = sha256(&[&pad, &inner]);
    pad.zeroize();
    outer
}

/// The common key of a session: 32 bytes from which all its other keys come.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Root(pub(crate) [u8; 32]);

impl core::fmt::Debug for Root {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Root(..)")
    }
}

/// Which of a session's two directions a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// From the handshake's initiator (equipment, issuer).
    Up,
    /// From its responder (server, acceptor).
    Down,
}

impl Direction {
    pub(crate) const fn reverse(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl Root {
    /// The root of a completed handshake: both of Noise's transport keys, bound to the transcript.
    pub(crate) fn from_handshake(up: &[u8; 32], down: &[u8; 32], transcript: &[u8; 32]) -> Self {
        Self(hmac(up, &[b"genkan root 1", down, transcript]))
    }

    /// A part of it, to tell whether it has changed.
    #[cfg(feature = "inspect")]
    pub(crate) const fn print(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The transport key of one direction.
    pub(crate) fn transport(&self, direction: Direction) -> [u8; 32] {
        hmac(
            &self.0,
            &[match direction {
                Direction::Up => b"transport up  ",
                Direction::Down => b"transport down",
            }],
        )
    }

    /// The keepalive key of one direction.
    pub(crate) fn keepalive(&self, direction: Direction) -> [u8; 16] {
        half(&hmac(
            &self.0,
            &[match direction {
                Direction::Up => b"keepalive up  ",
                Direction::Down => b"keepalive down",
            }],
        ))
    }

    /// The root of the next epoch; one way.
    pub(crate) fn ratchet(&self) -> Self {
        Self(hmac(&self.0, &[b"ratchet"]))
    }

    /// The tag of a resumption message.
    pub(crate) fn resume_tag(&self, message: &[u8]) -> [u8; 16] {
        half(&hmac(&self.0, &[b"resume tag", message]))
    }

    /// The root of a resumed session.
    pub(crate) fn resumed(&self, device_nonce: &[u8; 16], server_nonce: &[u8; 16]) -> Self {
        Self(hmac(&self.0, &[b"resumed", device_nonce, server_nonce]))
    }
}

/// The first half of 32 bytes.
pub(crate) fn half(bytes: &[u8; 32]) -> [u8; 16] {
    let (half, _) = bytes.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    *half
}

/// The second half of 32 bytes.
pub(crate) fn other_half(bytes: &[u8; 32]) -> [u8; 16] {
    bytes.last_chunk().copied().unwrap_or_default()
}

/// A salted hash of a password information, as a device stores it.
#[derive(Clone, Copy, PartialEq, Eq, Zeroize)]
pub struct PasswordRecord {
    /// Random, drawn when the password was set.
    pub salt: [u8; 16],
    /// Hash over salt and password information.
    pub hash: [u8; 32],
}

impl PasswordRecord {
    /// The record of `information` = Argon2id(password, id), computed on the setting side.
    #[must_use]
    pub fn new(salt: [u8; 16], information: &[u8; 32]) -> Self {
        Self { salt, hash: Self::digest(&salt, information) }
    }

    /// Whether `information` is the password's, in constant time (threat T28).
    #[must_use]
    pub fn matches(&self, information: &[u8; 32]) -> bool {
        super::equal(&self.hash, &Self::digest(&self.salt, information))
    }

    fn digest(salt: &[u8; 16], information: &[u8; 32]) -> [u8; 32] {
        sha256(&[b"genkan password 1", salt, information])
    }
}

impl core::fmt::Debug for PasswordRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PasswordRecord(..)")
    }
}

/// Key of the handshake filter (mac1) and of cookies for a responder with this public key.
pub(crate) fn filter_key(label: &[u8], responder: &[u8; 32]) -> [u8; 32] {
    sha256(&[label, responder])
}

/// The first half of a filter key, for SipHash.
pub(crate) fn mac1_key(responder: &[u8; 32]) -> [u8; 16] {
    half(&filter_key(b"genkan mac1 1", responder))
}

/// SHA-256 of `bytes`, cut to 16 bytes: remembers an offer or ephemeral key.
pub(crate) fn fingerprint(bytes: &[u8]) -> [u8; 16] {
    half(&sha256(&[bytes]))
}
