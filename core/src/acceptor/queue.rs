//! What waits for the caller: events and commands without what the machine still knows when it is asked
//! for them. An address, an id or a profile is filled in then, so that a queue takes a tenth of the memory.

use super::{AcceptorEvent, ConnectionSlot, State};
use crate::addr::Endpoint;
use crate::id::{ConnectionId, EquipmentId, SocketId, StreamId};
use crate::link::Transport;
use crate::machine::Command;
use crate::peer::slots::open;
use crate::peer::{CloseCause, Peer};
use crate::wire::message::Verdict;

/// An [`AcceptorEvent`] that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    Registered(Transport),
    RegistrationLost,
    Certificate,
    Resumable,
    Persist,
    /// What was asked is in [`State::asked`].
    Requested,
    Connected(ConnectionId),
    Nat,
    PathChanged(ConnectionId),
    Closed(ConnectionId, CloseCause),
}

/// A request that the application has not been told of yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    pub(super) issuer: Option<EquipmentId>,
    pub(super) address: Endpoint,
    pub(super) verdict: Verdict,
}

/// A [`Command`] that waits. Whoever asks for a stream keeps its address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    /// From the port of the second, where one is named.
    Connect(StreamId, Option<StreamId>),
    Shutdown(StreamId),
    Bind(SocketId, u8),
    Unbind(SocketId, u8),
}

const _: () = assert!(size_of::<News>() == 6 && size_of::<Task>() == 10);

impl State {
    /// Tells the application of a request. There is room for one: the next is told when the caller has
    /// taken this one.
    pub(super) fn ask(&mut self, asked: Asked) {
        if self.asked.is_none() {
            self.asked = Some(asked);
            self.event(News::Requested);
        } else {
            self.counters.lose_event();
        }
    }

    #[inline(never)]
    pub(super) fn command(&mut self, command: Command) {
        let task = match command {
            Command::Connect { stream, .. } => Task::Connect(stream, None),
            Command::ConnectFrom { stream, beside, .. } => Task::Connect(stream, Some(beside)),
            Command::Shutdown { stream } => Task::Shutdown(stream),
            Command::Bind { first, count } => Task::Bind(first, count),
            Command::Unbind { first, count } => Task::Unbind(first, count),
            Command::Listen { .. } | Command::Unlisten { .. } => return, // Not an acceptor's.
        };
        if self.commands.push_back(task).is_err() {
            self.counters.lose_event();
        }
    }

    /// The next event. What has passed meanwhile is left out: a connection that has ended before its
    /// beginning was taken has only ended.
    #[inline(never)]
    pub(super) fn next_event(&mut self, slots: &[ConnectionSlot]) -> Option<AcceptorEvent> {
        loop {
            return Some(match self.events.pop_front()? {
                News::Registered(over) => match self.registration.observed {
                    Some(observed) => AcceptorEvent::Registered { observed: observed.into(), over },
                    None => continue,
                },
                News::RegistrationLost => AcceptorEvent::RegistrationLost,
                News::Certificate => AcceptorEvent::Certificate,
                News::Resumable => AcceptorEvent::Resumable,
                News::Persist => AcceptorEvent::Persist,
                News::Requested => match self.asked.take() {
                    Some(Asked { issuer, address, verdict }) => {
                        AcceptorEvent::Requested { issuer, address: address.into(), verdict }
                    }
                    None => continue,
                },
                News::Connected(connection) => match open(slots, connection) {
                    Some(Peer { id, path, .. }) => {
                        AcceptorEvent::Connected { connection, peer: *id, path: *path }
                    }
                    None => continue,
                },
                News::Nat => match self.puncher.profile() {
                    Some(profile) => AcceptorEvent::Nat(profile),
                    None => continue,
                },
                News::PathChanged(connection) => match open(slots, connection) {
                    Some(Peer { path, .. }) => {
                        AcceptorEvent::PathChanged { connection, path: *path }
                    }
                    None => continue,
                },
                News::Closed(connection, cause) => AcceptorEvent::Closed { connection, cause },
            });
        }
    }

    /// The next command. A stream that nobody wants any more is not opened; that it shall be closed is
    /// said all the same, and does no harm.
    #[inline(never)]
    pub(super) fn next_command(&mut self, slots: &[ConnectionSlot]) -> Option<Command> {
        loop {
            return Some(match self.commands.pop_front()? {
                Task::Shutdown(stream) => Command::Shutdown { stream },
                Task::Bind(first, count) => Command::Bind { first, count },
                Task::Unbind(first, count) => Command::Unbind { first, count },
                Task::Connect(stream, beside) => {
                    let Some(remote) = self.remote(slots, stream, beside) else { continue };
                    match beside {
                        None => Command::Connect { stream, remote },
                        Some(beside) => Command::ConnectFrom { stream, beside, remote },
                    }
                }
            });
        }
    }

    /// Where a stream of ours leads to: to the server, too, where it shows from which port a slot calls.
    #[inline(never)]
    fn remote(
        &self,
        slots: &[ConnectionSlot],
        stream: StreamId,
        beside: Option<StreamId>,
    ) -> Option<core::net::SocketAddr> {
        let shows = |slot: &ConnectionSlot| beside.is_none() && slot.calling.has(stream);
        if self.stream.stream == Some(stream) || slots.iter().any(shows) {
            return Some(self.equipment.server.stream);
        }
        let ours = |slot: &&ConnectionSlot| slot.stream == Some(stream) || slot.calling.has(stream);
        slots.iter().find(ours)?.address.map(Into::into)
    }
}
