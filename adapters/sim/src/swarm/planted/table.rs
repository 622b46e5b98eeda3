//! I-18: what a server whose table is small, and full, may do and what not.

use core::mem::swap;

use genkan_core::wire::Kind;
use genkan_core::{Instant, ServerEvent};

use super::{Plan, Who, broken, corrupt, is, once};
use crate::faults::Faults;
use crate::fleet::{Fleet, FleetServer, Tables};
use crate::host::Log;
use crate::swarm::build::Swarm;
use crate::swarm::{Settings, Source, outcome};

/// Drawn worlds for each size of the table.
const SEEDS: u64 = 1;

/// The world of a plan, whose server has so many places.
fn small(plan: &Plan, clients: usize) -> Swarm {
    let mut swarm = plan.swarm();
    resize(&mut swarm, clients);
    swarm
}

fn resize(swarm: &mut Swarm, clients: usize) {
    let server = swarm.fleet.server;
    swarm.fleet.resize(Tables { clients, requests: 32, streams: 32 });
    let mut checks = swarm.checks.borrow_mut();
    checks.restarted(server);
    checks.list.set_capacity(clients);
}

#[test]
fn without_a_rogue_a_table_of_any_size_does() {
    for clients in 1..=24 {
        let plan = Plan::new(0);
        let report = plan.live(&mut small(&plan, clients)).unwrap();
        // Where the lamp has the only place, the phone asks over TCP.
        assert_eq!(report.connected, 3, "{clients} places: {report:?}");
    }
}

#[test]
fn in_worlds_with_too_few_places_nothing_but_room_is_missing() {
    let mut full = 0;
    for clients in 1..=24 {
        for seed in 0..SEEDS {
            let settings = Settings { acceptors: (6, 8), ..Settings::default() };
            let mut source = Source::seed(seed * 24 + clients as u64);
            let mut swarm = Swarm::new(&settings, &source.padded(), false);
            resize(&mut swarm, clients);
            let server = swarm.fleet.server;
            let members = swarm.acceptors.len() + swarm.phones().len();
            if let Err(failure) = outcome(&mut swarm, &settings, &mut source) {
                // Who finds no place is not on the list, and cannot be reached; where there is room
                // for all, all that must be is.
                let may = clients < members && failure.rule.starts_with("L-");
                assert!(may, "{clients} places for {members}: {failure}");
            }
            let log = swarm.fleet.world.app::<Log<ServerEvent>>(server);
            full += u32::from(log.events.iter().any(|(_, event)| *event == ServerEvent::Full));
        }
    }
    assert!(full > 4, "{full} full tables");
}

#[test]
fn i_18_a_table_that_takes_one_more() {
    let plan = Plan::new(0);
    let mut swarm = small(&plan, 1);
    // The server's table is larger than was agreed.
    swarm.fleet.resize(Tables { clients: 2, requests: 32, streams: 32 });
    assert!(broken("I-18", &plan, &mut swarm).contains("2 entries in 1 places"));
}

#[test]
fn i_18_somebody_is_turned_away_though_there_is_room() {
    let plan = Plan::new(0);
    for clients in [2, 24] {
        let mut swarm = small(&plan, clients);
        let mut first = once();
        corrupt(&mut swarm, Who::Server, move |node, _, shown| {
            if shown.is_some_and(|(_, bytes)| is(bytes, Kind::Initiation)) && first() {
                let log: &mut Log<ServerEvent> = node.app_mut().downcast_mut().unwrap();
                log.events.push((Instant::START, ServerEvent::Full));
            }
        });
        assert!(broken("I-18", &plan, &mut swarm).contains("turned away"));
    }
}

/// Who is on the list goes when somebody else wants in.
fn evicted(clients: usize, udp: bool) -> String {
    let plan = Plan::new(0);
    let mut swarm = small(&plan, clients);
    let (lamp, phone) = (swarm.acceptors[0].host, swarm.issuers[0].host);
    if !udp {
        swarm.fleet.world.set_line(lamp, &Faults::default().without_udp());
    }
    let from = (swarm.fleet.world.slots[phone.0].addresses[0], crate::fleet::PORT).into();
    // One with nobody on its list takes the server's place.
    let mut other = Fleet::new(0);
    let mut spare = other.world.slots[other.server.0].node.take().unwrap();
    let mut first = once();
    corrupt(&mut swarm, Who::Server, move |node, _, shown| {
        if shown.is_some_and(|(remote, _)| remote == from) && first() {
            let machine: &mut FleetServer = node.machine_mut().downcast_mut().unwrap();
            swap(machine, spare.machine_mut().downcast_mut().unwrap());
        }
    });
    broken("I-18", &plan, &mut swarm)
}

#[test]
fn i_18_somebody_makes_room_for_another() {
    for clients in [1, 2, 24] {
        assert!(evicted(clients, true).contains("fell off"));
        assert!(evicted(clients, false).contains("fell off"));
    }
}
