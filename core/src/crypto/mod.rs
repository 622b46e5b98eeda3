//! Keys, handshakes and tags: everything that calls a cryptographic crate.
//!
//! One curve, one AEAD, one hash (DESIGN.md says why): X25519, ChaCha20-Poly1305, SHA-256, in the
//! handshake `Noise_IK_25519_ChaChaPoly_SHA256` of [`noise`]. What comes out of a handshake is a
//! 32-byte *root* (the documents' common key); transport keys, keepalive keys and the resumption key
//! are derived from it by HMAC-SHA256 ([`keys`]). Keepalives, handshake filters and cookies use
//! SipHash-2-4-128 ([`mac`]) because a tag costs a hundredth of an AEAD there.
//!
//! The all-zero X25519 result is refused, lengths are checked before the Noise crate sees a
//! message, tags are compared in constant time, and secrets are wiped when dropped.

pub(crate) mod aead;
pub(crate) mod keys;
pub(crate) mod mac;
pub(crate) mod noise;

use sha2::{Digest, Sha256};
use x25519_dalek::x25519;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::EquipmentId;

/// A static X25519 key pair. The public half of an equipment's is its id.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StaticKey {
    secret: [u8; 32],
    public: [u8; 32],
}

impl StaticKey {
    /// The key pair of `secret`: 32 bytes from a good source of randomness.
    #[must_use]
    pub fn from_secret(secret: [u8; 32]) -> Self {
        let public = x25519(secret, x25519_dalek::X25519_BASEPOINT_BYTES);
        Self { secret, public }
    }

    /// As [`StaticKey::from_secret`], with the public key stored beside the secret, which saves a
    /// microcontroller 1.7 million instructions at each start. A wrong `public` makes handshakes
    /// fail; it endangers nothing.
    #[must_use]
    pub const fn from_parts(secret: [u8; 32], public: [u8; 32]) -> Self {
        Self { secret, public }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The public half as an id.
    #[must_use]
    pub const fn id(&self) -> EquipmentId {
        EquipmentId(self.public)
    }

    /// The secret half, for storing it.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl core::fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "StaticKey({})", self.id())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for StaticKey {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "StaticKey(..)");
    }
}

/// X25519, refusing the all-zero result that low-order points give (RFC 7748, section 6.1).
pub(crate) fn dh(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
    let shared = x25519(*secret, *public);
    (!bool::from(subtle::ConstantTimeEq::ct_eq(&shared[..], &[0; 32][..]))).then_some(shared)
}

/// SHA-256 of the concatenated `parts`.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    sha256_of(&[], parts)
}

/// SHA-256 of `head` and the `parts` after it.
#[inline(never)]
fn sha256_of(head: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    feed(&mut hash, head);
    parts.iter().for_each(|part| feed(&mut hash, part));
    digest(hash)
}

/// The one copy of SHA-256's way in; each would take 300 bytes.
#[inline(never)]
fn feed(hash: &mut Sha256, data: &[u8]) {
    hash.update(data);
}

/// The one copy of its way out.
#[inline(never)]
fn digest(hash: Sha256) -> [u8; 32] {
    hash.finalize().into()
}

/// Whether two secrets are equal, in time that does not depend on where they differ.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}
