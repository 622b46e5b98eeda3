//! A fleet in the simulator that can be looked into afterwards.
//!
//! A [`Lab`] is a watched [`Fleet`] that asks the server for its equipment list after each event of
//! the world. From that, the keys and the transcript [`Lab::story`] tells what happened in plain
//! words. Let time pass through the lab's own calls: what the list was while the fleet's calls let time
//! pass is missed.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{
    AcceptorConfig, AcceptorEvent, ConnectionId, EquipmentId, Instant, IssuerConfig, IssuerEvent,
    ServerConfig, ServerEvent, StaticKey,
};
use genkan_sim::fleet::{AcceptorApp, Fleet, FleetServer, IssuerApp, outcome};
use genkan_sim::{HostId, Log, NatId, World};

use crate::story::{Key, Listed, Member, Role, Story, Told, read};

/// The server's name.
pub const SERVER: &str = "server";

#[derive(Debug)]
struct Device {
    host: HostId,
    role: Role,
    key: StaticKey,
}

/// A fleet whose keys and list are remembered.
#[derive(Debug)]
pub struct Lab {
    /// The fleet.
    pub fleet: Fleet,
    server_key: StaticKey,
    devices: Vec<Device>,
    listed: Vec<Listed>,
}

impl Lab {
    /// A server with default settings and a clock.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_server(seed, |_| ())
    }

    /// As [`Lab::new`], with the server's settings changed by `adjust`.
    #[must_use]
    pub fn with_server(seed: u64, adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut key = None;
        let mut fleet = Fleet::with_server(seed, |config| {
            adjust(config);
            key = Some(config.key.clone());
        });
        fleet.watch();
        let server_key = key.expect("the fleet has asked for the server's settings");
        Self { fleet, server_key, devices: Vec::new(), listed: Vec::new() }
    }

    /// Adds an acceptor in the public internet.
    pub fn acceptor(&mut self, name: &str, adjust: impl FnOnce(&mut AcceptorConfig)) -> HostId {
        self.acceptor_behind(None, name, adjust)
    }

    /// Adds an acceptor behind a NAT.
    pub fn acceptor_behind(
        &mut self,
        nat: Option<NatId>,
        name: &str,
        adjust: impl FnOnce(&mut AcceptorConfig),
    ) -> HostId {
        let mut key = None;
        let host = self.fleet.acceptor_behind(nat, name, |config| {
            adjust(config);
            key = Some(config.identity.key.clone());
        });
        self.device(host, Role::Acceptor, key)
    }

    /// Adds an issuer in the public internet.
    pub fn issuer(&mut self, name: &str, adjust: impl FnOnce(&mut IssuerConfig)) -> HostId {
        self.issuer_behind(None, name, adjust)
    }

    /// Adds an issuer behind a NAT.
    pub fn issuer_behind(
        &mut self,
        nat: Option<NatId>,
        name: &str,
        adjust: impl FnOnce(&mut IssuerConfig),
    ) -> HostId {
        let mut key = None;
        let host = self.fleet.issuer_behind(nat, name, |config| {
            adjust(config);
            key = Some(config.identity.key.clone());
        });
        self.device(host, Role::Issuer, key)
    }

    fn device(&mut self, host: HostId, role: Role, key: Option<StaticKey>) -> HostId {
        let key = key.expect("the fleet has asked for the device's settings");
        self.devices.push(Device { host, role, key });
        self.observe();
        host
    }

    const fn world(&self) -> &World {
        &self.fleet.world
    }

    /// The server's static key.
    #[must_use]
    pub const fn server_key(&self) -> &StaticKey {
        &self.server_key
    }

    /// Steps until `done`, which is asked before and after every event; false when that did not
    /// come about in so long.
    pub fn wait_for(&mut self, longest: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        let Self { fleet, devices, listed, .. } = self;
        let server = fleet.server;
        let reached = fleet.world.wait_for(longest, |world| {
            observe(world, server, devices, listed);
            done(world)
        });
        self.observe();
        reached
    }

    /// Lets everything happen for that long.
    pub fn run_for(&mut self, duration: Duration) {
        self.wait_for(duration, |_| false);
    }

    fn observe(&mut self) {
        observe(&self.fleet.world, self.fleet.server, &self.devices, &mut self.listed);
    }

    /// Runs until the server has an acceptor on its list; false when it has not in so long.
    pub fn wait_registered(&mut self, acceptor: HostId, longest: Duration) -> bool {
        let (id, server) = (self.fleet.id(acceptor), self.fleet.server);
        self.wait_for(longest, |world| location(world, server, &id).is_some())
    }

    /// Runs until a request has become a connection or has come to nothing; what the issuer was
    /// told then, or `None` when it was told nothing in so long.
    pub fn wait_outcome(
        &mut self,
        issuer: HostId,
        request: ConnectionId,
        longest: Duration,
    ) -> Option<IssuerEvent> {
        self.wait_for(longest, |world| outcome(world, issuer, request).is_some());
        outcome(self.world(), issuer, request)
    }

    /// The name that an acceptor gave to the connection that stood last.
    #[must_use]
    pub fn connection_of(&self, acceptor: HostId) -> Option<ConnectionId> {
        self.acceptor_events(acceptor).into_iter().rev().find_map(|(_, event)| match event {
            AcceptorEvent::Connected { connection, .. } => Some(connection),
            _ => None,
        })
    }

    /// What an acceptor was told, with the world's time.
    fn acceptor_events(&self, host: HostId) -> Vec<(Duration, AcceptorEvent)> {
        self.timed(host, &self.world().app::<AcceptorApp>(host).log.events)
    }

    /// What an issuer was told, with the world's time.
    fn issuer_events(&self, host: HostId) -> Vec<(Duration, IssuerEvent)> {
        self.timed(host, &self.world().app::<IssuerApp>(host).log.events)
    }

    /// What the server was told, with the world's time.
    fn server_events(&self) -> Vec<(Duration, ServerEvent)> {
        let server = self.fleet.server;
        self.timed(server, &self.world().app::<Log<ServerEvent>>(server).events)
    }

    fn timed<E: Copy>(&self, host: HostId, events: &[(Instant, E)]) -> Vec<(Duration, E)> {
        let start = self.world().instant_at(host, Duration::ZERO);
        events.iter().map(|&(at, event)| (at.since(start), event)).collect()
    }

    /// What has happened so far, decrypted.
    #[must_use]
    pub fn story(&self) -> Story {
        let statics: Vec<&StaticKey> = self.devices.iter().map(|device| &device.key).collect();
        let entries = self.world().transcript().entries();
        let keys = self.world().keys().iter();
        let mut open = read::Reader::new(&self.server_key, statics, self.world());
        let owned = |key: &genkan_sim::see::open::Key| Key {
            at: key.at,
            owner: self.world().name(key.host).to_owned(),
            root: key.root,
        };
        Story {
            members: self.members(),
            server: self.fleet.server_address(),
            server_key: *self.server_key.public(),
            packets: entries.map(|entry| open.packet(entry)).collect(),
            listed: self.listed.clone(),
            keys: keys.map(owned).collect(),
            told: self.told(),
        }
    }

    fn members(&self) -> Vec<Member> {
        let member = |device: &Device| Member {
            name: self.world().name(device.host).to_owned(),
            id: device.key.id(),
            role: device.role,
        };
        self.devices.iter().map(member).collect()
    }

    fn told(&self) -> Vec<Told> {
        let mut told: Vec<Told> =
            self.server_events().into_iter().map(|(at, event)| Told::Server(at, event)).collect();
        for device in self.devices.iter().filter(|device| self.world().is_on(device.host)) {
            let host = device.host;
            let name = || self.world().name(host).to_owned();
            match device.role {
                Role::Acceptor => told.extend(
                    self.acceptor_events(host)
                        .into_iter()
                        .map(|(at, event)| Told::Acceptor(at, name(), event)),
                ),
                Role::Issuer => told.extend(
                    self.issuer_events(host)
                        .into_iter()
                        .map(|(at, event)| Told::Issuer(at, name(), event)),
                ),
            }
        }
        told.sort_by_key(Told::at);
        told
    }
}

fn observe(world: &World, server: HostId, devices: &[Device], listed: &mut Vec<Listed>) {
    for device in devices {
        let id = device.key.id();
        let address = location(world, server, &id);
        let before = listed.iter().rev().find(|entry| entry.id == id);
        if before.and_then(|entry| entry.address) != address {
            listed.push(Listed { at: world.now(), id, address });
        }
    }
}

fn location(world: &World, server: HostId, id: &EquipmentId) -> Option<SocketAddr> {
    if world.is_on(server) { world.machine::<FleetServer>(server).location(id) } else { None }
}
