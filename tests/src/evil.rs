//! Equipment that keeps to no rule, written without the core's own cryptography.
//!
//! The core cannot be made to write a wrong message, so attackers need hands of their own. These
//! here hold real keys: an [`Evil`] shakes hands with a server by an independent implementation of
//! Noise (snow) and then says whatever it likes. That the server understands it at all is at the
//! same time the proof that our handshake is `Noise_IK_25519_ChaChaPoly_SHA256` and nothing else.
//! A [`Desk`] is a server without a network, to be spoken to from any address.

use core::hash::Hasher;
use core::net::SocketAddr;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::wire::message::{ConnectRequest, Hello, Offer, Role, ToServer, Welcome};
use genkan_core::wire::{HELLO_LEN, Kind, OFFER_BODY, OFFER_LEN};
use genkan_core::{
    Anchors, ClientSlot, EquipmentId, Instant, MAX_DATAGRAM, Machine, Received, RequestSlot,
    Server, ServerConfig, SocketId, StaticKey, StreamSlot,
};
use genkan_sim::{Rng, SimEntropy};
use serde::Serialize;
use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher24};

/// Noise as both links use it.
pub const NOISE: &str = "Noise_IK_25519_ChaChaPoly_SHA256";
/// The prologue of the link between equipment and server.
pub const SERVER_LINK: &[u8] = b"genkan 1 server link";
/// The prologue of the link between issuer and acceptor.
pub const PEER_LINK: &[u8] = b"genkan 1 peer link";
/// Seconds since 1970 at which the [`Desk`]'s server starts.
pub const WALL: u64 = 1_767_225_600;

/// HMAC-SHA256 (RFC 2104) of the concatenated parts.
#[must_use]
pub fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(out, key)| *out ^= key);
        Sha256::new_with_prefix(block)
    };
    let mut inner = pad(0x36);
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = pad(0x5c);
    outer.update(inner.finalize());
    outer.finalize().into()
}

/// SipHash-2-4-128 of the concatenated parts.
#[must_use]
pub fn siphash(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(key.first_chunk().expect("sixteen bytes"));
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish128().as_bytes()
}

/// A body in postcard, padded with zeros to at least `len` bytes.
#[must_use]
pub fn body<T: Serialize>(value: &T, len: usize) -> Vec<u8> {
    let mut out = [0; 1_024];
    let used = postcard::to_slice(value, &mut out).expect("a body fits").len();
    out[..used.max(len)].to_vec()
}

/// The address in a text.
#[must_use]
pub fn sa(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn builder<'a>(key: &'a StaticKey, prologue: &'a [u8]) -> snow::Builder<'a> {
    let builder = snow::Builder::new(NOISE.parse().expect("a pattern"));
    let builder = builder.prologue(prologue).expect("a prologue");
    builder.local_private_key(key.secret()).expect("a key")
}

/// An initiator of snow's for one of the two links.
#[must_use]
pub fn initiator(
    key: &StaticKey,
    to: &[u8; 32],
    prologue: &[u8],
    ephemeral: &[u8; 32],
) -> snow::HandshakeState {
    let builder = builder(key, prologue).remote_public_key(to).expect("a key");
    let builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
    builder.build_initiator().expect("an initiator")
}

/// A responder of snow's for one of the two links.
#[must_use]
pub fn responder(key: &StaticKey, prologue: &[u8], ephemeral: &[u8; 32]) -> snow::HandshakeState {
    let builder = builder(key, prologue).fixed_ephemeral_key_for_testing_only(ephemeral);
    builder.build_responder().expect("a responder")
}

/// The root of a completed handshake, as PROTOCOL.md derives it.
#[must_use]
pub fn root(state: &mut snow::HandshakeState) -> [u8; 32] {
    let transcript: [u8; 32] = state.get_handshake_hash().try_into().expect("a hash");
    let (up, down) = state.dangerously_get_raw_split();
    hmac(&up, &[b"genkan root 1", &down, &transcript])
}

/// Seals a transport message.
#[must_use]
pub fn seal(key: &[u8; 32], kind: Kind, handle: u32, counter: u64, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind as u8, 0];
    out.extend(handle.to_be_bytes());
    out.extend(counter.to_be_bytes());
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    let mut text = body.to_vec();
    let cipher = ChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(&Nonce::from(nonce), &out, (&mut text[..]).into());
    out.extend(text);
    out.extend(tag.expect("a short text"));
    out
}

/// Equipment with a real key and no manners.
#[derive(Debug)]
pub struct Evil {
    /// Its key.
    pub key: StaticKey,
    server: [u8; 32],
    index: u32,
    handshakes: u8,
    state: Option<Box<snow::HandshakeState>>,
    /// The session's root, once one stands.
    pub root: [u8; 32],
    /// The server's handle for it.
    pub handle: u32,
    /// The counter of the next message.
    pub counter: u64,
}

impl Evil {
    /// Equipment with this secret that knows the server's public key.
    #[must_use]
    pub fn new(secret: u8, server: &[u8; 32]) -> Self {
        Self {
            key: StaticKey::from_secret([secret; 32]),
            server: *server,
            index: 0x1000_0000 | u32::from(secret),
            handshakes: 0,
            state: None,
            root: [0; 32],
            handle: 0,
            counter: 0,
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> EquipmentId {
        self.key.id()
    }

    /// An Initiation with this payload.
    pub fn initiation(&mut self, hello: &Hello<'_>) -> Vec<u8> {
        self.handshakes += 1;
        let mut ephemeral = [self.handshakes; 32];
        ephemeral[..16].copy_from_slice(&self.key.public()[..16]);
        let mut state = initiator(&self.key, &self.server, SERVER_LINK, &ephemeral);
        let mut noise = [0; 1_024];
        let len = state.write_message(&body(hello, HELLO_LEN), &mut noise).expect("room");
        let mut out = vec![Kind::Initiation as u8, 0];
        out.extend(self.index.to_be_bytes());
        out.extend(&noise[..len]);
        let key = Sha256::new_with_prefix(b"genkan mac1 1").chain_update(self.server).finalize();
        out.extend(siphash(&key[..16], &[&out]));
        out.extend([0; 16]);
        self.state = Some(Box::new(state));
        out
    }

    /// An Initiation of a role without a request.
    pub fn hello(&mut self, role: Role) -> Vec<u8> {
        self.initiation(&Hello { role, time: WALL, early: None })
    }

    /// Takes the Response; the server's word of welcome.
    pub fn finish(&mut self, response: &[u8]) -> Welcome {
        assert_eq!((response[0], response[1]), (Kind::Response as u8, 0));
        self.handle = u32::from_be_bytes(*response[2..].first_chunk().expect("a handle"));
        assert_eq!(response[6..10], self.index.to_be_bytes());
        let mut state = self.state.take().expect("a handshake is under way");
        let mut plain = [0; 1_024];
        let len = state.read_message(&response[10..], &mut plain).expect("a good Response");
        self.root = root(&mut state);
        self.counter = 0;
        postcard::take_from_bytes(&plain[..len]).expect("a welcome").0
    }

    /// A transport message with any body.
    pub fn raw(&mut self, body: &[u8]) -> Vec<u8> {
        let key = hmac(&self.root, &[b"transport up  "]);
        let counter = self.counter;
        self.counter += 1;
        seal(&key, Kind::Transport, self.handle, counter, body)
    }

    /// A transport message.
    pub fn transport(&mut self, message: &ToServer<'_>) -> Vec<u8> {
        self.raw(&body(message, 0))
    }

    /// A keepalive that wants an answer, or an echo of a challenge's cookie.
    pub fn keepalive(&mut self, cookie: Option<&[u8]>) -> Vec<u8> {
        let kind = if cookie.is_some() { Kind::Echo } else { Kind::Keepalive };
        let mut out = vec![kind as u8, 1];
        out.extend(self.handle.to_be_bytes());
        out.extend(&self.counter.to_be_bytes()[2..]);
        self.counter += 1;
        out.extend(cookie.unwrap_or_default());
        let key = hmac(&self.root, &[b"keepalive up  "]);
        out.extend(siphash(&key[..16], &[&out]));
        out
    }

    /// A sealed offer to an acceptor.
    #[must_use]
    pub fn offer(&self, target: &EquipmentId, offer: &Offer, ephemeral: u8) -> [u8; OFFER_LEN] {
        let mut state = initiator(&self.key, &target.0, PEER_LINK, &[ephemeral; 32]);
        let mut out = [0; OFFER_LEN];
        let len = state.write_message(&body(offer, OFFER_BODY), &mut out).expect("room");
        assert_eq!(len, OFFER_LEN);
        out
    }

    /// A request for an acceptor.
    #[must_use]
    pub fn request(
        number: u32,
        target: EquipmentId,
        issuer: SocketAddr,
        offer: &[u8; OFFER_LEN],
    ) -> ConnectRequest<'_> {
        ConnectRequest { request: number, target, issuer: issuer.into(), early_tag: None, offer }
    }
}

/// An offer with this password information and everything else plain.
#[must_use]
pub fn plain_offer(password: Option<[u8; 32]>) -> Offer {
    let candidates = heapless::Vec::new();
    Offer { index: 7, password, punch_key: [9; 16], counter: 0, time: 0, candidates }
}

/// A server of the kind that a [`Desk`] has.
pub type DeskServer = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, SimEntropy>;

/// Datagrams with their destinations.
pub type Sent = Vec<(SocketAddr, Vec<u8>)>;

/// A server without a network.
#[derive(Debug)]
pub struct Desk {
    /// The server.
    pub server: DeskServer,
    /// Its key.
    pub key: StaticKey,
    /// The time.
    pub now: Instant,
    /// The certificate.
    pub certificate: Vec<u8>,
}

/// The desk's authority.
const AUTHORITY: [u8; 32] = [9; 32];

impl Default for Desk {
    fn default() -> Self {
        Self::new(|_| ())
    }
}

impl Desk {
    /// A server with eight slots of each kind, its settings changed by `adjust`.
    #[must_use]
    pub fn new(adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::sized(8, adjust)
    }

    /// A server with so many slots of each kind.
    #[must_use]
    pub fn sized(slots: usize, adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::seeded(1, slots, adjust)
    }

    /// The same server after a restart, which finds its list empty and draws other numbers.
    #[must_use]
    pub fn restarted() -> Self {
        Self::seeded(2, 8, |_| ())
    }

    /// A server with so many slots of each kind, which draws its numbers from `seed`.
    #[must_use]
    pub fn seeded(seed: u64, slots: usize, adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let now = Instant::from_millis(1_000_000);
        let key = StaticKey::from_secret([1; 32]);
        let subject = Subject {
            server_key: *key.public(),
            serial: 1,
            not_before: WALL - 86_400,
            not_after: WALL + 86_400 * 400,
            names: "server.example",
        };
        let mut certificate = [0; MAX_CERTIFICATE];
        let len = Certificate::issue(&AUTHORITY, &subject, &mut certificate).expect("good");
        let stored = heapless::Vec::from_slice(&certificate[..len]).expect("room");
        let mut config = ServerConfig::new(key.clone(), stored);
        config.wall_clock = WALL;
        adjust(&mut config);
        let server = Server::new(
            now,
            config,
            core::iter::repeat_with(|| ClientSlot::EMPTY).take(slots).collect(),
            core::iter::repeat_with(|| RequestSlot::EMPTY).take(slots).collect(),
            core::iter::repeat_with(|| StreamSlot::EMPTY).take(slots).collect(),
            SimEntropy::seeded(seed),
        );
        let certificate = certificate[..len].to_vec();
        Self { server: server.expect("a good server"), key, now, certificate }
    }

    /// Whom its equipment trusts.
    #[must_use]
    pub fn anchors() -> Anchors {
        let authorities =
            heapless::Vec::from_slice(&[authority_public(&AUTHORITY)]).expect("room for one");
        Anchors { authorities, floor: WALL, ..Anchors::default() }
    }

    /// A datagram from an address: what the server made of it, and what it sends now.
    pub fn tell(&mut self, from: SocketAddr, bytes: &[u8]) -> (Received<'static>, Sent) {
        let mut bytes = bytes.to_vec();
        let received = match self.server.handle_datagram(self.now, SocketId::MAIN, from, &mut bytes)
        {
            Received::Discarded(reason) => Received::Discarded(reason),
            _ => Received::Control,
        };
        (received, self.drain())
    }

    /// Time passes; what the server sends then.
    pub fn pass(&mut self, time: core::time::Duration) -> Sent {
        let end = self.now.after(time);
        let mut sent = Vec::new();
        while let Some(wakeup) = self.server.poll_timeout().filter(|wakeup| wakeup.at <= end) {
            assert!(wakeup.at > self.now, "drained, yet due: {wakeup:?}");
            self.now = wakeup.at;
            self.server.handle_timeout(self.now);
            sent.extend(self.drain());
        }
        self.now = end;
        sent
    }

    /// What the server sends now.
    pub fn drain(&mut self) -> Sent {
        drain(&mut self.server, self.now)
    }

    /// Shakes hands with `evil` at `from` and confirms.
    pub fn admit(&mut self, evil: &mut Evil, role: Role, from: SocketAddr) {
        let (received, sent) = self.tell(from, &evil.hello(role));
        assert_eq!((received, sent.len()), (Received::Control, 1));
        evil.finish(&sent[0].1);
        let first = evil.transport(&ToServer::Confirm);
        assert_eq!(self.tell(from, &first), (Received::Control, vec![]));
    }
}

/// All datagrams that a machine has to send.
pub fn drain<M: Machine>(machine: &mut M, now: Instant) -> Sent {
    let mut sent = Vec::new();
    while let Some(mut tx) = machine.poll_transmit(now) {
        let mut buf = [0; MAX_DATAGRAM];
        let len = tx.encode(&mut buf).expect("room");
        sent.push((tx.remote(), buf[..len].to_vec()));
        tx.commit();
        assert!(sent.len() < 1_000, "a drain must end");
    }
    sent
}

/// Bytes that nobody meant.
#[must_use]
pub fn garbage(rng: &mut Rng, longest: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.index(longest) + 1];
    rng.fill(&mut bytes);
    // Half of it at least begins as a message does.
    if rng.below(2) == 0 {
        bytes[0] = Kind::ALL[rng.index(Kind::ALL.len())] as u8;
    }
    bytes
}
