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
    /// Tells the application of a request. There is room for one that the caller has not taken: another
    /// is lost, and counted.
    pub(super) fn ask(&mut self, asked: Asked) {
        if self.asked.is_some() || self.events.is_full() {
            self.counters.lose_event();
        } else {
            self.asked = Some(asked);
            self.event(News::Requested);
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
    pub(super) fn next_event(&mut self, slots: &[ConnectionSlot]) -> Option<AcceptorEvent> {
        while let Some(news) = self.events.pop_front() {
            let event = self.event_of(slots, news);
            if event.is_some() {
                return event;
            }
        }
        None
    }

    // Large events are made by functions of their own: where several are made in one, the compiler takes
    // them apart, and copies every part on its own.
    #[inline(never)]
    fn event_of(&mut self, slots: &[ConnectionSlot], news: News) -> Option<AcceptorEvent> {
        match news {
            News::Registered(over) => self.registered(over),
            News::RegistrationLost => Some(AcceptorEvent::RegistrationLost),
            News::Certificate => Some(AcceptorEvent::Certificate),
            News::Resumable => Some(AcceptorEvent::Resumable),
            News::Persist => Some(AcceptorEvent::Persist),
            News::Requested => self.requested(),
            News::Connected(connection) => connected(slots, connection),
            News::Nat => self.puncher.profile().map(AcceptorEvent::Nat),
            News::PathChanged(connection) => moved(slots, connection),
            News::Closed(connection, cause) => Some(AcceptorEvent::Closed { connection, cause }),
        }
    }

    #[inline(never)]
    fn registered(&self, over: Transport) -> Option<AcceptorEvent> {
        let observed = self.registration.observed?.into();
        Some(AcceptorEvent::Registered { observed, over })
    }

    #[inline(never)]
    fn requested(&mut self) -> Option<AcceptorEvent> {
        let Asked { issuer, address, verdict } = self.asked.take()?;
        Some(AcceptorEvent::Requested { issuer, address: address.into(), verdict })
    }

    /// The next command. A stream that nobody wants any more is not opened; that it shall be closed is
    /// said all the same, and does no harm.
    pub(super) fn next_command(&mut self, slots: &[ConnectionSlot]) -> Option<Command> {
        while let Some(task) = self.commands.pop_front() {
            let command = self.command_of(slots, task);
            if command.is_some() {
                return command;
            }
        }
        None
    }

    #[inline(never)]
    fn command_of(&self, slots: &[ConnectionSlot], task: Task) -> Option<Command> {
        Some(match task {
            Task::Connect(stream, beside) => return self.connect(slots, stream, beside),
            Task::Shutdown(stream) => Command::Shutdown { stream },
            Task::Bind(first, count) => Command::Bind { first, count },
            Task::Unbind(first, count) => Command::Unbind { first, count },
        })
    }

    /// Opens a stream of ours to where it leads: to the server, too, where it shows from which port
    /// a slot calls.
    #[inline(never)]
    fn connect(
        &self,
        slots: &[ConnectionSlot],
        stream: StreamId,
        beside: Option<StreamId>,
    ) -> Option<Command> {
        let calling = slots.iter().find(|slot| slot.calling.has(stream));
        let remote = match (calling, beside) {
            (Some(slot), Some(_)) => slot.address?.at_port(slot.called).into(),
            (Some(_), None) => self.equipment.server.stream,
            (None, _) if self.stream.stream == Some(stream) => self.equipment.server.stream,
            (None, _) => slots.iter().find(|slot| slot.stream == Some(stream))?.address?.into(),
        };
        Some(match beside {
            None => Command::Connect { stream, remote },
            Some(beside) => Command::ConnectFrom { stream, beside, remote },
        })
    }
}

#[inline(never)]
fn connected(slots: &[ConnectionSlot], connection: ConnectionId) -> Option<AcceptorEvent> {
    let Peer { id, path, .. } = open(slots, connection)?;
    Some(AcceptorEvent::Connected { connection, peer: *id, path: *path })
}

#[inline(never)]
fn moved(slots: &[ConnectionSlot], connection: ConnectionId) -> Option<AcceptorEvent> {
    let Peer { path, .. } = open(slots, connection)?;
    Some(AcceptorEvent::PathChanged { connection, path: *path })
}
