//! Threats T14 to T18: an end that punches holes as a weapon, and a race into the hole.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::nat::{Differential, Forecast};
use genkan_core::punch::{Bracket, Burst, Limits};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Punch, ToEquipment};
use genkan_core::{Command, Discard, Instant, Machine, Received};
use genkan_sim::matrix::KINDS;
use genkan_sim::{Fate, Origin, Via};
use genkan_tests::appliance::Appliance;
use genkan_tests::evil::{Evil, body, drain, garbage, plain_offer, sa};
use genkan_tests::punch::{Meeting, Outcome, Pair};

const PEER: &str = "192.0.2.50:5000";
/// The request that the appliance has admitted.
const REQUEST: u32 = 5;

/// An appliance that has admitted an issuer at [`PEER`] and dials it, in the hands of a hostile server.
fn admitted() -> Appliance {
    let mut lamp = Appliance::new(|config| config.admission.open = true);
    let issuer = Evil::new(3, &[1; 32]);
    let sealed = issuer.offer(&lamp.lamp.id(), &plain_offer(None), 1);
    let reaction = lamp.notify(REQUEST, sa(PEER), &sealed);
    assert!(reaction.dialled.is_some(), "{reaction:?}");
    lamp
}

fn told(peer: SocketAddr, burst: Burst) -> ToEquipment<'static> {
    ToEquipment::Punch(Punch { request: REQUEST, peer: peer.into(), burst })
}

/// What the appliance sends that is not for the server in so long, with its times; sockets that it
/// wants are opened.
fn sprayed(lamp: &mut Appliance, time: Duration) -> Vec<(Instant, SocketAddr)> {
    let (end, mut out) = (lamp.now.after(time), Vec::new());
    loop {
        let sent = drain(&mut lamp.lamp, lamp.now);
        let peers = sent.iter().filter(|(_, bytes)| Kind::of(bytes) == Ok(Kind::AcceptorPunch));
        out.extend(peers.map(|(to, _)| (lamp.now, *to)));
        let mut asked = !sent.is_empty();
        while let Some(command) = lamp.lamp.poll_command() {
            if let Command::Bind { first, count } = command {
                assert!(count <= Limits::SMALL.sockets, "{count} sockets");
                lamp.lamp.handle_bound(lamp.now, first, Some(sa("10.0.0.9:40000")));
                asked = true;
            }
        }
        while lamp.lamp.poll_event().is_some() {}
        if asked {
            continue;
        }
        match lamp.lamp.poll_timeout() {
            Some(wakeup) if wakeup.at <= end => lamp.now = wakeup.at,
            _ => break,
        }
        lamp.lamp.handle_timeout(lamp.now);
    }
    lamp.now = end;
    out
}

/// Guesses at as many ports as there are.
fn spray(round: u8) -> Burst {
    let all = Forecast::Between { low: 1, high: u16::MAX };
    Burst { once: true, ..Burst::from_registered(round, all, u16::MAX) }
}

/// Whatever the server says: one address, the appliance's own budget, its own pace.
fn assert_bounded(sent: &[(Instant, SocketAddr)]) {
    let peer = sa(PEER).ip();
    assert!(sent.iter().all(|(_, to)| to.ip() == peer && to.port() >= 1_024), "{sent:?}");
    let budget = 128 + usize::from(Limits::SMALL.guesses);
    assert!(sent.len() <= budget, "{} packets", sent.len());
    for (place, &(at, _)) in sent.iter().enumerate() {
        let within = sent[place..].iter().filter(|(t, _)| t.since(at) < Duration::from_secs(1));
        assert!(within.count() <= 192, "too many in a second");
    }
}

#[test]
fn t14_a_hostile_server_gets_no_more_than_the_budget_out_of_an_appliance_and_to_one_address() {
    for bursts in [1, 40] {
        let mut lamp = admitted();
        let mut sent = Vec::new();
        for round in 0..bursts {
            let taken = lamp.tell(&told(sa(PEER), spray(round)));
            assert_eq!(taken, Received::Control);
            // Another address than the first one's is passed over, though it be public.
            let elsewhere = lamp.tell(&told(sa("203.0.113.99:5000"), spray(round)));
            assert_eq!(elsewhere, Received::Discarded(Discard::ForbiddenAddress));
            sent.extend(sprayed(&mut lamp, Duration::from_millis(50)));
        }
        sent.extend(sprayed(&mut lamp, Duration::from_secs(60)));
        assert!(sent.len() > 100, "it does what it may: {}", sent.len());
        assert_bounded(&sent);
    }
}

#[test]
fn t14_an_appliance_sends_nothing_for_a_request_that_it_has_not_admitted() {
    for request in [REQUEST + 1, 0, u32::MAX] {
        let mut lamp = admitted();
        let punch = Punch { request, peer: sa(PEER).into(), burst: spray(0) };
        let taken = lamp.tell(&ToEquipment::Punch(punch));
        assert_eq!(taken, Received::Discarded(Discard::Unexpected));
        assert_eq!(sprayed(&mut lamp, Duration::from_secs(20)), []);
    }
    // Nor after the request has come to nothing.
    let mut lamp = admitted();
    lamp.pass(Duration::from_secs(30));
    assert_eq!(lamp.tell(&told(sa(PEER), spray(0))), Received::Discarded(Discard::Unexpected));
    assert_eq!(sprayed(&mut lamp, Duration::from_secs(20)), []);
}

/// The phone asks while somebody on the way copies every detection packet and lets the copies come
/// first, from a victim's address and from the ports at the ends of the range.
fn meet_with_copies(pair: &mut Pair, victim: IpAddr) -> Outcome {
    let request = pair.ask();
    let (mut seen, longest) = (0, pair.asked + Duration::from_secs(12));
    while pair.told(request).is_none() && pair.fleet.world.now() < longest {
        pair.fleet.world.step();
        let entries = pair.fleet.world.transcript().entries().skip(seen);
        let (mut copies, mut new) = (Vec::new(), 0);
        for entry in entries {
            new += 1;
            if entry.kind == Some(Kind::Detect) && entry.origin == Origin::Sender {
                copies.push((entry.destination, entry.bytes.clone()));
            }
        }
        seen += new;
        let now = pair.fleet.world.now();
        for (n, (to, bytes)) in copies.into_iter().enumerate() {
            let port = if n % 2 == 0 { 1 } else { u16::MAX };
            pair.fleet.world.inject(now, SocketAddr::new(victim, port), to, &bytes);
        }
    }
    pair.outcome(pair.told(request))
}

#[test]
fn t14_spoofed_range() {
    let kind = |name: &str| KINDS.iter().find(|kind| kind.name == name).unwrap().config(5.0);
    for (one, other) in [("seq+2", "port"), ("port", "seq+1"), ("seq+1", "seq+8")] {
        for victim in ["203.0.113.99", "192.0.2.1", "192.0.2.2"] {
            let meeting = Meeting::between(Some(kind(one)), Some(kind(other)));
            let mut pair = meeting.prepared();
            let victim: IpAddr = victim.parse().unwrap();
            let outcome = meet_with_copies(&mut pair, victim);
            let hit = pair.direct().filter(|entry| entry.destination.ip() == victim).count();
            let own = ["192.0.2.1", "192.0.2.2"].contains(&&*victim.to_string());
            // A copy that comes from elsewhere does not count, nor does it use the true one up.
            assert!(own || outcome.is_punched(), "{one} to {other}: {outcome:?}");
            assert!(own || hit == 0, "{one} to {other}: {hit} packets to {victim}");
            assert!(outcome.direct <= 2 * (128 + 256), "{one} to {other}: {outcome:?}");
            let elsewhere = pair.direct().any(|entry| {
                let ip = entry.destination.ip();
                ip != IpAddr::from([192, 0, 2, 1]) && ip != IpAddr::from([192, 0, 2, 2])
            });
            assert!(!elsewhere, "{one} to {other}");
        }
    }
}

/// The differential's one byte in the body of a message that names a burst.
fn burst_with_differential_0() -> Vec<u8> {
    let message = |step| {
        let differential = Differential::new(step).unwrap();
        let burst = Burst::from_registered(0, Forecast::Run { first: 4_000, differential }, 200);
        body(&told(sa(PEER), burst), 0)
    };
    let (one, two) = (message(1), message(2));
    let at = one.iter().zip(&two).position(|(one, two)| one != two).unwrap();
    assert_eq!(one.iter().zip(&two).filter(|(one, two)| one != two).count(), 1);
    let mut none = one;
    none[at] = 0;
    none
}

#[test]
fn t16_diff_0() {
    let mut lamp = admitted();
    // Something good before and after shows that only the differential is wrong.
    let good = Burst::to_port(0, 5_000);
    assert_eq!(lamp.tell(&told(sa(PEER), good)), Received::Control);
    assert!(!sprayed(&mut lamp, Duration::from_secs(3)).is_empty());
    let taken = lamp.tell_raw(&burst_with_differential_0());
    assert_eq!(taken, Received::Discarded(Discard::Malformed));
    assert_eq!(sprayed(&mut lamp, Duration::from_secs(1)), []);
}

fn ports_of(ports: Forecast, count: u16) -> Vec<u16> {
    let mut lamp = admitted();
    let burst = Burst { once: true, ..Burst::from_registered(0, ports, count) };
    assert_eq!(lamp.tell(&told(sa(PEER), burst)), Received::Control);
    let sent = sprayed(&mut lamp, Duration::from_secs(30));
    assert_bounded(&sent);
    sent.into_iter().map(|(_, to)| to.port()).collect()
}

#[test]
fn t16_range_end_65535() {
    let up = |first, step| {
        let differential = Differential::new(step).unwrap();
        ports_of(Forecast::Run { first, differential }, 50)
    };
    // Each port once, none beyond the last, and none below those that anybody may be sent to.
    for (first, step) in [(65_530, 1), (65_535, 1), (65_535, 64), (1_030, -1), (1_024, -64), (1, 1)]
    {
        let mut ports = up(first, step);
        let sent = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), sent, "{first} by {step}");
    }
    let mut last = ports_of(Forecast::Between { low: 65_530, high: 65_535 }, 50);
    last.sort_unstable();
    assert_eq!(last, [65_531, 65_532, 65_533, 65_534], "the two that were seen are others");
}

#[test]
fn t16_start_gt_end() {
    let ports = ports_of(Forecast::Between { low: 50_005, high: 50_000 }, u16::MAX);
    assert!(ports.iter().all(|port| (50_000..=50_005).contains(port)), "{ports:?}");
    for (low, high) in [(65_535, 1), (2_000, 1_999), (1_024, 1_023)] {
        ports_of(Forecast::Between { low, high }, u16::MAX);
        ports_of(Forecast::Among { low, high, margin: u16::MAX }, u16::MAX);
    }
}

#[test]
fn t17_public_host_never_probes_private() {
    let denied = "127.0.0.1 0.0.0.0 10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1 169.254.169.254 \
        192.0.0.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:10.0.0.1 \
        ::ffff:127.0.0.1 64:ff9b::a00:1 2002:a00:1::1 2001::1 fe80::1 fc00::1 ff02::1";
    for text in denied.split_whitespace() {
        let mut lamp = admitted();
        let peer = SocketAddr::new(text.parse::<IpAddr>().unwrap(), 5_000);
        let taken = lamp.tell(&told(peer, spray(0)));
        assert_eq!(taken, Received::Discarded(Discard::ForbiddenAddress), "{text}");
        assert_eq!(sprayed(&mut lamp, Duration::from_secs(20)), [], "{text}");
    }
    // Ports of services are not guessed at either, at an address that is public.
    let mut lamp = admitted();
    let low = Burst::from_registered(0, Forecast::Between { low: 1, high: 1_023 }, 1_023);
    let low = Burst { bracket: Bracket::None, ..low };
    assert_eq!(lamp.tell(&told(sa(PEER), low)), Received::Control);
    assert_eq!(sprayed(&mut lamp, Duration::from_secs(20)), []);
}

/// Everything that can be made without a key comes first, from the peer's own address and port, to
/// the very sockets that wait; and what the peer has sent comes again.
#[test]
fn t18_hole_race_garbage_first() {
    let kind = |name: &str| KINDS.iter().find(|kind| kind.name == name).unwrap().config(0.0);
    for (one, other) in [("cone", "cone"), ("cone", "port"), ("seq+1", "cone")] {
        let mut pair = Meeting::between(Some(kind(one)), Some(kind(other))).prepared();
        let mut rng = pair.fleet.world.chance("garbage");
        let start = pair.fleet.world.now();
        let ends = [
            (pair.nats[0].unwrap(), sa("192.0.2.2:20000"), sa("10.0.0.3:4600")),
            (pair.nats[1].unwrap(), sa("192.0.2.1:20000"), sa("10.1.0.2:4600")),
        ];
        for millis in 0..400 {
            for (nat, from, to) in ends {
                let at = start + Duration::from_millis(millis);
                let mut bytes = garbage(&mut rng, 120);
                if millis % 3 == 0 {
                    // In the form of a check, with whatever tag.
                    bytes.resize(22, 7);
                    bytes[0] = [Kind::IssuerPunch, Kind::AcceptorPunch][millis as usize % 2] as u8;
                    bytes[1] = u8::from(millis % 2 == 0);
                }
                pair.fleet.world.inject_behind(nat, at, (from, to), &bytes);
            }
        }
        let outcome = pair.meet();
        assert!(outcome.is_punched(), "{one} to {other}: {outcome:?}\n{}", pair.fleet.story());
        assert!(pair.talk(), "{one} to {other}");
        // What was said to make the path comes once more, and from elsewhere.
        let said: Vec<_> = pair
            .direct()
            .filter(|entry| entry.via == Via::Udp && matches!(entry.fate, Fate::Delivered(_)))
            .map(|entry| (entry.from == "phone", entry.bytes.clone()))
            .collect();
        let later = pair.fleet.world.now();
        for (n, (by_phone, bytes)) in said.into_iter().enumerate() {
            let (nat, from, to) = ends[usize::from(by_phone)];
            let at = later + Duration::from_millis(n as u64);
            for source in [from, sa("198.51.100.66:6666")] {
                pair.fleet.world.inject_behind(nat, at, (source, to), &bytes);
            }
        }
        pair.fleet.world.run_for(Duration::from_secs(30));
        assert!(pair.talk(), "{one} to {other}, and stays\n{}", pair.fleet.story());
    }
}
