//! The issuer: the phone, laptop or appliance that asks for an acceptor.
//!
//! ```text
//! config.rs     what it is told and tells
//! reach.rs      links to the server
//! request.rs    one slot for each request and the connection that it becomes
//! renewal.rs    another path for a connection that stands
//! calls.rs      calls over TCP, where no hole is punched
//! dial_backs.rs TCP connections that come in
//! holes.rs      measuring its NAT and punching
//! inbound.rs    what arrives
//! outbound.rs   what is due to leave
//! ```
//!
//! A request is a sealed offer that only the acceptor can open, in a first connection request to the
//! server. Datagrams and TCP to the server are raced: TCP starts 250 ms later (RFC 8305's idea), and
//! whatever session stands first carries the request. With a cached certificate and a clock the
//! request travels inside the handshake's first message already. Then the issuer waits for the
//! acceptor's *communication request* on its listener, or on a path that both punch through their NATs;
//! the first authentic one makes the connection.

mod calls;
mod config;
mod dial_backs;
mod holes;
mod inbound;
#[cfg(feature = "inspect")]
mod inspect;
mod outbound;
mod reach;
mod renewal;
pub(crate) mod request;

use core::net::SocketAddr;
use core::time::Duration;

use heapless::{Deque, Vec};

use crate::addr::Endpoint;
use crate::counters::Counters;
use crate::entropy::{Draw, Entropy, Hedge};
use crate::error::{CertificateError, RequestError, SendError};
use crate::hole::Puncher;
use crate::id::{ConnectionId, EquipmentId, SocketId, StreamId};
use crate::link::{Equipment, LONGEST_HELLO, Link, Transport};
use crate::machine::{
    Channel, Command, Discard, Machine, Received, StreamInput, StreamState, Wakeup,
};
use crate::peer::payload::Payload;
use crate::peer::slots::ConnectionInfo;
use crate::time::Instant;
use crate::transmit::{DatagramHead, FrameHead, Outbox, sealed};
use crate::wire::message::{MAX_CANDIDATES, PeerMessage};
pub use config::{FailCause, IssuerConfig, IssuerEvent, RequestTransport, Target};
pub use request::ConnectionSlot;
pub(crate) use request::early_tag;

const QUEUE: usize = 16;
/// How many dial-backs may be open at once without having shown whose they are, or in use.
pub(crate) const INBOUND: usize = 8;

/// A TCP connection that came in on the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inbound {
    pub(crate) generation: u16,
    pub(crate) remote: Option<Endpoint>,
    /// The slot that it belongs to, once its communication request was authentic.
    pub(crate) slot: Option<usize>,
    pub(crate) until: Instant,
}

/// Everything but slots and entropy.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Instant,
    pub(crate) equipment: Equipment<LONGEST_HELLO, 2>,
    pub(crate) hedge: Hedge,
    pub(crate) transport: RequestTransport,
    pub(crate) deadline: Duration,
    pub(crate) candidates: Vec<Endpoint, MAX_CANDIDATES>,
    /// Whether it may listen.
    pub(crate) listen: bool,
    pub(crate) datagram: Link<LONGEST_HELLO, 2>,
    pub(crate) stream: Link<LONGEST_HELLO, 2>,
    pub(crate) stream_generation: u16,
    /// When links that are not under way are (re)started: TCP joins the race, or a lost one is made
    /// again.
    pub(crate) retry_at: Option<Instant>,
    /// When an idle session over datagrams is let go.
    pub(crate) idle_until: Option<Instant>,
    pub(crate) observed: Option<Endpoint>,
    pub(crate) listener: Listener,
    pub(crate) inbound: [Inbound; INBOUND],
    pub(crate) next_request: u32,
    /// A certificate was refused, and no session has come about since.
    pub(crate) bad_certificate: bool,
    /// Counter and tag of what was sent last over datagrams: a hint must echo them.
    pub(crate) last: Option<(u64, [u8; 16])>,
    /// The key of keepalives that come in the session with the server.
    pub(crate) key_down: [u8; 16],
    /// Those of what we send in keepalives' way, over datagrams and over TCP.
    pub(crate) keys_up: [[u8; 16]; 2],
    pub(crate) puncher: Puncher,
    /// It can call from a chosen port.
    calls: bool,
    /// What it can do is due to be said over TCP.
    pub(crate) ability_due: bool,
    /// A session stands in which nothing was said yet: the server is waiting for a word.
    pub(crate) unconfirmed: bool,
    /// Nothing has come over datagrams since a request first went to the server that way.
    pub(crate) silent: bool,
    pub(crate) events: Deque<IssuerEvent, QUEUE>,
    pub(crate) commands: Deque<Command, QUEUE>,
    /// Not everything that was due was done: the rest waits until then.
    pub(crate) rest_at: Option<Instant>,
    pub(crate) counters: Counters,
}

/// What is known of the listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Listener {
    Closed,
    Asked,
    Open(Endpoint),
    /// There is none: holes alone lead to us.
    Failed,
}

impl State {
    pub(crate) fn event(&mut self, event: IssuerEvent) {
        note!("issuer", event);
        if self.events.push_back(event).is_err() {
            self.counters.lose_event();
        }
    }

    /// Places that the queue of commands has left for holes.
    pub(crate) fn room(&self) -> usize {
        QUEUE.saturating_sub(self.commands.len())
    }

    /// Whether what one more connection's end takes might not fit into the queues.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.commands.len().max(self.events.len()) >= QUEUE / 2
    }

    pub(crate) fn command(&mut self, command: Command) {
        if self.commands.push_back(command).is_err() {
            self.counters.lose_event();
        }
    }
}

/// One call's view of the machine.
pub(crate) struct View<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) slots: &'a mut [ConnectionSlot],
    pub(crate) entropy: &'a mut dyn Entropy,
}

/// The issuer. `S` is an array, slice or vector of [`ConnectionSlot`]s.
#[derive(Debug)]
pub struct Issuer<S, E> {
    state: State,
    slots: S,
    entropy: E,
}

impl<S: AsRef<[ConnectionSlot]> + AsMut<[ConnectionSlot]>, E: Entropy> Issuer<S, E> {
    /// An issuer that does nothing until it is asked to.
    pub fn new(now: Instant, config: IssuerConfig, slots: S, entropy: E) -> Self {
        let hedge = Hedge::new(config.identity.key.secret(), config.identity.boots);
        let wall = config.wall_clock.map(|seconds| (now, seconds));
        let mut entropy = entropy;
        let mut hedge = hedge;
        // Not from 0: after a restart the server may still remember the last one's requests.
        let first = Draw { source: &mut entropy, hedge: &mut hedge }.jitter();
        let fetch_each = config.fetch_certificate_each;
        let equipment =
            Equipment::new(config.identity.key, config.server, config.anchors, wall, fetch_each);
        let nobody = Inbound { generation: 0, remote: None, slot: None, until: Instant::END };
        let state = State {
            now,
            equipment,
            hedge,
            transport: config.transport,
            deadline: config.deadline,
            candidates: config.candidates.into_iter().map(Endpoint::from).collect(),
            listen: config.listen,
            datagram: Link::new(Transport::Datagram),
            stream: Link::new(Transport::Stream),
            stream_generation: 0,
            retry_at: None,
            idle_until: None,
            observed: None,
            listener: Listener::Closed,
            inbound: [nobody; INBOUND],
            next_request: u32::from(first) << 8,
            bad_certificate: false,
            last: None,
            key_down: [0; 16],
            keys_up: [[0; 16]; 2],
            puncher: Puncher::new(config.punch, config.addresses, false),
            calls: config.simultaneous_open,
            ability_due: false,
            unconfirmed: false,
            silent: false,
            events: Deque::new(),
            commands: Deque::new(),
            rest_at: None,
            counters: Counters::default(),
        };
        Self { state, slots, entropy }
    }

    fn view(&mut self, now: Instant) -> View<'_> {
        self.state.now = self.state.now.max(now);
        View { state: &mut self.state, slots: self.slots.as_mut(), entropy: &mut self.entropy }
    }

    /// This issuer's id.
    pub const fn id(&self) -> EquipmentId {
        self.state.equipment.key.id()
    }

    /// Asks for an acceptor. The id names the connection that comes of it; whether one does is told
    /// by events, within [`IssuerConfig::deadline`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn request(&mut self, now: Instant, target: &Target) -> Result<ConnectionId, RequestError> {
        self.view(now).request(target)
    }

    /// Takes a certificate from the cache, checked as if it had just arrived.
    ///
    /// # Errors
    /// Why it is not accepted; the issuer will fetch one then.
    pub fn restore_certificate(&mut self, bytes: &[u8]) -> Result<(), CertificateError> {
        let now = self.state.now;
        self.state.equipment.take_certificate(now, bytes)?;
        self.state.equipment.changed = false;
        Ok(())
    }

    /// The certificate that was accepted last, for the cache; empty when there is none yet.
    pub fn certificate(&self) -> &[u8] {
        self.state.equipment.certificate()
    }

    /// The box before this device has opened an external port for the main socket, or none any more
    /// (`None`): [`LeaseClient`](crate::nat::lease::LeaseClient) says so. The server is told, and
    /// shows whether the port leads anywhere.
    pub fn set_leased(&mut self, now: Instant, port: Option<u16>) {
        let state = &mut *self.view(now).state;
        state.puncher.lease(port.unwrap_or(0), state.observed);
        state.say_leased();
    }

    /// Application data for a connection; as for the acceptor's `send`.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send<'a>(
        &'a mut self,
        now: Instant,
        connection: ConnectionId,
        channel: Channel,
        bytes: &'a [u8],
    ) -> Result<Payload<'a>, SendError> {
        self.state.now = self.state.now.max(now);
        let now = self.state.now;
        let slot = crate::peer::slots::find(self.slots.as_mut(), connection)?;
        Payload::new(slot.open_peer()?, now, channel, bytes)
    }

    /// Closes a connection, or gives a request up. Stale ids are ignored.
    pub fn close(&mut self, now: Instant, connection: ConnectionId) {
        self.view(now).say(connection, PeerMessage::Close);
    }

    /// Who is at the other end of a connection that stands.
    pub fn connection(&self, connection: ConnectionId) -> Option<ConnectionInfo> {
        crate::peer::slots::info(self.slots.as_ref(), connection)
    }

    /// What was discarded and why.
    pub const fn counters(&self) -> &Counters {
        &self.state.counters
    }
}

impl<S, E> sealed::Sealed for Issuer<S, E> {}

impl<S: AsRef<[ConnectionSlot]> + AsMut<[ConnectionSlot]>, E: Entropy> Outbox for Issuer<S, E> {
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

impl<S: AsRef<[ConnectionSlot]> + AsMut<[ConnectionSlot]>, E: Entropy> Machine for Issuer<S, E> {
    type Event = IssuerEvent;

    fn handle_datagram<'d>(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &'d mut [u8],
    ) -> Received<'d> {
        let result = self.view(now).datagram(socket, remote.into(), datagram);
        self.state.counters.tally(result)
    }

    fn handle_stream<'d>(
        &mut self,
        now: Instant,
        stream: StreamId,
        bytes: &'d mut [u8],
    ) -> StreamInput<'d> {
        crate::frame::input(bytes, |frame| {
            let mut view = self.view(now);
            let result = match frame {
                Some(frame) => view.frame(stream, frame),
                None => {
                    view.stream_failed(stream);
                    Err(Discard::Malformed)
                }
            };
            self.state.counters.tally(result)
        })
    }

    fn handle_stream_state(&mut self, now: Instant, stream: StreamId, state: StreamState) {
        self.view(now).stream_state(stream, state);
    }

    fn handle_accept(
        &mut self,
        now: Instant,
        _listener: SocketId,
        remote: SocketAddr,
    ) -> Option<StreamId> {
        self.view(now).accept(remote.into())
    }

    fn handle_bound(&mut self, now: Instant, socket: SocketId, local: Option<SocketAddr>) {
        match (socket, local) {
            (SocketId::LISTENER, _) => self.view(now).bound(local.map(Endpoint::from)),
            (SocketId::MAIN, _) => self.state.puncher.main_bound(local.map(Endpoint::from)),
            _ => self.view(now).opened(socket, local.map(Endpoint::from)),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.view(now).timeout();
    }

    fn poll_command(&mut self) -> Option<Command> {
        self.state.commands.pop_front()
    }

    fn poll_event(&mut self) -> Option<IssuerEvent> {
        self.state.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Wakeup> {
        let wakeup = outbound::deadline(&self.state, self.slots.as_ref());
        crate::machine::rested(self.state.rest_at, wakeup)
    }
}
