//! What travels, and what a test may do to it on the way.
//!
//! A hook ([`World::hook`](crate::World::hook)) sees every datagram when it leaves its sender's
//! network, every TCP frame when it is written, every SYN, SYN-ACK, FIN and RST, and every ICMP
//! error. It stands for an attacker or a fault that chooses its victims, where
//! [`Faults`](crate::Faults) only rolls dice.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{FRAME_PREFIX, MAX_FRAME};

use crate::capture::IcmpError;
use crate::net::HostId;

/// A TCP connection of a [`World`](crate::World), in the order in which they were opened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TcpId(pub(crate) u64);

impl fmt::Display for TcpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp{}", self.0)
    }
}

/// How something travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Via {
    /// A UDP datagram.
    Udp,
    /// Bytes in a TCP connection, as the sender wrote them: one frame.
    Tcp(TcpId),
    /// The first segment of a TCP connection.
    Syn(TcpId),
    /// The answer to a [`Via::Syn`].
    SynAck(TcpId),
    /// An end of a TCP connection has nothing more to say.
    Fin(TcpId),
    /// A TCP connection is refused or broken off.
    Rst(TcpId),
    /// A router, a NAT or a host could not pass something on.
    Icmp(IcmpError),
}

/// Something on its way.
#[derive(Debug)]
#[non_exhaustive]
pub struct Packet {
    /// When, since the world's start.
    pub at: Duration,
    /// Its number: packets are counted from 0 as they are sent.
    pub number: u64,
    /// Who sends it. `None`: it was injected.
    pub from: Option<HostId>,
    /// Who will get it, as far as that is known before it passes the NATs on the other side.
    pub to: Option<HostId>,
    /// How it travels.
    pub via: Via,
    /// Its source as outsiders see it.
    pub source: SocketAddr,
    /// Its destination as the sender knows it.
    pub destination: SocketAddr,
    /// The hop limit that a datagram's sender set.
    pub hop_limit: Option<u8>,
    /// The datagram, or the frame with its prefix. May be changed.
    pub bytes: Vec<u8>,
}

impl Packet {
    /// What the message is, when it is one.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        kind_of(self.via, &self.bytes)
    }

    /// The message: the datagram, or the frame without its prefix.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        message_of(self.via, &self.bytes)
    }
}

/// What becomes of a [`Packet`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes on, with the changes that the hook has made to it.
    Pass,
    /// It is lost. A TCP segment without bytes is sent again by its sender; a frame is taken out of
    /// the byte stream.
    Drop,
    /// It goes on, this much later. In TCP everything behind it waits too.
    Delay(Duration),
    /// These bytes go on instead (a datagram's or a frame's; nothing else has any).
    Replace(Vec<u8>),
    /// It goes on, and a copy of it this much later (a frame: right behind it; nothing else in TCP
    /// can be doubled).
    Duplicate(Duration),
}

/// A hook that drops message number `nth` (from 1) of this kind, whoever sends it.
pub fn drop_nth(kind: Kind, nth: usize) -> impl FnMut(&mut Packet) -> Verdict {
    let mut seen = 0;
    move |packet| {
        seen += usize::from(packet.kind() == Some(kind));
        if packet.kind() == Some(kind) && seen == nth { Verdict::Drop } else { Verdict::Pass }
    }
}

pub(crate) type Hook = Box<dyn FnMut(&mut Packet) -> Verdict>;

pub(crate) fn message_of(via: Via, bytes: &[u8]) -> &[u8] {
    match via {
        Via::Tcp(_) => bytes.get(FRAME_PREFIX..).unwrap_or_default(),
        _ => bytes,
    }
}

pub(crate) fn kind_of(via: Via, bytes: &[u8]) -> Option<Kind> {
    if bytes.len() > MAX_FRAME {
        return None;
    }
    Kind::of(message_of(via, bytes)).ok()
}
