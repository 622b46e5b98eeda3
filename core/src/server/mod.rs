//! The server: keeps the equipment list and passes requests on.
//!
//! ```text
//! clients.rs      the equipment list: a slot for each session over datagrams; index.rs: by id
//! handshake.rs    certificates, Noise responses, cookies, resumption
//! inbound.rs      what arrives in datagrams: keepalives and transport messages
//! streams.rs      a slot for each TCP connection; stream.rs: what arrives there
//! requests.rs     a slot for each request; rendezvous.rs: what becomes of it
//! measure.rs      what equipment's NATs are like; lifetime.rs: how long they keep a mapping
//! leases.rs       which ports boxes have opened, by proof; punch.rs, calls.rs: how two ends meet
//! outbound.rs     what is due to leave; timers.rs: what time brings
//! ```
//!
//! An address that has not proven itself is sent no more bytes than it sent (threat T9), and costs no
//! memory: the certificate request is padded to the certificate's length, a Response is shorter than
//! an Initiation, a hint as long as a keepalive. Under load an Initiation must carry a cookie first.
//! Handshake message 1 alone replaces no session and no address: the first transport message does.

mod calls;
mod clients;
mod config;
mod handshake;
mod inbound;
mod index;
#[cfg(feature = "inspect")]
mod inspect;
mod leases;
mod lifetime;
mod measure;
mod outbound;
mod pending;
mod punch;
mod rendezvous;
mod requests;
mod stream;
mod streams;
mod timers;

use core::net::SocketAddr;

use heapless::Deque;

use crate::counters::Counters;
use crate::crypto::keys::{half, other_half};
use crate::entropy::{Draw, Entropy, Hedge};
use crate::id::{EquipmentId, SocketId, StreamId};
use crate::limit::Bucket;
use crate::machine::{
    Command, Discard, Machine, Received, StreamInput, StreamState, TimerKind, Wakeup,
};
use crate::time::{Instant, earliest};
use crate::transmit::{DatagramHead, FrameHead, Outbox, sealed};
use crate::wire::certificate::Certificate;
pub use clients::{ClientSlot, MAX_CLIENTS};
pub use config::{Delivery, ServerConfig, ServerError, ServerEvent};
use handshake::Keys;
use index::Index;
use measure::Measurements;
use outbound::Out;
use pending::Pending;
pub use requests::RequestSlot;
pub use streams::StreamSlot;

/// Events and datagrams that wait; a caller that drains never comes near it.
const QUEUE: usize = 64;
/// Handshakes that wait for their first transport message.
const PENDING: usize = 128;
/// Source buckets for unauthenticated work; addresses share them by a keyed hash.
const SOURCES: usize = 512;
/// When more is due than the queues take, the rest waits so long: the caller drains meanwhile.
const MOMENT: core::time::Duration = core::time::Duration::from_millis(1);
/// Requests in first messages that are remembered, to recognise repeats.
const EPHEMERALS: usize = 256;

/// Everything but tables and entropy.
#[derive(Debug)]
pub(crate) struct State {
    now: Instant,
    started: Instant,
    keys: [Option<Keys>; 2],
    config: ServerConfig,
    hedge: Hedge,
    index: Index,
    pending: Deque<Pending, PENDING>,
    ephemerals: Deque<(u64, Instant), EPHEMERALS>,
    /// Key of cookies and challenges, the one before, and when it changes.
    secrets: [[u8; 16]; 2],
    secret_until: Instant,
    lease_key: [u8; 16],
    /// Of sources that have not proven their address, and of those that have.
    sources: [[Bucket; SOURCES]; 2],
    handshakes: Bucket,
    requests: Bucket,
    measurements: Measurements,
    measure_at: Option<Instant>,
    request_at: Option<Instant>,
    stream_at: Option<Instant>,
    sweep_at: Option<Instant>,
    sweep_from: usize,
    dismissed: usize,
    out: Deque<Out, QUEUE>,
    events: Deque<ServerEvent, QUEUE>,
    commands: Deque<Command, QUEUE>,
    counters: Counters,
}

impl State {
    fn event(&mut self, event: ServerEvent) {
        note!("server", event);
        if self.events.push_back(event).is_err() {
            self.counters.lose_event();
        }
    }

    fn command(&mut self, command: Command) {
        if self.commands.push_back(command).is_err() {
            self.counters.lose_event();
        }
    }

    fn send(&mut self, out: Out) {
        if self.out.push_back(out).is_err() {
            self.counters.discard(Discard::TableFull);
        }
    }

    /// Seconds of the machine's time, for the equipment list. They wrap after 136 years (or a clock
    /// that jumps so far): compare by [`State::is_past`] alone.
    fn seconds(&self) -> u32 {
        let seconds = self.now.since(self.started).as_secs();
        u32::try_from(seconds & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// Milliseconds of the machine's time, for measurements. They wrap after 49 days.
    fn millis(&self) -> u32 {
        let millis = self.now.since(self.started).as_millis();
        u32::try_from(millis & u128::from(u32::MAX)).unwrap_or(0)
    }

    /// Whether such a time has come.
    fn is_past(&self, seconds: u32) -> bool {
        self.seconds().wrapping_sub(seconds) < 1 << 31
    }

    /// Seconds since 1970; 0 without a clock.
    fn wall_clock(&self) -> u64 {
        match self.config.wall_clock {
            0 => 0,
            start => start.saturating_add(self.now.since(self.started).as_secs()),
        }
    }
}

/// One call's view of the machine.
pub(crate) struct View<'a> {
    state: &'a mut State,
    clients: &'a mut [ClientSlot],
    requests: &'a mut [RequestSlot],
    streams: &'a mut [StreamSlot],
    entropy: &'a mut dyn Entropy,
}

impl View<'_> {
    fn draw(&mut self) -> Draw<'_> {
        Draw { source: self.entropy, hedge: &mut self.state.hedge }
    }
}

/// The server. `C`, `R` and `S` are arrays, slices or vectors of [`ClientSlot`]s, [`RequestSlot`]s
/// and [`StreamSlot`]s: as many equipments, requests and TCP connections as it shall hold at once.
#[derive(Debug)]
pub struct Server<C, R, S, E> {
    state: State,
    clients: C,
    requests: R,
    streams: S,
    entropy: E,
}

impl<C, R, S, E> Server<C, R, S, E>
where
    C: AsRef<[ClientSlot]> + AsMut<[ClientSlot]>,
    R: AsRef<[RequestSlot]> + AsMut<[RequestSlot]>,
    S: AsRef<[StreamSlot]> + AsMut<[StreamSlot]>,
    E: Entropy,
{
    /// A server with an empty list.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn new(
        now: Instant,
        config: ServerConfig,
        mut clients: C,
        requests: R,
        streams: S,
        mut entropy: E,
    ) -> Result<Self, ServerError> {
        let certificate =
            Certificate::parse(&config.certificate).map_err(ServerError::Certificate)?;
        if certificate.server_key != *config.key.public() {
            return Err(ServerError::WrongKey);
        }
        let table = clients.as_mut();
        let fits = |len: usize, max: usize| (1..=max).contains(&len);
        if !fits(table.len(), MAX_CLIENTS)
            || !fits(requests.as_ref().len(), usize::from(u16::MAX))
            || !fits(streams.as_ref().len(), usize::from(u16::MAX))
        {
            return Err(ServerError::TableSize);
        }
        let mut hedge = Hedge::new(config.key.secret(), config.wall_clock);
        let mut rng = Draw { source: &mut entropy, hedge: &mut hedge };
        let drawn = rng.secret()?;
        let (index, lease_key) = (Index::new(half(&drawn), table), other_half(&drawn));
        let secrets = [half(&rng.secret()?), half(&rng.secret()?)];
        let keys =
            [Some(Keys::new(config.key.clone())), config.previous_key.clone().map(Keys::new)];
        let state = State {
            now,
            started: now,
            keys,
            hedge,
            index,
            pending: Deque::new(),
            ephemerals: Deque::new(),
            secrets,
            secret_until: now.after(handshake::SECRET_LIFE),
            lease_key,
            sources: [[Bucket::EMPTY; SOURCES]; 2],
            handshakes: Bucket::EMPTY,
            requests: Bucket::EMPTY,
            measurements: Measurements::new(),
            measure_at: None,
            request_at: None,
            stream_at: None,
            sweep_at: None,
            sweep_from: 0,
            dismissed: 0,
            out: Deque::new(),
            events: Deque::new(),
            commands: Deque::new(),
            counters: Counters::default(),
            config,
        };
        Ok(Self { state, clients, requests, streams, entropy })
    }

    fn view(&mut self, now: Instant) -> View<'_> {
        self.state.now = self.state.now.max(now);
        View {
            state: &mut self.state,
            clients: self.clients.as_mut(),
            requests: self.requests.as_mut(),
            streams: self.streams.as_mut(),
            entropy: &mut self.entropy,
        }
    }

    /// Before the server stops: tells the acceptors registered over datagrams to come back soon.
    /// Queues some goodbyes; drain the machine and call again while it returns `true`. (Those
    /// registered over TCP see their connection close.)
    pub fn dismiss(&mut self, now: Instant) -> bool {
        self.view(now).dismiss()
    }

    /// How many acceptors are registered.
    pub const fn registered(&self) -> u32 {
        self.state.index.registered
    }

    /// How many equipments have a session over datagrams, or a registration over TCP.
    pub const fn clients(&self) -> u32 {
        self.state.index.live
    }

    /// The registered address of an acceptor: the one it was seen at over what carries its latest
    /// registration.
    pub fn location(&self, id: &EquipmentId) -> Option<SocketAddr> {
        let clients = self.clients.as_ref();
        let at = self.state.index.find(clients, id, crate::wire::message::Role::Acceptor)?;
        let slot = clients.get(at).filter(|slot| slot.registered)?;
        let at = match slot.stream.filter(|_| slot.over_stream) {
            Some(stream) => self.streams.as_ref().get(usize::from(stream))?.remote,
            None => slot.address(),
        };
        at.map(SocketAddr::from)
    }

    /// What was discarded and why.
    pub const fn counters(&self) -> &Counters {
        &self.state.counters
    }
}

impl<C, R, S, E> sealed::Sealed for Server<C, R, S, E> {}

impl<C, R, S, E> Outbox for Server<C, R, S, E>
where
    C: AsRef<[ClientSlot]> + AsMut<[ClientSlot]>,
    R: AsRef<[RequestSlot]> + AsMut<[RequestSlot]>,
    S: AsRef<[StreamSlot]> + AsMut<[StreamSlot]>,
    E: Entropy,
{
    type Ticket = outbound::Ticket;

    fn next_datagram(&mut self, now: Instant) -> Option<DatagramHead<Self::Ticket>> {
        self.view(now).next_datagram()
    }

    fn next_frame(&mut self, now: Instant, stream: StreamId) -> Option<FrameHead<Self::Ticket>> {
        self.view(now).next_frame(stream)
    }

    fn encode(&mut self, now: Instant, ticket: Self::Ticket, out: &mut [u8]) {
        self.view(now).encode(ticket, out);
    }

    fn commit(&mut self, now: Instant, ticket: Self::Ticket, _sent: bool) {
        self.view(now).commit(ticket);
    }
}

impl<C, R, S, E> Machine for Server<C, R, S, E>
where
    C: AsRef<[ClientSlot]> + AsMut<[ClientSlot]>,
    R: AsRef<[RequestSlot]> + AsMut<[RequestSlot]>,
    S: AsRef<[StreamSlot]> + AsMut<[StreamSlot]>,
    E: Entropy,
{
    type Event = ServerEvent;

    fn handle_datagram<'d>(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &'d mut [u8],
    ) -> Received<'d> {
        let result = self.view(now).datagram(socket, remote.into(), datagram);
        self.state.counters.tally(result.map(|()| Received::Control))
    }

    fn handle_stream<'d>(
        &mut self,
        now: Instant,
        stream: StreamId,
        bytes: &'d mut [u8],
    ) -> StreamInput<'d> {
        crate::frame::input(bytes, |frame| {
            let mut view = self.view(now);
            let result = frame.map_or(Err(Discard::Malformed), |frame| view.frame(stream, frame));
            if result.is_err() {
                // A stream that brings what we cannot use is closed: TCP does not garble.
                view.close_stream(stream);
            }
            self.state.counters.tally(result.map(|()| Received::Control))
        })
    }

    fn handle_stream_state(&mut self, now: Instant, stream: StreamId, state: StreamState) {
        if state == StreamState::Closed {
            self.view(now).stream_closed(stream);
        }
    }

    fn handle_accept(
        &mut self,
        now: Instant,
        _listener: SocketId,
        remote: SocketAddr,
    ) -> Option<StreamId> {
        self.view(now).accept(remote.into())
    }

    fn handle_bound(&mut self, _: Instant, _: SocketId, _: Option<SocketAddr>) {}

    fn handle_timeout(&mut self, now: Instant) {
        self.view(now).timeout();
    }

    fn poll_command(&mut self) -> Option<Command> {
        self.state.commands.pop_front()
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.state.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Wakeup> {
        let requests = earliest(self.state.request_at, self.state.stream_at);
        let requests = earliest(requests, self.state.measure_at);
        match (requests, self.state.sweep_at) {
            (Some(at), other) if other.is_none_or(|other| at <= other) => {
                Some(Wakeup { at, reason: TimerKind::Request })
            }
            (_, at) => at.map(|at| Wakeup { at, reason: TimerKind::Expiry }),
        }
    }
}
