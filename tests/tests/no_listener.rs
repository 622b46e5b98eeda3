//! An issuer that has no listener: one that may not open any, or on a host that gave it none. Holes
//! alone lead to it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;

use genkan_core::punch::Ability;
use genkan_core::wire::message::Reason;
use genkan_core::{
    AcceptorEvent, Command, FailCause, Identity, Instant, Issuer, IssuerConfig, IssuerEvent,
    IssuerSlot, Machine, RequestTransport, ServerAddress, SocketId, StaticKey, Target,
};
use genkan_sim::SimEntropy;
use genkan_sim::matrix::KINDS;
use genkan_sim::{Death, NatConfig, Via};
use genkan_tests::appliance::SERVER;
use genkan_tests::evil::{Desk, drain, sa};
use genkan_tests::punch::Meeting;
use genkan_tests::scene::Door;

const DOORS: [Door; 3] = [Door::Paired, Door::Password, Door::Open];

fn config(name: &str) -> NatConfig {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap().config(0.0)
}

/// An issuer that may not listen and an acceptor that could dial.
fn between(one: Option<&str>, other: Option<&str>) -> Meeting {
    let meeting = Meeting::between(one.map(config), other.map(config));
    Meeting { listen: false, dial_back: true, ..meeting }
}

#[test]
fn holes_are_punched_without_a_listener_whatever_the_door() {
    let pairs = [(Some("port"), Some("port")), (Some("seq+1"), Some("port")), (None, Some("port"))];
    for (one, other) in pairs {
        for door in DOORS {
            let mut pair = Meeting { door, ..between(one, other) }.prepared();
            let outcome = pair.meet();
            let story = || format!("{one:?} to {other:?}, {door:?}\n{}", pair.fleet.story());
            assert!(outcome.is_punched(), "{outcome:?} {}", story());
            // Nobody dials into nowhere, and the application hears who came.
            let syn =
                pair.since().any(|entry| entry.from == "lamp" && matches!(entry.via, Via::Syn(_)));
            assert!(!syn, "{}", story());
            let asked = |event: &AcceptorEvent| matches!(event, AcceptorEvent::Requested { .. });
            assert_eq!(pair.lamp_events().iter().filter(|event| asked(event)).count(), 1);
            assert!(pair.talk());
        }
    }
}

/// UDP and TCP to the server are raced otherwise; here TCP would lead nowhere.
#[test]
fn an_issuer_without_a_listener_and_a_session_asks_over_datagrams_alone() {
    let meeting = Meeting {
        transport: RequestTransport::Race,
        age: Duration::from_secs(100),
        ..between(Some("port"), Some("port"))
    };
    let mut pair = meeting.prepared();
    assert!(pair.meet().is_punched(), "{}", pair.fleet.story());
    let syn =
        |entry: &&genkan_sim::Entry| entry.from == "phone" && matches!(entry.via, Via::Syn(_));
    assert_eq!(pair.since().filter(syn).count(), 0);
}

#[test]
fn without_a_way_through_the_nats_it_is_told_a_clear_cause() {
    for (door, clear) in [(Door::Paired, true), (Door::Open, false)] {
        let mut pair = Meeting { door, ..between(Some("random"), Some("random")) }.prepared();
        let outcome = pair.meet();
        assert!(outcome.hopeless.is_some(), "{outcome:?}");
        let good = match outcome.told {
            Some(IssuerEvent::Refused { reason, .. }) => clear && reason == Reason::Unreachable,
            Some(IssuerEvent::Failed { cause, .. }) => cause == FailCause::NoListener,
            _ => false,
        };
        assert!(good, "{door:?}: {outcome:?}\n{}", pair.fleet.story());
        // The acceptor has its room again.
        pair.fleet.world.run_for(Duration::from_secs(20));
        assert_eq!(pair.fleet.world.open_sockets(pair.lamp), 1);
    }
}

/// An acceptor that cannot punch says at once that nothing leads to the issuer.
#[test]
fn an_acceptor_that_cannot_punch_refuses_who_has_no_listener() {
    let abilities = [Some(Ability::LARGE), None];
    let mut pair = Meeting { abilities, ..between(Some("port"), Some("port")) }.prepared();
    let told = pair.meet().told;
    let refused = Some(Reason::Unreachable);
    let reason = match told {
        Some(IssuerEvent::Refused { reason, .. }) => Some(reason),
        _ => None,
    };
    assert_eq!(reason, refused, "{told:?}\n{}", pair.fleet.story());
    assert!(pair.fleet.world.now() - pair.asked < Duration::from_millis(200));
}

/// Its requests and the renewals of its connections both state no port, and are not the same.
#[test]
fn a_connection_without_a_listener_outlives_its_box_and_not_the_appliance() {
    let mut pair = between(Some("port"), Some("port")).prepared();
    assert!(pair.meet().is_punched() && pair.talk());
    let nat = pair.nats[0].unwrap();
    pair.fleet.world.nat_mut(nat).reboot();
    pair.fleet.world.run_for(Duration::from_secs(40));
    assert!(pair.talk(), "{}", pair.fleet.story());
    pair.fleet.reboot(pair.lamp, Death::Silent);
    pair.fleet.world.run_for(Duration::from_secs(40));
    let closed = |event: &IssuerEvent| matches!(event, IssuerEvent::Closed { .. });
    assert!(pair.phone_events().iter().any(closed), "{}", pair.fleet.story());
    assert!(pair.meet().is_punched(), "a new request is a new connection");
    assert!(pair.talk());
}

fn issuer(
    now: Instant,
    adjust: impl FnOnce(&mut IssuerConfig),
) -> Issuer<[IssuerSlot; 2], SimEntropy> {
    let identity = Identity { key: StaticKey::from_secret([3; 32]), boots: 0 };
    let mut config = IssuerConfig::new(identity, ServerAddress::both(sa(SERVER)), Desk::anchors());
    adjust(&mut config);
    Issuer::new(now, config, [const { IssuerSlot::EMPTY }; 2], SimEntropy::seeded(3))
}

fn target() -> Target {
    Target::new(StaticKey::from_secret([2; 32]).id())
}

fn commands<M: Machine>(machine: &mut M) -> Vec<Command> {
    core::iter::from_fn(|| machine.poll_command()).collect()
}

#[test]
fn a_listener_that_failed_is_asked_for_again_with_the_next_request() {
    let now = Instant::from_millis(1_000);
    let mut phone = issuer(now, |_| ());
    let listen = [Command::Listen { socket: SocketId::LISTENER }];
    phone.request(now, &target()).unwrap();
    assert_eq!(commands(&mut phone), listen);
    phone.handle_bound(now, SocketId::LISTENER, None);
    assert_eq!(phone.poll_event(), None, "it punches");
    assert_eq!(drain(&mut phone, now).len(), 1, "and reaches the server for it");
    phone.request(now, &target()).unwrap();
    assert_eq!(commands(&mut phone), listen);
    // The host has one after all, and even says so twice.
    for _ in 0..2 {
        phone.handle_bound(now, SocketId::LISTENER, Some(sa("10.0.0.9:7777")));
    }
    let raced = commands(&mut phone);
    assert!(matches!(raced[..], [Command::Connect { .. }]), "TCP is of use again: {raced:?}");
    assert_eq!(phone.poll_event(), None);
}

#[test]
fn who_may_neither_listen_nor_punch_is_told_at_once() {
    let now = Instant::from_millis(1_000);
    let cases: [fn(&mut IssuerConfig); 2] =
        [|config| config.punch = None, |config| config.transport = RequestTransport::Stream];
    for case in cases {
        let mut phone = issuer(now, |config| {
            config.listen = false;
            case(config);
        });
        let connection = phone.request(now, &target()).unwrap();
        assert_eq!(commands(&mut phone), [], "it does not listen, and asks nobody");
        let told = IssuerEvent::Failed { connection, cause: FailCause::NoListener };
        assert_eq!(phone.poll_event(), Some(told));
        assert_eq!((drain(&mut phone, now), phone.poll_timeout()), (vec![], None));
    }
}
