//! How datagrams travel.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::SocketId;

use super::icmp::{Complaint, Teller};
use super::record::{Addresses, Parcel};
use super::slot::Local;
use super::{Event, World};
use crate::capture::{IcmpError, Interface, Load};
use crate::faults::Faults;
use crate::nat::{CONTROL_PORT, Flow, Proto};
use crate::net::{Crossing, End, Hop, HostId, NatId, Owner, Stop, ends};
use crate::packet::Via;
use crate::transcript::{Fate, Mark, Origin};

/// Datagrams that a paused host's socket holds; more are lost.
const SOCKET_BUFFER: usize = 128;

/// The headers of IPv4 and UDP.
const HEADERS: usize = 28;

/// A datagram that left its sender's network.
#[derive(Debug)]
pub(crate) struct Flight {
    hop: Hop,
    hop_limit: Option<u8>,
    bytes: Vec<u8>,
    mark: Mark,
}

impl World {
    /// A host sends a datagram.
    pub(crate) fn send_datagram(
        &mut self,
        host: HostId,
        socket: SocketId,
        remote: SocketAddr,
        parcel: Parcel,
    ) {
        let slot = &self.slots[host.0];
        let Some(&Local { address, port }) = slot.udp.get(&socket) else {
            return self.note(host, format!("sent from {socket:?}, which is not open"));
        };
        let address = address.or_else(|| slot.address_for(remote));
        let Some(address) = address.filter(|own| own.is_ipv4() == remote.is_ipv4()) else {
            return self.note(host, format!("has no address to reach {remote} from"));
        };
        let local = SocketAddr::new(address, port);
        let hop_limit = parcel.hop_limit;
        let route = self.net.outbound(self.now, Flow::Udp, host, (local, remote), hop_limit);
        let owner = route.end.ok().and_then(|hop| self.net.owner(Proto::Udp, hop));
        let to = host_of(owner);
        let source = route.end.map_or(local, |hop| hop.source);
        let sent = self.pass_hook(Via::Udp, (Some(host), to), (source, remote), parcel);
        for (mut bytes, mark, extra) in sent {
            self.frame_out(host, (local, remote), hop_limit, || Load::Udp(bytes.clone()));
            self.cross(&route.crossings, hop_limit, &mut bytes, mark);
            match route.end {
                Ok(hop) => {
                    let faults = match owner {
                        Some(Owner::Gateway(_)) => Faults::lan(),
                        _ => self.net.path(host, self.net.end_of_line(owner)),
                    };
                    let flight = Flight { hop, hop_limit, bytes, mark };
                    let way = self.net.end_of_line(owner);
                    self.depart((host, to, way), faults, flight, extra);
                }
                Err(stop) => {
                    self.stopped(stop, mark);
                    self.complain_at_home(stop, route.at, Proto::Udp, None);
                }
            }
        }
    }

    /// A packet goes no further: its fate, and at whom.
    pub(crate) fn stopped(&mut self, stop: Stop, mark: Mark) {
        let fate = stop.why().map_or(Fate::Expired, Fate::Unroutable);
        let at = match stop {
            Stop::Refused(nat, ..) | Stop::Expired(nat) => Some(self.net.nat_name(nat)),
            Stop::NoRoute | Stop::ExpiredAt(_) => None,
        };
        self.transcript.settle(mark, fate, at);
    }

    /// A datagram passes interfaces of boxes, some of which may change what it carries.
    fn cross(
        &mut self,
        crossings: &[Crossing],
        hop_limit: Option<u8>,
        bytes: &mut [u8],
        mark: Mark,
    ) {
        let mut before: Option<Crossing> = None;
        for &crossing in crossings {
            if let Some(before) = before
                && let (Interface::Inside(nat), Interface::Outside(other))
                | (Interface::Outside(nat), Interface::Inside(other)) =
                    (before.interface, crossing.interface)
                && nat == other
                && self.net.nat(nat).config().rewrites_payload
                && (replace(bytes, before.source, crossing.source)
                    | replace(bytes, before.to, crossing.to))
            {
                self.transcript.alter(mark, bytes);
            }
            self.frame(crossing, hop_limit, || Load::Udp(bytes.to_vec()));
            before = Some(crossing);
        }
    }

    /// A datagram has left its sender's network and comes onto the lines.
    fn depart(
        &mut self,
        (from, to, way): (HostId, Option<HostId>, Option<HostId>),
        faults: Faults,
        mut flight: Flight,
        extra: Duration,
    ) {
        let sender = flight.hop;
        flight.hop.routers = flight.hop.routers.saturating_add(faults.hops);
        match self.crosses((from, way), &faults, &flight) {
            Ok(waits) => {
                let extra = extra.saturating_add(waits).saturating_add(sender.delay);
                self.launch((from, to), &faults, flight, extra);
            }
            Err(fate) => {
                self.transcript.settle(flight.mark, fate, None);
                if fate == Fate::Expired {
                    let limit = flight.hop_limit.unwrap_or_default();
                    let place = f64::from(limit.saturating_sub(sender.routers));
                    let place = place / f64::from(faults.hops.max(1));
                    self.complain(Complaint {
                        error: IcmpError::TimeExceeded,
                        proto: Proto::Udp,
                        conn: None,
                        quoted: sender,
                        teller: Teller::Router(limit),
                        receiver: way,
                        place,
                        after: faults.latency.mul_f64(place).saturating_add(extra),
                    });
                }
            }
        }
    }

    /// Whether a datagram gets through, and how long it waits in queues.
    fn crosses(
        &mut self,
        (from, to): (HostId, Option<HostId>),
        faults: &Faults,
        flight: &Flight,
    ) -> Result<Duration, Fate> {
        if to.is_some_and(|to| self.net.is_cut(from, to)) {
            Err(Fate::Cut)
        } else if faults.udp_blocked {
            Err(Fate::Blocked)
        } else if flight.bytes.len() > faults.mtu {
            Err(Fate::TooLong)
        } else if ends(flight.hop_limit, flight.hop.routers) {
            Err(Fate::Expired)
        } else if self.rng.chance(faults.loss) {
            Err(Fate::Lost)
        } else {
            let len = flight.bytes.len() + HEADERS;
            self.net.enqueue(self.now, from, to, len).ok_or(Fate::QueueFull)
        }
    }

    /// A datagram is on its way, damaged and doubled as the path does.
    fn launch(
        &mut self,
        (from, to): (HostId, Option<HostId>),
        faults: &Faults,
        mut flight: Flight,
        extra: Duration,
    ) {
        if self.rng.chance(faults.duplicate) {
            let addresses = (flight.hop.source, flight.hop.to);
            let parcel = Parcel::new(flight.bytes.clone());
            let packet = self.packet(Via::Udp, (Some(from), to), addresses, parcel);
            let mark = self.record(&packet, Origin::Copy, Fate::InFlight);
            let copy = Flight { bytes: packet.bytes, mark, ..flight };
            let delay = extra.saturating_add(faults.delay(&mut self.rng));
            self.schedule(delay, Event::Datagram(copy));
        }
        if faults.damage(&mut self.rng, &mut flight.bytes) {
            self.transcript.alter(flight.mark, &flight.bytes);
        }
        let delay = extra.saturating_add(faults.delay(&mut self.rng));
        self.schedule(delay, Event::Datagram(flight));
    }

    /// Puts a datagram with any source address into the public internet, or into the inner network
    /// of a NAT, close to its receiver: it arrives at once.
    pub(crate) fn inject_now(
        &mut self,
        within: Option<NatId>,
        addresses: Addresses,
        bytes: Vec<u8>,
    ) {
        let (source, to) = addresses;
        if source.is_ipv4() != to.is_ipv4() {
            let packet = self.packet(Via::Udp, (None, None), addresses, Parcel::new(bytes));
            let mark = self.record(&packet, Origin::Injected, Fate::InFlight);
            return self.stopped(Stop::NoRoute, mark);
        }
        let hop = Hop::at(self.net.inner(within), source, to);
        let receiver = self.host_at(Proto::Udp, hop);
        let packet = self.packet(Via::Udp, (None, receiver), addresses, Parcel::new(bytes));
        let mark = self.record(&packet, Origin::Injected, Fate::InFlight);
        self.datagram_arrives(Flight { hop, hop_limit: None, bytes: packet.bytes, mark });
    }

    pub(crate) fn datagram_arrives(&mut self, mut flight: Flight) {
        let (hop, limit) = (flight.hop, flight.hop_limit);
        let route = self.net.inbound(self.now, Flow::Udp, hop, limit);
        self.cross(&route.crossings, limit, &mut flight.bytes, flight.mark);
        match route.end {
            Ok(End::Host(host, there)) => self.reaches_host(host, there, flight),
            Ok(End::Gateway(nat, there)) => self.reaches_gateway(nat, there, flight),
            Err(stop) => {
                self.stopped(stop, flight.mark);
                self.complain_far_off(stop, hop, Proto::Udp, None);
            }
        }
    }

    fn reaches_host(&mut self, host: HostId, there: Hop, flight: Flight) {
        let Flight { hop, hop_limit, mark, .. } = flight;
        let local = there.to;
        self.frame_in(host, (there, hop_limit), || Load::Udp(flight.bytes.clone()));
        let slot = &mut self.slots[host.0];
        let on = slot.node.is_some();
        let open = slot.socket_at(local).filter(|_| on);
        let room = !slot.paused || slot.waiting.len() < SOCKET_BUFFER;
        let Some(socket) = open.filter(|_| room) else {
            self.transcript.settle(mark, Fate::Unreceived, Some(&slot.name));
            if on && open.is_none() {
                self.complain_at_end(Teller::Host(host, local.ip()), hop);
            }
            return;
        };
        self.transcript.settle(mark, Fate::Delivered(self.now), Some(&slot.name));
        if slot.paused {
            slot.waiting.push_back((flight, socket, hop.source));
        } else {
            self.datagram_read(host, flight, socket, hop.source);
        }
    }

    pub(crate) fn datagram_read(
        &mut self,
        host: HostId,
        mut flight: Flight,
        socket: SocketId,
        source: SocketAddr,
    ) {
        self.show_watch(host, source, None, &flight.bytes);
        self.enter(host, |node, io| node.datagram(io, socket, source, &mut flight.bytes));
    }

    /// A box is asked something itself: it answers NAT-PMP and PCP.
    fn reaches_gateway(&mut self, nat: NatId, there: Hop, flight: Flight) {
        let Flight { hop, hop_limit, mark, bytes } = flight;
        let interface = Interface::Inside(nat);
        let (local, source) = (there.to, there.source);
        let (to, routers) = (local, there.routers);
        let crossing = Crossing { interface, inbound: true, source, to, routers };
        self.frame(crossing, hop_limit, || Load::Udp(bytes.clone()));
        let speaks = self.net.nat(nat).config().leases.is_some() && local.port() == CONTROL_PORT;
        let fate = if speaks { Fate::Delivered(self.now) } else { Fate::Unreceived };
        self.transcript.settle(mark, fate, Some(self.net.nat_name(nat)));
        if !speaks {
            return self.complain_at_end(Teller::Box(nat), hop);
        }
        let Some(answer) = self.net.port_control(self.now, nat, source, &bytes) else { return };
        let hop = Hop::at(there.network, local, source);
        let receiver = self.host_at(Proto::Udp, hop);
        let addresses = (local, source);
        let crossing =
            Crossing { interface, inbound: false, source: local, to: source, routers: 0 };
        let sent = self.pass_hook(Via::Udp, (None, receiver), addresses, Parcel::new(answer));
        for (bytes, mark, extra) in sent {
            self.frame(crossing, None, || Load::Udp(bytes.clone()));
            let flight = Flight { hop, hop_limit: None, bytes, mark };
            let delay = extra.saturating_add(Faults::lan().latency);
            self.schedule(delay, Event::Datagram(flight));
        }
    }

    /// The host that has a packet's destination at this moment.
    pub(crate) fn host_at(&self, proto: Proto, hop: Hop) -> Option<HostId> {
        host_of(self.net.owner(proto, hop))
    }
}

/// The host that an address belongs to.
pub(crate) const fn host_of(owner: Option<Owner>) -> Option<HostId> {
    match owner {
        Some(Owner::Host(host)) => Some(host),
        _ => None,
    }
}

/// Puts one address in the place of another wherever its bytes stand, and the port where that
/// follows, as an application-level gateway does that knows no protocol. True when it did.
fn replace(bytes: &mut [u8], old: SocketAddr, new: SocketAddr) -> bool {
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (from, to) = (octets(old), octets(new));
    if old == new || from.len() != to.len() {
        return false;
    }
    let (mut at, len, mut changed) = (0, from.len(), false);
    while at + len <= bytes.len() {
        if bytes[at..at + len] != from[..] {
            at += 1;
            continue;
        }
        bytes[at..at + len].copy_from_slice(&to);
        at += len;
        changed = true;
        if let Some(port) = bytes.get_mut(at..at + 2)
            && port == old.port().to_be_bytes()
        {
            port.copy_from_slice(&new.port().to_be_bytes());
            at += 2;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_payload_has_the_new_address_and_the_port_where_it_followed() {
        let (old, new) = ("10.0.0.2:258".parse().unwrap(), "192.0.2.1:772".parse().unwrap());
        let mut bytes = vec![9, 10, 0, 0, 2, 1, 2, 9, 10, 0, 0, 2, 1, 10, 0, 0];
        assert!(replace(&mut bytes, old, new));
        assert_eq!(bytes, [9, 192, 0, 2, 1, 3, 4, 9, 192, 0, 2, 1, 1, 10, 0, 0]);
        assert!(!replace(&mut bytes, old, new));
    }
}
