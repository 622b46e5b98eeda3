//! What a device pays for being reachable, and for being reached.

use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{AdmissionPolicy, PasswordRecord};

use crate::meter::{Count, Table};
use crate::world::{World, certificate, issuer_key};

/// Bytes of a payload.
const PAYLOAD: usize = 1_200;
/// Password information, which stands for a password.
const INFORMATION: [u8; 32] = [7; 32];
/// Bytes of stack, the project's goals: ever, and while nobody shakes hands.
const STACK: usize = 10 << 10;
const STACK_CONNECTED: usize = 2 << 10;

/// All of it. But for the keepalive's, which is the project's goal, budgets keep what was reached, with
/// room for another compiler.
pub fn rows(table: &mut Table) {
    life(table);
    handshake(table);
    hour(table);
    let names = [
        "connection, paired/request taken",
        "connection, paired/communication request",
        "connection, paired/confirmed",
        "connection, paired/all",
    ];
    connection(table, names, paired(), None);
    let names = [
        "connection, password/request taken",
        "connection, password/communication request",
        "connection, password/confirmed",
        "connection, password/all",
    ];
    let mut world = connection(table, names, with_password(), Some(INFORMATION));
    payloads(table, &mut world);
}

fn with_password() -> AdmissionPolicy {
    let password = Some(PasswordRecord::new([1; 16], &INFORMATION));
    AdmissionPolicy { password, ..AdmissionPolicy::default() }
}

fn paired() -> AdmissionPolicy {
    let mut policy = AdmissionPolicy::default();
    policy.paired.push(issuer_key().id()).unwrap();
    policy
}

/// From being switched on for the first time to the first payload each way.
fn life(table: &mut Table) {
    let mut world = World::new(with_password());
    let made = world.spent();
    table.row("life/key and acceptor made", made, 1, 1_980_000);
    world.register();
    let registered = world.spent();
    table.row("life/certificate, handshake, registered", registered, 1, 12_900_000);
    world.request(Some(INFORMATION));
    world.dialled();
    world.confirm();
    let connected = world.spent();
    table.row("life/from request to connected", connected, 1, 10_500_000);
    world.hear(&[7; PAYLOAD]);
    world.say(&[7; PAYLOAD]);
    let all = made.and(registered).and(connected).and(world.spent());
    table.row("life/all, and 1,200 bytes each way", all, 1, 25_500_000);
    table.hold("life", all, STACK);
}

/// With the server, when the certificate is known; and without one, when the session is.
fn handshake(table: &mut Table) {
    let mut world = World::new(paired());
    world.spent();
    let bytes = certificate();
    world.device_does(|device, _| device.restore_certificate(&bytes).unwrap());
    table.row("handshake/certificate checked", world.spent(), 1, 2_150_000);
    world.next();
    let mut all = world.spent();
    table.row("handshake/message 1 made", all, 1, 6_150_000);
    for (name, budget) in
        [("handshake/message 2 taken, registering", 4_540_000), ("handshake/registered", 17_900)]
    {
        world.carry();
        world.carry();
        let count = world.spent();
        table.row(name, count, 1, budget);
        all = all.and(count);
    }
    table.row("handshake/all but the certificate", all, 1, 10_700_000);

    let session = world.device.resumption().unwrap();
    world.restart(2, paired());
    world.device_does(|device, _| device.restore_certificate(&bytes).unwrap());
    world.device_does(|device, _| device.restore_session(&session));
    world.spent();
    world.register();
    table.row("handshake/none, the session is known", world.spent(), 1, 288_000);
}

/// An hour on the server's list with nobody asking.
fn hour(table: &mut Table) {
    let mut world = World::new(paired());
    world.register();
    world.spent();
    let end = world.now.after(Duration::from_secs(3_600));
    let (mut up, mut down) = ([Count::default(); 3], [Count::default(); 3]);
    let (mut alike, mut idle) = ([0; 3], Count::default());
    while world.now < end {
        let sent = world.next().map(|flying| [flying.bytes[0], flying.bytes[1]]);
        let kind = match sent {
            None => {
                idle = idle.and(world.spent());
                continue;
            }
            Some([kind, 0]) if kind == Kind::Keepalive as u8 => 0,
            Some([kind, _]) if kind == Kind::Keepalive as u8 => 1,
            Some(_) => 2,
        };
        alike[kind] += 1;
        up[kind] = up[kind].and(world.spent());
        world.settle();
        down[kind] = down[kind].and(world.spent());
    }
    table.row("keepalive/not answered", up[0].and(down[0]), alike[0], 5_000);
    table.row("keepalive/answered, up", up[1], alike[1], 4_270);
    table.row("keepalive/answered, down", down[1], alike[1], 4_710);
    table.row("keepalive/answered, up and down", up[1].and(down[1]), alike[1], 8_000);
    table.row("registration again, up", up[2], alike[2], 12_950);
    table.row("registration again, down", down[2], alike[2], 16_200);
    let all = up.into_iter().chain(down).fold(idle, Count::and);
    table.row("an hour on the list", all, 1, 1_530_000);
    table.hold("an hour on the list", all, STACK_CONNECTED);
}

/// From a request to a connection over a dial-back.
fn connection(
    table: &mut Table,
    [taken, written, confirmed, together]: [&str; 4],
    policy: AdmissionPolicy,
    password: Option<[u8; 32]>,
) -> World {
    let mut world = World::new(policy);
    world.register();
    world.spent();
    world.request(password);
    let first = world.spent();
    table.row(taken, first, 1, 10_500_000);
    world.dialled();
    let second = world.spent();
    table.row(written, second, 1, 2_190);
    world.confirm();
    let third = world.spent();
    table.row(confirmed, third, 1, 9_760);
    table.hold(confirmed, second.and(third), STACK_CONNECTED);
    table.row(together, first.and(second).and(third), 1, 10_500_000);
    world
}

fn payloads(table: &mut Table, world: &mut World) {
    let (mut opened, mut sealed) = (Count::default(), Count::default());
    for _ in 0..10 {
        world.hear(&[7; PAYLOAD]);
        opened = opened.and(world.spent());
        world.say(&[7; PAYLOAD]);
        sealed = sealed.and(world.spent());
    }
    table.row("payload-1200/opened", opened, 10, 67_300);
    table.row("payload-1200/sealed", sealed, 10, 70_000);
    table.hold("payloads", opened.and(sealed), STACK_CONNECTED);
}
