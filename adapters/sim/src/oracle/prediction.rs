//! What guessing ports can do, and what it cannot.
//!
//! Every upper bound is a union bound over pairs of one packet of each end, with each box's chance
//! taken as independent of the other box's; every value that is reached names its strategy.

use core::time::Duration;

use super::chance::{Drift, Probability, bracket, meet};
use super::plain;
use super::side::{Ports, Side};
use crate::nat::{Filtering, Foreign, Mapping};

/// How much each end may spend on an attempt.
///
/// For an end whose port has to be found these are mappings (fresh sockets, or fresh destinations);
/// for one that looks for a port they are probes; where both are looked for, each packet is both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Mappings or probes of `a`.
    pub a: u32,
    /// Mappings or probes of `b`.
    pub b: u32,
}

impl Default for Budget {
    /// 256 each.
    fn default() -> Self {
        Self { a: 256, b: 256 }
    }
}

/// What time does to predictions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// Between neighbouring packets of one end: a counter can be observed this long before and after
    /// a mapping is made, not closer.
    pub gap: Duration,
    /// From a counter's being observed until the other end has acted on it.
    pub delay: Duration,
}

impl Default for Conditions {
    /// 1 ms between packets, 100 ms from one end over the server to the other.
    fn default() -> Self {
        Self { gap: Duration::from_millis(1), delay: Duration::from_millis(100) }
    }
}

/// One address family in which both have an address.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Way {
    /// What the boxes may amount to, first what they do without conflicts.
    pub(crate) a: Vec<Side>,
    pub(crate) b: Vec<Side>,
    /// Known without any calculation.
    pub(crate) known: Option<Probability>,
}

/// What is known of the ports on both sides.
#[derive(Clone, PartialEq, Debug)]
pub struct Prediction {
    pub(crate) ways: Vec<Way>,
}

impl Prediction {
    /// Both sides as they are without conflicts, in the best address family; `None` when there is
    /// none.
    #[must_use]
    pub fn sides(&self) -> Option<(&Side, &Side)> {
        let way = self.ways.first()?;
        Some((way.a.first()?, way.b.first()?))
    }

    /// How often two ends with this budget connect by packets to addresses that the server has
    /// seen, and to other ports of those addresses. 1 where plain punching is certain.
    #[must_use]
    pub fn bound(&self, budget: Budget, conditions: Conditions) -> Probability {
        let ways: Vec<_> = self.ways.iter().map(|way| way.bound(budget, conditions)).collect();
        let reached = ways.iter().map(|p| p.reached).fold(0.0, f64::max);
        Probability::new(reached, ways.iter().map(|p| p.at_most).sum())
    }
}

impl Way {
    fn bound(&self, budget: Budget, conditions: Conditions) -> Probability {
        if let Some(known) = self.known {
            return known;
        }
        let mut whole = Probability { reached: 1.0, at_most: 0.0 };
        for a in &self.a {
            for b in &self.b {
                let part = Pair { a, b, conditions }.bound(budget);
                whole.reached = whole.reached.min(part.reached);
                whole.at_most = whole.at_most.max(part.at_most);
            }
        }
        whole
    }
}

/// Both sides, without any doubt about what they are.
struct Pair<'s> {
    a: &'s Side,
    b: &'s Side,
    conditions: Conditions,
}

impl Pair<'_> {
    fn bound(&self, budget: Budget) -> Probability {
        let Self { a, b, .. } = *self;
        let (n, m) = (room(a, budget.a), room(b, budget.b));
        if plain::connects(a, b) {
            return Probability::ALWAYS;
        }
        match (a.stable, b.stable) {
            (false, true) => self.one(a, n, b, m),
            (true, false) => self.one(b, m, a, n),
            _ => self.both(n, m),
        }
    }

    /// Only `hard`, with `n` mappings, has to be found; `easy` sends `m` probes.
    fn one(&self, hard: &Side, n: u32, easy: &Side, m: u32) -> Probability {
        if easy.filtering == Filtering::AddressAndPortDependent {
            return self.hit(hard, n, m);
        }
        // Any port of the right address will do, and only an address that was seen is aimed at.
        let each = 1.0 / f64::from(hard.addresses);
        if hard.address_by_destination {
            Probability::new(0.0, each)
        } else {
            let p = 1.0 - (1.0 - each).powi(i32::try_from(n).unwrap_or(i32::MAX));
            Probability::new(p, p)
        }
    }

    /// One of `m` probes meets one of `n` mappings.
    fn hit(&self, hard: &Side, n: u32, m: u32) -> Probability {
        let port = self.hit_port(hard, n, m);
        if hard.addresses == 1 {
            return port;
        }
        let each = 1.0 / f64::from(hard.addresses);
        if hard.address_by_destination {
            return Probability::new(0.0, port.at_most * each);
        }
        let union = f64::from(n) * each * self.hit_port(hard, 1, m).at_most;
        Probability::new(port.reached * each, port.at_most.min(union))
    }

    fn hit_port(&self, hard: &Side, n: u32, m: u32) -> Probability {
        if n == 0 || m == 0 {
            return Probability::NEVER;
        }
        match hard.ports {
            Ports::Seen => Probability::ALWAYS,
            // One fresh socket after the other, each asked at the port that it was bound to.
            Ports::Chosen => Probability::new(1.0 - power(hard.taken, n.min(m)), 1.0),
            // One mapping between two observations, the likeliest ports first.
            Ports::Counter { foreign, parity } => {
                let (found, rest) = bracket(foreign, self.conditions.gap, m);
                let alone = Drift::new(foreign, self.conditions.gap).of[0].powi(2);
                let reached = if parity { alone } else { found };
                Probability::new(reached, f64::from(n) * (found + rest))
            }
            // A run of `n` neighbours, probed at every `n`th port.
            Ports::Unseen { among } => {
                let p = f64::from(n) * f64::from(m) / f64::from(among);
                Probability::new(p.min(1.0), p)
            }
            // Different mappings, different probes. The mapping towards the server is known, and so
            // one port less is possible.
            Ports::Among { own, all } => {
                Probability::new(meet(all, n, m), meet((own - 1).max(1), n, m))
            }
        }
    }

    /// Both have to be found, as far as the filters care.
    fn both(&self, n: u32, m: u32) -> Probability {
        let Self { a, b, .. } = *self;
        let (on_a, on_b) = (self.hit(a, n, m), self.hit(b, m, n));
        let exact = |side: &Side| side.filtering == Filtering::AddressAndPortDependent;
        let address = |side: &Side| side.mapping == Mapping::AddressDependent;
        let open = |side: &Side| side.filtering == Filtering::EndpointIndependent;
        let chain = self.chain(n, m);
        let (reached, at_most) = match (exact(a), exact(b)) {
            // Whoever is let in by its address only has to meet one mapping, whosesoever.
            (false, false) => (on_a.reached.max(on_b.reached), on_a.at_most + on_b.at_most),
            // `a` must have sent to just the port that `b` sends from. That `b` can go on from
            // there takes an address of one of them that does not change once it is known.
            (true, false) if address(b) || (address(a) && open(b)) => (on_b.reached, on_b.at_most),
            (true, false) => (chain, on_b.at_most),
            (false, true) if address(a) || (address(b) && open(a)) => (on_a.reached, on_a.at_most),
            (false, true) => (chain, on_a.at_most),
            (true, true) => (chain, self.pairs(n, m).min(on_a.at_most).min(on_b.at_most)),
        };
        let steady = a.addresses == 1 && b.addresses == 1;
        let at_most = at_most.min(address_kept(a, b) * address_kept(b, a));
        Probability::new(if steady { reached } else { 0.0 }, at_most)
    }

    /// A packet of `a` and one of `b` have to meet each other's mapping. Over all pairs; and when
    /// all mappings of one end differ, each packet of the other can meet only one of them.
    ///
    /// Not where a box further in does the filtering, and what comes to any port of the outer one
    /// tells its end which guess was right.
    fn pairs(&self, n: u32, m: u32) -> f64 {
        let Self { a, b, .. } = *self;
        let exact = Filtering::AddressAndPortDependent;
        if a.filtering_new != exact || b.filtering_new != exact {
            return 1.0;
        }
        let (on_a, on_b) = (self.hit(a, 1, 1).at_most, self.hit(b, 1, 1).at_most);
        let (n, m) = (f64::from(n), f64::from(m));
        let mut least = n * m * on_a * on_b;
        if b.mapping == Mapping::AddressAndPortDependent {
            least = least.min(n * on_a);
        }
        if a.mapping == Mapping::AddressAndPortDependent {
            least = least.min(m * on_b);
        }
        least
    }

    /// The best known strategy when both ports matter.
    fn chain(&self, n: u32, m: u32) -> f64 {
        let Self { a, b, .. } = *self;
        if n == 0 || m == 0 {
            return 0.0;
        }
        let by_address = |side: &Side| side.mapping == Mapping::AddressDependent;
        match (by_address(a), by_address(b)) {
            // One mapping each, made by any packet to the other's address; then each looks.
            (true, true) => self.hit(a, 1, m).reached * self.hit(b, 1, n).reached,
            // `b` aims all its mappings at the likeliest port of `a`, which looks for them.
            (true, false) => self.hit(a, 1, 1).reached * self.hit(b, m, n).reached,
            (false, true) => self.hit(b, 1, 1).reached * self.hit(a, n, m).reached,
            (false, false) => self.ahead(a, n, b, m).max(self.ahead(b, m, a, n)),
        }
    }

    /// `aims` sends to a port that `walks` has not reached yet; its own port is then known as well as
    /// can be, and `walks` sends there from one fresh socket after the other, until it has passed
    /// the port that `aims` sent to. Or both walk. With what is left of the budget, again.
    fn ahead(&self, walks: &Side, n: u32, aims: &Side, m: u32) -> f64 {
        let mut best = 0.0_f64;
        let mut rounds = 1;
        while rounds <= n.min(m) {
            let aimed = self.hit(aims, 1, 1).reached.max(self.covers(aims, m / rounds));
            let once = self.covers(walks, n / rounds) * aimed;
            best = best.max(1.0 - power(1.0 - once, rounds));
            rounds *= 2;
        }
        best
    }

    /// One of `n` new mappings gets a port that was named before.
    fn covers(&self, side: &Side, n: u32) -> f64 {
        match side.ports {
            Ports::Seen => 1.0,
            Ports::Chosen => 1.0 - side.taken,
            // Both kinds of parity come by, and only one is ours.
            Ports::Counter { parity: true, .. } => 0.0,
            Ports::Counter { foreign, .. } => {
                let reach = Drift::new(foreign, self.conditions.delay).window(n as usize);
                reach * own_share(foreign, self.conditions.gap)
            }
            Ports::Unseen { among } => (f64::from(n) / f64::from(among)).min(1.0),
            Ports::Among { all, .. } => meet(all, n, 1),
        }
    }
}

/// How often `side` has the address towards `peer` that `peer` aims at and its filter expects.
fn address_kept(side: &Side, peer: &Side) -> f64 {
    let cares = peer.filtering != Filtering::EndpointIndependent;
    if side.address_by_destination && cares { 1.0 / f64::from(side.addresses) } else { 1.0 }
}

/// Which share of a counter's values is ours while we make mappings at this pace.
fn own_share(foreign: Option<Foreign>, gap: Duration) -> f64 {
    let rate = foreign.map_or(0.0, |foreign| foreign.rate + foreign.bursts * foreign.burst_size);
    1.0 / (1.0 + rate * gap.as_secs_f64())
}

/// How many mappings an end may make besides the one towards the server.
fn room(side: &Side, wanted: u32) -> u32 {
    side.most.map_or(wanted, |most| wanted.min(most.saturating_sub(1)))
}

fn power(base: f64, exponent: u32) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}
