//! What is counted, how often, and how much it may cost.

use core::hint::black_box;

use genkan_benches::bodies::Buffer;
use genkan_benches::connection::{PAYLOAD, connected};
use genkan_benches::fleet::Fleet;
use genkan_benches::handshake::{device, later};
use genkan_benches::punch::{self, Ports};
use genkan_benches::world::{ACCEPTOR, Datagram, SERVER, server, turn, wake};
use genkan_benches::{bodies, mac};
use genkan_core::nat::NatProfile;
use genkan_core::punch::Method;
use genkan_core::wire::Body;
use genkan_core::{Instant, MAX_FRAME, PasswordRecord, StaticKey};

use crate::count_this;

/// One operation.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The figure is the mean of so many.
    pub(crate) rounds: u64,
    /// Instructions that it may cost.
    pub(crate) budget: Option<u64>,
    pub(crate) run: fn(u64),
}

const fn case(name: &'static str, rounds: u64, budget: Option<u64>, run: fn(u64)) -> Case {
    Case { name, rounds, budget, run }
}

const ROOM: Buffer = [0; genkan_core::wire::MAX_BODY];

/// What counting itself costs; subtracted from the others.
pub(crate) const NOTHING: &str = "nothing";

/// Operations that must cost exactly the same: a comparison of secrets that stopped at the first
/// difference would tell an attacker how much he has right (threat T28).
pub(crate) const TWINS: &[(&str, &str)] = &[
    ("compare/tag, first byte wrong", "compare/tag, last byte wrong"),
    ("compare/password, first byte", "compare/password, last byte"),
];

/// All operations. The keepalive's budget is the project's goal, both authentications included; the
/// others keep what was reached, with room for another compiler.
pub(crate) const CASES: &[Case] = &[
    case(NOTHING, 1_000, None, |rounds| (0..rounds).for_each(|_| count_this(&mut || ()))),
    case("keepalive/answered", 1_000, Some(2_500), |rounds| keepalives(rounds, true)),
    case("keepalive/unanswered", 1_000, Some(2_500), |rounds| keepalives(rounds, false)),
    case("keepalive/forged", 1_000, Some(2_500), |rounds| forged(rounds, 20)),
    case(TWINS[0].0, 1_000, None, |rounds| forged(rounds, 12)),
    case(TWINS[0].1, 1_000, None, |rounds| forged(rounds, 27)),
    case(TWINS[1].0, 1_000, None, |rounds| passwords(rounds, 0)),
    case(TWINS[1].1, 1_000, None, |rounds| passwords(rounds, 31)),
    case("handshake/server", 20, Some(4_300_000), |rounds| handshakes(rounds, Side::Server)),
    case("handshake/device", 20, Some(4_300_000), |rounds| handshakes(rounds, Side::Device)),
    case("payload-1200/seal", 1_000, Some(20_000), seal),
    case("payload-1200/open", 1_000, Some(20_000), open),
    case("decode/register", 1_000, Some(1_300), |rounds| {
        decode(rounds, &bodies::register(), &mut { ROOM })
    }),
    case("decode/registered", 1_000, Some(600), |rounds| {
        decode(rounds, &bodies::registered(), &mut { ROOM })
    }),
    case("decode/connect-request", 1_000, Some(1_500), |rounds| {
        decode(rounds, &bodies::connect(), &mut { ROOM })
    }),
    case("decode/connect-notify", 1_000, Some(800), |rounds| {
        decode(rounds, &bodies::notify(), &mut { ROOM })
    }),
    case("decode/notify-reply", 1_000, Some(340), |rounds| {
        decode(rounds, &bodies::reply(), &mut { ROOM })
    }),
    case("decode/plan", 1_000, Some(670), |rounds| decode(rounds, &bodies::plan(), &mut { ROOM })),
    case("encode/register", 1_000, Some(560), |rounds| encode(rounds, &bodies::register())),
    case("encode/registered", 1_000, Some(260), |rounds| encode(rounds, &bodies::registered())),
    case("encode/connect-notify", 1_000, Some(480), |rounds| encode(rounds, &bodies::notify())),
    case("nat/measure, known", 1_000, Some(2_000), |rounds| measure(rounds, Ports::Known)),
    case("nat/measure, counted", 1_000, Some(2_200), |rounds| measure(rounds, Ports::Counted)),
    case("nat/measure, drawn", 1_000, Some(2_800), |rounds| measure(rounds, Ports::Drawn)),
    case("nat/128 ports of a counter", 100, Some(22_000), |rounds| walk(rounds, 0)),
    case("nat/128 ports between two", 100, Some(12_000), |rounds| walk(rounds, 1)),
    case("nat/128 ports of a block", 100, Some(40_000), |rounds| walk(rounds, 2)),
    case("punch/plan", 1_000, Some(600), plans),
    case("punch/round, direct", 1_000, Some(700), |rounds| punches(rounds, Method::Direct)),
    case("punch/round, first", 1_000, Some(1_200), |rounds| punches(rounds, Method::First)),
    case("punch/round, both first", 1_000, Some(1_500), |rounds| {
        punches(rounds, Method::BothFirst);
    }),
    case("punch/round, bracket", 1_000, Some(1_600), |rounds| punches(rounds, Method::Bracket)),
    case("punch/round, ramp", 1_000, Some(2_800), |rounds| punches(rounds, Method::Ramp)),
    case("punch/round, birthday", 1_000, Some(1_300), |rounds| punches(rounds, Method::Birthday)),
    case("punch/128 packets of an end", 100, Some(80_000), |rounds| {
        for _ in 0..rounds {
            count_this(&mut || {
                black_box(punch::attempt());
            });
        }
    }),
    case("mac/siphash-2-4-128", 1_000, None, |rounds| {
        macs(rounds, |head| mac::siphash(&[7; 16], head)[0]);
    }),
    case("mac/chacha20-poly1305", 1_000, None, |rounds| {
        macs(rounds, |head| mac::aead(&[7; 32], 1, head)[0]);
    }),
    case("mac/hmac-sha256", 1_000, None, |rounds| {
        macs(rounds, |head| mac::hmac(&[7; 32], head)[0]);
    }),
];

fn measure(rounds: u64, ports: Ports) {
    let seen = punch::sightings(ports);
    for _ in 0..rounds {
        count_this(&mut || {
            black_box(NatProfile::measure(black_box(&seen)));
        });
    }
}

fn walk(rounds: u64, which: usize) {
    let (_, forecast) = punch::forecasts()[which];
    for _ in 0..rounds {
        count_this(&mut || {
            black_box(punch::walk(black_box(forecast)));
        });
    }
}

/// The dearest: both orientations of a ramp.
fn plans(rounds: u64) {
    let pair = punch::pair(Method::Ramp);
    for _ in 0..rounds {
        count_this(&mut || {
            black_box(punch::planned(black_box(&pair)));
        });
    }
}

fn punches(rounds: u64, method: Method) {
    let pair = punch::pair(method);
    for _ in 0..rounds {
        count_this(&mut || {
            black_box(punch::round(black_box(&pair)));
        });
    }
}

fn keepalives(rounds: u64, wants_answer: bool) {
    let mut fleet = Fleet::new(16);
    let mut out = Datagram::default();
    for _ in 0..rounds {
        let mut keepalive = fleet.keepalive(wants_answer);
        count_this(&mut || fleet.handle(&mut keepalive, &mut out));
        assert_eq!(out.bytes().is_empty(), !wants_answer);
    }
    assert_eq!(fleet.server.counters().all_discarded(), 0);
}

/// A keepalive with a wrong tag: a stranger's, or one of a session that ended. It is hinted at.
fn forged(rounds: u64, wrong: usize) {
    let mut fleet = Fleet::new(16);
    let mut out = Datagram::default();
    for _ in 0..rounds {
        let mut keepalive = fleet.keepalive(true);
        keepalive.bytes[wrong] ^= 1;
        later(&mut fleet.now);
        count_this(&mut || fleet.handle(&mut keepalive, &mut out));
        assert_eq!(out.bytes().len(), keepalive.bytes.len());
    }
}

/// A password record with one byte of its hash wrong, against the right information.
fn passwords(rounds: u64, wrong: usize) {
    let mut record = PasswordRecord::new([1; 16], &[2; 32]);
    assert!(record.matches(&[2; 32]));
    record.hash[wrong] ^= 1;
    for _ in 0..rounds {
        count_this(&mut || assert!(!black_box(&record).matches(black_box(&[2; 32]))));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Server,
    Device,
}

fn handshakes(rounds: u64, side: Side) {
    let mut now = Instant::from_millis(1_000);
    let mut server = server(now, 16);
    let key = StaticKey::from_secret([2; 32]);
    let (mut up, mut down) = (Datagram::default(), Datagram::default());
    for seed in 0..rounds {
        let now = later(&mut now);
        let mut device = device(now, key.clone(), seed);
        let step = |of: Side, step: &mut dyn FnMut()| {
            if of == side { count_this(step) } else { step() }
        };
        step(Side::Device, &mut || wake(&mut device, now, &mut up));
        for _ in 0..2 {
            step(Side::Server, &mut || turn(&mut *server, now, ACCEPTOR, up.bytes(), &mut down));
            step(Side::Device, &mut || turn(&mut device, now, SERVER, down.bytes(), &mut up));
        }
        assert_eq!(server.location(&device.id()), Some(ACCEPTOR));
    }
}

fn seal(rounds: u64) {
    let (mut sender, _receiver) = connected();
    let mut frame = [0; MAX_FRAME];
    for _ in 0..rounds {
        count_this(&mut || {
            black_box(sender.seal(&[7; PAYLOAD], &mut frame));
        });
    }
}

fn open(rounds: u64) {
    let (mut sender, mut receiver) = connected();
    let mut frame = [0; MAX_FRAME];
    for _ in 0..rounds {
        let len = sender.seal(&[7; PAYLOAD], &mut frame);
        count_this(&mut || {
            black_box(receiver.open(&mut frame[..len]));
        });
    }
}

fn encode<'a, T: Body<'a>>(rounds: u64, value: &T) {
    let mut out = ROOM;
    for _ in 0..rounds {
        count_this(&mut || {
            black_box(bodies::encode(value, &mut out));
        });
    }
}

fn decode<'a, T: Body<'a>>(rounds: u64, value: &T, room: &'a mut Buffer) {
    let len = bodies::encode(value, room);
    let bytes: &'a [u8] = &room[..len];
    for _ in 0..rounds {
        count_this(&mut || {
            black_box(bodies::decode::<T>(bytes));
        });
    }
}

fn macs(rounds: u64, mac: impl Fn(&[u8; 12]) -> u8) {
    let head = [0x44; 12];
    for _ in 0..rounds {
        count_this(&mut || {
            black_box(mac(black_box(&head)));
        });
    }
}
