//! A world from its header: server, devices, edges, doors, and which faults it has.
//!
//! | bytes | what they say |
//! |---|---|
//! | 0 to 7 | the world's own seed |
//! | 8 to 15 | which acts it has, a bit for each |
//! | 16 | how the server brings requests, and whether it has a clock |
//! | 17 and 19 | how many issuers and acceptors |
//! | 18 | whether there is a thief |
//! | 20 and 21 | the keepalive's interval, and room on the server's list |
//! | 22 | whether the mended world is asked over a line with loss too |
//! | 23 | whether the server has a second port, and a second address |
//! | 24 to 55 | four for each issuer: edge, box (two), ways and line |
//! | 56 to 87 | as many for each acceptor |
//! | 88 to 91 | who speaks IPv6: a bit in the first two for acceptors, in the others for issuers |
//! | 96 to 127, 128 to 159 | what is unusual about the box, four for each issuer and acceptor |

use core::cell::RefCell;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use genkan_core::punch::{Ability, Detector, Limits};
use genkan_core::{
    AcceptorConfig, ConnectionId, Delivery, IssuerConfig, PasswordRecord, RequestTransport,
    ServerAddress, StaticKey,
};

use super::acts::Undo;
use super::checks::{Checks, Door, Roster, Watcher};
use super::edges::{self, Edge, Lot};
use super::houses::{House, Place};
use super::replay::OnProgress;
use super::{Act, Broken, HEADER, Report, Settings, Source};
use crate::fleet::{Fleet, OTHER_ADDRESS, OTHER_PORT, PORT, START, Tables};
use crate::net::HostId;

/// The password information that opens the doors with a password.
pub(super) const PASSWORD: [u8; 32] = *b"information of the true password";
/// The early key of acceptors with a pairing list.
pub(super) const EARLY_KEY: [u8; 16] = *b"early early key!";
/// How long a server waits before it refuses.
pub(super) const REFUSAL: Duration = Duration::from_secs(3);
/// What the server holds, unless a small list is drawn: more than there can be honest members.
pub(super) const TABLES: Tables = Tables { clients: 24, requests: 32, streams: 32 };

/// A world with what is done to it.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) fleet: Fleet,
    pub(super) checks: Rc<RefCell<Checks>>,
    pub(super) acceptors: Vec<Place>,
    pub(super) issuers: Vec<Place>,
    pub(super) houses: Vec<House>,
    /// The server's address for IPv6.
    pub(super) server_six: SocketAddr,
    /// The server lets equipment punch holes.
    pub(super) punches: bool,
    /// It notifies acceptors over datagrams where it can.
    pub(super) delivers: bool,
    /// Places on the server's list.
    pub(super) clients: usize,
    /// How often keepalives are sent at least.
    pub(super) interval: Duration,
    /// Requests are made over a line with loss too, when all is mended.
    pub(super) lossy: bool,
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
    /// All lines of the transcript are kept, to be looked at afterwards.
    pub(super) keep_all: bool,
    /// None: nobody looks on, or the world was told to stop.
    pub(super) on_progress: Option<OnProgress>,
    pub(super) report: Report,
    /// Addresses that were given out.
    pub(super) addresses: u16,
}

impl Swarm {
    pub(super) fn new(settings: &Settings, header: &[u8; HEADER], keep: bool) -> Self {
        let word = |at: usize| header[at..].first_chunk().map_or(0, |b| u64::from_be_bytes(*b));
        let interval = match header[20] % 8 {
            0..=5 => 25,
            6 => 20,
            _ => 10,
        };
        let clients = clients(settings, header);
        let tables = Tables { clients, ..TABLES };
        let (mut key, mut certificate, mut ends) = (None, Vec::new(), (None, None));
        let mut fleet = Fleet::with_tables(word(0), tables, |config| {
            config.delivery = if header[16] & 1 == 0 { Delivery::Auto } else { Delivery::Stream };
            config.refusal_delay = REFUSAL;
            config.wall_clock = if header[16] & 6 == 6 { 0 } else { START };
            config.interval = interval;
            ends = further_ends(header);
            (config.other_port, config.other_address) = ends;
            key = Some(config.key.clone());
            certificate = config.certificate.to_vec();
        });
        fleet.world.keep_transcript(keep);
        let server_six = SocketAddr::new([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1].into(), PORT);
        let both = [fleet.server_address(), server_six];
        let (port, other) = ends;
        let addresses = both.into_iter().chain(other);
        let addresses: Vec<_> = addresses.map(|address| address.ip()).collect();
        fleet.world.renumber_host(fleet.server, &addresses);
        let beside =
            port.into_iter().flat_map(|port| both.map(|at| SocketAddr::new(at.ip(), port)));
        let others: Vec<_> = beside.chain(other).collect();
        let roster = Roster::new(fleet.server, (key, certificate), both, &others);
        let checks = Rc::new(RefCell::new(Checks::new(roster, clients, interval)));
        fleet.world.watch = Some(Box::new(Watcher(Rc::clone(&checks))));
        let classes = if settings.faults { word(8) } else { 0 };
        let mut swarm = Self {
            fleet,
            checks,
            acceptors: Vec::new(),
            issuers: Vec::new(),
            houses: Vec::new(),
            server_six,
            punches: port.is_some(),
            delivers: header[16] & 1 == 0,
            clients,
            interval: Duration::from_secs(interval.into()),
            lossy: header[22] % 4 == 3,
            evil: None,
            classes,
            undo: BTreeMap::new(),
            undone: 0,
            jumped: BTreeMap::new(),
            made: Vec::new(),
            numbers: 0,
            keep_all: false,
            on_progress: None,
            report: Report::default(),
            addresses: 0,
        };
        swarm.populate(settings, header);
        swarm
    }

    fn populate(&mut self, settings: &Settings, header: &[u8; HEADER]) {
        let part = |at: usize| header[at..].first_chunk::<4>().copied().unwrap_or_default();
        let traits = |at: usize| if settings.faults { part(at) } else { [0; 4] };
        let six = |at: usize, number: usize| header[at] & header[at + 1] & (1 << number) != 0;
        for number in 0..issuers(settings, header) {
            let (at, drawn) = (number * 4, part(24 + number * 4));
            self.issuer(number, drawn, traits(96 + at), six(90, number));
        }
        if has_thief(settings, header) {
            self.issuer(usize::MAX, [0; 4], [0; 4], false);
        }
        for number in 0..among(settings.acceptors, header[19]) {
            let (at, drawn) = (number * 4, part(56 + number * 4));
            self.acceptor(number, drawn, traits(128 + at), six(88, number));
        }
    }

    fn issuer(&mut self, number: usize, drawn: [u8; 4], traits: [u8; 4], six: bool) {
        let [edge, kind, more, way] = drawn;
        let evil = number == usize::MAX;
        let name = if evil { "thief".into() } else { format!("phone{number}") };
        // Phones that nobody can dial are of little use to a server that lets nobody punch.
        let edge = if self.punches {
            Edge::of(edge)
        } else if edge % 3 == 0 {
            Edge::of((edge / 3) ^ (edge << 7))
        } else {
            Edge::Public
        };
        let house = self.house(edge, Lot { kind, more, traits });
        let server = self.server_for(six);
        let mut key = None;
        let host = self.fleet.issuer_behind(self.own_box(house), &name, |config| {
            config.server = ServerAddress::both(server);
            config.transport = match way & 3 {
                0..=1 => RequestTransport::Race,
                2 => RequestTransport::Datagram,
                _ => RequestTransport::Stream,
            };
            config.wall_clock = (way & 12 != 12).then_some(START);
            config.punch = ability(drawn);
            key = Some(key_of_issuer(config));
        });
        self.checks.borrow_mut().roster.issuer(host, key, &name);
        let mut place = self.settle(host, house, six, edges::line(way >> 5));
        (place.punches, place.datagrams) = (ability(drawn).is_some(), way & 3 == 2);
        if edge == Edge::Home && !six {
            self.forward(&mut place, Lot { kind, more, traits });
        }
        if evil { self.evil = Some(host) } else { self.issuers.push(place) }
    }

    fn acceptor(&mut self, number: usize, drawn: [u8; 4], traits: [u8; 4], six: bool) {
        let [edge, kind, more, way] = drawn;
        let name = format!("lamp{number}");
        let house = self.house(Edge::of(edge), Lot { kind, more, traits });
        let server = self.server_for(six);
        let door = match way & 3 {
            0 => Door { open: true, password: false, paired: false },
            1 => Door { open: false, password: true, paired: false },
            2 => Door { open: false, password: false, paired: true },
            _ => Door { open: false, password: true, paired: true },
        };
        let phones: Vec<_> = self.issuers.iter().map(|phone| self.fleet.id(phone.host)).collect();
        let mut key = None;
        let host = self.fleet.acceptor_behind(self.own_box(house), &name, |config| {
            config.server = ServerAddress::both(server);
            config.wall_clock = (way & 12 != 12).then_some(START);
            config.fetch_certificate_each = way & 16 != 0;
            config.punch = ability(drawn);
            admit(config, door, &phones);
            key = Some(config.identity.key.clone());
        });
        self.checks.borrow_mut().roster.acceptor(host, key, &name, door);
        let mut place = self.settle(host, house, six, edges::line(way >> 5));
        place.punches = ability(drawn).is_some();
        self.acceptors.push(place);
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
            // A failure's report needs only the end.
            if !self.keep_all && world.transcript().lines().len() > 4_000 {
                world.clear_transcript();
            }
            if let Some(OnProgress(tell)) = &mut self.on_progress
                && tell(world.now()).is_break()
            {
                self.on_progress = None;
                return Err(Broken::new("", "told to stop"));
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
            punched: checks.sessions.punched,
            payloads: checks.sessions.payloads,
            writes: checks.machines.writes,
            ..self.report.clone()
        }
    }
}

/// One of so many.
fn among((least, most): (u8, u8), byte: u8) -> usize {
    let (least, most) = (least.clamp(1, 8), most.clamp(least.clamp(1, 8), 8));
    usize::from(least + byte % (most - least + 1))
}

fn issuers(settings: &Settings, header: &[u8; HEADER]) -> usize {
    among(settings.issuers, header[17])
}

const fn has_thief(settings: &Settings, header: &[u8; HEADER]) -> bool {
    settings.faults && header[18] & 1 != 0
}

/// Room on the server's list: for all, or in one of sixteen worlds for those who ask and one to eight
/// more.
fn clients(settings: &Settings, header: &[u8; HEADER]) -> usize {
    let small = settings.faults && header[21] % 16 == 15;
    let askers = issuers(settings, header) + usize::from(has_thief(settings, header));
    if small { askers + 1 + usize::from(header[21] / 16 % 8) } else { TABLES.clients }
}

/// The server's second port and address: it has both in half of the worlds, the port only in a
/// quarter, and in a quarter none, so that nobody punches there.
const fn further_ends(header: &[u8; HEADER]) -> (Option<u16>, Option<SocketAddr>) {
    match header[23] % 4 {
        0 => (None, None),
        1 => (Some(OTHER_PORT), None),
        _ => (Some(OTHER_PORT), Some(OTHER_ADDRESS)),
    }
}

/// What a device can do to punch: one in four nothing, others as a microcontroller or as a phone,
/// and whose detector counts.
const fn ability([_, kind, more, way]: [u8; 4]) -> Option<Ability> {
    let drawn = kind ^ more.rotate_left(3) ^ way.rotate_left(5);
    let limits = match drawn & 3 {
        0 => return None,
        1 => Limits::SMALL,
        _ => Limits::LARGE,
    };
    let detector = if drawn & 12 == 12 { Detector::Equipment } else { Detector::Server };
    Some(Ability { limits, detector })
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
