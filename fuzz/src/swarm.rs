//! Target `swarm`: the simulator's world runs, with their choices taken from the bytes instead of from
//! a seed (`genkan_sim::swarm`).
//!
//! The first [`HEADER`] bytes say what the world is like, [`ACT`] more each what is done to it. All rules
//! of the world runs are asserted, during the faults and after them.

use core::time::Duration;

use genkan_sim::Rng;
use genkan_sim::swarm::{ACT, HEADER, Settings, Source, run};

/// Smaller worlds for a shorter time than the simulator's own, so that more of them pass by.
fn settings() -> Settings {
    Settings {
        duration: Duration::from_secs(900),
        pause: Duration::from_secs(90),
        acceptors: (1, 3),
        ..Settings::default()
    }
}

/// Runs one input.
pub fn swarm(data: &[u8]) {
    if let Err(failure) = run(&settings(), &Source::bytes(data)) {
        panic!("{failure}");
    }
}

/// The quiet world, and worlds of each kind with acts of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(7);
    let drawn = |acts: usize| {
        let mut seed = vec![0; HEADER + acts * ACT];
        rng.fill(&mut seed);
        seed
    };
    let mut seeds = vec![vec![0; HEADER]];
    seeds.extend((1..24).map(drawn));
    seeds
}
