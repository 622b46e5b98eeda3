//! `Noise_IK_25519_ChaChaPoly_SHA256` by clatter, over our own thin implementations of its traits.
//!
//! clatter brings the state machine of the framework; the primitives come from the current
//! RustCrypto and dalek generation, so that nothing is linked twice. Two calls make a handshake on
//! either side, and nothing of it lives longer than that except the [`Initiator`] between its two
//! messages. Message lengths are checked here first: the framework panics above 65,535 bytes.

#[cfg(test)]
mod tests;

use clatter::bytearray::{ByteArray, SensitiveByteArray};
use clatter::error::{CipherError, CipherResult, DhError, DhResult, HandshakeResult};
use clatter::handshakepattern::noise_ik;
use clatter::traits::{Cipher, CryptoComponent, Dh, Handshaker, Hash};
use clatter::{KeyPair, NqHandshakeCore};
use sha2::Sha256;
use zeroize::Zeroize;

use super::keys::Root;
use super::{StaticKey, aead, dh};
use crate::wire::codec::Writer;
use crate::wire::{IK1_OVERHEAD, IK2_OVERHEAD, TAG_LEN};

type Secret = SensitiveByteArray<[u8; 32]>;
/// A secret key, a public one, and the secret that the two share; zeros where that is not known.
type Pairing = SensitiveByteArray<[u8; 96]>;
type Ik = NqHandshakeCore<X25519, ChaChaPoly, Sha, NoRng>;

/// Longest handshake payload in bytes.
const MAX_PAYLOAD: usize = MAX_FIRST - IK1_OVERHEAD;
/// Longest message 1 in bytes.
const MAX_FIRST: usize = 480;

/// Which link a handshake is for; a message of one never passes for one of the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Link {
    /// Equipment to server.
    Server,
    /// Issuer to acceptor.
    Peer,
}

impl Link {
    const fn prologue(self) -> &'static [u8] {
        match self {
            Self::Server => b"genkan 1 server link",
            Self::Peer => b"genkan 1 peer link",
        }
    }
}

/// An initiator between its first and second message: what message 1, and the framework's state after
/// it, come out of again. That state itself would take five times the memory. `P` bytes hold the
/// payload. The responder's key is its owner's,
/// who keeps it as long.
#[derive(Clone)]
pub(crate) struct Initiator<const P: usize> {
    start: Start,
    payload: [u8; P],
    len: u16,
}

#[derive(Clone)]
struct Start {
    link: Link,
    ephemeral: StaticKey,
    /// What ephemeral and static key share with the responder's: the dear part of message 1.
    shared: [Secret; 2],
}

impl<const P: usize> core::fmt::Debug for Initiator<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Initiator(..)")
    }
}

impl<const P: usize> Drop for Initiator<P> {
    fn drop(&mut self) {
        self.payload.zeroize();
    }
}

impl<const P: usize> Initiator<P> {
    /// `None` when the responder's key is none, or the payload too long.
    pub(crate) fn new(
        link: Link,
        own: &StaticKey,
        responder: &[u8; 32],
        ephemeral: [u8; 32],
        payload: &[u8],
    ) -> Option<Self> {
        let shared = [dh(&ephemeral, responder)?, dh(own.secret(), responder)?];
        let mut kept = [0; P];
        kept.get_mut(..payload.len())?.copy_from_slice(payload);
        Some(Self {
            start: Start {
                link,
                ephemeral: StaticKey::from_secret(ephemeral),
                shared: shared.map(Secret::new),
            },
            payload: kept,
            len: u16::try_from(payload.len()).ok()?,
        })
    }

    fn payload(&self) -> &[u8] {
        self.payload.get(..self.len.into()).unwrap_or(&[])
    }

    /// Length of message 1 in bytes.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len).saturating_add(IK1_OVERHEAD)
    }

    /// Writes message 1 to `responder` into `out`, which must be as long as it is: the same bytes each
    /// time.
    pub(crate) fn write(
        &self,
        own: &StaticKey,
        responder: &[u8; 32],
        out: &mut [u8],
    ) -> Option<()> {
        self.start.first(own, responder, self.payload(), out, &mut |_| Some(()))
    }

    /// Reads message 2; its payload goes to `out`. `self` is untouched, so a forged answer does not
    /// spoil the wait for the real one (threats T18, T32).
    pub(crate) fn finish(
        &self,
        own: &StaticKey,
        responder: &[u8; 32],
        message: &[u8],
        out: &mut [u8],
    ) -> Option<Root> {
        let len = message.len().checked_sub(IK2_OVERHEAD)?;
        if len > MAX_PAYLOAD || out.len() != len {
            return None;
        }
        let mut first = [0; MAX_FIRST];
        let first = first.get_mut(..self.len())?;
        let mut made = None;
        self.start.first(own, responder, self.payload(), first, &mut |state| {
            state.read_message(message, out).ok()?;
            made = root(state);
            Some(())
        })?;
        made
    }
}

impl Start {
    /// Writes message 1, and lets `then` go on from there.
    fn first(
        &self,
        own: &StaticKey,
        responder: &[u8; 32],
        payload: &[u8],
        out: &mut [u8],
        then: &mut dyn FnMut(&mut Ik) -> Option<()>,
    ) -> Option<()> {
        if payload.len() > MAX_PAYLOAD || out.len() != payload.len().checked_add(IK1_OVERHEAD)? {
            return None;
        }
        let mut state = self.begin(own, responder);
        let state = state.as_mut().ok()?;
        state.write_message(payload, out).ok()?;
        then(state)
    }

    #[inline(never)]
    fn begin(&self, own: &StaticKey, responder: &[u8; 32]) -> HandshakeResult<Ik> {
        begin(self.link, own, &self.ephemeral, Some((responder, &self.shared)))
    }
}

/// The framework's state before message 1; the initiator knows the responder, and what its ephemeral
/// and its static key share with it. The state takes 800 bytes, so it stays where it is made, and the
/// keys that it is made of leave the stack again before anything is computed with them: both callers
/// only return it. What of the framework's can panic stays in functions of its own, as it has two callers.
#[inline(always)]
fn begin(
    link: Link,
    own: &StaticKey,
    ephemeral: &StaticKey,
    known: Option<(&[u8; 32], &[Secret; 2])>,
) -> HandshakeResult<Ik> {
    Ik::new(
        noise_ik(),
        link.prologue(),
        known.is_some(),
        Some(pair(own, known.map(|(responder, [_, ss])| (responder, ss)))),
        Some(pair(ephemeral, known.map(|(responder, [es, _])| (responder, es)))),
        known.map(|(responder, _)| *responder),
        None,
    )
}

/// A responder.
pub(crate) struct Responder(HandshakeResult<Ik>);

impl core::fmt::Debug for Responder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Responder(..)")
    }
}

impl Responder {
    /// A responder that waits for message 1. `ephemeral` is for message 2.
    #[inline(never)]
    pub(crate) fn new(link: Link, own: &StaticKey, ephemeral: [u8; 32]) -> Self {
        Self(begin(link, own, &StaticKey::from_secret(ephemeral), None))
    }

    /// Reads message 1; its payload goes to `out`. Returns the initiator's static key.
    #[inline(never)]
    pub(crate) fn read(&mut self, message: &[u8], out: &mut [u8]) -> Option<[u8; 32]> {
        let len = message.len().checked_sub(IK1_OVERHEAD)?;
        if len > MAX_PAYLOAD || out.len() != len {
            return None;
        }
        let state = self.0.as_mut().ok()?;
        state.read_message(message, out).ok()?;
        state.get_remote_static()
    }

    /// Writes message 2 with `payload` into `out`, which must be [`IK2_OVERHEAD`] longer. Once, after
    /// message 1 was read.
    #[inline(never)]
    pub(crate) fn answer(&mut self, payload: &[u8], out: &mut [u8]) -> Option<Root> {
        if payload.len() > MAX_PAYLOAD || out.len() != payload.len().checked_add(IK2_OVERHEAD)? {
            return None;
        }
        let state = self.0.as_mut().ok()?;
        state.write_message(payload, out).ok()?;
        root(state)
    }
}

/// A key for clatter, and what it shares with another where that is known already.
fn pair(key: &StaticKey, known: Option<(&[u8; 32], &Secret)>) -> KeyPair<[u8; 32], Pairing> {
    let mut secret = Pairing::new_zero();
    let mut writer = Writer::new(&mut *secret);
    writer.put(key.secret());
    if let Some((public, shared)) = known {
        writer.put(public);
        writer.put(&**shared);
    }
    KeyPair { public: *key.public(), secret }
}

/// The root of a handshake whose messages are both through.
fn root(state: &mut Ik) -> Option<Root> {
    if !state.is_finished() {
        return None;
    }
    let symmetric = state.get_state_mut();
    let ciphers = symmetric.split().ok()?;
    let (up, _) = ciphers.initiator_to_responder.take();
    let (down, _) = ciphers.responder_to_initiator.take();
    Some(Root::from_handshake(&up, &down, &symmetric.get_hash()))
}

/// SHA-256 for clatter.
#[derive(Clone, Default)]
struct Sha(Sha256);

impl CryptoComponent for Sha {
    fn name() -> &'static str {
        "SHA256"
    }
}

impl Hash for Sha {
    type Block = [u8; 64];
    type Output = [u8; 32];

    fn input(&mut self, data: &[u8]) {
        super::feed(&mut self.0, data);
    }

    fn result(self) -> Self::Output {
        super::digest(self.0)
    }
}

/// X25519 for clatter.
#[derive(Clone)]
struct X25519;

impl CryptoComponent for X25519 {
    fn name() -> &'static str {
        "25519"
    }
}

impl Dh for X25519 {
    type PrivateKey = Pairing;
    type PubKey = [u8; 32];
    type Output = Secret;

    fn genkey_rng<R: clatter::traits::Rng>(_: &mut R) -> DhResult<KeyPair<[u8; 32], Pairing>> {
        // Ephemeral keys are always handed in: see `Initiator::new` and `Responder::new`.
        Err(DhError::KeyGeneration)
    }

    fn pubkey(key: &Pairing) -> [u8; 32] {
        key.first_chunk().map_or([0; 32], |secret| *StaticKey::from_secret(*secret).public())
    }

    fn dh(key: &Pairing, public: &[u8; 32]) -> DhResult<Secret> {
        let [secret, known, shared] = key.as_chunks().0 else { return Err(DhError::KeyGeneration) };
        if known == public && *shared != [0; 32] {
            return Ok(Secret::new(*shared));
        }
        // The error type has one variant; it stands for "this point gives no secret" here.
        dh(secret, public).map(Secret::new).ok_or(DhError::KeyGeneration)
    }
}

/// ChaCha20-Poly1305 for clatter.
#[derive(Clone)]
struct ChaChaPoly;

impl CryptoComponent for ChaChaPoly {
    fn name() -> &'static str {
        "ChaChaPoly"
    }
}

impl Cipher for ChaChaPoly {
    type Key = Secret;

    fn tag_len() -> usize {
        TAG_LEN
    }

    fn encrypt(key: &Secret, n: u64, ad: &[u8], text: &[u8], out: &mut [u8]) -> CipherResult<()> {
        out.get_mut(..text.len()).ok_or(CipherError::Encrypt)?.copy_from_slice(text);
        Self::encrypt_in_place(key, n, ad, out, text.len()).map(|_| ())
    }

    fn encrypt_in_place(
        key: &Secret,
        n: u64,
        ad: &[u8],
        buffer: &mut [u8],
        len: usize,
    ) -> CipherResult<usize> {
        let (text, rest) = buffer.split_at_mut_checked(len).ok_or(CipherError::Encrypt)?;
        let out = rest.first_chunk_mut::<TAG_LEN>().ok_or(CipherError::Encrypt)?;
        *out = aead::seal(key, n, ad, text);
        Ok(len.saturating_add(TAG_LEN))
    }

    fn decrypt(key: &Secret, n: u64, ad: &[u8], text: &[u8], out: &mut [u8]) -> CipherResult<()> {
        let (text, tag) = text.split_last_chunk::<TAG_LEN>().ok_or(CipherError::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(CipherError::Decrypt)?;
        out.copy_from_slice(text);
        if aead::open(key, n, ad, out, tag) { Ok(()) } else { Err(CipherError::Decrypt) }
    }

    fn decrypt_in_place(
        key: &Secret,
        n: u64,
        ad: &[u8],
        buffer: &mut [u8],
        len: usize,
    ) -> CipherResult<usize> {
        let message = buffer.get_mut(..len).ok_or(CipherError::Decrypt)?;
        let (text, tag) = message.split_last_chunk_mut::<TAG_LEN>().ok_or(CipherError::Decrypt)?;
        if aead::open(key, n, ad, text, tag) { Ok(text.len()) } else { Err(CipherError::Decrypt) }
    }
}

/// clatter wants a generator that it can make by itself. It is never asked; if it were, it would
/// fail rather than hand out something that is not random.
#[derive(Clone, Default)]
struct NoRng;

impl rand_core::RngCore for NoRng {
    fn next_u32(&mut self) -> u32 {
        0
    }

    fn next_u64(&mut self) -> u64 {
        0
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.fill(0);
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), rand_core::Error> {
        Err(rand_core::Error::from(core::num::NonZeroU32::MIN))
    }
}

impl rand_core::CryptoRng for NoRng {}
