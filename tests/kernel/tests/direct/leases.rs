//! Routers that open a port on request.

use core::time::Duration;
use std::time::Instant;

use genkan_kernel_tests::Rules::{FullyRandom, Plain, Range};
use genkan_kernel_tests::direct::field;
use genkan_kernel_tests::port_box::PortBox;

use crate::{APPLIANCE, Pair, USER};

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Nothing else would bring them together: see `two_nats_that_draw_are_told_to_be_hopeless`.
#[test]
fn two_nats_that_draw_meet_by_leased_ports_and_the_ports_are_given_back() {
    let pair = Pair::new(&[FullyRandom], &[FullyRandom]);
    let boxes = [APPLIANCE, USER].map(|site| PortBox::start(pair.lab.border(site)));
    let appliance = pair.accept(&[]);
    let lease = appliance.process.event("port-mapping");
    // The server sees another port, and names the leased one to the user.
    let port = lease["port"].as_u64().unwrap();
    assert_ne!(u64::from(appliance.observed.port()), port);
    appliance.process.event_where("nat", |nat| nat["mapping"] == "endpoint-independent");
    let user = pair.connect(&appliance.id, &[]);
    pair.assert_met(&user);
    assert_eq!(boxes.each_ref().map(PortBox::open_ports), [1, 1]);
    assert_eq!(user.process.stop(), Some(0));
    assert_eq!(appliance.process.stop(), Some(0));
    wait_for("a port stays open", || boxes.iter().all(|one| one.open_ports() == 0));
}

#[test]
fn one_leased_port_is_enough_at_either_end() {
    for site in [APPLIANCE, USER] {
        let pair = Pair::new(&[FullyRandom], &[FullyRandom]);
        let _box = PortBox::start(pair.lab.border(site));
        let appliance = pair.accept(&[]);
        let user = pair.connect(&appliance.id, &[]);
        pair.assert_met(&user);
    }
}

/// As most homes have it: one port for all destinations, behind a filter that the lease opens.
#[test]
fn a_masqueraded_home_with_a_leased_port_meets_drawn_ports() {
    let pair = Pair::new(&[Plain], &[FullyRandom]);
    let _box = PortBox::start(pair.lab.border(APPLIANCE));
    let appliance = pair.accept(&[]);
    let user = pair.connect(&appliance.id, &[]);
    pair.assert_met(&user);
}

/// What drops all that is new from outside, before the box can redirect it.
const SHUT: &str = "table ip shut {
  chain pre {
    type filter hook prerouting priority -150;
    iifname wan udp dport 1024-65535 ct state new drop
  }
}
";

/// The box grants a port and redirects it, and nothing gets there.
#[test]
fn a_leased_port_that_leads_nowhere_is_not_believed() {
    let pair = Pair::new(&[FullyRandom], &[FullyRandom]);
    let liar = PortBox::start(pair.lab.border(APPLIANCE));
    pair.lab.border(APPLIANCE).run(&["nft", "-f", "-"], SHUT);
    let appliance = pair.accept(&[]);
    appliance.process.event_where("port-mapping", |event| event["port"].is_u64());
    let nat = appliance.process.event("nat");
    assert_eq!(field(&nat, "mapping"), "address-and-port-dependent", "{nat}");
    assert_eq!(liar.open_ports(), 1);
    let arguments = ["--transport", "udp", "--timeout", "3"];
    let user = pair.town.connect(pair.lab.host(USER, 0), "user", &appliance.id, &arguments);
    assert_eq!(field(&user.process.event("hopeless"), "why"), "both-unpredictable");
}

/// A box that has started anew says so to all (RFC 6887 section 14.1), and is asked again at once.
#[test]
fn a_box_that_starts_anew_is_asked_again() {
    let pair = Pair::new(&[Range(20_000, 60_000)], &[FullyRandom]);
    let first = PortBox::start(pair.lab.border(APPLIANCE));
    let appliance = pair.accept(&[]);
    appliance.process.event("port-mapping");
    assert_eq!(first.open_ports(), 1);
    // Its count of seconds shows it; requests are four seconds apart.
    std::thread::sleep(Duration::from_secs(5));
    drop(first);
    pair.lab.reboot(APPLIANCE);
    let second = PortBox::start(pair.lab.border(APPLIANCE));
    wait_for("the port is not opened again", || second.open_ports() == 1);
    let user = pair.connect(&appliance.id, &["--keep-trying"]);
    pair.assert_met(&user);
}
