//! Boxes that punish what comes in early: what a server learns of them, what that costs the equipment
//! behind them, and how two such ends meet.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, reason = "figures are for people")]

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::IssuerEvent;
use genkan_core::nat::{Mapping, NatProfile, Probe};
use genkan_core::punch::Ability;
use genkan_core::wire::Kind as Message;
use genkan_core::wire::message::Role;
use genkan_core::{Received, ServerEvent, SocketId};
use genkan_sim::matrix::{KINDS, Kind, Lab, meet};
use genkan_sim::nat::{Unsolicited, presets};
use genkan_sim::{Death, Faults, NatConfig};
use genkan_tests::booth::{Booth, Guest, Sent};
use genkan_tests::evil::sa;
use genkan_tests::punch::{Meeting, Pair};
use genkan_tests::scene::HOP;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// How much longer the issuer's and the acceptor's ways to the server take, in milliseconds.
const FARTHER: [[u32; 2]; 5] = [[0, 0], [0, 60], [60, 0], [0, 200], [200, 0]];

fn kind(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap()
}

/// A Linux router without a rule that drops what is uninvited.
fn occupies() -> NatConfig {
    presets::linux_masquerade_no_wan_drop()
}

fn port(unsolicited: Unsolicited) -> NatConfig {
    NatConfig { unsolicited, ..kind("port").config(0.0) }
}

/// Those that punish, by name. What they block is free again before anybody asks.
fn punishing() -> [(&'static str, NatConfig); 3] {
    [
        ("occupies", occupies()),
        ("blocks the port", port(Unsolicited::BlockPort(SECOND * 5))),
        ("blocks the sender", port(Unsolicited::BlockRemote(SECOND * 5))),
    ]
}

/// Whom they meet.
fn all() -> Vec<(&'static str, NatConfig)> {
    let plain = ["cone", "port", "seq+1", "seq-64"].map(|name| (name, kind(name).config(5.0)));
    punishing().into_iter().chain(plain).collect()
}

/// Of so many runs without a network, how many meet.
fn pure(lab: &Lab, seeds: u64) -> u64 {
    (0..seeds).map(|seed| u64::from(meet(lab, seed).took.is_some())).sum()
}

#[test]
fn two_ends_meet_though_the_box_of_one_or_both_punishes_at_any_distances() {
    const SEEDS: u64 = 25;
    let mut wrong = Vec::new();
    for ((a, one), (b, other)) in
        all().iter().flat_map(|one| punishing().map(|other| (one.clone(), other)))
    {
        for (one, other, issuer, acceptor) in [(&one, &other, a, b), (&other, &one, b, a)] {
            for (farther, age) in FARTHER.into_iter().flat_map(|way| [(way, 10), (way, 90)]) {
                let farther = farther.map(|longer| MS * longer);
                let lab =
                    Lab { farther, age: SECOND * age, ..Lab::new(one.clone(), other.clone()) };
                let (met, lossy) = (pure(&lab, SEEDS), pure(&Lab { loss: 0.05, ..lab }, SEEDS));
                println!("{issuer} to {acceptor}, {farther:?}, {age} s: {met}, {lossy} of {SEEDS}");
                if met < SEEDS || lossy + 3 < SEEDS {
                    wrong.push(format!(
                        "{issuer} to {acceptor}, {farther:?}, {age} s: {met}, {lossy}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where a limit is too high the packet arrives early after all, and the next try has other ports at
/// both ends. A carrier's box is passed by the last limit only.
#[test]
fn a_limit_that_does_not_fit_costs_a_try() {
    let carriers = |hops| NatConfig { hops, ..occupies() };
    for (one, other, routers) in
        [(occupies(), occupies(), 2), (carriers(5), occupies(), 8), (carriers(3), carriers(5), 4)]
    {
        for age in [10, 90].map(|age| SECOND * age) {
            let lab = Lab { routers, age, ..Lab::new(one.clone(), other.clone()) };
            assert_eq!(pure(&lab, 50), 50, "{routers} routers, {age:?}");
        }
    }
}

/// The ways between the two and the server, so much longer than usual, in milliseconds.
fn stretch(pair: &mut Pair, farther: [u32; 2]) {
    let server = pair.fleet.server;
    for (host, longer) in [pair.phone, pair.lamp].into_iter().zip(farther) {
        let line = Faults::latency(HOP + MS * longer);
        pair.fleet.world.set_paths(host, server, &line);
    }
}

#[test]
fn the_same_over_the_wire() {
    let mut wrong = Vec::new();
    for (name, other) in [
        ("occupies", occupies()),
        ("cone", kind("cone").config(0.0)),
        ("port", kind("port").config(0.0)),
        ("seq+1", kind("seq+1").config(0.0)),
    ] {
        for (one, other, asks) in
            [(occupies(), other.clone(), "asks"), (other.clone(), occupies(), "is asked")]
        {
            for (farther, age) in FARTHER.into_iter().flat_map(|way| [(way, 10), (way, 90)]) {
                let age = SECOND * age;
                let meeting =
                    Meeting { age, ..Meeting::between(Some(one.clone()), Some(other.clone())) };
                let mut pair = meeting.prepared();
                stretch(&mut pair, farther);
                let outcome = pair.meet();
                if !outcome.is_punched() || !pair.talk() {
                    wrong.push(format!("occupies {asks}, {name}, {farther:?}, {age:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
}

/// Probes from the server's other ends to the lamp.
fn probes(pair: &Pair) -> usize {
    let lamp = sa("192.0.2.1:1").ip();
    let all = pair.fleet.world.transcript().entries();
    let probes = all.filter(|entry| entry.kind == Some(Message::FilterProbe));
    probes.filter(|entry| entry.destination.ip() == lamp).count()
}

/// For how long, in seconds, nobody has reached the lamp in half an hour after it was registered
/// first, and whether the server was without it at any time.
fn outage(unsolicited: NatConfig) -> (u64, Pair) {
    let meeting = Meeting {
        age: Duration::ZERO,
        dial_back: true,
        ..Meeting::between(None, Some(unsolicited))
    };
    let mut pair = meeting.prepared();
    let start = pair.fleet.world.now();
    let mut last = Duration::ZERO;
    while pair.fleet.world.now() < start + SECOND * 1_800 {
        let asked = pair.fleet.world.now();
        let request = pair.ask();
        let told = pair.fleet.wait_outcome(pair.phone, request, SECOND * 4);
        if !matches!(told, Some(IssuerEvent::Connected { .. })) {
            last = asked - start + SECOND * 5;
        }
        pair.fleet.hang_up(pair.phone, request);
        pair.fleet.world.run_until(asked + SECOND * 5);
    }
    (last.as_secs(), pair)
}

/// Probing an appliance's NAT may cost it its registration for a while, and does so at most once: not
/// when it is measured again, not after its reboot.
#[test]
fn an_appliance_behind_a_box_that_punishes_stays_within_reach() {
    let block = SECOND * 120;
    for (name, config, most) in [
        ("drops", port(Unsolicited::Drop), 0),
        ("occupies", occupies(), 0),
        ("blocks the port", port(Unsolicited::BlockPort(block)), 75),
        ("blocks the sender", port(Unsolicited::BlockRemote(block)), 200),
    ] {
        let (longest, mut pair) = outage(config);
        println!("{name}: out of reach for {longest} s");
        assert!(longest <= most, "{name}: {longest} s");
        let probed = probes(&pair);
        assert!(probed <= 2, "{name}: {probed}");
        for _ in 0..2 {
            pair.fleet.reboot(pair.lamp, Death::Silent);
            assert!(pair.fleet.wait_registered(pair.lamp, SECOND * 60));
            pair.fleet.world.run_for(SECOND * 900);
            assert!(pair.fleet.is_registered(pair.lamp), "{name}");
        }
        if most > 0 || name == "occupies" {
            assert_eq!(probes(&pair), probed, "{name}: it was probed again");
        }
        let told = pair.meet();
        assert!(told.path.is_some(), "{name}: {told:?}");
    }
}

const HOME: &str = "198.51.100.2:4600";
const LARGE: Option<Ability> = Some(Ability::LARGE);

/// Where the packets of a measurement come from and are said to: the registered socket's from `port`.
fn seen(probe: Probe, port: u16, local: u16) -> (SocketAddr, u16) {
    let local = [local, 5_001, 5_002][usize::from(probe.socket)];
    let observed = if probe.socket == 0 { port } else { local };
    (SocketAddr::new(sa(HOME).ip(), observed), local)
}

fn profiles(booth: &mut Booth) -> Vec<NatProfile> {
    let measured = booth.events().into_iter().filter_map(|event| match event {
        ServerEvent::Measured { profile, .. } => Some(profile),
        _ => None,
    });
    measured.collect()
}

fn probed(sent: &[Sent]) -> usize {
    sent.iter().filter(|sent| sent.bytes[0] == Message::FilterProbe as u8).count()
}

/// Time passes, in which a guest keeps its session alive.
fn stays(booth: &mut Booth, guest: &mut Guest, minutes: u32) {
    for _ in 0..minutes {
        booth.pass(SECOND * 60);
        let word = guest.evil.keepalive(None);
        assert_eq!(booth.tell(SocketId::MAIN, guest.at, &word).0, Received::Control);
    }
}

#[test]
fn whoever_speaks_and_was_not_heard_to_answer_after_probes_has_a_nat_that_punishes() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    assert_eq!(probed(&booth.register(&mut lamp, 4_600, LARGE)), 1);
    // It may have gone, until it is heard again; and a word that comes at once tells nothing.
    let word = lamp.evil.keepalive(None);
    assert_eq!(booth.tell(SocketId::MAIN, lamp.at, &word).0, Received::Control);
    booth.pass(SECOND * 30);
    assert_eq!(profiles(&mut booth), []);
    let word = lamp.evil.keepalive(None);
    assert_eq!(booth.tell(SocketId::MAIN, lamp.at, &word).0, Received::Control);
    let [profile] = profiles(&mut booth)[..] else { panic!("it is told") };
    assert!(profile.punishes && profile.mapping == Mapping::Unknown);
    // It is asked without probes then, also in new sessions from other ports and much later.
    for (port, minutes) in [(4_600, 0), (4_601, 0), (4_602, 20)] {
        stays(&mut booth, &mut lamp, minutes);
        lamp = booth.greet(2, Role::Acceptor, SocketAddr::new(sa(HOME).ip(), port));
        assert_eq!(probed(&booth.register(&mut lamp, 4_600, LARGE)), 0);
        booth.measure(&mut lamp, false, 0, |probe| seen(probe, port, 4_600));
        let [profile] = profiles(&mut booth)[..] else { panic!("{port}") };
        assert!(profile.punishes && !profile.displaced, "{profile:?}");
    }
    // Behind another NAT everything begins anew.
    let mut lamp = booth.greet(2, Role::Acceptor, sa("198.51.100.3:4600"));
    assert_eq!(probed(&booth.register(&mut lamp, 4_600, LARGE)), 1);
}

/// What the registered socket's packet shows after a probe.
#[test]
fn a_box_that_has_taken_a_probe_for_its_own_is_not_probed_again() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    assert_eq!(probed(&booth.register(&mut lamp, 4_600, LARGE)), 1);
    booth.measure(&mut lamp, false, 0, |probe| match probe {
        // The registration came from port 4,600.
        Probe { socket: 0, .. } => seen(probe, 21_345, 4_600),
        _ => seen(probe, 4_600, 4_600),
    });
    let [profile] = profiles(&mut booth)[..] else { panic!("one") };
    assert!(profile.punishes && profile.displaced);
    assert_eq!(profile.mapping, Mapping::PortIndependent);
    stays(&mut booth, &mut lamp, 20);
    let mut lamp = booth.greet(2, Role::Acceptor, sa("198.51.100.2:4601"));
    assert_eq!(probed(&booth.register(&mut lamp, 4_600, LARGE)), 0);
    booth.measure(&mut lamp, false, 0, |probe| seen(probe, 4_601, 4_600));
    let [profile] = profiles(&mut booth)[..] else { panic!("two") };
    assert!(profile.punishes && !profile.displaced);
}
