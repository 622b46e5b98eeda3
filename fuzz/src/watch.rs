//! What is asserted of every machine after every call.
//!
//! A [`Watch`] drains a machine in the documented order and looks at all that comes out: it is
//! bounded, each message is as long as announced and goes the right way, nothing was lost from a
//! queue that was drained in time, and the next deadline lies ahead, at a finite distance.

use core::cell::RefCell;
use core::fmt::Debug;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use genkan_core::wire::Kind;
use genkan_core::{
    Command, Counters, FRAME_PREFIX, Instant, MAX_DATAGRAM, MAX_FRAME, Machine, Received, SocketId,
    StreamId, StreamState, Wakeup,
};

use crate::sockets::Sockets;

/// The most that one call may bring out of a machine. Each queue holds 64 at the most.
const MOST: usize = 400;
/// No deadline is further away: a session lasts a day.
const HORIZON: Duration = Duration::from_secs(2 * 86_400);

/// A datagram: to where, what, and from which socket.
pub(crate) type Sent = (SocketAddr, Vec<u8>, SocketId);

/// What came out of a machine.
#[derive(Debug)]
pub(crate) struct Out<E> {
    pub(crate) datagrams: Vec<Sent>,
    /// Without their prefix.
    pub(crate) frames: Vec<(StreamId, Vec<u8>)>,
    pub(crate) commands: Vec<Command>,
    pub(crate) events: Vec<E>,
}

impl<E: Debug> Out<E> {
    /// All of it in a line.
    fn told(&self, now: Instant, wakeup: Option<Wakeup>) -> String {
        let kind = |bytes: &[u8]| Kind::of(bytes).map(|kind| (kind, bytes.len()));
        let datagrams: Vec<_> =
            self.datagrams.iter().map(|(to, b, from)| (from.0, to, kind(b))).collect();
        let frames: Vec<_> = self.frames.iter().map(|(id, b)| (id.index, kind(b))).collect();
        let (at, commands, events) = (now.as_micros(), &self.commands, &self.events);
        format!("{at} µs: {datagrams:?} {frames:?} {commands:?} {events:?}; then {wakeup:?}")
    }

    pub(crate) const fn is_silent(&self) -> bool {
        self.datagrams.is_empty()
            && self.frames.is_empty()
            && self.commands.is_empty()
            && self.events.is_empty()
    }
}

/// A stream as its machine's caller knows it.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) remote: SocketAddr,
    pub(crate) up: bool,
    /// What has arrived and was not consumed.
    held: Vec<u8>,
}

/// The caller of one machine.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The latest time that the machine was told.
    pub(crate) now: Instant,
    pub(crate) streams: BTreeMap<StreamId, Pipe>,
    pub(crate) sockets: Sockets,
    /// Whether the machine sends what a server or an acceptor sends (to peers).
    downward: bool,
}

impl Watch {
    pub(crate) fn new(now: Instant, downward: bool) -> Self {
        Self { now, streams: BTreeMap::new(), sockets: Sockets::default(), downward }
    }

    /// A stream was accepted.
    pub(crate) fn accepted(&mut self, stream: StreamId, remote: SocketAddr) {
        let pipe = Pipe { remote, up: true, held: Vec::new() };
        assert!(self.streams.insert(stream, pipe).is_none(), "{stream:?} names two streams");
    }

    /// The `nth` stream.
    pub(crate) fn stream(&self, nth: usize) -> Option<StreamId> {
        let count = self.streams.len();
        (count > 0).then(|| self.streams.keys().nth(nth % count).copied()).flatten()
    }

    /// A stream's state has changed.
    pub(crate) fn state<M: Machine<Event: Debug>>(
        &mut self,
        machine: &mut M,
        id: StreamId,
        state: StreamState,
    ) {
        match (state, self.streams.get_mut(&id)) {
            (StreamState::Connected, Some(pipe)) => pipe.up = true,
            (StreamState::Closed, _) => drop(self.streams.remove(&id)),
            _ => {}
        }
        machine.handle_stream_state(self.now, id, state);
    }

    /// Bytes arrive on a stream: the machine gets what stands there until it wants more. The drains
    /// after each frame, one after the other.
    pub(crate) fn feed<M: Machine<Event: Debug>>(
        &mut self,
        machine: &mut M,
        id: StreamId,
        bytes: &[u8],
    ) -> Vec<Out<M::Event>> {
        let mut outs = Vec::new();
        let Some(pipe) = self.streams.get_mut(&id) else { return outs };
        pipe.held.extend_from_slice(bytes);
        while let Some(pipe) = self.streams.get_mut(&id) {
            let before = pipe.held.len();
            let input = machine.handle_stream(self.now, id, &mut pipe.held);
            let consumed = input.consumed;
            assert!(consumed <= before, "consumed {consumed} of {before}");
            if consumed == 0 {
                assert_eq!(input.received, Received::Control, "nothing was consumed");
                assert!(before < MAX_FRAME, "{before} bytes do not suffice");
                break;
            }
            pipe.held.drain(..consumed);
            outs.push(self.drain(machine));
        }
        outs
    }

    /// Everything that the machine has to say now.
    pub(crate) fn drain<M: Machine<Event: Debug>>(&mut self, machine: &mut M) -> Out<M::Event> {
        let (datagrams, frames, commands, events) = Default::default();
        let mut out = Out { datagrams, frames, commands, events };
        // What is said on a stream may end it, so commands are asked for once more at the end.
        for _ in 0..2 {
            while let Some(command) = machine.poll_command() {
                self.obey(command);
                out.commands.push(command);
                assert!(out.commands.len() < MOST, "commands without end");
            }
            self.datagrams(machine, &mut out);
            self.frames(machine, &mut out);
            while let Some(event) = machine.poll_event() {
                out.events.push(event);
                assert!(out.events.len() < MOST, "events without end");
            }
        }
        story(|| out.told(self.now, machine.poll_timeout()));
        out.events.iter().for_each(reach);
        if let Some(wakeup) = machine.poll_timeout() {
            assert!(wakeup.at > self.now, "drained, yet due: {wakeup:?} at {:?}", self.now);
            let far = wakeup.at.since(self.now);
            assert!(far < HORIZON, "{wakeup:?} is {far:?} away");
        }
        out
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Connect { stream, remote } => {
                let pipe = Pipe { remote, up: false, held: Vec::new() };
                assert!(self.streams.insert(stream, pipe).is_none(), "{stream:?} is in use");
            }
            Command::ConnectFrom { stream, beside, remote } => {
                let stands = self.streams.get(&beside).is_some_and(|pipe| pipe.up);
                assert!(stands, "{stream:?} from the port of {beside:?}, which does not stand");
                let pipe = Pipe { remote, up: false, held: Vec::new() };
                assert!(self.streams.insert(stream, pipe).is_none(), "{stream:?} is in use");
            }
            Command::Shutdown { stream } => drop(self.streams.remove(&stream)),
            Command::Bind { first, count } => self.sockets.bind(first, count),
            Command::Unbind { first, count } => self.sockets.unbind(first, count),
            _ => {}
        }
    }

    fn datagrams<M: Machine<Event: Debug>>(&self, machine: &mut M, out: &mut Out<M::Event>) {
        while let Some(mut transmit) = machine.poll_transmit(self.now) {
            let (len, remote, socket) = (transmit.len(), transmit.remote(), transmit.socket());
            assert!((1..=MAX_DATAGRAM).contains(&len), "a datagram of {len} bytes");
            let mut bytes = vec![0; len];
            assert!(transmit.encode(&mut bytes[..len - 1]).is_err(), "fits into less than it says");
            assert_eq!(transmit.encode(&mut bytes), Ok(len));
            transmit.commit();
            self.direction(&bytes, false, socket);
            out.datagrams.push((remote, bytes, socket));
            assert!(out.datagrams.len() < MOST, "datagrams without end");
        }
    }

    fn frames<M: Machine<Event: Debug>>(&self, machine: &mut M, out: &mut Out<M::Event>) {
        for (&stream, _) in self.streams.iter().filter(|(_, pipe)| pipe.up) {
            while let Some(mut frame) = machine.poll_frame(self.now, stream) {
                let len = frame.len();
                assert!((FRAME_PREFIX + 1..=MAX_FRAME).contains(&len), "a frame of {len} bytes");
                let mut bytes = vec![0; len];
                assert_eq!(frame.encode(&mut bytes), Ok(len));
                frame.commit();
                let message = bytes.split_off(FRAME_PREFIX);
                assert_eq!(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])), message.len());
                self.direction(&message, true, SocketId::MAIN);
                out.frames.push((stream, message));
                assert!(out.frames.len() < MOST, "frames without end");
            }
        }
    }

    /// What machines send goes the right way (threat T10), from a socket that is theirs. An acceptor
    /// speaks to issuers too, where its messages go down. A server's probes, and nothing else, leave
    /// from its other ends; those that an acceptor has asked for, from the main one.
    fn direction(&self, message: &[u8], on_stream: bool, socket: SocketId) {
        let kind = Kind::of(message).expect("a message of this version");
        let peer = match kind {
            Kind::Answer | Kind::AcceptorTransport => true,
            Kind::AcceptorPunch => !on_stream,
            _ => false,
        };
        let fine = kind.is_downward() == self.downward || peer;
        assert!(fine, "{kind:?} is not for this machine to send");
        let probes = [SocketId::OTHER_PORT, SocketId::OTHER_ADDRESS].contains(&socket);
        if self.downward {
            assert!(probes || socket == SocketId::MAIN, "{kind:?} from {socket:?}");
            let unasked = kind == Kind::FilterProbe && message.get(1) != Some(&3);
            assert_eq!(probes, unasked, "{kind:?} from {socket:?}");
        } else {
            assert!(self.sockets.is_open(socket), "{kind:?} from {socket:?}, which is not open");
        }
    }

    /// Time passes; what is due is done when it is due, unless `late`: then only at the end.
    pub(crate) fn pass<M: Machine<Event: Debug>>(
        &mut self,
        machine: &mut M,
        time: Duration,
        late: bool,
        mut each: impl FnMut(&mut Self, &mut M, Out<M::Event>),
    ) -> usize {
        let end = self.now.after(time);
        let mut wakes = 0;
        while let Some(wakeup) = machine.poll_timeout().filter(|wakeup| wakeup.at <= end) {
            self.now = if late { end } else { wakeup.at };
            machine.handle_timeout(self.now);
            let out = self.drain(machine);
            each(self, machine, out);
            wakes += 1;
            assert!(wakes < 200_000, "{wakes} deadlines in {time:?}");
        }
        self.now = end;
        wakes
    }
}

thread_local! {
    static REACHED: RefCell<Option<BTreeSet<String>>> = const { RefCell::new(None) };
}

/// Remembers that something was told, where anybody asks.
fn reach<E: Debug>(event: &E) {
    REACHED.with_borrow_mut(|reached| {
        if let Some(reached) = reached {
            let text = format!("{event:?}");
            let name = text.split(|letter: char| !letter.is_alphanumeric()).next();
            reached.insert(name.unwrap_or_default().to_owned());
        }
    });
}

/// The names of the events that machines tell while `runs` does whatever it does on this thread: a
/// scenario that reaches nothing shows nothing.
pub fn reached(runs: impl FnOnce()) -> BTreeSet<String> {
    REACHED.set(Some(BTreeSet::new()));
    runs();
    REACHED.take().unwrap_or_default()
}

/// A line of what happens, for whoever replays one input: printed when `FUZZ_STORY` is set.
pub(crate) fn story(line: impl FnOnce() -> String) {
    use std::sync::OnceLock;

    static TOLD: OnceLock<bool> = OnceLock::new();
    if *TOLD.get_or_init(|| std::env::var_os("FUZZ_STORY").is_some()) {
        eprintln!("{}", line());
    }
}

/// Nothing gets lost in a machine that is drained after every call.
pub(crate) fn nothing_lost(counters: &Counters) {
    assert_eq!(counters.lost_events(), 0, "lost in a queue that was drained");
}
