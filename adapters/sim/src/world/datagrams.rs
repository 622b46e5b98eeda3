//! How datagrams travel, and how everything that travels passes the hook and the transcript.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::SocketId;

use super::{Event, World};
use crate::nat::{Flow, Proto};
use crate::net::{Hop, HostId, NatId, Owner};
use crate::packet::{Packet, Verdict, Via};
use crate::transcript::{Entry, Fate, Mark, Origin};

/// Datagrams that a paused host's socket holds; more are lost.
const SOCKET_BUFFER: usize = 128;

/// A datagram that left its sender's network.
#[derive(Debug)]
pub(crate) struct Flight {
    hop: Hop,
    to: SocketAddr,
    bytes: Vec<u8>,
    mark: Mark,
}

/// What is sent.
pub(crate) struct Parcel {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hop_limit: Option<u8>,
}

impl Parcel {
    pub(crate) const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, hop_limit: None }
    }
}

/// Sender and receiver, as far as they are known.
pub(crate) type Ends = (Option<HostId>, Option<HostId>);
/// Source as outsiders see it, destination as the sender knows it.
pub(crate) type Addresses = (SocketAddr, SocketAddr);

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
        let Some(&port) = slot.udp.get(&socket) else {
            return self.note(host, format!("sent from {socket:?}, which is not open"));
        };
        let Some(address) = slot.address_for(remote) else {
            return self.note(host, format!("has no address to reach {remote} from"));
        };
        let local = SocketAddr::new(address, port);
        let hop = self.net.outbound(self.now, Flow::Udp, host, (local, remote));
        let to = hop.ok().and_then(|hop| self.host_at(Proto::Udp, hop, remote));
        let source = hop.map_or(local, |hop| hop.source);
        let hop_limit = parcel.hop_limit;
        let sent = self.pass_hook(Via::Udp, (Some(host), to), (source, remote), parcel);
        for (bytes, mark, extra) in sent {
            let parcel = Parcel { bytes, hop_limit };
            let fate = match hop {
                Ok(hop) => self.crosses((host, to), &parcel).map(|()| hop),
                Err(why) => Err(Fate::Unroutable(why)),
            };
            match fate {
                Ok(hop) => {
                    let flight = Flight { hop, to: remote, bytes: parcel.bytes, mark };
                    self.launch(host, to, flight, extra);
                }
                Err(fate) => self.transcript.settle(mark, fate, None),
            }
        }
    }

    /// Whether a datagram gets through.
    fn crosses(
        &mut self,
        (from, to): (HostId, Option<HostId>),
        parcel: &Parcel,
    ) -> Result<(), Fate> {
        let faults = self.net.path(from, to);
        if to.is_some_and(|to| self.net.is_cut(from, to)) {
            Err(Fate::Cut)
        } else if faults.udp_blocked {
            Err(Fate::Blocked)
        } else if parcel.bytes.len() > faults.mtu {
            Err(Fate::TooLong)
        } else if parcel.hop_limit.is_some_and(|limit| limit <= faults.hops) {
            Err(Fate::Expired)
        } else if self.rng.chance(faults.loss) {
            Err(Fate::Lost)
        } else {
            Ok(())
        }
    }

    /// A datagram is on its way, damaged and doubled as the path does.
    fn launch(&mut self, from: HostId, to: Option<HostId>, mut flight: Flight, extra: Duration) {
        let faults = self.net.path(from, to);
        if self.rng.chance(faults.duplicate) {
            let addresses = (flight.hop.source, flight.to);
            let parcel = Parcel::new(flight.bytes.clone());
            let packet = self.packet(Via::Udp, (Some(from), to), addresses, parcel);
            let mark = self.record(&packet, Origin::Copy, Fate::InFlight);
            let copy = Flight { bytes: packet.bytes, mark, ..flight };
            let delay = extra + faults.delay(&mut self.rng);
            self.schedule(delay, Event::Datagram(copy));
        }
        if faults.damage(&mut self.rng, &mut flight.bytes) {
            self.transcript.alter(flight.mark, &flight.bytes);
        }
        let delay = extra + faults.delay(&mut self.rng);
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
        let hop = Hop { network: within.map_or(0, |nat| nat.0 + 1), source };
        let receiver = self.host_at(Proto::Udp, hop, to);
        let packet = self.packet(Via::Udp, (None, receiver), addresses, Parcel::new(bytes));
        let mark = self.record(&packet, Origin::Injected, Fate::InFlight);
        self.datagram_arrives(Flight { hop, to, bytes: packet.bytes, mark });
    }

    pub(crate) fn datagram_arrives(&mut self, flight: Flight) {
        let found = self.net.inbound(self.now, Flow::Udp, flight.hop, flight.to);
        let (host, local) = match found {
            Ok(found) => found,
            Err(why) => return self.transcript.settle(flight.mark, Fate::Unroutable(why), None),
        };
        let slot = &mut self.slots[host.0];
        let name = slot.name.clone();
        let socket = slot.socket_on(local.port()).filter(|_| slot.node.is_some());
        let room = !slot.paused || slot.waiting.len() < SOCKET_BUFFER;
        let Some(socket) = socket.filter(|_| room) else {
            return self.transcript.settle(flight.mark, Fate::Unreceived, Some(&name));
        };
        self.transcript.settle(flight.mark, Fate::Delivered(self.now), Some(&name));
        let source = flight.hop.source;
        if slot.paused {
            slot.waiting.push_back((flight, socket, source));
        } else {
            self.datagram_read(host, flight, socket, source);
        }
    }

    pub(crate) fn datagram_read(
        &mut self,
        host: HostId,
        mut flight: Flight,
        socket: SocketId,
        source: SocketAddr,
    ) {
        self.enter(host, |node, io| node.datagram(io, socket, source, &mut flight.bytes));
    }

    /// The host that has `to` at this moment.
    pub(crate) fn host_at(&self, proto: Proto, hop: Hop, to: SocketAddr) -> Option<HostId> {
        match self.net.owner(proto, hop, to)? {
            Owner::Host(host) => Some(host),
            Owner::Nat(_) => None,
        }
    }

    /// Shows something to the hook and records it. What is to be sent in its place: nothing, it, or
    /// it and a copy; each with the delay that the hook gave it.
    pub(crate) fn pass_hook(
        &mut self,
        via: Via,
        ends: Ends,
        addresses: Addresses,
        parcel: Parcel,
    ) -> Vec<(Vec<u8>, Mark, Duration)> {
        let mut packet = self.packet(via, ends, addresses, parcel);
        let bytes = packet.bytes.clone();
        let verdict = match self.hook.as_mut() {
            Some(hook) => hook(&mut packet),
            None => Verdict::Pass,
        };
        let (delay, copy) = match verdict {
            Verdict::Drop => {
                self.record(&packet, Origin::Sender, Fate::Hooked);
                return Vec::new();
            }
            Verdict::Pass => (Duration::ZERO, None),
            Verdict::Delay(delay) => (delay, None),
            Verdict::Replace(bytes) => {
                packet.bytes = bytes;
                (Duration::ZERO, None)
            }
            Verdict::Duplicate(delay) => (Duration::ZERO, Some(delay)),
        };
        let origin = if packet.bytes == bytes { Origin::Sender } else { Origin::Altered };
        let mark = self.record(&packet, origin, Fate::InFlight);
        let mut sent = vec![(packet.bytes.clone(), mark, delay)];
        if let Some(delay) = copy.filter(|_| matches!(via, Via::Udp | Via::Tcp(_))) {
            let mark = self.record(&packet, Origin::Copy, Fate::InFlight);
            sent.push((packet.bytes, mark, delay));
        }
        sent
    }

    /// As [`World::pass_hook`] for what is sent once or not at all.
    pub(crate) fn announce(
        &mut self,
        via: Via,
        ends: Ends,
        addresses: Addresses,
    ) -> Option<(Mark, Duration)> {
        let sent = self.pass_hook(via, ends, addresses, Parcel::new(Vec::new()));
        sent.into_iter().next().map(|(_, mark, delay)| (mark, delay))
    }

    fn packet(&self, via: Via, (from, to): Ends, addresses: Addresses, parcel: Parcel) -> Packet {
        let (source, destination) = addresses;
        let (at, number) = (self.now, self.transcript.packets());
        let Parcel { bytes, hop_limit } = parcel;
        Packet { at, number, from, to, via, source, destination, hop_limit, bytes }
    }

    fn record(&mut self, packet: &Packet, origin: Origin, fate: Fate) -> Mark {
        let name = |host: HostId| self.slots[host.0].name.clone();
        let unknown = || {
            let hop = Hop { network: 0, source: packet.source };
            match self.net.owner(Proto::Udp, hop, packet.destination) {
                Some(Owner::Nat(nat)) => self.net.nat_name(nat).to_owned(),
                _ => packet.destination.to_string(),
            }
        };
        let entry = Entry {
            at: packet.at,
            from: packet.from.map_or_else(|| packet.source.to_string(), name),
            to: packet.to.map_or_else(unknown, name),
            via: packet.via,
            source: packet.source,
            destination: packet.destination,
            hop_limit: packet.hop_limit,
            bytes: packet.bytes.clone(),
            kind: packet.kind(),
            origin,
            fate,
        };
        self.transcript.packet(entry)
    }
}
