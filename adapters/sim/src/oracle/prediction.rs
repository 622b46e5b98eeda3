//! What guessing ports can do, and what it cannot.
//!
//! Every upper bound is a union bound over pairs of one packet of each end, with each box's chance
//! taken as independent of the other box's; every value that is reached names its strategy.

use core::time::Duration;

use super::budget::{Budget, Conditions, Purse};
use super::chance::{Drift, Probability, RARE, bracket, meet, meet_next, most, next};
use super::plain;
use super::ports::{Avoiding, Ports};
use super::room::OBSERVED;
use super::side::Side;
use crate::nat::{Filtering, Foreign, Mapping};

/// One address family in which both have an address.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Way {
    /// What the boxes may amount to, first what they do without conflicts.
    pub(crate) a: Vec<Side>,
    pub(crate) b: Vec<Side>,
    /// Known without any calculation.
    pub(crate) known: Option<Probability>,
    /// There is room for plain punching, and the order that it needs can be kept.
    pub(crate) certain: bool,
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
                let part = if !plain::connects(a, b) {
                    Pair { a, b, conditions }.bound(budget)
                } else if self.certain {
                    Probability::ALWAYS
                } else {
                    Probability::UNKNOWN
                };
                whole.reached = whole.reached.min(part.reached);
                whole.at_most = whole.at_most.max(part.at_most);
            }
        }
        whole
    }
}

/// Both sides, without any doubt about what they are; plain punching does not connect them.
struct Pair<'s> {
    a: &'s Side,
    b: &'s Side,
    conditions: Conditions,
}

impl Pair<'_> {
    fn bound(&self, budget: Budget) -> Probability {
        let Self { a, b, .. } = *self;
        let (of_a, of_b) = (Purse::new(a, budget.a), Purse::new(b, budget.b));
        let (most, surely) = match (a.stable, b.stable) {
            (false, true) => (
                self.one(a, of_a.mappings, b, of_b.probes),
                self.one(a, of_a.sure_mappings, b, of_b.sure_probes),
            ),
            (true, false) => (
                self.one(b, of_b.mappings, a, of_a.probes),
                self.one(b, of_b.sure_mappings, a, of_a.sure_probes),
            ),
            _ => {
                let sure = (of_a.sure_mappings, of_b.sure_mappings);
                (self.both(of_a, of_b), Probability::new(self.both_reached(sure.0, sure.1), 1.0))
            }
        };
        let reached = if self.harmless() { surely.reached } else { 0.0 };
        Probability::new(reached, most.at_most)
    }

    /// Whether probes to wrong ports do no harm.
    fn harmless(&self) -> bool {
        let Self { a, b, .. } = *self;
        let blocks = a.blocks || b.blocks;
        let errors = (a.answers && b.fragile) || (b.answers && a.fragile);
        // An end whose port has to be found makes its mappings first.
        let occupies =
            (a.occupies && (a.stable || !b.stable)) || (b.occupies && (b.stable || !a.stable));
        !blocks && !errors && !occupies
    }

    /// Only `hard`, with `n` mappings, has to be found; `easy` sends `m` probes.
    fn one(&self, hard: &Side, n: u32, easy: &Side, m: u32) -> Probability {
        if easy.filtering == Filtering::AddressAndPortDependent {
            return self.hit(hard, n, m);
        }
        if n == 0 || m == 0 {
            return Probability::NEVER;
        }
        // Any port of the right address will do, and only addresses that were seen are aimed at.
        let each = 1.0 / f64::from(hard.addresses);
        if hard.address_by_destination {
            return Probability::new(0.0, each);
        }
        let seen = n.saturating_add(OBSERVED).min(m).min(hard.addresses);
        let found = |addresses: u32| 1.0 - power(1.0 - f64::from(addresses) * each, n);
        Probability::new(found(1), found(seen))
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
        // Two observations of a counter have to be of the same address.
        let observed = matches!(hard.ports, Ports::Counter { .. });
        let reached = if observed { port.reached * each * each } else { port.reached * each };
        Probability::new(reached, port.at_most.min(union))
    }

    fn hit_port(&self, hard: &Side, n: u32, m: u32) -> Probability {
        if n == 0 || m == 0 {
            return Probability::NEVER;
        }
        let Conditions { gap, delay } = self.conditions;
        match hard.ports {
            Ports::Seen => Probability::ALWAYS,
            // One fresh socket after the other, each asked at the port that it was bound to.
            Ports::Chosen => Probability::new(1.0 - power(hard.taken, n.min(m)) - rare(hard), 1.0),
            Ports::Counter { foreign, cycle, .. }
                if !within_cycle(
                    foreign,
                    gap.saturating_mul(2).saturating_add(delay),
                    n,
                    cycle,
                ) =>
            {
                Probability::UNKNOWN
            }
            // One mapping between two observations, the likeliest ports first.
            Ports::Counter { foreign, parity, .. } => {
                let (found, rest) = bracket(foreign, gap, m);
                let alone = Drift::new(foreign, gap).of[0].powi(2);
                let reached = if parity { alone } else { found };
                Probability::new(reached, f64::from(n) * (found + rest))
            }
            Ports::Unseen { .. } => unseen(&hard.ports, n, m),
            // Different mappings, different probes. The mappings towards the server are known, and
            // so a few ports less are possible.
            Ports::Among { own, all, avoiding } => match avoiding {
                Avoiding::Again => Probability::new(
                    meet(all, n, m),
                    meet(own.saturating_sub(OBSERVED).max(1), n, m),
                ),
                Avoiding::Next { others } => {
                    Probability::new(meet(all, n, m), meet_next(own, n, m, others))
                }
                Avoiding::Not => {
                    let p = 1.0 - power(1.0 - f64::from(m.min(all)) / f64::from(all), n);
                    Probability::new(p, meet(own, n, m))
                }
            },
            Ports::Unknown => Probability::UNKNOWN,
        }
    }

    /// One mapping is at one port that was chosen for it, whatever the `n - 1` others are.
    fn single(&self, side: &Side, n: u32) -> f64 {
        let p = match side.ports {
            Ports::Among { own, avoiding: Avoiding::Next { others }, .. } => next(own, n, others),
            Ports::Unseen { .. } => unseen(&side.ports, n, 1).at_most / f64::from(n),
            _ => self.hit_port(side, 1, 1).at_most,
        };
        p.min(1.0) / f64::from(side.addresses)
    }

    /// Both have to be found, as far as the filters care.
    fn both(&self, of_a: Purse, of_b: Purse) -> Probability {
        let Self { a, b, .. } = *self;
        let on_a = self.hit(a, of_a.mappings, of_b.probes);
        let on_b = self.hit(b, of_b.mappings, of_a.probes);
        let exact = |side: &Side| side.filtering == Filtering::AddressAndPortDependent;
        let at_most = match (exact(a), exact(b)) {
            // Whoever is let in by its address only has to meet one mapping, whosesoever.
            (false, false) => on_a.at_most + on_b.at_most,
            (true, false) => on_b.at_most,
            (false, true) => on_a.at_most,
            (true, true) => {
                self.pairs(of_a.probes, of_b.probes).min(on_a.at_most).min(on_b.at_most)
            }
        };
        Probability::new(0.0, at_most.min(address_kept(a, b) * address_kept(b, a)))
    }

    /// The best known strategy when both have to be found.
    fn both_reached(&self, n: u32, m: u32) -> f64 {
        let Self { a, b, .. } = *self;
        if a.addresses > 1 || b.addresses > 1 {
            return 0.0;
        }
        let (on_a, on_b) = (self.hit(a, n, m), self.hit(b, m, n));
        let exact = |side: &Side| side.filtering == Filtering::AddressAndPortDependent;
        let address = |side: &Side| side.mapping == Mapping::AddressDependent;
        let open = |side: &Side| side.filtering == Filtering::EndpointIndependent;
        match (exact(a), exact(b)) {
            (false, false) => on_a.reached.max(on_b.reached),
            // `a` must have sent to just the port that `b` sends from. That `b` can go on from
            // there takes an address of one of them that does not change once it is known.
            (true, false) if address(b) || (address(a) && open(b)) => on_b.reached,
            (false, true) if address(a) || (address(b) && open(a)) => on_a.reached,
            _ => self.chain(n, m),
        }
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
        let (on_a, on_b) = (self.single(a, n), self.single(b, m));
        let differ = |side: &Side| {
            let twice = matches!(side.ports, Ports::Among { avoiding: Avoiding::Not, .. });
            side.mapping == Mapping::AddressAndPortDependent && !twice
        };
        let (n, m) = (f64::from(n), f64::from(m));
        let mut least = n * m * on_a * on_b;
        if differ(b) {
            least = least.min(n * on_a);
        }
        if differ(a) {
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
        let Conditions { gap, delay } = self.conditions;
        match side.ports {
            Ports::Seen => 1.0,
            Ports::Chosen => (1.0 - side.taken - rare(side)).max(0.0),
            // Both kinds of parity come by, and only one is ours.
            Ports::Counter { parity: true, .. } | Ports::Unknown => 0.0,
            Ports::Counter { foreign, cycle, .. } => {
                if !within_cycle(foreign, gap.saturating_mul(2).saturating_add(delay), n, cycle) {
                    return 0.0;
                }
                let reach = Drift::new(foreign, delay).window(n as usize);
                reach * own_share(foreign, gap)
            }
            Ports::Unseen { .. } => unseen(&side.ports, n, 1).reached,
            Ports::Among { all, avoiding: Avoiding::Not, .. } => {
                1.0 - power(1.0 - 1.0 / f64::from(all), n)
            }
            Ports::Among { all, .. } => meet(all, n, 1),
        }
    }
}

/// Whether a counter hardly ever comes by a port again while it is watched.
fn within_cycle(foreign: Option<Foreign>, watched: Duration, own: u32, cycle: u32) -> bool {
    let others = foreign.map_or(0, |foreign| most(foreign, foreign.stay + watched));
    others.saturating_add(own).saturating_add(OBSERVED) < cycle
}

/// A counter that may begin anywhere: a run of `n` neighbours, probed at every `n`th port.
///
/// Told everything about all other mappings, a prober can win by each place where the counter may
/// begin that leads to a port that is asked: one for each, two with parity (three at the end of the
/// range), and one more for each port that is passed over because it is in use.
fn unseen(ports: &Ports, n: u32, m: u32) -> Probability {
    let Ports::Unseen { own, all, cycle, parity, exclusive } = *ports else {
        return Probability::UNKNOWN;
    };
    let (mappings, probes) = (f64::from(n), f64::from(m));
    let passed =
        exclusive.map_or(0.0, |others| f64::from(n) + f64::from(OBSERVED - 1) + f64::from(others));
    let ways = if parity { probes * 2.0 + 1.0 } else { probes };
    let at_most = mappings * (ways + passed) / f64::from(own);
    let run = if parity || own != all { 1.0 } else { f64::from(n.min(cycle / 2).max(1)) };
    let missed = if exclusive.is_some() { f64::from(OBSERVED) } else { 0.0 };
    let reached = (run * (probes - missed) / f64::from(all)).clamp(0.0, 0.5);
    Probability::new(
        if exclusive.is_some_and(|others| others > 0) { 0.0 } else { reached },
        at_most,
    )
}

/// What is left out of the share of ports that others use.
fn rare(side: &Side) -> f64 {
    if side.taken > 0.0 { RARE } else { 0.0 }
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

fn power(base: f64, exponent: u32) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}
