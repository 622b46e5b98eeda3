//! Where a new mapping goes: how much room there is, which address, which port.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::blocks::{Place, Space, start_of};
use super::config::{
    Allocation, Behaviour, Blocks, Counter, Mapping, Overflow, Pick, Pooling, Preserve, Sharing,
    Translation,
};
use super::fixed::{Fixed, any};
use super::table::{Entry, Id, Remote, Table};
use super::timed::Timed;
use super::used::{Held, fill, has};
use super::{Nat, Proto, Refusal};
use crate::rng::{Rng, fnv1a};

/// The wanted port was another's: the box behaves otherwise from now on.
pub(super) struct Conflict;

/// What a port is wanted for.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) now: Duration,
    pub(super) proto: Proto,
    pub(super) inside: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) remote: Remote,
}

/// What keeps a port from being given out.
pub(super) struct Taken<'n> {
    pub(super) table: &'n Table,
    pub(super) fixed: &'n Fixed,
    pub(super) held: &'n Held,
    pub(super) occupied: &'n Timed<(Proto, SocketAddr, SocketAddr)>,
}

impl Taken<'_> {
    /// Whether `at` can be mapped for `remote`, as far as the box's own state goes.
    pub(super) fn free(
        &self,
        (now, proto): (Duration, Proto),
        at: SocketAddr,
        remote: Remote,
        sharing: Sharing,
    ) -> bool {
        let fixed = self.fixed.forwarded_at(proto, any(at)).is_some()
            || self.fixed.leased_at(now, proto, at).is_some();
        if at.port() == 0 || fixed || self.held.holds(proto, at) {
            return false;
        }
        let (first, last) = remote.endpoints();
        if self.occupied.any(now, (proto, at, first)..=(proto, at, last)) {
            return false;
        }
        match sharing {
            Sharing::Exclusive => self.table.latest_at(proto, at).is_none(),
            Sharing::PerRemote => !self.table.overlaps(proto, at, remote),
            Sharing::Overloading => true,
        }
    }
}

impl Nat {
    /// Makes a mapping.
    pub(super) fn open(
        &mut self,
        now: Duration,
        proto: Proto,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Result<Id, Refusal> {
        if now < self.locked_until {
            return Err(Refusal::Closed);
        }
        self.make_room(now, inside.ip())?;
        let placed = match self.place(now, proto, inside, to) {
            Some(placed) => placed,
            // The port that became free would be held down.
            None if self.config.limits.overflow == Overflow::EvictOldest
                && !self.config.hold_down.is_zero() =>
            {
                return Err(Refusal::Full);
            }
            None => {
                let host = (self.config.blocks != Blocks::None).then_some(inside.ip());
                self.overflow(now, host)?;
                self.place(now, proto, inside, to).ok_or(Refusal::Full)?
            }
        };
        if self.config.limits.rate.is_some() {
            self.recent.entry(inside.ip()).or_default().push_back(now);
        }
        let (external, mapping) = placed;
        Ok(self.table.insert(now, (proto, inside, Remote::of(mapping, to)), external))
    }

    /// Applies the limits before a mapping is made.
    fn make_room(&mut self, now: Duration, host: IpAddr) -> Result<(), Refusal> {
        let limits = self.config.limits;
        if let Some(rate) = limits.rate {
            let recent = self.recent.entry(host).or_default();
            while recent.front().is_some_and(|&at| at + Duration::from_secs(1) <= now) {
                recent.pop_front();
            }
            if recent.len() >= rate as usize {
                return match limits.overflow {
                    Overflow::EvictOldest => Err(Refusal::Full),
                    Overflow::Drop | Overflow::LockOut(_) | Overflow::Crash(_) => {
                        self.overflow(now, None)
                    }
                };
            }
        }
        while limits.per_inside.is_some_and(|most| self.table.count(host) >= most) {
            self.overflow(now, Some(host))?;
        }
        while limits.total.is_some_and(|most| self.table.len() >= most) {
            self.overflow(now, None)?;
        }
        Ok(())
    }

    /// Makes room for one mapping, of `host` if given, or says what happens instead.
    fn overflow(&mut self, now: Duration, host: Option<IpAddr>) -> Result<(), Refusal> {
        match self.config.limits.overflow {
            Overflow::Drop => Err(Refusal::Full),
            Overflow::EvictOldest => {
                let id = self.table.idlest(host).ok_or(Refusal::Full)?;
                let entry = self.table.remove(id).ok_or(Refusal::Full)?;
                self.bury(now, &entry);
                Ok(())
            }
            Overflow::LockOut(time) => {
                self.locked_until = now.saturating_add(time);
                Err(Refusal::Closed)
            }
            Overflow::Crash(time) => {
                self.reboot();
                self.closed_until = now.saturating_add(time);
                Err(Refusal::Closed)
            }
        }
    }

    /// A mapping is gone, since `died`.
    pub(super) fn bury(&mut self, died: Duration, entry: &Entry) {
        let (proto, inside, external) = (entry.proto, entry.inside, entry.external);
        if !self.config.hold_down.is_zero()
            && self.config.translation == Translation::AddressAndPort
            && self.table.latest_at(proto, external).is_none()
        {
            let until = died.saturating_add(self.config.hold_down);
            // A lease of the same port may have it held longer.
            self.held.extend(proto, external, until);
        }
        if !self.levels.is_empty() && self.table.latest_of(proto, inside).is_none() {
            self.levels.remove(&(proto, inside));
        }
    }

    /// An external address and port for a new mapping, and which packets share it.
    fn place(
        &mut self,
        now: Duration,
        proto: Proto,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Option<(SocketAddr, Mapping)> {
        loop {
            let (level, behaviour) = self.behaviour(proto, inside);
            let behaviour = behaviour.clone();
            let remote = Remote::of(behaviour.mapping, to);
            let wish = Wish { now, proto, inside, to, remote };
            match self.place_as(wish, &behaviour, level < self.config.on_conflict.len()) {
                Ok(external) => return external.map(|external| (external, behaviour.mapping)),
                Err(Conflict) => {
                    self.levels.insert((proto, inside), level + 1);
                }
            }
        }
    }

    fn place_as(
        &mut self,
        wish: Wish,
        behaviour: &Behaviour,
        yields: bool,
    ) -> Result<Option<SocketAddr>, Conflict> {
        if self.config.translation == Translation::None {
            return Ok(Some(wish.inside));
        }
        if let Some(external) = self.reusable(wish, &behaviour.allocation) {
            return Ok(Some(external));
        }
        let host = wish.inside.ip();
        for address in self.addresses(host, wish.to) {
            if let Some(port) = self.port_at(address, wish, &behaviour.allocation, yields)? {
                self.paired.insert((host, address.is_ipv4()), address);
                return Ok(Some(SocketAddr::new(address, port)));
            }
        }
        Ok(None)
    }

    /// The port that the same inside address and port got last, where it is free towards `to`.
    fn reusable(&self, wish: Wish, allocation: &Allocation) -> Option<SocketAddr> {
        if !allocation.reuse || allocation.sharing != Sharing::PerRemote {
            return None;
        }
        let entry = self.table.get(self.table.latest_of(wish.proto, wish.inside)?)?;
        let at = entry.external;
        let usable = !entry.retired
            && self.external.contains(&at.ip())
            && self.config.ports.contains(&at.port())
            && self.taken().free((wish.now, wish.proto), at, wish.remote, allocation.sharing);
        usable.then_some(at)
    }

    const fn taken(&self) -> Taken<'_> {
        Taken { table: &self.table, fixed: &self.fixed, held: &self.held, occupied: &self.occupied }
    }

    /// The external addresses to try, in this order.
    pub(super) fn addresses(&mut self, host: IpAddr, to: SocketAddr) -> Vec<IpAddr> {
        let mut pool: Vec<IpAddr> =
            self.external.iter().copied().filter(|a| a.is_ipv4() == to.is_ipv4()).collect();
        if pool.len() < 2 {
            return pool;
        }
        let first = match self.config.pooling {
            Pooling::Paired => {
                let paired = self.paired.get(&(host, to.is_ipv4()));
                let known = paired.and_then(|paired| pool.iter().position(|a| a == paired));
                known.unwrap_or_else(|| self.rng.index(pool.len()))
            }
            Pooling::Arbitrary => self.rng.index(pool.len()),
            Pooling::PerDestination => {
                let hash = match to.ip() {
                    IpAddr::V4(ip) => fnv1a(&ip.octets()),
                    IpAddr::V6(ip) => fnv1a(&ip.octets()),
                };
                let index = Rng::new(hash ^ self.salt).index(pool.len());
                return vec![pool[index]];
            }
        };
        pool.rotate_left(first);
        pool
    }

    /// A port of one external address.
    fn port_at(
        &mut self,
        address: IpAddr,
        wish: Wish,
        allocation: &Allocation,
        yields: bool,
    ) -> Result<Option<u16>, Conflict> {
        let place = self.space_of(wish.inside.ip(), address);
        let mut number = 0;
        loop {
            if number == self.spaces.get(&place).map_or(0, Vec::len) && !self.add_block(place) {
                return Ok(None);
            }
            self.catch_up(wish.now, place, number);
            if let Some(port) = self.pick(place, number, wish, allocation, yields)? {
                return Ok(Some(port));
            }
            number += 1;
        }
    }

    /// A port of one block.
    fn pick(
        &mut self,
        (host, address): Place,
        number: usize,
        wish: Wish,
        allocation: &Allocation,
        yields: bool,
    ) -> Result<Option<u16>, Conflict> {
        let Self { table, fixed, held, occupied, spaces, rng, config, .. } = self;
        let taken = Taken { table, fixed, held, occupied };
        let Some(space) = spaces.get_mut(&(host, address)).and_then(|all| all.get_mut(number))
        else {
            return Ok(None);
        };
        let Space { ports, crowd, counters } = space;
        let (time, sharing) = ((wish.now, wish.proto), allocation.sharing);
        let exclusive = sharing == Sharing::Exclusive;
        let used: &[u64] = if exclusive { taken.table.used(wish.proto, address) } else { &[] };
        let used = [used, taken.held.of(wish.proto, address)];
        let free = |port: u16| {
            let crowded = || ports.index(port).is_some_and(|index| crowd.has(index));
            !(has(used, port) || exclusive && crowded())
                && taken.free(time, SocketAddr::new(address, port), wish.remote, sharing)
        };
        let own = wish.inside.port();
        let keeps = match allocation.preserve {
            Preserve::Never => false,
            Preserve::First => taken.table.latest_of(wish.proto, wish.inside).is_none(),
            Preserve::WhenFree => true,
        };
        if keeps && ports.index(own).is_some() {
            if free(own) {
                return Ok(Some(own));
            }
            let holder = taken.table.latest_at(wish.proto, SocketAddr::new(address, own));
            let holder = holder.and_then(|id| taken.table.get(id)).map(|entry| entry.inside);
            if yields && holder != Some(wish.inside) {
                return Err(Conflict);
            }
        }
        let parity = allocation.parity.then_some(own & 1);
        let good = |port: u16| parity.is_none_or(|parity| port & 1 == parity) && free(port);
        let class = if config.port_classes { ports.class_of(own) } else { ports.clone() };
        let steps = matches!(allocation.pick, Pick::Sequential { .. });
        if fill(used, if steps { &*ports } else { &class }) && !allocation.pick.costs() {
            return Ok(None);
        }
        let (chosen, from) = match allocation.pick {
            Pick::Sequential { step, counter, skip_used } => {
                let whose = counter_of(counter, wish);
                let at = counters.entry(whose).or_insert_with(|| match whose {
                    None => start_of(step, ports),
                    Some(_) => ports.anywhere(rng),
                });
                (ports.walk(at, (step, skip_used), parity, |_, port| free(port)), &*ports)
            }
            Pick::Random => (class.draw(rng, |_, port| good(port)), &class),
            Pick::RandomStart { tries } => {
                (class.draw_start(rng, tries, |_, port| good(port)), &class)
            }
        };
        Ok(chosen.and_then(|index| from.get(index)))
    }

    /// Plays what others did with a block.
    pub(super) fn catch_up(&mut self, now: Duration, place: Place, number: usize) {
        let Self { table, held, spaces, crowd_rng, config, external, .. } = self;
        let (Some(foreign), 0) = (config.foreign, number) else { return };
        let Some(space) = spaces.get_mut(&place).and_then(|all| all.first_mut()) else { return };
        let share = if place.0.is_none() { external.len() } else { 1 };
        let (udp, tcp) = (Proto::Udp, Proto::Tcp);
        let used = [table.used(udp, place.1), table.used(tcp, place.1)];
        let held = [held.of(udp, place.1), held.of(tcp, place.1)];
        let taken = |port: u16| has(used, port) || has(held, port);
        space.play(crowd_rng, &foreign, (now, share), config, taken);
    }
}

impl Pick {
    /// Whether a new mapping for which there is no port changes the box all the same.
    const fn costs(self) -> bool {
        matches!(self, Self::Sequential { skip_used: false, .. })
    }
}

/// Whose counter it is.
const fn counter_of(counter: Counter, wish: Wish) -> Option<IpAddr> {
    match counter {
        Counter::Global => None,
        Counter::PerInside => Some(wish.inside.ip()),
        Counter::PerDestination => Some(wish.to.ip()),
    }
}
