//! What happens in one turn.

use genkan_core::{Command, Instant, Machine, Received, SocketId, StreamState};
use smoltcp::iface::{PollIngressSingleResult, PollResult};
use smoltcp::phy::Device;
use smoltcp::socket::tcp::Socket;

use crate::addr::{instant, time};
use crate::app::{App, Outlet};
use crate::counters::tally;
use crate::node::Options;
use crate::tcp::{Change, Wire};
use crate::udp::Unplaced;
use crate::view::View;

/// Packets taken in one turn.
const ARRIVALS: usize = 32;
/// Rounds of draining, after which a machine or application that always wants more has to wait for
/// the next turn.
const ROUNDS: usize = 64;
/// How soon the next turn is when something is due that this one could not do.
const FLOOR: core::time::Duration = core::time::Duration::from_millis(1);

/// All that a turn works on.
pub(crate) struct Turn<'t, 's, M, A> {
    pub(crate) machine: &'t mut M,
    pub(crate) app: &'t mut A,
    pub(crate) view: View<'t, 's>,
}

impl<M: Machine, A: App<M>> Turn<'_, '_, M, A> {
    /// Opens what is open from the start; the main port.
    pub(crate) fn begin(&mut self, options: &Options) -> u16 {
        let main = match options.port {
            // Without a free port among sixteen thousand, every datagram is counted as unsendable.
            0 => self.view.free_ports(1, false).unwrap_or(0),
            port => port,
        };
        self.view.open_port(SocketId::MAIN, main);
        if let Some(port) = options.other_port {
            self.view.open_port(SocketId::OTHER_PORT, port);
        }
        if options.listening {
            self.view.listen();
        }
        main
    }

    /// Takes packets in, each with all its consequences: a ring then holds one at a time.
    pub(crate) fn arrivals<D: Device + ?Sized>(&mut self, device: &mut D) -> Instant {
        let at = time(self.view.now);
        for _ in 0..ARRIVALS {
            let (iface, sockets) = (&mut *self.view.iface, &mut *self.view.sockets);
            match iface.poll_ingress_single(at, device, sockets) {
                PollIngressSingleResult::None => return Instant::END,
                _ => {
                    self.drain(device);
                }
            }
        }
        self.view.now
    }

    /// Whatever is to be done, until nothing is left; when the application wants to be called.
    pub(crate) fn drain<D: Device + ?Sized>(&mut self, device: &mut D) -> Instant {
        for _ in 0..ROUNDS {
            self.datagrams();
            self.streams();
            let mut busy = self.settle();
            busy |= self.frames();
            busy |= self.changes();
            let now = self.view.now;
            let mut outlet = Outlet { machine: self.machine, view: self.view.lend(), sent: false };
            let wake = self.app.pump(now, &mut outlet);
            busy |= outlet.sent;
            busy |= self.egress(device);
            if !busy {
                return wake;
            }
        }
        self.view.now
    }

    fn datagrams(&mut self) {
        for index in 0..self.view.ports.len() {
            while let Some((socket, remote, length)) = self.view.receive(index) {
                let now = self.view.now;
                let Some(datagram) = self.view.scratch.get_mut(..length) else { continue };
                let received = self.machine.handle_datagram(now, socket, remote, datagram);
                if let Received::Payload { connection, channel, plaintext } = received {
                    tell(now, self.machine, self.app);
                    self.app.payload(now, connection, channel, plaintext);
                }
                self.settle();
            }
        }
    }

    fn streams(&mut self) {
        for index in 0..self.view.wires.len() {
            while self.frame_in(index) {
                self.settle();
            }
        }
    }

    /// Hands one frame to the machine, in the ring where it lies there in one piece; whether there
    /// was one.
    fn frame_in(&mut self, index: usize) -> bool {
        let now = self.view.now;
        let Some(id) = self.view.wires.get(index).and_then(Wire::open) else { return false };
        let (machine, app) = (&mut *self.machine, &mut *self.app);
        let mut handle = |bytes: &mut [u8]| {
            let input = machine.handle_stream(now, id, bytes);
            if let Received::Payload { connection, channel, plaintext } = input.received {
                tell(now, machine, app);
                app.payload(now, connection, channel, plaintext);
            }
            input.consumed
        };
        let Some((socket, scratch)) = self.view.tcp_and_scratch(index) else { return false };
        let waiting = socket.recv_queue();
        if waiting == 0 {
            return false;
        }
        let mut piece = 0;
        let in_place = |bytes: &mut [u8]| {
            piece = bytes.len();
            let consumed = handle(bytes);
            (consumed, consumed)
        };
        let mut consumed = socket.recv(in_place).unwrap_or(0);
        if consumed == 0 && piece < waiting {
            // The frame goes over the ring's end.
            let length = socket.peek_slice(scratch).unwrap_or(0);
            consumed = scratch.get_mut(..length).map_or(0, handle);
            discard(socket, consumed);
        }
        consumed > 0
    }

    /// What need not wait for room in a stream.
    fn settle(&mut self) -> bool {
        let mut busy = false;
        for _ in 0..ROUNDS {
            let mut more = self.commands();
            more |= self.transmits();
            more |= tell(self.view.now, self.machine, self.app);
            if !more {
                break;
            }
            busy = true;
        }
        busy
    }

    fn commands(&mut self) -> bool {
        let mut busy = false;
        while let Some(command) = self.machine.poll_command() {
            busy = true;
            let now = self.view.now;
            match command {
                Command::Connect { stream, remote } => {
                    let begun = self.view.connect(stream, remote);
                    if !begun {
                        self.machine.handle_stream_state(now, stream, StreamState::Closed);
                    }
                }
                Command::Shutdown { stream } => self.view.leave(stream),
                Command::Listen { socket } => {
                    let local = self.view.listen();
                    self.machine.handle_bound(now, socket, local);
                }
                Command::Unlisten { .. } => self.view.unlisten(),
                Command::Bind { first, count } => {
                    let local = self.view.bind(first, count);
                    self.machine.handle_bound(now, first, local);
                }
                Command::Unbind { first, count } => self.view.unbind(first, count),
                // None that this version knows.
                _ => {}
            }
        }
        busy
    }

    fn transmits(&mut self) -> bool {
        let mut busy = false;
        while let Some(mut transmit) = self.machine.poll_transmit(self.view.now) {
            let (socket, remote) = (transmit.socket(), transmit.remote());
            match self.view.datagram(socket, remote, transmit.hop_limit(), transmit.len()) {
                Ok(room) => {
                    // The room has just the length.
                    let _ = transmit.encode(room);
                    transmit.commit();
                }
                Err(Unplaced::Lost) => transmit.abandon(),
                // It stays queued in the machine.
                Err(Unplaced::Full) => break,
            }
            busy = true;
        }
        busy
    }

    fn frames(&mut self) -> bool {
        let mut busy = false;
        for index in 0..self.view.wires.len() {
            let Some(id) = self.view.wires.get(index).and_then(Wire::open) else { continue };
            while let Some(mut frame) = self.machine.poll_frame(self.view.now, id) {
                let length = frame.len();
                if !self.view.write(id, length, &mut |room| frame.encode(room).is_ok()) {
                    break;
                }
                frame.commit();
                busy = true;
            }
        }
        busy
    }

    /// What has become of connections.
    fn changes(&mut self) -> bool {
        let mut busy = false;
        let now = self.view.now;
        for index in 0..self.view.wires.len() {
            match self.view.change(index) {
                Some(Change::State(id, state)) => self.machine.handle_stream_state(now, id, state),
                Some(Change::Caller(index, remote)) => {
                    match self.machine.handle_accept(now, SocketId::LISTENER, remote) {
                        Some(id) => self.view.adopt(index, id),
                        None => {
                            tally(&mut self.view.lasting.counters.refused);
                            self.view.reset(index);
                        }
                    }
                }
                None => continue,
            }
            busy = true;
            self.settle();
        }
        self.view.attend();
        busy
    }

    /// Packets out; whether any was.
    fn egress<D: Device + ?Sized>(&mut self, device: &mut D) -> bool {
        let mut busy = false;
        let at = time(self.view.now);
        self.view.mark_ports();
        let View { iface, sockets, .. } = &mut self.view;
        while iface.poll_egress(at, device, sockets) == PollResult::SocketStateChanged {
            busy = true;
        }
        self.view.sweep_ports();
        busy
    }

    /// When the next turn is due, as far as machine and stack go.
    pub(crate) fn deadline(&mut self) -> Instant {
        let now = self.view.now;
        let stack = self.view.iface.poll_at(time(now), self.view.sockets).map(instant);
        let machine = self.machine.poll_timeout().map(|wakeup| wakeup.at);
        let all = [stack, machine, self.view.ports_deadline(), self.view.wires_deadline()];
        let next = all.into_iter().flatten().min().unwrap_or(Instant::END);
        // What is due now and was not done waits for the device.
        if next <= now { now.after(FLOOR) } else { next }
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

/// Takes bytes off the front of a ring, over its end where need be.
fn discard(socket: &mut Socket<'_>, mut count: usize) {
    while count > 0 {
        let taken = socket.recv(|bytes| {
            let taken = bytes.len().min(count);
            (taken, taken)
        });
        match taken {
            Ok(taken @ 1..) => count -= taken,
            _ => return,
        }
    }
}
