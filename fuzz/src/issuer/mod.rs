//! Target `issuer`: a phone whose server is hostile, asking for acceptors that keep to no rule.
//!
//! ```text
//! offset  len  field
//!      0    1  connection slots, less 1 (modulo 4)
//!      1    1  bits: 0 UDP alone, 1 TCP alone, 2 no clock, 3 certificate each time,
//!              4 no certificate yet
//!      2    1  how long a request may take, in half seconds
//!      3    5  unused
//!      8       records of 12 bytes, see `Act`
//! ```

mod heard;
mod seeds;
mod talk;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use genkan_core::inspect::{self, Body};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{
    PeerMessage, Plan, Reason, Refused, Registered, ToEquipment, ToServer, Wake,
};
use genkan_core::{
    Channel, Command, ConnectionId, Identity, Instant, Issuer, IssuerConfig, IssuerEvent,
    IssuerSlot, Machine, Received, RequestTransport, ServerAddress, SocketId, StreamId,
    StreamState, Target,
};
use genkan_sim::{EntropyMode, EntropySwitch, SimEntropy};
use genkan_tests::evil::{Desk, WALL, body, sa};

use crate::door::{DOORS, Door};
use crate::far::{Far, OBSERVED, SERVER, certificate};
use crate::record::{Record, mar, split};
use crate::speech::key;
use crate::watch::{Out, Watch, nothing_lost, story};
pub(crate) use seeds::seeds;

const ACTS: usize = 48;
/// Where whoever dials back comes from.
const DIALLER: &str = "198.51.100.30:50000";

type Act = Record<12>;
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

struct Trial {
    head: Record<8>,
    machine: Phone,
    switch: EntropySwitch,
    watch: Watch,
    boots: u64,
    certificate: Vec<u8>,
    far: Far,
    near: Far,
    doors: Vec<Door>,
    unanswered: Vec<(Option<StreamId>, Vec<u8>)>,
    sent: Vec<Vec<u8>>,
    requests: Vec<u32>,
    connections: BTreeMap<ConnectionId, Fate>,
    /// Streams on which a communication request has arrived as it was made.
    answered: BTreeSet<StreamId>,
    /// It wants to listen and was not answered.
    listens: bool,
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
    let (machine, switch) = boot(&head, now, 0, &kept);
    let far = Far::new(&certificate());
    let near = far.beside();
    let (unanswered, sent, requests, connections, answered) = Default::default();
    let mut trial = Trial {
        machine,
        switch,
        far,
        near,
        unanswered,
        sent,
        requests,
        connections,
        answered,
        head,
        watch: Watch::new(now, false),
        boots: 0,
        certificate: kept,
        doors: (0..DOORS).map(Door::new).collect(),
        listens: false,
    };
    for act in acts {
        trial.act(&act);
        nothing_lost(trial.machine.counters());
        let slots = 1 + head.below(0, 4);
        let open = trial.connections.values().filter(|fate| **fate != Fate::Over).count();
        assert!(open <= slots, "{open} connections in {slots} slots");
    }
    trial.rest();
}

impl Trial {
    fn act(&mut self, act: &Act) {
        story(|| format!("{act:?}"));
        match act.byte(0) % 16 {
            0 | 1 => self.serve(act.flag(1, 0), act),
            2 => self.ask(act),
            3 => self.bind(act),
            4 => self.say(act),
            5 => self.short(act),
            6 => self.again(act),
            7 => self.garbage(act),
            8 => self.stream_state(act),
            9 | 10 => self.dial(act),
            11 => self.speak(act),
            12 => self.pass(act.time(1), act.flag(2, 0), act.flag(2, 1)),
            13 if act.byte(1) > 200 => self.reboot(),
            13 => self.application(act),
            14 => self.switch.set(match act.byte(1) % 4 {
                0 | 1 => EntropyMode::Seeded,
                2 => EntropyMode::Constant(act.byte(2)),
                _ => EntropyMode::Failing,
            }),
            _ => self.pour(act),
        }
    }

    fn seen(&self) -> Seen {
        let wakeup = self.machine.poll_timeout();
        Seen { wakeup, certificate: self.machine.certificate().to_vec() }
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> (bool, Out<IssuerEvent>) {
        let mut message = bytes.to_vec();
        let now = self.watch.now;
        let received = self.machine.handle_datagram(now, SocketId::MAIN, from, &mut message);
        let taken = !matches!(received, Received::Discarded(_));
        let out = self.drained();
        (taken, out)
    }

    fn drained(&mut self) -> Out<IssuerEvent> {
        let out = self.watch.drain(&mut self.machine);
        self.hear(&out);
        out
    }

    fn frame(&mut self, stream: StreamId, bytes: &[u8]) {
        let frame = [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        for out in self.watch.feed(&mut self.machine, stream, &frame) {
            self.hear(&out);
        }
    }

    /// The server's message; where the act says so, after a changed copy.
    fn deliver(&mut self, stream: Option<StreamId>, bytes: &[u8], act: &Act) {
        let Some(stream) = stream else {
            let mut copy = bytes.to_vec();
            if act.flag(11, 0) && mar(&mut copy, act.byte(11) >> 1, act.word(9), act.byte(10)) {
                self.unauthentic(sa(SERVER), &copy, bytes);
            }
            self.datagram(sa(SERVER), bytes);
            self.sent.push(bytes.to_vec());
            return;
        };
        self.frame(stream, bytes);
    }

    fn ask(&mut self, act: &Act) {
        let id = self.doors[act.below(1, DOORS)].id();
        let target = Target {
            password: act.flag(2, 0).then_some([6; 32]),
            early_key: act.flag(2, 1).then_some([8; 16]),
            counter: u64::from(act.byte(3)),
            ..Target::new(id)
        };
        if let Ok(connection) = self.machine.request(self.watch.now, &target) {
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
            self.machine.handle_bound(self.watch.now, SocketId(1 + u16::from(act.byte(5))), local);
            self.listens &= act.byte(5) != 0;
            self.drained();
        }
    }

    fn again(&mut self, act: &Act) {
        let count = self.sent.len();
        let Some(old) = count.checked_sub(1 + act.below(1, count.max(1))) else { return };
        let like = self.sent[old].clone();
        let mut bytes = like.clone();
        let changed = mar(&mut bytes, act.byte(2), act.word(3), act.byte(5));
        let known = !act.flag(6, 0);
        let from = if known { sa(SERVER) } else { sa("203.0.113.1:4601") };
        if changed {
            return self.unauthentic(from, &bytes, &like);
        }
        let before = self.seen();
        let (taken, out) = self.datagram(from, &bytes);
        let kind = Kind::of(&bytes);
        assert!(known || !taken, "{kind:?} from nowhere was taken");
        if kind.is_ok_and(|kind| matches!(kind, Kind::ServerTransport | Kind::Response)) {
            assert!(!taken && out.is_silent(), "{kind:?} was taken twice: {out:?}");
            assert_eq!(self.seen(), before, "a repeated {kind:?} has changed something");
        }
    }

    fn garbage(&mut self, act: &Act) {
        let kind = Kind::ALL[act.below(1, Kind::ALL.len())];
        let lengths = [1, 6, 28, 30, 38, 50, 98, 134, 210, 1_232];
        let mut bytes = vec![act.byte(11); lengths[act.below(2, lengths.len())]];
        bytes.iter_mut().zip(act.tail(4)).for_each(|(to, from)| *to = *from);
        if !act.flag(3, 0) {
            bytes[0] = kind as u8;
        }
        let from = if act.flag(3, 1) { sa(SERVER) } else { sa(DIALLER) };
        self.unauthentic(from, &bytes, &[]);
    }

    fn stream_state(&mut self, act: &Act) {
        let Some(mut stream) = self.watch.stream(act.below(1, 4)) else { return };
        let state = if act.flag(2, 0) { StreamState::Closed } else { StreamState::Connected };
        if act.flag(2, 1) {
            stream.generation = stream.generation.wrapping_sub(1);
            self.machine.handle_stream_state(self.watch.now, stream, state);
        } else {
            self.watch.state(&mut self.machine, stream, state);
        }
        self.drained();
    }

    fn application(&mut self, act: &Act) {
        let now = self.watch.now;
        let connection = self.connections.keys().nth(act.below(2, 8)).copied();
        let Some(connection) = connection else { return };
        if act.flag(1, 0) {
            self.machine.close(now, connection);
        } else {
            let bytes = vec![act.byte(3); usize::from(act.word(4))];
            if let Ok(mut payload) = self.machine.send(now, connection, Channel::Stream, &bytes) {
                let mut out = vec![0; payload.len()];
                assert_eq!(payload.encode(&mut out), Ok(out.len()));
                payload.commit();
            }
        }
        self.drained();
    }

    fn pass(&mut self, time: Duration, late: bool, served: bool) {
        let end = self.watch.now.after(time);
        loop {
            let next = self.machine.poll_timeout().map(|wakeup| wakeup.at).filter(|at| *at <= end);
            let step = next.map_or(end, |at| if late { end } else { at }).since(self.watch.now);
            let mut outs = Vec::new();
            self.watch.pass(&mut self.machine, step, late, |_, _, out| outs.push(out));
            outs.iter().for_each(|out| self.hear(out));
            if served {
                self.serve(false, &Record::new(&[]));
            }
            if next.is_none() || (late && self.watch.now >= end) {
                break;
            }
        }
    }

    fn reboot(&mut self) {
        self.boots += 1;
        (self.machine, self.switch) =
            boot(&self.head, self.watch.now, self.boots, &self.certificate);
        self.watch = Watch::new(self.watch.now, false);
        self.unanswered.clear();
        self.connections.clear();
        self.answered.clear();
        self.doors.iter_mut().for_each(Door::cut);
        self.listens = false;
    }

    fn pour(&mut self, act: &Act) {
        let Some(stream) = self.watch.stream(act.below(1, 4)) else { return };
        for out in self.watch.feed(&mut self.machine, stream, act.tail(2)) {
            self.hear(&out);
        }
    }

    /// Nobody says anything any more: every request has come to an end and nothing is left over.
    fn rest(&mut self) {
        self.switch.set(EntropyMode::Seeded);
        self.pass(Duration::from_secs(900), false, false);
        for (connection, fate) in &self.connections {
            assert_eq!(*fate, Fate::Over, "{connection:?} was never told how it ended");
            assert!(self.machine.connection(*connection).is_none());
        }
        assert_eq!(self.machine.poll_timeout(), None, "a deadline for nothing");
        assert!(self.watch.streams.is_empty(), "left over: {:?}", self.watch.streams);
        nothing_lost(self.machine.counters());
    }
}
