//! What happens in one turn, whatever the sockets.
//!
//! A watchdog must know how long a turn may take, and a request costs as much as ten thousands of
//! keepalives: a turn therefore takes in messages for so much work only, and leaves the others where
//! they are, in the stack's rings. The turn after it is due at once. What has come is taken in
//! portions, from one socket after the other, and each turn begins with another one, so that who
//! floods some holds up nobody at the others.

use genkan_core::{Command, Discard, Instant, Machine, Received, SocketId, StreamState};

use crate::app::{App, Outlet};
use crate::sockets::{Stack, TcpChange, Unplaced};

/// Rounds of draining, after which a machine or application that always wants more has to wait for
/// the next turn.
pub const ROUNDS: usize = 64;

/// Messages in one turn that may each be a request: arithmetic on the curve, which takes a
/// microcontroller a second. At most half of them are datagrams: a flood of these leaves the other
/// half to streams.
pub const REQUESTS: u16 = 8;
/// Messages that weigh as much as one of those: payloads, and what is discarded at a look.
const LIGHT: u16 = 64;
/// The weight of all that one turn takes in.
const LOAD: u16 = REQUESTS * LIGHT;
/// What datagrams leave of it.
const FOR_STREAMS: u16 = LOAD / 2;

/// All that a turn works on.
#[derive(Debug)]
pub struct Turn<'t, M, A, S> {
    /// The machine.
    pub machine: &'t mut M,
    /// The application.
    pub app: &'t mut A,
    /// The sockets.
    pub stack: S,
    /// The time.
    pub now: Instant,
    /// How much may still be taken in.
    left: u16,
    /// Which place is the first of this turn's: more than there are begin anew.
    first: usize,
    /// One bit for each of the first 64 connections: in this round, no frame was left in it.
    read_out: u64,
}

#[cfg(feature = "defmt")]
impl<M, A, S> defmt::Format for Turn<'_, M, A, S> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Turn at {}, {=u16} left", self.now, self.left);
    }
}

impl<'t, M: Machine, A: App<M>, S: Stack> Turn<'t, M, A, S> {
    /// A turn that begins; `number` is one more each time, or any other where there is one place only.
    pub const fn new(
        machine: &'t mut M,
        app: &'t mut A,
        stack: S,
        now: Instant,
        number: usize,
    ) -> Self {
        Self { machine, app, stack, now, left: LOAD, first: number, read_out: 0 }
    }

    /// Whether this turn takes no more datagrams in. There may be more, of frames, too: the next turn
    /// is due at once.
    pub const fn is_full(&self) -> bool {
        self.left <= FOR_STREAMS
    }

    /// Has everything done that can be done now: what has come is handled, as far as one turn goes,
    /// each piece with all its consequences, then the machine is drained in its order, and the
    /// application sends. Whether anything but datagrams and frames came of it, so that there may be
    /// more; and when the application wants to be called.
    pub fn round(&mut self) -> (bool, Instant) {
        self.read_out = 0;
        self.take_in(self.stack.ports(), FOR_STREAMS, Self::datagram_in);
        self.take_in(self.stack.wires(), 0, Self::frame_in);
        let mut busy = self.settle();
        busy |= self.frames();
        busy |= self.changes();
        let stack = &mut self.stack;
        let mut outlet = Outlet { machine: self.machine, stack, now: self.now, sent: false };
        let wake = self.app.pump(self.now, &mut outlet);
        busy |= outlet.sent;
        // It may have told the machine its wishes.
        busy |= self.settle();
        busy |= self.frames();
        (busy, wake)
    }

    /// Tells the machine the time when it has asked for that; whether it had.
    pub fn timeout(&mut self) -> bool {
        let due = self.machine.poll_timeout().is_some_and(|wakeup| wakeup.at <= self.now);
        if due {
            self.machine.handle_timeout(self.now);
        }
        due
    }

    /// Takes messages from one place after the other, a portion from each, until none has any or
    /// only `kept` is left.
    fn take_in(&mut self, places: usize, kept: u16, one: fn(&mut Self, usize) -> bool) {
        let mut more = true;
        while core::mem::take(&mut more) {
            for step in 0..places {
                let index = self.first.wrapping_add(step) % places;
                let end = kept.max(self.left.saturating_sub(LIGHT));
                while self.left > end && one(self, index) {
                    self.settle();
                    more |= self.left <= end;
                }
                if self.left <= end {
                    // The machine keeps room for a few answers only.
                    self.frames();
                }
            }
        }
    }

    // Frames of their own: what one of them has on the stack does not lie beneath what another calls.

    /// Hands one datagram to the machine; whether there was one.
    #[inline(never)]
    fn datagram_in(&mut self, index: usize) -> bool {
        let now = self.now;
        let Some((socket, remote, datagram)) = self.stack.receive(index) else { return false };
        let received = self.machine.handle_datagram(now, socket, remote, datagram);
        self.left = self.left.saturating_sub(weight(&received));
        deliver(now, self.machine, self.app, received);
        true
    }

    /// Hands one frame to the machine; whether there was one.
    #[inline(never)]
    fn frame_in(&mut self, index: usize) -> bool {
        let now = self.now;
        let Some(id) = self.stack.open(index) else { return false };
        let (machine, app, left) = (&mut *self.machine, &mut *self.app, &mut self.left);
        let was_one = self.stack.read(index, &mut |bytes| {
            let input = machine.handle_stream(now, id, bytes);
            if input.consumed > 0 {
                *left = left.saturating_sub(weight(&input.received));
            }
            deliver(now, machine, app, input.received);
            input.consumed
        });
        if !was_one {
            self.read_out |= bit(index);
        }
        was_one
    }

    /// What need not wait for room in a stream.
    fn settle(&mut self) -> bool {
        let mut busy = false;
        for _ in 0..ROUNDS {
            let mut more = self.commands();
            more |= self.transmits();
            more |= tell(self.now, self.machine, self.app);
            if !more {
                break;
            }
            busy = true;
        }
        busy
    }

    #[inline(never)]
    fn commands(&mut self) -> bool {
        let mut busy = false;
        let (now, stack) = (self.now, &mut self.stack);
        while let Some(command) = self.machine.poll_command() {
            busy = true;
            match command {
                Command::Connect { stream, remote } => {
                    let begun = stack.connect(stream, remote);
                    if !begun {
                        self.machine.handle_stream_state(now, stream, StreamState::Closed);
                    }
                }
                Command::ConnectFrom { stream, beside, remote } => {
                    let begun = stack.connect_from(stream, beside, remote);
                    if !begun {
                        self.machine.handle_stream_state(now, stream, StreamState::Closed);
                    }
                }
                Command::Shutdown { stream } => stack.leave(stream),
                Command::Listen { socket } => {
                    let local = stack.listen();
                    self.machine.handle_bound(now, socket, local);
                }
                Command::Unlisten { .. } => stack.unlisten(),
                Command::Bind { first, count } => {
                    let local = stack.bind(first, count);
                    self.machine.handle_bound(now, first, local);
                }
                Command::Unbind { first, count } => stack.unbind(first, count),
                // None that this version knows.
                _ => {}
            }
        }
        busy
    }

    #[inline(never)]
    fn transmits(&mut self) -> bool {
        let mut busy = false;
        while let Some(mut transmit) = self.machine.poll_transmit(self.now) {
            let (socket, remote) = (transmit.socket(), transmit.remote());
            let (hops, length) = (transmit.hop_limit(), transmit.len());
            let encode = &mut |room: &mut [u8]| transmit.encode(room).is_ok();
            match self.stack.send_datagram(socket, remote, hops, length, encode) {
                Ok(()) => transmit.commit(),
                Err(Unplaced::Lost) => transmit.abandon(),
                // It stays queued in the machine.
                Err(Unplaced::Full) => break,
            }
            busy = true;
        }
        busy
    }

    #[inline(never)]
    fn frames(&mut self) -> bool {
        let mut busy = false;
        for index in 0..self.stack.wires() {
            let Some(id) = self.stack.open(index) else { continue };
            while let Some(mut frame) = self.machine.poll_frame(self.now, id) {
                let length = frame.len();
                if !self.stack.write(id, length, &mut |room| frame.encode(room).is_ok()) {
                    break;
                }
                frame.commit();
                busy = true;
            }
        }
        busy
    }

    /// What has become of connections.
    #[inline(never)]
    fn changes(&mut self) -> bool {
        let mut busy = false;
        let now = self.now;
        for index in 0..self.stack.wires() {
            let is_read_out = self.read_out & bit(index) != 0;
            if self.left == 0 && !is_read_out && self.stack.open(index).is_some() {
                // It may have ended; but frames may be left that came before its end.
                continue;
            }
            match self.stack.change(index) {
                Some(TcpChange::State(id, state)) => {
                    self.machine.handle_stream_state(now, id, state);
                }
                Some(TcpChange::Caller(remote)) => {
                    match self.machine.handle_accept(now, SocketId::LISTENER, remote) {
                        Some(id) => self.stack.adopt(index, id),
                        None => self.stack.refuse(index),
                    }
                }
                None => continue,
            }
            busy = true;
            self.settle();
        }
        self.stack.attend();
        busy
    }
}

/// A connection's bit in `read_out`.
fn bit(index: usize) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index)).unwrap_or(0)
}

/// How much of a turn's load a message was.
const fn weight(received: &Received<'_>) -> u16 {
    match received {
        // A handshake or certificate may be found out to be forged, or of no use, by its arithmetic only.
        Received::Control
        | Received::Discarded(
            Discard::Unauthentic
            | Discard::BadCertificate
            | Discard::TableFull
            | Discard::NoEntropy,
        ) => LIGHT,
        Received::Payload { .. } | Received::Discarded(_) => 1,
    }
}

/// Gives the application a payload.
fn deliver<M: Machine, A: App<M>>(
    now: Instant,
    machine: &mut M,
    app: &mut A,
    received: Received<'_>,
) {
    if let Received::Payload { connection, channel, plaintext } = received {
        tell(now, machine, app);
        app.payload(now, connection, channel, plaintext);
    }
}

/// Gives the application the machine's events. Before a payload, too: the one that confirms a
/// connection comes right with it.
fn tell<M: Machine, A: App<M>>(now: Instant, machine: &mut M, app: &mut A) -> bool {
    let mut busy = false;
    while let Some(event) = machine.poll_event() {
        busy = true;
        app.event(now, machine, event);
    }
    busy
}
