//! Three candidates for the keepalive's tag, each over its 12-byte head.

use core::hash::Hasher;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher24};

/// SipHash-2-4-128: what keepalives carry.
#[must_use]
pub fn siphash(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(message);
    hasher.finish128().as_bytes()
}

/// ChaCha20-Poly1305 over nothing, with the message as additional data.
///
/// # Panics
/// Never on messages of this length.
#[must_use]
pub fn aead(key: &[u8; 32], counter: u64, message: &[u8]) -> [u8; 16] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    let mut nothing = [0u8; 0];
    ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&Nonce::from(nonce), message, (&mut nothing[..]).into())
        .unwrap()
        .into()
}

/// HMAC-SHA256 (RFC 2104).
#[must_use]
pub fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        Sha256::new_with_prefix(block)
    };
    let inner = padded(0x36).chain_update(message).finalize();
    padded(0x5c).chain_update(inner).finalize().into()
}
