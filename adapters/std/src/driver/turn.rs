//! The shares of a turn, and draining the machine.

use core::net::SocketAddr;

use genkan_core::{
    Command, FRAME_PREFIX, Instant, MAX_DATAGRAM, MAX_FRAME, Machine, Received, SocketId, StreamId,
    StreamState,
};

use super::Role;
use super::run::Loop;
use crate::event::{Action, Carrier};
use crate::net::{Accepted, Bind, Change, Sent, tcp};

/// Datagrams read in one turn.
const DATAGRAMS: usize = 256;
/// Up to this many streams, all are looked at after each datagram.
const FEW_STREAMS: usize = 32;
/// Callers accepted in one turn.
const CALLERS: usize = 64;
/// Rounds of draining, and pieces of work in each, after which a machine that always wants more has
/// to wait for the next turn.
const ROUNDS: usize = 64;
const PIECES: usize = 4_096;

impl<R: Role> Loop<R> {
    pub(super) fn datagrams(&mut self, now: Instant) {
        // Few frames wait in the machine for each stream; looking at many streams takes long.
        let pause = if self.net.streams() <= FEW_STREAMS { 1 } else { 64 };
        for count in 1..=DATAGRAMS {
            // One byte more than allowed, so that a longer datagram is known from a cut one.
            let Some(room) = self.room.get_mut(..=MAX_DATAGRAM) else { return };
            let Some((socket, length, remote)) = self.net.receive(now, room) else { return };
            let Some(datagram) = self.room.get_mut(..length) else { continue };
            let at = (Carrier::Datagram(socket), remote);
            let action = |kind, bytes| Action::Received { kind, bytes };
            self.journal.message(now, at, datagram, action);
            self.role.heard(socket);
            let machine = self.role.machine();
            let received = machine.handle_datagram(now, socket, remote, datagram);
            if let Received::Payload { connection, channel, plaintext } = received {
                self.role.payload(now, connection, channel, plaintext);
            }
            self.settle(now);
            if count % pause == 0 {
                self.frames(now);
            }
        }
    }

    pub(super) fn callers(&mut self, now: Instant) {
        for _ in 0..CALLERS {
            let (socket, remote) = match self.net.accept(now) {
                Accepted::Stream(socket, remote) => (socket, remote),
                Accepted::Nobody => break,
                Accepted::Exhausted(error) => {
                    self.journal.trouble(now, format!("a caller has to wait: {error}"));
                    break;
                }
            };
            let wanted = self.role.machine().handle_accept(now, SocketId::LISTENER, remote);
            // Dropped, and thus closed, where the machine does not want it.
            let Some(id) = wanted else { continue };
            match self.net.adopt(id, remote, socket) {
                Ok(()) => self.journal.step(now, remote, Action::Accepted),
                Err(error) => {
                    self.journal.trouble(now, format!("a caller was turned away: {error}"));
                    self.role.machine().handle_stream_state(now, id, StreamState::Closed);
                }
            }
            self.settle(now);
        }
    }

    /// Connections that were made or could not be made.
    pub(super) fn changes(&mut self, now: Instant) {
        for change in self.net.changes(now) {
            let (id, state, remote, action) = match change {
                Change::Connected(id, remote) => {
                    (id, StreamState::Connected, remote, Action::Connected)
                }
                Change::Failed(id, remote) => {
                    (id, StreamState::Closed, remote, Action::ConnectFailed)
                }
            };
            self.journal.step(now, remote, action);
            self.role.machine().handle_stream_state(now, id, state);
            self.settle(now);
        }
    }

    /// One read from each stream that has something.
    pub(super) fn streams(&mut self, now: Instant) {
        for (id, remote) in self.net.readable() {
            let filled = self.net.fill(id, &mut *self.room);
            let mut done = 0;
            while self.net.is_named(id)
                && let Some(rest) = self.room.get_mut(done..filled)
                && !rest.is_empty()
            {
                let message = rest.get(FRAME_PREFIX..).unwrap_or_default();
                let kind = genkan_core::wire::Kind::of(message).ok();
                let length = rest.len();
                let input = self.role.machine().handle_stream(now, id, rest);
                let consumed = input.consumed;
                if consumed == 0 {
                    if length >= MAX_FRAME {
                        // No frame is as long: the bytes are not ours, and would be kept for ever.
                        self.break_stream(now, id);
                    }
                    break;
                }
                let bytes = consumed.saturating_sub(FRAME_PREFIX);
                self.journal.kind(
                    now,
                    (Carrier::Stream, remote),
                    kind,
                    Action::Received { kind, bytes },
                );
                if let Received::Payload { connection, channel, plaintext } = input.received {
                    self.role.payload(now, connection, channel, plaintext);
                }
                done += consumed;
                self.settle(now);
                self.frames_of(now, id, remote);
            }
            self.net.keep(id, self.room.get(done..filled).unwrap_or_default());
        }
    }

    fn break_stream(&mut self, now: Instant, id: StreamId) {
        if let Some(remote) = self.net.leave(now, id) {
            self.journal.step(now, remote, Action::Closed);
        }
        self.role.machine().handle_stream_state(now, id, StreamState::Closed);
    }

    /// Everything that the machine has to say and to send, the streams' frames too.
    pub(super) fn drain(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            self.settle(now);
            let mut busy = self.frames(now);
            for (id, remote) in self.net.flush(now) {
                busy = true;
                self.journal.step(now, remote, Action::Closed);
                self.role.machine().handle_stream_state(now, id, StreamState::Closed);
            }
            if !busy {
                return;
            }
        }
    }

    /// As [`Loop::drain`] without the frames, which wait in the machine until the end of the turn.
    pub(super) fn settle(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            let mut busy = self.commands(now);
            busy |= self.transmits(now);
            busy |= self.events(now);
            if !busy {
                return;
            }
        }
    }

    fn commands(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for _ in 0..PIECES {
            let Some(command) = self.role.machine().poll_command() else { break };
            busy = true;
            match command {
                Command::Connect { stream, remote } => self.connect(now, stream, None, remote),
                Command::ConnectFrom { stream, beside, remote } => {
                    self.connect(now, stream, Some(beside), remote);
                }
                Command::Shutdown { stream } => {
                    if let Some(remote) = self.net.leave(now, stream) {
                        self.journal.step(now, remote, Action::Closed);
                    }
                }
                Command::Listen { socket } => self.open_listener(now, socket),
                Command::Unlisten { .. } => self.net.unlisten(),
                Command::Bind { first, count } => self.bind(now, first, count),
                Command::Unbind { first, count } => self.net.unbind(first, count),
                other => self.journal.trouble(now, format!("unknown to this adapter: {other:?}")),
            }
        }
        busy
    }

    fn connect(
        &mut self,
        now: Instant,
        stream: StreamId,
        beside: Option<StreamId>,
        remote: SocketAddr,
    ) {
        self.journal.step(now, remote, Action::Connecting);
        if let Err(error) = self.net.connect(now, stream, beside, remote) {
            self.journal.trouble(now, format!("no TCP connection to {remote}: {error}"));
            self.journal.step(now, remote, Action::ConnectFailed);
            self.role.machine().handle_stream_state(now, stream, StreamState::Closed);
        }
    }

    fn open_listener(&mut self, now: Instant, socket: SocketId) {
        let opened = tcp(self.listen).and_then(|listener| self.net.listen(listener));
        let local = match opened {
            Ok(local) => Some(local),
            Err(error) => {
                let text = match self.listen {
                    Bind::At(address) => format!("cannot listen on {address}: {error}"),
                    Bind::Any => format!("cannot listen: {error}"),
                };
                self.journal.trouble(now, text);
                None
            }
        };
        self.role.machine().handle_bound(now, socket, local);
    }

    fn bind(&mut self, now: Instant, first: SocketId, count: u8) {
        let bound = self.net.bind(first, count);
        if let Err(error) = &bound {
            self.journal.trouble(now, format!("cannot open {count} UDP sockets: {error}"));
        }
        self.role.machine().handle_bound(now, first, bound.ok());
    }

    fn transmits(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for _ in 0..PIECES {
            let Some(mut transmit) = self.role.machine().poll_transmit(now) else { break };
            let (socket, remote) = (transmit.socket(), transmit.remote());
            if self.net.is_blocked(socket) {
                break;
            }
            let hops = transmit.hop_limit();
            busy = true;
            let Ok(length) = transmit.encode(&mut *self.scratch) else {
                transmit.abandon();
                continue;
            };
            let datagram = self.scratch.get(..length).unwrap_or_default();
            let sent = self.net.send(socket, datagram, remote, hops);
            match sent {
                Sent::Done => transmit.commit(),
                Sent::Lost => transmit.abandon(),
                // It stays queued in the machine.
                Sent::Blocked => break,
            }
            let at = (Carrier::Datagram(socket), remote);
            self.journal.message(now, at, datagram, |kind, bytes| {
                if sent == Sent::Done {
                    Action::Sent { kind, bytes }
                } else {
                    Action::Lost { kind, bytes }
                }
            });
        }
        busy
    }

    fn frames(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for (id, remote) in self.net.writable() {
            busy |= self.frames_of(now, id, remote);
        }
        busy
    }

    fn frames_of(&mut self, now: Instant, id: StreamId, remote: SocketAddr) -> bool {
        let mut busy = false;
        while self.net.takes_frames(id) {
            let Some(mut frame) = self.role.machine().poll_frame(now, id) else { break };
            let Ok(length) = frame.encode(&mut *self.scratch) else { break };
            frame.commit();
            busy = true;
            let bytes = self.scratch.get(..length).unwrap_or_default();
            self.net.push(id, bytes);
            let message = bytes.get(FRAME_PREFIX..).unwrap_or_default();
            let action = |kind, bytes| Action::Sent { kind, bytes };
            self.journal.message(now, (Carrier::Stream, remote), message, action);
        }
        busy
    }

    fn events(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for _ in 0..PIECES {
            let Some(event) = self.role.machine().poll_event() else { break };
            busy = true;
            self.role.observe(now, &event, &self.journal);
            self.journal.machine(now, event);
        }
        busy
    }
}
