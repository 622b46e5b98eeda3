//! The far end of an equipment's link: a server with a certified key, written without the core's own
//! cryptography, that says whatever it is made to say.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use genkan_core::StaticKey;
use genkan_core::inspect::{self, Body, LoggedRoot};
use genkan_core::wire::message::{Registered, ToEquipment, ToServer, Welcome};
use genkan_core::wire::{
    COOKIE_LEN, INITIATION_OVERHEAD, KEEPALIVE_LEN, Kind, RESUME_LEN, WELCOME_LEN,
};
use genkan_tests::evil::{Desk, SERVER_LINK, body, hmac, responder, root, sa, siphash};
use sha2::{Digest, Sha256};

/// Where it stands, for datagrams and streams.
pub(crate) const SERVER: &str = "203.0.113.1:4600";
/// Where it sees the equipment.
pub(crate) const OBSERVED: &str = "198.51.100.2:4600";
/// The server's handle for the session.
const HANDLE: u32 = 9;

/// The server's end of one link.
#[derive(Debug)]
pub(crate) struct Far {
    key: StaticKey,
    certificate: Vec<u8>,
    root: [u8; 32],
    /// The root that the handshake gave: keepalives keep to it.
    first: [u8; 32],
    epoch: u8,
    /// The equipment's index for the session.
    index: u32,
    counter: u64,
    handshakes: u8,
    /// How many messages of the equipment's were understood.
    heard: u32,
    registered: bool,
}

impl Far {
    /// With a key that [`Desk::anchors`] trust.
    pub(crate) fn new(certificate: &[u8]) -> Self {
        let key = StaticKey::from_secret([1; 32]);
        let certificate = certificate.to_vec();
        let (root, first, epoch, index, counter, heard) = Default::default();
        let (handshakes, registered) = (0, false);
        Self { key, certificate, root, first, epoch, index, counter, handshakes, heard, registered }
    }

    /// Another link to the same server.
    pub(crate) fn beside(&self) -> Self {
        Self { handshakes: 128, ..Self::new(&self.certificate) }
    }

    /// How many messages of the equipment's were understood.
    pub(crate) const fn heard(&self) -> u32 {
        self.heard
    }

    /// The equipment has registered in the session that stands.
    pub(crate) const fn is_registered(&self) -> bool {
        self.registered
    }

    /// It has told the equipment that it is registered, whether it had asked or not.
    pub(crate) const fn vouch(&mut self) {
        self.registered = true;
    }

    /// What a server answers to `message`; `None` when it has no word on it.
    pub(crate) fn answer(&mut self, message: &[u8], early_taken: bool) -> Option<Vec<u8>> {
        match Kind::of(message).ok()? {
            Kind::CertificateRequest => {
                let head = [Kind::Certificate as u8, 0];
                Some([&head[..], message.get(2..10)?, &self.certificate].concat())
            }
            Kind::Initiation => self.response(message, early_taken),
            Kind::Keepalive | Kind::Echo => {
                let wanted = message.get(1)? & 1 != 0;
                self.heard += 1;
                let mut counter = [0; 8];
                counter[2..].copy_from_slice(message.get(6..12)?);
                wanted.then(|| self.short(Kind::KeepaliveAnswer, 2, u64::from_be_bytes(counter)))
            }
            Kind::Resume => self.resumed(message),
            _ => None,
        }
    }

    /// As [`Far::answer`], and an honest server's word on what is in transport messages.
    pub(crate) fn serve(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        if Kind::of(message) != Ok(Kind::Transport) {
            return self.answer(message, false);
        }
        let mut bytes = message.to_vec();
        match self.read(&mut bytes) {
            Some(Body::ToServer(ToServer::Register(_))) => {
                (self.heard, self.registered) = (self.heard + 1, true);
                let observed = sa(OBSERVED);
                let answer =
                    Registered { observed: observed.into(), interval: 25, register_every: 8 };
                Some(self.says(&body(&ToEquipment::Registered(answer), 0)))
            }
            Some(_) => None,
            None => Self::hint(message),
        }
    }

    /// Opens a transport message, and follows the equipment into its session's next epoch.
    pub(crate) fn read<'d>(&mut self, message: &'d mut [u8]) -> Option<Body<'d>> {
        let steps = message.get(1)?.wrapping_sub(self.epoch);
        if steps < 8 {
            let ahead = (0..steps).fold(self.root, |root, _| hmac(&root, &[b"ratchet"]));
            if inspect::open(&LoggedRoot(ahead), &mut message.to_vec()).is_some() {
                self.root = ahead;
                self.epoch = self.epoch.wrapping_add(steps);
            }
        }
        inspect::open(&LoggedRoot(self.root), message)
    }

    fn begin(&mut self, root: [u8; 32], index: u32) {
        (self.root, self.first, self.epoch) = (root, root, 0);
        (self.index, self.counter, self.registered) = (index, 0, false);
    }

    fn response(&mut self, initiation: &[u8], early_taken: bool) -> Option<Vec<u8>> {
        self.handshakes = self.handshakes.wrapping_add(1);
        let mut state = responder(&self.key, SERVER_LINK, &[self.handshakes | 1; 32]);
        let mut noise = [0; 1_024];
        let end = initiation.len().checked_sub(INITIATION_OVERHEAD - 6)?;
        state.read_message(initiation.get(6..end)?, &mut noise).ok()?;
        let welcome = Welcome { observed: sa(OBSERVED).into(), time: 0, early_taken };
        let len = state.write_message(&body(&welcome, WELCOME_LEN), &mut noise).ok()?;
        let index = initiation.get(2..6)?;
        let mut response = vec![Kind::Response as u8, 0];
        response.extend(HANDLE.to_be_bytes());
        response.extend(index);
        response.extend(&noise[..len]);
        self.begin(root(&mut state), u32::from_be_bytes(*index.first_chunk()?));
        Some(response)
    }

    /// The equipment takes its session up again, under the root that it has kept.
    fn resumed(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let nonce = message.get(6..22).filter(|_| message.len() == RESUME_LEN)?;
        let mut server_nonce = [0x33; 16];
        server_nonce[..4].copy_from_slice(&HANDLE.to_be_bytes());
        let index = [0, 0, 0, 77];
        let mut answer = vec![Kind::Resumed as u8, 0];
        answer.extend(index);
        answer.extend(server_nonce);
        let signed = [&answer[..], nonce].concat();
        answer.extend(&hmac(&self.root, &[b"resume tag", &signed])[..16]);
        let root = hmac(&self.root, &[b"resumed", nonce, &server_nonce]);
        self.begin(root, u32::from_be_bytes(index));
        Some(answer)
    }

    /// A transport message with any body.
    pub(crate) fn says(&mut self, body: &[u8]) -> Vec<u8> {
        let key = hmac(&self.root, &[b"transport down"]);
        let mut out = vec![Kind::ServerTransport as u8, self.epoch];
        out.extend(self.index.to_be_bytes());
        out.extend(self.counter.to_be_bytes());
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.counter.to_le_bytes());
        self.counter += 1;
        let mut text = body.to_vec();
        let cipher = ChaCha20Poly1305::new(&key.into());
        let tag = cipher.encrypt_inout_detached(&Nonce::from(nonce), &out, (&mut text[..]).into());
        out.extend(text);
        out.extend(tag.expect("a short text"));
        out
    }

    /// A keepalive's answer or a challenge (whose cookie is the counter).
    pub(crate) fn short(&self, kind: Kind, status: u8, counter: u64) -> Vec<u8> {
        let mut out = vec![kind as u8, status];
        out.extend(self.index.to_be_bytes());
        out.extend(&counter.to_be_bytes()[2..]);
        let key = hmac(&self.first, &[b"keepalive down"]);
        out.extend(siphash(&key[..16], &[&out]));
        out
    }

    /// The hint that `message`'s session is not known.
    pub(crate) fn hint(message: &[u8]) -> Option<Vec<u8>> {
        let counter = match Kind::of(message).ok()? {
            Kind::Transport => message.get(8..14)?,
            _ => message.get(6..12)?,
        };
        let tag = message.last_chunk::<16>()?;
        let head = [Kind::Hint as u8, 0];
        let hint = [&head[..], message.get(2..6)?, counter, tag].concat();
        (hint.len() == KEEPALIVE_LEN).then_some(hint)
    }

    /// The demand that an Initiation be sent again with a cookie.
    pub(crate) fn cookie(&self, initiation: &[u8]) -> Option<Vec<u8>> {
        let macs = initiation.len().checked_sub(32)?;
        let mac1 = initiation.get(macs..macs + 16)?;
        let hash = Sha256::new_with_prefix(b"genkan cookie 1").chain_update(self.key.public());
        let key: [u8; 32] = hash.finalize().into();
        let (nonce, mut cookie) = ([3; 12], [4; 16]);
        let cipher = ChaCha20Poly1305::new(&key.into());
        let tag =
            cipher.encrypt_inout_detached(&Nonce::from(nonce), mac1, (&mut cookie[..]).into());
        let head = [Kind::Cookie as u8, 0];
        let index = initiation.get(2..6)?;
        let out = [&head[..], index, &nonce, &cookie, &tag.ok()?].concat();
        (out.len() == COOKIE_LEN).then_some(out)
    }
}

/// The certificate of the server's key.
pub(crate) fn certificate() -> Vec<u8> {
    use std::sync::OnceLock;

    static CERTIFICATE: OnceLock<Vec<u8>> = OnceLock::new();
    CERTIFICATE.get_or_init(|| Desk::sized(1, |_| ()).certificate).clone()
}
