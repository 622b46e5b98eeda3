//! An issuer that runs: it reaches acceptors and gives a session for each.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};

use genkan_core::punch::Ability;
use genkan_core::wire::certificate::Certificate;
use genkan_core::wire::message::Reason;
use genkan_core::{
    Channel, CloseCause, ConnectionId, Counters, EquipmentId, FailCause, Instant, Issuer,
    IssuerConfig, IssuerEvent, IssuerSlot, RequestError, Target,
};

use super::limits::bounded;
use super::open::{Groundwork, StartError, optional, own_address};
use crate::clock::Clock;
use crate::driver::{Desk, Engine, Journal, Role, Stopped};
use crate::entropy::OsEntropy;
use crate::event::{Events, Happening, Trace};
use crate::files::{FileError, StateDir};
use crate::lease::LeaseMode;
use crate::net::{Bind, Net, udp};
use crate::session::{Peer, Ports, Session, Sessions, StreamListener};

/// How an issuer is run.
#[derive(Debug)]
pub struct IssuerOptions {
    /// What the machine is told.
    pub config: IssuerConfig,
    /// Where its UDP socket is bound.
    pub bind: Bind,
    /// Where it listens for dial-backs; a fixed port where a router forwards one.
    pub listen: Bind,
    /// Whether the box before this machine is asked for a port. With one the two ends meet whatever
    /// that box does otherwise; without [the ability to punch](genkan_core::punch) it is of no use,
    /// and nobody is asked.
    pub lease: LeaseMode,
    /// How many requests and connections it has at once.
    pub connections: u16,
    /// How many streams each connection carries at once.
    pub streams: u16,
    /// Which steps on the wire become events.
    pub trace: Trace,
    /// Where it keeps what it should not forget: certificate, floor, boot counter, and for each
    /// acceptor the early key and the number of requests.
    pub state: Option<StateDir>,
}

impl IssuerOptions {
    /// Any addresses, 8 connections of 64 streams, no port asked for, no tracing, no state.
    #[must_use]
    pub const fn new(config: IssuerConfig) -> Self {
        let (bind, listen, lease) = (Bind::Any, Bind::Any, LeaseMode::Off);
        let (connections, streams, trace, state) = (8, 64, Trace::Off, None);
        Self { config, bind, listen, lease, connections, streams, trace, state }
    }
}

/// An acceptor was not reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReachError {
    /// The request could not be made.
    #[error("the request was not made: {0}")]
    Request(#[from] RequestError),
    /// The server or the acceptor has refused it. Strangers are not told why.
    #[error("refused: {}", reason_text(*.0))]
    Refused(Reason),
    /// It came to nothing.
    #[error("{}", fail_text(*.0))]
    Failed(FailCause),
    /// The connection ended as soon as it stood.
    #[error("the connection ended at once: {0:?}")]
    Closed(CloseCause),
    /// The node's state cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

const fn reason_text(reason: Reason) -> &'static str {
    match reason {
        Reason::Unspecified => "the reason is not told",
        Reason::Unknown => "no such appliance is registered",
        Reason::Offline => "the appliance does not answer",
        Reason::Busy => "the appliance has no room for another connection",
        Reason::NotAllowed => "the appliance does not know this device and got no password",
        Reason::WrongPassword => "the password is wrong, or it is too early for another try",
        Reason::ForbiddenAddress => "the appliance may not contact this device's address",
        Reason::Unreachable => "the appliance could not reach this device",
        Reason::BadOffer => "the appliance could not make sense of the offer",
    }
}

const fn fail_text(cause: FailCause) -> &'static str {
    match cause {
        FailCause::ServerUnreachable => "the server cannot be reached, over UDP or TCP",
        FailCause::BadCertificate => "the server's certificate is not acceptable",
        FailCause::NoAnswer => "the server did not answer the request in time",
        FailCause::NotReached => "the appliance accepted, but could not reach this device",
        FailCause::NoListener => "no listener could be opened for the appliance's call",
        _ => "the request has failed",
    }
}

type Machine = Issuer<Vec<IssuerSlot>, OsEntropy>;
type Outcome = Result<Session, ReachError>;

struct Issuance {
    machine: Machine,
    sessions: Sessions,
    state: Option<Arc<StateDir>>,
    /// Who waits for a request's outcome.
    waiting: BTreeMap<ConnectionId, SyncSender<Outcome>>,
    /// Whom each request or connection is for.
    targets: BTreeMap<ConnectionId, EquipmentId>,
}

/// A request that is under way.
#[derive(Debug)]
pub struct Pending {
    name: ConnectionId,
    outcome: Receiver<Outcome>,
}

impl Pending {
    /// The name that the connection will have in events.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.name
    }

    /// Waits for the outcome; the machine's deadline bounds the time.
    ///
    /// # Errors
    /// [`ReachError`].
    pub fn wait(self) -> Result<Session, ReachError> {
        self.outcome.recv().map_err(|_| Stopped)?
    }
}

/// A running issuer. Dropping it stops it at once; its peers are told.
#[derive(Debug)]
pub struct IssuerNode {
    engine: Engine<Issuance>,
    events: Events<IssuerEvent>,
    ports: Ports,
    state: Option<Arc<StateDir>>,
    id: EquipmentId,
    bound: SocketAddr,
    punch: Option<Ability>,
}

impl IssuerNode {
    /// Opens the socket. Nothing is sent before the first request, but to the box that is asked for a
    /// port.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: IssuerOptions) -> Result<Self, StartError> {
        let IssuerOptions { mut config, bind, listen, lease, connections, streams, trace, state } =
            options;
        let state = state.map(Arc::new);
        if let Some(state) = &state {
            config.identity.boots = state.count_boot()?;
            config.anchors.floor = config.anchors.floor.max(state.floor()?);
        }
        config.simultaneous_open &= crate::net::SHARES_PORTS;
        config.punch = config.punch.map(|able| bounded(able, connections, streams));
        let punch = config.punch;
        let lease = if punch.is_some() { lease } else { LeaseMode::Off };
        let ground = Groundwork::new(Net::new(udp(bind)?, None)?)?;
        let local = own_address(ground.bound, config.server.datagram);
        let now = Clock::new().now();
        let slots = (0..connections).map(|_| IssuerSlot::EMPTY).collect();
        let mut machine = Machine::new(now, config, slots, OsEntropy::new());
        let mut trouble = Vec::new();
        if let Some(bytes) = optional(state.as_ref(), &mut trouble, StateDir::certificate) {
            // An expired one is simply fetched anew.
            let _ = machine.restore_certificate(&bytes);
        }
        let (events, bound, id) = (ground.events.clone(), ground.bound, machine.id());
        for text in trouble {
            events.push(now, Happening::Trouble(text));
        }
        let ports = Ports::default();
        let nudge = Arc::clone(&ground.nudge);
        let sessions = Sessions::new(Machine::PLACE, streams, nudge, ports.clone());
        let (waiting, targets) = (BTreeMap::new(), BTreeMap::new());
        let role = Issuance { machine, sessions, state: state.clone(), waiting, targets };
        let engine = ground.run("genkan-issuer", role, trace, (listen, local, lease))?;
        Ok(Self { engine, events, ports, state, id, bound, punch })
    }

    /// Reaches an acceptor: waits until the session stands or has failed.
    ///
    /// # Errors
    /// [`ReachError`].
    pub fn connect(&self, target: &Target) -> Result<Session, ReachError> {
        self.request(target)?.wait()
    }

    /// As [`IssuerNode::connect`] without waiting. With a state directory, early key and counter are
    /// filled in where the target has none.
    ///
    /// # Errors
    /// [`ReachError`], as far as it is known at once.
    pub fn request(&self, target: &Target) -> Result<Pending, ReachError> {
        let mut target = target.clone();
        if let Some(state) = &self.state
            && target.counter == 0
        {
            let known = state.count_request(target.id)?;
            target.counter = known.counter;
            target.early_key = target.early_key.or(known.early_key);
        }
        let (answer, outcome) = mpsc::sync_channel(1);
        let name = self.engine.call(move |role, now| {
            let name = role.machine.request(now, &target)?;
            role.waiting.insert(name, answer);
            role.targets.insert(name, target.id);
            Ok::<_, RequestError>(name)
        })??;
        Ok(Pending { name, outcome })
    }

    /// This issuer's id.
    #[must_use]
    pub const fn id(&self) -> EquipmentId {
        self.id
    }

    /// The address of its UDP socket.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// What it says that it can do to punch holes: no more sockets than the process's limit of open
    /// files leaves for each connection, when it carries as many as it may.
    #[must_use]
    pub const fn punch(&self) -> Option<Ability> {
        self.punch
    }

    /// What it tells.
    #[must_use]
    pub fn events(&self) -> Events<IssuerEvent> {
        self.events.clone()
    }

    /// Lets acceptors open streams to a port of ours; at most eight ports.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse), and when there are too many.
    pub fn listen(&self, port: u16) -> io::Result<StreamListener> {
        self.ports.listen(port)
    }

    /// What was discarded and why.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn counters(&self) -> Result<Counters, Stopped> {
        self.engine.call(|role, _| *role.machine.counters())
    }

    /// How often its loop has turned: hardly ever while nothing happens.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.engine.turns()
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.engine.is_running()
    }

    /// Stops it: streams may finish for up to `grace`, then the peers are told.
    ///
    /// # Errors
    /// What ended the loop, if that was not this call.
    pub fn stop(&self, grace: Duration) -> io::Result<()> {
        self.engine.stop(grace)
    }
}

impl Issuance {
    fn keep(&self, what: &IssuerEvent) -> Result<(), FileError> {
        let Some(state) = &self.state else { return Ok(()) };
        match what {
            IssuerEvent::Certificate => {
                let certificate = self.machine.certificate();
                // The machine has checked who signed it.
                if let Ok(fields) = Certificate::parse(certificate) {
                    state.raise_floor(fields.not_before)?;
                }
                state.store_certificate(certificate)
            }
            IssuerEvent::EarlyKey { connection, key } => match self.targets.get(connection) {
                Some(acceptor) => state.store_early_key(*acceptor, *key),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Tells who waits for a request what came of it.
    fn answer(&mut self, name: ConnectionId, outcome: Outcome) {
        if let Some(waiting) = self.waiting.remove(&name) {
            // Who has stopped waiting drops the session, which closes it.
            let _ = waiting.try_send(outcome);
        }
    }
}

impl Role for Issuance {
    type Machine = Machine;
    type Event = IssuerEvent;

    fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn observe(&mut self, now: Instant, event: &IssuerEvent, journal: &Journal<IssuerEvent>) {
        if let Err(error) = self.keep(event) {
            journal.trouble(now, format!("not kept: {error}"));
        }
        match *event {
            IssuerEvent::Connected { connection, path } => {
                let Some(peer) = self.targets.get(&connection) else { return };
                let session = self.sessions.open(now, connection, *peer, path);
                self.answer(connection, Ok(session));
            }
            IssuerEvent::PathChanged { connection, path } => self.sessions.moved(connection, path),
            IssuerEvent::Refused { connection, reason } => {
                self.targets.remove(&connection);
                self.answer(connection, Err(ReachError::Refused(reason)));
            }
            IssuerEvent::Failed { connection, cause } => {
                self.targets.remove(&connection);
                self.answer(connection, Err(ReachError::Failed(cause)));
            }
            IssuerEvent::Closed { connection, cause } => {
                self.targets.remove(&connection);
                self.sessions.close(connection, cause);
                self.answer(connection, Err(ReachError::Closed(cause)));
            }
            _ => {}
        }
    }

    fn payload(&mut self, now: Instant, name: ConnectionId, channel: Channel, plaintext: &[u8]) {
        self.sessions.payload(now, name, channel, plaintext);
    }

    fn pump(&mut self, now: Instant, desk: &mut Desk<'_, IssuerEvent>) {
        self.sessions.pump(&mut self.machine, now, desk);
    }

    fn has_more(&self) -> bool {
        self.sessions.has_more()
    }

    fn deadline(&self) -> Option<Instant> {
        self.sessions.deadline()
    }

    fn leased(&mut self, now: Instant, port: Option<u16>) {
        self.machine.set_leased(now, port);
    }

    fn finish(&mut self, grace: Duration) {
        self.sessions.finish(grace);
    }

    fn is_finished(&self) -> bool {
        self.sessions.is_empty()
    }

    fn end(&mut self, now: Instant) -> bool {
        for name in self.sessions.names() {
            self.machine.close(now, name);
        }
        false
    }

    fn lost(&mut self) {
        self.waiting.clear();
        self.sessions.lost();
    }
}
