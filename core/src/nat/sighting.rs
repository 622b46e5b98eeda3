//! One packet of an equipment, as the server saw it.

use crate::addr::Endpoint;

/// How many sightings are looked at in one measurement; further ones are left out.
pub const MAX_SIGHTINGS: usize = 16;

/// Which of the server's addresses and ports a packet went to.
///
/// A server has two UDP ports on one address; a second address is optional. Whatever a NAT makes
/// dependent on the destination can be seen only between ends that differ in just that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ServerEnd {
    /// Address and port that equipment registers with.
    Main,
    /// The main address, another port.
    OtherPort,
    /// Another address.
    OtherAddress,
}

impl ServerEnd {
    /// Whether both are on the same address.
    #[must_use]
    pub const fn shares_address(self, other: Self) -> bool {
        matches!((self, other), (Self::OtherAddress, Self::OtherAddress))
            || !matches!((self, other), (Self::OtherAddress, _) | (_, Self::OtherAddress))
    }
}

/// This socket sent to that end of the server, which saw that address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// Which of the equipment's sockets, by a number of its own choice.
    pub socket: u8,
    /// The port that the socket is bound to, as the equipment says; 0 when it does not.
    pub local: u16,
    /// Where the packet went.
    pub server: ServerEnd,
    /// Where it came from in the server's eyes.
    pub observed: Endpoint,
}

impl Sighting {
    /// The observed port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.observed.port()
    }

    /// Whether the NAT kept the port.
    #[must_use]
    pub const fn is_preserved(&self) -> bool {
        self.local != 0 && self.local == self.observed.port()
    }
}
