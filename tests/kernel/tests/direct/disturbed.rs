//! What may happen to the NATs while the two are connected, and before.

use core::time::Duration;
use std::net::UdpSocket;
use std::time::Instant;

use genkan_kernel_tests::Rules::{FullCone, Plain, Random};
use genkan_kernel_tests::direct::{Town, field};
use genkan_kernel_tests::scenario::{Inside, R, Remote};

use crate::{APPLIANCE, Pair, USER};

/// Silence is noticed after 25 s.
const RECOVERY: Duration = Duration::from_secs(45);

/// Both routers forget everything, as after a power cut in the street.
#[test]
fn a_connection_outlives_a_restart_of_both_routers() {
    let pair = Pair::new(&[Plain], &[Plain]);
    let appliance = pair.accept(&[]);
    let user = pair.connect(&appliance.id, &[]);
    pair.assert_met(&user);
    pair.lab.reboot(APPLIANCE);
    pair.lab.reboot(USER);
    pair.assert_page_within(&user, RECOVERY);
}

/// Another port for the same path: whoever is heard from elsewhere is answered there.
#[test]
fn a_connection_outlives_a_restart_of_a_router_that_draws_its_ports() {
    let pair = Pair::new(&[FullCone(60)], &[Random]);
    let appliance = pair.accept(&[]);
    let user = pair.connect(&appliance.id, &[]);
    pair.assert_met(&user);
    pair.lab.reboot(USER);
    pair.assert_page_within(&user, RECOVERY);
}

/// The provider gives the user's router another address.
#[test]
fn a_connection_outlives_another_address() {
    let pair = Pair::new(&[Plain], &[Plain]);
    let appliance = pair.accept(&[]);
    let user = pair.connect(&appliance.id, &[]);
    pair.assert_met(&user);
    let (old, router) = (pair.lab.external(USER), pair.lab.border(USER));
    router.ip(&format!("addr del {old}/24 dev wan\naddr add 203.0.113.77/24 dev wan"));
    pair.lab.reboot(USER);
    pair.assert_page_within(&user, RECOVERY);
}

/// After a restart of the router another device of the household was quicker: the appliance's port
/// towards the server is that one's now, and the server sees the appliance at a port that is none of
/// its own. Towards everybody else the router keeps ports as ever.
#[test]
fn a_port_that_another_device_has_taken_leads_nobody_astray() {
    let pair = Pair::new(&[Plain], &[Plain]);
    let appliance = pair.accept(&[]);
    let port = appliance.observed.port();
    let other = pair.lab.host(APPLIANCE, 1).within(|| {
        let inside = Inside { host: 1, six: false, port };
        UdpSocket::bind(inside.address()).unwrap()
    });
    let until = Instant::now() + Duration::from_secs(30);
    let seen = loop {
        // No keepalive can have come between.
        pair.lab.reboot(APPLIANCE);
        other.send_to(b"first", R.address()).unwrap();
        let wait = Duration::from_secs(8);
        if let Some(event) = appliance.process.within(wait, "registered", |_| true) {
            break field(&event, "observed");
        }
        assert!(Instant::now() < until, "the port was never the other device's");
    };
    assert!(!seen.ends_with(&format!(":{port}")), "{seen}");
    // Six packets tell a rule from its exception.
    let nat = appliance.process.event_where("nat", |nat| nat["consistent"] == false);
    assert_eq!(field(&nat, "ports"), "preserving", "{nat}");
    let user = pair.connect(&appliance.id, &[]);
    pair.assert_met(&user);
}

/// A second address of the server's shows more of a NAT.
#[test]
fn a_server_with_two_addresses_tells_what_a_nat_is_like() {
    let pair = Pair::new(&[FullCone(60)], &[Plain]);
    let second = Remote { host: 1, six: false, port: R.port + 7 };
    let at = Remote { port: R.port + 7, ..R };
    let more = ["--other-address", &second.ip().to_string()];
    let town = Town::new(pair.lab.internet(), at.address(), &more);
    for (site, filtering) in
        [(APPLIANCE, "endpoint-independent"), (USER, "address-and-port-dependent")]
    {
        let name = format!("appliance {site}");
        let appliance = town.accept(pair.lab.host(site, 0), &name, &[]);
        let nat = appliance.process.event("nat");
        assert_eq!(field(&nat, "mapping"), "endpoint-independent", "{nat}");
        assert_eq!(field(&nat, "ports"), "preserving", "{nat}");
        assert_eq!(field(&nat, "filtering"), filtering, "{nat}");
    }
}
