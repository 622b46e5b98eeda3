//! The acceptor: the appliance that registers, is woken, and contacts whoever asked for it.
//!
//! ```text
//! config.rs         what it is told and tells
//! registration.rs   keeps the equipment list's entry and the NAT mapping alive
//! driving.rs        attempts, links and losses
//! offers.rs         from a sealed offer to the dial-back
//! admission.rs      whether an offer may become a connection: password, pairing, budgets
//! calls.rs          calls over TCP, where no hole is punched
//! holes.rs          measuring its NAT and punching
//! connection.rs     one slot for each connection, from dialling to closing
//! inbound.rs        what arrives
//! outbound.rs       what is due to leave
//! keeping.rs        what of it keeps the registration
//! queue.rs          what waits for the caller
//! ```
//!
//! A second connection request brings the issuer's address and the sealed offer. The acceptor opens
//! the offer, checks password information or pairing, and only then contacts the issuer: it dials
//! back over TCP, and its first bytes are the *communication request*, the answer of the end-to-end
//! handshake, in which no byte is of the issuer's choosing (threat T13). Until the issuer's first
//! transport message it sends no application data and records no success.

pub(crate) mod admission;
mod calls;
mod config;
pub(crate) mod connection;
mod driving;
mod holes;
mod inbound;
#[cfg(feature = "inspect")]
mod inspect;
mod keeping;
mod offers;
mod outbound;
mod queue;
pub(crate) mod registration;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;

use heapless::Deque;

use crate::addr::{AddressPolicy, Endpoint};
use crate::counters::Counters;
use crate::entropy::{Draw, Entropy, Hedge};
use crate::error::{CertificateError, SendError};
use crate::hole::Puncher;
use crate::id::{ConnectionId, EquipmentId, SocketId, StreamId};
use crate::link::{Equipment, Link, Transport};
use crate::machine::{
    Channel, Command, Discard, Machine, Received, StreamInput, StreamState, TimerKind, Wakeup,
};
use crate::peer::payload::Payload;
use crate::peer::slots::ConnectionInfo;
use crate::time::Instant;
use crate::transmit::{DatagramHead, FrameHead, Outbox, sealed};
use crate::wire::HELLO_LEN;
use crate::wire::message::{NotifyReply, PeerMessage};
use admission::Admission;
pub use admission::AdmissionPolicy;
pub use config::{AcceptorConfig, AcceptorEvent};
pub use connection::ConnectionSlot;
pub(crate) use inbound::transport_len;
pub(crate) use outbound::seal_body;
use queue::{Asked, News, Task};
use registration::Registration;
pub use registration::Resumption;

/// How many events and commands wait at the most; a caller that drains never comes near it.
const QUEUE: usize = 8;

/// Everything but slots and entropy.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Instant,
    pub(crate) equipment: Equipment<HELLO_LEN, 1>,
    pub(crate) hedge: Hedge,
    pub(crate) datagram: Link<HELLO_LEN, 1>,
    pub(crate) stream: Link<HELLO_LEN, 1>,
    pub(crate) stream_generation: u16,
    pub(crate) registration: Registration,
    pub(crate) admission: Admission,
    pub(crate) addresses: AddressPolicy,
    pub(crate) puncher: Puncher,
    /// It can call from a chosen port.
    calls: bool,
    /// Replies to notifications that are due, and the link that they go over.
    pub(crate) replies: Deque<(Transport, NotifyReply), 4>,
    events: Deque<News, QUEUE>,
    /// The request that an event is about.
    asked: Option<Asked>,
    commands: Deque<Task, QUEUE>,
    /// Not everything that was due was done: the rest waits until then.
    pub(crate) rest_at: Option<Instant>,
    pub(crate) counters: Counters,
}

impl State {
    #[inline(never)]
    fn new(now: Instant, config: AcceptorConfig, entropy: &mut dyn Entropy) -> Self {
        let mut hedge = Hedge::new(config.identity.key.secret(), config.identity.boots);
        let jitter = Draw { source: entropy, hedge: &mut hedge }.jitter();
        let begin = now.after_micros(registration::share(config.spread, jitter));
        Self {
            now,
            hedge,
            equipment: Equipment::new(
                config.identity.key,
                config.server,
                config.anchors,
                config.wall_clock.map(|seconds| (now, seconds)),
                config.fetch_certificate_each,
            ),
            datagram: Link::new(Transport::Datagram),
            stream: Link::new(Transport::Stream),
            stream_generation: 0,
            registration: Registration::new(begin, config.stream_fallback),
            admission: Admission::new(now, config.admission),
            addresses: config.addresses,
            puncher: Puncher::new(config.punch, config.addresses, config.lifetime),
            calls: config.simultaneous_open,
            replies: Deque::new(),
            events: Deque::new(),
            asked: None,
            commands: Deque::new(),
            rest_at: None,
            counters: Counters::default(),
        }
    }

    /// It is `now`, or later if that was said before.
    #[inline(never)]
    fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    #[inline(never)]
    fn event(&mut self, event: News) {
        if self.events.push_back(event).is_err() {
            self.counters.lose_event();
        }
    }

    /// Where another port was leased and the server does not know: asks where it is seen, first.
    pub(crate) fn look_for_lease(&mut self) {
        if self.puncher.has_leased_to_say() {
            self.registration.look_around();
        }
    }

    /// Places that the queue of commands has left for holes.
    pub(crate) fn room(&self) -> usize {
        QUEUE.saturating_sub(self.commands.len())
    }

    /// Whether what one more connection's end takes, or a parked one's word, might not fit into the
    /// queues.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.asked.is_some() || self.commands.len().max(self.events.len()) >= QUEUE / 2
    }
}

/// One call's view of the machine: all that its rooms work on.
pub(crate) struct View<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) slots: &'a mut [ConnectionSlot],
    pub(crate) entropy: &'a mut dyn Entropy,
}

/// The acceptor. `S` is an array, slice or vector of [`ConnectionSlot`]s: as many connections as it
/// shall carry at once.
#[derive(Debug)]
pub struct Acceptor<S, E> {
    state: State,
    slots: S,
    entropy: E,
}

impl<S: AsRef<[ConnectionSlot]> + AsMut<[ConnectionSlot]>, E: Entropy> Acceptor<S, E> {
    /// An acceptor that begins to register as soon as it is driven.
    #[inline(never)] // It is written to where it stays then, and not on the caller's stack first.
    pub fn new(now: Instant, config: AcceptorConfig, slots: S, mut entropy: E) -> Self {
        Self { state: State::new(now, config, &mut entropy), slots, entropy }
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn view(&mut self, now: Instant) -> View<'_> {
        self.state.clock(now);
        View { state: &mut self.state, slots: self.slots.as_mut(), entropy: &mut self.entropy }
    }

    /// This acceptor's id.
    pub const fn id(&self) -> EquipmentId {
        self.state.equipment.key.id()
    }

    /// Takes a certificate from the cache, checked as if it had just arrived.
    ///
    /// # Errors
    /// Why it is not accepted; the acceptor will fetch one then.
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

    /// Seconds since 1970 that have certainly passed, by authority-signed dates alone.
    pub const fn floor(&self) -> u64 {
        self.state.equipment.anchors.floor
    }

    /// Takes up a session that was kept over a reboot; without effect once it has begun by itself.
    pub fn restore_session(&mut self, resumption: &Resumption) {
        self.state.registration.restore(resumption);
    }

    /// What to keep so that the session survives a reboot: write it where only this device can read
    /// it. `None` while there is no session.
    pub fn resumption(&self) -> Option<Resumption> {
        self.state.registration.resumption(&self.state.datagram)
    }

    /// The number of failed password tries to persist.
    pub const fn failures(&self) -> u32 {
        self.state.admission.reserved()
    }

    /// `failures`, as read from [`Acceptor::failures`], is on stable storage. A try that has raised
    /// the number since waits for a write of its own.
    pub fn handle_persisted(&mut self, now: Instant, failures: u32) {
        self.view(now).act_on_persisted(failures);
    }

    /// Changes who may connect from now on; connections that stand are not touched. The counted
    /// password tries stay, and so does the early key.
    pub fn set_admission(&mut self, policy: AdmissionPolicy) {
        self.state.admission.set_policy(policy);
    }

    /// Changes the early key: the server and the paired issuers that are connected are told.
    pub fn set_early_key(&mut self, now: Instant, key: [u8; 16]) {
        self.view(now).set_early_key(key);
    }

    /// The box before this device has opened an external port for the main socket, or none any more
    /// (`None`): [`LeaseClient`](crate::nat::lease::LeaseClient) says so. The server is told, and
    /// shows whether the port leads anywhere.
    pub fn set_leased(&mut self, now: Instant, port: Option<u16>) {
        let state = &mut *self.view(now).state;
        state.puncher.lease(port.unwrap_or(0), state.registration.observed);
        state.look_for_lease();
    }

    /// Leaves the server's list and stops registering. Connections stay.
    pub fn deregister(&mut self, now: Instant) {
        self.view(now).deregister();
    }

    /// Application data for a connection. On a stream path the bytes go through the caller's own
    /// queue for that stream; drop payloads there above 32 KiB, so that the inner transport sees
    /// the congestion.
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
        let now = self.state.clock(now);
        let slot = crate::peer::slots::find(self.slots.as_mut(), connection)?;
        Payload::new(slot.confirmed()?, now, channel, bytes)
    }

    /// Closes a connection; the peer is told. Stale ids are ignored.
    pub fn close(&mut self, now: Instant, connection: ConnectionId) {
        let mut view = self.view(now);
        view.say(connection, PeerMessage::Close);
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

impl<S, E> sealed::Sealed for Acceptor<S, E> {}

impl<S: AsRef<[ConnectionSlot]> + AsMut<[ConnectionSlot]>, E: Entropy> Outbox for Acceptor<S, E> {
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

impl<S: AsRef<[ConnectionSlot]> + AsMut<[ConnectionSlot]>, E: Entropy> Machine for Acceptor<S, E> {
    type Event = AcceptorEvent;

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

    fn handle_accept(&mut self, _: Instant, _: SocketId, _: SocketAddr) -> Option<StreamId> {
        None
    }

    fn handle_bound(&mut self, now: Instant, socket: SocketId, local: Option<SocketAddr>) {
        self.view(now).bound(socket, local.map(Endpoint::from));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.view(now).timeout();
    }

    fn poll_command(&mut self) -> Option<Command> {
        self.state.next_command(self.slots.as_ref())
    }

    fn poll_event(&mut self) -> Option<AcceptorEvent> {
        let event = self.state.next_event(self.slots.as_ref())?;
        note!("acceptor", event);
        Some(event)
    }

    fn poll_timeout(&self) -> Option<Wakeup> {
        let mut wakeup = self.state.deadline();
        for slot in self.slots.as_ref() {
            if let Some(at) = slot.deadline(self.state.now) {
                let ours = Wakeup { at, reason: TimerKind::Connection };
                wakeup =
                    Some(wakeup.map_or(ours, |other| if other.at <= at { other } else { ours }));
            }
        }
        if let Some(at) = self.state.puncher.deadline(self.state.now, self.slots.as_ref())
            && wakeup.is_none_or(|wakeup| at < wakeup.at)
        {
            wakeup = Some(Wakeup { at, reason: TimerKind::Connection });
        }
        crate::machine::rested(self.state.rest_at, wakeup)
    }
}
