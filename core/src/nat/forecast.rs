//! Candidate ports, the likeliest first.
//!
//! A [`Forecast`] is what is known of a port; its [`Candidates`] are an iterator of constant size, so
//! a microcontroller can spray a range as well as a host. At most [`MAX_CANDIDATE_PORTS`] come of it.

use serde::{Deserialize, Serialize};

use super::count::{Count, Walk};
use super::differential::Differential;
use super::range::leads;
use crate::wire::once::number;

/// Most candidates of one forecast: no attempt has a larger budget.
pub const MAX_CANDIDATE_PORTS: usize = 1_024;

/// How many numbers of foreign mappings are looked at for them: some lead out of the port space.
const MOST_NUMBERS: u32 = 4_096;

/// What is known of a port that a NAT has given out or will give out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Forecast {
    /// The port itself.
    Port(#[serde(with = "number")] u16),
    /// A counter was seen at `last`; this is the `nth` mapping of the equipment's own after it, and
    /// foreign ones came between.
    Counter {
        /// The port that was seen.
        #[serde(with = "number")]
        last: u16,
        /// The counter's step.
        differential: Differential,
        /// 1 for the very next mapping.
        #[serde(with = "number")]
        nth: u16,
        /// How many foreign mappings.
        foreign: Count,
    },
    /// This port, and the ports on from it at the differential: a range in its order.
    Run {
        /// The first port.
        #[serde(with = "number")]
        first: u16,
        /// The step.
        differential: Differential,
    },
    /// A counter was seen at both ports and went round the end of its range between them; where
    /// that is, is not known.
    Around {
        /// The port seen first.
        #[serde(with = "number")]
        before: u16,
        /// The port seen last.
        #[serde(with = "number")]
        after: u16,
        /// The counter's step.
        differential: Differential,
    },
    /// Any port between the two, from the middle outwards.
    Between {
        /// Below all.
        #[serde(with = "number")]
        low: u16,
        /// Above all.
        #[serde(with = "number")]
        high: u16,
    },
    /// Drawn from this set, or from up to `margin` ports around it.
    Among {
        /// The lowest port that was seen.
        #[serde(with = "number")]
        low: u16,
        /// The highest.
        #[serde(with = "number")]
        high: u16,
        /// How far the set may reach beyond what was seen, on each side.
        #[serde(with = "number")]
        margin: u16,
    },
}

impl Forecast {
    /// The candidates, the likeliest first. Port 0 is none.
    #[must_use]
    pub fn ports(self) -> Candidates {
        let forecast = match self {
            // The second lies ahead of the first: nothing went round, and all ports between are left.
            Self::Around { before, after, differential }
                if before != after && leads(differential, before, after) =>
            {
                Self::Between { low: before.min(after), high: before.max(after) }
            }
            other => other,
        };
        let walk = match forecast {
            Self::Counter { foreign, .. } => Some(foreign.walk()),
            _ => None,
        };
        Candidates { forecast, walk, at: 0, given: 0 }
    }
}

/// The ports of a [`Forecast`], the likeliest first, each once.
#[derive(Clone, Debug)]
pub struct Candidates {
    forecast: Forecast,
    walk: Option<Walk>,
    /// How many places were looked at.
    at: u32,
    given: usize,
}

impl Iterator for Candidates {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.given >= MAX_CANDIDATE_PORTS {
            return None;
        }
        let port = match self.forecast {
            Forecast::Port(port) => self.tick(1).map(|_| port).filter(|&port| port != 0),
            Forecast::Counter { last, differential, nth, .. } => {
                self.counted(last, differential, nth)
            }
            Forecast::Run { first, differential } => {
                let at = self.tick(1 << 16).and_then(|at| i32::try_from(at).ok())?;
                differential.on(first, at)
            }
            Forecast::Around { before, after, differential } => {
                self.around(before, after, differential)
            }
            Forecast::Between { low, high } => self.between(low, high),
            Forecast::Among { low, high, margin } => self.among(low, high, margin),
        }?;
        self.given = self.given.saturating_add(1);
        Some(port)
    }
}

impl Candidates {
    /// The next place below `len`.
    fn tick(&mut self, len: u32) -> Option<u32> {
        let at = self.at;
        (at < len).then(|| {
            self.at = at.saturating_add(1);
            at
        })
    }

    /// The walk leaves the port space at one end only, so the first port outside of it on the way
    /// up is not the last candidate: those below the peak may be left.
    fn counted(&mut self, last: u16, step: Differential, nth: u16) -> Option<u16> {
        loop {
            self.tick(MOST_NUMBERS)?;
            let ahead = self.walk.as_mut()?.next()?.saturating_add(nth.into());
            let port = i32::try_from(ahead).ok().and_then(|ahead| step.on(last, ahead));
            if port.is_some() {
                return port;
            }
        }
    }

    /// Forwards from the port before, and backwards from the port after, in turn.
    fn around(&mut self, before: u16, after: u16, step: Differential) -> Option<u16> {
        loop {
            let at = self.tick(131_070)?;
            let steps = i32::try_from(at >> 1).ok()?.checked_add(1)?;
            let (from, steps) =
                if at & 1 == 0 { (before, steps) } else { (after, steps.saturating_neg()) };
            if let Some(port) = step.on(from, steps) {
                return Some(port);
            }
        }
    }

    fn between(&mut self, low: u16, high: u16) -> Option<u16> {
        let inside = u32::from(high).checked_sub(low.into())?.checked_sub(1)?;
        let at = self.tick(inside)?;
        // 0, 1, 2, 3, … goes to the middle, one above it, one below it, two above it, …
        let middle = u32::from(low).saturating_add(inside.saturating_add(1) >> 1);
        let off = at.saturating_add(1) >> 1;
        let port = if at & 1 == 1 { middle.checked_add(off) } else { middle.checked_sub(off) };
        port.and_then(|port| u16::try_from(port).ok())
    }

    /// What was seen in a scattered order, then what lies around it from near to far.
    fn among(&mut self, low: u16, high: u16, margin: u16) -> Option<u16> {
        let len = u32::from(high).checked_sub(low.into())?.saturating_add(1);
        let around = u32::from(margin).saturating_mul(2);
        loop {
            let at = self.tick(len.saturating_add(around))?;
            let port = if at < len {
                scatter(at, len).saturating_add(low.into())
            } else {
                let out = at.saturating_sub(len);
                let far = (out >> 1).saturating_add(1);
                let beyond = if out & 1 == 0 {
                    u32::from(high).checked_add(far)
                } else {
                    u32::from(low).checked_sub(far)
                };
                beyond.unwrap_or(0)
            };
            match u16::try_from(port) {
                Ok(0) | Err(_) => {}
                Ok(port) => return Some(port),
            }
        }
    }
}

/// The place `at` in an order that visits each of `len` places once and spreads any run of places
/// over all of them: multiples of a number that has no divisor in common with `len`, near the
/// golden section of it.
fn scatter(at: u32, len: u32) -> u32 {
    let stride = stride(len);
    let product = u64::from(at).saturating_mul(stride.into());
    u32::try_from(product.checked_rem(len.into()).unwrap_or(0)).unwrap_or(0)
}

/// Numbers up to 65,536 have at most six different prime divisors, so one is found within a few
/// steps.
fn stride(len: u32) -> u32 {
    let start = len.saturating_mul(5).checked_shr(3).unwrap_or(1).max(1);
    (start..start.saturating_add(64)).find(|&by| coprime(by, len)).unwrap_or(1)
}

fn coprime(mut a: u32, mut b: u32) -> bool {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a == 1
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_counter_with_little_traffic_is_most_likely_at_its_next_port() {
        let differential = Differential::new(4).unwrap();
        let foreign = Count::Poisson { mean: 128 };
        let forecast = Forecast::Counter { last: 1_000, differential, nth: 1, foreign };
        assert_eq!(forecast.ports().take(4).collect::<Vec<_>>(), [1_004, 1_008, 1_012, 1_016]);
        let busy = Count::Poisson { mean: 5 << 8 };
        let forecast = Forecast::Counter { last: 1_000, differential, nth: 2, foreign: busy };
        // 4 and 5 are equally likely, then 6 and 3.
        assert_eq!(forecast.ports().take(4).collect::<Vec<_>>(), [1_024, 1_028, 1_032, 1_020]);
    }

    #[test]
    fn a_counter_near_the_end_of_the_port_space_still_names_what_lies_within() {
        let differential = Differential::ONE;
        let foreign = Count::Poisson { mean: 20 << 8 };
        let forecast = Forecast::Counter { last: 65_525, differential, nth: 1, foreign };
        let ports: Vec<u16> = forecast.ports().collect();
        assert!(ports.contains(&65_535) && ports.contains(&65_526), "{ports:?}");
    }

    #[test]
    fn a_set_is_visited_once_inside_first_and_then_outwards() {
        for (low, high) in
            [(5_000, 5_000), (5_000, 5_001), (5_000, 5_511), (1, 300), (65_300, 65_535)]
        {
            let ports: Vec<u16> = Forecast::Among { low, high, margin: 3 }.ports().collect();
            let inside = usize::from(high - low) + 1;
            let mut first = ports[..inside].to_vec();
            first.sort_unstable();
            assert_eq!(first, (low..=high).collect::<Vec<_>>());
            assert!(ports[inside..].iter().all(|port| !(low..=high).contains(port) && *port != 0));
        }
        assert_eq!(Forecast::Among { low: 9, high: 8, margin: 3 }.ports().next(), None);
    }

    #[test]
    fn any_few_probes_of_a_set_are_spread_over_it() {
        for len in [64_u16, 100, 512, 1_000, 4_096, 60_000] {
            let ports: Vec<u16> = Forecast::Among { low: 1_000, high: 999 + len, margin: 0 }
                .ports()
                .take(16)
                .collect();
            let quarter = |n: u16| ports.iter().filter(|&&p| (p - 1_000) / (len / 4) == n).count();
            for n in 0..4 {
                assert!(quarter(n) >= 2, "{len}: {ports:?}");
            }
        }
    }

    #[test]
    fn no_forecast_gives_more_than_the_limit_or_a_port_twice() {
        let differential = Differential::new(-1).unwrap();
        let all = [
            Forecast::Port(7),
            Forecast::Among { low: 1, high: u16::MAX, margin: u16::MAX },
            Forecast::Between { low: 0, high: u16::MAX },
            Forecast::Around { before: 30_000, after: 20_000, differential },
            Forecast::Around { before: 20_000, after: 20_100, differential: Differential::ONE },
            Forecast::Around { before: 20_000, after: 20_000, differential },
            Forecast::Port(0),
            Forecast::Run { first: 0, differential },
            Forecast::Run { first: u16::MAX, differential: Differential::ONE },
            Forecast::Among { low: 0, high: 0, margin: 9 },
            Forecast::Counter {
                last: u16::MAX,
                differential,
                nth: u16::MAX,
                foreign: Count::Split { number: u16::MAX, part: 1, rest: 1 },
            },
        ];
        for forecast in all {
            let mut ports: Vec<u16> = forecast.ports().collect();
            let given = ports.len();
            assert!(given <= MAX_CANDIDATE_PORTS, "{forecast:?}");
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), given, "{forecast:?}");
            assert!(!ports.contains(&0), "{forecast:?}");
        }
    }
}
