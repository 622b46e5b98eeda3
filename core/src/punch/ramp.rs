//! The bursts of a ramp: two ends whose ports towards each other do not exist yet.
//!
//! Number each counter's ports from where the server saw it. Until its burst passes its NAT, foreign
//! mappings move a counter on by its *drift*, a number between two bounds nearly always. The bubbler
//! sends from neighbouring ports to one port, the *goal*: the highest that the replier's next mapping
//! may get. The replier climbs: each reply goes to another of the bubbler's ports and so gets
//! the next port of its own, until one leaves from the goal. The ports are so arranged that this one
//! goes to a port of the bubbler's, whatever the drifts were.

use super::burst::{Bracket, Burst};
use crate::nat::{Differential, Forecast};

/// What is known of one end's ports.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// One port for all of the peer's, and made already.
    Port(Forecast),
    /// A counter that was seen here.
    Counter(u16, Differential),
    /// Sockets that keep their ports for what they send to first, bound from here on.
    Bound(u16),
}

/// One end of a ramp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Foot {
    pub(super) side: Side,
    /// Fewest and most foreign mappings that its counter may have moved on by.
    pub(super) drift: (u8, u8),
    /// Fresh sockets that it can open.
    pub(super) sockets: u8,
}

impl Foot {
    fn low(&self) -> i32 {
        self.drift.0.into()
    }

    fn high(&self) -> i32 {
        self.drift.1.into()
    }

    /// In how many places the counter may be.
    fn places(&self) -> u16 {
        u16::from(self.drift.1.saturating_sub(self.drift.0)).saturating_add(1)
    }
}

/// Ports of one candidate range that are tried at most.
pub(super) const WIDEST: u16 = 128;

/// The bursts of the bubbler and of the replier; `None` where a port would lie outside the port
/// space.
pub(super) fn bursts(round: u8, bubbler: &Foot, replier: &Foot) -> Option<(Burst, Burst)> {
    let one = |ports, count| Burst {
        sockets: 1,
        keep: true,
        ..Burst::from_registered(round, ports, count)
    };
    match (bubbler.side, replier.side) {
        (Side::Port(at), Side::Port(to)) => Some((one(to, WIDEST), one(at, WIDEST))),
        (Side::Port(at), Side::Counter(last, step)) => climb(round, at, replier, (last, step)),
        (Side::Counter(last, step), Side::Port(to)) => {
            let (bubble, reply) = climb(round, to, bubbler, (last, step))?;
            Some((reply, bubble))
        }
        // A fresh socket has one first destination: the likeliest.
        (Side::Bound(first), Side::Port(to)) => Some((one(to, 1), one(Forecast::Port(first), 1))),
        (Side::Counter(seen, by), Side::Counter(last, step)) => {
            let wanted = replier.places().saturating_add(bubbler.places()).saturating_sub(1);
            let bubbles = u8::try_from(wanted).unwrap_or(u8::MAX).min(bubbler.sockets);
            // The j-th reply leaves from the goal at j = high - drift of the replier, and must find
            // the bubbler's ports, which begin at its own drift. With all sockets that are wanted
            // every combination meets; with fewer, those of small drifts, which are likelier.
            let ahead = bubbler.low().saturating_add(1).saturating_add(bubbles.into());
            let first = by.on(seen, ahead.saturating_sub(replier.places().into()))?;
            meet(round, replier, (last, step), bubbles, Forecast::Run { first, differential: by })
        }
        (Side::Bound(first), Side::Counter(last, step)) => {
            let bubbles = u8::try_from(replier.places()).unwrap_or(u8::MAX).min(bubbler.sockets);
            let ports = Forecast::Run { first, differential: Differential::ONE };
            let (bubble, reply) = meet(round, replier, (last, step), bubbles, ports)?;
            Some((Burst { keep: true, ..bubble }, reply))
        }
        (_, Side::Bound(_)) => None,
    }
}

/// One end's port is made; the other's counter climbs past all ports that the first has sent to.
fn climb(
    round: u8,
    made: Forecast,
    climber: &Foot,
    (last, step): (u16, Differential),
) -> Option<(Burst, Burst)> {
    let first = step.on(last, climber.low().saturating_add(1))?;
    let ports = Forecast::Run { first, differential: step };
    let bubble = Burst::from_registered(round, ports, climber.places());
    let reply = Burst::from_registered(round, made, climber.places());
    Some((Burst { sockets: 1, keep: true, ..bubble }, Burst { sockets: 1, ..reply }))
}

/// Bubbles to the goal, replies to `ports`.
fn meet(
    round: u8,
    replier: &Foot,
    (last, step): (u16, Differential),
    bubbles: u8,
    ports: Forecast,
) -> Option<(Burst, Burst)> {
    let goal = step.on(last, replier.high().saturating_add(1))?;
    let bubble = Burst::from_fresh(round, bubbles, goal, Bracket::None);
    let reply = Burst::from_registered(round, ports, replier.places());
    Some((bubble, Burst { sockets: 1, ..reply }))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    /// Whether the two bursts meet when the counters have drifted so far: for each pair of packets,
    /// each must go to the port that the other comes from.
    fn meets(bubble: &Burst, reply: &Burst, one: (u16, i32, i32), other: (u16, i32, i32)) -> bool {
        let port = |(last, step, drift): (u16, i32, i32), nth: usize| {
            i32::from(last) + step * (drift + 1 + i32::try_from(nth).unwrap())
        };
        let goal = i32::from(bubble.ports.ports().next().unwrap());
        let targets: Vec<u16> = reply.ports.ports().take(reply.count.into()).collect();
        (0..usize::from(bubble.sockets)).any(|bubble| {
            targets.iter().enumerate().any(|(nth, &target)| {
                port(other, nth) == goal && port(one, bubble) == i32::from(target)
            })
        })
    }

    #[test]
    fn two_counters_meet_whatever_their_drifts_are_within_the_bounds() {
        for (a, b) in [(1, 1), (1, 2), (-8, 2), (64, -64), (-1, -1)] {
            for (one, other) in [((0, 4), (0, 4)), ((0, 9), (2, 7)), ((5, 20), (11, 30))] {
                let foot = |step, drift| {
                    let side = Side::Counter(30_000, Differential::new(step).unwrap());
                    Foot { side, drift, sockets: 255 }
                };
                let (bubble, reply) = bursts(0, &foot(a, one), &foot(b, other)).unwrap();
                for x in one.0..=one.1 {
                    for y in other.0..=other.1 {
                        let (x, y) = (i32::from(x), i32::from(y));
                        let met = meets(&bubble, &reply, (30_000, a, x), (30_000, b, y));
                        assert!(met, "steps {a}, {b}; drifts {x}, {y}");
                    }
                }
                let packets = u16::from(bubble.sockets) + reply.count;
                let (wide, high) = (u16::from(one.1 - one.0), u16::from(other.1 - other.0));
                assert_eq!(packets, wide + 2 * high + 2);
            }
        }
    }

    #[test]
    fn with_four_sockets_small_drifts_still_meet() {
        let side = Side::Counter(30_000, Differential::ONE);
        let foot = Foot { side, drift: (0, 4), sockets: 4 };
        let (bubble, reply) = bursts(0, &foot, &foot).unwrap();
        assert_eq!(bubble.sockets, 4);
        for (x, y) in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)] {
            assert!(meets(&bubble, &reply, (30_000, 1, x), (30_000, 1, y)), "drifts {x}, {y}");
        }
    }

    #[test]
    fn a_counter_at_the_end_of_the_port_space_gives_no_bursts() {
        let at = |last| Foot {
            side: Side::Counter(last, Differential::new(64).unwrap()),
            drift: (0, 4),
            sockets: 9,
        };
        assert!(bursts(0, &at(30_000), &at(65_500)).is_none());
        assert!(bursts(0, &at(65_500), &at(30_000)).is_none());
    }
}
