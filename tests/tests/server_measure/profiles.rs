//! What becomes of packets that are as they should be.

use super::*;

#[test]
fn whoever_can_punch_is_asked_after_its_registration_and_probed_from_the_other_ends() {
    for second in [false, true] {
        let mut booth = Booth::new(second);
        let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
        let sent = booth.register(&mut lamp, 4_600, LARGE);
        let ends: Vec<_> = sent.iter().map(|sent| sent.socket).collect();
        let other_address = second.then(|| sa(OTHER_ADDRESS).into());
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
        assert_eq!(
            report.packets[..],
            (1..).zip(seen.into_iter().map(Into::into)).collect::<Vec<_>>()[..]
        );
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

/// 200 others have made a mapping in the 20 s between two measurements: how long the second one took
/// has nothing to do with it.
#[test]
fn foreign_mappings_are_counted_over_the_time_between_two_measurements() {
    let mut booth = Booth::new(false);
    let ip = sa(HOME).ip();
    let counted = |booth: &mut Booth, first: u16| {
        let mut lamp = booth.greet(2, Role::Acceptor, SocketAddr::new(ip, first));
        booth.register(&mut lamp, 4_600, LARGE);
        booth.desk.now = booth.desk.now.after(Duration::from_millis(40));
        let mut next = first;
        booth.measure(&mut lamp, false, 0, |probe| {
            next += 1;
            (SocketAddr::new(ip, next), 30_000 + 40 * u16::from(probe.socket))
        });
        let profiles = measured(booth);
        assert!(matches!(profiles[0].allocation, Allocation::Sequential(_)), "{profiles:?}");
        profiles[0].foreign
    };
    assert_eq!(counted(&mut booth, 4_600), 0);
    booth.pass(Duration::from_secs(20));
    let foreign = counted(&mut booth, 4_806);
    assert!((9..=11).contains(&foreign), "{foreign} a second");
}

/// A box that draws ports for what goes out and has opened one for what comes in: the probes go there,
/// and what they have carried counts.
#[test]
fn a_leased_port_is_probed_and_believed_by_what_the_probe_has_carried() {
    for (status, believed) in [(6, true), (0, true), (6, false), (0, false)] {
        let mut booth = Booth::new(true);
        let (at, ip) = (sa(HOME), sa(HOME).ip());
        let mut lamp = booth.greet(2, Role::Acceptor, at);
        assert_eq!(booth.say(&mut lamp, &ToServer::Leased(50_000)), []);
        let sent = booth.register(&mut lamp, 4_600, LARGE);
        let probes = sent.iter().filter(|sent| sent.socket != SocketId::MAIN);
        let to: Vec<SocketAddr> = probes.map(|probe| probe.to).collect();
        assert_eq!(to, [SocketAddr::new(ip, 50_000); 2], "nowhere but to the session's host");
        if believed {
            booth.say(&mut lamp, &ToServer::Reached(carried(&sent)));
        }
        let mut port = 20_000;
        booth.measure(&mut lamp, true, status, |_| {
            port = (port + 7_919) % 40_000 + 20_000;
            (SocketAddr::new(ip, port), 4_600)
        });
        let profile = measured(&mut booth)[0];
        assert_eq!(profile.mapping == Mapping::EndpointIndependent, believed, "{profile:?}");
        // Said again, it is no news; another one is, and what is known is old then.
        assert_eq!(booth.say(&mut lamp, &ToServer::Leased(50_000)), []);
        let sent = booth.register(&mut lamp, 4_600, LARGE);
        assert!(!asked(&lamp, &sent)[0].now);
        booth.say(&mut lamp, &ToServer::Leased(0));
        let sent = booth.register(&mut lamp, 4_600, LARGE);
        assert!(asked(&lamp, &sent)[0].now);
        let probes = sent.iter().filter(|sent| sent.socket != SocketId::MAIN);
        assert!(probes.into_iter().all(|probe| probe.to == at));
    }
}

/// No probe of the server's goes to a well-known port, whoever asks for it (T12).
#[test]
fn a_leased_port_below_1_024_is_none() {
    let mut booth = Booth::new(true);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    for port in [1, 53, 1_023] {
        let bytes = lamp.evil.transport(&ToServer::Leased(port));
        let (received, sent) = booth.tell(SocketId::MAIN, lamp.at, &bytes);
        assert_eq!(
            (received, sent),
            (Received::Discarded(Discard::ForbiddenAddress), vec![]),
            "{port}"
        );
    }
    let sent = booth.register(&mut lamp, 4_600, LARGE);
    assert!(sent.iter().all(|sent| sent.to == lamp.at), "{sent:?}");
}
