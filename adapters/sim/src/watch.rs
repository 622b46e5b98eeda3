//! Somebody who sees everything that happens in a world, and changes nothing.
//!
//! Checks that must hold after every event are made with this: they are told what is sent, what a
//! node is shown and what it wants in answer, so that they need to look only at what has changed.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::Instant;

use crate::net::HostId;
use crate::node::{Effect, Node};
use crate::packet::{Packet, TcpId};
use crate::transcript::Origin;

/// What a node is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    /// Who gets it.
    pub(crate) host: HostId,
    /// From where, as the receiver sees it.
    pub(crate) source: SocketAddr,
    /// The connection, and the host at its other end; `None`: a datagram.
    pub(crate) over: Option<(TcpId, HostId)>,
    /// The datagram, or the bytes at the front of the stream.
    pub(crate) bytes: &'a [u8],
}

/// One call of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called<'a> {
    /// When, since the world's start.
    pub(crate) at: Duration,
    /// Who was called.
    pub(crate) host: HostId,
    /// What the host's clock says.
    pub(crate) now: Instant,
    /// What it wants done.
    pub(crate) effects: &'a [Effect],
    /// When it wants to be called again.
    pub(crate) next: Option<Instant>,
    /// Whether it had asked to be called at this time or before.
    pub(crate) was_due: bool,
}

/// Sees what happens.
pub(crate) trait Watch {
    /// Something is on its way, or was dropped by a hook before it was.
    fn sent(&mut self, packet: &Packet, origin: Origin);
    /// A node is about to be shown this.
    fn arrives(&mut self, arrival: Arrival<'_>, node: &dyn Node);
    /// A node was called and drained; what it wants is about to be carried out.
    fn called(&mut self, call: Called<'_>, node: &dyn Node);
}
