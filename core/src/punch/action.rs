//! What an attempt asks of whoever owns the sockets, and within which limits.

use super::burst::Moment;
use crate::nat::ServerEnd;

/// What an end is willing to send in one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Budget {
    /// Packets to the peer, answers not counted.
    pub packets: u16,
    /// Fresh sockets that may be open at once.
    pub sockets: u8,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// Close what sockets have these numbers and open new ones, bound to consecutive ports where
    /// that can be. Report the first one's port with [`Attempt::handle_opened`](super::Attempt::handle_opened).
    Open {
        /// The first one's number, at least 1.
        first: u8,
        /// How many.
        count: u8,
    },
    /// A detection packet to the server.
    Detect {
        /// From this socket; 0 is the registered one.
        socket: u8,
        /// To this end.
        server: ServerEnd,
        /// The burst's round.
        round: u8,
        /// When in it.
        moment: Moment,
        /// The port that the first of the burst's sockets is bound to; 0: not known.
        local: u16,
    },
    /// A packet to the peer.
    Send {
        /// From this socket; 0 is the registered one.
        socket: u8,
        /// To this port.
        port: u16,
        /// The peer was heard on this path: it need not answer.
        answer: bool,
        /// A hop limit that ends it before the peer's NAT; 0: the usual one.
        hops: u8,
    },
}

/// A path to the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Found {
    /// Our socket; 0 is the registered one.
    pub socket: u8,
    /// The peer's port.
    pub port: u16,
}
