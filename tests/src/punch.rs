//! Two ends that are to meet through their NATs: the real machines on the simulated wire, with what
//! it took them.
//!
//! A [`Meeting`] says what stands between the two, [`Meeting::prepared`] puts them into a world in
//! which the appliance is registered and the phone has a session with the server, both measured, and
//! [`Pair::meet`] lets the phone ask. Unless a meeting says otherwise nobody can be dialled, so that
//! the two are connected over a punched path or not at all.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::punch::{Ability, Hopeless};
use genkan_core::wire::Kind;
use genkan_core::{
    AcceptorEvent, ConnectionId, Delivery, IssuerEvent, PasswordRecord, Path, RequestTransport,
    Target,
};
use genkan_sim::fleet::{
    AcceptorApp, Fleet, FleetAcceptor, FleetIssuer, IssuerApp, OTHER_ADDRESS, START, outcome,
    punches,
};
use genkan_sim::{Entry, Fate, Faults, HostId, NatConfig, NatId, Via, World};

use crate::evil::Evil;
use crate::scene::{Door, EARLY_KEY, HOP, PASSWORD, PATIENCE};

/// What stands between two ends.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// The world's seed.
    pub seed: u64,
    /// The issuer's NAT; `None`: it is in the open.
    pub issuer: Option<NatConfig>,
    /// The acceptor's.
    pub acceptor: Option<NatConfig>,
    /// The acceptor is behind the issuer's NAT, whatever [`Meeting::acceptor`] says.
    pub together: bool,
    /// What the issuer and the acceptor can do; `None`: nothing.
    pub abilities: [Option<Ability>; 2],
    /// How the issuer comes in.
    pub door: Door,
    /// How the issuer reaches the server.
    pub transport: RequestTransport,
    /// Whether the server has a second address.
    pub second_address: bool,
    /// The chance of a datagram's getting lost, on each of the three ways.
    pub loss: f64,
    /// Up to this much longer than [`HOP`], drawn for each datagram.
    pub jitter: Duration,
    /// How far apart the two ends' datagrams leave.
    pub gap: Duration,
    /// How long before the request the two were measured, about.
    pub age: Duration,
    /// Whether the acceptor can reach the issuer over TCP where no NAT is in the way.
    pub dial_back: bool,
    /// Whether the issuer opens a listener.
    pub listen: bool,
    /// Whether the acceptor finds out how long its NAT keeps a mapping.
    pub lifetime: bool,
    /// Whether the two ask their boxes for ports.
    pub leases: bool,
}

impl Meeting {
    /// Between these two, with a phone's abilities, a paired phone, a server with two addresses, a
    /// tenth of a millisecond between datagrams, no faults and profiles ten seconds old.
    #[must_use]
    pub const fn between(issuer: Option<NatConfig>, acceptor: Option<NatConfig>) -> Self {
        Self {
            seed: 1,
            issuer,
            acceptor,
            together: false,
            abilities: [Some(Ability::LARGE); 2],
            door: Door::Paired,
            transport: RequestTransport::Datagram,
            second_address: true,
            loss: 0.0,
            jitter: Duration::ZERO,
            gap: Duration::from_micros(100),
            age: Duration::from_secs(10),
            dial_back: false,
            listen: true,
            lifetime: false,
            leases: false,
        }
    }

    /// The two in their world: registered, measured, with a session each.
    #[must_use]
    pub fn prepared(&self) -> Pair {
        let mut fleet = Fleet::with_server(self.seed, |config| {
            config.delivery = Delivery::Auto;
            punches(config);
            config.other_address = self.second_address.then_some(OTHER_ADDRESS);
        });
        fleet.asks_for_ports = self.leases;
        let issuer_nat = self.issuer.clone().map(|config| fleet.nat(config));
        let phone = fleet.issuer_behind(issuer_nat, "phone", |config| {
            config.transport = self.transport;
            config.wall_clock = Some(START);
            config.punch = self.abilities[0];
            config.listen = self.listen;
        });
        let phone_id = fleet.id(phone);
        let acceptor_nat = match self.together {
            true => issuer_nat,
            false => self.acceptor.clone().map(|config| fleet.nat(config)),
        };
        let lamp = fleet.acceptor_behind(acceptor_nat, "lamp", |config| {
            config.spread = Duration::ZERO;
            config.punch = self.abilities[1];
            config.lifetime = self.lifetime;
            let admission = &mut config.admission;
            match self.door {
                Door::Open => admission.open = true,
                Door::Password => {
                    admission.password = Some(PasswordRecord::new([5; 16], &PASSWORD));
                }
                Door::Paired => {
                    admission.paired.push(phone_id).expect("room for one");
                    admission.early_key = Some(EARLY_KEY);
                }
            }
        });
        let nats = [issuer_nat, acceptor_nat];
        let mut pair = Pair { fleet, lamp, phone, nats, door: self.door, asked: Duration::ZERO };
        pair.lines(self);
        pair.warm(self.age);
        pair
    }

    /// The two meet, or do not.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let mut pair = self.prepared();
        pair.meet()
    }

    /// As [`Meeting::run`], for so many seeds.
    #[must_use]
    pub fn runs(&self, seeds: core::ops::Range<u64>) -> Vec<Outcome> {
        seeds.map(|seed| Self { seed, ..self.clone() }.run()).collect()
    }
}

/// The two in their world.
#[derive(Debug)]
pub struct Pair {
    /// Their world.
    pub fleet: Fleet,
    /// The acceptor.
    pub lamp: HostId,
    /// The issuer.
    pub phone: HostId,
    /// The issuer's NAT and the acceptor's.
    pub nats: [Option<NatId>; 2],
    door: Door,
    /// When the phone asked last.
    pub asked: Duration,
}

/// How a meeting ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the phone was told in the end.
    pub told: Option<IssuerEvent>,
    /// The path that the phone is connected over.
    pub path: Option<Path>,
    /// Why the two NATs cannot be punched, when the phone was told so.
    pub hopeless: Option<Hopeless>,
    /// From the request until the phone was connected.
    pub took: Option<Duration>,
    /// From the request until the first direct packet arrived.
    pub first: Option<Duration>,
    /// Packets from one end to the other until the phone was connected: bubbles, replies and answers.
    pub direct: usize,
    /// Detection packets of both ends in the same time.
    pub detections: usize,
    /// Ports of the issuer's and the acceptor's NAT from which those packets came, beyond the ones
    /// that the server knew.
    pub mappings: [usize; 2],
}

impl Outcome {
    /// Whether the two are connected over a punched path.
    #[must_use]
    pub const fn is_punched(&self) -> bool {
        matches!(self.path, Some(Path::Datagram { .. }))
    }

    /// Bubbles, replies, answers and detection packets.
    #[must_use]
    pub const fn packets(&self) -> usize {
        self.direct + self.detections
    }
}

impl Pair {
    fn lines(&mut self, meeting: &Meeting) {
        let Self { fleet, lamp, phone, .. } = self;
        let (server, lamp, phone) = (fleet.server, *lamp, *phone);
        let line = Faults::latency(HOP).with_loss(meeting.loss).with_jitter(meeting.jitter);
        fleet.world.set_paths(phone, server, &line);
        fleet.world.set_paths(lamp, server, &line);
        let direct = if meeting.dial_back { line } else { line.without_tcp() };
        fleet.world.set_paths(phone, lamp, &direct);
        for host in [lamp, phone] {
            fleet.world.set_send_gap(host, meeting.gap);
        }
    }

    /// The lamp registers, and the phone has asked for somebody who is not there.
    fn warm(&mut self, age: Duration) {
        assert!(self.fleet.wait_registered(self.lamp, Duration::from_secs(60)));
        let nobody = Target::new(Evil::new(77, &[1; 32]).id());
        let request = self.fleet.request_target(self.phone, &nobody);
        self.fleet.world.run_for(age.max(HOP * 20));
        self.fleet.hang_up(self.phone, request);
    }

    /// The appliance with what opens its door.
    #[must_use]
    pub fn target(&self) -> Target {
        let mut target = Target::new(self.fleet.id(self.lamp));
        match self.door {
            Door::Open => {}
            Door::Password => target.password = Some(PASSWORD),
            Door::Paired => target.early_key = Some(EARLY_KEY),
        }
        target
    }

    /// The phone asks.
    pub fn ask(&mut self) -> ConnectionId {
        self.asked = self.fleet.world.now();
        let target = self.target();
        self.fleet.request_target(self.phone, &target)
    }

    /// The phone asks, and what came of it.
    pub fn meet(&mut self) -> Outcome {
        let request = self.ask();
        let told = self.fleet.wait_outcome(self.phone, request, PATIENCE);
        self.outcome(told)
    }

    /// What it took until now, when the phone was told this.
    #[must_use]
    pub fn outcome(&self, told: Option<IssuerEvent>) -> Outcome {
        let path = match told {
            Some(IssuerEvent::Connected { path, .. }) => Some(path),
            _ => None,
        };
        let now = self.fleet.world.now();
        let hopeless = self.phone_events().into_iter().find_map(|event| match event {
            IssuerEvent::Hopeless { why, .. } => Some(why),
            _ => None,
        });
        let sent: Vec<&Entry> = self.direct().collect();
        let detections = self.since().filter(|entry| entry.kind == Some(Kind::Detect)).count();
        let arrived = |entry: &&Entry| match entry.fate {
            Fate::Delivered(at) => Some(at),
            _ => None,
        };
        let first = sent.iter().filter_map(arrived).min();
        Outcome {
            told,
            path,
            hopeless,
            took: path.map(|_| now - self.asked),
            first: first.map(|at| at - self.asked),
            direct: sent.len(),
            detections,
            mappings: ["phone", "lamp"].map(|name| self.ports(name)),
        }
    }

    /// What was sent since the phone asked.
    pub fn since(&self) -> impl Iterator<Item = &Entry> {
        let asked = self.asked;
        self.fleet.world.transcript().entries().filter(move |entry| entry.at >= asked)
    }

    /// Datagrams from one end to the other since the phone asked.
    pub fn direct(&self) -> impl Iterator<Item = &Entry> {
        self.since().filter(|entry| {
            entry.via == Via::Udp
                && entry.from != "server"
                && !is_of_server(entry.destination)
                && !is_of_server(entry.source)
        })
    }

    /// The ports of an end's NAT that were not in use when the phone asked.
    fn ports(&self, name: &str) -> usize {
        let used = |entry: &&Entry| entry.from == name && entry.via == Via::Udp;
        let all = self.fleet.world.transcript().entries().filter(used);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for entry in all {
            let list = if entry.at < self.asked { &mut before } else { &mut after };
            if !list.contains(&entry.source) {
                list.push(entry.source);
            }
        }
        after.iter().filter(|source| !before.contains(source)).count()
    }

    /// What the phone was told.
    #[must_use]
    pub fn phone_events(&self) -> Vec<IssuerEvent> {
        let app: &IssuerApp = self.world().app(self.phone);
        app.log.events.iter().map(|&(_, event)| event).collect()
    }

    /// What the lamp was told.
    #[must_use]
    pub fn lamp_events(&self) -> Vec<AcceptorEvent> {
        let app: &AcceptorApp = self.world().app(self.lamp);
        app.log.events.iter().map(|&(_, event)| event).collect()
    }

    const fn world(&self) -> &World {
        &self.fleet.world
    }

    /// What a request has come to so far.
    #[must_use]
    pub fn told(&self, request: ConnectionId) -> Option<IssuerEvent> {
        outcome(self.world(), self.phone, request)
    }

    /// The phone's name for the connection that stood last.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionId> {
        self.phone_events().into_iter().rev().find_map(|event| match event {
            IssuerEvent::Connected { connection, .. } => Some(connection),
            _ => None,
        })
    }

    /// The lamp's.
    #[must_use]
    pub fn lamps_connection(&self) -> Option<ConnectionId> {
        self.lamp_events().into_iter().rev().find_map(|event| match event {
            AcceptorEvent::Connected { connection, .. } => Some(connection),
            _ => None,
        })
    }

    /// How many TCP streams the two have open.
    pub fn streams(&mut self) -> usize {
        let world = &mut self.fleet.world;
        let phones = world.with(self.phone, |_: &mut FleetIssuer, io| io.streams().len());
        phones + world.with(self.lamp, |_: &mut FleetAcceptor, io| io.streams().len())
    }

    /// Whether a word of the phone's is heard by the lamp and one of the lamp's by the phone, over the
    /// connections that stood last.
    pub fn talk(&mut self) -> bool {
        // Who has answered waits for the first word before it counts as connected.
        self.fleet.world.run_for(HOP * 2);
        let hosts = [(self.phone, self.connection()), (self.lamp, self.lamps_connection())];
        let before = hosts.map(|(host, _)| self.fleet.heard(host).len());
        for (host, connection) in hosts {
            let said = connection.map(|connection| self.fleet.say(host, connection, b"a word"));
            if !matches!(said, Some(Ok(_))) {
                return false;
            }
        }
        self.fleet.world.run_for(HOP * 3);
        hosts.iter().zip(before).all(|(&(host, _), before)| self.fleet.heard(host).len() > before)
    }
}

/// Whether it is one of the server's addresses.
#[must_use]
pub fn is_of_server(address: SocketAddr) -> bool {
    [SocketAddr::from(([203, 0, 113, 1], 0)).ip(), OTHER_ADDRESS.ip()].contains(&address.ip())
}
