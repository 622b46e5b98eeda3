//! The mappings that stand, found from each side and in order of age.
//!
//! No look-up walks over all of them: each question that a packet or a new mapping asks has an index.
//! Times of death and idleness are kept lazily: an index holds the time as it was when the mapping
//! was filed, and a mapping that turns out to be younger is filed again.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::config::{Filtering, Mapping};
use super::life::{Life, Rules, Way};
use super::used::UsedPorts;
use super::{Flow, Proto};

/// A mapping's number: later ones are larger, and none is used twice.
pub(super) type Id = u64;

/// The first and the last of all addresses, in their order.
const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const LAST: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));

/// Which destinations a mapping is for: all, an address, or an address and port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Remote(pub(super) Option<IpAddr>, pub(super) Option<u16>);

impl Remote {
    pub(super) const ANY: Self = Self(None, None);

    pub(super) const fn of(mapping: Mapping, to: SocketAddr) -> Self {
        match mapping {
            Mapping::EndpointIndependent => Self::ANY,
            Mapping::AddressDependent => Self(Some(to.ip()), None),
            Mapping::AddressAndPortDependent => Self(Some(to.ip()), Some(to.port())),
        }
    }

    /// All that cover an endpoint.
    const fn covering(to: SocketAddr) -> [Self; 3] {
        [Self(Some(to.ip()), Some(to.port())), Self(Some(to.ip()), None), Self::ANY]
    }
}

/// One mapping.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) proto: Proto,
    pub(super) inside: SocketAddr,
    pub(super) remote: Remote,
    pub(super) external: SocketAddr,
    pub(super) life: Life,
    /// No outbound packet uses it any more.
    pub(super) retired: bool,
    /// Whom the filter knows.
    peers: BTreeMap<SocketAddr, Life>,
    prune_at: usize,
    filed: (Duration, Duration),
}

impl Entry {
    /// Whether its filter lets a packet from `from` in.
    pub(super) fn admits(&self, now: Duration, filtering: Filtering, from: SocketAddr) -> bool {
        let live = |life: &Life| !life.ended(now);
        match filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => {
                let (first, last) = (SocketAddr::new(from.ip(), 0), (from.ip(), u16::MAX).into());
                self.peers.range(first..=last).any(|(_, life)| live(life))
            }
            Filtering::AddressAndPortDependent => self.knows(now, from),
        }
    }

    /// Whether something was sent to `peer` lately.
    pub(super) fn knows(&self, now: Duration, peer: SocketAddr) -> bool {
        self.peers.get(&peer).is_some_and(|life| !life.ended(now))
    }

    fn pass(
        &mut self,
        rules: Rules<'_>,
        now: Duration,
        way: Way,
        (flow, refresh): (Flow, bool),
        peer: SocketAddr,
    ) -> bool {
        let refresh = refresh && flow != Flow::Rst;
        match self.proto {
            Proto::Udp => {
                self.life.pass(rules, now, way, flow, refresh);
            }
            Proto::Tcp if refresh => self.life.use_at(now),
            Proto::Tcp => {}
        }
        if way == Way::In && !self.knows(now, peer) {
            // It makes no hole, and is of no connection that the box knows.
            if self.proto == Proto::Tcp && refresh {
                self.life.touch(rules, now, Proto::Tcp);
            }
            return true;
        }
        if self.peers.len() >= self.prune_at {
            self.peers.retain(|_, life| !life.ended(now));
            self.prune_at = (2 * self.peers.len()).max(16);
        }
        let life = self.peers.entry(peer).or_insert_with(|| Life::new(now));
        if life.ended(now) {
            *life = Life::new(now);
        }
        let before = life.until();
        let passes = life.pass(rules, now, way, flow, refresh);
        if self.proto == Proto::Tcp {
            // Connections of one mapping end one by one.
            let life = *life;
            if life.until() >= self.life.until() {
                self.life.follow(&life);
            } else if life.until() < before
                && let Some(longest) = self.peers.values().max_by_key(|life| life.until())
            {
                self.life.follow(longest);
            }
        }
        passes
    }
}

/// All mappings of a box.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<Id, Entry>,
    next: Id,
    flows: BTreeMap<(Proto, SocketAddr, Remote), Id>,
    insides: BTreeSet<(Proto, SocketAddr, Id)>,
    ports: BTreeSet<(Proto, SocketAddr, Id)>,
    taken: BTreeSet<(Proto, SocketAddr, Remote, Id)>,
    used: UsedPorts,
    deaths: BTreeSet<(Duration, Id)>,
    idle: BTreeSet<(Duration, Id)>,
    idle_of: BTreeSet<(IpAddr, Duration, Id)>,
    counts: BTreeMap<IpAddr, usize>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many mappings an inside host has.
    pub(super) fn count(&self, host: IpAddr) -> usize {
        self.counts.get(&host).copied().unwrap_or(0)
    }

    pub(super) fn get(&self, id: Id) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn insert(
        &mut self,
        now: Duration,
        (proto, inside, remote): (Proto, SocketAddr, Remote),
        external: SocketAddr,
    ) -> Id {
        let id = self.next;
        self.next += 1;
        self.flows.insert((proto, inside, remote), id);
        self.insides.insert((proto, inside, id));
        self.ports.insert((proto, external, id));
        self.taken.insert((proto, external, remote, id));
        self.used.insert(proto, external);
        self.deaths.insert((now, id));
        self.idle.insert((now, id));
        self.idle_of.insert((inside.ip(), now, id));
        *self.counts.entry(inside.ip()).or_default() += 1;
        let entry = Entry {
            proto,
            inside,
            remote,
            external,
            life: Life::new(now),
            retired: false,
            peers: BTreeMap::new(),
            prune_at: 16,
            filed: (now, now),
        };
        self.entries.insert(id, entry);
        id
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        let Entry { proto, inside, remote, external, filed: (death, idle), .. } = entry;
        if self.flows.get(&(proto, inside, remote)) == Some(&id) {
            self.flows.remove(&(proto, inside, remote));
        }
        self.insides.remove(&(proto, inside, id));
        self.ports.remove(&(proto, external, id));
        self.taken.remove(&(proto, external, remote, id));
        if self.latest_at(proto, external).is_none() {
            self.used.remove(proto, external);
        }
        self.deaths.remove(&(death, id));
        self.idle.remove(&(idle, id));
        self.idle_of.remove(&(inside.ip(), idle, id));
        if let Some(count) = self.counts.get_mut(&inside.ip()) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&inside.ip());
            }
        }
        Some(entry)
    }

    pub(super) fn clear(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// A packet comes to a mapping that is its own; whether it passes.
    pub(super) fn pass(
        &mut self,
        id: Id,
        rules: Rules<'_>,
        now: Duration,
        way: Way,
        what: (Flow, bool),
        peer: SocketAddr,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let passes = entry.pass(rules, now, way, what, peer);
        // A later death is found out when the filed one comes; an earlier one must be filed.
        if entry.life.until() < entry.filed.0 || entry.filed.0 <= now {
            self.deaths.remove(&(entry.filed.0, id));
            entry.filed.0 = entry.life.until();
            self.deaths.insert((entry.filed.0, id));
        }
        passes
    }

    /// A packet that the filter rejected refreshes a mapping all the same.
    pub(super) fn refresh(&mut self, id: Id, rules: Rules<'_>, now: Duration) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.life.touch(rules, now, entry.proto);
        }
    }

    /// Takes away a mapping whose time is over.
    pub(super) fn take_dead(&mut self, now: Duration) -> Option<Entry> {
        loop {
            let &(filed, id) = self.deaths.first()?;
            if filed > now {
                return None;
            }
            let entry = self.entries.get_mut(&id)?;
            if entry.life.ended(now) {
                return self.remove(id);
            }
            self.deaths.remove(&(filed, id));
            entry.filed.0 = entry.life.until();
            self.deaths.insert((entry.filed.0, id));
        }
    }

    /// The mapping that was idle longest, of all or of one inside host.
    pub(super) fn idlest(&mut self, host: Option<IpAddr>) -> Option<Id> {
        loop {
            let (filed, id) = match host {
                None => *self.idle.first()?,
                Some(host) => {
                    let (of, filed, id) =
                        *self.idle_of.range((host, Duration::ZERO, 0)..).next()?;
                    (of == host).then_some((filed, id))?
                }
            };
            let entry = self.entries.get_mut(&id)?;
            let (used, host) = (entry.life.used(), entry.inside.ip());
            if used == filed {
                return Some(id);
            }
            self.idle.remove(&(filed, id));
            self.idle_of.remove(&(host, filed, id));
            entry.filed.1 = used;
            self.idle.insert((used, id));
            self.idle_of.insert((host, used, id));
        }
    }

    /// The ports of an external address that have a mapping.
    pub(super) fn used(&self, proto: Proto, address: IpAddr) -> &[u64] {
        self.used.of(proto, address)
    }

    /// The mapping that a packet from `inside` to `to` takes.
    pub(super) fn flow(&self, proto: Proto, inside: SocketAddr, to: SocketAddr) -> Option<Id> {
        Remote::covering(to)
            .into_iter()
            .find_map(|remote| self.flows.get(&(proto, inside, remote)).copied())
    }

    /// The mapping that an inside address and port got last.
    pub(super) fn latest_of(&self, proto: Proto, inside: SocketAddr) -> Option<Id> {
        self.insides.range((proto, inside, 0)..=(proto, inside, Id::MAX)).next_back().map(|k| k.2)
    }

    /// The mapping that an external address and port was given to last.
    pub(super) fn latest_at(&self, proto: Proto, external: SocketAddr) -> Option<Id> {
        self.ports.range((proto, external, 0)..=(proto, external, Id::MAX)).next_back().map(|k| k.2)
    }

    /// Whether an external address and port has more than one mapping.
    pub(super) fn shared(&self, proto: Proto, external: SocketAddr) -> bool {
        self.ports.range((proto, external, 0)..=(proto, external, Id::MAX)).nth(1).is_some()
    }

    /// The latest mapping at an external address and port that is for `from`.
    pub(super) fn covering(
        &self,
        proto: Proto,
        external: SocketAddr,
        from: SocketAddr,
    ) -> Option<Id> {
        Remote::covering(from).into_iter().find_map(|remote| {
            let keys = (proto, external, remote, 0)..=(proto, external, remote, Id::MAX);
            self.taken.range(keys).next_back().map(|key| key.3)
        })
    }

    /// The mappings at an external address and port that are for `remote` or part of it.
    pub(super) fn within(
        &self,
        proto: Proto,
        external: SocketAddr,
        remote: Remote,
    ) -> impl Iterator<Item = Id> {
        let keys = (proto, external, remote, 0)..=(proto, external, remote.last(), Id::MAX);
        self.taken.range(keys).map(|key| key.3)
    }

    /// Whether a mapping at an external address and port is for some of the same destinations.
    pub(super) fn overlaps(&self, proto: Proto, external: SocketAddr, remote: Remote) -> bool {
        let wider = match remote {
            Remote(Some(address), Some(_)) => {
                [Some(Remote(Some(address), None)), Some(Remote::ANY)]
            }
            Remote(Some(_), None) => [Some(Remote::ANY), None],
            Remote(None, _) => [None, None],
        };
        wider.into_iter().flatten().any(|wider| {
            let keys = (proto, external, wider, 0)..=(proto, external, wider, Id::MAX);
            self.taken.range(keys).next().is_some()
        }) || self.within(proto, external, remote).next().is_some()
    }

    /// The next outbound packets of an inside address make new mappings; what stands lets packets in
    /// until it dies.
    pub(super) fn retire(&mut self, proto: Proto, inside: SocketAddr) {
        let ids: Vec<Id> = self
            .insides
            .range((proto, inside, 0)..=(proto, inside, Id::MAX))
            .map(|key| key.2)
            .collect();
        for id in ids {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.retired = true;
                self.flows.remove(&(proto, inside, entry.remote));
            }
        }
    }
}

impl Remote {
    /// The first and last endpoint that it covers.
    pub(super) const fn endpoints(self) -> (SocketAddr, SocketAddr) {
        match self {
            Self(None, _) => (SocketAddr::new(FIRST, 0), SocketAddr::new(LAST, u16::MAX)),
            Self(Some(ip), None) => (SocketAddr::new(ip, 0), SocketAddr::new(ip, u16::MAX)),
            Self(Some(ip), Some(port)) => (SocketAddr::new(ip, port), SocketAddr::new(ip, port)),
        }
    }

    /// The last that is part of it.
    const fn last(self) -> Self {
        match self {
            Self(None, _) => Self(Some(LAST), Some(u16::MAX)),
            Self(Some(address), None) => Self(Some(address), Some(u16::MAX)),
            Self(Some(_), Some(_)) => self,
        }
    }
}
