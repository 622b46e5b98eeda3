//! A server that lets two ends meet through their NATs: bursts, reports, ranges, and who is told what.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bounds;
mod meeting;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use genkan_core::inspect::Inspect;
use genkan_core::nat::{Differential, PortRange, Probe};
use genkan_core::punch::{
    Ability, Bracket, Burst, Detector, End, Hopeless, Limits, Method, ROUNDS,
};
use genkan_core::wire::message::{
    Heard, NotifyReply, Punch, Range, Reason, Register, Role, ToEquipment, ToServer, Verdict,
};
use genkan_core::{Discard, Machine, Received, ServerEvent, SocketId, StreamId};
use genkan_sim::Rng;
use genkan_tests::booth::{Booth, Detect, EARLY, Guest, Sent};
use genkan_tests::device::frames;
use genkan_tests::evil::{Evil, plain_offer, sa, siphash};

const HOME: &str = "198.51.100.2:4600";
const PHONE: &str = "192.0.2.7:5600";
const LARGE: Option<Ability> = Some(Ability::LARGE);
const UNEXPECTED: Received<'static> = Received::Discarded(Discard::Unexpected);
/// The issuer's number for its request.
const NUMBER: u32 = 77;

/// What a NAT gives to the packets of a measurement.
#[derive(Clone, Copy)]
enum Maps {
    /// One port for each socket.
    Kept,
    /// A counter that goes on with each packet.
    Counted(u16),
    /// Ports that are nowhere near each other.
    Drawn,
}

fn measure(booth: &mut Booth, guest: &mut Guest, kind: Maps) -> Vec<Sent> {
    let ip = guest.at.ip();
    let mut rng = Rng::new(9);
    let mut next = guest.at.port();
    booth.measure(guest, false, 0, |probe: Probe| {
        let local = 30_000 + 40 * u16::from(probe.socket);
        let port = match kind {
            Maps::Kept if probe.socket == 0 => next,
            Maps::Kept => local,
            Maps::Counted(step) => {
                next = next.wrapping_add(step);
                next
            }
            Maps::Drawn => 1_024 + u16::try_from(rng.below(60_000)).unwrap(),
        };
        (SocketAddr::new(ip, port), local)
    })
}

/// An acceptor on the list, its NAT measured.
fn lamp(booth: &mut Booth, kind: Maps, ability: Ability) -> Guest {
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, Some(ability));
    measure(booth, &mut lamp, kind);
    lamp
}

/// An issuer that has said what it can do, its NAT measured.
fn phone(booth: &mut Booth, kind: Maps, ability: Ability) -> Guest {
    let mut phone = booth.greet(3, Role::Issuer, sa(PHONE));
    booth.say(&mut phone, &ToServer::Can(ability.to_bits()));
    measure(booth, &mut phone, kind);
    phone
}

fn punches(guest: &Guest, sent: &[Sent]) -> Vec<Punch> {
    let told = guest.read(sent).into_iter().filter_map(|message| match message {
        ToEquipment::Punch(punch) => Some(punch),
        _ => None,
    });
    told.collect()
}

/// The server's number for the request in its notification.
fn notified(guest: &Guest, sent: &[Sent]) -> u32 {
    let told = guest.read(sent).into_iter().find_map(|message| match message {
        ToEquipment::Notify(notify) => Some(notify.request),
        _ => None,
    });
    told.unwrap()
}

fn accept(booth: &mut Booth, guest: &mut Guest, request: u32) -> Vec<Sent> {
    booth.say(guest, &ToServer::Reply(NotifyReply { request, verdict: Verdict::Accepted }))
}

fn plans(booth: &mut Booth) -> Vec<Result<Method, Hopeless>> {
    let planned = booth.events().into_iter().filter_map(|event| match event {
        ServerEvent::Planned { plan, .. } => Some(plan.map(|plan| plan.method)),
        _ => None,
    });
    planned.collect()
}

fn state(booth: &Booth) -> Vec<u64> {
    let mut all = Vec::new();
    booth.desk.server.inspect(&mut |number| all.push(number));
    all
}

fn ports(burst: &Burst) -> Vec<u16> {
    burst.ports.ports().take(burst.count.into()).collect()
}

/// A detection packet of a burst from this port of the guest's host.
fn detect(
    booth: &mut Booth,
    guest: &mut Guest,
    (request, round, which): (u32, u8, u8),
    port: u16,
    status: u8,
) -> (Received<'static>, Vec<Sent>) {
    let bytes = guest.detect(Detect { status, request, round, which, socket: 1, local: 33_000 });
    let from = SocketAddr::new(guest.at.ip(), port);
    booth.tell(SocketId::MAIN, from, &bytes)
}
