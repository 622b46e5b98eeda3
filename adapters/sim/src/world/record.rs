//! How everything that travels passes the hook and gets into the transcript and the capture.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::World;
use crate::capture::{Frame, Interface, Load};
use crate::nat::Proto;
use crate::net::{Crossing, Hop, HostId, NatId, Owner};
use crate::packet::{Packet, TcpId, Verdict, Via};
use crate::transcript::{Entry, Fate, Mark, Origin};
use crate::watch::Arrival;

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

/// The hop limit of what was sent without one.
const HOP_LIMIT: u8 = 64;

impl World {
    /// From now on what passes each interface is kept, or no longer. Frames that were kept are
    /// forgotten when it is switched on; nothing is copied while it is off.
    pub fn capture(&mut self, on: bool) {
        self.capturing = on;
        if on {
            self.frames.clear();
        }
    }

    /// What has passed the interfaces, in order of time.
    #[must_use]
    pub fn captured(&self) -> &[Frame] {
        &self.frames
    }

    /// All interfaces: of the hosts, then of the NATs.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        let hosts = (0..self.slots.len()).map(|host| Interface::Host(HostId(host)));
        let nats = (0..self.net.nats()).map(NatId);
        hosts
            .chain(nats.flat_map(|nat| [Interface::Inside(nat), Interface::Outside(nat)]))
            .collect()
    }

    /// The name of an interface: its host's, or its NAT's and the side.
    #[must_use]
    pub fn interface_name(&self, interface: Interface) -> String {
        match interface {
            Interface::Host(host) => self.name(host).to_owned(),
            Interface::Inside(nat) => format!("{} inside", self.net.nat_name(nat)),
            Interface::Outside(nat) => format!("{} outside", self.net.nat_name(nat)),
        }
    }

    /// A packet at an interface.
    pub(crate) fn frame(
        &mut self,
        crossing: Crossing,
        hop_limit: Option<u8>,
        load: impl FnOnce() -> Load,
    ) {
        if self.capturing {
            let Crossing { interface, inbound, source, to, routers } = crossing;
            let hop_limit = hop_limit.unwrap_or(HOP_LIMIT).saturating_sub(routers);
            let (at, destination, load) = (self.now, to, load());
            let frame = Frame { at, interface, inbound, source, destination, hop_limit, load };
            self.frames.push(frame);
        }
    }

    /// A packet leaves its host.
    pub(crate) fn frame_out(
        &mut self,
        host: HostId,
        (source, to): Addresses,
        hop_limit: Option<u8>,
        load: impl FnOnce() -> Load,
    ) {
        let interface = Interface::Host(host);
        let crossing = Crossing { interface, inbound: false, source, to, routers: 0 };
        self.frame(crossing, hop_limit, load);
    }

    /// A packet reaches a host.
    pub(crate) fn frame_in(
        &mut self,
        host: HostId,
        (there, hop_limit): (Hop, Option<u8>),
        load: impl FnOnce() -> Load,
    ) {
        let Hop { source, to, routers, .. } = there;
        let interface = Interface::Host(host);
        let crossing = Crossing { interface, inbound: true, source, to, routers };
        self.frame(crossing, hop_limit, load);
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
        let own = match (via, ends.0) {
            (Via::Icmp(_), _) | (Via::Udp, None) => Origin::Network,
            _ => Origin::Sender,
        };
        let mut packet = self.packet(via, ends, addresses, parcel);
        let Some(hook) = self.hook.as_mut() else {
            let mark = self.record(&packet, own, Fate::InFlight);
            return vec![(packet.bytes, mark, Duration::ZERO)];
        };
        let bytes = packet.bytes.clone();
        let verdict = hook(&mut packet);
        let (delay, copy) = match verdict {
            Verdict::Drop => {
                self.record(&packet, own, Fate::Hooked);
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
        let origin = if packet.bytes == bytes { own } else { Origin::Altered };
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

    pub(crate) fn packet(
        &self,
        via: Via,
        (from, to): Ends,
        addresses: Addresses,
        parcel: Parcel,
    ) -> Packet {
        let (source, destination) = addresses;
        let (at, number) = (self.now, self.transcript.packets());
        let Parcel { bytes, hop_limit } = parcel;
        Packet { at, number, from, to, via, source, destination, hop_limit, bytes }
    }

    pub(crate) fn record(&mut self, packet: &Packet, origin: Origin, fate: Fate) -> Mark {
        if let Some(watch) = self.watch.as_mut() {
            watch.sent(packet, origin);
        }
        let entry = self.transcript.keeps().then(|| self.entry(packet, origin, fate));
        self.transcript.packet(packet, origin, fate, entry)
    }

    fn entry(&self, packet: &Packet, origin: Origin, fate: Fate) -> Entry {
        let name = |host: HostId| self.slots[host.0].name.clone();
        let box_at = |address: IpAddr| self.net.box_with(address).map(|nat| self.net.nat_name(nat));
        let sender = || match box_at(packet.source.ip()).filter(|_| origin == Origin::Network) {
            Some(name) => name.to_owned(),
            None => packet.source.to_string(),
        };
        let unknown = || {
            let hop = Hop::at(0, packet.source, packet.destination);
            match self.net.owner(Proto::Udp, hop) {
                Some(Owner::Nat(nat)) => self.net.nat_name(nat).to_owned(),
                _ => packet.destination.to_string(),
            }
        };
        Entry {
            at: packet.at,
            from: packet.from.map_or_else(sender, name),
            to: packet.to.map_or_else(unknown, name),
            via: packet.via,
            source: packet.source,
            destination: packet.destination,
            hop_limit: packet.hop_limit,
            bytes: packet.bytes.clone(),
            kind: packet.kind(),
            origin,
            fate,
        }
    }

    /// Tells the watch, if there is one, what a node is about to be shown.
    pub(crate) fn show_watch(
        &mut self,
        host: HostId,
        source: SocketAddr,
        over: Option<(TcpId, HostId)>,
        bytes: &[u8],
    ) {
        if let Some(watch) = self.watch.as_mut()
            && let Some(node) = self.slots[host.0].node.as_deref()
        {
            watch.arrives(Arrival { host, source, over, bytes }, node);
        }
    }
}
