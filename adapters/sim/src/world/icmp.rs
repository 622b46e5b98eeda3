//! ICMP errors: who sends them, and how they get back to the sender of the packet.
//!
//! An error goes back through the NATs that the packet went out through; each looks up the packet
//! that the error quotes ([`Nat::icmp_error`](crate::Nat)). It takes as long as the packet would back
//! from where it was stopped, and can be lost as any packet. What is told:
//!
//! - time exceeded, by the router or box at which a hop limit was used up;
//! - port unreachable, by a host that is on and has no such UDP socket;
//! - prohibited (port unreachable from a box that took the packet for its own), by a box whose
//!   [`Unsolicited`](crate::nat::Unsolicited) says so.
//!
//! Routers that are no boxes answer from 198.18.0.`n` or 2001:2::`n`, `n` counted from the sender.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use super::{Event, World};
use crate::capture::{IcmpError, Interface, Load};
use crate::faults::Faults;
use crate::nat::{Proto, Refusal, Unsolicited};
use crate::net::{Crossing, Hop, HostId, NatId, Stop};
use crate::node::Quote;
use crate::packet::{TcpId, Via};
use crate::transcript::{Fate, Mark};

/// Who sends an error.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Teller {
    Host(HostId, IpAddr),
    Box(NatId),
    /// The router with that number.
    Router(u8),
}

/// An ICMP error that is to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Complaint {
    pub(crate) error: IcmpError,
    pub(crate) proto: Proto,
    /// The connection whose SYN it is about.
    pub(crate) conn: Option<TcpId>,
    /// The packet as it was in the network that sender and receiver have in common, or where it was
    /// stopped before.
    pub(crate) quoted: Hop,
    pub(crate) teller: Teller,
    /// Who would have got it.
    pub(crate) receiver: Option<HostId>,
    /// How much of the lines it had passed: 0 to 1.
    pub(crate) place: f64,
    /// How long from now until it is stopped.
    pub(crate) after: Duration,
}

/// An ICMP error on its way.
#[derive(Debug)]
pub(crate) struct Errand {
    complaint: Complaint,
    teller: IpAddr,
    mark: Mark,
}

impl World {
    /// A box or a router before the lines stopped a packet.
    pub(crate) fn complain_at_home(
        &mut self,
        stop: Stop,
        at: Hop,
        proto: Proto,
        conn: Option<TcpId>,
    ) {
        self.complain_about((stop, at), (proto, conn), 0.0, Faults::lan().latency);
    }

    /// A box or a router beyond the lines stopped a packet.
    pub(crate) fn complain_far_off(
        &mut self,
        stop: Stop,
        at: Hop,
        proto: Proto,
        conn: Option<TcpId>,
    ) {
        self.complain_about((stop, at), (proto, conn), 1.0, Duration::ZERO);
    }

    fn complain_about(
        &mut self,
        (stop, quoted): (Stop, Hop),
        (proto, conn): (Proto, Option<TcpId>),
        place: f64,
        after: Duration,
    ) {
        let (error, teller) = match stop {
            Stop::Refused(nat, Refusal::Icmp) => {
                let error = match self.net.nat(nat).config().unsolicited {
                    Unsolicited::Occupy | Unsolicited::Reject => IcmpError::PortUnreachable,
                    _ => IcmpError::Prohibited,
                };
                (error, Teller::Box(nat))
            }
            Stop::Expired(nat) => (IcmpError::TimeExceeded, Teller::Box(nat)),
            Stop::ExpiredAt(number) => (IcmpError::TimeExceeded, Teller::Router(number)),
            Stop::NoRoute | Stop::Refused(..) => return,
        };
        let receiver = self.net.end_of_line(self.net.owner(proto, quoted));
        self.complain(Complaint { error, proto, conn, quoted, teller, receiver, place, after });
    }

    /// A host or a box has no socket on the port of a UDP datagram.
    pub(crate) fn complain_at_end(&mut self, teller: Teller, quoted: Hop) {
        let receiver = match teller {
            Teller::Host(host, _) => Some(host),
            Teller::Box(_) | Teller::Router(_) => None,
        };
        let place = if receiver.is_some() { 1.0 } else { 0.0 };
        self.complain(Complaint {
            error: IcmpError::PortUnreachable,
            proto: Proto::Udp,
            conn: None,
            quoted,
            teller,
            receiver,
            place,
            after: Duration::ZERO,
        });
    }

    pub(crate) fn complain(&mut self, complaint: Complaint) {
        let Complaint { error, proto, quoted, receiver, place, after, .. } = complaint;
        let back = Hop::at(quoted.network, quoted.to, quoted.source);
        let sender = self.host_at(proto, back);
        let (teller, from) = self.teller(complaint.teller, quoted.source);
        let addresses = (SocketAddr::new(teller, 0), quoted.source);
        let announced = self.announce(Via::Icmp(error), (from, sender), addresses);
        let Some((mark, extra)) = announced else { return };
        let faults = match sender {
            Some(sender) if place > 0.0 => self.net.path_back(receiver, sender),
            _ => Faults::lan(),
        };
        let place = if place > 0.0 { place } else { 1.0 };
        let cut = sender.zip(receiver).is_some_and(|(to, from)| self.net.is_cut(from, to));
        if cut {
            return self.transcript.settle(mark, Fate::Cut, None);
        }
        if self.rng.chance(faults.loss * place) {
            return self.transcript.settle(mark, Fate::Lost, None);
        }
        let wait = faults.segment_delay(&mut self.rng).mul_f64(place);
        let errand = Errand { complaint, teller, mark };
        let wait = wait.saturating_add(after).saturating_add(extra);
        self.schedule(wait, Event::Icmp(errand));
        if let Some(host) = from {
            self.icmp_frame(Interface::Host(host), false, (teller, quoted.source), &complaint);
        }
    }

    /// Whose address an error has, and the host that it is.
    fn teller(&self, teller: Teller, sender: SocketAddr) -> (IpAddr, Option<HostId>) {
        let router = |number: u8| match sender {
            SocketAddr::V4(_) => IpAddr::from([198, 18, 0, number]),
            SocketAddr::V6(_) => {
                IpAddr::from(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, u16::from(number)))
            }
        };
        match teller {
            Teller::Host(host, address) => (address, Some(host)),
            Teller::Box(nat) => {
                let own = self.net.nat(nat).external().iter().copied();
                let mut all = own.chain(self.net.gateway(nat));
                let own = all.find(|address| address.is_ipv4() == sender.is_ipv4());
                (own.unwrap_or_else(|| router(0)), None)
            }
            Teller::Router(number) => (router(number), None),
        }
    }

    pub(crate) fn icmp_arrives(&mut self, errand: Errand) {
        let Errand { complaint, teller, mark } = errand;
        let Complaint { error, proto, conn, quoted, .. } = complaint;
        let route = self.net.icmp(self.now, proto, quoted);
        for crossing in &route.crossings {
            let Crossing { interface, inbound, source, .. } = *crossing;
            self.icmp_frame(interface, inbound, (teller, source), &complaint);
        }
        let (host, local) = match route.end {
            Ok(found) => found,
            Err(stop) => return self.stopped(stop, mark),
        };
        self.icmp_frame(Interface::Host(host), true, (teller, local), &complaint);
        let slot = &self.slots[host.0];
        if slot.node.is_none() || slot.paused {
            return self.transcript.settle(mark, Fate::Unreceived, Some(&slot.name));
        }
        self.transcript.settle(mark, Fate::Delivered(self.now), Some(&slot.name));
        if let Some(conn) = conn {
            self.attempt_fails(conn, host);
        }
        let about = Quote { proto, local, remote: quoted.asked };
        self.enter(host, |node, io| node.icmp(io, error, about));
    }

    fn icmp_frame(
        &mut self,
        interface: Interface,
        inbound: bool,
        (teller, source): (IpAddr, SocketAddr),
        complaint: &Complaint,
    ) {
        let (error, destination) = (complaint.error, complaint.quoted.asked);
        let tcp = complaint.proto == Proto::Tcp;
        let (from, to) = (SocketAddr::new(teller, 0), SocketAddr::new(source.ip(), 0));
        let crossing = Crossing { interface, inbound, source: from, to, routers: 0 };
        self.frame(crossing, None, || Load::Icmp { error, source, destination, tcp });
    }
}
