//! Target `acceptor`: an appliance whose server is hostile, with issuers that keep to no rule.
//!
//! ```text
//! offset  len  field
//!      0    1  connection slots, less 1 (modulo 4)
//!      1    1  bits: 0 open, 1 password, 2 two are paired, 3 early key, 4 no TCP, 5 certificate each
//!              time, 6 no clock, 7 no certificate yet
//!      2    1  bits: private and loopback addresses, low ports
//!      3    1  failed password tries, as they were persisted
//!      4    1  bits: 0 acts with bit 7 set are about punching, 1 it detects, 2 many sockets
//!      5    3  unused
//!      8       records of 12 bytes, see `Act`
//! ```

mod acts;
mod heard;
mod seeds;
mod talk;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::punch::{Ability, Detector, Limits};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{
    ConnectNotify, PeerMessage, Plan, Reason, Refused, Registered, ToEquipment, Wake,
};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, AddressPolicy, AdmissionPolicy, Channel,
    Command, ConnectionId, EquipmentId, Identity, Instant, Machine, PasswordRecord, Resumption,
    ServerAddress, SocketId, StreamId, StreamState, canonical,
};
use genkan_sim::{EntropyMode, EntropySwitch, SimEntropy};
use genkan_tests::evil::{Desk, WALL, body, sa};

use crate::caller::{CALLERS, Caller};
use crate::far::{Far, OBSERVED, SERVER, certificate};
use crate::holes::{self, Holes};
use crate::punching::Punching;
use crate::record::{Record, mar, split};
use crate::speech::key;
use crate::trial::{ACTS, Act, Stage, Trial, garbage};
use crate::watch::{Out, nothing_lost, story};
pub(crate) use seeds::seeds;

const EARLY_KEY: [u8; 16] = [8; 16];
/// The password information that opens the door.
pub(crate) const PASSWORD: [u8; 32] = [6; 32];

/// The machine.
pub(crate) type Lamp = Acceptor<Vec<AcceptorSlot>, SimEntropy>;

/// An appliance with nothing in its memory.
pub(crate) fn lamp(
    now: Instant,
    slots: usize,
    adjust: impl FnOnce(&mut AcceptorConfig),
) -> (Lamp, EntropySwitch) {
    let identity = Identity { key: key(2), boots: 0 };
    let mut config =
        AcceptorConfig::new(identity, ServerAddress::both(sa(SERVER)), Desk::anchors());
    config.spread = Duration::ZERO;
    adjust(&mut config);
    let entropy = SimEntropy::seeded(4 + config.identity.boots);
    let switch = entropy.switch();
    let table = core::iter::repeat_with(|| AcceptorSlot::EMPTY).take(slots).collect();
    (Acceptor::new(now, config, table, entropy), switch)
}

/// What it keeps over a reboot.
#[derive(Default)]
struct Flash {
    boots: u64,
    certificate: Vec<u8>,
    floor: u64,
    resumption: Option<Resumption>,
    failures: u32,
}

/// What nobody without a key may change.
#[derive(PartialEq, Debug)]
struct Seen {
    wakeup: Option<genkan_core::Wakeup>,
    certificate: Vec<u8>,
    floor: u64,
    failures: u32,
    session: Option<Resumption>,
}

/// A request that the server has passed on.
struct Offered {
    address: SocketAddr,
    /// Whoever made it may come in.
    welcome: bool,
}

struct AcceptorTrial {
    head: Record<8>,
    stage: Stage<Lamp>,
    flash: Flash,
    policy: AdmissionPolicy,
    addresses: AddressPolicy,
    callers: Vec<Caller>,
    offered: Vec<Offered>,
    connections: Vec<ConnectionId>,
    left: bool,
    lost: u32,
}

/// What it can do about holes.
fn ability(head: &Record<8>) -> Ability {
    let limits = if head.flag(4, 2) { Limits::LARGE } else { Limits::SMALL };
    let detector = if head.flag(4, 1) { Detector::Equipment } else { Detector::Server };
    Ability { limits, detector }
}

fn policy(head: &Record<8>) -> AdmissionPolicy {
    let mut policy = AdmissionPolicy {
        open: head.flag(1, 0),
        password: head.flag(1, 1).then(|| PasswordRecord::new([5; 16], &PASSWORD)),
        early_key: head.flag(1, 3).then_some(EARLY_KEY),
        ..AdmissionPolicy::default()
    };
    if head.flag(1, 2) {
        policy.paired.extend((0..2).map(Caller::id_of));
    }
    policy
}

fn boot(head: &Record<8>, now: Instant, flash: &Flash) -> (Lamp, EntropySwitch) {
    let (mut machine, switch) = lamp(now, 1 + head.below(0, 4), |config| {
        config.identity.boots = flash.boots;
        config.admission = policy(head);
        config.admission.failures = flash.failures;
        config.addresses = addresses(head);
        config.punch = Some(ability(head));
        config.stream_fallback = !head.flag(1, 4);
        config.fetch_certificate_each = head.flag(1, 5);
        config.wall_clock = (!head.flag(1, 6)).then_some(WALL);
        config.anchors.floor = config.anchors.floor.max(flash.floor);
    });
    // A certificate that is not accepted is fetched.
    let _ = machine.restore_certificate(&flash.certificate);
    if let Some(resumption) = &flash.resumption {
        machine.restore_session(resumption);
    }
    (machine, switch)
}

fn addresses(head: &Record<8>) -> AddressPolicy {
    AddressPolicy {
        private: head.flag(2, 0),
        loopback: head.flag(2, 1),
        low_ports: head.flag(2, 2),
    }
}

/// Where a caller may claim to be.
fn claimed(byte: u8) -> SocketAddr {
    let places = [
        "198.51.100.20:40000",
        "198.51.100.21:40000",
        "127.0.0.1:40000",
        "192.168.1.1:40000",
        "198.51.100.20:22",
        "[2001:db8::20]:40000",
        "[::ffff:10.0.0.1]:40000",
        "224.0.0.1:40000",
        "0.0.0.0:40000",
        "198.51.100.20:0",
        "[64:ff9b::7f00:1]:40000",
        "[fe80::1]:40000",
    ];
    sa(places[usize::from(byte) % places.len()])
}

/// Runs one input.
pub fn acceptor(data: &[u8]) {
    let (head, acts) = split::<8, 12>(data, ACTS);
    let now = Instant::from_millis(5_000_000);
    let mut flash = Flash { failures: u32::from(head.byte(3)), ..Flash::default() };
    if !head.flag(1, 7) {
        flash.certificate = certificate();
    }
    let mut trial = AcceptorTrial {
        stage: Stage::new(
            now,
            boot(&head, now, &flash),
            Holes::new(head.flag(4, 0), ability(&head), addresses(&head)),
        ),
        flash,
        policy: policy(&head),
        addresses: addresses(&head),
        callers: (0..CALLERS).map(Caller::new).collect(),
        offered: Vec::new(),
        connections: Vec::new(),
        left: false,
        lost: 0,
        head,
    };
    trial.pass(Duration::ZERO, false, false);
    for act in acts {
        trial.act(&act);
        nothing_lost(trial.stage.machine.counters());
        let most = trial.stage.holes.sockets();
        trial.stage.watch.sockets.judge(1 + head.below(0, 4), most);
    }
    trial.rest();
}

impl AcceptorTrial {
    fn act(&mut self, act: &Act) {
        story(|| format!("{act:?}"));
        if self.stage.holes.on && act.flag(0, 7) {
            return self.punching(act);
        }
        match act.byte(0) % 16 {
            2 | 3 => self.notify(act),
            4 => self.say(act),
            6 => self.repeat(act),
            7 => self.nonsense(act),
            9 | 10 => self.call(act),
            11 => self.application(act),
            13 => self.reboot(),
            _ => self.common(act),
        }
    }

    /// The server does what it should, and its TCP port is open. Nobody else's is.
    fn honest(&mut self) {
        for _ in 0..8 {
            let waiting: Vec<(StreamId, bool)> = self
                .stage
                .watch
                .streams
                .iter()
                .filter(|(_, pipe)| !pipe.up)
                .map(|(stream, pipe)| (*stream, pipe.remote == sa(SERVER)))
                .collect();
            if waiting.is_empty() && self.stage.unanswered.is_empty() {
                break;
            }
            for (stream, ours) in waiting {
                let state = if ours { StreamState::Connected } else { StreamState::Closed };
                self.stage.watch.state(&mut self.stage.machine, stream, state);
                self.drained();
            }
            self.serve(false, &Record::new(&[]));
        }
    }

    fn reboot(&mut self) {
        self.flash.boots += 1;
        self.stage.reboot(boot(&self.head, self.stage.watch.now, &self.flash));
        self.policy = policy(&self.head);
        self.connections.clear();
        self.callers.iter_mut().for_each(Caller::cut);
        self.left = false;
        self.pass(Duration::ZERO, false, false);
    }

    /// From now on the server is honest: the appliance registers and stays registered, and whatever
    /// was half open is gone.
    fn rest(&mut self) {
        self.stage.switch.set(EntropyMode::Seeded);
        self.pass(Duration::from_secs(3_600), false, true);
        let (lost, heard) = (self.lost, self.stage.far.heard() + self.stage.near.heard());
        self.pass(Duration::from_secs(2 * 3_600), false, true);
        assert_eq!(self.lost, lost, "registered with an honest server, and lost it");
        let heard = self.stage.far.heard() + self.stage.near.heard() - heard;
        assert!(self.left || heard > 0, "it does not turn to an honest server");
        assert!(self.left || self.stage.far.is_registered() || self.stage.near.is_registered());
        nothing_lost(self.stage.machine.counters());
        for &connection in &self.connections {
            assert!(
                self.stage.machine.connection(connection).is_none(),
                "{connection:?} still stands"
            );
        }
        assert!(
            self.stage.watch.sockets.is_empty(),
            "{:?} are left over",
            self.stage.watch.sockets
        );
        let peers = self.stage.watch.streams.values().filter(|pipe| pipe.remote != sa(SERVER));
        assert_eq!(peers.count(), 0, "streams to nobody are left over");
        assert!(self.stage.machine.id() == EquipmentId(*key(2).public()));
    }
}
