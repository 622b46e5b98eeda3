//! A machine on a host, with its application, kept to the rules of the interface.
//!
//! After every call the machine is drained in the order that
//! [`genkan_core::Machine`] prescribes, and this is asserted, with the host's name:
//!
//! - a drain ends: it makes no more outputs than the host's limit (1,000 by default);
//! - after a drain the next timeout lies in the future;
//! - a descriptor that is dropped comes again, with the same destination and length;
//! - a short buffer is refused and left untouched;
//! - encoding twice gives the same length, the announced one; nothing beyond it is touched and
//!   nothing before it left out;
//! - a frame's prefix states its length;
//! - a stream's bytes are left alone while a frame is incomplete.
//!
//! The costly ones are done for one output in eight, by the host's share of chance.

use core::any::Any;
use core::fmt::Debug;
use core::net::SocketAddr;

use genkan_core::inspect::{KeyLog, LoggedRoot};
use genkan_core::{
    Channel, ConnectionId, Discard, Instant, MAX_DATAGRAM, MAX_FRAME, Machine, Received, SocketId,
    StreamId, StreamState,
};

use crate::checks::{THOROUGH, check_encode, check_prefix, encode};
use crate::leaser::Leaser;
use crate::node::{Io, Node};

/// The application on top of a machine.
pub trait App<M: Machine>: 'static {
    /// The machine has something to tell.
    fn event(&mut self, io: &mut Io, machine: &mut M, event: M::Event) {
        let _ = (io, machine, event);
    }

    /// The peer's application data arrived.
    fn payload(
        &mut self,
        io: &mut Io,
        machine: &mut M,
        connection: ConnectionId,
        channel: Channel,
        plaintext: &[u8],
    ) {
        let _ = (io, machine, connection, channel, plaintext);
    }
}

/// An application that does nothing.
impl<M: Machine> App<M> for () {}

/// Application data that arrived, in a [`Log`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inbound {
    /// When, by the host's clock.
    pub at: Instant,
    /// Over which connection.
    pub connection: ConnectionId,
    /// In which channel.
    pub channel: Channel,
    /// The plaintext.
    pub bytes: Vec<u8>,
}

/// An application that keeps all that it is told.
#[derive(Debug)]
pub struct Log<E> {
    /// The machine's events in order, with the host's time.
    pub events: Vec<(Instant, E)>,
    /// The payloads in order.
    pub payloads: Vec<Inbound>,
}

impl<E> Default for Log<E> {
    fn default() -> Self {
        Self { events: Vec::new(), payloads: Vec::new() }
    }
}

impl<M: Machine> App<M> for Log<M::Event>
where
    M::Event: 'static,
{
    fn event(&mut self, io: &mut Io, _: &mut M, event: M::Event) {
        self.events.push((io.now(), event));
    }

    fn payload(
        &mut self,
        io: &mut Io,
        _: &mut M,
        connection: ConnectionId,
        channel: Channel,
        plaintext: &[u8],
    ) {
        let bytes = plaintext.to_vec();
        self.payloads.push(Inbound { at: io.now(), connection, channel, bytes });
    }
}

/// A [`Node`] made of a machine and its application.
#[derive(Debug)]
pub struct Host<M, A> {
    machine: M,
    app: A,
    lease: Option<Lease<M>>,
}

/// What asks the box for a port, and how the machine is told.
#[derive(Debug)]
struct Lease<M> {
    leaser: Leaser,
    tell: fn(&mut M, Instant, Option<u16>),
}

impl<M: Machine, A: App<M>> Host<M, A> {
    /// Puts an application on a machine.
    pub const fn new(machine: M, app: A) -> Self {
        Self { machine, app, lease: None }
    }

    /// With a client of the box's beside the machine, which is told of its port so.
    pub(crate) fn with_lease(self, leaser: Leaser, tell: fn(&mut M, Instant, Option<u16>)) -> Self {
        Self { lease: Some(Lease { leaser, tell }), ..self }
    }
}

impl<M, A> Node for Host<M, A>
where
    M: Machine + KeyLog + 'static,
    M::Event: Debug,
    A: App<M>,
{
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        if let Some(lease) = &mut self.lease
            && lease.leaser.datagram(io.now(), socket, remote, bytes)
        {
            return;
        }
        let received = self.machine.handle_datagram(io.now(), socket, remote, bytes);
        hand_up(&mut self.machine, &mut self.app, io, received);
    }

    fn stream(&mut self, io: &mut Io, stream: StreamId, bytes: &mut [u8]) -> usize {
        let before = bytes.to_vec();
        let input = self.machine.handle_stream(io.now(), stream, bytes);
        let consumed = input.consumed;
        assert!(consumed <= before.len(), "{}: consumed more than there was", io.name());
        hand_up(&mut self.machine, &mut self.app, io, input.received);
        let untouched = consumed > 0 || before == bytes;
        assert!(untouched, "{}: an incomplete frame was changed", io.name());
        consumed
    }

    fn stream_state(&mut self, io: &mut Io, stream: StreamId, state: StreamState) {
        self.machine.handle_stream_state(io.now(), stream, state);
    }

    fn accept(&mut self, io: &mut Io, listener: SocketId, remote: SocketAddr) -> Option<StreamId> {
        self.machine.handle_accept(io.now(), listener, remote)
    }

    fn bound(&mut self, io: &mut Io, socket: SocketId, local: Option<SocketAddr>) {
        if !self.lease.as_mut().is_some_and(|lease| lease.leaser.bound(socket)) {
            self.machine.handle_bound(io.now(), socket, local);
        }
    }

    fn timeout(&mut self, io: &mut Io) {
        self.machine.handle_timeout(io.now());
    }

    fn drain(&mut self, io: &mut Io) -> Option<Instant> {
        let asks = self.drive_lease(io);
        if self.lease.as_ref().is_some_and(|lease| lease.leaser.holds(io.latest).is_some()) {
            return asks;
        }
        self.drain_all(io);
        let mut next = self.machine.poll_timeout().map(|wakeup| wakeup.at);
        // What was due anyway may still be: this call came first, the timer at the same moment.
        let was_due = io.announced.is_some_and(|at| at <= io.latest);
        if was_due && next.is_some_and(|at| at <= io.latest) {
            self.machine.handle_timeout(io.now());
            self.drain_all(io);
            next = self.machine.poll_timeout().map(|wakeup| wakeup.at);
        }
        if let Some(at) = next {
            let wakeup = self.machine.poll_timeout();
            assert!(at > io.latest, "{}: drained at {:?}, yet {wakeup:?}", io.name(), io.latest);
        }
        [next, asks].into_iter().flatten().min()
    }

    fn roots(&self, log: &mut dyn FnMut(LoggedRoot)) {
        self.machine.roots(log);
    }

    fn machine(&self) -> &dyn Any {
        &self.machine
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        &mut self.machine
    }

    fn app(&self) -> &dyn Any {
        &self.app
    }

    fn app_mut(&mut self) -> &mut dyn Any {
        &mut self.app
    }

    fn both_mut(&mut self) -> Option<(&mut dyn Any, &mut dyn Any)> {
        Some((&mut self.machine, &mut self.app))
    }
}

fn hand_up<M: Machine, A: App<M>>(
    machine: &mut M,
    app: &mut A,
    io: &mut Io,
    received: Received<'_>,
) {
    match received {
        Received::Control => {}
        Received::Payload { connection, channel, plaintext } => {
            app.payload(io, machine, connection, channel, plaintext);
        }
        Received::Discarded(reason) => discarded(io, reason),
    }
}

fn discarded(io: &mut Io, reason: Discard) {
    io.note(format!("discarded: {reason:?}"));
}

impl<M, A> Host<M, A>
where
    M: Machine,
    M::Event: Debug,
    A: App<M>,
{
    /// Asks the box for a port where one is wanted; when to do so again.
    fn drive_lease(&mut self, io: &mut Io) -> Option<Instant> {
        let Lease { leaser, tell } = self.lease.as_mut()?;
        if let Some(port) = leaser.drive(io) {
            io.note(format!("leased port: {port:?}"));
            tell(&mut self.machine, io.now(), port);
        }
        leaser.deadline(io.now())
    }

    /// Drains until nothing comes any more: the application may start new things with an event.
    fn drain_all(&mut self, io: &mut Io) {
        let mut outputs = 0;
        loop {
            let before = outputs;
            while let Some(command) = self.machine.poll_command() {
                io.command(command);
                outputs = count(io, outputs);
            }
            while self.drain_datagram(io) {
                outputs = count(io, outputs);
            }
            for stream in io.streams() {
                while self.drain_frame(io, stream) {
                    outputs = count(io, outputs);
                }
            }
            while let Some(event) = self.machine.poll_event() {
                io.note(format!("{event:?}"));
                self.app.event(io, &mut self.machine, event);
                outputs = count(io, outputs);
            }
            if outputs == before {
                return;
            }
        }
    }

    fn drain_datagram(&mut self, io: &mut Io) -> bool {
        let now = io.now();
        let Some(mut tx) = self.machine.poll_transmit(now) else { return false };
        let (head, hop_limit) = ((tx.socket(), tx.remote(), tx.len()), tx.hop_limit());
        assert!((1..=MAX_DATAGRAM).contains(&head.2), "{}: {} bytes", io.name(), head.2);
        if io.rng.chance(THOROUGH) {
            check_encode(io.name(), head.2, |buf| tx.encode(buf));
            let Some(again) = self.machine.poll_transmit(now) else {
                return gone(io);
            };
            let same = (again.socket(), again.remote(), again.len()) == head;
            assert!(same, "{}: a dropped datagram came back changed", io.name());
            tx = again;
        }
        let bytes = encode(io.name(), head.2, |buf| tx.encode(buf));
        if io.rng.chance(io.send_errors) {
            tx.abandon();
            io.note(format!("could not send {} B to {}", head.2, head.1));
            return true;
        }
        tx.commit();
        io.send_datagram(head.0, head.1, hop_limit, bytes);
        true
    }

    fn drain_frame(&mut self, io: &mut Io, stream: StreamId) -> bool {
        let (now, room) = (io.now(), io.room(stream));
        if room == 0 {
            return false;
        }
        let Some(mut frame) = self.machine.poll_frame(now, stream) else { return false };
        let len = frame.len();
        assert!((1..=MAX_FRAME).contains(&len), "{}: {len} bytes", io.name());
        assert!(frame.stream() == stream, "{}: a frame for another stream", io.name());
        if len > room {
            return false;
        }
        if io.rng.chance(THOROUGH) {
            check_encode(io.name(), len, |buf| frame.encode(buf));
            let Some(again) = self.machine.poll_frame(now, stream) else { return gone(io) };
            assert!(again.len() == len, "{}: a dropped frame came back changed", io.name());
            frame = again;
        }
        let bytes = encode(io.name(), len, |buf| frame.encode(buf));
        frame.commit();
        check_prefix(io.name(), &bytes);
        assert!(io.write(stream, bytes), "{}: there was room", io.name());
        true
    }
}

fn count(io: &Io, outputs: usize) -> usize {
    let limit = io.drain_limit;
    assert!(outputs < limit, "{}: more than {limit} outputs in one drain", io.name());
    outputs + 1
}

fn gone(io: &Io) -> bool {
    assert!(io.name().is_empty(), "{}: a dropped descriptor did not come back", io.name());
    false
}
