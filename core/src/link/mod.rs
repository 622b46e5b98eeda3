//! The equipment's end of a link to the server, over datagrams or over one TCP stream.
//!
//! Issuer and acceptor both have up to two of these. A link goes through
//!
//! ```text
//! start ─► (no certificate) certificate request ─► certificate checked ─► start
//!       └► (certificate) Initiation ─► Response ─► session
//!                            └─ Cookie ─► Initiation with the cookie's MAC
//! ```
//!
//! The certificate is checked before any key information leaves (claims 7, 11). Over datagrams each
//! step is sent three times; when three Initiations stay unanswered the certificate is fetched again,
//! because the server may have a new key. A session that stands is kept until the next one does.
//! What a handshake takes most memory for lies beside the links ([`handshake`]); an acceptor has room for
//! one. What is in the session's messages is not this room's business.

pub(crate) mod equipment;
mod handshake;
mod outcome;

use core::time::Duration;

use crate::crypto::aead;
use crate::crypto::keys::{Direction, filter_key};
use crate::crypto::noise::{Initiator, Link as NoiseLink};
use crate::entropy::Draw;
use crate::error::CertificateError;
use crate::id::StreamId;
use crate::machine::Discard;
use crate::session::{Header, Session};
use crate::time::Instant;
use crate::wire::codec::{Reader, Writer, body_len, read_padded_body, write_body};
use crate::wire::message::{Hello, Welcome};
use crate::wire::{
    CERTIFICATE_REQUEST_LEN, COOKIE_LEN, HELLO_LEN, Kind, RESPONSE_LEN, TAG_LEN, WELCOME_LEN,
};
use handshake::Handshake;

pub(crate) use equipment::Equipment;
pub use equipment::{Anchors, Identity, ServerAddress};
pub use outcome::Transport;
pub(crate) use outcome::{Expiry, Progress};

/// First retransmission of a handshake step; doubles each time.
const RETRANSMIT: Duration = Duration::from_secs(1);
/// How often a handshake step is sent over datagrams.
const TRIES: u8 = 3;
/// How long each step may take over a stream.
const STREAM_STEP: Duration = Duration::from_secs(5);
/// Length of an Initiation in front of what Noise makes of it, in bytes.
const HEADER: usize = 6;
/// The longest payload of an Initiation: one with a request in it.
pub(crate) const LONGEST_HELLO: usize = 378;

#[derive(Debug)]
enum Attempt {
    None,
    /// A stream is being opened.
    Opening,
    Certificate {
        nonce: [u8; 8],
    },
    /// What of it takes memory lies at the [`Equipment`].
    Handshake {
        refetched: bool,
        /// Length of the Initiation in bytes.
        len: u16,
    },
}

/// One link, of an equipment with such places for handshakes.
#[derive(Debug)]
pub(crate) struct Link<const P: usize, const N: usize> {
    pub(crate) transport: Transport,
    /// The stream in use, for a stream link.
    pub(crate) stream: Option<StreamId>,
    pub(crate) session: Option<Session>,
    attempt: Attempt,
    tries: u8,
    refetched: bool,
    due: bool,
    deadline: Option<Instant>,
    /// Our receiver index: of the session, and of the handshake under way.
    index: u32,
    next_index: u32,
    /// A certificate has come over this very stream.
    certified: bool,
}

impl<const P: usize, const N: usize> Link<P, N> {
    pub(crate) const fn new(transport: Transport) -> Self {
        Self {
            transport,
            stream: None,
            session: None,
            attempt: Attempt::None,
            tries: 0,
            refetched: false,
            due: false,
            deadline: None,
            index: 0,
            next_index: 0,
            certified: false,
        }
    }

    /// Whether something is under way that has not come to a session yet.
    pub(crate) const fn is_trying(&self) -> bool {
        !matches!(self.attempt, Attempt::None)
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.session.is_some()
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A stream link waits for its TCP connection.
    pub(crate) fn opening(&mut self, now: Instant, stream: StreamId) {
        *self = Self::new(self.transport);
        self.stream = Some(stream);
        self.attempt = Attempt::Opening;
        self.deadline = Some(now.after(STREAM_STEP));
    }

    /// Begins a handshake, or first asks for the certificate: when none is cached, or when the
    /// equipment is to see it on each stream and has not on this one. Without a `hello`, because there is
    /// no room for a handshake yet, it begins with the certificate some seconds later.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        equipment: &mut Equipment<P, N>,
        rng: &mut Draw<'_>,
        hello: Option<&Hello<'_>>,
    ) -> Result<(), Discard> {
        let begun = self.begin(now, equipment, rng, hello);
        if begun.is_err() {
            self.stop(equipment);
        }
        begun
    }

    fn begin(
        &mut self,
        now: Instant,
        equipment: &mut Equipment<P, N>,
        rng: &mut Draw<'_>,
        hello: Option<&Hello<'_>>,
    ) -> Result<(), Discard> {
        self.tries = 0;
        self.due = hello.is_some();
        self.deadline = Some(now.after(STREAM_STEP));
        let fetch = equipment.fetch_each && self.transport == Transport::Stream && !self.certified;
        let server_key = equipment.server_key().filter(|_| !fetch);
        let (Some(server_key), Some(hello)) = (server_key, hello) else {
            let nonce = rng.public().map_err(|_| Discard::NoEntropy)?;
            self.give_up(equipment, Attempt::Certificate { nonce });
            return Ok(());
        };
        let ephemeral = rng.secret().map_err(|_| Discard::NoEntropy)?;
        let index = rng.public().map_err(|_| Discard::NoEntropy)?;
        let mut payload = [0; P];
        let payload =
            payload.get_mut(..body_len(hello).max(HELLO_LEN)).ok_or(Discard::Malformed)?;
        write_body(hello, payload).ok_or(Discard::Malformed)?;
        let initiator =
            Initiator::new(NoiseLink::Server, &equipment.key, &server_key, ephemeral, payload)
                .ok_or(Discard::BadCertificate)?;
        self.next_index = u32::from_be_bytes(index);
        let len = initiator.len().saturating_add(HEADER + 2 * TAG_LEN);
        let len = u16::try_from(len).map_err(|_| Discard::Malformed)?;
        let (mac1, cookie) = ([0; TAG_LEN], None);
        let place = equipment.handshakes.of(self.transport).ok_or(Discard::TableFull)?;
        *place = Some(Handshake { initiator, server_key, mac1, cookie });
        self.attempt = Attempt::Handshake { refetched: self.refetched, len };
        Ok(())
    }

    /// Length of the handshake message that is due.
    pub(crate) fn due(&self) -> Option<usize> {
        match (&self.attempt, self.due) {
            (Attempt::Certificate { .. }, true) => Some(CERTIFICATE_REQUEST_LEN),
            (Attempt::Handshake { len, .. }, true) => Some(usize::from(*len)),
            _ => None,
        }
    }

    /// Writes the handshake message that is due.
    pub(crate) fn encode(&self, equipment: &mut Equipment<P, N>, out: &mut [u8]) {
        match &self.attempt {
            Attempt::Certificate { nonce } => {
                let mut writer = Writer::new(out);
                writer.put(&[Kind::CertificateRequest as u8, 0]);
                writer.put(nonce);
                writer.zeros();
            }
            Attempt::Handshake { .. } => {
                let Equipment { key, handshakes, .. } = equipment;
                let Some(handshake) = handshakes.get(self.transport) else { return };
                let len = handshake.initiator.len().saturating_add(HEADER);
                let Some((message, macs)) = out.split_at_mut_checked(len) else { return };
                let Some((header, noise)) = message.split_first_chunk_mut::<HEADER>() else {
                    return;
                };
                let mut writer = Writer::new(header);
                writer.put(&[Kind::Initiation as u8, 0]);
                writer.put(&self.next_index.to_be_bytes());
                let _as_long_as_it_says =
                    handshake.initiator.write(key, &handshake.server_key, noise);
                handshake.finish(message, macs);
            }
            Attempt::None | Attempt::Opening => {}
        }
    }

    /// The handshake message has left.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.due = false;
        self.tries = self.tries.saturating_add(1);
        let wait = match self.transport {
            Transport::Datagram => {
                RETRANSMIT.saturating_mul(1 << self.tries.saturating_sub(1).min(4))
            }
            Transport::Stream => STREAM_STEP,
        };
        self.deadline = Some(now.after(wait));
    }

    /// The deadline may have passed.
    pub(crate) fn expire(
        &mut self,
        now: Instant,
        equipment: &mut Equipment<P, N>,
        rng: &mut Draw<'_>,
    ) -> Expiry {
        if self.deadline.is_none_or(|deadline| now < deadline) || !self.is_trying() {
            return Expiry::Pending;
        }
        if self.transport == Transport::Datagram && self.tries < TRIES {
            self.due = true;
            self.deadline = None;
            return Expiry::Pending;
        }
        // Once more from the certificate on: the server may have a new key.
        let again = match self.attempt {
            Attempt::Handshake { refetched, .. } => !refetched,
            Attempt::Certificate { .. } => !self.refetched,
            Attempt::None | Attempt::Opening => false,
        };
        match (self.transport, rng.public()) {
            (Transport::Datagram, Ok(nonce)) if again => {
                self.give_up(equipment, Attempt::Certificate { nonce });
                self.refetched = true;
                self.tries = 0;
                self.due = true;
                self.deadline = None;
                Expiry::Unanswered
            }
            _ => {
                self.stop(equipment);
                Expiry::Failed
            }
        }
    }

    /// A Certificate, Response or Cookie arrived from the server's address or stream.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        kind: Kind,
        message: &[u8],
        equipment: &mut Equipment<P, N>,
    ) -> Result<Progress, Discard> {
        match kind {
            Kind::Certificate => self.certificate(now, message, equipment),
            Kind::Response => self.response(now, message, equipment),
            Kind::Cookie => self.take_cookie(message, equipment),
            _ => Err(Discard::UnknownKind),
        }
    }

    // What the three take on the stack is large, and not to lie beneath what follows from them.

    #[inline(never)]
    fn certificate(
        &mut self,
        now: Instant,
        message: &[u8],
        equipment: &mut Equipment<P, N>,
    ) -> Result<Progress, Discard> {
        let mut reader = Reader(message.get(2..).ok_or(Discard::Malformed)?);
        let theirs: [u8; 8] = reader.array().ok_or(Discard::Malformed)?;
        match self.attempt {
            Attempt::Certificate { nonce } if nonce == theirs => {}
            Attempt::Certificate { .. } => return Err(Discard::Unauthentic),
            _ => return Err(Discard::Unexpected),
        }
        equipment.take_certificate(now, reader.0).map_err(|error| match error {
            CertificateError::Malformed => Discard::Malformed,
            _ => Discard::BadCertificate,
        })?;
        self.certified = true;
        Ok(Progress::Certified)
    }

    #[inline(never)]
    fn response(
        &mut self,
        now: Instant,
        message: &[u8],
        equipment: &mut Equipment<P, N>,
    ) -> Result<Progress, Discard> {
        if !self.is_shaking() {
            return Err(Discard::Unexpected);
        }
        let Equipment { key, handshakes, .. } = equipment;
        let handshake = handshakes.get(self.transport).ok_or(Discard::Unexpected)?;
        if message.len() != RESPONSE_LEN {
            return Err(Discard::Malformed);
        }
        let mut reader = Reader(message.get(2..).ok_or(Discard::Malformed)?);
        let peer_index = reader.u32().ok_or(Discard::Malformed)?;
        if reader.u32() != Some(self.next_index) {
            return Err(Discard::UnknownSession);
        }
        let mut payload = [0; WELCOME_LEN];
        let root = handshake
            .initiator
            .finish(key, &handshake.server_key, reader.0, &mut payload)
            .ok_or(Discard::Unauthentic)?;
        let welcome = read_padded_body::<Welcome>(&payload).ok_or(Discard::Malformed)?;
        self.stop(equipment);
        self.index = self.next_index;
        self.session = Some(Session::new(now, root, Direction::Up, peer_index));
        Ok(Progress::Up(welcome))
    }

    #[inline(never)]
    fn take_cookie(
        &mut self,
        message: &[u8],
        equipment: &mut Equipment<P, N>,
    ) -> Result<Progress, Discard> {
        if message.len() != COOKIE_LEN {
            return Err(Discard::Malformed);
        }
        let mut reader = Reader(message.get(2..).ok_or(Discard::Malformed)?);
        if !self.is_shaking() || reader.u32() != Some(self.next_index) {
            return Err(Discard::UnknownSession);
        }
        let nonce: [u8; 12] = reader.array().ok_or(Discard::Malformed)?;
        let mut cookie: [u8; TAG_LEN] = reader.array().ok_or(Discard::Malformed)?;
        let tag = reader.array().ok_or(Discard::Malformed)?;
        let handshake = equipment.handshakes.get(self.transport).ok_or(Discard::Unexpected)?;
        let key = filter_key(b"genkan cookie 1", &handshake.server_key);
        if !aead::open_with(&key, nonce.into(), &handshake.mac1, &mut cookie, &tag) {
            return Err(Discard::Unauthentic);
        }
        // Only one free retransmission: a server that only ever sends cookies gets three messages.
        if handshake.cookie.replace(cookie).is_none() {
            self.due = true;
        }
        Ok(Progress::Waiting)
    }

    /// Opens a transport message of the session.
    pub(crate) fn open<'d>(
        &mut self,
        now: Instant,
        message: &'d mut [u8],
    ) -> Result<&'d mut [u8], Discard> {
        let header = Header::parse(Kind::ServerTransport, message).ok_or(Discard::Malformed)?;
        let index = self.index;
        match &mut self.session {
            Some(session) if header.receiver == index => session.open(now, header, message),
            _ => Err(Discard::UnknownSession),
        }
    }

    /// Our receiver index of the session that stands.
    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    /// A session that was resumed rather than shaken hands for.
    pub(crate) fn adopt(&mut self, equipment: &mut Equipment<P, N>, index: u32, session: Session) {
        self.stop(equipment);
        self.index = index;
        self.session = Some(session);
    }
}
