//! Which counters of the recent past were seen (RFC 6479's idea, without its reordering of bits).

/// A sliding window over the last `64 · WORDS` counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window<const WORDS: usize> {
    /// One more than the highest counter accepted; 0 = none yet.
    next: u64,
    /// Bit n of the whole = counter `next - 1 - n` was accepted.
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Default for Window<WORDS> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const WORDS: usize> Window<WORDS> {
    /// A window that has seen nothing.
    pub(crate) const EMPTY: Self = Self { next: 0, seen: [0; WORDS] };

    /// Whether a message with this counter may still be accepted.
    pub(crate) fn is_fresh(&self, counter: u64) -> bool {
        let Some(age) = self.next.checked_sub(1).and_then(|last| last.checked_sub(counter)) else {
            return true;
        };
        match usize::try_from(age / 64).ok().and_then(|word| self.seen.get(word)) {
            Some(word) => word & (1 << (age % 64)) == 0,
            None => false,
        }
    }

    /// Whether this counter is above all that were accepted.
    pub(crate) const fn is_newest(&self, counter: u64) -> bool {
        counter >= self.next
    }

    /// Whether this counter is the one after all that were accepted.
    pub(crate) const fn is_next(&self, counter: u64) -> bool {
        counter == self.next
    }

    /// Marks a counter that was fresh and is now authenticated.
    pub(crate) fn accept(&mut self, counter: u64) {
        if counter >= self.next {
            self.shift(counter.saturating_sub(self.next).saturating_add(1));
            self.next = counter.saturating_add(1);
        }
        let age = self.next.saturating_sub(1).saturating_sub(counter);
        if let Some(word) = usize::try_from(age / 64).ok().and_then(|word| self.seen.get_mut(word))
        {
            *word |= 1 << (age % 64);
        }
    }

    /// For [`Inspect`](crate::inspect::Inspect).
    #[cfg(feature = "inspect")]
    pub(crate) fn inspect(&self, see: &mut dyn FnMut(u64)) {
        see(self.next);
        self.seen.iter().for_each(|&word| see(word));
    }

    /// Moves all bits `by` counters into the past.
    fn shift(&mut self, by: u64) {
        let words = usize::try_from(by / 64).unwrap_or(usize::MAX);
        let bits = by % 64;
        for at in (0..WORDS).rev() {
            let get = |back: usize| {
                let from = at.checked_sub(back)?;
                self.seen.get(from).copied()
            };
            let high = get(words).unwrap_or(0);
            let low = words.checked_add(1).and_then(get).unwrap_or(0);
            let carried = if bits == 0 { 0 } else { low >> 64u64.saturating_sub(bits) };
            if let Some(word) = self.seen.get_mut(at) {
                *word = (high << bits) | carried;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_set_of_all_counters_on_ten_thousand_random_ones() {
        let mut window = Window::<4>::default();
        let mut seen = BTreeSet::new();
        let (mut highest, mut state) = (0u64, 88_172_645_463_325_252u64);
        for _ in 0..10_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let counter = match state % 5 {
                0 => highest + state % 300,
                1 => highest.saturating_sub(state % 400),
                _ => highest.saturating_sub(state % 20) + 3,
            };
            let old = !seen.is_empty() && counter + 256 <= highest;
            assert_eq!(window.is_fresh(counter), !old && !seen.contains(&counter), "{counter}");
            if window.is_fresh(counter) {
                window.accept(counter);
                seen.insert(counter);
                highest = highest.max(counter);
            }
        }
    }

    #[test]
    fn the_ends_of_the_counter_space_do_not_overflow() {
        let mut window = Window::<1>::default();
        window.accept(u64::MAX - 1);
        assert!(!window.is_fresh(u64::MAX - 1) && window.is_fresh(u64::MAX - 2));
        assert!(!window.is_fresh(0));
    }
}
