//! What a machine has counted since it was made.

use crate::machine::{Discard, Received};

/// Counters of a machine; they saturate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    discarded: [u32; Discard::COUNT],
    lost_events: u32,
}

impl Counters {
    /// How much was discarded for this reason.
    #[must_use]
    pub fn discarded(&self, reason: Discard) -> u32 {
        self.discarded.get(reason as usize).copied().unwrap_or(0)
    }

    /// How much was discarded in all.
    #[must_use]
    pub fn all_discarded(&self) -> u32 {
        self.discarded.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// How many events or commands were lost because the caller did not drain the machine.
    #[must_use]
    pub const fn lost_events(&self) -> u32 {
        self.lost_events
    }

    pub(crate) const fn lose_event(&mut self) {
        self.lost_events = self.lost_events.saturating_add(1);
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn discard(&mut self, reason: Discard) {
        note!("discards", reason);
        if let Some(count) = self.discarded.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts what was discarded and passes on what was not.
    pub(crate) fn tally<'d>(&mut self, result: Result<Received<'d>, Discard>) -> Received<'d> {
        result.unwrap_or_else(|reason| {
            self.discard(reason);
            Received::Discarded(reason)
        })
    }
}
