//! Packets drawn at random, a few hundred for each kind of NAT: no scenario that somebody thought of.

use genkan_kernel_tests::Step::{Answer, Knock, Out, Reboot, Stranger};
use genkan_kernel_tests::scenario::{A, B, R, R2, S, T};
use genkan_kernel_tests::{Inside, Remote, Rules, SiteSpec, Step, same};
use genkan_sim::Rng;

const REMOTES: [Remote; 4] = [R, R2, S, T];

/// Two hosts with two ports each, the same ones, and four remotes; about every fiftieth step a reboot.
fn steps(rng: &mut Rng, count: usize) -> Vec<Step> {
    let other = |inside: Inside| Inside { port: 40_001, ..inside };
    let insides = [A, B, other(A), other(B)];
    let mut sent: Vec<(Inside, Remote)> = Vec::new();
    let mut steps = Vec::new();
    while steps.len() < count {
        let (inside, remote) = (insides[rng.index(4)], REMOTES[rng.index(4)]);
        let before = sent.get(rng.index(sent.len().max(1))).copied();
        steps.push(match (rng.below(50), before) {
            (0, _) => Reboot,
            (1..25, _) | (_, None) => {
                sent.push((inside, remote));
                Out(inside, remote)
            }
            (25..40, Some((inside, by))) => Answer(by, inside),
            (40..48, Some((inside, by))) => Stranger(remote, inside, by),
            _ => Knock(remote, 40_000),
        });
    }
    steps
}

fn check(rules: Rules) {
    for seed in 1..=3 {
        let steps = steps(&mut Rng::new(seed).fork(&format!("{rules:?}")), 150);
        same(&SiteSpec::new(rules), &steps);
    }
}

#[test]
fn plain() {
    check(Rules::Plain);
}

#[test]
fn range() {
    check(Rules::Range(1_024, 39_999));
}

#[test]
fn random() {
    check(Rules::FullyRandom);
}

#[test]
fn sequential() {
    check(Rules::Sequential);
}

#[test]
fn open() {
    check(Rules::Open);
}
