//! A server that measures NATs: what crafted equipment shows it, and what it makes of that.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bounds;
mod lifetimes;
mod profiles;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::inspect::Inspect;
use genkan_core::nat::{self, Allocation, Filtering, Mapping, NatProfile, Probe, ServerEnd};
use genkan_core::punch::Ability;
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Life, Measure, Role, ToEquipment, ToServer};
use genkan_core::{Discard, Machine, Received, ServerEvent, SocketId};
use genkan_sim::Rng;
use genkan_sim::nat::{Flow, Nat, presets};
use genkan_tests::booth::{Booth, Detect, Guest, OTHER_ADDRESS, OTHER_PORT, Sent, place, socket};
use genkan_tests::evil::{hmac, sa, siphash};

const HOME: &str = "198.51.100.2:4600";
const LARGE: Option<Ability> = Some(Ability::LARGE);

/// Seen from everywhere at its own ports, on the host address of `HOME`.
fn kept(probe: Probe) -> (SocketAddr, u16) {
    let port = [4_600, 5_001, 5_002][usize::from(probe.socket)];
    (SocketAddr::new(sa(HOME).ip(), port), port)
}

fn measured(booth: &mut Booth) -> Vec<NatProfile> {
    let events = booth.events();
    let profiles = events.into_iter().filter_map(|event| match event {
        ServerEvent::Measured { profile, .. } => Some(profile),
        _ => None,
    });
    profiles.collect()
}

fn asked(guest: &Guest, sent: &[Sent]) -> Vec<Measure> {
    let told = guest.read(sent).into_iter().filter_map(|message| match message {
        ToEquipment::Measure(measure) => Some(measure),
        _ => None,
    });
    told.collect()
}

/// What the probe from the other address has carried.
fn carried(sent: &[Sent]) -> [u8; 6] {
    let far = sent.iter().find(|sent| sent.socket == SocketId::OTHER_ADDRESS).unwrap();
    far.bytes[6..12].try_into().unwrap()
}

fn probes(sent: &[Sent]) -> Vec<(SocketId, SocketAddr)> {
    let probes = sent.iter().filter(|sent| sent.bytes[0] == Kind::FilterProbe as u8);
    probes.map(|sent| (sent.socket, sent.to)).collect()
}

/// An acceptor whose NAT has been measured as one that keeps its port.
fn known(booth: &mut Booth) -> Guest {
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    booth.measure(&mut lamp, false, 0, kept);
    assert_eq!(measured(booth).len(), 1);
    lamp
}
