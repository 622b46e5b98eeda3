//! What holds for a while: held-down ports, occupied ports, blocked senders.

use core::ops::RangeInclusive;
use core::time::Duration;
use std::collections::BTreeMap;

/// Keys with a time each; what is over is thrown out now and then, so that the work per key is
/// constant on average and the memory follows what is in force.
#[derive(Clone, Debug)]
pub(super) struct Timed<K> {
    until: BTreeMap<K, Duration>,
    prune_at: usize,
}

impl<K: Ord + Copy> Timed<K> {
    pub(super) const fn new() -> Self {
        Self { until: BTreeMap::new(), prune_at: 64 }
    }

    /// `key` holds until `until`, even if it held longer before.
    pub(super) fn set(&mut self, now: Duration, key: K, until: Duration) {
        if self.until.len() >= self.prune_at {
            self.until.retain(|_, end| *end > now);
            self.prune_at = (2 * self.until.len()).max(64);
        }
        self.until.insert(key, until);
    }

    pub(super) fn holds(&self, now: Duration, key: &K) -> bool {
        self.until.get(key).is_some_and(|&end| now < end)
    }

    /// Whether any key in `keys` holds.
    pub(super) fn any(&self, now: Duration, keys: RangeInclusive<K>) -> bool {
        !self.until.is_empty() && self.until.range(keys).any(|(_, &end)| now < end)
    }

    pub(super) fn clear(&mut self) {
        self.until.clear();
    }
}
