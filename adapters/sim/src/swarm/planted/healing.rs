//! What the mended world must do, broken by who is late, moves unnoticed, or is not the first.

use core::cell::Cell;
use core::time::Duration;
use std::rc::Rc;

use genkan_core::Command;
use genkan_core::wire::Kind;

use super::{Deed, Plan, Rogue, broken, is};
use crate::net::HostId;
use crate::node::{Effect, Io};
use crate::swarm::build::Swarm;
use crate::world::Death;

/// A lamp whose outputs go through `deed`.
fn spoil(swarm: &mut Swarm, lamp: HostId, mut deed: impl FnMut(&mut Io) + 'static) {
    let slot = &mut swarm.fleet.world.slots[lamp.0];
    let inner = slot.node.take().unwrap();
    let deed: Deed = Box::new(move |_, io, _| deed(io));
    let front = |remote, _: &[u8]| Some(remote);
    slot.node = Some(Box::new(Rogue { inner, deed, front, next: |next| next, last: None }));
}

/// Two lamps, the second behind a NAT of its own.
fn two() -> Plan {
    let mut plan = Plan::new(0);
    plan.settings.acceptors = (2, 2);
    plan.header[60] = 5;
    plan
}

fn without_echo(io: &mut Io) {
    io.effects.retain(
        |effect| !matches!(effect, Effect::Datagram { bytes, .. } if is(bytes, Kind::Echo)),
    );
}

#[test]
fn l_1_a_lamp_that_comes_back_later_than_its_keepalive() {
    let plan = Plan::new(0);
    let mut swarm = plan.swarm();
    let (lamp, silent) = (swarm.acceptors[0].host, Rc::new(Cell::new(false)));
    let hush = Rc::clone(&silent);
    spoil(&mut swarm, lamp, move |io| {
        if hush.get() {
            io.effects.retain(|effect| !matches!(effect, Effect::Datagram { .. }));
        }
    });
    swarm.run_until(Duration::from_secs(299)).unwrap();
    // The server has forgotten it, and it says nothing for a minute and a half.
    let server = swarm.fleet.server;
    swarm.checks.borrow_mut().restarted(server);
    swarm.fleet.reboot_server(Death::Silent);
    silent.set(true);
    swarm.fleet.world.at(Duration::from_secs(390), move |_| silent.set(false));
    assert!(broken("L-1", &plan, &mut swarm).contains("on the list 25.2s after"));
}

#[test]
fn l_4_a_second_lamp_whose_move_is_not_noticed() {
    let plan = two();
    plan.live(&mut swarm_of(&plan)).unwrap();
    let mut swarm = swarm_of(&plan);
    let lamp = swarm.acceptors[1].host;
    spoil(&mut swarm, lamp, without_echo);
    let what = broken("L-4", &plan, &mut swarm);
    assert!(what.starts_with("lamp1") && what.contains("restart of its box"), "{what}");
}

#[test]
fn l_4_another_address_that_is_not_noticed() {
    let plan = two();
    let mut swarm = swarm_of(&plan);
    let (lamp, mut moves) = (swarm.acceptors[1].host, 0);
    spoil(&mut swarm, lamp, move |io| {
        let echo = |effect: &Effect| matches!(effect, Effect::Datagram { bytes, .. } if is(bytes, Kind::Echo));
        moves += usize::from(io.effects.iter().any(echo));
        if moves > 1 {
            without_echo(io);
        }
    });
    let what = broken("L-4", &plan, &mut swarm);
    assert!(what.starts_with("lamp1") && what.contains("change of address"), "{what}");
}

fn swarm_of(plan: &Plan) -> Swarm {
    let swarm = Swarm::new(&plan.settings, &plan.header, true);
    assert_eq!((swarm.acceptors.len(), swarm.issuers.len()), (2, 1));
    assert_eq!(swarm.acceptors[1].nats.len(), 1);
    swarm
}

#[test]
fn where_the_list_has_no_room_the_others_must_be_on_it() {
    let mut plan = Plan::new(0);
    plan.settings.acceptors = (6, 6);
    // Room for the phone and three lamps.
    plan.header[21] = 0x2f;
    let mut swarm = Swarm::new(&plan.settings, &plan.header, true);
    assert_eq!((swarm.clients, swarm.acceptors.len()), (4, 6));
    plan.live(&mut swarm).unwrap();
    assert_eq!(swarm.acceptors.len(), 3);
}

#[test]
fn a_mended_world_is_asked_over_a_line_with_loss() {
    for (byte, lossy) in [(3, 1), (0, 0)] {
        let mut plan = Plan::new(1);
        plan.header[22] = byte;
        let report = plan.live(&mut plan.swarm()).unwrap();
        assert_eq!(report.lossy.iter().sum::<u32>(), lossy);
    }
}

/// A phone and a lamp behind boxes of such kinds; the server lets nobody punch.
fn boxes(phone: u8, lamp: u8) -> Plan {
    let mut plan = Plan::new(0);
    (plan.header[24], plan.header[25]) = (15, phone);
    (plan.header[56], plan.header[57]) = (5, lamp);
    plan
}

const PLAIN: u8 = 6;
const SYMMETRIC: u8 = 8;

#[test]
fn l_2_calls_over_tcp_that_do_not_come_about() {
    let plan = boxes(PLAIN, PLAIN);
    let mut swarm = plan.swarm();
    assert_eq!(swarm.meet(&swarm.issuers[0], &swarm.acceptors[0]), Some(true));
    assert!(plan.live(&mut swarm).unwrap().connected > 0);
    let mut swarm = plan.swarm();
    let lamp = swarm.acceptors[0].host;
    let call = |effect: &Effect| matches!(effect, Effect::Command(Command::ConnectFrom { .. }));
    spoil(&mut swarm, lamp, move |io| io.effects.retain(|effect| !call(effect)));
    let what = broken("L-2", &plan, &mut swarm);
    assert!(what.starts_with("phone0 asked lamp0") && what.contains("Failed"), "{what}");
}

#[test]
fn calls_over_tcp_do_not_pass_boxes_with_a_port_for_each_destination() {
    for [phone, lamp] in [[PLAIN, SYMMETRIC], [SYMMETRIC, PLAIN], [SYMMETRIC, SYMMETRIC]] {
        let plan = boxes(phone, lamp);
        let mut swarm = plan.swarm();
        let meet = swarm.meet(&swarm.issuers[0], &swarm.acceptors[0]);
        assert_eq!(meet, Some(false), "{phone} {lamp}");
        assert_eq!(plan.live(&mut swarm).unwrap().connected, 0, "{phone} {lamp}");
    }
}
