//! One slot for each connection, from dialling to closing.
//!
//! ```text
//! Free ─► Parked ─► Dialling ─► Answering ─► Unconfirmed ─► Open ─► Closing ─► Free
//!            │ password try     │ TCP up     │ written      │ the issuer's first message
//!            └ being persisted
//! ```
//!
//! Every stage but Free has a deadline, so nothing stays half open (threat T30).

use core::net::SocketAddr;
use core::time::Duration;

use crate::error::SendError;
use crate::id::StreamId;
use crate::link::Transport;
use crate::peer::Peer;
use crate::peer::slots::Slot;
use crate::time::Instant;
use crate::wire::ANSWER_LEN;
use crate::wire::message::Verdict;

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
    pub(super) answer: [u8; ANSWER_LEN],
    /// The server's number for the request, and the link that it came over.
    pub(super) request: u32,
    pub(super) over: Transport,
    pub(super) address: Option<SocketAddr>,
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
        answer: [0; ANSWER_LEN],
        request: 0,
        over: Transport::Datagram,
        address: None,
        verdict: Verdict::Accepted,
        by_password: false,
    };

    /// Empties the slot; ids that named it are stale from now on.
    pub(super) fn free(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::EMPTY };
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

    pub(super) fn stream(&self) -> Option<StreamId> {
        self.peer.as_ref()?.path.stream()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open => self.peer.as_ref().map(Peer::deadline),
            _ => self.until,
        }
    }
}

impl Default for ConnectionSlot {
    fn default() -> Self {
        Self::EMPTY
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
