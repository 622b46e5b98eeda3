//! A server, an authority, and equipment that trusts it: what most simulations begin with.
//!
//! Addresses are IPv4, from the documentation prefixes: the server is 203.0.113.1, port 4600 for UDP and
//! TCP, and where it is to punch holes ([`punches`]) port 4601 and 203.0.113.2 for UDP too; NATs are 192.0.2.1 and so on, behind another one 100.64.0.1 and so on, each address of a pool
//! counting; equipment in the public internet is 198.51.100.`e`, where `e` counts all equipment of the
//! fleet from 1 on, behind NAT number `n` (from 0; after 255 comes 0 again) it is 10.`n`.`h`.`l`, where
//! `h`.`l` is `e` + 1, and the box itself 10.`n`.0.1. What is above 254 goes on in 24.0.0.0/16
//! and 60.0.0.0/8. Wall clocks start at [`START`]. Every machine has a key made from its name, which is
//! why no two have one name, and entropy of its own from the world's seed; each host keeps a [`Flash`]
//! over its reboots.
//!
//! A fleet has at most 65,535 addresses for NATs and 65,533 pieces of equipment. For IPv6, other
//! addresses or more of them, [`World::add_gateway`] and [`World::add_host`] take any.

mod acts;
mod devices;
mod power;

use core::net::{IpAddr, SocketAddr};

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    AcceptorConfig, Anchors, ClientSlot, EquipmentId, Identity, Instant, IssuerConfig, RequestSlot,
    Server, ServerAddress, ServerConfig, SocketId, StaticKey, StreamSlot,
};

use crate::entropy::{EntropySwitch, SimEntropy};
use crate::host::{Host, Log};
use crate::leaser::Asking;
use crate::nat::NatConfig;
use crate::net::{HostId, NatId, NatSpec};
use crate::world::{HostSpec, World};
pub use acts::outcome;
pub use devices::{AcceptorApp, Flash, FleetAcceptor, FleetIssuer, FleetServer, IssuerApp};

/// Seconds since 1970 when a simulated world begins: 2026-01-01.
pub const START: u64 = 1_767_225_600;

/// The port of the server, and of everybody's UDP socket.
pub const PORT: u16 = 4_600;

/// The server's second port, where it has one.
pub const OTHER_PORT: u16 = 4_601;

/// The server's end on a second address, where it has one.
pub const OTHER_ADDRESS: SocketAddr =
    SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 2)), PORT);

/// Gives a server's settings the second port and address of a fleet: such a server measures NATs and
/// lets two ends punch holes. For [`Fleet::with_server`] and [`Fleet::with_tables`].
pub const fn punches(config: &mut ServerConfig) {
    config.other_port = Some(OTHER_PORT);
    config.other_address = Some(OTHER_ADDRESS);
}

/// How many equipments, requests and TCP connections the server of a fleet holds at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tables {
    /// Equipments.
    pub clients: usize,
    /// Requests.
    pub requests: usize,
    /// TCP connections.
    pub streams: usize,
}

impl Default for Tables {
    /// 1,024, 64 and 64.
    fn default() -> Self {
        Self { clients: 1_024, requests: 64, streams: 64 }
    }
}

/// What a device of the fleet was made from, to make it again.
#[derive(Clone, Debug)]
enum Device {
    Acceptor(Box<AcceptorConfig>),
    Issuer(Box<IssuerConfig>),
}

/// One equipment.
#[derive(Debug)]
struct Member {
    host: HostId,
    device: Device,
    switch: EntropySwitch,
    /// What is in flash while it is off.
    flash: Option<Flash>,
    lease: Option<Asking>,
}

/// A world with a server and its equipment.
#[derive(Debug)]
pub struct Fleet {
    /// The world that they live in.
    pub world: World,
    /// The server's host.
    pub server: HostId,
    authority: [u8; 32],
    config: ServerConfig,
    tables: Tables,
    members: Vec<Member>,
    nats: u16,
    /// Whether equipment that is added behind a NAT asks it for a port, in PCP or NAT-PMP. Not unless
    /// it is set.
    pub asks_for_ports: bool,
}

impl Fleet {
    /// A world with a server as [`ServerConfig::new`] has it, and a clock.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_server(seed, |_| ())
    }

    /// As [`Fleet::new`], with the server's settings changed by `adjust`. Its host has a further port
    /// and address where they say so.
    #[must_use]
    pub fn with_server(seed: u64, adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::with_tables(seed, Tables::default(), adjust)
    }

    /// As [`Fleet::with_server`], with tables of other sizes.
    #[must_use]
    pub fn with_tables(seed: u64, tables: Tables, adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut world = World::new(seed);
        let authority = secret(&world, "authority");
        let key = StaticKey::from_secret(secret(&world, "server"));
        let certificate = certify(&authority, &key, 1);
        let mut config = ServerConfig::new(key, certificate);
        config.wall_clock = START;
        adjust(&mut config);
        let mut spec = HostSpec::new("server", SERVER_IP).port(PORT).listening();
        if let Some(port) = config.other_port {
            spec = spec.socket(SocketId::OTHER_PORT, port);
        }
        if let Some(other) = config.other_address {
            spec = spec.address(other.ip()).socket_at(SocketId::OTHER_ADDRESS, other);
        }
        let entropy = world.entropy("server");
        let boot = |now| Host::new(server(now, config.clone(), tables, entropy), Log::default());
        let server = world.add_host(spec, boot);
        Self {
            world,
            server,
            authority,
            config,
            tables,
            members: Vec::new(),
            nats: 0,
            asks_for_ports: false,
        }
    }

    /// The server's address.
    #[must_use]
    pub const fn server_address(&self) -> SocketAddr {
        SocketAddr::new(SERVER_IP, PORT)
    }

    /// Whom the fleet's equipment believes about the server.
    #[must_use]
    pub fn anchors(&self) -> Anchors {
        let mut anchors = Anchors { floor: START, ..Anchors::default() };
        let pushed = anchors.authorities.push(authority_public(&self.authority));
        assert!(pushed.is_ok(), "there is room for one authority");
        anchors
    }

    /// A certificate for `key` by the fleet's authority, valid for a year from [`START`].
    #[must_use]
    pub fn certificate(&self, key: &StaticKey, serial: u32) -> heapless::Vec<u8, MAX_CERTIFICATE> {
        certify(&self.authority, key, serial)
    }

    /// Adds a NAT to put equipment behind; the first is 192.0.2.1.
    ///
    /// # Panics
    /// When the addresses for NATs are used up, or the settings make no sense
    /// ([`NatConfig::check`] says so before).
    pub fn nat(&mut self, config: NatConfig) -> NatId {
        self.nat_behind(None, config)
    }

    /// Adds a NAT behind another one, as a home's behind a carrier's; its outer address is 100.64.0.1
    /// and so on.
    ///
    /// # Panics
    /// When `carrier` is no NAT of this fleet's world; as [`Fleet::nat`].
    pub fn nat_behind(&mut self, carrier: Option<NatId>, config: NatConfig) -> NatId {
        self.add_nat(carrier, 1, config)
    }

    /// Adds a NAT with so many external addresses (1 or more), as a carrier's has; the first is that
    /// of [`Fleet::nat`], the others follow it. [`NatConfig::pooling`] says who gets which.
    ///
    /// # Panics
    /// When `addresses` is 0; as [`Fleet::nat`].
    pub fn nat_pool(&mut self, addresses: u16, config: NatConfig) -> NatId {
        self.add_nat(None, addresses, config)
    }

    fn add_nat(&mut self, carrier: Option<NatId>, addresses: u16, config: NatConfig) -> NatId {
        assert!(addresses > 0, "a NAT needs an external address: a pool of 0 was asked for");
        let taken = self.nats;
        assert!(
            taken.checked_add(addresses).is_some(),
            "a fleet has 65535 addresses for NATs: {taken} are taken, {addresses} more were asked for"
        );
        let network = self.world.net.next_nat().0 as u8;
        let mut spec = NatSpec::new(&format!("nat{}", self.nats + 1), config);
        for _ in 0..addresses {
            self.nats += 1;
            spec = spec.external(match (carrier, self.nats.to_be_bytes()) {
                (Some(_), [high, low]) => IpAddr::from([100, 64, high, low]),
                (None, [0, number @ ..=254]) => IpAddr::from([192, 0, 2, number]),
                (None, [high, low]) => IpAddr::from([24, 0, high, low]),
            });
        }
        spec = spec.inner(IpAddr::from([10, network, 0, 1]));
        self.world.add_gateway(carrier.into_iter().fold(spec, NatSpec::behind))
    }

    /// Adds an acceptor in the public internet, with its settings changed by `adjust`.
    ///
    /// # Panics
    /// As [`Fleet::acceptor_behind`].
    pub fn acceptor(&mut self, name: &str, adjust: impl FnOnce(&mut AcceptorConfig)) -> HostId {
        self.acceptor_behind(None, name, adjust)
    }

    /// Adds an acceptor behind a NAT.
    ///
    /// # Panics
    /// When another of the fleet has that name, since its key is made from it, `nat` is no NAT of the
    /// fleet's world, or the fleet is full.
    pub fn acceptor_behind(
        &mut self,
        nat: Option<NatId>,
        name: &str,
        adjust: impl FnOnce(&mut AcceptorConfig),
    ) -> HostId {
        let (identity, server) = (self.identity(name), ServerAddress::both(self.server_address()));
        let mut config = AcceptorConfig::new(identity, server, self.anchors());
        adjust(&mut config);
        self.device(nat, name, Device::Acceptor(Box::new(config)))
    }

    /// Adds an issuer in the public internet, with its settings changed by `adjust`.
    ///
    /// # Panics
    /// As [`Fleet::acceptor_behind`].
    pub fn issuer(&mut self, name: &str, adjust: impl FnOnce(&mut IssuerConfig)) -> HostId {
        self.issuer_behind(None, name, adjust)
    }

    /// Adds an issuer behind a NAT.
    ///
    /// # Panics
    /// As [`Fleet::acceptor_behind`].
    pub fn issuer_behind(
        &mut self,
        nat: Option<NatId>,
        name: &str,
        adjust: impl FnOnce(&mut IssuerConfig),
    ) -> HostId {
        let (identity, server) = (self.identity(name), ServerAddress::both(self.server_address()));
        let mut config = IssuerConfig::new(identity, server, self.anchors());
        adjust(&mut config);
        self.device(nat, name, Device::Issuer(Box::new(config)))
    }

    /// An equipment's id.
    ///
    /// # Panics
    /// When `host` is not of this fleet.
    #[must_use]
    pub fn id(&self, host: HostId) -> EquipmentId {
        match &self.member(host).device {
            Device::Acceptor(config) => config.identity.key.id(),
            Device::Issuer(config) => config.identity.key.id(),
        }
    }

    /// What changes the mode of an equipment's entropy; a reboot makes it good again.
    ///
    /// # Panics
    /// When `host` is not of this fleet.
    #[must_use]
    pub fn entropy(&self, host: HostId) -> EntropySwitch {
        self.member(host).switch.clone()
    }

    fn identity(&self, name: &str) -> Identity {
        let is_own = |member: &Member| self.world.name(member.host) == name;
        assert!(
            !OWN_NAMES.contains(&name) && !self.members.iter().any(is_own),
            "this fleet has a {name:?} already; keys are made from names, so that two of one name \
             would share a key"
        );
        Identity { key: StaticKey::from_secret(secret(&self.world, name)), boots: 0 }
    }

    fn device(&mut self, nat: Option<NatId>, name: &str, device: Device) -> HostId {
        let number = self.members.len() as u32 + 1;
        assert!(
            number <= MOST_EQUIPMENT,
            "a fleet has {MOST_EQUIPMENT} pieces of equipment at most"
        );
        let address = match (nat, number.to_be_bytes()) {
            (Some(NatId(nat)), _) => {
                let [.., high, low] = (number + 1).to_be_bytes();
                IpAddr::from([10, nat as u8, high, low])
            }
            (None, [0, 0, 0, number @ ..=254]) => IpAddr::from([198, 51, 100, number]),
            (None, [_, rest @ ..]) => IpAddr::from([60, rest[0], rest[1], rest[2]]),
        };
        let mut spec = HostSpec::new(name, address).port(PORT);
        spec.behind = nat;
        let gateway = nat.filter(|_| self.asks_for_ports).and_then(|nat| self.world.gateway(nat));
        let mut chance = self.world.chance(&format!("lease of {name}"));
        let lease = gateway.map(|gateway| {
            let mut nonce = [0; 12];
            chance.fill(&mut nonce);
            Asking { inside: SocketAddr::new(address, PORT), gateway, nonce }
        });
        let entropy = self.world.entropy(name);
        let switch = entropy.switch();
        let flash = Flash::default();
        let since = self.world.now().as_secs();
        let host = match device.clone() {
            Device::Acceptor(config) => self.world.add_host(spec, |now| {
                devices::acceptor(now, *config, entropy, flash, (since, lease))
            }),
            Device::Issuer(config) => self.world.add_host(spec, |now| {
                devices::issuer(now, *config, entropy, flash, (since, lease))
            }),
        };
        self.members.push(Member { host, device, switch, flash: None, lease });
        host
    }

    #[expect(clippy::panic, reason = "the test asked for what cannot be")]
    fn member(&self, host: HostId) -> &Member {
        let found = self.members.iter().find(|member| member.host == host);
        found.unwrap_or_else(|| {
            panic!(
                "{} is no equipment of this fleet: fleets know what they added themselves, the \
                    server apart",
                self.world.name(host)
            )
        })
    }
}

/// The last has 10.`n`.255.254 behind a NAT.
const MOST_EQUIPMENT: u32 = 65_533;

/// What the fleet's own keys are made from.
const OWN_NAMES: [&str; 2] = ["server", "authority"];

const SERVER_IP: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 1));

fn secret(world: &World, label: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    world.chance(&format!("key of {label}")).fill(&mut bytes);
    bytes
}

#[expect(clippy::expect_used, reason = "its inputs are written out here")]
fn certify(
    authority: &[u8; 32],
    key: &StaticKey,
    serial: u32,
) -> heapless::Vec<u8, MAX_CERTIFICATE> {
    let subject = Subject {
        server_key: *key.public(),
        serial,
        not_before: START - 86_400,
        not_after: START + 366 * 86_400,
        names: "server.example",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(authority, &subject, &mut out).expect("a good subject");
    heapless::Vec::from_slice(&out[..len]).expect("a certificate fits")
}

#[expect(clippy::expect_used, reason = "the test gave settings that cannot be")]
fn server(now: Instant, config: ServerConfig, tables: Tables, entropy: SimEntropy) -> FleetServer {
    let clients = core::iter::repeat_with(|| ClientSlot::EMPTY).take(tables.clients).collect();
    let requests = core::iter::repeat_with(|| RequestSlot::EMPTY).take(tables.requests).collect();
    let streams = core::iter::repeat_with(|| StreamSlot::EMPTY).take(tables.streams).collect();
    Server::new(now, config, clients, requests, streams, entropy).expect("a good server")
}
