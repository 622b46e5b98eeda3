//! Target `issuer`: a phone whose server is hostile, asking for acceptors that keep to no rule.
//!
//! ```text
//! offset  len  field
//!      0    1  connection slots, less 1 (modulo 4)
//!      1    1  bits: 0 UDP alone, 1 TCP alone, 2 no clock, 3 certificate each time,
//!              4 no certificate yet
//!      2    1  how long a request may take, in half seconds
//!      3    1  bits: private and loopback addresses, low ports, when it punches
//!      4    1  bits: 0 acts with bit 7 set are about punching, 1 it detects, 2 few sockets
//!      5    3  unused
//!      8       records of 12 bytes, see `Act`
//! ```

mod heard;
mod seeds;
mod talk;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use genkan_core::inspect::{self, Body};
use genkan_core::punch::{Ability, Detector, Limits};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{
    PeerMessage, Plan, Reason, Refused, Registered, ToEquipment, ToServer, Wake,
};
use genkan_core::{
    AddressPolicy, Channel, Command, ConnectionId, Identity, Instant, Issuer, IssuerConfig,
    IssuerEvent, IssuerSlot, Machine, RequestTransport, ServerAddress, SocketId, StreamId, Target,
};
use genkan_sim::{EntropyMode, EntropySwitch, SimEntropy};
use genkan_tests::evil::{Desk, WALL, body, sa};

use crate::door::{DOORS, Door};
use crate::far::{Far, OBSERVED, SERVER, certificate};
use crate::holes::{Holes, Offered};
use crate::punching::Punching;
use crate::record::{Record, mar, split};
use crate::speech::key;
use crate::trial::{ACTS, Act, Stage, Trial, garbage};
use crate::watch::{Out, nothing_lost, story};
pub(crate) use seeds::seeds;

/// Where whoever dials back comes from.
const DIALLER: &str = "198.51.100.30:50000";

/// The machine.
pub(crate) type Phone = Issuer<Vec<IssuerSlot>, SimEntropy>;

/// An issuer with nothing in its memory.
pub(crate) fn phone(
    now: Instant,
    slots: usize,
    adjust: impl FnOnce(&mut IssuerConfig),
) -> (Phone, EntropySwitch) {
    let identity = Identity { key: key(3), boots: 0 };
    let mut config = IssuerConfig::new(identity, ServerAddress::both(sa(SERVER)), Desk::anchors());
    adjust(&mut config);
    let entropy = SimEntropy::seeded(5 + config.identity.boots);
    let switch = entropy.switch();
    let table = core::iter::repeat_with(|| IssuerSlot::EMPTY).take(slots).collect();
    (Issuer::new(now, config, table, entropy), switch)
}

/// What nobody without a key may change.
#[derive(PartialEq, Debug)]
struct Seen {
    wakeup: Option<genkan_core::Wakeup>,
    certificate: Vec<u8>,
}

/// What has become of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Asked,
    Connected,
    Over,
}

struct IssuerTrial {
    head: Record<8>,
    stage: Stage<Phone>,
    boots: u64,
    certificate: Vec<u8>,
    doors: Vec<Door>,
    requests: Vec<u32>,
    connections: BTreeMap<ConnectionId, Fate>,
    /// Streams on which a communication request has arrived as it was made.
    answered: BTreeSet<StreamId>,
    /// One has arrived over datagrams.
    punched: bool,
    /// It wants to listen and was not answered.
    listens: bool,
}

/// What it can do about holes.
fn ability(head: &Record<8>) -> Ability {
    let limits = if head.flag(4, 2) { Limits::SMALL } else { Limits::LARGE };
    let detector = if head.flag(4, 1) { Detector::Equipment } else { Detector::Server };
    Ability { limits, detector }
}

fn addresses(head: &Record<8>) -> AddressPolicy {
    AddressPolicy {
        private: head.flag(3, 0),
        loopback: head.flag(3, 1),
        low_ports: head.flag(3, 2),
    }
}

fn boot(head: &Record<8>, now: Instant, boots: u64, certificate: &[u8]) -> (Phone, EntropySwitch) {
    let (mut machine, switch) = phone(now, 1 + head.below(0, 4), |config| {
        config.identity.boots = boots;
        config.transport = match (head.flag(1, 0), head.flag(1, 1)) {
            (true, false) => RequestTransport::Datagram,
            (false, true) => RequestTransport::Stream,
            _ => RequestTransport::Race,
        };
        config.wall_clock = (!head.flag(1, 2)).then_some(WALL);
        config.fetch_certificate_each = head.flag(1, 3);
        (config.punch, config.addresses) = (Some(ability(head)), addresses(head));
        config.deadline = Duration::from_millis(500 * u64::from(head.byte(2).max(1)));
    });
    // A certificate that is not accepted is fetched.
    let _ = machine.restore_certificate(certificate);
    (machine, switch)
}

/// Runs one input.
pub fn issuer(data: &[u8]) {
    let (head, acts) = split::<8, 12>(data, ACTS);
    let now = Instant::from_millis(5_000_000);
    let kept = if head.flag(1, 4) { Vec::new() } else { certificate() };
    let mut trial = IssuerTrial {
        stage: Stage::new(
            now,
            boot(&head, now, 0, &kept),
            Holes::new(head.flag(4, 0), ability(&head), addresses(&head)),
        ),
        punched: false,
        requests: Vec::new(),
        connections: BTreeMap::new(),
        answered: BTreeSet::new(),
        head,
        boots: 0,
        certificate: kept,
        doors: (0..DOORS).map(Door::new).collect(),
        listens: false,
    };
    for act in acts {
        trial.act(&act);
        nothing_lost(trial.stage.machine.counters());
        let slots = 1 + head.below(0, 4);
        let open = trial.connections.values().filter(|fate| **fate != Fate::Over).count();
        assert!(open <= slots, "{open} connections in {slots} slots");
        trial.stage.watch.sockets.judge(slots, trial.stage.holes.sockets());
    }
    trial.rest();
}

impl IssuerTrial {
    fn act(&mut self, act: &Act) {
        story(|| format!("{act:?}"));
        if self.stage.holes.on && act.flag(0, 7) {
            return self.punching(act);
        }
        match act.byte(0) % 16 {
            2 => self.ask(act),
            3 => self.bind(act),
            4 => self.say(act),
            6 => self.repeat(act),
            7 => self.nonsense(act),
            9 | 10 => self.dial(act),
            11 => self.speak(act),
            13 if act.byte(1) > 200 => self.reboot(),
            13 => self.application(act),
            _ => self.common(act),
        }
    }

    fn ask(&mut self, act: &Act) {
        let id = self.doors[act.below(1, DOORS)].id();
        let target = Target {
            password: act.flag(2, 0).then_some([6; 32]),
            early_key: act.flag(2, 1).then_some([8; 16]),
            counter: u64::from(act.byte(3)),
            ..Target::new(id)
        };
        if let Ok(connection) = self.stage.machine.request(self.stage.watch.now, &target) {
            let before = self.connections.insert(connection, Fate::Asked);
            assert!(before.is_none_or(|fate| fate == Fate::Over), "{connection:?} names two");
        }
        self.drained();
        if act.flag(2, 2) {
            self.bind(act);
        }
    }

    fn bind(&mut self, act: &Act) {
        if self.listens || act.flag(4, 0) {
            let local = (!act.flag(4, 1)).then(|| sa("0.0.0.0:40000"));
            let first = SocketId(1 + u16::from(act.byte(5)));
            self.stage.watch.sockets.claimed(first, local.is_some());
            self.stage.machine.handle_bound(self.stage.watch.now, first, local);
            self.listens &= act.byte(5) != 0;
            self.drained();
        }
    }

    fn repeat(&mut self, act: &Act) {
        let from = sa(if act.flag(6, 0) { "203.0.113.1:4601" } else { SERVER });
        self.again(act, from, |_, kind| {
            kind.is_some_and(|kind| matches!(kind, Kind::ServerTransport | Kind::Response))
        });
    }

    fn nonsense(&mut self, act: &Act) {
        let bytes = garbage(act, &[1, 6, 28, 30, 38, 50, 98, 134, 210, 1_232]);
        let from = sa(if act.flag(3, 1) { SERVER } else { DIALLER });
        self.unauthentic(from, &bytes, &[]);
    }

    fn application(&mut self, act: &Act) {
        let now = self.stage.watch.now;
        let connection = self.connections.keys().nth(act.below(2, 8)).copied();
        let Some(connection) = connection else { return };
        if act.flag(1, 0) {
            self.stage.machine.close(now, connection);
        } else {
            let bytes = vec![act.byte(3); usize::from(act.word(4))];
            if let Ok(mut payload) =
                self.stage.machine.send(now, connection, Channel::Stream, &bytes)
            {
                let mut out = vec![0; payload.len()];
                assert_eq!(payload.encode(&mut out), Ok(out.len()));
                payload.commit();
            }
        }
        self.drained();
    }

    fn reboot(&mut self) {
        self.boots += 1;
        self.stage.reboot(boot(&self.head, self.stage.watch.now, self.boots, &self.certificate));
        self.connections.clear();
        self.answered.clear();
        self.doors.iter_mut().for_each(Door::cut);
        self.listens = false;
    }

    /// Nobody says anything any more: every request has come to an end and nothing is left over.
    fn rest(&mut self) {
        self.stage.switch.set(EntropyMode::Seeded);
        self.pass(Duration::from_secs(900), false, false);
        for (connection, fate) in &self.connections {
            assert_eq!(*fate, Fate::Over, "{connection:?} was never told how it ended");
            assert!(self.stage.machine.connection(*connection).is_none());
        }
        assert_eq!(self.stage.machine.poll_timeout(), None, "a deadline for nothing");
        assert!(self.stage.watch.streams.is_empty(), "left over: {:?}", self.stage.watch.streams);
        assert!(self.stage.watch.sockets.is_empty(), "left over: {:?}", self.stage.watch.sockets);
        nothing_lost(self.stage.machine.counters());
    }
}
