//! One thread for each machine: the loop that turns sockets and time into the machine's calls.
//!
//! A turn waits, then works in fixed shares so that nothing starves: what other threads ask for, the
//! machine's timers, datagrams, callers, streams, the sessions' packets. After each input the machine
//! is drained in the order that it asks for. A node with nothing to do makes no turns.
//!
//! What differs between the three roles is behind [`Role`].

mod control;
mod desk;
mod run;
mod turn;

use core::time::Duration;

use genkan_core::{Channel, ConnectionId, Instant, Machine, SocketId};

pub use control::Stopped;
pub(crate) use control::{Control, Engine, Nudge};
pub(crate) use desk::{Desk, Journal};
pub(crate) use run::Parts;

/// A machine with what its node does around it.
pub(crate) trait Role: Send + 'static {
    /// The machine.
    type Machine: Machine<Event = Self::Event>;
    /// What it tells.
    type Event: Clone + Send + 'static;

    fn machine(&mut self) -> &mut Self::Machine;

    /// The machine says something; the application is told afterwards.
    fn observe(&mut self, now: Instant, event: &Self::Event, journal: &Journal<Self::Event>);

    /// A datagram arrived, whatever is in it.
    fn heard(&mut self, _: SocketId) {}

    /// Application data arrived.
    fn payload(&mut self, _: Instant, _: ConnectionId, _: Channel, _plaintext: &[u8]) {}

    /// Sends what the sessions have to send.
    fn pump(&mut self, _: Instant, _desk: &mut Desk<'_, Self::Event>) {}

    /// Whether a pump stopped for fairness and goes on at once.
    fn has_more(&self) -> bool {
        false
    }

    /// When [`Role::pump`] is due at the latest.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The box before this machine has opened this external port for the main socket, or none any
    /// more.
    fn leased(&mut self, _: Instant, _port: Option<u16>) {}

    /// The node is to stop: sessions end when their streams have, within `grace`.
    fn finish(&mut self, _grace: Duration) {}

    /// Whether that is so for all sessions.
    fn is_finished(&self) -> bool {
        true
    }

    /// The node stops: whoever is at the other end is told. Called again after a drain while it
    /// returns `true`.
    fn end(&mut self, now: Instant) -> bool;

    /// The loop has ended, for whatever reason.
    fn lost(&mut self) {}
}
