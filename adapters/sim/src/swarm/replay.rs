//! One world, to be looked at: as [`run`](super::run), and what happened is kept.

use core::ops::ControlFlow;
use core::time::Duration;

use super::build::Swarm;
use super::{Failure, Report, Settings, Source, outcome};
use crate::fleet::Fleet;

/// What of a world is kept to be looked at; about 4 MB for each simulated hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// The transcript from the beginning, and the keys that open what is sealed ([`Fleet::story`]).
    /// Without it only a [`Failure`]'s last lines are kept.
    pub transcript: bool,
    /// What passed the interfaces ([`crate::see::pcapng`]).
    pub captures: bool,
}

/// A world that was lived to its end, to a broken rule, or until it was told to stop.
#[derive(Debug)]
#[non_exhaustive]
pub struct Replay {
    /// What it came to; so far, where it did not come to its end.
    pub report: Report,
    /// The rule that was broken.
    pub failure: Option<Box<Failure>>,
    /// It was told to stop.
    pub stopped: bool,
    /// What was kept.
    pub fleet: Fleet,
}

/// Makes a world from `source`, lets its time pass, and gives what is needed to see what happened.
///
/// `on_progress` is told the virtual time after every event; it breaks off to stop the world there.
/// What is kept, and whoever looks on, changes nothing in what happens.
pub fn replay(
    settings: &Settings,
    source: &Source<'_>,
    keep: Keep,
    on_progress: impl FnMut(Duration) -> ControlFlow<()> + 'static,
) -> Replay {
    let mut source = source.clone();
    let mut swarm = Swarm::new(settings, &source.padded(), true);
    swarm.keep_all = keep.transcript;
    swarm.on_progress = Some(OnProgress(Box::new(on_progress)));
    swarm.fleet.world.capture(keep.captures);
    if keep.transcript {
        swarm.fleet.watch();
    }
    let outcome = outcome(&mut swarm, settings, &mut source);
    let stopped = swarm.on_progress.is_none();
    Replay {
        report: swarm.report(),
        failure: outcome.err().filter(|_| !stopped),
        stopped,
        fleet: swarm.fleet,
    }
}

/// Who is told how far a world has come.
pub(super) struct OnProgress(pub(super) Box<dyn FnMut(Duration) -> ControlFlow<()>>);

impl core::fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("OnProgress(..)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_world_can_be_captured() {
        // Attackers too must send what is an IP packet: one frame that is none spoils the whole file.
        let settings = Settings {
            duration: Duration::from_secs(600),
            pause: Duration::from_secs(30),
            ..Settings::default()
        };
        let keep = Keep { transcript: false, captures: true };
        for seed in 0..50 {
            let go_on = |_| ControlFlow::Continue(());
            let replay = replay(&settings, &Source::seed(seed), keep, go_on);
            let world = &replay.fleet.world;
            let name = |at| world.interface_name(at);
            let file = crate::see::pcapng::write(world.captured(), name, |_| true);
            assert!(file.unwrap().len() > 10_000, "seed {seed}");
        }
    }
}
