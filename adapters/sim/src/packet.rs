//! What travels, and what a test may do to it on the way.
//!
//! A hook ([`World::hook`](crate::World::hook)) sees every datagram when it leaves its sender's
//! network, every TCP frame when it is written, every SYN, SYN-ACK, FIN and RST, and every ICMP
//! error. It stands for an attacker or a fault that chooses its victims, where
//! [`Faults`](crate::Faults) only rolls dice.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::{
    ANSWER_LEN, CERTIFICATE_REQUEST_LEN, COOKIE_LEN, DETECT_LEN, ECHO_LEN, HELLO_LEN, IK1_OVERHEAD,
    INITIATION_OVERHEAD, KEEPALIVE_LEN, Kind, MAX_BODY, PUNCH_LEN, RESPONSE_LEN, RESUME_LEN,
    TRANSPORT_OVERHEAD,
};
use genkan_core::{FRAME_PREFIX, MAX_DATAGRAM};

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

/// The message's kind; `None` when it has not the form of one, as what other programs send.
pub(crate) fn kind_of(via: Via, bytes: &[u8]) -> Option<Kind> {
    let message = message_of(via, bytes);
    if matches!(via, Via::Tcp(_)) {
        let prefix = bytes.first_chunk().map(|prefix| usize::from(u16::from_be_bytes(*prefix)));
        prefix.filter(|&len| len == message.len())?;
    }
    Kind::of(message).ok().filter(|&kind| has_form(kind, message))
}

/// The shortest Certificate in bytes: one name of one letter.
const SHORTEST_CERTIFICATE: usize = 130;
/// An Initiation's length in bytes without its payload.
const IK1: usize = INITIATION_OVERHEAD + IK1_OVERHEAD;

/// Whether a message has the length that its kind has, and what cannot be otherwise (PROTOCOL.md,
/// section 4). The first byte alone is no sign: in texts it is a letter.
fn has_form(kind: Kind, message: &[u8]) -> bool {
    let byte = |at: usize| message.get(at).copied().unwrap_or_default();
    let lengths = match kind {
        Kind::CertificateRequest => CERTIFICATE_REQUEST_LEN..=CERTIFICATE_REQUEST_LEN,
        Kind::Certificate => SHORTEST_CERTIFICATE..=CERTIFICATE_REQUEST_LEN,
        Kind::Initiation => IK1 + HELLO_LEN..=IK1 + MAX_BODY,
        Kind::Response => RESPONSE_LEN..=RESPONSE_LEN,
        Kind::Cookie => COOKIE_LEN..=COOKIE_LEN,
        Kind::Keepalive | Kind::KeepaliveAnswer | Kind::Challenge | Kind::Hint => {
            KEEPALIVE_LEN..=KEEPALIVE_LEN
        }
        Kind::FilterProbe => KEEPALIVE_LEN..=KEEPALIVE_LEN,
        Kind::Echo => ECHO_LEN..=ECHO_LEN,
        Kind::Detect => DETECT_LEN..=DETECT_LEN,
        Kind::IssuerPunch | Kind::AcceptorPunch => PUNCH_LEN..=PUNCH_LEN,
        Kind::Resume | Kind::Resumed => RESUME_LEN..=RESUME_LEN,
        Kind::Answer => ANSWER_LEN..=ANSWER_LEN,
        Kind::Transport
        | Kind::ServerTransport
        | Kind::IssuerTransport
        | Kind::AcceptorTransport => TRANSPORT_OVERHEAD + 1..=MAX_DATAGRAM,
    };
    let fixed = match kind {
        // The counter has 48 bits.
        Kind::Transport
        | Kind::ServerTransport
        | Kind::IssuerTransport
        | Kind::AcceptorTransport => [byte(6), byte(7)] == [0, 0],
        // Whether it is an answer.
        Kind::IssuerPunch | Kind::AcceptorPunch => byte(1) <= 1,
        // Three bits of status, and a handful of packets.
        Kind::Detect => byte(1) <= 7 && byte(17) <= 6,
        // Two bits of status.
        Kind::FilterProbe => byte(1) <= 3,
        Kind::Keepalive | Kind::KeepaliveAnswer | Kind::Echo | Kind::Challenge | Kind::Hint => {
            byte(1) <= 3
        }
        Kind::Certificate => [byte(1), byte(10), byte(11)] == [0, 1, 0],
        // Flags, of which there are none.
        _ => byte(1) == 0,
    };
    lengths.contains(&message.len()) && fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_other_programs_are_no_messages_whatever_letter_they_begin_with() {
        let text = b"ello, world! A text as long as any message is, and longer still. ".repeat(40);
        for &kind in Kind::ALL {
            for len in 1..=MAX_DATAGRAM {
                let bytes = [&[kind as u8], &text[..len - 1]].concat();
                assert_eq!(kind_of(Via::Udp, &bytes), None, "{len} bytes like {kind:?}");
            }
        }
        assert_eq!(kind_of(Via::Udp, b""), None);
        assert_eq!(kind_of(Via::Tcp(TcpId(1)), b"\x00"), None);
    }

    #[test]
    fn a_frame_is_a_message_behind_its_own_length() {
        let keepalive = [&[Kind::Keepalive as u8, 1][..], &[7; 26]].concat();
        assert_eq!(kind_of(Via::Udp, &keepalive), Some(Kind::Keepalive));
        let framed = |len: u8| kind_of(Via::Tcp(TcpId(1)), &[&[0, len][..], &keepalive].concat());
        assert_eq!((framed(28), framed(29)), (Some(Kind::Keepalive), None));
    }
}
