//! I-1 to I-7.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{Command, SocketId, StreamId};

use super::{PAYLOAD, Plan, STRANGER, Who, blind, broken, corrupt, is, once};
use crate::faults::Faults;
use crate::fleet::FleetAcceptor;
use crate::node::Effect;
use crate::swarm::build::PASSWORD;

#[test]
fn without_a_rogue_nothing_is_broken() {
    for way in 0..4 {
        let plan = Plan::new(way);
        let report = plan.live(&mut plan.swarm()).unwrap();
        // The door is locked to the wrong password, where it is that which counts.
        let connected = if way == 1 { 2 } else { 3 };
        // All but the last one are there until the end, and carry a word each way.
        let payloads = 1 + 2 * (connected - 1);
        assert_eq!((report.payloads, report.connected), (payloads, connected), "{way}");
    }
}

#[test]
fn i_1_an_entry_at_somebody_elses_address() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    blind(&mut swarm, Who::Server, |_, _| STRANGER.parse().ok());
    // Its answers must find back, or there is no registration.
    corrupt(&mut swarm, Who::Server, |_, io, last| {
        for effect in &mut io.effects {
            if let (Effect::Datagram { remote, .. }, Some((from, _))) = (effect, last) {
                *remote = from;
            }
        }
    });
    broken("I-1", &plan, &mut swarm);
}

#[test]
fn i_2_a_copy_that_is_taken_again() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let lamp = swarm.acceptors[0].host;
    swarm.fleet.world.set_up(lamp, Faults { duplicate: 1.0, ..Faults::default() });
    corrupt(&mut swarm, Who::Server, |_, io, _| {
        io.effects
            .retain(|effect| !matches!(effect, Effect::Note(text) if text.starts_with("disc")));
    });
    assert!(broken("I-2", &plan, &mut swarm).contains("taken twice"));
}

#[test]
fn i_3_a_notification_that_goes_elsewhere() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Server, |_, io, _| {
        for effect in &mut io.effects {
            match effect {
                Effect::Datagram { bytes, remote, .. } if bytes.len() > 300 => {
                    *remote = STRANGER.parse().unwrap();
                }
                _ => {}
            }
        }
    });
    broken("I-3", &plan, &mut swarm);
}

#[test]
fn i_4_more_than_was_asked_for() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Server, |_, io, _| {
        for effect in &mut io.effects {
            match effect {
                Effect::Datagram { bytes, .. } if is(bytes, Kind::Certificate) => {
                    bytes.resize(bytes.len() + 100, 0);
                }
                _ => {}
            }
        }
    });
    broken("I-4", &plan, &mut swarm);
}

#[test]
fn i_5_an_answer_to_what_was_discarded() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let lamp = swarm.fleet.world.slots[swarm.acceptors[0].host.0].addresses[0];
    let to = SocketAddr::new(lamp, crate::fleet::PORT);
    swarm.fleet.world.inject(Duration::from_secs(30), STRANGER.parse().unwrap(), to, &[0; 40]);
    corrupt(&mut swarm, Who::Lamp, |_, io, last| {
        if let Some((from, bytes)) = last.filter(|(_, bytes)| bytes[0] == 0) {
            let remote = from;
            io.send_datagram(SocketId::MAIN, remote, None, bytes.to_vec());
        }
    });
    broken("I-5", &plan, &mut swarm);
}

#[test]
fn i_6_a_dial_that_nobody_asked_for() {
    let plan = Plan::new(1);
    let mut swarm = plan.swarm();
    let mut first = once();
    corrupt(&mut swarm, Who::Lamp, move |_, io, _| {
        if first() {
            let stream = StreamId { index: 9, generation: 9 };
            let remote = STRANGER.parse().unwrap();
            io.command(Command::Connect { stream, remote });
        }
    });
    assert!(broken("I-6", &plan, &mut swarm).contains("dials"));
}

#[test]
fn i_6_a_call_that_nobody_asked_for() {
    let plan = Plan::new(1);
    let mut swarm = plan.swarm();
    let mut first = once();
    corrupt(&mut swarm, Who::Lamp, move |_, io, _| {
        if first() {
            let [stream, beside] = [8, 9].map(|index| StreamId { index, generation: 9 });
            let remote = STRANGER.parse().unwrap();
            io.command(Command::ConnectFrom { stream, beside, remote });
        }
    });
    assert!(broken("I-6", &plan, &mut swarm).contains("calls"));
}

#[test]
fn i_6_a_password_that_is_not_the_true_one() {
    let plan = Plan::new(1);
    let mut swarm = plan.swarm();
    // The machine is told another password than everybody else is.
    let lamp = swarm.acceptors[0].host;
    swarm.fleet.world.with(lamp, |machine: &mut FleetAcceptor, _| {
        machine.set_admission(genkan_core::AdmissionPolicy { open: true, ..Default::default() });
    });
    assert!(broken("I-6", &plan, &mut swarm).contains("accepts"));
}

#[test]
fn i_7_a_secret_in_clear() {
    for secret in [&PASSWORD[..], PAYLOAD] {
        let plan = Plan::new(1);
        let mut swarm = plan.swarm();
        let server = swarm.fleet.server_address();
        let mut first = once();
        corrupt(&mut swarm, Who::Lamp, move |_, io, _| {
            if first() {
                io.send_datagram(SocketId::MAIN, server, None, [b"...", secret].concat());
            }
        });
        broken("I-7", &plan, &mut swarm);
    }
}
