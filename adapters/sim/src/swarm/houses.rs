//! Where the members of a world live: in the open, or in houses behind boxes; and their addresses.
//!
//! A member that speaks IPv6 has an IPv4 address too, as most have; then the IPv4 NAT of its house has
//! a firewall beside it that IPv6 passes. IPv6 has no carrier's box.

use core::net::{IpAddr, SocketAddr};

use super::acts::Record;
use super::build::Swarm;
use super::edges::{self, Edge, Lot};
use crate::faults::Faults;
use crate::fleet::PORT;
use crate::nat::{
    Behaviour, Blocks, CONTROL_PORT, Filtering, Hairpin, Mapping, NatConfig, Pooling, Proto,
    Sharing, Translation, Unsolicited,
};
use crate::net::{HostId, NatId, NatSpec};

/// The ports of an issuer that its house's box forwards: it listens at one after the other.
const FORWARDED: core::ops::RangeInclusive<u16> = 49_152..=51_199;
/// Where a device asks for a port from: nothing else listens there.
const ASKING_PORT: u16 = 5_350;

/// A network behind a box.
#[derive(Debug)]
pub(super) struct House {
    /// The boxes that IPv4 passes on its way out, the house's own first.
    pub(super) nats: Vec<NatId>,
    /// What IPv6 passes.
    pub(super) firewall: Option<NatId>,
    /// What each of them is.
    pub(super) kinds: Vec<(NatId, &'static str)>,
    /// What the boxes are made from.
    lot: Lot,
    /// Its box forwards ports.
    pub(super) forwards: bool,
}

/// A member of the world.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: HostId,
    /// In which of the houses.
    pub(super) house: Option<usize>,
    /// The boxes between it and the server, its own first.
    pub(super) nats: Vec<NatId>,
    /// Its line when nothing is wrong.
    pub(super) line: Faults,
    /// It speaks IPv6 with the server.
    pub(super) six: bool,
    /// Its house's box forwards its ports.
    pub(super) forwarded: bool,
    /// It can punch holes.
    pub(super) punches: bool,
    /// It speaks with the server over datagrams only.
    pub(super) datagrams: bool,
}

impl Swarm {
    /// The house for an edge, made where it is new. `None`: the open.
    pub(super) fn house(&mut self, edge: Edge, lot: Lot) -> Option<usize> {
        let nats = match edge {
            Edge::Public => return None,
            Edge::Shared(which) if !self.houses.is_empty() => {
                return Some(which % self.houses.len());
            }
            Edge::Firewall => {
                let (kind, config) = edges::firewall(lot);
                vec![self.gateway(kind, NatSpec::new("", config), None)]
            }
            Edge::Home | Edge::Shared(_) => vec![self.nat(lot, None)],
            Edge::Cascade | Edge::Neighbour(_) => {
                let carriers = self.houses.iter().filter_map(|house| match house.nats[..] {
                    [_, carrier] => house.kinds.iter().find(|&&(nat, _)| nat == carrier).copied(),
                    _ => None,
                });
                let carriers: Vec<_> = carriers.collect();
                let carrier = match edge {
                    Edge::Neighbour(which) if !carriers.is_empty() => {
                        carriers[which % carriers.len()]
                    }
                    _ => self.nat(lot.carrier(), None),
                };
                vec![self.nat(lot, Some(carrier.0)), carrier]
            }
        };
        let kinds = nats.clone();
        let nats = nats.into_iter().map(|(nat, _)| nat).collect();
        self.houses.push(House { nats, firewall: None, kinds, lot, forwards: false });
        Some(self.houses.len() - 1)
    }

    fn nat(&mut self, lot: Lot, behind: Option<NatId>) -> (NatId, &'static str) {
        let (kind, config) = edges::nat(lot);
        let mut spec = NatSpec::new("", config);
        for _ in 0..=u8::from(lot.pooled()) {
            spec = spec.external(self.fresh_address(behind.is_some()));
        }
        self.gateway(kind, spec, behind)
    }

    fn gateway(
        &mut self,
        kind: &'static str,
        mut spec: NatSpec,
        behind: Option<NatId>,
    ) -> (NatId, &'static str) {
        let number = self.fleet.world.net.next_nat().0;
        spec.name = format!("nat{}", number + 1);
        spec.behind = behind;
        // The one beside another has its inner address already.
        if spec.beside.is_none() {
            spec = spec.inner([10, number as u8, 0, 1].into());
        }
        (self.fleet.world.add_gateway(spec), kind)
    }

    /// The box that a member of a house is put behind.
    pub(super) fn own_box(&self, house: Option<usize>) -> Option<NatId> {
        self.houses[house?].nats.first().copied()
    }

    pub(super) fn server_for(&self, six: bool) -> SocketAddr {
        if six { self.server_six } else { self.fleet.server_address() }
    }

    /// Gives a member its addresses and its line.
    pub(super) fn settle(
        &mut self,
        host: HostId,
        house: Option<usize>,
        six: bool,
        line: Faults,
    ) -> Place {
        let mut addresses = self.fleet.world.slots[host.0].addresses.clone();
        let mut nats = house.map_or_else(Vec::new, |house| self.houses[house].nats.clone());
        if nats.first().is_some_and(|&nat| self.translates(nat)) {
            if let Some(house) = house.filter(|_| six) {
                nats = vec![self.firewall_of(house)];
            }
        } else if house.is_some() {
            addresses = vec![self.fresh_address(false)];
        }
        if six {
            addresses.push(self.fresh_six());
        }
        self.fleet.world.renumber_host(host, &addresses);
        self.fleet.world.set_line(host, &line);
        let (forwarded, punches, datagrams) = (false, false, false);
        Place { host, house, nats, line, six, forwarded, punches, datagrams }
    }

    pub(super) fn translates(&self, nat: NatId) -> bool {
        self.config(nat).translation == Translation::AddressAndPort
    }

    pub(super) fn config(&self, nat: NatId) -> &NatConfig {
        self.fleet.world.net.nat(nat).config()
    }

    /// What IPv6 passes on its way out of a house with an IPv4 NAT.
    fn firewall_of(&mut self, house: usize) -> NatId {
        let House { nats, firewall, lot, .. } = &self.houses[house];
        if let Some(firewall) = firewall {
            return *firewall;
        }
        let (kind, config) = edges::firewall(*lot);
        let spec = NatSpec::new("", config).beside(nats[0]);
        let (firewall, kind) = self.gateway(kind, spec, None);
        let house = &mut self.houses[house];
        house.firewall = Some(firewall);
        house.kinds.push((firewall, kind));
        firewall
    }

    /// Lets the box of an issuer's own house forward the ports that it listens at, when the lot says
    /// so and the box can: one address, and all ports are anybody's.
    pub(super) fn forward(&mut self, place: &mut Place, lot: Lot) {
        let (Some(house), [nat]) = (place.house, &place.nats[..]) else { return };
        let inside = self.fleet.world.slots[place.host.0].addresses.first().copied();
        let Some(inside) = inside.filter(|_| lot.forwards() && !lot.pooled()) else { return };
        if self.config(*nat).blocks != Blocks::None {
            return;
        }
        let nat = self.fleet.world.nat_mut(*nat);
        for port in FORWARDED {
            nat.forward(Proto::Tcp, port, SocketAddr::new(inside, port));
        }
        self.houses[house].forwards = true;
        place.forwarded = true;
    }

    /// An outside address that nobody has had.
    pub(super) fn fresh_address(&mut self, inner: bool) -> IpAddr {
        self.addresses = self.addresses.wrapping_add(1);
        let [high, low] = self.addresses.to_be_bytes();
        if inner { [100, 64 + high, 0, low].into() } else { [192, 0, 2 + high, low].into() }
    }

    fn fresh_six(&mut self) -> IpAddr {
        self.addresses = self.addresses.wrapping_add(1);
        [0x2001, 0xdb8, self.addresses, 0, 0, 0, 0, 1].into()
    }

    /// A member gets another address of the family that it speaks with the server, in the open or
    /// behind a firewall (another prefix); or its NAT does, the last on the way.
    pub(super) fn readdress(&mut self, place: &Place) {
        match place.nats.last() {
            Some(&nat) if self.translates(nat) => self.renumber(nat),
            _ => {
                let fresh = if place.six { self.fresh_six() } else { self.fresh_address(false) };
                let mut addresses = self.fleet.world.slots[place.host.0].addresses.clone();
                for address in &mut addresses {
                    if address.is_ipv4() == fresh.is_ipv4() {
                        *address = fresh;
                    }
                }
                self.fleet.world.renumber_host(place.host, &addresses);
            }
        }
    }

    /// A NAT gets as many other addresses as it has.
    pub(super) fn renumber(&mut self, nat: NatId) {
        let inner = self.houses.iter().any(|house| house.nats.len() > 1 && house.nats[0] == nat);
        let many = self.fleet.world.net.nat(nat).external().len();
        let fresh: Vec<IpAddr> = (0..many).map(|_| self.fresh_address(inner)).collect();
        if !fresh.is_empty() {
            self.fleet.world.renumber_nat_pool(nat, &fresh);
        }
    }

    /// A device asks its house's box for the port that it registers from, by NAT-PMP or PCP, or gives
    /// it back. A box that speaks neither does not answer.
    pub(super) fn lease(&mut self, record: Record) {
        let places: Vec<_> = self.acceptors.iter().chain(&self.issuers).collect();
        let place = places[record.who(places.len())];
        let (Some(nat), host) = (self.own_box(place.house), place.host) else { return };
        let own = self.fleet.world.slots[host.0].addresses.first().copied();
        let (Some(gateway), Some(IpAddr::V4(own))) = (self.fleet.world.gateway(nat), own) else {
            return;
        };
        let lifetime = u32::try_from(record.lasts().as_secs()).unwrap_or(0);
        let (port, lifetime) = (PORT.to_be_bytes(), lifetime.to_be_bytes());
        let request = if record.level() & 1 == 0 {
            // RFC 6886 section 3.3: version, opcode (UDP), ports, lifetime.
            [&[0, 1, 0, 0], &port[..], &[0, 0], &lifetime].concat()
        } else {
            // RFC 6887 sections 7.1 and 11.1: MAP for UDP, with a nonce that stays the same.
            let client = own.to_ipv6_mapped().octets();
            let map = [&[7; 12][..], &[17, 0, 0, 0], &port, &[0, 0]].concat();
            let any = core::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets();
            [&[2, 1, 0, 0], &lifetime[..], &client, &map, &any].concat()
        };
        let (from, to) = ((own, ASKING_PORT).into(), SocketAddr::new(gateway, CONTROL_PORT));
        let now = self.fleet.world.now();
        self.fleet.world.inject_behind(nat, now, (from, to), &request);
    }

    /// Whether an issuer and an acceptor get to each other. `None`: nobody promises one or the other.
    pub(super) fn meet(&self, phone: &Place, lamp: &Place) -> Option<bool> {
        match self.dials(phone, lamp) {
            Some(true) => Some(true),
            dials if phone.six != lamp.six => dials,
            // Calls over TCP are what is left.
            dials if !self.may_punch(phone, lamp) => match self.calls(phone, lamp) {
                Some(false) => dials,
                calls => calls,
            },
            _ if self.must_punch(phone, lamp) => Some(true),
            _ => None,
        }
    }

    /// Whether the two can try to punch a hole.
    fn may_punch(&self, phone: &Place, lamp: &Place) -> bool {
        self.punches && phone.punches && lamp.punches && phone.six == lamp.six
    }

    /// Whether that must succeed: both behind plain boxes, and the issuer speaks with the server over
    /// datagrams.
    fn must_punch(&self, phone: &Place, lamp: &Place) -> bool {
        let told = self.delivers && phone.datagrams;
        let plain = |place| self.is_plain(place, Proto::Udp);
        apart(phone, lamp) && told && !phone.six && plain(phone) && plain(lamp)
    }

    /// Whether two that do not punch meet by calls over TCP. `None`: nobody promises one or the other.
    fn calls(&self, phone: &Place, lamp: &Place) -> Option<bool> {
        let both = |such: &dyn Fn(&Place) -> bool| such(phone) && such(lamp);
        if !apart(phone, lamp) || phone.six {
            None
        } else if both(&|place| self.is_plain(place, Proto::Tcp)) {
            Some(true)
        } else {
            let splits = self.splits(phone) || self.splits(lamp);
            (splits && both(&|place| self.is_strict(place))).then_some(false)
        }
    }

    /// Whether a place's box, which is its own, keeps a socket's port for all destinations and takes no
    /// offence; or it has none.
    fn is_plain(&self, place: &Place, proto: Proto) -> bool {
        match place.nats[..] {
            [] => true,
            [nat] => {
                let config = self.config(nat);
                let kind = behaviour(config, proto).mapping == Mapping::EndpointIndependent;
                kind && config.unsolicited == Unsolicited::Drop
                    && config.hold_down.is_zero()
                    && config.pooling == Pooling::Paired
            }
            _ => false,
        }
    }

    /// Whether a place's box, the only one, surely gives a connection to the peer another port than the
    /// one that the server has seen.
    fn splits(&self, place: &Place) -> bool {
        let [nat] = place.nats[..] else { return false };
        let config = self.config(nat);
        let behaviour = behaviour(config, Proto::Tcp);
        behaviour.mapping != Mapping::EndpointIndependent
            && behaviour.allocation.sharing == Sharing::Exclusive
            && config.on_conflict.is_empty()
            && self.translates(nat)
    }

    /// Whether a place's box, the only one, lets in nobody from another port than was called.
    fn is_strict(&self, place: &Place) -> bool {
        let [nat] = place.nats[..] else { return false };
        let config = self.config(nat);
        let filtering = behaviour(config, Proto::Tcp).filtering;
        filtering == Filtering::AddressAndPortDependent && config.on_conflict.is_empty()
    }

    /// Whether an acceptor's call gets to an issuer. `None`: nobody promises one or the other.
    fn dials(&self, phone: &Place, lamp: &Place) -> Option<bool> {
        let Some(house) = phone.house else { return Some(!phone.six || lamp.six) };
        let together = lamp.house == Some(house);
        let translated = phone.nats.first().is_some_and(|&nat| self.translates(nat));
        if !translated {
            // Within the house addresses are the same as outside.
            return Some(together && (!phone.six || lamp.six));
        }
        if !phone.forwarded || !together {
            return Some(phone.forwarded);
        }
        match self.config(phone.nats[0]).hairpin {
            Hairpin::None => Some(false),
            Hairpin::ExternalSource | Hairpin::Forwards => Some(true),
            Hairpin::InternalSource => None,
        }
    }
}

/// Whether two are not in one house.
fn apart(phone: &Place, lamp: &Place) -> bool {
    phone.house.is_none() || phone.house != lamp.house
}

/// What a box does with packets of a protocol.
fn behaviour(config: &NatConfig, proto: Proto) -> &Behaviour {
    match proto {
        Proto::Udp => &config.behaviour,
        Proto::Tcp => config.tcp_behaviour.as_ref().unwrap_or(&config.behaviour),
    }
}
