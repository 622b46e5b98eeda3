//! Handshakes at the server: certificates, Noise responses, cookies and resumption.
//!
//! In this order, cheapest first: length, the filter MAC (mac1), the load limit or a valid cookie
//! (mac2), the source's own limit, and only then the four Diffie-Hellman operations (threat T7).

use core::time::Duration;

use super::outbound::{Out, Reply};
use super::pending::Pending;
use super::requests::Via;
use super::{ServerEvent, State, View};
use crate::addr::Endpoint;
use crate::crypto::keys::{Root, filter_key, fingerprint, mac1_key};
use crate::crypto::noise::{Link, Responder};
use crate::crypto::{StaticKey, aead, mac};
use crate::entropy::Draw;
use crate::id::EquipmentId;
use crate::limit::Rate;
use crate::machine::Discard;
use crate::wire::codec::{Reader, Writer, read_padded_body, write_body};
use crate::wire::message::{Hello, Role, Welcome};
use crate::wire::{
    CERTIFICATE_REQUEST_LEN, COOKIE_LEN, HELLO_LEN, IK1_OVERHEAD, INITIATION_OVERHEAD, Kind,
    MAX_BODY, RESPONSE_LEN, TAG_LEN, WELCOME_LEN,
};

/// How long a cookie secret is used; a cookie is good for one to two of these.
pub(super) const SECRET_LIFE: Duration = Duration::from_secs(120);
/// A request in a first message must carry the present time to within so many seconds.
const CLOCK_SLACK: u64 = 60;
/// How long ephemeral keys of such requests are remembered.
const EPHEMERAL_LIFE: Duration = Duration::from_secs(120);
/// Unauthenticated work for one source: handshakes, certificates, hints.
const PER_SOURCE: Rate = Rate::new(64, 50);

/// A static key with what is derived from its public half.
#[derive(Debug)]
pub(super) struct Keys {
    key: StaticKey,
    mac1: [u8; 16],
    cookie: [u8; 32],
}

impl Keys {
    pub(super) fn new(key: StaticKey) -> Self {
        let mac1 = mac1_key(key.public());
        let cookie = filter_key(b"genkan cookie 1", key.public());
        Self { key, mac1, cookie }
    }
}

/// A handshake that was answered.
pub(super) struct Answered {
    pub(super) response: [u8; RESPONSE_LEN],
    pub(super) root: Root,
    pub(super) peer_index: u32,
}

/// An Initiation taken apart.
struct Initiation<'m> {
    sender: u32,
    noise: &'m [u8],
    /// Everything that mac1 covers.
    covered: &'m [u8],
    mac1: [u8; TAG_LEN],
    mac2: [u8; TAG_LEN],
}

fn parse(message: &[u8]) -> Option<Initiation<'_>> {
    let noise_len = message.len().checked_sub(INITIATION_OVERHEAD)?;
    let min = IK1_OVERHEAD.saturating_add(HELLO_LEN);
    if !(min..=IK1_OVERHEAD.saturating_add(MAX_BODY)).contains(&noise_len) {
        return None;
    }
    let covered = message.get(..noise_len.checked_add(6)?)?;
    let mut reader = Reader(message.get(2..)?);
    let sender = reader.u32()?;
    let noise = reader.slice(noise_len)?;
    Some(Initiation { sender, noise, covered, mac1: reader.array()?, mac2: reader.array()? })
}

impl View<'_> {
    /// Whether unauthenticated work for this source is still within its limit.
    pub(super) fn source_allowed(&mut self, remote: Endpoint) -> Result<(), Discard> {
        self.within_limit(remote, false)
    }

    /// As `source_allowed`, for a source that has shown its address to be its own. These have
    /// buckets that no flood of made-up addresses empties (threat T7).
    pub(super) fn proven_allowed(&mut self, remote: Endpoint) -> Result<(), Discard> {
        self.within_limit(remote, true)
    }

    fn within_limit(&mut self, remote: Endpoint, proven: bool) -> Result<(), Discard> {
        let [.., secret] = &self.state.secrets;
        let hash = mac::hash(secret, &[&mac::source(remote)]);
        let len = u64::try_from(super::SOURCES).unwrap_or(1).max(1);
        let at = usize::try_from(hash.checked_rem(len).unwrap_or(0)).unwrap_or(0);
        let now = self.state.now;
        let [unproven, own] = &mut self.state.sources;
        let buckets = if proven { own } else { unproven };
        let bucket = buckets.get_mut(at).ok_or(Discard::RateLimited)?;
        if bucket.take(now, PER_SOURCE) { Ok(()) } else { Err(Discard::RateLimited) }
    }

    /// A request for the certificate over datagrams.
    pub(super) fn certificate_request(
        &mut self,
        remote: Endpoint,
        message: &[u8],
    ) -> Result<(), Discard> {
        let nonce = certificate_nonce(message)?;
        self.source_allowed(remote)?;
        self.state.send(Out::Reply(remote, Reply::Certificate(nonce)));
        Ok(())
    }

    /// An Initiation over datagrams.
    pub(super) fn initiation(&mut self, remote: Endpoint, message: &[u8]) -> Result<(), Discard> {
        let initiation = parse(message).ok_or(Discard::Malformed)?;
        let keys = self.filter(&initiation)?;
        let now = self.state.now;
        // Also when answered handshakes pile up: new ones would push them out before their first word.
        let loaded = !self.state.handshakes.take(now, self.state.config.handshakes)
            || self.state.pending.len() >= super::PENDING / 2;
        if self.proven(remote, &initiation) {
            self.proven_allowed(remote)?;
        } else if loaded || self.source_allowed(remote).is_err() {
            return self.demand_cookie(remote, keys, &initiation);
        }
        let mut plain = [0; MAX_BODY];
        let (responder, who, hello) = self.read(keys, &initiation, &mut plain)?;
        let index = self.slot_for(&who, hello.role)?;
        let handle = self.state.index.offer(self.clients, index).ok_or(Discard::TableFull)?;
        let early_taken = self.take_early(index, &who, remote, &hello, &initiation, loaded);
        let answered = self.respond(responder, handle, initiation.sender, remote, early_taken)?;
        let Answered { response, root, peer_index } = answered;
        self.expect(Pending { handle, root, peer_index, remote, created: now });
        self.state.send(Out::Reply(remote, Reply::Response(response)));
        Ok(())
    }

    /// Which of the server's keys the initiator addressed, by mac1.
    fn filter(&self, initiation: &Initiation<'_>) -> Result<usize, Discard> {
        let fits = |keys: &Option<Keys>| {
            keys.as_ref().is_some_and(|keys| {
                let mac1 = mac::tag(&keys.mac1, &[initiation.covered]);
                crate::crypto::equal(&mac1, &initiation.mac1)
            })
        };
        self.state.keys.iter().position(fits).ok_or(Discard::Unauthentic)
    }

    fn cookie(&self, secret: usize, remote: Endpoint) -> [u8; TAG_LEN] {
        let secret = self.state.secrets.get(secret).copied().unwrap_or_default();
        mac::tag(&secret, &[b"cookie", &remote.bytes()])
    }

    /// Whether the Initiation carries a cookie that this source was given.
    fn proven(&self, remote: Endpoint, initiation: &Initiation<'_>) -> bool {
        [0, 1].into_iter().any(|secret| {
            let cookie = self.cookie(secret, remote);
            let mac2 = mac::tag(&cookie, &[initiation.covered, &initiation.mac1]);
            crate::crypto::equal(&mac2, &initiation.mac2)
        })
    }

    fn demand_cookie(
        &mut self,
        remote: Endpoint,
        keys: usize,
        initiation: &Initiation<'_>,
    ) -> Result<(), Discard> {
        let nonce: [u8; 12] = self.draw().public().map_err(|_| Discard::NoEntropy)?;
        let mut cookie = self.cookie(0, remote);
        let key = self.state.keys.get(keys).and_then(Option::as_ref).ok_or(Discard::Unauthentic)?;
        let tag = aead::seal_with(&key.cookie, nonce.into(), &initiation.mac1, &mut cookie);
        let mut message = [0; COOKIE_LEN];
        let mut writer = Writer::new(&mut message);
        writer.put(&[Kind::Cookie as u8, 0]);
        writer.put(&initiation.sender.to_be_bytes());
        writer.put(&nonce);
        writer.put(&cookie);
        writer.put(&tag);
        self.state.send(Out::Reply(remote, Reply::Cookie(message)));
        Err(Discard::RateLimited)
    }

    /// Reads Noise message 1.
    fn read<'p>(
        &mut self,
        keys: usize,
        initiation: &Initiation<'_>,
        plain: &'p mut [u8; MAX_BODY],
    ) -> Result<(Responder, EquipmentId, Hello<'p>), Discard> {
        let len = initiation.noise.len().checked_sub(IK1_OVERHEAD).ok_or(Discard::Malformed)?;
        let plain = plain.get_mut(..len).ok_or(Discard::Malformed)?;
        let State { hedge, keys: own, .. } = &mut *self.state;
        let mut rng = Draw { source: self.entropy, hedge };
        let ephemeral = rng.secret().map_err(|_| Discard::NoEntropy)?;
        let own = own.get(keys).and_then(Option::as_ref).ok_or(Discard::Unauthentic)?;
        let mut responder = Responder::new(Link::Server, &own.key, ephemeral);
        let who = responder.read(initiation.noise, plain).ok_or(Discard::Unauthentic)?;
        // What the arithmetic was in vain for is one kind of thing to whoever bounds it.
        let hello = read_padded_body::<Hello<'p>>(plain).ok_or(Discard::Unauthentic)?;
        Ok((responder, EquipmentId(who), hello))
    }

    /// The slot of an equipment, or a free one.
    fn slot_for(&mut self, who: &EquipmentId, role: Role) -> Result<usize, Discard> {
        if let Some(at) = self.state.index.find(self.clients, who, role) {
            return Ok(at);
        }
        match self.state.index.insert(self.clients, who, role) {
            Some(at) => {
                let expires = self.state.seconds().wrapping_add(20);
                if let Some(slot) = self.clients.get_mut(at) {
                    slot.expires = expires;
                }
                self.start_sweep();
                Ok(at)
            }
            None => {
                self.state.event(ServerEvent::Full);
                Err(Discard::TableFull)
            }
        }
    }

    /// Takes a request that came in message 1, if it is fresh.
    fn take_early(
        &mut self,
        index: usize,
        who: &EquipmentId,
        remote: Endpoint,
        hello: &Hello<'_>,
        initiation: &Initiation<'_>,
        loaded: bool,
    ) -> bool {
        let (Some(request), Role::Issuer, false) = (&hello.early, hello.role, loaded) else {
            return false;
        };
        let clock = self.state.wall_clock();
        if clock == 0 || hello.time.abs_diff(clock) > CLOCK_SLACK {
            return false;
        }
        let now = self.state.now;
        while let Some((_, at)) = self.state.ephemerals.front()
            && now.since(*at) >= EPHEMERAL_LIFE
        {
            self.state.ephemerals.pop_front();
        }
        let print = initiation.noise.get(..32).map_or([0; 16], fingerprint);
        let [a, b, c, d, e, f, g, h, ..] = print;
        let print = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        if self.state.ephemerals.iter().any(|(seen, _)| *seen == print) {
            // The same message again: its request was taken then, if it still stands.
            return self.knows_request(who, request.request);
        }
        if self.state.ephemerals.push_back((print, now)).is_err() {
            return false;
        }
        self.connect(Via::Client(index), who, remote, request).is_ok()
    }

    /// Writes Noise message 2 with the welcome.
    pub(super) fn respond(
        &mut self,
        mut responder: Responder,
        handle: u32,
        peer_index: u32,
        remote: Endpoint,
        early_taken: bool,
    ) -> Result<Answered, Discard> {
        let welcome = Welcome { observed: remote, time: self.state.wall_clock(), early_taken };
        let mut payload = [0; WELCOME_LEN];
        write_body(&welcome, &mut payload).ok_or(Discard::Malformed)?;
        let mut response = [0; RESPONSE_LEN];
        let (head, noise) = response.split_at_mut_checked(10).ok_or(Discard::Malformed)?;
        let mut writer = Writer::new(head);
        writer.put(&[Kind::Response as u8, 0]);
        writer.put(&handle.to_be_bytes());
        writer.put(&peer_index.to_be_bytes());
        let root = responder.answer(&payload, noise).ok_or(Discard::Unauthentic)?;
        Ok(Answered { response, root, peer_index })
    }

    /// An Initiation over a stream: the address is proven, so no cookie is asked for.
    pub(super) fn stream_handshake(
        &mut self,
        remote: Endpoint,
        message: &[u8],
    ) -> Result<(Answered, EquipmentId, Role), Discard> {
        let initiation = parse(message).ok_or(Discard::Malformed)?;
        let keys = self.filter(&initiation)?;
        self.proven_allowed(remote)?;
        let mut plain = [0; MAX_BODY];
        let (responder, who, hello) = self.read(keys, &initiation, &mut plain)?;
        let role = hello.role;
        let answered = self.respond(responder, 0, initiation.sender, remote, false)?;
        Ok((answered, who, role))
    }
}

/// The nonce of a certificate request.
pub(super) fn certificate_nonce(message: &[u8]) -> Result<[u8; 8], Discard> {
    let (head, padding) = message.split_at_checked(10).ok_or(Discard::Malformed)?;
    let padded = message.len() == CERTIFICATE_REQUEST_LEN && padding.iter().all(|&byte| byte == 0);
    let nonce = head.last_chunk::<8>().filter(|_| padded);
    nonce.copied().ok_or(Discard::Malformed)
}
