//! What passes each network interface of a world, as a capture program there would see it.
//!
//! Every host has one interface, every NAT two: a packet that crosses a NAT is seen on both sides,
//! with the addresses that it has there. [`World::capture`](crate::World::capture) switches the
//! recording on; the writers turn it into files.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::net::{HostId, NatId};
use crate::packet::TcpId;

/// Where packets are seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Interface {
    /// A host's only one.
    Host(HostId),
    /// A NAT's inner side.
    Inside(NatId),
    /// A NAT's outer side.
    Outside(NatId),
}

/// One packet at one interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// When, since the world's start.
    pub at: Duration,
    /// Where.
    pub interface: Interface,
    /// Whether it comes in there.
    pub inbound: bool,
    /// Its source there.
    pub source: SocketAddr,
    /// Its destination there.
    pub destination: SocketAddr,
    /// The hop limit that is left.
    pub hop_limit: u8,
    /// What it carries.
    pub load: Load,
}

/// What a [`Frame`] carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Load {
    /// A UDP payload.
    Udp(Vec<u8>),
    /// A TCP segment.
    Tcp {
        /// Which connection.
        conn: TcpId,
        /// From the end that called.
        from_caller: bool,
        /// What it is.
        kind: SegmentKind,
        /// How many bytes of its direction came before it.
        offset: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// An ICMP error about a packet that was sent.
    Icmp {
        /// What went wrong.
        error: IcmpError,
        /// The packet's source, as it was where the error arose or has been translated back to.
        source: SocketAddr,
        /// The packet's destination.
        destination: SocketAddr,
        /// Whether it was TCP.
        tcp: bool,
    },
}

/// What a TCP segment is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentKind {
    /// SYN.
    Syn,
    /// SYN and ACK.
    SynAck,
    /// ACK, with or without bytes.
    Ack,
    /// FIN and ACK.
    Fin,
    /// RST.
    Rst,
}

/// An ICMP error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IcmpError {
    /// The hop limit was used up.
    TimeExceeded,
    /// Nothing listens on the port.
    PortUnreachable,
    /// A firewall or NAT does not let it pass.
    Prohibited,
}

impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimeExceeded => "time exceeded",
            Self::PortUnreachable => "port unreachable",
            Self::Prohibited => "prohibited",
        })
    }
}
