//! A map that forgets, so that what the checks know does not grow with the run.

use core::time::Duration;
use std::collections::BTreeMap;

/// How long everything is remembered at least. A datagram is on its way for seconds, waits at a
/// paused host for two minutes, and is not replayed when it is older than [`super::wire::OLD`]; a
/// session that stands says something every few minutes.
pub(in crate::swarm) const WINDOW: Duration = Duration::from_secs(1_800);

/// A map whose entries are there for one to two [`WINDOW`]s after they were put in, or taken hold of
/// by [`Lately::hold`].
#[derive(Debug)]
pub(super) struct Lately<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
}

impl<K, V> Default for Lately<K, V> {
    fn default() -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new() }
    }
}

impl<K: Ord + Copy, V> Lately<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.young.get_mut(key) {
            None => self.old.get_mut(key),
            found => found,
        }
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Puts an entry in; what was there before.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = self.old.remove(&key);
        self.young.insert(key, value).or(old)
    }

    /// The entry, as if it had just been put in; `value` where there is none.
    pub(super) fn hold(&mut self, key: K, value: V) -> &mut V {
        let old = &mut self.old;
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or(value))
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A window is over.
    pub(super) fn turn(&mut self) {
        self.old = core::mem::take(&mut self.young);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_held_is_gone_after_two_windows_and_never_after_one() {
        let mut map = Lately::default();
        assert_eq!((map.insert(1, 'a'), map.insert(2, 'b')), (None, None));
        map.turn();
        assert_eq!((map.get(&1), map.get(&2)), (Some(&'a'), Some(&'b')));
        assert_eq!(*map.hold(1, 'x'), 'a');
        if let Some(value) = map.get_mut(&2) {
            *value = 'c';
        }
        assert_eq!(map.len(), 2);
        map.turn();
        assert_eq!((map.get(&1), map.contains(&2)), (Some(&'a'), false));
        assert_eq!((map.insert(1, 'd'), map.insert(2, 'e')), (Some('a'), None));
        map.remove(&1);
        assert_eq!((map.get(&1), map.len()), (None, 1));
    }
}
