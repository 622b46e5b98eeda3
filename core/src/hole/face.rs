//! What holes have in common with the rooms that stand for them in equipment that punches none.

use core::net::SocketAddr;

use super::Way;
use crate::addr::{AddressPolicy, Endpoint};
use crate::id::SocketId;
use crate::nat::ServerEnd;
use crate::punch::Ability;
use crate::wire::punch::{Check, Detect};
use crate::wire::{DETECT_LEN, Kind, PUNCH_LEN};

/// What a hole is made of.
pub(crate) struct Opening {
    pub(crate) ability: Ability,
    pub(crate) policy: AddressPolicy,
    pub(crate) key: [u8; 16],
    pub(crate) index: u32,
    pub(crate) sends: Kind,
    pub(crate) request: u32,
    /// The place of the connection in its table.
    pub(crate) slot: usize,
    /// The socket of a path that carries the connection already.
    pub(crate) kept: Option<SocketId>,
}

/// A packet of a hole: from where, to where, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packet {
    /// To this end of the server; handle and counter are the session's to fill in.
    Detect(ServerEnd, Detect),
    /// To the peer, with this hop limit (0: the usual one).
    Check(Endpoint, Check, u8),
}

impl Packet {
    /// Whether it counts towards what all holes together may send: all but answers to the peer.
    pub(crate) const fn is_counted(&self) -> bool {
        !matches!(self, Self::Check(_, Check { answer: true, .. }, _))
    }

    /// Whether it is for the server, in the session with it.
    pub(crate) const fn is_for_server(&self) -> bool {
        matches!(self, Self::Detect(..))
    }

    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Detect(..) => DETECT_LEN,
            Self::Check(..) => PUNCH_LEN,
        }
    }
}

/// A packet that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// The slot that it is for; `None`: the measurement.
    pub(crate) slot: Option<usize>,
    pub(crate) socket: SocketId,
    pub(crate) remote: Endpoint,
    pub(crate) packet: Packet,
}

impl Due {
    pub(crate) const fn len(&self) -> usize {
        self.packet.len()
    }

    pub(crate) const fn hop_limit(&self) -> Option<u8> {
        match self.packet {
            Packet::Check(_, _, hops) if hops > 0 => Some(hops),
            _ => None,
        }
    }

    /// Where it goes. At the server's own address it has that one's scope, too: a link-local one is
    /// not to be reached without.
    pub(crate) fn remote(&self, server: &SocketAddr) -> SocketAddr {
        let mut remote = self.remote.into();
        if let (SocketAddr::V6(remote), SocketAddr::V6(server)) = (&mut remote, server)
            && remote.ip() == server.ip()
        {
            remote.set_scope_id(server.scope_id());
        }
        remote
    }
}

/// A connection slot, as far as its way is concerned.
pub(crate) trait Holed {
    fn way(&self) -> &Way;
    fn way_mut(&mut self) -> &mut Way;
    /// The socket of the path that carries the connection, where that is a punched one.
    fn path_socket(&self) -> Option<SocketId>;
}
