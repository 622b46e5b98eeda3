//! A server that runs: UDP and TCP on one port, and UDP on a second one.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use genkan_core::{
    ClientSlot, Counters, EquipmentId, Instant, RequestSlot, Server, ServerConfig, ServerEvent,
    SocketId, StreamSlot,
};

use super::ends::{self, OtherPort};
use super::open::{Groundwork, StartError};
use crate::clock::Clock;
use crate::driver::{Engine, Journal, Role, Stopped};
use crate::entropy::OsEntropy;
use crate::event::{Events, Trace};
use crate::lease::LeaseMode;
use crate::net::{Bind, Net, pair};

/// How a server is run.
#[derive(Debug)]
pub struct ServerOptions {
    /// What the machine is told.
    pub config: ServerConfig,
    /// Where it is reached, by UDP and TCP alike.
    pub bind: Bind,
    /// The second UDP port, by which NATs are measured. [`ServerConfig::other_port`] is filled in
    /// from it, where it does not say that equipment reaches that socket by another number.
    pub other_port: OtherPort,
    /// A second address of this machine, which shows more of a NAT; with port 0, the main port where
    /// that is free there. [`ServerOptions::bind`] must then be a single address, of the same family.
    /// [`ServerConfig::other_address`] is filled in from it in the same way: behind a 1:1 NAT it says
    /// how equipment reaches the second address; port 0 there is the bound one.
    pub other_address: Option<SocketAddr>,
    /// How many equipments have room on its list.
    pub clients: usize,
    /// How many requests may be under way at once.
    pub requests: u16,
    /// How many TCP connections it takes at once.
    pub streams: u16,
    /// Which steps on the wire become events.
    pub trace: Trace,
}

impl ServerOptions {
    /// Room for 4,096 equipments, 1,024 requests and 1,024 TCP connections; the port after the main
    /// one as well, no second address, no tracing.
    #[must_use]
    pub const fn new(config: ServerConfig, bind: Bind) -> Self {
        let (clients, requests, streams) = (4_096, 1_024, 1_024);
        Self {
            config,
            bind,
            other_port: OtherPort::Next,
            other_address: None,
            clients,
            requests,
            streams,
            trace: Trace::Off,
        }
    }
}

type Machine = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, OsEntropy>;

struct Service {
    // The machine's state is large; moving it about would cost stack.
    machine: Box<Machine>,
    /// The second port as equipment is told it, while nothing has come in there.
    unheard: Option<u16>,
    /// Measurements meanwhile.
    measurements: u8,
}

/// Measurements that bring nothing to the second port, after which something must be in the way.
const UNHEARD: u8 = 3;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct ServerNode {
    engine: Engine<Service>,
    events: Events<ServerEvent>,
    bound: SocketAddr,
    other_port: Option<u16>,
    other_address: Option<SocketAddr>,
}

impl ServerNode {
    /// Opens the sockets and serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: ServerOptions) -> Result<Self, StartError> {
        let (datagrams, listener) = pair(options.bind)?;
        let mut net = Net::new(datagrams, Some(listener))?;
        let mut config = options.config;
        ends::open(&mut net, &mut config, options.other_port, options.other_address)?;
        let (other_port, other_address) = (config.other_port, config.other_address);
        let ground = Groundwork::new(net)?;
        let clients = (0..options.clients).map(|_| ClientSlot::EMPTY).collect();
        let requests = (0..options.requests).map(|_| RequestSlot::EMPTY).collect();
        let streams = (0..options.streams).map(|_| StreamSlot::EMPTY).collect();
        let now = Clock::new().now();
        let entropy = OsEntropy::new();
        let machine = Machine::new(now, config, clients, requests, streams, entropy)
            .map_err(|error| StartError::Config(error.to_string()))?;
        let (events, bound) = (ground.events.clone(), ground.bound);
        let role = Service { machine: Box::new(machine), unheard: other_port, measurements: 0 };
        let engine =
            ground.run("genkan-server", role, options.trace, (Bind::Any, None, LeaseMode::Off))?;
        Ok(Self { engine, events, bound, other_port, other_address })
    }

    /// The address of its sockets, UDP and TCP.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// The second UDP port, as equipment is told it.
    #[must_use]
    pub const fn other_port(&self) -> Option<u16> {
        self.other_port
    }

    /// The UDP socket on a second address, as equipment is told it.
    #[must_use]
    pub const fn other_address(&self) -> Option<SocketAddr> {
        self.other_address
    }

    /// What it tells.
    #[must_use]
    pub fn events(&self) -> Events<ServerEvent> {
        self.events.clone()
    }

    /// How many acceptors are registered.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn registered(&self) -> Result<u32, Stopped> {
        self.engine.call(|role, _| role.machine.registered())
    }

    /// The registered address of an acceptor.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn location(&self, id: EquipmentId) -> Result<Option<SocketAddr>, Stopped> {
        self.engine.call(move |role, _| role.machine.location(&id))
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

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// What ended it.
    pub fn join(&self) -> io::Result<()> {
        self.engine.join()
    }

    /// Stops it.
    ///
    /// # Errors
    /// What ended the loop, if that was not this call.
    pub fn stop(&self) -> io::Result<()> {
        self.engine.stop(Duration::ZERO)
    }
}

impl Role for Service {
    type Machine = Machine;
    type Event = ServerEvent;

    fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn observe(&mut self, now: Instant, event: &ServerEvent, journal: &Journal<ServerEvent>) {
        let ServerEvent::Measured { .. } = event else { return };
        let Some(port) = self.unheard else { return };
        self.measurements = self.measurements.saturating_add(1);
        if self.measurements >= UNHEARD {
            journal.unheard(now, port, self.measurements);
            self.unheard = None;
        }
    }

    fn heard(&mut self, socket: SocketId) {
        if socket == SocketId::OTHER_PORT {
            self.unheard = None;
        }
    }

    fn end(&mut self, now: Instant) -> bool {
        self.machine.dismiss(now)
    }
}
