//! Defects of the server that were found once, each with the test that keeps it away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;

use genkan_core::{ServerEvent, Transport};
use genkan_sim::fleet::{Fleet, FleetServer};
use genkan_sim::{Faults, HostId, Log};

/// What the operator was told about registrations: what carries each, and whether the address told
/// is the one on the list now.
fn told(fleet: &Fleet, lamp: HostId) -> Vec<(Transport, bool)> {
    let listed = fleet.world.machine::<FleetServer>(fleet.server).location(&fleet.id(lamp));
    let log: &Log<ServerEvent> = fleet.world.app(fleet.server);
    let registered = log.events.iter().filter_map(|&(_, event)| match event {
        ServerEvent::Registered { address, over, .. } => Some((over, Some(address) == listed)),
        _ => None,
    });
    registered.collect()
}

/// Found by world runs: an acceptor that was on the list and moved its registration to TCP, or back,
/// changed its address without a word to the operator.
#[test]
fn a_registration_that_moves_to_tcp_and_back_is_told_each_time() {
    let mut fleet = Fleet::new(1);
    let lamp = fleet.acceptor("lamp", |config| config.spread = Duration::ZERO);
    assert!(fleet.wait_registered(lamp, Duration::from_secs(5)));
    assert_eq!(told(&fleet, lamp), [(Transport::Datagram, true)]);

    fleet.world.set_line(lamp, &Faults::default().without_udp());
    fleet.world.run_for(Duration::from_secs(80));
    assert_eq!(told(&fleet, lamp)[1..], [(Transport::Stream, true)], "{}", fleet.story());

    fleet.world.set_line(lamp, &Faults::default());
    fleet.world.run_for(Duration::from_secs(310));
    assert_eq!(told(&fleet, lamp)[2..], [(Transport::Datagram, true)], "{}", fleet.story());
}
