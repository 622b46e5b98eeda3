//! The language in which scenarios are written: what is sent, and what can be seen of it.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use genkan_sim::nat::Flow;

/// A socket of a host behind the NAT.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inside {
    /// Which of the inside hosts: 0 or 1.
    pub host: u8,
    /// By IPv6.
    pub six: bool,
    /// Its port.
    pub port: u16,
}

/// A socket in the internet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remote {
    /// Which of the addresses: 0 to 3.
    pub host: u8,
    /// By IPv6.
    pub six: bool,
    /// Its port.
    pub port: u16,
}

impl Inside {
    /// The host's address on its own network.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        let last = 2 + self.host;
        match self.six {
            false => IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
            true => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last as u16)),
        }
    }

    /// Whose address it is.
    #[must_use]
    pub const fn of(address: SocketAddr) -> Self {
        let (last, six) = match address {
            SocketAddr::V4(address) => (address.ip().octets()[3], false),
            SocketAddr::V6(address) => (address.ip().octets()[15], true),
        };
        Self { host: last.saturating_sub(2), six, port: address.port() }
    }

    /// Where it is on its own network.
    #[must_use]
    pub const fn address(self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.port)
    }
}

impl Remote {
    /// Its address.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        let last = 10 + self.host;
        match self.six {
            false => IpAddr::V4(Ipv4Addr::new(203, 0, 113, last)),
            true => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, last as u16)),
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.port)
    }
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address())
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address())
    }
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// An inside host sends a datagram.
    Out(Inside, Remote),
    /// A remote sends a datagram to the source address that it saw last from an inside socket.
    Answer(Remote, Inside),
    /// The first remote sends a datagram to the address that the second saw last from an inside
    /// socket.
    Stranger(Remote, Inside, Remote),
    /// A remote sends a datagram to a port of the NAT.
    Knock(Remote, u16),
    /// An inside host sends a datagram to a remote port that is closed.
    Closed(Inside, Remote),
    /// As [`Step::Out`], with a hop limit.
    Low(Inside, Remote, u8),
    /// The first inside socket sends a datagram to the address that the remote saw last from the
    /// second.
    Hairpin(Inside, Inside, Remote),
    /// An inside host opens a TCP connection.
    Open(Inside, Remote),
    /// Bytes on that connection, outwards.
    Up(Inside, Remote),
    /// Bytes on that connection, inwards.
    Down(Inside, Remote),
    /// An inside host sends one TCP segment, made by hand.
    OutTcp(Inside, Remote, Flow),
    /// A remote sends one to the source address that it saw last from an inside socket.
    InTcp(Remote, Inside, Flow),
    /// A remote opens a TCP connection to a port of the NAT.
    KnockTcp(Remote, u16),
    /// Nothing for so long.
    Wait(Duration),
    /// The NAT forgets everything.
    Reboot,
}

/// What can be seen of a [`Step`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// The receiver got it from this address.
    From(SocketAddr),
    /// This inside socket got it, from the address that sent it.
    At(Inside),
    /// The inside socket got it, from this address, which is not the sender's own (hairpin).
    Turned(SocketAddr),
    /// The sender was told by ICMP that nobody is there, or that the hop limit is used up.
    Unreachable,
    /// The sender was told so by a TCP RST.
    Reset,
    /// Nobody got anything.
    Nothing,
}

impl Seen {
    /// The port of the source that was seen.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::From(source) | Self::Turned(source) => Some(source.port()),
            _ => None,
        }
    }
}

/// A socket of inside host 0.
pub const A: Inside = Inside { host: 0, six: false, port: 40_000 };
/// A socket of inside host 1, with the same port.
pub const B: Inside = Inside { host: 1, six: false, port: 40_000 };
/// A socket in the internet.
pub const R: Remote = Remote { host: 0, six: false, port: 3_478 };
/// One at the same address.
pub const R2: Remote = Remote { host: 0, six: false, port: 3_479 };
/// One at another address.
pub const S: Remote = Remote { host: 1, six: false, port: 3_478 };
/// One at a third.
pub const T: Remote = Remote { host: 2, six: false, port: 3_478 };

/// How long nothing happens, in milliseconds.
#[must_use]
pub const fn wait(millis: u64) -> Step {
    Step::Wait(Duration::from_millis(millis))
}
