//! An acceptor that runs: it stays registered, lets in whom it may, and hands out streams.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use genkan_core::punch::Ability;
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, AdmissionPolicy, Channel, ConnectionId,
    Counters, EquipmentId, Instant,
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

/// How an acceptor is run.
#[derive(Debug)]
pub struct AcceptorOptions {
    /// What the machine is told.
    pub config: AcceptorConfig,
    /// Where its UDP socket is bound.
    pub bind: Bind,
    /// Whether the box before this machine is asked for a port. With one the two ends meet whatever
    /// that box does otherwise; without [the ability to punch](genkan_core::punch) it is of no use,
    /// and nobody is asked.
    pub lease: LeaseMode,
    /// How many connections it carries at once.
    pub connections: u16,
    /// How many streams each connection carries at once.
    pub streams: u16,
    /// Which steps on the wire become events.
    pub trace: Trace,
    /// Where it keeps what it must not forget. What is found there is added to `config`: boot
    /// counter, floor, failures, and password, pairing list and early key where `config` has none (an
    /// early key is drawn at the first start). Without it, failed passwords are counted in memory
    /// only, and paired issuers get an early key only where `config` has one.
    pub state: Option<StateDir>,
}

impl AcceptorOptions {
    /// Any address, 8 connections of 64 streams, no port asked for, no tracing, no state.
    #[must_use]
    pub const fn new(config: AcceptorConfig) -> Self {
        let (bind, lease, connections, streams) = (Bind::Any, LeaseMode::Off, 8, 64);
        Self { config, bind, lease, connections, streams, trace: Trace::Off, state: None }
    }
}

type Machine = Acceptor<Vec<AcceptorSlot>, OsEntropy>;

struct Acceptance {
    machine: Machine,
    sessions: Sessions,
    state: Option<Arc<StateDir>>,
}

/// A running acceptor. Dropping it stops it at once; its peers are told.
#[derive(Debug)]
pub struct AcceptorNode {
    engine: Engine<Acceptance>,
    events: Events<AcceptorEvent>,
    ports: Ports,
    state: Option<Arc<StateDir>>,
    id: EquipmentId,
    bound: SocketAddr,
    punch: Option<Ability>,
}

impl AcceptorNode {
    /// Opens the socket and begins to register.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: AcceptorOptions) -> Result<Self, StartError> {
        let AcceptorOptions { mut config, bind, lease, connections, streams, trace, state } =
            options;
        let state = state.map(Arc::new);
        if let Some(state) = &state {
            recall(&mut config, state)?;
        }
        config.simultaneous_open &= crate::net::SHARES_PORTS;
        config.punch = config.punch.map(|able| bounded(able, connections, streams));
        let punch = config.punch;
        let lease = if punch.is_some() { lease } else { LeaseMode::Off };
        let ground = Groundwork::new(Net::new(udp(bind)?, None)?)?;
        let local = own_address(ground.bound, config.server.datagram);
        let now = Clock::new().now();
        let slots = (0..connections).map(|_| AcceptorSlot::EMPTY).collect();
        let mut machine = Machine::new(now, config, slots, OsEntropy::new());
        let mut trouble = Vec::new();
        if let Some(bytes) = optional(state.as_ref(), &mut trouble, StateDir::certificate) {
            // An expired one is simply fetched anew.
            let _ = machine.restore_certificate(&bytes);
        }
        if let Some(kept) = optional(state.as_ref(), &mut trouble, StateDir::session) {
            machine.restore_session(&kept);
        }
        let (events, bound, id) = (ground.events.clone(), ground.bound, machine.id());
        for text in trouble {
            events.push(now, Happening::Trouble(text));
        }
        let ports = Ports::default();
        let nudge = Arc::clone(&ground.nudge);
        let sessions = Sessions::new(Machine::PLACE, streams, nudge, ports.clone());
        let role = Acceptance { machine, sessions, state: state.clone() };
        let engine = ground.run("genkan-acceptor", role, trace, (Bind::Any, local, lease))?;
        Ok(Self { engine, events, ports, state, id, bound, punch })
    }

    /// This acceptor's id.
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
    pub fn events(&self) -> Events<AcceptorEvent> {
        self.events.clone()
    }

    /// Lets peers open streams to a port of the inner network; at most eight ports.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse), and when there are too many.
    pub fn listen(&self, port: u16) -> io::Result<StreamListener> {
        self.ports.listen(port)
    }

    /// The sessions that stand.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn sessions(&self) -> Result<Vec<Session>, Stopped> {
        self.engine.call(|role, _| role.sessions.all())
    }

    /// The session of a connection, as named by [`AcceptorEvent::Connected`].
    #[must_use]
    pub fn session(&self, name: ConnectionId) -> Option<Session> {
        self.engine.call(move |role, _| role.sessions.get(name)).ok().flatten()
    }

    /// What was discarded and why.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn counters(&self) -> Result<Counters, Stopped> {
        self.engine.call(|role, _| *role.machine.counters())
    }

    /// Changes who may connect from now on; sessions that stand are not touched. The counted password
    /// tries stay, and so does the early key: give it another with [`AcceptorNode::set_early_key`]
    /// when somebody is taken off the pairing list. Nothing of this is kept for the next start.
    pub fn set_admission(&self, policy: AdmissionPolicy) {
        self.engine.post(move |role, _| role.machine.set_admission(policy));
    }

    /// Changes the early key and keeps it, where there is a state directory; the server and the
    /// paired issuers that are connected are told.
    ///
    /// # Errors
    /// When it cannot be kept; the old one stands then.
    pub fn set_early_key(&self, key: [u8; 16]) -> Result<(), FileError> {
        if let Some(state) = &self.state {
            state.set_early_key(&key)?;
        }
        self.engine.post(move |role, now| role.machine.set_early_key(now, key));
        Ok(())
    }

    /// Leaves the server's list; sessions stay.
    pub fn deregister(&self) {
        self.engine.post(|role, now| role.machine.deregister(now));
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

    /// Stops it: streams may finish for up to `grace`, then peers and server are told.
    ///
    /// # Errors
    /// What ended the loop, if that was not this call.
    pub fn stop(&self, grace: Duration) -> io::Result<()> {
        self.engine.stop(grace)
    }
}

/// Adds to the configuration what the state holds.
fn recall(config: &mut AcceptorConfig, state: &StateDir) -> Result<(), FileError> {
    config.identity.boots = state.count_boot()?;
    config.anchors.floor = config.anchors.floor.max(state.floor()?);
    let admission = &mut config.admission;
    admission.failures = admission.failures.max(state.failures()?);
    if admission.password.is_none() {
        admission.password = state.password()?;
    }
    if admission.paired.is_empty() {
        for id in state.paired()? {
            // Longer lists than the machine takes are refused when they are written.
            let _ = admission.paired.push(id);
        }
    }
    if admission.early_key.is_none() {
        admission.early_key = Some(state.early_key()?);
    }
    Ok(())
}

impl Acceptance {
    fn keep(&self, what: &AcceptorEvent) -> Result<(), FileError> {
        let Some(state) = &self.state else { return Ok(()) };
        match what {
            AcceptorEvent::Certificate => {
                state.raise_floor(self.machine.floor())?;
                state.store_certificate(self.machine.certificate())
            }
            AcceptorEvent::Resumable => match self.machine.resumption() {
                Some(kept) => state.store_session(&kept),
                None => Ok(()),
            },
            AcceptorEvent::Persist => state.store_failures(self.machine.failures()),
            _ => Ok(()),
        }
    }
}

impl Role for Acceptance {
    type Machine = Machine;
    type Event = AcceptorEvent;

    fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn observe(&mut self, now: Instant, event: &AcceptorEvent, journal: &Journal<AcceptorEvent>) {
        let kept = self.keep(event);
        match event {
            AcceptorEvent::Connected { connection, peer, path } => {
                // The table holds it; the application asks for it by name.
                drop(self.sessions.open(now, *connection, *peer, *path));
            }
            AcceptorEvent::PathChanged { connection, path } => {
                self.sessions.moved(*connection, *path);
            }
            AcceptorEvent::Closed { connection, cause } => {
                self.sessions.close(*connection, *cause);
            }
            // Only a try that is on the disk is acted upon.
            AcceptorEvent::Persist if kept.is_ok() => {
                self.machine.handle_persisted(now, self.machine.failures());
            }
            _ => {}
        }
        if let Err(error) = kept {
            journal.trouble(now, format!("not kept: {error}"));
        }
    }

    fn payload(&mut self, now: Instant, name: ConnectionId, channel: Channel, plaintext: &[u8]) {
        self.sessions.payload(now, name, channel, plaintext);
    }

    fn pump(&mut self, now: Instant, desk: &mut Desk<'_, AcceptorEvent>) {
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
        self.machine.deregister(now);
        false
    }

    fn lost(&mut self) {
        self.sessions.lost();
    }
}
