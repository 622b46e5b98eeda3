//! One instruction for one end.

use serde::{Deserialize, Serialize};

use crate::wire::once::number;

use crate::nat::Forecast;

/// Which packets to the server go with a burst, so that the ports of its packets can be worked out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Bracket {
    /// None: the ports are known, or cannot be.
    #[default]
    None,
    /// One from the registered socket first of all, which says to what port the first of the fresh
    /// sockets is bound: for a NAT that keeps a socket's port for its first destination only.
    Announce,
    /// One after the rest, from the last of the burst's sockets.
    After,
    /// One before and one after the rest, from the burst's own sockets to two addresses of the
    /// server (two ports, where it has one address): for a NAT that maps each destination anew (punch
    /// claim 8).
    SameSocket,
    /// One before and one after, each from a socket opened for it: for a NAT that maps each
    /// destination address, or each socket, once (punch claim 9).
    FreshSockets,
}

impl Bracket {
    /// Sockets that are opened for the detection packets alone.
    #[must_use]
    pub const fn extra_sockets(self) -> u8 {
        match self {
            Self::FreshSockets => 2,
            _ => 0,
        }
    }

    const fn has_before(self) -> bool {
        matches!(self, Self::SameSocket | Self::FreshSockets)
    }

    const fn has_after(self) -> bool {
        matches!(self, Self::After | Self::SameSocket | Self::FreshSockets)
    }

    /// Whether a detection packet leaves at this moment of a burst.
    #[must_use]
    pub const fn has(self, moment: Moment) -> bool {
        match moment {
            Moment::Announce => matches!(self, Self::Announce),
            Moment::Before => self.has_before(),
            Moment::After => self.has_after(),
        }
    }
}

/// When in a burst a detection packet leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Moment {
    /// From the registered socket, about a fresh one that has not sent anything yet.
    Announce,
    /// Before the packets to the peer.
    Before,
    /// After them.
    After,
}

/// From `sockets` sockets to each of `count` ports of the peer's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Burst {
    /// The coordinator's number for what it learns by this.
    pub round: u8,
    /// How many fresh sockets, bound to consecutive ports where that can be; 0 means the one that is
    /// registered.
    pub sockets: u8,
    /// Not fresh ones: those of the last burst that had any.
    pub keep: bool,
    /// The peer's ports, the likeliest first.
    pub ports: Forecast,
    /// How many of them.
    #[serde(with = "number")]
    pub count: u16,
    /// What goes to the server with it.
    pub bracket: Bracket,
    /// Packets that find out nothing when they are repeated are not repeated.
    pub once: bool,
    /// The hop limit of its packets to the peer, for a peer whose NAT punishes what comes before it
    /// has sent itself: they make the mapping here and end on the way. 0: the usual one.
    pub hops: u8,
}

impl Burst {
    /// One packet from the registered socket to a known port.
    #[must_use]
    pub const fn to_port(round: u8, port: u16) -> Self {
        Self::from_registered(round, Forecast::Port(port), 1)
    }

    /// Packets from the registered socket to the likeliest ports.
    #[must_use]
    pub const fn from_registered(round: u8, ports: Forecast, count: u16) -> Self {
        Self {
            round,
            sockets: 0,
            keep: false,
            ports,
            count,
            bracket: Bracket::None,
            once: false,
            hops: 0,
        }
    }

    /// Packets from fresh sockets to one port.
    #[must_use]
    pub const fn from_fresh(round: u8, sockets: u8, port: u16, bracket: Bracket) -> Self {
        let ports = Forecast::Port(port);
        Self { round, sockets, keep: false, ports, count: 1, bracket, once: false, hops: 0 }
    }

    /// Only detection packets.
    #[must_use]
    pub const fn only(round: u8, bracket: Bracket) -> Self {
        let ports = Forecast::Port(0);
        Self { round, sockets: 1, keep: false, ports, count: 0, bracket, once: true, hops: 0 }
    }
}
