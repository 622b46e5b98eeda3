//! The elements of the claims: each a sentence that is checked on a run, with ways to spoil a run so
//! that it does not hold any more.

pub mod acceptor;
pub mod issuer;
pub mod keys;
pub mod network;
pub mod password;
pub mod server;
pub mod wake;

use core::time::Duration;

use super::run::{Held, Run};
use crate::story::{Packet, Story};

/// One element, checked on an `R`: a run of the request document, or a meeting.
#[derive(Debug)]
pub struct Element<R: 'static = Run> {
    /// Its name.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Whether it holds.
    pub check: fn(&R) -> Held,
    /// Changes of a run after which it must not hold.
    pub spoils: &'static [Spoil<R>],
}

/// A change of a run: what is different, and the change.
#[derive(Debug)]
pub struct Spoil<R: 'static = Run>(pub &'static str, pub fn(&mut R));

/// What has a story that can be changed.
pub(crate) trait Tells {
    /// The story.
    fn story(&mut self) -> &mut Story;
}

impl Tells for Run {
    fn story(&mut self) -> &mut Story {
        &mut self.story
    }
}

/// Takes packets out of the story.
pub(crate) fn remove(run: &mut impl Tells, which: impl Fn(&Packet) -> bool) {
    run.story().packets.retain(|packet| !which(packet));
}

/// Changes packets of the story.
pub(crate) fn edit(
    run: &mut impl Tells,
    which: impl Fn(&Packet) -> bool,
    mut change: impl FnMut(&mut Packet),
) {
    for packet in run.story().packets.iter_mut().filter(|packet| which(packet)) {
        change(packet);
    }
}

/// Lets packets happen at the world's start, before everything else.
pub(crate) fn hasten(run: &mut impl Tells, which: impl Fn(&Packet) -> bool) {
    edit(run, which, |packet| {
        packet.at = Duration::ZERO;
        packet.arrived = packet.arrived.map(|_| Duration::ZERO);
    });
}

/// Lets packets happen long after everything else.
pub(crate) fn defer(run: &mut impl Tells, which: impl Fn(&Packet) -> bool) {
    const LATE: Duration = Duration::from_secs(10_000);
    edit(run, which, |packet| {
        packet.at += LATE;
        packet.arrived = packet.arrived.map(|at| at + LATE);
    });
}
