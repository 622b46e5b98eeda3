//! What waits for the caller: events and commands without what the machine still knows when it is asked
//! for them. An address, an id or a profile is filled in then, so that a queue takes a tenth of the memory.

use super::{AcceptorEvent, ConnectionSlot, State};
use crate::addr::Endpoint;
use crate::id::{ConnectionId, EquipmentId, SocketId, StreamId};
use crate::link::Transport;
use crate::machine::Command;
use crate::peer::CloseCause;
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
    Connect(StreamId),
    ConnectFrom(StreamId, StreamId),
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

    pub(super) fn command(&mut self, command: Command) {
        let task = match command {
            Command::Connect { stream, .. } => Task::Connect(stream),
            Command::ConnectFrom { stream, beside, .. } => Task::ConnectFrom(stream, beside),
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
        loop {
            let news = self.events.pop_front()?;
            if let Some(event) = self.tell(slots, news) {
                note!("acceptor", event);
                return Some(event);
            }
        }
    }

    fn tell(&mut self, slots: &[ConnectionSlot], news: News) -> Option<AcceptorEvent> {
        let info = |connection| crate::peer::slots::info(slots, connection);
        Some(match news {
            News::Registered(over) => {
                AcceptorEvent::Registered { observed: self.registration.observed?.into(), over }
            }
            News::RegistrationLost => AcceptorEvent::RegistrationLost,
            News::Certificate => AcceptorEvent::Certificate,
            News::Resumable => AcceptorEvent::Resumable,
            News::Persist => AcceptorEvent::Persist,
            News::Requested => {
                let Asked { issuer, address, verdict } = self.asked.take()?;
                AcceptorEvent::Requested { issuer, address: address.into(), verdict }
            }
            News::Connected(connection) => {
                let info = info(connection)?;
                AcceptorEvent::Connected { connection, peer: info.peer, path: info.path }
            }
            News::Nat => AcceptorEvent::Nat(self.puncher.profile()?),
            News::PathChanged(connection) => {
                AcceptorEvent::PathChanged { connection, path: info(connection)?.path }
            }
            News::Closed(connection, cause) => AcceptorEvent::Closed { connection, cause },
        })
    }

    /// The next command. A stream that nobody wants any more is not opened; that it shall be closed is
    /// said all the same, and does no harm.
    pub(super) fn next_command(&mut self, slots: &[ConnectionSlot]) -> Option<Command> {
        loop {
            let task = self.commands.pop_front()?;
            let command = match task {
                Task::Connect(stream) => {
                    let Some(remote) = self.remote(slots, stream) else { continue };
                    Command::Connect { stream, remote }
                }
                Task::ConnectFrom(stream, beside) => {
                    let Some(remote) = self.remote(slots, stream) else { continue };
                    Command::ConnectFrom { stream, beside, remote }
                }
                Task::Shutdown(stream) => Command::Shutdown { stream },
                Task::Bind(first, count) => Command::Bind { first, count },
                Task::Unbind(first, count) => Command::Unbind { first, count },
            };
            return Some(command);
        }
    }

    /// Where a stream of ours leads to.
    fn remote(&self, slots: &[ConnectionSlot], stream: StreamId) -> Option<core::net::SocketAddr> {
        if self.stream.stream == Some(stream) {
            return Some(self.equipment.server.stream);
        }
        let slot = slots.iter().find(|slot| slot.stream == Some(stream))?;
        slot.address.map(Into::into)
    }
}
