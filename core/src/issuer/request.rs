//! One slot for each request and the connection that it becomes.
//!
//! ```text
//! Free ─► Asking ─► Open ─► Closing ─► Free
//!           │ refused, failed, given up
//!           └────────► Free
//! ```
//!
//! An open connection whose punched path is lost asks again, in the name of the same connection, for
//! another path.

use core::time::Duration;

use super::renewal::Candidate;
use super::{FailCause, IssuerEvent, Listener, State, Target, View};
use crate::addr::{AddressPolicy, Endpoint};
use crate::crypto::noise::{Initiator, Link as NoiseLink};
use crate::crypto::{StaticKey, mac};
use crate::entropy::Draw;
use crate::error::{RequestError, SendError};
use crate::hole::{Calling, Holed, Way, may_hear, renewal_key};
use crate::id::{ConnectionId, EquipmentId, SocketId, StreamId};
use crate::link::Transport;
use crate::machine::Command;
use crate::peer::slots::{Slot, name};
use crate::peer::{Path, Peer};
use crate::punch::Hopeless;
use crate::time::{Instant, earliest};
use crate::wire::codec::write_body;
use crate::wire::message::{ConnectRequest, Offer, WholeOffer};
use crate::wire::{OFFER_BODY, OFFER_LEN};

/// First repetition of a request over datagrams; doubles.
pub(super) const REPEAT: Duration = Duration::from_millis(500);
/// After how many times without a word from the server, not even a refusal's (REQ-7), the session that
/// stood is given up: 3.5 s.
pub(super) const SILENT: u8 = 3;
/// How long a close may take to leave.
pub(super) const LINGER: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Free,
    Asking,
    Open,
    Closing,
}

/// Memory for one request and connection of an issuer.
#[derive(Debug)]
pub struct ConnectionSlot {
    pub(super) generation: u16,
    pub(super) stage: Stage,
    pub(super) until: Option<Instant>,
    pub(super) target: EquipmentId,
    pub(super) request: u32,
    pub(super) early_tag: Option<[u8; 16]>,
    pub(super) punch_key: [u8; 16],
    pub(super) offer: [u8; OFFER_LEN],
    pub(super) initiator: Option<Initiator<OFFER_BODY>>,
    /// The request is due to be sent.
    pub(super) due: bool,
    pub(super) tries: u8,
    pub(super) repeat: Option<Instant>,
    /// It travels in a handshake's first message.
    pub(super) early: bool,
    /// The server has been reached with it, and the acceptor has accepted it.
    pub(super) asked: bool,
    pub(super) accepted: bool,
    /// A plan has come.
    pub(super) planned: bool,
    /// The server has said that there is no way, and why.
    pub(super) hopeless: Option<Hopeless>,
    /// Why it has failed, when that is known before its deadline.
    pub(super) cause: Option<FailCause>,
    pub(super) peer: Option<Peer>,
    /// The dial-back that carries the connection, or has carried it until a hole replaced it.
    pub(super) stream: Option<StreamId>,
    pub(super) way: Way,
    pub(super) calling: Calling,
    /// Where the server has seen the acceptor come from over TCP.
    pub(super) called: Option<Endpoint>,
    /// Open, and asking for another path: until when.
    pub(super) renewing: Option<Instant>,
    /// How often that was refused.
    pub(super) refusals: u8,
    /// The acceptor's early key, as far as it is known: a renewal is paired by it.
    pub(super) early_key: Option<[u8; 16]>,
    /// A punched path on which the acceptor hears us, while something else carries the connection.
    pub(super) candidate: Option<Candidate>,
}

impl ConnectionSlot {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        generation: 0,
        stage: Stage::Free,
        until: None,
        target: EquipmentId([0; 32]),
        request: 0,
        early_tag: None,
        punch_key: [0; 16],
        offer: [0; OFFER_LEN],
        initiator: None,
        due: false,
        tries: 0,
        repeat: None,
        early: false,
        asked: false,
        accepted: false,
        planned: false,
        hopeless: None,
        cause: None,
        peer: None,
        stream: None,
        way: Way::NONE,
        calling: Calling::NONE,
        called: None,
        renewing: None,
        refusals: 0,
        early_key: None,
        candidate: None,
    };

    /// Empties the slot; ids that named it are stale from now on.
    pub(super) fn free(&mut self) {
        let generation = self.generation.wrapping_add(1);
        *self = Self { generation, way: self.way.freed(), ..Self::EMPTY };
    }

    /// The first connection request, with the address that a dial-back comes to.
    pub(super) const fn connect(&self, issuer: Endpoint) -> ConnectRequest<'_> {
        ConnectRequest {
            request: self.request,
            target: self.target,
            issuer,
            early_tag: self.early_tag,
            offer: &self.offer,
        }
    }

    /// The peer, once application data may be sent.
    pub(super) fn open_peer(&mut self) -> Result<&mut Peer, SendError> {
        match self.stage {
            Stage::Open => self.peer.as_mut().ok_or(SendError::NotReady),
            Stage::Asking => Err(SendError::NotReady),
            Stage::Free | Stage::Closing => Err(SendError::UnknownConnection),
        }
    }

    /// The key of its hole: a renewal has its own.
    pub(super) fn hole_key(&self) -> [u8; 16] {
        match self.renewing {
            Some(_) => renewal_key(&self.punch_key, &self.offer),
            None => self.punch_key,
        }
    }

    /// Whether its request waits for the server or the acceptor.
    pub(super) fn is_asking(&self) -> bool {
        self.stage == Stage::Asking || self.renewing.is_some()
    }

    /// Whether TCP carries its connection.
    pub(super) fn is_over_tcp(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.path.stream().is_some())
    }

    /// When the request or connection itself has something due.
    pub(super) fn own_deadline(&self) -> Option<Instant> {
        match (self.stage, &self.peer) {
            (Stage::Open, Some(peer)) => {
                let knock = self.candidate.filter(|one| one.left > 0).map(|one| one.at);
                let renewal = match self.renewing {
                    Some(until) => earliest(self.repeat, Some(until)),
                    None => peer.lost_at(),
                };
                earliest(earliest(Some(peer.deadline()), knock), renewal)
            }
            _ => earliest(self.until, self.repeat),
        }
    }

    /// When anything is due; `now` is the machine's time.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        earliest(earliest(self.own_deadline(), self.way.deadline(now)), self.calling.deadline())
    }

    /// Whether a message that came by `path` can be this connection's: over its TCP connection, or
    /// from the address that its hole leads to, where the device may send, on a socket of this slot's.
    pub(super) fn is_of(&self, index: usize, path: &Path, policy: AddressPolicy) -> bool {
        match path {
            Path::Stream { stream, .. } => self.stream == Some(*stream),
            Path::Datagram { socket, remote } => {
                // Ours go to where its newest message came from.
                policy.permits(*remote)
                    && may_hear(index, *socket)
                    && (self.way.leads_to(*remote)
                        || self.peer.as_ref().is_some_and(|peer| peer.is_at(*remote)))
            }
        }
    }
}

impl Default for ConnectionSlot {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Holed for ConnectionSlot {
    fn way(&self) -> &Way {
        &self.way
    }

    fn way_mut(&mut self) -> &mut Way {
        &mut self.way
    }

    fn path_socket(&self) -> Option<SocketId> {
        match self.peer.as_ref()?.path {
            Path::Datagram { socket, .. } => Some(socket),
            Path::Stream { .. } => None,
        }
    }
}

impl Slot for ConnectionSlot {
    fn used(&self) -> Option<u16> {
        (self.stage != Stage::Free).then_some(self.generation)
    }

    fn generation(&self) -> u16 {
        self.generation
    }

    fn open(&self) -> Option<&Peer> {
        self.peer.as_ref().filter(|_| self.stage == Stage::Open)
    }
}

/// What an issuer that knows the early key adds to its request.
pub(crate) fn early_tag(key: &[u8; 16], request: u32, offer: &[u8]) -> [u8; 16] {
    mac::tag(key, &[&request.to_be_bytes(), offer])
}

impl State {
    /// Whether only a hole can lead to us for this request: it goes over datagrams alone.
    pub(super) fn by_hole(&self, slot: &ConnectionSlot) -> bool {
        slot.renewing.is_some() || self.listener == Listener::Failed
    }

    /// Whether a request may go over `over` now. It names the listener's port, so it waits until that
    /// is known.
    pub(super) fn may_go(&self, over: Transport, slot: &ConnectionSlot) -> bool {
        match self.by_hole(slot) {
            true => over == Transport::Datagram,
            false => matches!(self.listener, Listener::Open(_)),
        }
    }

    /// Where a dial-back comes to, for a request over `over`: the address that the server has told
    /// us and our listener's port. An issuer may choose only the port (T11). Over datagrams the
    /// server fills the address in, because it can have changed since the server told us.
    pub(super) const fn dial_back(&self, over: Transport) -> Endpoint {
        let ip = match (over, self.observed) {
            (Transport::Stream, Some(observed)) => observed,
            _ => Endpoint::UNSPECIFIED,
        };
        let port = match self.listener {
            Listener::Open(local) => local.port(),
            Listener::Closed | Listener::Asked | Listener::Failed => 0,
        };
        ip.at_port(port)
    }
}

impl View<'_> {
    pub(super) fn request(&mut self, target: &Target) -> Result<ConnectionId, RequestError> {
        let free = self.slots.iter().position(|slot| slot.stage == Stage::Free);
        let index = free.ok_or(RequestError::TableFull)?;
        self.fill(index, target)?;
        let connection = name(self.slots, index);
        let to_listen = matches!(self.state.listener, Listener::Closed | Listener::Failed);
        if to_listen {
            self.state.listener = Listener::Asked;
        }
        match (to_listen, self.state.listen) {
            (true, true) => self.state.command(Command::Listen { socket: SocketId::LISTENER }),
            (true, false) => self.bound(None),
            (false, _) => self.reach_server(),
        }
        Ok(connection)
    }

    /// Seals the offer for a new request into a slot.
    fn fill(&mut self, index: usize, target: &Target) -> Result<(), RequestError> {
        self.seal_offer(index, target)?;
        let until = self.state.now.after(self.state.deadline);
        let slot = self.slots.get_mut(index).ok_or(RequestError::TableFull)?;
        slot.target = target.id;
        slot.early_key = target.early_key;
        slot.stage = Stage::Asking;
        slot.until = Some(until);
        Ok(())
    }

    /// Seals an offer into a slot, under a new number, for whoever `target` is.
    pub(super) fn seal_offer(&mut self, index: usize, target: &Target) -> Result<(), RequestError> {
        let now = self.state.now;
        let handle = name(self.slots, index).to_handle();
        let State { hedge, equipment, candidates, .. } = &mut *self.state;
        let mut rng = Draw { source: self.entropy, hedge };
        let punch_secret = rng.secret().map_err(|_| RequestError::NoEntropy)?;
        let ephemeral = rng.secret().map_err(|_| RequestError::NoEntropy)?;
        let slot = self.slots.get_mut(index).ok_or(RequestError::TableFull)?;
        let renewal = slot.stage == Stage::Open;
        let punch_key = match renewal {
            true => {
                let ephemeral = StaticKey::from_secret(ephemeral);
                renewal_key(&slot.punch_key, ephemeral.public())
            }
            false => {
                slot.punch_key = crate::crypto::keys::half(&punch_secret);
                slot.punch_key
            }
        };
        let offer = Offer {
            index: handle,
            password: target.password,
            punch_key,
            counter: target.counter,
            time: equipment.wall_clock(now).unwrap_or(0),
            candidates: candidates.clone(),
        };
        let mut plain = [0; OFFER_BODY];
        write_body(&WholeOffer { offer, renewal }, &mut plain).ok_or(RequestError::BadTarget)?;
        let own = &equipment.key;
        let to = target.id.as_bytes();
        let initiator = Initiator::new(NoiseLink::Peer, own, to, ephemeral, &plain);
        zeroize::Zeroize::zeroize(&mut plain);
        let initiator = initiator.ok_or(RequestError::BadTarget)?;
        initiator.write(own, to, &mut slot.offer).ok_or(RequestError::BadTarget)?;
        slot.initiator = Some(initiator);
        self.state.next_request = self.state.next_request.wrapping_add(1);
        slot.request = self.state.next_request;
        slot.hopeless = None;
        slot.early_tag = target.early_key.map(|key| early_tag(&key, slot.request, &slot.offer));
        slot.due = true;
        (slot.tries, slot.repeat) = (0, None);
        Ok(())
    }

    /// All requests have come to nothing.
    pub(super) fn fail_all(&mut self, cause: FailCause) {
        let now = self.state.now;
        for slot in self.slots.iter_mut().filter(|slot| slot.stage == Stage::Asking) {
            slot.until = Some(now);
            slot.cause = Some(cause);
        }
        self.expire_slots();
    }

    /// A request has come to nothing.
    pub(super) fn fail(&mut self, index: usize, cause: FailCause) {
        let connection = name(self.slots, index);
        self.close_way(index, None);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.free();
            self.state.event(IssuerEvent::Failed { connection, cause });
        }
        self.settle();
    }
}
