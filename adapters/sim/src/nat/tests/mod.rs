//! Each parameter of a NAT has a test that fails when the parameter is ignored.

mod allocation;
mod blocks;
mod check;
mod invariants;
mod leases;
mod lifetimes;
mod linux;
mod mapping;
mod refusals;
mod tcp;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::*;

/// An address.
fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A NAT with the external address 192.0.2.1.
fn nat(config: NatConfig) -> Nat {
    Nat::new(&[ip("192.0.2.1")], config, Rng::new(11))
}

/// One with this mapping, filtering and way to pick ports.
fn picking(mapping: Mapping, filtering: Filtering, pick: Pick) -> NatConfig {
    let mut config = NatConfig::new(mapping, filtering);
    config.behaviour.allocation.pick = pick;
    config
}

const APDM: Mapping = Mapping::AddressAndPortDependent;
const APDF: Filtering = Filtering::AddressAndPortDependent;

/// The external port of a datagram.
fn out(nat: &mut Nat, now: Duration, inside: SocketAddr, to: SocketAddr) -> Result<u16, Refusal> {
    nat.outbound(now, Flow::Udp, inside, to).map(|external| external.port())
}

/// The external ports of datagrams to `count` destinations, one after the other.
fn ports_to_many(nat: &mut Nat, inside: SocketAddr, count: u16) -> Vec<u16> {
    (0..count)
        .map(|i| out(nat, secs(1), inside, SocketAddr::new(ip("203.0.113.9"), 1_000 + i)).unwrap())
        .collect()
}

/// The `n`-th inside host.
fn host(n: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 0, 0, n]), port)
}

/// The `n`-th host outside.
fn remote(n: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([203, 0, 113, n]), port)
}

/// Whether a datagram gets in.
fn gets_in(nat: &mut Nat, now: Duration, from: SocketAddr, port: u16) -> bool {
    nat.inbound(now, Flow::Udp, from, SocketAddr::new(ip("192.0.2.1"), port)).is_ok()
}
