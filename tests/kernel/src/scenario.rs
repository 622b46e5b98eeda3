//! The language in which scenarios are written: what is sent, and what can be seen of it.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

/// A socket of a host behind the NAT.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Inside {
    /// Which of the inside hosts: 0 or 1.
    pub host: u8,
    /// Its port.
    pub port: u16,
}

/// A socket in the internet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Remote {
    /// Which of the addresses: 0 to 3.
    pub host: u8,
    /// Its port.
    pub port: u16,
}

impl Inside {
    /// The host's address on its own network.
    #[must_use]
    pub const fn ip(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, 2 + self.host)
    }

    /// Where it is on its own network.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        (self.ip(), self.port).into()
    }
}

impl Remote {
    /// Its address.
    #[must_use]
    pub const fn ip(self) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, 10 + self.host)
    }

    /// Where it is.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        (self.ip(), self.port).into()
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
    /// The first inside socket sends a datagram to the address that the remote saw last from the
    /// second.
    Hairpin(Inside, Inside, Remote),
    /// An inside host opens a TCP connection.
    Open(Inside, Remote),
    /// Bytes on that connection, outwards.
    Up(Inside, Remote),
    /// Bytes on that connection, inwards.
    Down(Inside, Remote),
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
    /// The sender was told by ICMP that nobody is there.
    Unreachable,
    /// The sender was told so by a TCP RST.
    Reset,
    /// Nobody got anything.
    Nothing,
}

/// How long nothing happens, in milliseconds.
#[must_use]
pub const fn wait(millis: u64) -> Step {
    Step::Wait(Duration::from_millis(millis))
}
