//! The server, the appliance or the issuer is killed at any step of a request, and starts again.
//!
//! One undisturbed run gives the moments: every packet sent from power-on to the first data. In one
//! run for each moment, victim and way to die, the victim goes off there and comes back two seconds
//! later. The others must recover by themselves: within one registration period the appliance is on
//! the list again and a new request succeeds, and nothing is left half open anywhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;
use std::collections::BTreeSet;

use genkan_core::{IssuerEvent, Machine};
use genkan_sim::Death;
use genkan_sim::fleet::FleetAcceptor;
use genkan_tests::scene::{HOP, PATIENCE, Scene, Setup};

/// The keepalive interval that the server advises.
const PERIOD: Duration = Duration::from_secs(25);
/// How long the victim is off.
const OFF: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Server,
    Lamp,
    Phone,
}

/// The moments of an undisturbed life, a little after each packet left.
fn moments(setup: Setup) -> BTreeSet<Duration> {
    let mut scene = setup.scene();
    life(&mut scene);
    let end = scene.fleet.world.now();
    let entries = scene.fleet.world.transcript().entries();
    let sent: BTreeSet<_> = entries.map(|entry| entry.at).collect();
    let just = Duration::from_micros(100);
    let both = sent.into_iter().flat_map(|at| [at + just, at + HOP / 2]);
    both.filter(|at| *at < end).collect()
}

fn life(scene: &mut Scene) {
    assert!(scene.fleet.wait_registered(scene.lamp, Duration::from_secs(5)));
    scene.fleet.world.run_for(HOP * 3);
    let request = scene.connect();
    scene.fleet.say(scene.phone, request, b"hello").unwrap();
    scene.fleet.world.run_for(HOP * 3);
}

/// When the undisturbed life asks.
fn asks_at(setup: Setup) -> Duration {
    let mut scene = setup.scene();
    assert!(scene.fleet.wait_registered(scene.lamp, Duration::from_secs(5)));
    scene.fleet.world.run_for(HOP * 3);
    scene.fleet.world.now()
}

fn kill_and_restart(scene: &mut Scene, victim: Victim, death: Death) {
    let host = match victim {
        Victim::Server => scene.fleet.server,
        Victim::Lamp => scene.lamp,
        Victim::Phone => scene.phone,
    };
    // Off is off: what is sent to it meanwhile is lost.
    let others = [scene.fleet.server, scene.lamp, scene.phone].into_iter().filter(|&h| h != host);
    let others: Vec<_> = others.collect();
    match victim {
        Victim::Server => scene.fleet.reboot_server(death),
        _ => scene.fleet.reboot(host, death),
    }
    scene.fleet.world.pause(host);
    for &other in &others {
        scene.fleet.world.cut(other, host);
    }
    scene.fleet.world.run_for(OFF);
    for &other in &others {
        scene.fleet.world.mend(other, host);
    }
    scene.fleet.world.resume(host);
}

fn survive(setup: Setup, victim: Victim, death: Death) {
    let ask = asks_at(setup);
    for moment in moments(setup) {
        let what = format!("{setup:?}: {victim:?} {death:?} at {moment:?}");
        let mut scene = setup.scene();
        let mut request = None;
        if moment > ask {
            scene.fleet.world.run_until(ask);
            request = Some(scene.ask());
        }
        scene.fleet.world.run_until(moment);
        kill_and_restart(&mut scene, victim, death);
        scene.fleet.world.run_for(PERIOD);
        let list = scene.server().registered();
        assert!(list == 1, "{what}: not registered again\n{}", scene.fleet.story());
        if let Some(request) = request.filter(|_| victim != Victim::Phone) {
            let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
            assert!(outcome.is_some(), "{what}: no word\n{}", scene.fleet.story());
        }
        let request = scene.ask();
        let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
        let connected = matches!(outcome, Some(IssuerEvent::Connected { .. }));
        assert!(connected, "{what}: then {outcome:?}\n{}", scene.fleet.story());
        scene.assert_at_rest();
        let lamp: &FleetAcceptor = scene.fleet.world.machine(scene.lamp);
        assert!(lamp.poll_timeout().is_some() && lamp.counters().lost_events() == 0, "{what}");
    }
}

fn all_ways(victim: Victim) {
    for setup in Setup::all() {
        for death in [Death::Silent, Death::WithReset] {
            survive(setup, victim, death);
        }
    }
}

#[test]
fn the_server_is_killed_at_any_step() {
    all_ways(Victim::Server);
}

#[test]
fn the_appliance_is_killed_at_any_step() {
    all_ways(Victim::Lamp);
}

#[test]
fn the_issuer_is_killed_at_any_step() {
    all_ways(Victim::Phone);
}
