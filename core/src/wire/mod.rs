//! The wire format, version 1. PROTOCOL.md is its normative description.
//!
//! Every message begins with one byte: two bits version, one bit direction, five bits kind. The same
//! message travels in a datagram, or in a stream behind a two-byte length.
//!
//! | kind | to the server, or from the issuer | from the server, or from the acceptor |
//! |-----:|---|---|
//! | 1 | `CertificateRequest`, padded | `Certificate` |
//! | 2 | `Initiation`: Noise IK message 1, two MACs | `Response`: Noise IK message 2 |
//! | 3 | | `Cookie` |
//! | 4 | `Keepalive`, 28 bytes | `KeepaliveAnswer`, 28 bytes |
//! | 5 | `Echo` of a challenge, 34 bytes | `Challenge`, 28 bytes |
//! | 6 | | `Hint`: your session is unknown here, 28 bytes |
//! | 7 | `Resume` | `Resumed` |
//! | 8 | `Transport`: a body for the server | `Transport`: a body for the equipment |
//! | 9 | | `Answer`: the communication request |
//! | 10 | `PeerTransport` of the issuer | `PeerTransport` of the acceptor |
//! | 11 | `Detect`: which port does this leave from?, 37 bytes | `FilterProbe`, 28 bytes |
//! | 12 | `Punch` of the issuer, 22 bytes | `Punch` of the acceptor, 22 bytes |
//!
//! The direction bit makes it impossible for two servers to answer each other (threat T10). Bodies
//! ([`message`]) are postcard; headers are fixed and big-endian.

pub mod certificate;
pub(crate) mod codec;
pub mod message;
mod offer;
pub(crate) mod once;
pub(crate) mod punch;
mod reading;

pub use codec::Body;

use crate::machine::Discard;

/// The wire version that this crate speaks; it stands in the two highest bits of each message.
pub const VERSION: u8 = 1;

const DIRECTION: u8 = 0b0010_0000;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $down:literal;)*) => {
        /// What a message is, with its direction.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = (VERSION << 6) | ($down << 5) | $number,)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            const fn from_byte(byte: u8) -> Option<Self> {
                $(if byte == Self::$name as u8 { return Some(Self::$name); })*
                None
            }
        }
    };
}

kinds! {
    /// An equipment asks for the server's certificate.
    CertificateRequest = 1, 0;
    /// The server's certificate.
    Certificate = 1, 1;
    /// First (third) key generation information: Noise IK message 1.
    Initiation = 2, 0;
    /// Second (fourth) key generation information: Noise IK message 2.
    Response = 2, 1;
    /// Prove your address first: send the Initiation again with this cookie.
    Cookie = 3, 1;
    /// Keeps the registration and the NAT mapping alive.
    Keepalive = 4, 0;
    /// Answers a keepalive that wanted an answer.
    KeepaliveAnswer = 4, 1;
    /// Echoes a challenge's cookie from the new address.
    Echo = 5, 0;
    /// The server saw a new address and wants it proven.
    Challenge = 5, 1;
    /// The server cannot place a keepalive or transport message.
    Hint = 6, 1;
    /// A rebooted device takes its session up again.
    Resume = 7, 0;
    /// The server agrees.
    Resumed = 7, 1;
    /// An encrypted body for the server.
    Transport = 8, 0;
    /// An encrypted body from the server.
    ServerTransport = 8, 1;
    /// The communication request: Noise IK message 2 of acceptor to issuer.
    Answer = 9, 1;
    /// An encrypted body from the issuer.
    IssuerTransport = 10, 0;
    /// An encrypted body from the acceptor.
    AcceptorTransport = 10, 1;
    /// A range, differential or profile detection packet: the server looks where it comes from.
    Detect = 11, 0;
    /// From another end of the server, to see whether a NAT lets it in.
    FilterProbe = 11, 1;
    /// A bubble, reply or check of the issuer.
    IssuerPunch = 12, 0;
    /// A bubble, reply or check of the acceptor.
    AcceptorPunch = 12, 1;
}

impl Kind {
    /// The kind of a message.
    ///
    /// # Errors
    /// [`Discard::Malformed`] when empty, [`Discard::UnknownKind`] when it is not of this version.
    pub fn of(message: &[u8]) -> Result<Self, Discard> {
        let byte = *message.first().ok_or(Discard::Malformed)?;
        Self::from_byte(byte).ok_or(Discard::UnknownKind)
    }

    /// Whether a server or an acceptor sends this kind.
    #[must_use]
    pub const fn is_downward(self) -> bool {
        self as u8 & DIRECTION != 0
    }
}

/// Length of an authentication tag (AEAD, keepalive, MAC) in bytes.
pub const TAG_LEN: usize = 16;
/// Length of a transport message's header in bytes: kind, epoch, receiver, counter.
pub const TRANSPORT_HEADER: usize = 14;
/// What encryption adds to a body, in bytes.
pub const TRANSPORT_OVERHEAD: usize = TRANSPORT_HEADER + TAG_LEN;
/// Length of a [`Kind::CertificateRequest`] in bytes: no shorter than the longest answer.
pub const CERTIFICATE_REQUEST_LEN: usize = 10 + certificate::MAX_CERTIFICATE;
/// Length of keepalives, their answers, challenges and hints in bytes.
pub const KEEPALIVE_LEN: usize = 28;
/// Length of a [`Kind::Echo`] in bytes.
pub const ECHO_LEN: usize = 34;
/// Length of [`Kind::Resume`] and [`Kind::Resumed`] in bytes.
pub const RESUME_LEN: usize = 38;
/// Length of a [`Kind::Cookie`] in bytes.
pub const COOKIE_LEN: usize = 50;
/// Length of a [`Kind::Detect`] in bytes.
pub const DETECT_LEN: usize = 37;
/// Length of [`Kind::IssuerPunch`] and [`Kind::AcceptorPunch`] in bytes.
pub const PUNCH_LEN: usize = 22;
/// Noise IK message 1 without payload: ephemeral key, encrypted static key, tag.
pub const IK1_OVERHEAD: usize = 32 + 32 + TAG_LEN + TAG_LEN;
/// Noise IK message 2 without payload: ephemeral key, tag.
pub const IK2_OVERHEAD: usize = 32 + TAG_LEN;
/// What surrounds Noise message 1 in an Initiation: kind, flags, sender index, two MACs.
pub const INITIATION_OVERHEAD: usize = 6 + TAG_LEN + TAG_LEN;
/// Length of the payload of Noise message 2 from the server, padded, in bytes.
pub const WELCOME_LEN: usize = 40;
/// Length of a [`Kind::Response`] in bytes.
pub const RESPONSE_LEN: usize = 10 + IK2_OVERHEAD + WELCOME_LEN;
/// Length of the payload of Noise message 1 without a request, padded, in bytes.
pub const HELLO_LEN: usize = 32;
/// Length of a sealed offer in bytes: Noise IK message 1 to the acceptor, padded to one size so that
/// its length tells nobody whether a password is in it.
pub const OFFER_LEN: usize = 288;
/// Length of the plaintext in a sealed offer in bytes.
pub const OFFER_BODY: usize = OFFER_LEN - IK1_OVERHEAD;
/// Length of the plaintext in an [`Kind::Answer`] in bytes.
pub const ANSWER_BODY: usize = 32;
/// Length of an [`Kind::Answer`] in bytes: kind, flags, acceptor's index, path tag, Noise message 2.
pub const ANSWER_LEN: usize = 6 + TAG_LEN + IK2_OVERHEAD + ANSWER_BODY;
/// Longest body in a transport message on the server link in bytes.
pub const MAX_BODY: usize = 448;

// A server never sends more to an unproven address than it received from there (threat T9).
const _: () = assert!(RESPONSE_LEN <= INITIATION_OVERHEAD + IK1_OVERHEAD + HELLO_LEN);
const _: () = assert!(COOKIE_LEN <= INITIATION_OVERHEAD + IK1_OVERHEAD + HELLO_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_byte_of_its_own_and_is_found_by_it() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::of(&[kind as u8]), Ok(kind));
        }
        let known = (0..=255u8).filter(|&byte| Kind::of(&[byte]).is_ok()).count();
        assert_eq!(known, Kind::ALL.len());
        assert_eq!(Kind::of(&[]), Err(Discard::Malformed));
    }
}
