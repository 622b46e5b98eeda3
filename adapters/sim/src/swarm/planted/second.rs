//! I-8 to I-25, and what must be after the mending.

use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{AcceptorEvent, EquipmentId, SocketId};

use super::{Plan, STRANGER, Who, app, broken, corrupt, host, is, once, rogue};
use crate::faults::Faults;
use crate::fleet::FleetAcceptor;
use crate::node::Effect;
use crate::world::Death;

#[test]
fn i_8_a_handshake_with_somebody_else() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Lamp, |_, io, _| {
        for effect in &mut io.effects {
            match effect {
                Effect::Datagram { bytes, .. } if is(bytes, Kind::Initiation) => bytes[50] ^= 1,
                _ => {}
            }
        }
    });
    assert!(broken("I-8", &plan, &mut swarm).contains("sealed to another key"));
}

#[test]
fn i_8_a_request_that_does_not_come_from_the_server() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let mut first = once();
    corrupt(&mut swarm, Who::Lamp, move |node, _, last| {
        if last.is_none() && first() {
            let event = AcceptorEvent::Requested {
                issuer: None,
                address: STRANGER.parse().unwrap(),
                verdict: genkan_core::wire::message::Verdict::Accepted,
            };
            app(node).log.events.push((genkan_core::Instant::START, event));
        }
    });
    assert!(broken("I-8", &plan, &mut swarm).contains("not the server's"));
}

#[test]
fn i_12_a_datagram_into_the_house() {
    for to in ["10.0.0.1:5000", "127.0.0.1:5000", "198.51.100.9:22", "224.0.0.1:5000"] {
        let plan = Plan::new(0);
        let mut swarm = plan.swarm();
        let mut first = once();
        corrupt(&mut swarm, Who::Lamp, move |_, io, _| {
            if first() {
                io.send_datagram(SocketId::MAIN, to.parse().unwrap(), None, vec![0; 20]);
            }
        });
        broken("I-12", &plan, &mut swarm);
    }
}

#[test]
fn i_13_a_connection_that_the_other_end_does_not_have() {
    let plan = Plan::new(0);
    let swarm = plan.swarm();
    let phone = swarm.fleet.id(swarm.issuers[0].host);
    for peer in [phone, EquipmentId([9; 32])] {
        let mut swarm = plan.swarm();
        let mut first = once();
        corrupt(&mut swarm, Who::Lamp, move |node, _, _| {
            if first() {
                let event = AcceptorEvent::Connected {
                    connection: genkan_core::ConnectionId { index: 0, generation: 0 },
                    peer,
                    path: genkan_core::Path::Datagram {
                        socket: SocketId::MAIN,
                        remote: STRANGER.parse().unwrap(),
                    },
                };
                app(node).log.events.push((genkan_core::Instant::START, event));
            }
        });
        broken("I-13", &plan, &mut swarm);
    }
}

#[test]
fn i_13_a_payload_that_comes_twice_or_changed() {
    for change in [false, true] {
        let plan = Plan::new(0);
        let mut swarm = plan.swarm();
        corrupt(&mut swarm, Who::Lamp, move |node, _, _| {
            let payloads = &mut app(node).log.payloads;
            match payloads.last_mut() {
                Some(payload) if change => payload.bytes[30] ^= 1,
                Some(payload) => {
                    let copy = payload.clone();
                    payloads.push(copy);
                }
                None => {}
            }
        });
        assert!(broken("I-13", &plan, &mut swarm).contains("payload"));
    }
}

#[test]
fn i_14_a_counter_twice_and_an_ephemeral_key_twice() {
    for (kind, what) in [(Kind::Keepalive, "counter"), (Kind::Initiation, "ephemeral")] {
        let plan = Plan::new(0);
        let mut swarm = plan.swarm();
        corrupt(&mut swarm, Who::Lamp, move |_, io, _| {
            let mut again = Vec::new();
            for effect in &io.effects {
                if let Effect::Datagram { socket, remote, bytes, .. } = effect
                    && is(bytes, kind)
                {
                    let mut bytes = bytes.clone();
                    // Another message with the same key.
                    bytes[1] ^= u8::from(kind == Kind::Keepalive);
                    bytes[5] ^= u8::from(kind == Kind::Initiation);
                    again.push((*socket, *remote, bytes));
                }
            }
            for (socket, remote, bytes) in again {
                io.send_datagram(socket, remote, None, bytes);
            }
        });
        assert!(broken("I-14", &plan, &mut swarm).contains(what));
    }
}

#[test]
fn i_15_garbage_that_changes_a_machine() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let to = (swarm.fleet.world.slots[host(&swarm, Who::Lamp).0].addresses[0], crate::fleet::PORT);
    let from = STRANGER.parse().unwrap();
    swarm.fleet.world.inject(Duration::from_secs(30), from, to.into(), &[0; 40]);
    corrupt(&mut swarm, Who::Lamp, |node, io, last| {
        if last.is_some_and(|(_, bytes)| bytes[0] == 0) {
            let machine: &mut FleetAcceptor = node.machine_mut().downcast_mut().unwrap();
            machine.deregister(io.now());
        }
    });
    broken("I-15", &plan, &mut swarm);
}

#[test]
fn i_16_a_machine_that_waits_for_nothing() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    rogue(&mut swarm, Who::Lamp, |rogue| rogue.next = |_| None);
    broken("I-16", &plan, &mut swarm);
}

#[test]
fn i_17_a_storm_from_one_call() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let server = swarm.fleet.server_address();
    corrupt(&mut swarm, Who::Lamp, move |_, io, last| {
        if last.is_some() {
            (0..9).for_each(|_| io.send_datagram(SocketId::MAIN, server, None, vec![0; 20]));
        }
    });
    broken("I-17", &plan, &mut swarm);
}

#[test]
fn i_18_an_entry_that_is_lost() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    swarm.run_until(Duration::from_secs(30)).unwrap();
    // The checks are not told that the server has restarted.
    swarm.fleet.reboot_server(Death::Silent);
    assert!(broken("I-18", &plan, &mut swarm).contains("fell off"));
}

#[test]
fn i_20_writes_that_nothing_asks_for() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Lamp, |node, _, _| app(node).flash.writes += 1);
    broken("I-20", &plan, &mut swarm);
}

#[test]
fn i_25_a_panic() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Lamp, |_, _, last| assert!(last.is_none(), "out of paper"));
    assert!(broken("I-25", &plan, &mut swarm).contains("out of paper"));
}

#[test]
fn l_1_a_lamp_that_never_comes() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Lamp, |_, io, _| io.effects.clear());
    broken("L-1", &plan, &mut swarm);
}

#[test]
fn l_2_a_phone_that_can_be_reached_and_is_not() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let (lamp, phone) = (swarm.acceptors[0].host, swarm.issuers[0].host);
    swarm.fleet.world.set_path(lamp, phone, Faults::default().without_tcp());
    assert!(broken("L-2", &plan, &mut swarm).contains("was told"));
}

#[test]
fn l_4_a_move_that_is_not_noticed() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    rogue(&mut swarm, Who::Server, |rogue| {
        rogue.front = |from, bytes| (!is(bytes, Kind::Echo)).then_some(from);
        rogue.deed = Box::new(|_, io, shown| {
            if shown.is_some_and(|(_, bytes)| is(bytes, Kind::Echo)) {
                io.note("discarded: Unexpected");
            }
        });
    });
    broken("L-4", &plan, &mut swarm);
}
