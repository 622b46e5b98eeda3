//! What is left when a world has come to rest, refusals that come early, and worlds that are not the
//! same twice.

use core::cell::Cell;
use core::mem::swap;
use core::ops::ControlFlow;
use core::time::Duration;

use genkan_core::{Command, IssuerEvent, StaticKey, StreamId, Target};

use super::{BAD_REQUEST, Plan, Who, broken, corrupt, corrupt_host};
use crate::fleet::{Fleet, FleetIssuer, FleetServer, IssuerApp};
use crate::swarm::build::{REFUSAL, TABLES};
use crate::swarm::replay::OnProgress;
use crate::swarm::{Source, watched};

#[test]
fn l_2_a_phone_that_is_told_nothing() {
    let mut plan = Plan::new(1);
    plan.acts = BAD_REQUEST.to_vec();
    let mut swarm = plan.swarm();
    let phone = swarm.issuers[0].host;
    corrupt_host(&mut swarm, phone, |node, _, _| {
        let app: &mut IssuerApp = node.app_mut().downcast_mut().unwrap();
        app.log.events.retain(|(_, event)| !matches!(event, IssuerEvent::Refused { .. }));
    });
    assert!(broken("L-2", &plan, &mut swarm).contains("was told nothing about"));
}

#[test]
fn l_2_a_stream_that_is_opened_again_and_again() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let (server, mut generation) = (swarm.fleet.server_address(), 0);
    corrupt(&mut swarm, Who::Lamp, move |_, io, _| {
        if io.streams().is_empty() {
            generation += 1;
            let stream = StreamId { index: 9, generation };
            io.command(Command::Connect { stream, remote: server });
        }
    });
    assert!(broken("L-2", &plan, &mut swarm).contains("streams are left over"));
}

#[test]
fn l_2_a_phone_that_still_waits() {
    let mut plan = Plan::new(0);
    plan.acts.clear();
    let mut swarm = plan.swarm();
    let phone = swarm.issuers[0].host;
    let nobody = StaticKey::from_secret([0x66; 32]).id();
    for at in (330..3_000).step_by(30) {
        swarm.fleet.world.at(Duration::from_secs(at), move |world| {
            world.with(phone, |machine: &mut FleetIssuer, io| {
                machine.request(io.now(), &Target::new(nobody)).map(|_| ()).ok()
            });
        });
    }
    assert!(broken("L-2", &plan, &mut swarm).contains("still waits"));
}

#[test]
fn i_21_a_server_that_refuses_early() {
    for (early, breaks) in [(1, true), (0, false)] {
        let plan = Plan::new(1);
        let mut swarm = plan.swarm();
        // The same server but for its refusal delay: the seed is the header's.
        let mut other = Fleet::with_tables(5, TABLES, |config| {
            config.refusal_delay = REFUSAL - Duration::from_millis(early);
        });
        let server = swarm.fleet.server;
        let mut spare = other.world.slots[other.server.0].node.take().unwrap();
        swarm.fleet.world.with(server, |machine: &mut FleetServer, _| {
            swap(machine, spare.machine_mut().downcast_mut().unwrap());
        });
        if breaks {
            assert!(broken("I-21", &plan, &mut swarm).contains("early: true"));
        } else {
            plan.live(&mut swarm).unwrap();
        }
    }
}

#[test]
fn i_24_a_world_that_is_not_the_same_when_run_again() {
    let plan = Plan::new(0);
    let first = Cell::new(true);
    // Something in it goes wrong the first time only.
    let looker = || {
        let bad = first.replace(false);
        Some(OnProgress(Box::new(move |_| {
            assert!(!bad, "out of paper");
            ControlFlow::Continue(())
        })))
    };
    let failure = watched(&plan.settings, &Source::bytes(&plan.header), &looker).unwrap_err();
    assert_eq!(failure.rule, "I-24", "{failure}");
    assert!(failure.what.contains("at first I-25: out of paper"), "{failure}");
}
