//! What happens when: a heap of events, ordered by time and then by when they were put in.

use core::cmp::{Ordering, Reverse};
use core::time::Duration;
use std::collections::BinaryHeap;

struct Item<T> {
    at: Duration,
    order: u64,
    event: T,
}

impl<T> Item<T> {
    const fn key(&self) -> (Duration, u64) {
        (self.at, self.order)
    }
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl<T> Eq for Item<T> {}
impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Item<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Events in the order in which they happen; two at the same time happen as they were put in.
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<Item<T>>>,
    next: u64,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), next: 0 }
    }

    pub(crate) fn push(&mut self, at: Duration, event: T) {
        self.heap.push(Reverse(Item { at, order: self.next, event }));
        self.next += 1;
    }

    /// The time of the next event.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse(item)| item.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Duration, T)> {
        self.heap.pop().map(|Reverse(item)| (item.at, item.event))
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn events_come_out_by_time_and_then_as_they_went_in() {
        let mut queue = Queue::new();
        let mut rng = Rng::new(5);
        for number in 0..1_000u64 {
            queue.push(Duration::from_micros(rng.below(20)), number);
        }
        assert_eq!(queue.len(), 1_000);
        let mut last = (Duration::ZERO, 0);
        while let Some(at) = queue.next_at() {
            let next = queue.pop().unwrap();
            assert_eq!(next.0, at);
            assert!(next >= last, "{next:?} after {last:?}");
            last = next;
        }
    }
}
