//! A NAT in this process between two tun devices, for allocations that Linux lacks: ports in steps, in
//! blocks, and whatever else a [`NatConfig`](genkan_sim::NatConfig) can say.
//!
//! A [`Home`] is a namespace whose only way out is such a box. The box reads each IPv4 packet of real
//! sockets, asks [`genkan_sim::Nat`] what becomes of it, with the wall clock for the virtual one, and
//! rewrites addresses, ports, hop limit and checksums. UDP and TCP pass as the settings say
//! ([`NatConfig::udp`](genkan_sim::NatConfig), `tcp`); ICMP errors about them are translated (RFC 5508),
//! and the box tells senders of used-up hop limits and, where the settings have it so, of ports that are
//! not mapped. Left out: fragments, other ICMP, IPv6, RSTs of the box's own, the delay of a hairpin, and
//! NAT-PMP and PCP.
//!
//! Reading order: `packet` (bytes) → `gate` (one packet) → [`Home`] (devices and the thread) →
//! [`same`] (scenarios).

mod gate;
mod home;
mod packet;
mod site;

pub use gate::{Device, Tally};
pub use home::{Home, Internet};
pub use site::same;
