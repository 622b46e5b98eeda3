//! Ends whose boxes open a port for them on request, over the wire: machines, boxes, and a client of
//! the box's beside each machine, as the adapters have it. What the client itself says and believes is
//! in `tests/tests/lease.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::nat::lease::LeaseClient;
use genkan_core::nat::{Allocation, Filtering, Mapping, NatProfile};
use genkan_core::punch::{Ability, Hopeless, Limits};
use genkan_core::{AcceptorEvent, Instant, IssuerEvent, RequestTransport, Target};
use genkan_sim::fleet::{Fleet, FleetIssuer, PORT, punches};
use genkan_sim::matrix::{KINDS, RFC6081};
use genkan_sim::nat::Leases;
use genkan_sim::{Faults, HostId, NatConfig, Via};
use genkan_tests::punch::{Meeting, Pair};
use genkan_tests::scene::HOP;

const LONGEST: Duration = Duration::from_secs(600);

/// A port for each destination, drawn from 64,512, behind the strictest filter.
fn drawn(leases: Option<Leases>) -> NatConfig {
    let kind = KINDS.into_iter().find(|kind| kind.name == "random").unwrap();
    NatConfig { leases, ..kind.config(5.0) }
}

const fn leases(pcp: bool, nat_pmp: bool) -> Leases {
    Leases { nat_pmp, pcp, longest: LONGEST, most: 8 }
}

fn between(one: NatConfig, other: NatConfig) -> Meeting {
    Meeting { leases: true, ..Meeting::between(Some(one), Some(other)) }
}

/// What the lamp was told of its NAT last.
fn profile(pair: &Pair) -> NatProfile {
    let told = pair.lamp_events().into_iter().rev();
    { told }
        .find_map(|event| match event {
            AcceptorEvent::Nat(profile) => Some(profile),
            _ => None,
        })
        .unwrap()
}

fn is_open(profile: &NatProfile) -> bool {
    (profile.mapping, profile.filtering)
        == (Mapping::EndpointIndependent, Filtering::EndpointIndependent)
}

/// How many requests an end has sent to its box.
fn requests(fleet: &Fleet, name: &str) -> usize {
    let to_box = |entry: &&genkan_sim::Entry| {
        entry.from == name && entry.via == Via::Udp && entry.destination.port() == 5_351
    };
    fleet.world.transcript().entries().filter(to_box).count()
}

#[test]
fn two_that_nothing_else_could_bring_together_meet_by_their_leased_ports() {
    let [pcp, nat_pmp] = [leases(true, false), leases(false, true)].map(Some);
    for (one, other) in [(pcp, pcp), (nat_pmp, nat_pmp), (pcp, None), (None, nat_pmp)] {
        for seed in 1..4 {
            let meeting = Meeting { seed, ..between(drawn(one), drawn(other)) };
            let outcome = meeting.run();
            assert!(outcome.is_punched(), "{one:?} {other:?} {seed}: {outcome:?}");
            assert!(outcome.packets() <= 12, "{outcome:?}");
            let outcome = Meeting { leases: false, ..meeting }.run();
            assert_eq!(outcome.hopeless, Some(Hopeless::BothUnpredictable));
        }
    }
}

#[test]
fn a_leased_port_is_there_before_the_first_packet_and_is_measured_once() {
    let pair = between(drawn(Some(leases(true, true))), drawn(None)).prepared();
    let phone = pair.phone_events().into_iter().find_map(|event| match event {
        IssuerEvent::Nat(profile) => Some(profile),
        _ => None,
    });
    assert!(is_open(&phone.unwrap()), "{phone:?}");
    let nats = pair.phone_events().into_iter().filter(|e| matches!(e, IssuerEvent::Nat(_)));
    assert_eq!(nats.count(), 1);
    assert_eq!(requests(&pair.fleet, "phone"), 1);
}

/// RFC 6886 section 3.6, RFC 6887 section 8.5: the box's count of seconds begins anew.
#[test]
fn a_box_that_has_lost_its_leases_is_asked_again_and_the_registration_follows() {
    let mut pair = between(drawn(None), drawn(Some(leases(true, false)))).prepared();
    assert!(is_open(&profile(&pair)));
    let nat = pair.nats[1].unwrap();
    pair.fleet.world.nat_mut(nat).reboot();
    // The next renewal comes after half of the lease.
    pair.fleet.world.run_for(LONGEST);
    assert!(requests(&pair.fleet, "lamp") >= 2);
    assert!(pair.meet().is_punched());
    assert!(pair.talk());
}

#[test]
fn a_port_that_comes_late_is_believed_and_one_that_is_lost_is_not_named_any_more() {
    let late = Some(Leases { most: 0, ..leases(true, true) });
    let mut pair = between(drawn(None), drawn(late)).prepared();
    assert_eq!(profile(&pair).allocation, Allocation::Random);
    let nat = pair.nats[1].unwrap();
    let give = |pair: &mut Pair, most: usize| {
        let leases = Some(Leases { most, ..leases(true, true) });
        pair.fleet.world.nat_mut(nat).config_mut().leases = leases;
    };
    give(&mut pair, 8);
    // What passes soon is tried again after 30 s.
    pair.fleet.world.run_for(Duration::from_secs(40));
    assert!(is_open(&profile(&pair)), "{:?}", profile(&pair));
    let outcome = pair.meet();
    assert!(outcome.is_punched(), "{outcome:?}");
    give(&mut pair, 0);
    pair.fleet.world.nat_mut(nat).reboot();
    pair.fleet.world.run_for(LONGEST * 2);
    assert!(!is_open(&profile(&pair)), "{:?}", profile(&pair));
    assert_eq!(pair.meet().hopeless, Some(Hopeless::BothUnpredictable));
}

/// The inner box of two opens what the outer one keeps shut.
#[test]
fn a_port_that_leads_nowhere_is_not_believed() {
    let mut fleet = Fleet::with_server(1, punches);
    fleet.asks_for_ports = true;
    let carrier = fleet.nat(drawn(None));
    let home = fleet.nat_behind(Some(carrier), drawn(Some(leases(true, true))));
    let lamp = fleet.acceptor_behind(Some(home), "lamp", |config| {
        config.spread = Duration::ZERO;
        config.admission.open = true;
        config.punch = Some(Ability::LARGE);
    });
    assert!(fleet.wait_registered(lamp, Duration::from_secs(10)));
    fleet.world.run_for(Duration::from_secs(20));
    let told = nat_events(&fleet, lamp);
    assert!(!told.is_empty() && told.iter().all(|nat| nat.allocation == Allocation::Random));
    assert!(told.iter().all(|nat| nat.mapping == Mapping::AddressAndPortDependent), "{told:?}");
    // It has the lease all the same.
    assert!(fleet.story().contains("leased port: Some"), "{}", fleet.story());
}

fn nat_events(fleet: &Fleet, host: HostId) -> Vec<NatProfile> {
    let app: &genkan_sim::fleet::AcceptorApp = fleet.world.app(host);
    let profile = |event: &AcceptorEvent| match event {
        AcceptorEvent::Nat(profile) => Some(*profile),
        _ => None,
    };
    app.log.events.iter().filter_map(|(_, event)| profile(event)).collect()
}

#[test]
fn a_box_that_refuses_or_says_nothing_costs_few_packets_and_changes_nothing() {
    let full = Some(Leases { most: 0, ..leases(true, true) });
    for (config, most) in [(drawn(full), 130), (drawn(None), 12)] {
        let mut pair = between(drawn(None), config).prepared();
        pair.fleet.world.run_for(Duration::from_secs(3_600));
        let sent = requests(&pair.fleet, "lamp");
        assert!((2..=most).contains(&sent), "{sent} requests in an hour");
        assert_eq!(pair.meet().hopeless, Some(Hopeless::BothUnpredictable));
    }
    let mut pair = between(RFC6081[0].config(5.0), RFC6081[2].config(5.0)).prepared();
    assert!(pair.meet().is_punched());
}

/// A device that starts again keeps its socket's port, and its client the nonce that the box knows.
#[test]
fn a_device_that_starts_again_gets_its_port_back() {
    let mut pair = between(drawn(None), drawn(Some(leases(true, false)))).prepared();
    let lamp = pair.lamp;
    pair.fleet.reboot(lamp, genkan_sim::Death::Silent);
    assert!(pair.fleet.wait_registered(lamp, Duration::from_secs(60)));
    pair.fleet.world.run_for(Duration::from_secs(10));
    let target = Target::clone(&pair.target());
    let request = pair.fleet.request_target(pair.phone, &target);
    assert!(pair.fleet.wait_connected(pair.phone, request, Duration::from_secs(30)));
}

/// Whenever the box answers: before the measurement, in its midst, when the server has said that there
/// is no way. The phone's box keeps one port for all destinations, the leased one too, and shuts out who
/// was not sent to; nobody may guess.
#[test]
fn a_port_that_comes_while_the_nat_is_measured_is_believed_too() {
    for late in (0..40).map(|step| HOP * step / 4) {
        let mut fleet = Fleet::with_server(1, punches);
        let kept = KINDS.into_iter().find(|kind| kind.name == "port").unwrap().config(0.0);
        let home = fleet.nat(NatConfig { leases: Some(leases(true, false)), ..kept });
        let far = fleet.nat(drawn(None));
        let limits = Limits { guesses: 0, ..Limits::LARGE };
        let ability = Some(Ability { limits, ..Ability::LARGE });
        let lamp = fleet.acceptor_behind(Some(far), "lamp", |config| {
            (config.spread, config.punch) = (Duration::ZERO, ability);
            config.admission.open = true;
        });
        let phone = fleet.issuer_behind(Some(home), "phone", |config| {
            (config.punch, config.transport) = (ability, RequestTransport::Datagram);
        });
        let (server, line) = (fleet.server, Faults::latency(HOP));
        for host in [lamp, phone] {
            fleet.world.set_paths(host, server, &line);
        }
        fleet.world.set_paths(phone, lamp, &line.without_tcp());
        assert!(fleet.wait_registered(lamp, Duration::from_secs(60)));
        fleet.world.run_for(Duration::from_secs(5));
        let request = fleet.request(phone, lamp);
        fleet.world.run_for(late);
        let inside = SocketAddr::from(([10, 0, 0, 3], PORT));
        let (now, at) = (fleet.world.now(), Instant::START);
        let mut client = LeaseClient::new(at, inside, [7; 12]);
        let asked = client.poll_request(at).unwrap();
        let answer = fleet.world.nat_mut(home).port_control(now, inside, &asked).unwrap();
        assert!(client.handle_answer(at, &answer));
        let port = client.lease(at).map(|lease| lease.port);
        assert!(port.is_some());
        fleet.world.with(phone, |machine: &mut FleetIssuer, io| machine.set_leased(io.now(), port));
        let met = fleet.wait_connected(phone, request, Duration::from_secs(30));
        assert!(met, "{late:?}: {}", fleet.story());
    }
}
