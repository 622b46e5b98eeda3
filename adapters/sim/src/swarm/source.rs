//! Where a world's choices come from.

use core::time::Duration;

use super::acts::Record;
use super::{HEADER, Settings};
use crate::rng::Rng;

/// A stream of choices, drawn from a seed or read from bytes.
///
/// It is taken in records of fixed sizes: first [`HEADER`](super::HEADER) bytes that say what the
/// world is like, then [`ACT`](super::ACT) bytes for each thing that is done to it. So the same
/// entry serves seeds, fuzzing and the replay of a corpus, and a changed byte changes one choice and
/// leaves all others where they were. Bytes that are missing from the header are 0, which is the
/// quiet choice everywhere; after the last whole act nothing more is done.
#[derive(Clone, Debug)]
pub struct Source<'a>(From<'a>);

#[derive(Clone, Debug)]
enum From<'a> {
    Seed(Rng),
    Bytes(&'a [u8]),
}

impl Source<'static> {
    /// Choices without end, from a seed.
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        Self(From::Seed(Rng::new(seed).fork("choices")))
    }
}

impl<'a> Source<'a> {
    /// Choices by position in these bytes.
    #[must_use]
    pub const fn bytes(bytes: &'a [u8]) -> Self {
        Self(From::Bytes(bytes))
    }

    /// The next record, filled up with zeros.
    pub(super) fn padded<const N: usize>(&mut self) -> [u8; N] {
        let mut record = [0; N];
        match &mut self.0 {
            From::Seed(rng) => rng.fill(&mut record),
            From::Bytes(bytes) => {
                let (head, rest) = bytes.split_at(bytes.len().min(N));
                record[..head.len()].copy_from_slice(head);
                *bytes = rest;
            }
        }
        record
    }

    /// The next record; `None` when there is no whole one.
    pub(super) fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        match &self.0 {
            From::Bytes(bytes) if bytes.len() < N => None,
            _ => Some(self.padded()),
        }
    }
}

/// The choices of a seed's world as bytes, which stay what they are: for [`Source::bytes`].
#[must_use]
pub fn record(settings: &Settings, seed: u64) -> Vec<u8> {
    let mut source = Source::seed(seed);
    let mut bytes = source.padded::<HEADER>().to_vec();
    let mut at = Duration::ZERO;
    while at < settings.duration {
        let act = Record(source.padded());
        // Each act comes so long after the one before, which takes no time.
        at += act.wait(settings.pause).max(Duration::from_micros(1));
        bytes.extend(act.0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_by_position_and_end_quietly() {
        let mut source = Source::bytes(&[1, 2, 3, 4, 5]);
        assert_eq!((source.padded(), source.next()), ([1, 2], Some([3, 4])));
        assert_eq!(source.next::<2>(), None);
        assert_eq!((source.padded(), source.padded()), ([5, 0, 0], [0; 3]));
    }

    #[test]
    fn what_is_recorded_makes_the_same_world() {
        let settings = Settings::default();
        for seed in [3, 4] {
            let bytes = record(&settings, seed);
            let world = |source| super::super::run(&settings, &source).map(|report| report.hash);
            assert_eq!(world(Source::bytes(&bytes)), world(Source::seed(seed)));
        }
    }

    #[test]
    fn a_seed_goes_on_for_ever_and_seeds_differ() {
        let (mut a, mut b) = (Source::seed(1), Source::seed(2));
        assert_ne!(a.padded::<16>(), b.padded::<16>());
        assert!((0..1_000).all(|_| a.next::<16>().is_some()));
    }
}
