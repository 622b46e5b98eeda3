//! Who may use which ports, and what others do with them.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use super::allocate::Conflict;
use super::config::{
    Allocation, Behaviour, Blocks, Counter, Foreign, NatConfig, Pick, Preserve, Sharing,
};
use super::foreign::Crowd;
use super::ports::{Ports, Unassigned};
use super::{Nat, Proto};
use crate::rng::Rng;

/// Some ports of one external address, and who else uses them.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) ports: Ports,
    pub(super) crowd: Crowd,
    /// Where each counter stands.
    pub(super) counters: BTreeMap<Option<IpAddr>, u32>,
}

/// Whose ports, and of which external address. No host: everybody's.
pub(super) type Place = (Option<IpAddr>, IpAddr);

impl Nat {
    /// Where the ports of `host` at an external address are kept. Settings that have changed since
    /// take effect here: every host gets its ports anew.
    pub(super) fn space_of(&mut self, host: IpAddr, address: IpAddr) -> Place {
        let blocks = self.config.blocks;
        // A change of the extension's size takes effect with the next extension.
        if self.layout != (self.config.ports.clone(), blocks) {
            self.layout = (self.config.ports.clone(), blocks);
            self.spaces.clear();
            self.unassigned.clear();
        }
        ((blocks != Blocks::None).then_some(host), address)
    }

    /// One more block for a host, if it may have one and one is left.
    pub(super) fn add_block(&mut self, place: Place) -> bool {
        let (ports, blocks) = self.layout.clone();
        let has = self.spaces.get(&place).map_or(0, Vec::len);
        let most = match blocks {
            Blocks::Contiguous { most, .. } => usize::from(most.max(1)),
            _ => 1,
        };
        if has >= most {
            return false;
        }
        let block = if blocks == Blocks::None {
            Some(Ports::range(&ports))
        } else {
            let unassigned =
                self.unassigned.entry(place.1).or_insert_with(|| Unassigned::new(ports, blocks));
            let size = self.config.extension.filter(|_| has > 0);
            let taken = match size {
                None => unassigned.take(&mut self.rng),
                Some(size) => unassigned.take_piece(&mut self.rng, size),
            };
            taken.or_else(|| self.reclaim(place, size))
        };
        let Some(block) = block else { return false };
        self.spaces.entry(place).or_default().push(Space::new(block));
        true
    }

    /// The blocks of another host that has no mapping are taken away.
    fn reclaim(&mut self, (own, address): Place, size: Option<u16>) -> Option<Ports> {
        let idle = self.spaces.keys().copied().find(|&(host, at)| {
            at == address
                && host != own
                && host.is_some_and(|host| {
                    self.table.count(host) == 0
                        && [Proto::Udp, Proto::Tcp]
                            .iter()
                            .all(|&proto| self.fixed.leases_of(proto, host).is_empty())
                })
        })?;
        let unassigned = self.unassigned.get_mut(&address)?;
        for space in self.spaces.remove(&idle)? {
            unassigned.give_back(&space.ports);
        }
        match size {
            None => unassigned.take(&mut self.rng),
            Some(size) => unassigned.take_piece(&mut self.rng, size),
        }
    }
}

impl Space {
    pub(super) const fn new(ports: Ports) -> Self {
        Self { ports, crowd: Crowd::new(), counters: BTreeMap::new() }
    }

    pub(super) fn play(
        &mut self,
        rng: &mut Rng,
        foreign: &Foreign,
        (now, share): (Duration, usize),
        config: &NatConfig,
        taken: impl Fn(u16) -> bool,
    ) {
        let Self { ports, crowd, counters } = self;
        let (udp, tcp, then) = (&config.behaviour, &config.tcp_behaviour, &config.on_conflict);
        let counts = |of: &Behaviour| counted(&of.allocation).is_some();
        let all = counts(udp) || tcp.iter().any(counts) || then.iter().any(counts);
        crowd.catch_up(rng, foreign, (now, share, all), |rng, crowd| {
            // Every other one is TCP where that makes a difference.
            let first = tcp.as_ref().filter(|_| rng.chance(0.5)).unwrap_or(udp);
            let mut levels = core::iter::once(first).chain(then).peekable();
            while let Some(Behaviour { allocation, .. }) = levels.next() {
                let yields = levels.peek().is_some();
                let place = other(rng, (ports, crowd, counters), allocation, yields, &taken);
                if let Ok(index) = place {
                    return index;
                }
            }
            None
        });
    }
}

/// The place of somebody else's new mapping, if it takes one up.
fn other(
    rng: &mut Rng,
    (ports, crowd, counters): (&Ports, &Crowd, &mut BTreeMap<Option<IpAddr>, u32>),
    allocation: &Allocation,
    yields: bool,
    taken: impl Fn(u16) -> bool,
) -> Result<Option<u32>, Conflict> {
    let exclusive = allocation.sharing == Sharing::Exclusive;
    if exclusive && crowd.len() >= ports.len() as usize {
        return Ok(None);
    }
    let free = |index, port| !exclusive || (!crowd.has(index) && !taken(port));
    let mut draw = || ports.anywhere(rng);
    let drawn = |index: u32| ports.get(index).filter(|&port| free(index, port));
    if allocation.preserve == Preserve::WhenFree {
        let wanted = draw();
        if drawn(wanted).is_some() {
            return Ok(exclusive.then_some(wanted));
        }
        if yields {
            return Err(Conflict);
        }
    }
    let chosen = if let Some((step, skip)) = counted(allocation) {
        let parity = allocation.parity.then(|| (draw() & 1) as u16);
        let at = counters.entry(None).or_insert_with(|| start_of(step, ports));
        ports.walk(at, (step, skip), parity, free)
    } else {
        (0..64).map(|_| draw()).find(|&index| drawn(index).is_some())
    };
    Ok(chosen.filter(|_| exclusive))
}

/// Step and skipping of the counter that all hosts share.
const fn counted(allocation: &Allocation) -> Option<(i16, bool)> {
    match allocation.pick {
        Pick::Sequential { step, counter: Counter::Global, skip_used } => Some((step, skip_used)),
        Pick::Sequential { .. } | Pick::Random | Pick::RandomStart { .. } => None,
    }
}

/// Where the counter of the whole box starts.
pub(super) fn start_of(step: i16, ports: &Ports) -> u32 {
    if step < 0 { ports.len().saturating_sub(1) } else { 0 }
}
