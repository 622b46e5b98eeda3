//! One slot for each connection, from dialling to closing.
//!
//! ```text
//! Free ─► Parked ─► Dialling ─► Answering ─► Unconfirmed ─► Open ─► Closing ─► Free
//!            │ password try     │ TCP up     │ written      │ the issuer's first message
//!            └ being persisted  └─ path punched ─┘
//! ```
//!
//! TCP and a hole are tried side by side; the answer goes over each path that comes about, until the
//! issuer's first message confirms one. A hole that is found later still replaces TCP.
//!
//! Every stage but Free has a deadline, so nothing stays half open (threat T30).

use core::time::Duration;

use crate::addr::{AddressPolicy, Endpoint};
use crate::error::SendError;
use crate::hole::{Calling, Holed, Way, may_hear};
use crate::id::{SocketId, StreamId};
use crate::link::Transport;
use crate::peer::slots::Slot;
use crate::peer::{Path, Peer};
use crate::time::{Instant, earliest};
use crate::wire::ANSWER_LEN;
use crate::wire::message::Verdict;

/// What no server numbers a request with (NOT-1).
pub(super) const NO_REQUEST: u32 = 0;
/// How long a parked connection waits for its caller to persist the try.
pub(super) const PARK: Duration = Duration::from_secs(5);
/// How long the dial-back may take.
pub(super) const DIAL: Duration = Duration::from_secs(5);
/// How long the issuer may take to confirm.
pub(super) const CONFIRM: Duration = Duration::from_secs(5);
/// How long a close may take to leave.
pub(super) const LINGER: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Free,
    Parked,
    Dialling,
    Answering,
    Unconfirmed,
    Open,
    Closing,
}

/// Memory for one connection of an acceptor.
#[derive(Debug)]
pub struct ConnectionSlot {
    pub(super) generation: u16,
    pub(super) stage: Stage,
    pub(super) until: Option<Instant>,
    pub(super) peer: Option<Peer>,
    /// The dial-back, from its start to its end.
    pub(super) stream: Option<StreamId>,
    /// It stands, and the answer has not left on it.
    pub(super) answer_due: bool,
    pub(super) way: Way,
    pub(super) calling: Calling,
    /// The port that calls go to, at the address.
    pub(super) called: u16,
    /// The punched path that TCP carries the connection beside again: the issuer speaks over TCP
    /// until it has heard us over the hole, and closes TCP then. Until when that is waited for.
    pub(super) beside: Option<(Path, Instant)>,
    /// Open, and the issuer has asked for another path, with this key for the hole.
    pub(super) renewing: Option<[u8; 16]>,
    pub(super) punch_key: [u8; 16],
    pub(super) answer: [u8; ANSWER_LEN],
    /// The server's number for the request, [`NO_REQUEST`] when that server is gone, and the link that
    /// it came over.
    pub(super) request: u32,
    pub(super) over: Transport,
    pub(super) address: Option<Endpoint>,
    /// What to say to a parked request once the try is persisted.
    pub(super) verdict: Verdict,
    /// It came in by password.
    pub(super) by_password: bool,
}

impl ConnectionSlot {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        generation: 0,
        stage: Stage::Free,
        until: None,
        peer: None,
        stream: None,
        answer_due: false,
        way: Way::NONE,
        calling: Calling::NONE,
        called: 0,
        beside: None,
        renewing: None,
        punch_key: [0; 16],
        answer: [0; ANSWER_LEN],
        request: NO_REQUEST,
        over: Transport::Datagram,
        address: None,
        verdict: Verdict::Accepted,
        by_password: false,
    };

    /// Whether it is for the request that the server in force has given this number.
    pub(super) const fn is_for(&self, request: u32) -> bool {
        request != NO_REQUEST && self.request == request
    }

    /// Empties the slot; ids that named it are stale from now on.
    pub(super) fn free(&mut self) {
        // One by one: a whole empty slot would have to be made on the stack first.
        let Self {
            generation,
            stage,
            until,
            peer,
            stream,
            answer_due,
            way,
            beside,
            renewing,
            punch_key,
            request,
            address,
            // Whoever takes the slot writes these before they are read.
            answer: _,
            over: _,
            verdict: _,
            // They have ended before.
            calling: _,
            called: _,
            by_password: _,
        } = self;
        *generation = generation.wrapping_add(1);
        (*stage, *until) = (Stage::Free, None);
        (*peer, *stream, *answer_due) = (None, None, false);
        *way = way.freed();
        (*beside, *address, *request) = (None, None, 0);
        if let Some(key) = renewing {
            *key = [0; 16];
        }
        *renewing = None;
        *punch_key = [0; 16];
    }

    pub(super) fn enter(&mut self, stage: Stage, until: Option<Instant>) {
        self.stage = stage;
        self.until = until;
    }

    /// The peer, once it may be sent application data.
    pub(super) fn confirmed(&mut self) -> Result<&mut Peer, SendError> {
        match self.stage {
            Stage::Open => self.peer.as_mut().ok_or(SendError::NotReady),
            Stage::Closing => Err(SendError::UnknownConnection),
            _ => Err(SendError::NotReady),
        }
    }

    /// Whether a message that came by `path` can be this connection's: over its TCP connection, or
    /// from the address that its hole leads to, where the device may send, on a socket of this slot's.
    pub(super) fn is_of(&self, index: usize, path: &Path, policy: AddressPolicy) -> bool {
        match path {
            Path::Stream { stream, .. } => self.stream == Some(*stream),
            Path::Datagram { socket, remote } => {
                let beside = |(path, _): (Path, Instant)| path.remote().shares_ip(*remote);
                // Ours go to where its newest message came from.
                policy.permits(*remote)
                    && may_hear(index, *socket)
                    && (self.way.leads_to(*remote)
                        || self.beside.is_some_and(beside)
                        || self.peer.as_ref().is_some_and(|peer| peer.is_at(*remote)))
            }
        }
    }

    /// When the connection itself has something due.
    pub(super) fn own_deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open => self.peer.as_ref().map(Peer::deadline),
            _ => self.until,
        }
    }

    /// When anything is due; `now` is the machine's time.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        earliest(earliest(self.own_deadline(), self.way.deadline(now)), self.calling.deadline())
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
        match (self.peer.as_ref()?.path, self.beside) {
            (Path::Datagram { socket, .. }, _) | (_, Some((Path::Datagram { socket, .. }, _))) => {
                Some(socket)
            }
            _ => None,
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
