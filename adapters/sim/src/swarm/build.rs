//! A world from its header: server, devices, edges, doors, and which faults it has.

use core::cell::RefCell;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use genkan_core::{
    AcceptorConfig, ConnectionId, Delivery, IssuerConfig, PasswordRecord, RequestTransport,
    StaticKey,
};

use super::acts::Undo;
use super::checks::{Checks, Door, Roster, Watcher};
use super::edges::{self, Edge};
use super::{Act, Broken, HEADER, Report, Settings, Source};
use crate::faults::Faults;
use crate::fleet::{Fleet, START, Tables};
use crate::net::{HostId, NatId, NatSpec};

/// The password information that opens the doors with a password.
pub(super) const PASSWORD: [u8; 32] = *b"information of the true password";
/// The early key of acceptors with a pairing list.
pub(super) const EARLY_KEY: [u8; 16] = *b"early early key!";
/// How long a server waits before it refuses.
pub(super) const REFUSAL: Duration = Duration::from_secs(3);
/// What the server holds: more than there can be honest members.
const TABLES: Tables = Tables { clients: 24, requests: 32, streams: 32 };

/// A member of the world.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: HostId,
    /// The NATs that it is behind, its own first.
    pub(super) nats: Vec<NatId>,
    /// Its line when nothing is wrong.
    pub(super) line: Faults,
}

/// A world with what is done to it.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) fleet: Fleet,
    pub(super) checks: Rc<RefCell<Checks>>,
    pub(super) acceptors: Vec<Place>,
    pub(super) issuers: Vec<Place>,
    /// Knows no password and is on no list.
    pub(super) evil: Option<HostId>,
    /// One bit for each [`Act`].
    pub(super) classes: u64,
    pub(super) undo: BTreeMap<(Duration, u32), Undo>,
    pub(super) undone: u32,
    /// Where each clock that has jumped is, in milliseconds; 100,000 is the true time.
    pub(super) jumped: BTreeMap<HostId, u64>,
    /// Requests whose end is awaited.
    pub(super) made: Vec<(HostId, ConnectionId)>,
    /// The number of the next payload, and the counter of the next target.
    pub(super) numbers: u32,
    /// Everything is kept, to be looked at afterwards.
    pub(super) replayed: bool,
    pub(super) report: Report,
    nats: u16,
}

impl Swarm {
    pub(super) fn new(settings: &Settings, header: &[u8; HEADER], keep: bool) -> Self {
        let word = |at: usize| header[at..].first_chunk().map_or(0, |b| u64::from_be_bytes(*b));
        let mut key = None;
        let mut fleet = Fleet::with_tables(word(0), TABLES, |config| {
            config.delivery = if header[16] & 1 == 0 { Delivery::Auto } else { Delivery::Stream };
            config.refusal_delay = REFUSAL;
            config.wall_clock = if header[16] & 6 == 6 { 0 } else { START };
            key = Some(config.key.clone());
        });
        fleet.world.keep_transcript(keep);
        let roster = Roster::new(fleet.server, key, fleet.server_address());
        let checks = Rc::new(RefCell::new(Checks::new(roster, TABLES.clients)));
        fleet.world.watch = Some(Box::new(Watcher(Rc::clone(&checks))));
        let classes = if settings.faults { word(8) } else { 0 };
        let mut swarm = Self {
            fleet,
            checks,
            acceptors: Vec::new(),
            issuers: Vec::new(),
            evil: None,
            classes,
            undo: BTreeMap::new(),
            undone: 0,
            jumped: BTreeMap::new(),
            made: Vec::new(),
            numbers: 0,
            replayed: false,
            report: Report::default(),
            nats: 0,
        };
        swarm.populate(settings, header);
        swarm
    }

    fn populate(&mut self, settings: &Settings, header: &[u8; HEADER]) {
        let among = |(least, most): (u8, u8), byte: u8| {
            let (least, most) = (least.clamp(1, 8), most.clamp(least.clamp(1, 8), 8));
            usize::from(least + byte % (most - least + 1))
        };
        let part = |at: usize| header[at..].first_chunk::<4>().copied().unwrap_or_default();
        for number in 0..among(settings.issuers, header[17]) {
            self.issuer(number, part(24 + number * 4));
        }
        if settings.faults && header[18] & 1 != 0 {
            self.issuer(usize::MAX, [0; 4]);
        }
        for number in 0..among(settings.acceptors, header[19]) {
            self.acceptor(number, part(56 + number * 4));
        }
    }

    fn issuer(&mut self, number: usize, [edge, kind, more, way]: [u8; 4]) {
        let evil = number == usize::MAX;
        let name = if evil { "thief".into() } else { format!("phone{number}") };
        // Phones that nobody can dial are of little use to a version without punching.
        let edge = if edge % 3 == 0 { Edge::of(edge / 3) } else { Edge::Public };
        let nats = self.edge(edge, [kind, more], None);
        let mut key = None;
        let host = self.fleet.issuer_behind(nats.first().copied(), &name, |config| {
            config.transport = match way & 3 {
                0..=1 => RequestTransport::Race,
                2 => RequestTransport::Datagram,
                _ => RequestTransport::Stream,
            };
            config.wall_clock = (way & 12 != 12).then_some(START);
            key = Some(key_of_issuer(config));
        });
        self.checks.borrow_mut().roster.issuer(host, key, &name);
        let place = self.place(host, nats, way >> 5);
        if evil { self.evil = Some(host) } else { self.issuers.push(place) }
    }

    fn acceptor(&mut self, number: usize, [edge, kind, more, way]: [u8; 4]) {
        let name = format!("lamp{number}");
        let before = self.acceptors.last().map(|place| place.nats.clone());
        let nats = self.edge(Edge::of(edge), [kind, more], before);
        let door = match way & 3 {
            0 => Door { open: true, password: false, paired: false },
            1 => Door { open: false, password: true, paired: false },
            2 => Door { open: false, password: false, paired: true },
            _ => Door { open: false, password: true, paired: true },
        };
        let phones: Vec<_> = self.issuers.iter().map(|phone| self.fleet.id(phone.host)).collect();
        let mut key = None;
        let host = self.fleet.acceptor_behind(nats.first().copied(), &name, |config| {
            config.wall_clock = (way & 12 != 12).then_some(START);
            config.fetch_certificate_each = way & 16 != 0;
            admit(config, door, &phones);
            key = Some(config.identity.key.clone());
        });
        self.checks.borrow_mut().roster.acceptor(host, key, &name, door);
        let place = self.place(host, nats, way >> 5);
        self.acceptors.push(place);
    }

    fn place(&mut self, host: HostId, nats: Vec<NatId>, line: u8) -> Place {
        let line = edges::line(line);
        self.fleet.world.set_line(host, &line);
        Place { host, nats, line }
    }

    /// The NATs for an edge, made where they are new.
    fn edge(&mut self, edge: Edge, bytes: [u8; 2], before: Option<Vec<NatId>>) -> Vec<NatId> {
        match (edge, before) {
            (Edge::Public, _) => Vec::new(),
            (Edge::Shared, Some(nats)) if !nats.is_empty() => nats,
            (Edge::Home | Edge::Shared, _) => vec![self.nat(bytes, None)],
            (Edge::Cascade, _) => {
                let carrier = self.nat([bytes[1], bytes[0]], None);
                vec![self.nat(bytes, Some(carrier)), carrier]
            }
        }
    }

    fn nat(&mut self, bytes: [u8; 2], behind: Option<NatId>) -> NatId {
        let mut spec = NatSpec::new(&format!("nat{}", self.nats + 1), edges::nat(bytes));
        spec.behind = behind;
        spec = spec.external(self.fresh_address(behind.is_some()));
        if edges::pooled(bytes[1]) {
            spec = spec.external(self.fresh_address(behind.is_some()));
        }
        self.fleet.world.add_gateway(spec)
    }

    /// An outside address that nobody has had.
    pub(super) fn fresh_address(&mut self, inner: bool) -> IpAddr {
        self.nats = self.nats.wrapping_add(1);
        let [high, low] = self.nats.to_be_bytes();
        if inner { [100, 64 + high, 0, low].into() } else { [192, 0, 2 + high, low].into() }
    }

    /// Lets the world live: what `source` does to it, then its mending.
    pub(super) fn live(
        &mut self,
        settings: &Settings,
        source: &mut Source<'_>,
    ) -> Result<(), Broken> {
        while let Some(record) = source.next() {
            let act = super::acts::Record(record);
            let at = self.fleet.world.now() + act.wait(settings.pause);
            if at >= settings.duration {
                break;
            }
            self.run_until(at)?;
            self.act(act)?;
        }
        self.run_until(settings.duration)?;
        self.heal()
    }

    /// Lets everything happen up to that time, and looks at it.
    pub(super) fn run_until(&mut self, end: Duration) -> Result<(), Broken> {
        loop {
            let next = self.undo.keys().next().map(|&(at, _)| at).filter(|&at| at <= end);
            self.steps(next.unwrap_or(end))?;
            if next.is_none() {
                return Ok(());
            }
            if let Some((_, undo)) = self.undo.pop_first() {
                self.undo(undo);
            }
        }
    }

    fn steps(&mut self, end: Duration) -> Result<(), Broken> {
        let world = &mut self.fleet.world;
        while world.queue.next_at().is_some_and(|at| at <= end) {
            world.step();
            self.checks.borrow_mut().verdict()?;
            // A replay keeps everything; a failure's report needs only its end.
            if !self.replayed && world.transcript().lines().len() > 4_000 {
                world.clear_transcript();
            }
        }
        world.run_until(end);
        self.checks.borrow_mut().verdict()
    }

    /// Runs until `done`; false when that did not come about in so long.
    pub(super) fn wait(
        &mut self,
        longest: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> Result<bool, Broken> {
        let end = self.fleet.world.now() + longest;
        while !done(self) {
            match self.fleet.world.queue.next_at() {
                Some(at) if at <= end => self.steps(at)?,
                _ => {
                    self.steps(end)?;
                    return Ok(done(self));
                }
            }
        }
        Ok(true)
    }

    pub(super) const fn allows(&self, act: Act) -> bool {
        self.classes & (1 << act as u8) != 0
    }

    pub(super) fn report(&self) -> Report {
        let (world, checks) = (&self.fleet.world, self.checks.borrow());
        Report {
            simulated: world.now(),
            hash: world.transcript().hash(),
            packets: world.transcript().packets(),
            calls: checks.calls,
            connected: checks.sessions.connected,
            payloads: checks.sessions.payloads,
            writes: checks.machines.writes,
            ..self.report.clone()
        }
    }
}

fn key_of_issuer(config: &IssuerConfig) -> StaticKey {
    config.identity.key.clone()
}

fn admit(config: &mut AcceptorConfig, door: Door, phones: &[genkan_core::EquipmentId]) {
    let admission = &mut config.admission;
    admission.open = door.open;
    admission.password = door.password.then(|| PasswordRecord::new([5; 16], &PASSWORD));
    if door.paired {
        // Two of them at most: the others are strangers.
        admission.paired.extend(phones.iter().take(2).copied());
        admission.early_key = Some(EARLY_KEY);
    }
}
