//! What issuer and acceptor say to each other: the sealed offer, its acceptance, and the words of a
//! session that stands.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::once::{bytes, number, optional_bytes};
use crate::addr::Endpoint;

/// The most host candidates in an [`Offer`].
pub const MAX_CANDIDATES: usize = 3;

/// The plaintext of a sealed offer, padded to [`OFFER_BODY`](super::OFFER_BODY).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The issuer's receiver index for the session.
    #[serde(with = "number")]
    pub index: u32,
    /// Password information: Argon2id(password, id); all zero when absent is `None`.
    #[serde(with = "optional_bytes")]
    pub password: Option<[u8; 32]>,
    /// Authenticates what is sent on paths that are not yet proven.
    #[serde(with = "bytes")]
    pub punch_key: [u8; 16],
    /// Grows with each offer of this issuer to this acceptor; 0 = the issuer keeps none.
    #[serde(with = "number")]
    pub counter: u64,
    /// Seconds since 1970 by the issuer's clock; 0 = it has none.
    #[serde(with = "number")]
    pub time: u64,
    /// The issuer's own addresses, for ends on the same LAN.
    pub candidates: Vec<Endpoint, MAX_CANDIDATES>,
}

/// All that is sealed as an offer. What is not in [`Offer`] itself stands where there is padding
/// otherwise: zeros are what an offer has that says nothing of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WholeOffer {
    /// The offer.
    pub offer: Offer,
    /// It asks for another path of the connection that its index names.
    pub renewal: bool,
}

impl core::fmt::Debug for Offer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Offer")
            .field("index", &self.index)
            .field("password", &self.password.map(|_| "…"))
            .field("counter", &self.counter)
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

/// The plaintext of an [`Answer`](super::Kind::Answer), padded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Accept {
    /// The acceptor's early key, for an issuer that it has paired with.
    #[serde(with = "optional_bytes")]
    pub early_key: Option<[u8; 16]>,
}

/// A control message between issuer and acceptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PeerMessage {
    /// The path works; the issuer's first one confirms the session.
    Alive,
    /// As [`PeerMessage::Alive`], and the other end should answer with one.
    Probe,
    /// The sender has ended the session.
    Close,
    /// The acceptor's early key has changed.
    EarlyKey(#[serde(with = "bytes")] [u8; 16]),
}
