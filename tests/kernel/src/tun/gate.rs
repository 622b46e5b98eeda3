//! What a box does with one packet: the way of [`genkan_sim::Nat`]'s answers into the bytes.

use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_sim::nat::{Flow, Nat, Proto, Refusal};

use super::packet::{Complaint, Packet};

/// A box's device, by what is behind it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Device {
    /// The home's.
    Inside,
    /// The internet's.
    Outside,
}

/// How many packets of one transport came from one device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Those that were passed on.
    pub passed: u64,
    /// Those that were not.
    pub stopped: u64,
}

/// A NAT and what it has done so far.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) nat: Nat,
    /// The box's own address on the inside.
    own: Ipv4Addr,
    counts: BTreeMap<(Device, Proto), Tally>,
}

/// A packet as it goes on, and where.
type Onward = (Device, Vec<u8>);

impl Gate {
    pub(super) const fn new(nat: Nat, own: Ipv4Addr) -> Self {
        Self { nat, own, counts: BTreeMap::new() }
    }

    /// How many packets of a transport came from a side.
    pub(super) fn tally(&self, from: Device, proto: Proto) -> Tally {
        self.counts.get(&(from, proto)).copied().unwrap_or_default()
    }

    /// What becomes of a packet that came from a side: it goes on, or an answer to it does, or nothing.
    pub(super) fn pass(
        &mut self,
        now: Duration,
        from: Device,
        mut bytes: Vec<u8>,
    ) -> Option<Onward> {
        let mut packet = Packet::whole(&mut bytes)?;
        let Some(flow) = packet.flow() else {
            let side = self.complain(now, from, &mut packet)?;
            return Some((side, bytes));
        };
        let done = match from {
            Device::Inside if self.is_own(packet.destination()) => {
                self.turn(now, flow, &mut packet)
            }
            Device::Inside => self.outbound(now, flow, &mut packet),
            Device::Outside => self.inbound(now, flow, &mut packet),
        };
        let tally = self.counts.entry((from, flow.proto())).or_default();
        if done.is_ok() {
            tally.passed += 1;
        } else {
            tally.stopped += 1;
        }
        match done {
            Ok(side) => Some((side, bytes)),
            Err(complaint) => {
                let by = if from == Device::Inside { self.own } else { *packet.destination().ip() };
                Some((from, packet.error(complaint?, by)))
            }
        }
    }

    fn is_own(&self, address: SocketAddrV4) -> bool {
        self.nat.external().contains(&IpAddr::V4(*address.ip()))
    }

    fn outbound(&mut self, now: Duration, flow: Flow, packet: &mut Packet<'_>) -> Passed {
        let hops = self.nat.config().hops;
        // Before it has made a mapping.
        if packet.hops() <= hops {
            return Err(Some(Complaint::Hops));
        }
        let (inside, to) = (packet.source().into(), packet.destination().into());
        let external = self.nat.outbound(now, flow, inside, to).map_err(said)?;
        packet.pass(hops);
        packet.set_source(four(external)?);
        Ok(Device::Outside)
    }

    fn inbound(&mut self, now: Duration, flow: Flow, packet: &mut Packet<'_>) -> Passed {
        let (from, to) = (packet.source().into(), packet.destination().into());
        let inside = self.nat.inbound(now, flow, from, to).map_err(said)?;
        let hops = self.nat.config().hops;
        // After the filter, as in Linux.
        if packet.hops() <= hops {
            return Err(Some(Complaint::Hops));
        }
        packet.pass(hops);
        packet.set_destination(four(inside)?);
        Ok(Device::Inside)
    }

    fn turn(&mut self, now: Duration, flow: Flow, packet: &mut Packet<'_>) -> Passed {
        let hops = self.nat.config().hops;
        if packet.hops() <= hops {
            return Err(Some(Complaint::Hops));
        }
        let (inside, to) = (packet.source().into(), packet.destination().into());
        let turned = self.nat.hairpin(now, flow, inside, to).map_err(said)?;
        packet.pass(hops);
        packet.set_source(four(turned.source)?);
        packet.set_destination(four(turned.to)?);
        Ok(Device::Inside)
    }

    /// An ICMP error goes to whom it concerns; anything else that is neither UDP nor TCP ends here.
    fn complain(&mut self, now: Duration, from: Device, packet: &mut Packet<'_>) -> Option<Device> {
        let (proto, source, destination) = packet.complaint()?;
        let (source, destination) = (source.into(), destination.into());
        match from {
            Device::Inside => {
                let external = self.nat.mapped(proto, destination, source)?;
                packet.complain_from(four(external).ok()?);
                Some(Device::Outside)
            }
            Device::Outside => {
                let inside = self.nat.icmp_error(now, proto, source, destination)?;
                packet.complain_to(four(inside).ok()?);
                Some(Device::Inside)
            }
        }
    }
}

/// Where a packet goes on, or what its sender is told of its end.
type Passed = Result<Device, Option<Complaint>>;

/// What a sender is told of a refusal. RSTs are not made.
const fn said(refusal: Refusal) -> Option<Complaint> {
    match refusal {
        Refusal::Icmp => Some(Complaint::Port),
        _ => None,
    }
}

/// A box of IPv4 has no other addresses.
const fn four(address: SocketAddr) -> Result<SocketAddrV4, Option<Complaint>> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(None),
    }
}
