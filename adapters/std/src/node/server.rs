//! A server that runs: UDP and TCP on one port.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use genkan_core::{
    ClientSlot, Counters, EquipmentId, Instant, RequestSlot, Server, ServerConfig, ServerEvent,
    StreamSlot,
};

use super::open::{Groundwork, StartError};
use crate::clock::Clock;
use crate::driver::{Engine, Journal, Role, Stopped};
use crate::entropy::OsEntropy;
use crate::event::{Events, Trace};
use crate::net::{Bind, Net, pair};

/// How a server is run.
#[derive(Debug)]
pub struct ServerOptions {
    /// What the machine is told.
    pub config: ServerConfig,
    /// Where it is reached, by UDP and TCP alike.
    pub bind: Bind,
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
    /// Room for 4,096 equipments, 1,024 requests and 1,024 TCP connections; no tracing.
    #[must_use]
    pub const fn new(config: ServerConfig, bind: Bind) -> Self {
        let (clients, requests, streams) = (4_096, 1_024, 1_024);
        Self { config, bind, clients, requests, streams, trace: Trace::Off }
    }
}

type Machine = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, OsEntropy>;

struct Service {
    // The machine's state is large; moving it about would cost stack.
    machine: Box<Machine>,
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct ServerNode {
    engine: Engine<Service>,
    events: Events<ServerEvent>,
    bound: SocketAddr,
}

impl ServerNode {
    /// Opens the sockets and serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(options: ServerOptions) -> Result<Self, StartError> {
        let (datagrams, listener) = pair(options.bind)?;
        let ground = Groundwork::new(Net::new(datagrams, Some(listener))?)?;
        let clients = (0..options.clients).map(|_| ClientSlot::EMPTY).collect();
        let requests = (0..options.requests).map(|_| RequestSlot::EMPTY).collect();
        let streams = (0..options.streams).map(|_| StreamSlot::EMPTY).collect();
        let now = Clock::new().now();
        let entropy = OsEntropy::new();
        let machine = Machine::new(now, options.config, clients, requests, streams, entropy)
            .map_err(|error| StartError::Config(error.to_string()))?;
        let (events, bound) = (ground.events.clone(), ground.bound);
        let role = Service { machine: Box::new(machine) };
        let engine = ground.run("genkan-server", role, options.trace, (Bind::Any, None))?;
        Ok(Self { engine, events, bound })
    }

    /// The address of its sockets, UDP and TCP.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.bound
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

    fn observe(&mut self, _: Instant, _: &ServerEvent, _: &Journal<ServerEvent>) {}

    fn end(&mut self, now: Instant) -> bool {
        self.machine.dismiss(now)
    }
}
