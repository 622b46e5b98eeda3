//! ChaCha20-Poly1305 in place, with Noise's nonce layout (four zero bytes, then a little-endian
//! counter).

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};

use crate::wire::TAG_LEN;

fn nonce(counter: u64) -> Nonce {
    let [a, b, c, d, e, f, g, h] = counter.to_le_bytes();
    Nonce::from([0, 0, 0, 0, a, b, c, d, e, f, g, h])
}

/// Encrypts `text` in place and returns the tag.
pub(crate) fn seal(key: &[u8; 32], counter: u64, ad: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
    seal_with(key, nonce(counter), ad, text)
}

/// Decrypts `text` in place when the tag fits; otherwise its contents are undefined.
#[must_use]
pub(crate) fn open(
    key: &[u8; 32],
    counter: u64,
    ad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> bool {
    open_with(key, nonce(counter), ad, text, tag)
}

/// As `seal`, with a random nonce (cookies only).
pub(crate) fn seal_with(key: &[u8; 32], nonce: Nonce, ad: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
    // The crate fails only above 256 GiB; an all-zero tag would then simply not verify.
    ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&nonce, ad, text.into())
        .map_or([0; TAG_LEN], Into::into)
}

/// As `open`, with a nonce that travelled in clear (cookies only).
#[must_use]
pub(crate) fn open_with(
    key: &[u8; 32],
    nonce: Nonce,
    ad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> bool {
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&nonce, ad, text.into(), &Tag::from(*tag))
        .is_ok()
}
