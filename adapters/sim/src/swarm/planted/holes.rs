//! I-9 to I-12 where holes are punched.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::SocketId;
use genkan_core::wire::Kind;

use super::{Plan, STRANGER, Who, blind, broken, corrupt, host, is, once};
use crate::fleet::PORT;
use crate::matrix::KINDS;
use crate::node::Effect;
use crate::swarm::build::Swarm;

/// A world in which the two, both in the open, can punch, and ask over datagrams.
fn plan() -> Plan {
    let mut plan = Plan::new(0);
    plan.header[23] = 2;
    (plan.header[25], plan.header[27], plan.header[57]) = (2, 2, 2);
    plan
}

/// As [`plan`], with the lamp behind a box of this kind, and the phone behind one that looks at
/// ports.
fn boxed(name: &str) -> (Plan, Swarm) {
    let mut plan = plan();
    (plan.header[24], plan.header[56]) = (5, 5);
    let mut swarm = plan.swarm();
    for (nat, name) in [(swarm.acceptors[0].nats[0], name), (swarm.issuers[0].nats[0], "port")] {
        let kind = KINDS.iter().find(|kind| kind.name == name).unwrap();
        *swarm.fleet.world.nat_mut(nat).config_mut() = kind.config(0.0);
    }
    (plan, swarm)
}

/// Where the phone is.
fn phone(swarm: &Swarm) -> SocketAddr {
    let phone = swarm.issuers[0].host;
    (swarm.fleet.world.slots[phone.0].addresses[0], PORT).into()
}

#[test]
fn without_a_rogue_holes_are_punched_and_nothing_is_broken() {
    let report = plan().live(&mut plan().swarm()).unwrap();
    // The last one is hung up at once.
    assert!(report.connected == 3 && report.punched >= 2, "each in place of TCP: {report:?}");
    for name in ["port", "first", "adm+1", "seq+2", "seq-64", "blk512"] {
        let (plan, mut swarm) = boxed(name);
        let report = plan.live(&mut swarm).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert!(report.punched > 0, "{name}: {report:?}");
    }
}

#[test]
fn i_9_more_than_an_attempt_may_send() {
    let plan = plan();
    let mut swarm = plan.swarm();
    let lamp = host(&swarm, Who::Lamp);
    let mut known = None;
    corrupt(&mut swarm, Who::Lamp, move |_, io, shown| {
        for effect in &io.effects {
            if let Effect::Datagram { remote, bytes, .. } = effect
                && is(bytes, Kind::AcceptorPunch)
            {
                known = Some((*remote, bytes.clone()));
            }
        }
        if let (Some((to, bytes)), None) = (&known, shown) {
            (0..8).for_each(|_| io.send_datagram(SocketId::MAIN, *to, None, bytes.clone()));
        }
    });
    // It is called for no reason again and again.
    for n in 0..6_000 {
        swarm.fleet.world.at(Duration::from_millis(20 * n), move |world| world.wake_early(lamp, 0));
    }
    assert!(broken("I-9", &plan, &mut swarm).contains("packets to the peer"));
}

#[test]
fn i_10_a_bubble_to_somebody_else() {
    let plan = plan();
    for to in [STRANGER, "203.0.113.1:4600"] {
        let mut swarm = plan.swarm();
        corrupt(&mut swarm, Who::Lamp, move |_, io, _| {
            for effect in &mut io.effects {
                match effect {
                    Effect::Datagram { remote, bytes, .. } if is(bytes, Kind::AcceptorPunch) => {
                        *remote = to.parse().unwrap();
                    }
                    _ => {}
                }
            }
        });
        broken("I-10", &plan, &mut swarm);
    }
}

#[test]
fn i_10_a_detection_packet_to_somebody_else() {
    let plan = plan();
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Lamp, |_, io, _| {
        for effect in &mut io.effects {
            match effect {
                Effect::Datagram { remote, bytes, .. } if is(bytes, Kind::Detect) => {
                    *remote = STRANGER.parse().unwrap();
                }
                _ => {}
            }
        }
    });
    assert!(broken("I-10", &plan, &mut swarm).contains("Detect goes to"));
}

#[test]
fn i_10_a_bubble_before_anybody_is_admitted() {
    let plan = plan();
    let mut swarm = plan.swarm();
    let (to, mut first) = (phone(&swarm), once());
    corrupt(&mut swarm, Who::Lamp, move |_, io, _| {
        if first() {
            let check = [&[Kind::AcceptorPunch as u8, 0][..], &[7; 20]].concat();
            io.send_datagram(SocketId::MAIN, to, None, check);
        }
    });
    assert!(broken("I-10", &plan, &mut swarm).contains("nobody has admitted"));
}

#[test]
fn i_10_an_answer_to_where_nobody_was_heard() {
    let plan = plan();
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Lamp, |_, io, _| {
        for effect in &mut io.effects {
            match effect {
                Effect::Datagram { remote, bytes, .. } if is(bytes, Kind::Answer) => {
                    remote.set_port(remote.port() + 1);
                }
                _ => {}
            }
        }
    });
    assert!(broken("I-10", &plan, &mut swarm).contains("unheard"));
}

#[test]
fn i_11_a_port_that_was_not_told() {
    let plan = plan();
    let mut swarm = plan.swarm();
    corrupt(&mut swarm, Who::Lamp, |_, io, _| {
        for effect in &mut io.effects {
            match effect {
                Effect::Datagram { remote, bytes, .. } if is(bytes, Kind::AcceptorPunch) => {
                    remote.set_port(remote.port() + 1);
                }
                _ => {}
            }
        }
    });
    assert!(broken("I-11", &plan, &mut swarm).contains("port was not told"));
}

/// The server takes a port for the lamp's that was never seen.
#[test]
fn i_11_a_server_that_aims_at_ports_that_nobody_has() {
    let (plan, mut swarm) = boxed("seq+2");
    blind(&mut swarm, Who::Server, |from, bytes| {
        // Only of an attempt: the measurement's request is 0.
        let of_attempt = is(bytes, Kind::Detect) && bytes[12..16] != [0; 4];
        let port = if of_attempt { from.port() ^ 0x4000 } else { from.port() };
        Some(SocketAddr::new(from.ip(), port))
    });
    assert!(broken("I-11", &plan, &mut swarm).contains("the server: sends"));
}

#[test]
fn i_12_an_issuer_s_bubble_into_a_house() {
    let plan = plan();
    let mut swarm = plan.swarm();
    let phone = swarm.issuers[0].host;
    super::corrupt_host(&mut swarm, phone, |_, io, _| {
        for effect in &mut io.effects {
            match effect {
                Effect::Datagram { remote, bytes, .. } if is(bytes, Kind::IssuerPunch) => {
                    *remote = "10.0.0.9:5000".parse().unwrap();
                }
                _ => {}
            }
        }
    });
    let failure = plan.live(&mut swarm).expect_err("I-12");
    // The machine's own packet is looked at before it is on the wire.
    assert!(["I-10", "I-12"].contains(&failure.rule), "{failure}");
}

/// And with nobody who looks at what machines want, what is on the wire is seen.
#[test]
fn i_12_is_seen_on_the_wire() {
    let plan = plan();
    let mut swarm = plan.swarm();
    let phone = swarm.issuers[0].host;
    let to = "10.0.0.9:5000".parse().unwrap();
    swarm.fleet.world.at(Duration::from_secs(20), move |world| {
        world.send_datagram(phone, SocketId::MAIN, to, crate::world::Parcel::new(vec![0; 22]));
    });
    broken("I-12", &plan, &mut swarm);
}
