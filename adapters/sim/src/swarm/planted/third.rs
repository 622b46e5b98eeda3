//! What could be broken for long without being seen: breaches that hide behind the machine's own word,
//! or that leave something out.

use core::mem::swap;
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{AcceptorEvent, Instant, SocketId};

use super::{
    HANG_UP, PAYLOAD, Plan, REQUEST, SAY, STRANGER, Who, app, blind, broken, corrupt, is, rogue,
};
use crate::faults::Faults;
use crate::fleet::{Fleet, FleetAcceptor};
use crate::host::Inbound;
use crate::node::Effect;
use crate::swarm::{Settings, Source};

#[test]
fn i_20_a_lamp_that_announces_each_write() {
    for announced in [1, 1_000] {
        let plan = Plan::new(1);
        let mut swarm = plan.swarm();
        corrupt(&mut swarm, Who::Lamp, move |node, io, _| {
            let app = app(node);
            app.flash.writes += announced;
            let event = (io.now(), AcceptorEvent::Persist);
            app.log.events.extend(core::iter::repeat_n(event, announced as usize));
        });
        broken("I-20", &plan, &mut swarm);
    }
}

/// A lamp drops what it hears, as `drops` will.
fn deaf(plan: &Plan, rule: &str, drops: fn(&mut Vec<Inbound>)) -> String {
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Lamp, move |node, _, _| drops(&mut app(node).log.payloads));
    broken(rule, plan, &mut swarm)
}

#[test]
fn i_13_a_payload_before_a_farewell_is_lost() {
    let mut plan = Plan::new(0);
    plan.acts = [REQUEST, SAY, HANG_UP].concat();
    assert!(deaf(&plan, "I-13", Vec::clear).contains("farewell"));
}

#[test]
fn i_13_a_payload_before_another_one_is_lost() {
    let mut plan = Plan::new(0);
    plan.acts = [REQUEST, SAY, SAY].concat();
    let first = |payloads: &mut Vec<Inbound>| {
        // Number 1 was the request's counter.
        payloads.retain(|payload| !payload.bytes[PAYLOAD.len()..].starts_with(&[0, 0, 0, 2]));
    };
    assert!(deaf(&plan, "I-13", first).contains("before number 3"));
}

#[test]
fn i_13_a_payload_that_does_not_come_for_long_is_lost() {
    let mut plan = Plan::new(0);
    plan.acts = [REQUEST, SAY].concat();
    plan.settings.duration = Duration::from_secs(1_000);
    assert!(deaf(&plan, "I-13", Vec::clear).contains("never arrived"));
}

#[test]
fn l_2_a_word_after_the_mending_is_lost() {
    let mut plan = Plan::new(0);
    plan.acts = REQUEST.to_vec();
    assert!(deaf(&plan, "L-2", Vec::clear).contains("has not arrived at lamp0"));
}

#[test]
fn i_2_a_keepalive_that_is_taken_in_word_alone() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    // Those that want no answer: nobody would miss one.
    let front = |from, bytes: &[u8]| (!is(bytes, Kind::Keepalive) || bytes[1] != 0).then_some(from);
    blind(&mut swarm, Who::Server, front);
    assert!(broken("I-2", &plan, &mut swarm).contains("changed nothing"));
}

#[test]
fn i_2_a_copy_that_is_discarded_in_word_alone() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let server = swarm.fleet.server;
    swarm.fleet.world.set_up(server, Faults { duplicate: 1.0, ..Faults::default() });
    let mut last = Vec::new();
    corrupt(&mut swarm, Who::Lamp, move |node, io, shown| {
        let Some((_, bytes)) = shown.filter(|(_, bytes)| is(bytes, Kind::ServerTransport)) else {
            return;
        };
        if last == bytes {
            let machine: &mut FleetAcceptor = node.machine_mut().downcast_mut().unwrap();
            machine.set_early_key(io.now(), [1; 16]);
            machine.deregister(io.now());
        }
        last = bytes.to_vec();
    });
    assert!(broken("I-2", &plan, &mut swarm).contains("yet has changed it"));
}

#[test]
fn i_2_a_response_that_is_taken_again_and_ends_the_session() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let server = swarm.fleet.server;
    swarm.fleet.world.set_up(server, Faults { duplicate: 1.0, ..Faults::default() });
    // One without a session takes its place.
    let mut other = Fleet::new(0);
    let spare = other.acceptor("spare", |_| ());
    let mut spare = other.world.slots[spare.0].node.take().unwrap();
    let mut last = Vec::new();
    corrupt(&mut swarm, Who::Lamp, move |node, io, shown| {
        let Some((_, bytes)) = shown.filter(|(_, bytes)| is(bytes, Kind::Response)) else {
            return;
        };
        if last == bytes {
            io.effects.retain(|effect| !matches!(effect, Effect::Note(_)));
            let machine: &mut FleetAcceptor = node.machine_mut().downcast_mut().unwrap();
            swap(machine, spare.machine_mut().downcast_mut().unwrap());
        }
        last = bytes.to_vec();
    });
    assert!(broken("I-2", &plan, &mut swarm).contains("Response) that comes again"));
}

#[test]
fn i_15_a_forgery_that_is_taken_in_word_alone() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let server = swarm.fleet.server_address();
    let mut forged = [0; 28];
    forged[0] = Kind::Keepalive as u8;
    swarm.fleet.world.inject(Duration::from_secs(30), STRANGER.parse().unwrap(), server, &forged);
    // The server answers it with more than came, and does not say that it has discarded it.
    corrupt(&mut swarm, Who::Server, |_, io, shown| {
        let stranger = STRANGER.parse().unwrap();
        if shown.is_some_and(|(from, _)| from == stranger) {
            io.effects.retain(|effect| !matches!(effect, Effect::Note(_)));
            (0..5).for_each(|_| io.send_datagram(SocketId::MAIN, stranger, None, vec![0; 200]));
        }
    });
    assert!(broken("I-15", &plan, &mut swarm).contains("has taken"));
}

#[test]
fn i_15_a_certificate_that_the_authority_has_not_made() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    // Whoever has the authority's secret can make one that the lamp's machine believes.
    let key = swarm.checks.borrow().roster.server_key.clone().unwrap();
    let forged = swarm.fleet.certificate(&key, 2);
    let lamp = swarm.acceptors[0].host;
    swarm.run_until(Duration::from_secs(30)).unwrap();
    swarm.fleet.world.with(lamp, |machine: &mut FleetAcceptor, _| {
        machine.restore_certificate(&forged).unwrap();
    });
    assert!(broken("I-15", &plan, &mut swarm).contains("has not made"));
}

#[test]
fn i_16_a_machine_that_waits_for_ever_or_too_long() {
    let for_ever = |_| Some(Instant::END);
    let an_hour = |next: Option<Instant>| next.map(|next| next.after(Duration::from_secs(3_600)));
    let ten_seconds = |next: Option<Instant>| next.map(|next| next.after(Duration::from_secs(10)));
    for who in [Who::Lamp, Who::Server] {
        for next in [for_ever, an_hour, ten_seconds] {
            let plan = Plan::new(0);
            let mut swarm = plan.swarm();
            rogue(&mut swarm, who, |rogue| rogue.next = next);
            assert!(broken("I-16", &plan, &mut swarm).contains("waits for"));
        }
    }
}

#[test]
fn what_the_checks_remember_does_not_grow_with_the_run() {
    let entries = |hours: u64, seed: u64| {
        let settings =
            Settings { duration: Duration::from_secs(3_600 * hours), ..Settings::default() };
        let mut source = Source::seed(seed);
        let mut swarm = crate::swarm::Swarm::new(&settings, &source.padded(), false);
        crate::swarm::outcome(&mut swarm, &settings, &mut source).unwrap();
        swarm.checks.borrow().entries()
    };
    let sum = |hours| (0..8).map(|seed| entries(hours, seed)).sum::<usize>();
    let (one, ten) = (sum(1), sum(10));
    eprintln!("{one} entries after an hour, {ten} after ten, in eight worlds");
    assert!(ten < 2 * one, "{one}, {ten}");
}
