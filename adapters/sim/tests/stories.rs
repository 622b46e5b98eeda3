//! A watched fleet's story names what is inside sealed messages; watching changes nothing.

use core::time::Duration;

use genkan_core::Delivery;
use genkan_sim::HostId;
use genkan_sim::fleet::{Fleet, START};

/// A lamp registers, a phone asks for it and says a word.
fn fleet(watched: bool, delivery: Delivery) -> (Fleet, HostId, HostId) {
    let mut fleet = Fleet::with_server(11, |config| config.delivery = delivery);
    if watched {
        fleet.watch();
    }
    let lamp = fleet.acceptor("lamp", |config| config.admission.open = true);
    let phone = fleet.issuer("phone", |config| config.wall_clock = Some(START));
    assert!(fleet.wait_registered(lamp, Duration::from_secs(30)));
    let connection = fleet.request(phone, lamp);
    assert!(fleet.wait_connected(phone, connection, Duration::from_secs(2)));
    fleet.world.run_for(Duration::from_millis(50));
    let said = fleet.say(phone, connection, b"on");
    assert!(said.is_ok(), "{said:?}");
    fleet.world.run_for(Duration::from_millis(50));
    (fleet, lamp, phone)
}

/// The story without the times and lengths: `phone → server Fetch`.
fn steps(fleet: &Fleet) -> Vec<String> {
    let step = |line: &str| {
        let (_, step) = line.split_once(' ')?;
        let (step, _) = step.rsplit_once(" B").unwrap_or((step, ""));
        Some(step.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned())
    };
    fleet.story().lines().filter_map(step).collect()
}

/// Fails unless `wanted` are lines of the story in this order.
fn in_order(steps: &[String], wanted: &[&str]) {
    let mut rest = steps.iter();
    for want in wanted {
        assert!(rest.any(|step| step == want), "{want} is not in its place: {steps:#?}");
    }
}

#[test]
fn each_sealed_message_is_named() {
    let (fleet, ..) = fleet(true, Delivery::Auto);
    let steps = steps(&fleet);
    in_order(
        &steps,
        &[
            "lamp → server Register",
            "server → lamp Registered",
            "phone → server Initiation with ConnectRequest",
            "server → lamp ConnectNotify",
            "lamp → server NotifyReply: accepted",
            "server → phone Plan: accepted",
            "lamp → phone Answer",
            "phone → lamp Alive",
            "phone → lamp Payload",
        ],
    );
    assert!(!fleet.story().contains("Transport"), "{}", fleet.story());
    let picture = fleet.diagram(0..100);
    assert!(picture.contains(">ConnectNotify 331 B<"), "the picture has the names too");
    assert!(picture.contains("target: lamp"), "and hosts in place of ids");
}

#[test]
fn a_request_that_is_fetched_is_named_too() {
    let (fleet, ..) = fleet(true, Delivery::Stream);
    let wanted = ["server → lamp Wake", "lamp → server Fetch", "server → lamp ConnectNotify"];
    in_order(&steps(&fleet), &wanted);
}

#[test]
fn a_fleet_that_is_not_watched_logs_no_key_and_runs_the_same() {
    let (plain, ..) = fleet(false, Delivery::Auto);
    let (watched, lamp, phone) = fleet(true, Delivery::Auto);
    assert_eq!(plain.world.keys(), []);
    assert!(plain.story().contains("lamp → server Transport"));
    assert_eq!(plain.world.transcript().hash(), watched.world.transcript().hash());

    // One session of each end with the server, and the one between them.
    for host in [lamp, phone] {
        let theirs: Vec<_> = watched.world.keys().iter().filter(|key| key.host == host).collect();
        let shared = |key: &genkan_sim::see::open::Key| {
            watched.world.keys().iter().filter(|other| other.root == key.root).count()
        };
        assert!(theirs.len() >= 2, "{theirs:?}");
        assert!(theirs.iter().all(|key| shared(key) == 2), "every key has two ends: {theirs:?}");
    }
}
