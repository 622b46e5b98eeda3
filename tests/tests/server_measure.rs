//! A server that measures NATs: what crafted equipment shows it, and what it makes of that.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::inspect::Inspect;
use genkan_core::nat::{self, Allocation, Filtering, Mapping, NatProfile, Probe, ServerEnd};
use genkan_core::punch::Ability;
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Measure, Role, ToEquipment, ToServer};
use genkan_core::{Discard, Machine, Received, ServerEvent, SocketId};
use genkan_sim::Rng;
use genkan_sim::nat::{Flow, Nat, presets};
use genkan_tests::booth::{Booth, Detect, Guest, OTHER_ADDRESS, OTHER_PORT, Sent, place, socket};
use genkan_tests::evil::{hmac, sa, siphash};

const HOME: &str = "198.51.100.2:4600";
const LARGE: Option<Ability> = Some(Ability::LARGE);

/// Seen from everywhere at its own ports, on the host address of `HOME`.
fn kept(probe: Probe) -> (SocketAddr, u16) {
    let port = [4_600, 5_001, 5_002][usize::from(probe.socket)];
    (SocketAddr::new(sa(HOME).ip(), port), port)
}

fn measured(booth: &mut Booth) -> Vec<NatProfile> {
    let events = booth.events();
    let profiles = events.into_iter().filter_map(|event| match event {
        ServerEvent::Measured { profile, .. } => Some(profile),
        _ => None,
    });
    profiles.collect()
}

fn asked(guest: &Guest, sent: &[Sent]) -> Vec<Measure> {
    let told = guest.read(sent).into_iter().filter_map(|message| match message {
        ToEquipment::Measure(measure) => Some(measure),
        _ => None,
    });
    told.collect()
}

fn probes(sent: &[Sent]) -> Vec<(SocketId, SocketAddr)> {
    let probes = sent.iter().filter(|sent| sent.bytes[0] == Kind::FilterProbe as u8);
    probes.map(|sent| (sent.socket, sent.to)).collect()
}

/// An acceptor whose NAT has been measured as one that keeps its port.
fn known(booth: &mut Booth) -> Guest {
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    booth.measure(&mut lamp, false, 0, kept);
    assert_eq!(measured(booth).len(), 1);
    lamp
}

#[test]
fn whoever_can_punch_is_asked_after_its_registration_and_probed_from_the_other_ends() {
    for second in [false, true] {
        let mut booth = Booth::new(second);
        let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
        let sent = booth.register(&mut lamp, 4_600, LARGE);
        let ends: Vec<_> = sent.iter().map(|sent| sent.socket).collect();
        let other_address = second.then(|| sa(OTHER_ADDRESS));
        let mut expected = vec![SocketId::MAIN, SocketId::OTHER_PORT, SocketId::MAIN];
        if second {
            expected.insert(2, SocketId::OTHER_ADDRESS);
        }
        assert_eq!(ends, expected, "answer, probes, then the wish to see");
        let measure = Measure { other_port: OTHER_PORT, other_address, now: true };
        assert_eq!(asked(&lamp, &sent), [measure]);
        for (status, probe) in (1..).zip(&sent[1..=1 + usize::from(second)]) {
            let (signed, tag) = probe.bytes.split_at(12);
            assert_eq!(
                (signed[0], signed[1], probe.to),
                (Kind::FilterProbe as u8, status, sa(HOME))
            );
            assert_eq!(signed[2..6], (0x1000_0000u32 | 2).to_be_bytes());
            let key = hmac(&lamp.evil.root, &[b"keepalive down"]);
            assert_eq!(tag, siphash(&key[..16], &[signed]));
        }
    }
}

#[test]
fn nobody_is_asked_who_cannot_punch_or_by_a_server_with_one_end() {
    let mut booth = Booth::new(true);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    assert_eq!(booth.register(&mut lamp, 4_600, None).len(), 1);
    let mut booth = Booth::with(|config| config.other_port = None);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    assert_eq!(booth.register(&mut lamp, 4_600, LARGE).len(), 1);
    let detect = lamp.measuring(1, 0, nat::measurement(false)[0], 4_600);
    for at in [SocketId::MAIN, SocketId::OTHER_PORT, SocketId::OTHER_ADDRESS, SocketId(16)] {
        let (received, sent) = booth.tell(at, sa(HOME), &detect);
        assert_eq!(received, Received::Discarded(Discard::Unexpected));
        assert_eq!(sent, []);
    }
}

#[test]
fn every_kind_of_nat_is_told_by_five_packets_and_the_registration() {
    use Allocation::{Preserving, PreservingFirst, Random};
    use Mapping::{AddressAndPortDependent as Apdm, EndpointIndependent as Eim};
    let boxes = [
        ("linux-masquerade", Eim, Some(Preserving)),
        ("full-cone", Eim, None),
        ("pf", Apdm, Some(Random)),
        ("rfc6081-port-preserving-port-symmetric", Apdm, Some(PreservingFirst)),
        ("rfc6081-sequential-port-symmetric", Apdm, None),
    ];
    for (name, mapping, allocation) in boxes {
        let config = presets::by_name(name).unwrap();
        let mut nat = Nat::new(&[IpAddr::from([198, 51, 100, 2])], config, Rng::new(3));
        let mut now = Duration::from_secs(5);
        let mut through = |probe: Probe| {
            let local = 40_000 + 34 * u16::from(probe.socket);
            let inside = SocketAddr::new(IpAddr::from([10, 0, 0, 2]), local);
            now += Duration::from_micros(500);
            (nat.outbound(now, Flow::Udp, inside, place(probe.server)).unwrap(), local)
        };
        let (home, local) = through(Probe { socket: 0, server: ServerEnd::Main });
        let mut booth = Booth::new(true);
        let mut lamp = booth.greet(2, Role::Acceptor, home);
        booth.register(&mut lamp, local, LARGE);
        let mut seen = Vec::new();
        let sent = booth.measure(&mut lamp, true, 0, |probe| {
            let from = through(probe);
            seen.push(from.0);
            from
        });
        let profile = measured(&mut booth)[0];
        assert_eq!(profile.mapping, mapping, "{name}");
        assert_eq!(profile.filtering, Filtering::AddressAndPortDependent, "{name}");
        assert!(allocation.is_none_or(|it| it == profile.allocation), "{name}: {profile:?}");
        if name.starts_with("rfc6081-seq") {
            assert!(matches!(profile.allocation, Allocation::Sequential(_)), "{profile:?}");
        }
        // The report: what was seen of each packet, by its number.
        let [ToEquipment::Seen(report)] = &lamp.read(&sent)[..] else { panic!("{name}") };
        assert_eq!((report.request, report.round), (0, 0));
        assert_eq!(report.packets[..], (1..).zip(seen).collect::<Vec<_>>()[..]);
    }
}

#[test]
fn the_filter_is_what_of_the_probes_has_arrived() {
    use Filtering::{
        AddressAndPortDependent, AddressDependent, EndpointIndependent, PortIndependent,
    };
    let seen = [
        (false, 0, AddressAndPortDependent),
        (false, 2, PortIndependent),
        (true, 0, AddressAndPortDependent),
        (true, 2, AddressDependent),
        (true, 6, EndpointIndependent),
        // No probe left from there: a claim that it has arrived is none.
        (false, 6, PortIndependent),
    ];
    for (second, status, filtering) in seen {
        let mut booth = Booth::new(second);
        let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
        booth.register(&mut lamp, 4_600, LARGE);
        booth.measure(&mut lamp, second, status, kept);
        assert_eq!(measured(&mut booth)[0].filtering, filtering, "{second} {status}");
    }
}

#[test]
fn what_is_missing_is_waited_for_300_ms_and_the_rest_makes_the_profile() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    for which in [1, 2, 4] {
        let probe = nat::measurement(false)[usize::from(which) - 1];
        let (from, local) = kept(probe);
        let bytes = lamp.measuring(which, 0, probe, local);
        assert_eq!(booth.tell(socket(probe.server), from, &bytes).0, Received::Control);
    }
    booth.pass(Duration::from_millis(299));
    assert_eq!(measured(&mut booth), []);
    let sent = booth.pass(Duration::from_millis(2));
    assert_eq!(measured(&mut booth)[0].mapping, Mapping::PortIndependent);
    let [ToEquipment::Seen(report)] = &lamp.read(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!(report.packets.iter().map(|seen| seen.0).collect::<Vec<_>>(), [1, 2, 4]);
    // What comes later is too late.
    let probe = nat::measurement(false)[2];
    let late = lamp.measuring(3, 0, probe, 5_001);
    let (received, _) = booth.tell(socket(probe.server), kept(probe).0, &late);
    assert_eq!(received, Received::Discarded(Discard::Unexpected));
}

#[test]
fn a_wish_that_was_lost_is_sent_three_times_in_all() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let sent = booth.pass(Duration::from_secs(30));
    assert_eq!(asked(&lamp, &sent).len(), 2);
    assert_eq!(probes(&sent), []);
    assert_eq!(measured(&mut booth), []);
    // The next registration tries again; the NAT may remember what was sent before.
    let sent = booth.register(&mut lamp, 4_600, LARGE);
    assert!(asked(&lamp, &sent)[0].now);
    assert_eq!(probes(&sent), []);
    booth.measure(&mut lamp, false, 2, kept);
    assert_eq!(measured(&mut booth)[0].filtering, Filtering::Unknown);
}

#[test]
fn a_profile_is_kept_over_sessions_and_made_anew_after_a_move_and_after_hours() {
    let mut booth = Booth::new(false);
    let mut lamp = known(&mut booth);
    let now = |booth: &mut Booth, lamp: &mut Guest| {
        let sent = booth.register(lamp, 4_600, LARGE);
        (asked(lamp, &sent)[0].now, probes(&sent).len())
    };
    assert_eq!(now(&mut booth, &mut lamp), (false, 0));
    // A new session from the same address.
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    assert_eq!(now(&mut booth, &mut lamp), (false, 0));
    // From another.
    let mut lamp = booth.greet(2, Role::Acceptor, sa("198.51.100.2:4601"));
    assert_eq!(now(&mut booth, &mut lamp), (true, 1));
    booth.measure(&mut lamp, false, 0, kept);
    assert_eq!(now(&mut booth, &mut lamp), (false, 0));
    // The session moves: a keepalive, a challenge, an echo.
    lamp.at = sa("198.51.100.9:77");
    let keepalive = lamp.evil.keepalive(None);
    let (_, sent) = booth.tell(SocketId::MAIN, lamp.at, &keepalive);
    let cookie = sent[0].bytes[6..12].to_vec();
    let echo = lamp.evil.keepalive(Some(&cookie));
    assert_eq!(booth.tell(SocketId::MAIN, lamp.at, &echo).0, Received::Control);
    assert_eq!(now(&mut booth, &mut lamp), (true, 1));
    booth.measure(&mut lamp, false, 0, kept);
    // Kept alive for six hours.
    for _ in 0..6 * 60 {
        booth.pass(Duration::from_secs(60));
        let keepalive = lamp.evil.keepalive(None);
        assert_eq!(booth.tell(SocketId::MAIN, lamp.at, &keepalive).0, Received::Control);
    }
    assert_eq!(now(&mut booth, &mut lamp), (false, 0));
    booth.pass(Duration::from_secs(1));
    assert_eq!(now(&mut booth, &mut lamp), (true, 1));
}

#[test]
fn an_issuer_says_anew_in_each_session_what_it_can_do() {
    let mut booth = Booth::new(false);
    let mut phone = booth.greet(3, Role::Issuer, sa(HOME));
    let sent = booth.say(&mut phone, &ToServer::Can(Ability::LARGE.to_bits()));
    assert!(asked(&phone, &sent)[0].now);
    booth.measure(&mut phone, false, 0, kept);
    assert_eq!(measured(&mut booth).len(), 1);
    let mut phone = booth.greet(3, Role::Issuer, sa(HOME));
    assert_eq!(booth.say(&mut phone, &ToServer::Can(0)), []);
    let sent = booth.say(&mut phone, &ToServer::Can(Ability::SMALL.to_bits()));
    assert!(!asked(&phone, &sent)[0].now, "the profile is still there");
    // An acceptor registers what it can; it has no other word for it.
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    let can = lamp.evil.transport(&ToServer::Can(Ability::LARGE.to_bits()));
    let (received, sent) = booth.tell(SocketId::MAIN, sa(HOME), &can);
    assert_eq!((received, sent), (Received::Discarded(Discard::Unexpected), vec![]));
}

fn state(booth: &Booth) -> Vec<u64> {
    let mut all = Vec::new();
    booth.desk.server.inspect(&mut |number| all.push(number));
    all
}

#[test]
fn a_detect_that_is_not_authentic_changes_nothing_and_gets_no_answer() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let probe = nat::measurement(false)[0];
    let good = lamp.measuring(1, 0, probe, 4_600);
    let before = state(&booth);
    for bit in 8..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let (received, sent) = booth.tell(SocketId::OTHER_PORT, sa(HOME), &bad);
        assert!(matches!(received, Received::Discarded(_)), "bit {bit}");
        // Not even a hint, where the handle is not known.
        assert_eq!(sent, [], "bit {bit}");
    }
    for len in 0..good.len() {
        let (received, sent) = booth.tell(SocketId::OTHER_PORT, sa(HOME), &good[..len]);
        assert!(matches!(received, Received::Discarded(_)) && sent.is_empty(), "{len} bytes");
    }
    assert_eq!(state(&booth), before);
    assert_eq!(booth.tell(SocketId::OTHER_PORT, sa(HOME), &good).0, Received::Control);
    assert_ne!(state(&booth), before);
    // Once.
    let before = state(&booth);
    for from in [sa(HOME), sa("192.0.2.66:1")] {
        let (received, sent) = booth.tell(SocketId::OTHER_PORT, from, &good);
        assert_eq!((received, sent), (Received::Discarded(Discard::Replayed), vec![]));
    }
    assert_eq!(state(&booth), before);
}

#[test]
fn a_packet_counts_for_its_own_place_in_the_measurement_and_once() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let probe = nat::measurement(false)[0];
    let mut tell = |end: SocketId, which: u8, socket: u8, port: u16| {
        let bytes = lamp.measuring(which, 0, Probe { socket, ..probe }, 4_600);
        let from = SocketAddr::new(sa(HOME).ip(), port);
        booth.tell(end, from, &bytes).0
    };
    let unexpected = Received::Discarded(Discard::Unexpected);
    assert_eq!(tell(SocketId::MAIN, 1, 0, 4_600), unexpected, "at another end");
    assert_eq!(tell(SocketId::OTHER_PORT, 1, 9, 4_600), unexpected, "from another socket");
    for which in [0, 6, 255] {
        let malformed = Received::Discarded(Discard::Malformed);
        assert_eq!(tell(SocketId::OTHER_PORT, which, 0, 4_600), malformed);
    }
    assert_eq!(tell(SocketId::OTHER_PORT, 1, 0, 4_600), Received::Control);
    assert_eq!(tell(SocketId::OTHER_PORT, 1, 0, 9), unexpected, "contradicts the first");
}

#[test]
fn ten_thousand_detects_are_one_measurement() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let mut rng = Rng::new(1);
    let (mut taken, mut answers) = (0, 0);
    for _ in 0..10_000 {
        let which = u8::try_from(rng.below(8)).unwrap();
        let probe = nat::measurement(false)[rng.index(5)];
        let bytes = lamp.measuring(which, 6, probe, 4_600);
        let from = SocketAddr::new(sa(HOME).ip(), u16::try_from(rng.below(65_536)).unwrap());
        let (received, sent) = booth.tell(socket(probe.server), from, &bytes);
        taken += usize::from(received == Received::Control);
        answers += sent.len();
    }
    assert_eq!((taken, answers, measured(&mut booth).len()), (5, 1, 1));
    booth.pass(Duration::from_secs(1));
    assert!(booth.desk.server.poll_timeout().is_some_and(|next| next.at > booth.desk.now));
}

/// More equipments come at once than measurements can be under way: the last ones are measured, the
/// others at their next registration, and nothing is left behind.
#[test]
fn in_a_full_table_the_oldest_measurement_makes_room() {
    let mut booth = Booth::new(false);
    let home = |n: u8| SocketAddr::from(([198, 51, 100, n], 4_600));
    let mut lamps = Vec::new();
    for n in 1..=80 {
        booth.desk.now = booth.desk.now.after(Duration::from_millis(10));
        let mut lamp = booth.greet(n, Role::Acceptor, home(n));
        let sent = booth.register(&mut lamp, 4_600, LARGE);
        assert!(asked(&lamp, &sent)[0].now);
        lamps.push(lamp);
    }
    booth.events();
    let mut done = Vec::new();
    for lamp in &mut lamps {
        let from = lamp.at;
        for (which, probe) in (1..).zip(nat::measurement(false)) {
            let bytes = lamp.measuring(which, 0, *probe, 4_600);
            booth.tell(socket(probe.server), from, &bytes);
        }
        done.push(measured(&mut booth).len());
    }
    assert_eq!(done[..16], [0; 16]);
    assert_eq!(done[16..], [1; 64]);
    booth.pass(Duration::from_secs(10));
    let sent = booth.register(&mut lamps[0], 4_600, LARGE);
    assert!(asked(&lamps[0], &sent)[0].now);
}

#[test]
fn the_other_ends_take_nothing_but_detection_packets() {
    let mut booth = Booth::new(true);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let before = state(&booth);
    let hello = booth.greet(9, Role::Issuer, sa("192.0.2.9:9")).evil.hello(Role::Issuer);
    let certificate = vec![Kind::CertificateRequest as u8; 400];
    let messages = [
        hello,
        certificate,
        lamp.evil.keepalive(None),
        lamp.evil.transport(&ToServer::Deregister),
        vec![Kind::Resume as u8; 38],
    ];
    let before_all = state(&booth);
    for message in messages {
        for at in [SocketId::OTHER_PORT, SocketId::OTHER_ADDRESS, SocketId(16), SocketId::LISTENER]
        {
            let (received, sent) = booth.tell(at, sa(HOME), &message);
            assert_eq!(received, Received::Discarded(Discard::Unexpected));
            assert_eq!(sent, []);
        }
    }
    assert_eq!(state(&booth), before_all);
    assert_ne!(before, before_all, "another guest has come meanwhile");
}

/// A handle that the next equipment has: the report on one's NAT never goes to another.
#[test]
fn a_slot_that_is_used_anew_knows_nothing_of_the_one_before() {
    let mut booth = Booth::new(false);
    let mut lamp = known(&mut booth);
    let gone = lamp.evil.transport(&ToServer::Deregister);
    assert_eq!(booth.tell(SocketId::MAIN, lamp.at, &gone).0, Received::Control);
    let mut other = booth.greet(5, Role::Acceptor, sa("192.0.2.5:5"));
    assert_eq!(other.evil.handle & 0xff_ffff, lamp.evil.handle & 0xff_ffff, "the same slot");
    let sent = booth.register(&mut other, 5, LARGE);
    assert!(asked(&other, &sent)[0].now, "the profile was another's");
    let detect = Detect { status: 0, request: 0, round: 0, which: 1, socket: 0, local: 1 };
    let late = lamp.detect(detect);
    let (received, sent) = booth.tell(SocketId::OTHER_PORT, lamp.at, &late);
    assert_eq!((received, sent), (Received::Discarded(Discard::UnknownSession), vec![]));
}
