//! How many one-way delays pass between the issuer's wish and the first authenticated direct packet.
//!
//! Every path in this world takes the same time in each direction and nothing else takes any, so the
//! number is exact. It is asserted for every combination of issuer (warm, cold with a cached
//! certificate and a clock, the same without a clock, cold without certificate), request (datagram,
//! TCP) and notification (datagram, TCP). The best, five, is: request, notification, SYN, SYN-ACK,
//! communication request.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, reason = "the table is for people")]

use core::time::Duration;

use genkan_core::{Delivery, IssuerEvent, RequestTransport, Target};
use genkan_sim::Death;
use genkan_tests::evil::Evil;
use genkan_tests::scene::{Door, HOP, PATIENCE, Scene, Setup};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Issuer {
    /// A session with the server stands.
    Warm,
    /// Certificate cached, clock set: the request travels in the first message.
    Cached,
    /// Certificate cached, no clock: the request waits for the second message.
    Clockless,
    /// The certificate has to be fetched.
    Cold,
}

fn prepared(issuer: Issuer, setup: Setup) -> Scene {
    let clock = matches!(issuer, Issuer::Cached | Issuer::Cold | Issuer::Warm);
    let mut scene = Setup { clock, door: Door::Open, ..setup }.registered();
    match issuer {
        Issuer::Cold => {}
        Issuer::Cached | Issuer::Clockless => {
            scene.connect();
            scene.fleet.reboot(scene.phone, Death::WithReset);
            scene.fleet.world.run_for(Duration::from_secs(60));
        }
        Issuer::Warm => {
            // A request that is still waiting keeps a session of either kind standing.
            let nobody = Target::new(Evil::new(77, &[1; 32]).id());
            scene.fleet.request_target(scene.phone, &nobody);
            scene.fleet.world.run_for(HOP * 20);
        }
    }
    scene
}

/// One-way delays from the wish to the connection at the issuer.
fn delays(issuer: Issuer, setup: Setup) -> u32 {
    let mut scene = prepared(issuer, setup);
    let began = scene.fleet.world.now();
    let request = scene.ask();
    let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
    let connected = matches!(outcome, Some(IssuerEvent::Connected { .. }));
    assert!(connected, "{issuer:?} {setup:?}: {outcome:?}\n{}", scene.fleet.story());
    let passed = scene.fleet.world.now() - began;
    assert_eq!(passed.as_micros() % HOP.as_micros(), 0, "{}", scene.fleet.story());
    u32::try_from(passed.as_micros() / HOP.as_micros()).unwrap()
}

/// Issuer, then for a datagram and a TCP request each: datagram and TCP notification.
const EXPECTED: [(Issuer, [u32; 4]); 4] = [
    (Issuer::Warm, [5, 11, 5, 11]),
    (Issuer::Cached, [5, 11, 9, 15]),
    (Issuer::Clockless, [7, 13, 9, 15]),
    (Issuer::Cold, [7, 13, 11, 17]),
];

#[test]
fn the_way_to_the_first_direct_packet_takes_exactly_so_many_delays() {
    println!("one-way delays          datagram request     TCP request");
    println!("             notified by datagram    TCP   datagram    TCP");
    let mut wrong = Vec::new();
    for (issuer, expected) in EXPECTED {
        let transports = [RequestTransport::Datagram, RequestTransport::Stream];
        let combinations = transports
            .into_iter()
            .flat_map(|transport| [Delivery::Auto, Delivery::Stream].map(|d| (transport, d)));
        let found: Vec<u32> = combinations
            .map(|(transport, delivery)| {
                delays(issuer, Setup { transport, delivery, ..Setup::default() })
            })
            .collect();
        println!(
            "{:<20} {:>8} {:>6} {:>10} {:>6}",
            format!("{issuer:?}"),
            found[0],
            found[1],
            found[2],
            found[3]
        );
        if found != expected {
            wrong.push(format!("{issuer:?}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_race_costs_no_delay_where_datagrams_pass() {
    let setup = Setup { transport: RequestTransport::Race, ..Setup::default() };
    for (issuer, expected) in EXPECTED {
        assert_eq!(delays(issuer, setup), expected[0], "{issuer:?}");
    }
}

#[test]
fn who_pays_for_a_password_pays_no_delay() {
    let mut scene = Setup::default().registered();
    scene.connect();
    scene.fleet.reboot(scene.phone, Death::WithReset);
    scene.fleet.world.run_for(Duration::from_secs(60));
    let began = scene.fleet.world.now();
    let request = scene.ask();
    assert!(scene.fleet.wait_connected(scene.phone, request, PATIENCE));
    assert_eq!(scene.fleet.world.now() - began, HOP * 5);
}
