//! Target `acceptor`: an appliance whose server is hostile, with issuers that keep to no rule.
//!
//! ```text
//! offset  len  field
//!      0    1  connection slots, less 1 (modulo 4)
//!      1    1  bits: 0 open, 1 password, 2 two are paired, 3 early key, 4 no TCP, 5 certificate each
//!              time, 6 no clock, 7 no certificate yet
//!      2    1  bits: private and loopback addresses, low ports
//!      3    1  failed password tries, as they were persisted
//!      4    4  unused
//!      8       records of 12 bytes, see `Act`
//! ```

mod acts;
mod heard;
mod seeds;
mod talk;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::wire::message::{
    ConnectNotify, PeerMessage, Plan, Reason, Refused, Registered, ToEquipment, Wake,
};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, AddressPolicy, AdmissionPolicy, Channel,
    Command, ConnectionId, EquipmentId, Identity, Instant, Machine, PasswordRecord, Received,
    Resumption, ServerAddress, SocketId, StreamId, StreamState, canonical,
};
use genkan_sim::{EntropyMode, EntropySwitch, SimEntropy};
use genkan_tests::evil::{Desk, WALL, body, sa};

use crate::caller::{CALLERS, Caller};
use crate::far::{Far, OBSERVED, SERVER, certificate};
use crate::record::{Record, mar, split};
use crate::speech::key;
use crate::watch::{Out, Watch, nothing_lost, story};
pub(crate) use seeds::seeds;

const ACTS: usize = 48;
const EARLY_KEY: [u8; 16] = [8; 16];
/// The password information that opens the door.
pub(crate) const PASSWORD: [u8; 32] = [6; 32];

type Act = Record<12>;
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

struct Trial {
    head: Record<8>,
    machine: Lamp,
    switch: EntropySwitch,
    watch: Watch,
    flash: Flash,
    policy: AdmissionPolicy,
    addresses: AddressPolicy,
    /// The server's ends of the two links.
    far: Far,
    near: Far,
    callers: Vec<Caller>,
    offered: Vec<Offered>,
    /// What it has said to its server and was not answered, and on which stream.
    unanswered: Vec<(Option<StreamId>, Vec<u8>)>,
    /// Datagrams that it was sent.
    sent: Vec<Vec<u8>>,
    connections: Vec<ConnectionId>,
    left: bool,
    lost: u32,
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
    let (machine, switch) = boot(&head, now, &flash);
    let far = Far::new(&certificate());
    let near = far.beside();
    let (offered, unanswered, sent, connections) = Default::default();
    let mut trial = Trial {
        machine,
        switch,
        flash,
        far,
        near,
        offered,
        unanswered,
        sent,
        connections,
        watch: Watch::new(now, false),
        policy: policy(&head),
        addresses: addresses(&head),
        callers: (0..CALLERS).map(Caller::new).collect(),
        left: false,
        lost: 0,
        head,
    };
    trial.pass(Duration::ZERO, false, false);
    for act in acts {
        trial.act(&act);
        nothing_lost(trial.machine.counters());
    }
    trial.rest();
}

impl Trial {
    fn act(&mut self, act: &Act) {
        story(|| format!("{act:?}"));
        match act.byte(0) % 16 {
            0 | 1 => self.serve(act.flag(1, 0), act),
            2 | 3 => self.notify(act),
            4 => self.say(act),
            5 => self.short(act),
            6 => self.again(act),
            7 => self.garbage(act),
            8 => self.stream_state(act),
            9 | 10 => self.call(act),
            11 => self.application(act),
            12 => self.pass(act.time(1), act.flag(2, 0), act.flag(2, 1)),
            13 => self.reboot(),
            14 => self.switch.set(match act.byte(1) % 4 {
                0 | 1 => EntropyMode::Seeded,
                2 => EntropyMode::Constant(act.byte(2)),
                _ => EntropyMode::Failing,
            }),
            _ => self.pour(act),
        }
    }

    fn seen(&self) -> Seen {
        let machine = &self.machine;
        Seen {
            wakeup: machine.poll_timeout(),
            certificate: machine.certificate().to_vec(),
            floor: machine.floor(),
            failures: machine.failures(),
            session: machine.resumption(),
        }
    }

    /// A datagram; what was made of it.
    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> (bool, Out<AcceptorEvent>) {
        let mut message = bytes.to_vec();
        let now = self.watch.now;
        let received = self.machine.handle_datagram(now, SocketId::MAIN, from, &mut message);
        let taken = !matches!(received, Received::Discarded(_));
        let out = self.watch.drain(&mut self.machine);
        self.hear(&out);
        (taken, out)
    }

    /// The server's message, over the link `stream`; where the act says so, after a changed copy.
    fn deliver(&mut self, stream: Option<StreamId>, bytes: &[u8], act: &Act) {
        match stream {
            None => {
                if act.flag(11, 0) {
                    let mut copy = bytes.to_vec();
                    if mar(&mut copy, act.byte(11) >> 1, act.word(9), act.byte(10)) {
                        self.unauthentic(sa(SERVER), &copy, bytes);
                    }
                }
                self.datagram(sa(SERVER), bytes);
                self.sent.push(bytes.to_vec());
            }
            Some(stream) => {
                let frame = [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
                let outs = self.watch.feed(&mut self.machine, stream, &frame);
                self.outs(outs);
            }
        }
    }

    fn pass(&mut self, time: Duration, late: bool, served: bool) {
        let end = self.watch.now.after(time);
        loop {
            let next = self.machine.poll_timeout().map(|wakeup| wakeup.at).filter(|at| *at <= end);
            let step = next.map_or(end, |at| if late { end } else { at }).since(self.watch.now);
            let mut outs = Vec::new();
            self.watch.pass(&mut self.machine, step, late, |_, _, out| outs.push(out));
            self.outs(outs);
            if served {
                self.honest();
            }
            if next.is_none() || (late && self.watch.now >= end) {
                break;
            }
        }
    }

    /// The server does what it should, and its TCP port is open. Nobody else's is.
    fn honest(&mut self) {
        for _ in 0..8 {
            let waiting: Vec<(StreamId, bool)> = self
                .watch
                .streams
                .iter()
                .filter(|(_, pipe)| !pipe.up)
                .map(|(stream, pipe)| (*stream, pipe.remote == sa(SERVER)))
                .collect();
            if waiting.is_empty() && self.unanswered.is_empty() {
                break;
            }
            for (stream, ours) in waiting {
                let state = if ours { StreamState::Connected } else { StreamState::Closed };
                self.watch.state(&mut self.machine, stream, state);
                let out = self.watch.drain(&mut self.machine);
                self.hear(&out);
            }
            self.serve(false, &Record::new(&[]));
        }
    }

    fn reboot(&mut self) {
        self.flash.boots += 1;
        (self.machine, self.switch) = boot(&self.head, self.watch.now, &self.flash);
        self.policy = policy(&self.head);
        self.watch = Watch::new(self.watch.now, false);
        self.unanswered.clear();
        self.connections.clear();
        // What was sent to the one before is nothing to this one, but it may be repeated.
        self.callers.iter_mut().for_each(Caller::cut);
        self.left = false;
        self.pass(Duration::ZERO, false, false);
    }

    /// From now on the server is honest: the appliance registers and stays registered, and whatever
    /// was half open is gone.
    fn rest(&mut self) {
        self.switch.set(EntropyMode::Seeded);
        self.pass(Duration::from_secs(3_600), false, true);
        let (lost, heard) = (self.lost, self.far.heard() + self.near.heard());
        self.pass(Duration::from_secs(2 * 3_600), false, true);
        assert_eq!(self.lost, lost, "registered with an honest server, and lost it");
        let heard = self.far.heard() + self.near.heard() - heard;
        assert!(self.left || heard > 0, "it does not turn to an honest server");
        assert!(self.left || self.far.is_registered() || self.near.is_registered());
        nothing_lost(self.machine.counters());
        for &connection in &self.connections {
            assert!(self.machine.connection(connection).is_none(), "{connection:?} still stands");
        }
        let peers = self.watch.streams.values().filter(|pipe| pipe.remote != sa(SERVER));
        assert_eq!(peers.count(), 0, "streams to nobody are left over");
        assert!(self.machine.id() == EquipmentId(*key(2).public()));
    }
}
