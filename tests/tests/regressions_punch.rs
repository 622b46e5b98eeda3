//! Defects of hole punching that were found once, each with the test that keeps it away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::{SocketAddr, SocketAddrV6};
use core::time::Duration;

use genkan_core::nat::lease::LeaseClient;
use genkan_core::nat::{Filtering, Mapping, NatProfile, ServerEnd, Sighting};
use genkan_core::punch::{Ability, Coordinator, Detector, End, Limits, Moment, Party};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Measure, ToEquipment};
use genkan_core::{
    Command, Identity, Instant, Issuer, IssuerConfig, IssuerSlot, Machine, Received, ServerAddress,
    SocketId, StaticKey, Target,
};
use genkan_sim::SimEntropy;
use genkan_tests::appliance::{Appliance, SERVER};
use genkan_tests::evil::{Desk, drain, sa};

const PHONE: &str = "192.0.2.50:50000";

/// Found by fuzzing: with the session gone, the packets of a measurement left as 37 zeros each.
#[test]
fn without_a_session_no_detection_packet_leaves() {
    let mut desk = Desk::new(|config| config.other_port = Some(3_479));
    let now = desk.now;
    let identity = Identity { key: StaticKey::from_secret([3; 32]), boots: 0 };
    let server = ServerAddress::both(sa(SERVER));
    let config = IssuerConfig::new(identity, server, Desk::anchors());
    let entropy = SimEntropy::seeded(3);
    let mut phone = Issuer::new(now, config, [const { IssuerSlot::EMPTY }; 1], entropy);
    phone.request(now, &Target::new(StaticKey::from_secret([2; 32]).id())).unwrap();
    phone.handle_bound(now, SocketId::LISTENER, Some(sa("0.0.0.0:7777")));
    // It shakes hands and says that it can punch; the server wants a measurement.
    let (mut wanted, mut last) = (None, Vec::new());
    for _ in 0..6 {
        for (_, bytes) in drain(&mut phone, now) {
            last.clone_from(&bytes);
            for (_, mut answer) in desk.tell(sa(PHONE), &bytes).1 {
                phone.handle_datagram(now, SocketId::MAIN, sa(SERVER), &mut answer);
            }
        }
        while let Some(command) = phone.poll_command() {
            if let Command::Bind { first, count } = command {
                wanted = Some((first, count));
            }
        }
    }
    let (first, count) = wanted.unwrap();
    assert_eq!(count, 2);
    // The server has restarted and does not know the session; then the sockets are there.
    let mut hint = vec![Kind::Hint as u8, 0];
    hint.extend(&last[2..6]);
    hint.extend(&last[8..14]);
    hint.extend(&last[last.len() - 16..]);
    let taken = phone.handle_datagram(now, SocketId::MAIN, sa(SERVER), &mut hint);
    assert_eq!(taken, Received::Control);
    phone.handle_bound(now, first, Some(sa("10.0.0.9:40000")));
    for (to, bytes) in drain(&mut phone, now) {
        assert!(matches!(Kind::of(&bytes), Ok(kind) if kind != Kind::Detect), "{to} {bytes:02x?}");
    }
    // The measurement has ended a second later all the same, and its sockets are closed.
    let wakeup = phone.poll_timeout().unwrap();
    phone.handle_timeout(now.after(Duration::from_secs(1)).max(wakeup.at));
    let closed = Command::Unbind { first, count };
    assert!(core::iter::from_fn(|| phone.poll_command()).any(|command| command == closed));
}

/// Found by fuzzing: of an end that computes its range itself, a detection packet that was a minute
/// late had the server wait two more for its range.
#[test]
fn a_late_detection_packet_holds_nothing_up() {
    let mut now = Instant::from_millis(1_000);
    let party = |number: u8, mapping: Mapping| {
        let mut profile = NatProfile::measure(&[]);
        profile.mapping = mapping;
        profile.filtering = Filtering::AddressAndPortDependent;
        let observed = SocketAddr::from(([192, 0, 2, number], 5_000));
        let (age, limits) = (Duration::ZERO, Limits::LARGE);
        Party { observed: observed.into(), profile, age, limits, detector: Detector::Equipment }
    };
    let issuer = party(1, Mapping::AddressAndPortDependent);
    let acceptor = party(2, Mapping::EndpointIndependent);
    let mut coordinator = Coordinator::new(now, issuer, acceptor).unwrap();
    while let Some(at) = coordinator.poll_timeout() {
        now = at;
        coordinator.handle_timeout(now);
    }
    now = now.after(Duration::from_secs(60));
    let observed = SocketAddr::from(([192, 0, 2, 1], 5_001));
    let seen = Sighting { socket: 1, local: 0, server: ServerEnd::Main, observed: observed.into() };
    for end in [End::Issuer, End::Acceptor] {
        let round = coordinator.round();
        coordinator.handle_detection(now, end, round, Moment::Before, &seen);
    }
    let due = coordinator.poll_timeout().unwrap();
    assert!(due.since(now) <= Duration::from_secs(4), "{:?}", due.since(now));
}

const NONCE: [u8; 12] = [7; 12];

/// A box's answer in PCP: our port, for so long.
fn granted(seconds: u32) -> Vec<u8> {
    let head = [&[2, 129, 0, 0][..], &seconds.to_be_bytes(), &9_u32.to_be_bytes(), &[0; 12]];
    let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7];
    let port = 5_000_u16.to_be_bytes();
    [&head.concat()[..], &NONCE, &[17, 0, 0, 0], &port, &port, &address].concat()
}

/// Found by fuzzing: an answer that came after the end brought the lease back to life.
#[test]
fn a_lease_that_was_given_back_stays_so() {
    let now = Instant::from_millis(1_000);
    let mut client = LeaseClient::new(now, sa("192.168.1.9:5000"), NONCE);
    assert!(client.poll_request(now).is_some());
    client.end(now);
    assert!(!client.handle_answer(now, &granted(600)));
    assert_eq!(client.lease(now), None);
    // What the box has granted meanwhile is given back, once.
    let request = client.poll_request(now).unwrap();
    assert_eq!(request[4..8], [0; 4]);
    client.end(now);
    assert_eq!((client.poll_request(now), client.poll_timeout()), (None, None));
}

/// Found by fuzzing: leases of a few seconds were renewed every other second.
#[test]
fn a_short_lease_is_not_renewed_sooner_than_allowed() {
    let now = Instant::from_millis(1_000);
    let mut client = LeaseClient::new(now, sa("192.168.1.9:5000"), NONCE);
    assert!(client.poll_request(now).is_some());
    assert!(client.handle_answer(now, &granted(4)));
    assert_eq!(client.poll_timeout(), Some(now.after(Duration::from_secs(4))));
}

/// A link-local address means nothing without the interface that it is on.
#[test]
fn the_packets_of_a_measurement_keep_a_link_local_servers_scope() {
    let server = SocketAddrV6::new("fe80::1".parse().unwrap(), 4_600, 0, 7);
    let mut lamp = Appliance::new(|config| {
        config.server = ServerAddress::both(server.into());
        config.punch = Some(Ability::SMALL);
    });
    lamp.tell(&ToEquipment::Measure(Measure { other_port: 3_479, other_address: None, now: true }));
    let bind = core::iter::from_fn(|| lamp.lamp.poll_command()).find_map(|command| {
        if let Command::Bind { first, .. } = command { Some(first) } else { None }
    });
    lamp.lamp.handle_bound(lamp.now, bind.unwrap(), Some(sa("[fe80::2]:5000")));
    let sent = drain(&mut lamp.lamp, lamp.now);
    let mut ends: Vec<_> = sent
        .into_iter()
        .filter_map(|(to, bytes)| (Kind::of(&bytes) == Ok(Kind::Detect)).then_some(to))
        .collect();
    ends.sort_unstable();
    let end = |port| SocketAddr::V6(SocketAddrV6::new(*server.ip(), port, 0, 7));
    assert_eq!(ends, [end(3_479), end(3_479), end(3_479), end(4_600), end(4_600)]);
}
