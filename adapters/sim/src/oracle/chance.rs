//! The arithmetic: how often a port that is looked for is found.

use core::time::Duration;

use super::room::OBSERVED;
use crate::nat::Foreign;

/// Between what a known strategy reaches and what no strategy exceeds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Probability {
    /// A strategy is known that connects at least this often.
    pub reached: f64,
    /// No strategy connects more often.
    pub at_most: f64,
}

impl Probability {
    /// Certainly not.
    pub const NEVER: Self = Self { reached: 0.0, at_most: 0.0 };
    /// Certainly.
    pub const ALWAYS: Self = Self { reached: 1.0, at_most: 1.0 };
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { reached: 0.0, at_most: 1.0 };

    pub(crate) fn new(reached: f64, at_most: f64) -> Self {
        let at_most = at_most.clamp(0.0, 1.0);
        Self { reached: reached.clamp(0.0, at_most), at_most }
    }

    /// Whether `hits` out of `runs` can be what a protocol with the best known strategy shows, when
    /// the share may be off by `sigmas` standard deviations of chance.
    #[must_use]
    pub fn allows(self, hits: u32, runs: u32, sigmas: f64) -> bool {
        let (hits, runs) = (f64::from(hits), f64::from(runs.max(1)));
        let off = |p: f64| sigmas * (runs * p * (1.0 - p)).sqrt() + 1e-9 * runs;
        hits >= self.reached * runs - off(self.reached)
            && hits <= self.at_most * runs + off(self.at_most)
    }
}

/// `found` of `all` ports are asked; `mapped` of them, drawn without any order, are the right ones.
/// The probability that one of those is asked (hypergeometric; "birthday" when both are many).
pub(crate) fn meet(all: u32, mapped: u32, asked: u32) -> f64 {
    let (mapped, asked) = (mapped.min(all), asked.min(all));
    if mapped + asked > all {
        return 1.0;
    }
    let (all, mapped) = (f64::from(all), f64::from(mapped));
    let missed: f64 = (0..asked).map(f64::from).map(|asked| 1.0 - mapped / (all - asked)).product();
    1.0 - missed
}

/// The same where a draw that hits a port in use takes the next free one: no strategy exceeds this.
///
/// Every run of ports in use makes the port after it likelier by its length. Told where all other
/// mappings are (and `others` besides), a prober wins by `asked` draws and one more for each of those;
/// over all `mapped` that is the first bound. The second takes the mappings one after the other: where
/// probes are not told anything but what was observed, each misses with its own share of the ports;
/// what later observations can tell needs that one of the two was pushed on by a mapping of ours.
pub(crate) fn meet_next(all: u32, mapped: u32, asked: u32, others: u32) -> f64 {
    let (all, n, m, others) =
        (f64::from(all), f64::from(mapped), f64::from(asked), f64::from(others));
    let observed = f64::from(OBSERVED);
    let told = n * (m + others + n + observed - 1.0) / all;
    let missed: f64 = (0..mapped)
        .map(|before| (1.0 - (m + others + observed + f64::from(before)) / all).max(0.0))
        .product();
    let pushed = 2.0 * (n + others + observed) / all;
    told.min(1.0 - missed + pushed).min(1.0)
}

/// The same for one of `mapped` and one port that was chosen for it.
///
/// With few ports in use, the run before any port is on average hardly longer than what was observed.
pub(crate) fn next(all: u32, mapped: u32, others: u32) -> f64 {
    let used = f64::from(mapped) + f64::from(OBSERVED) + f64::from(others);
    let all = f64::from(all);
    if used * 16.0 <= all { 8.0_f64.min(used) / all } else { used / all }
}

/// How many mappings other users make within a time, as a distribution.
///
/// Single ones come as a Poisson process, bursts as another one with sizes drawn from a geometric
/// distribution; together a compound Poisson distribution, computed by Panjer's recursion.
pub(crate) struct Drift {
    /// The probability of each number; what is missing from 1 lies beyond the end.
    pub(crate) of: Vec<f64>,
}

/// Longer distributions are cut off; the rest counts as "anything" in upper bounds.
const LONGEST: usize = 4_096;
/// What happens less often than this is not counted.
pub(crate) const RARE: f64 = 1e-9;
/// A distribution ends when this is all that is left.
const REST: f64 = 1e-12;

impl Drift {
    pub(crate) fn new(foreign: Option<Foreign>, within: Duration) -> Self {
        let Some(foreign) = foreign else { return Self { of: vec![1.0] } };
        let time = within.as_secs_f64();
        let (single, bursts) = (foreign.rate.max(0.0) * time, foreign.bursts.max(0.0) * time);
        let stop = 1.0 / foreign.burst_size.max(1.0);
        // Probability of an event's size, times the size, times the rate of events.
        let weight = |size: usize| {
            let tail = (1.0 - stop).powi(i32::try_from(size - 1).unwrap_or(i32::MAX));
            let ones = if size == 1 { single } else { 0.0 };
            size as f64 * (ones + bursts * stop * tail)
        };
        let weights: Vec<f64> = (1..=LONGEST).map(weight).collect();
        let mut of = vec![(-(single + bursts)).exp()];
        let mut sum = of[0];
        while sum < 1.0 - REST && of.len() < LONGEST {
            let n = of.len();
            let terms = weights.iter().zip(of.iter().rev()).map(|(weight, p)| weight * p);
            of.push(terms.sum::<f64>() / n as f64);
            sum += of[n];
        }
        Self { of }
    }

    /// The largest sum of `width` neighbouring probabilities: the counter is somewhere in the best
    /// window of that width.
    pub(crate) fn window(&self, width: usize) -> f64 {
        let width = width.min(self.of.len());
        self.of.windows(width.max(1)).map(|part| part.iter().sum()).fold(0.0, f64::max)
    }
}

/// How many mappings others make within a time at most, but for one chance in 10⁹: Chernoff's bound
/// of the compound Poisson distribution, P(X ≥ k) ≤ exp(Λ(θ) − θk) for every θ.
pub(crate) fn most(foreign: Foreign, within: Duration) -> u32 {
    let time = within.as_secs_f64();
    let (single, bursts) = (foreign.rate.max(0.0) * time, foreign.bursts.max(0.0) * time);
    if single + bursts <= 0.0 {
        return 0;
    }
    let stop = 1.0 / foreign.burst_size.max(1.0);
    let bound = |theta: f64| {
        let z = theta.exp();
        let size = if bursts > 0.0 { stop * z / (1.0 - (1.0 - stop) * z) } else { 1.0 };
        let log = single * (z - 1.0) + bursts * (size - 1.0);
        // Beyond the last θ at which the sum converges it would be negative.
        if size > 0.0 { (log - RARE.ln()) / theta } else { f64::INFINITY }
    };
    let thetas = (-2..20).map(|i| 0.5_f64.powi(i));
    let least = thetas.map(bound).filter(|k| !k.is_nan()).fold(f64::INFINITY, f64::min);
    // Saturates.
    least.ceil() as u32
}

/// A counter is observed, a mapping is made, the counter is observed again, with `gap` between each
/// two: the probability that the mapping's port is one of `asked`, the best ones.
///
/// The two observations hide only how many of the foreign mappings between them came before ours.
/// Each sum over a total is exact; what a cut-off distribution leaves out is returned as the second
/// number.
pub(crate) fn bracket(foreign: Option<Foreign>, gap: Duration, asked: u32) -> (f64, f64) {
    let drift = Drift::new(foreign, gap);
    let of = &drift.of;
    let mut found = 0.0;
    for total in 0..of.len() * 2 - 1 {
        let first = total.saturating_sub(of.len() - 1)..=total.min(of.len() - 1);
        let mut ways: Vec<f64> = first.map(|before| of[before] * of[total - before]).collect();
        ways.sort_by(|a, b| b.total_cmp(a));
        found += ways.iter().take(asked as usize).sum::<f64>();
    }
    let seen: f64 = of.iter().sum();
    (found.min(1.0), (1.0 - seen * seen).max(0.0))
}

/// In which order to ask for a mapping's place in a counter.
///
/// The counter was observed before the mapping was made and after it, `gap` away each, and `between`
/// other mappings came between: a list of how many of those came before ours, the likeliest first.
#[must_use]
pub fn likeliest(foreign: Option<Foreign>, gap: Duration, between: u32) -> Vec<u32> {
    let of = Drift::new(foreign, gap).of;
    let p = |number: u32| of.get(number as usize).copied().unwrap_or(0.0);
    let mut places: Vec<u32> = (0..=between).collect();
    let chance = |&before: &u32| p(before) * p(between - before);
    places.sort_by(|a, b| chance(b).total_cmp(&chance(a)));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    const QUIET: Foreign =
        Foreign { rate: 50.0, bursts: 0.0, burst_size: 1.0, stay: Duration::ZERO };

    #[test]
    fn the_birthday_formula_agrees_with_counting() {
        // 2 of 5 mapped, 2 asked: 3 of the 10 pairs miss both.
        close(meet(5, 2, 2), 0.7);
        close(meet(512, 400, 1), 400.0 / 512.0);
        close(meet(10, 4, 7), 1.0);
        close(meet(10, 0, 7), 0.0);
    }

    #[test]
    fn without_bursts_the_drift_is_poisson() {
        let drift = Drift::new(Some(QUIET), Duration::from_millis(40));
        let e = (-2.0_f64).exp();
        close(drift.of[0], e);
        close(drift.of[3], e * 8.0 / 6.0);
        close(drift.of.iter().sum(), 1.0);
        close(drift.window(2), e * 4.0); // 1 and 2, or 2 alone twice as likely as 0
    }

    #[test]
    fn bursts_have_the_mean_that_they_are_given() {
        let bursty = Foreign { bursts: 3.0, burst_size: 4.0, ..QUIET };
        let drift = Drift::new(Some(bursty), Duration::from_millis(100));
        let mean: f64 = drift.of.iter().enumerate().map(|(n, p)| n as f64 * p).sum();
        close(mean, 5.0 + 0.3 * 4.0);
    }

    #[test]
    fn hardly_ever_do_others_make_more_than_the_bound() {
        let bursty = Foreign { bursts: 3.0, burst_size: 4.0, ..QUIET };
        for (foreign, time) in [(QUIET, 20), (QUIET, 4_000), (bursty, 100), (bursty, 9_000)] {
            let time = Duration::from_millis(time);
            let (most, drift) = (most(foreign, time) as usize, Drift::new(Some(foreign), time));
            let above = |k: usize| drift.of.iter().skip(k).sum::<f64>();
            assert!(above(most) < RARE, "{most}");
            // And it is not far off.
            assert!(above(most * 3 / 5) > RARE, "{most}");
        }
        assert_eq!(most(Foreign { rate: 0.0, ..QUIET }, Duration::from_secs(9)), 0);
    }

    #[test]
    fn a_bracket_is_exact_when_nobody_comes_between_and_fair_when_one_does() {
        close(bracket(None, Duration::from_secs(1), 1).0, 1.0);
        // One probe is right when there was no foreign mapping, or the larger half of a Poisson
        // total split by coins; computed by hand for up to three foreign ones.
        let (found, rest) = bracket(Some(QUIET), Duration::from_millis(1), 1);
        let total = 0.1_f64;
        let e = (-total).exp();
        let by_hand = e * (1.0 + total / 2.0 + total.powi(2) / 4.0 + total.powi(3) / 16.0);
        assert!((found - by_hand).abs() < 1e-5, "{found} {by_hand}");
        assert!(rest < 1e-9);
        assert!(bracket(Some(QUIET), Duration::from_millis(1), 3).0 > found);
    }

    #[test]
    fn single_ones_are_looked_for_in_the_middle_and_bursts_at_the_ends() {
        let gap = Duration::from_millis(1);
        assert_eq!(likeliest(Some(QUIET), gap, 2), [1, 0, 2]);
        let bursty = Foreign { rate: 0.0, bursts: 1.0, burst_size: 8.0, ..QUIET };
        assert_eq!(likeliest(Some(bursty), gap, 4)[..2], [0, 4]);
    }

    #[test]
    fn measured_shares_are_held_against_both_ends() {
        let p = Probability { reached: 0.4, at_most: 0.6 };
        assert!(
            p.allows(500, 1_000, 3.0) && !p.allows(300, 1_000, 3.0) && !p.allows(700, 1_000, 3.0)
        );
        assert!(Probability::ALWAYS.allows(10, 10, 3.0) && !Probability::ALWAYS.allows(9, 10, 3.0));
    }
}
