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
use crate::story::Packet;

/// One element.
#[derive(Debug)]
pub struct Element {
    /// Its name.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Whether it holds.
    pub check: fn(&Run) -> Held,
    /// Changes of a run after which it must not hold.
    pub spoils: &'static [Spoil],
}

/// A change of a run: what is different, and the change.
#[derive(Debug)]
pub struct Spoil(pub &'static str, pub fn(&mut Run));

/// Takes packets out of the story.
pub(crate) fn remove(run: &mut Run, which: impl Fn(&Packet) -> bool) {
    run.story.packets.retain(|packet| !which(packet));
}

/// Changes packets of the story.
pub(crate) fn edit(
    run: &mut Run,
    which: impl Fn(&Packet) -> bool,
    mut change: impl FnMut(&mut Packet),
) {
    for packet in run.story.packets.iter_mut().filter(|packet| which(packet)) {
        change(packet);
    }
}

/// Lets packets happen at the world's start, before everything else.
pub(crate) fn hasten(run: &mut Run, which: impl Fn(&Packet) -> bool) {
    edit(run, which, |packet| {
        packet.at = Duration::ZERO;
        packet.arrived = packet.arrived.map(|_| Duration::ZERO);
    });
}

/// Lets packets happen long after everything else.
pub(crate) fn defer(run: &mut Run, which: impl Fn(&Packet) -> bool) {
    const LATE: Duration = Duration::from_secs(10_000);
    edit(run, which, |packet| {
        packet.at += LATE;
        packet.arrived = packet.arrived.map(|at| at + LATE);
    });
}
