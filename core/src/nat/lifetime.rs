//! How long a NAT keeps a UDP mapping through which nothing passes (RFC 4787 section 4.3).
//!
//! Two bounds, each a place in a table of 16 times, so that both fit into one byte. They come from
//! single observations: a mapping was still there after a silence, or it was not. Each one only
//! tightens them, until one contradicts the other bound: then the NAT has changed, or was
//! misjudged, and the newer word counts alone.

/// The times that are told apart, in seconds. The first one stands for "not known".
pub const LIFETIMES: [u16; 16] =
    [0, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1_200, 1_800, 3_600, 7_200];

/// A registration's shortest keepalive interval, in seconds: what no lifetime goes below.
const SHORTEST: u16 = 5;

/// Between which times a mapping's lifetime lies. `at_least < at_most` where both are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lifetime(
    /// Places in [`LIFETIMES`]. In the low half: a mapping was there after that time; in the high
    /// half: one was gone. The low one is smaller where the high one is not 0.
    u8,
);

impl Lifetime {
    /// A mapping was seen to outlast so many seconds of silence; 0: not known.
    #[must_use]
    pub fn at_least(self) -> u16 {
        time(self.0 & 15)
    }

    /// A mapping was seen to be gone after so many seconds of silence; 0: not known.
    #[must_use]
    pub fn at_most(self) -> u16 {
        time(self.0 >> 4)
    }

    /// A mapping was there after `seconds` without a packet. Says whether that contradicts what was
    /// known.
    pub fn lived(&mut self, seconds: u32) -> bool {
        let after = |&time: &u16| u32::from(time) > seconds;
        let least = place(LIFETIMES.iter().position(after)).saturating_sub(1);
        let (least, most) = (least.max(self.0 & 15), self.0 >> 4);
        let contradicted = most != 0 && most <= least;
        *self = Self::of(least, if contradicted { 0 } else { most });
        contradicted
    }

    /// A mapping was gone after `seconds` without a packet. Says whether that contradicts what was
    /// known.
    pub fn died(&mut self, seconds: u32) -> bool {
        let before = |&time: &u16| u32::from(time) >= seconds.max(1);
        let most = place(LIFETIMES.iter().position(before));
        let (least, known) = (self.0 & 15, self.0 >> 4);
        if most > 15 || (known != 0 && known <= most) {
            return false;
        }
        let contradicted = most <= least;
        *self = Self::of(if contradicted { 0 } else { least }, most);
        contradicted
    }

    /// Takes over what somebody else has seen. Says whether it contradicts what was known.
    pub fn join(&mut self, newer: Self) -> bool {
        let lived = newer.at_least() != 0 && self.lived(newer.at_least().into());
        let died = newer.at_most() != 0 && self.died(newer.at_most().into());
        lived || died
    }

    /// How many seconds a mapping may be silent and is there still by all that is known: the time
    /// below the upper bound. `None` without an upper bound.
    fn safe(self) -> Option<u16> {
        (self.0 >> 4).checked_sub(1).map(time)
    }

    /// The interval of keepalives, in seconds, where it is `usual` for want of better knowledge:
    /// three quarters of what a mapping outlasts, but never above `longest`, and not below 5.
    #[must_use]
    pub fn keepalive(self, usual: u16, longest: u16) -> u16 {
        let grown = usual.max(three_quarters(self.at_least()).min(longest));
        let safe = self.safe().map_or(u16::MAX, three_quarters);
        grown.min(safe.max(SHORTEST))
    }

    /// Without its lower bound.
    #[must_use]
    pub const fn no_longer(self) -> Self {
        Self(self.0 & 0xf0)
    }

    /// Without its upper bound.
    #[must_use]
    pub const fn or_longer(self) -> Self {
        Self(self.0 & 0x0f)
    }

    /// Both bounds: the lower one in the low half.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// The reverse. Bounds that contradict each other count as not known: every byte is a lifetime.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        let (least, most) = (byte & 15, byte >> 4);
        if most != 0 && least >= most { Self(0) } else { Self(byte) }
    }

    const fn of(least: u8, most: u8) -> Self {
        Self(least | most << 4)
    }
}

fn time(place: u8) -> u16 {
    LIFETIMES.get(usize::from(place)).copied().unwrap_or(0)
}

/// A place in the table, or the one behind its last.
fn place(found: Option<usize>) -> u8 {
    found.and_then(|found| u8::try_from(found).ok()).unwrap_or(16)
}

const fn three_quarters(seconds: u16) -> u16 {
    seconds.saturating_sub(seconds / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(words: &[(bool, u32)]) -> ([u16; 2], bool) {
        let mut lifetime = Lifetime::default();
        let mut contradicted = false;
        for &(lived, seconds) in words {
            let word = if lived { Lifetime::lived } else { Lifetime::died };
            contradicted = word(&mut lifetime, seconds);
        }
        ([lifetime.at_least(), lifetime.at_most()], contradicted)
    }

    #[test]
    fn bounds_tighten_and_do_not_widen() {
        assert_eq!(seen(&[]), ([0, 0], false));
        assert_eq!(seen(&[(true, 65)]), ([60, 0], false));
        assert_eq!(seen(&[(true, 60), (true, 25)]), ([60, 0], false));
        assert_eq!(seen(&[(false, 90), (false, 200)]), ([0, 120], false));
        assert_eq!(seen(&[(true, 60), (false, 90), (true, 119)]), ([60, 120], false));
        // In any order.
        let words = [(true, 20), (true, 60), (false, 300), (false, 130)];
        for turn in 0..4 {
            let mut turned = words;
            turned.rotate_left(turn);
            assert_eq!(seen(&turned), ([60, 180], false), "{turned:?}");
        }
    }

    #[test]
    fn a_contradiction_leaves_the_newer_word_alone() {
        assert_eq!(seen(&[(true, 60), (false, 60)]), ([0, 60], true));
        assert_eq!(seen(&[(true, 300), (false, 25)]), ([0, 30], true));
        assert_eq!(seen(&[(false, 30), (true, 30)]), ([30, 0], true));
        assert_eq!(seen(&[(false, 20), (true, 59)]), ([30, 0], true));
        // And is said of the word that contradicts, not for ever.
        assert_eq!(seen(&[(true, 300), (false, 25), (true, 20)]), ([20, 30], false));
    }

    #[test]
    fn times_beyond_the_table_say_what_they_can() {
        assert_eq!(seen(&[(true, 4)]), ([0, 0], false));
        assert_eq!(seen(&[(true, u32::MAX)]), ([7_200, 0], false));
        assert_eq!(seen(&[(false, 7_201)]), ([0, 0], false));
        assert_eq!(seen(&[(false, u32::MAX)]), ([0, 0], false));
        assert_eq!(seen(&[(false, 0)]), ([0, 5], false));
    }

    #[test]
    fn another_s_words_count_as_own_ones() {
        let mut all = Lifetime::from_byte(0);
        let mut other = Lifetime::default();
        other.lived(60);
        assert!(!all.join(other));
        other.died(120);
        assert!(!all.join(other));
        assert_eq!((all.at_least(), all.at_most()), (60, 120));
        assert!(!all.join(Lifetime::default()));
        let mut other = Lifetime::default();
        other.lived(180);
        assert!(all.join(other));
        assert_eq!((all.at_least(), all.at_most()), (180, 0));
    }

    /// Whatever is known, the interval is one that a server may advise.
    #[test]
    fn every_byte_is_a_lifetime_with_an_interval_that_can_be_kept() {
        for byte in 0..=u8::MAX {
            let lifetime = Lifetime::from_byte(byte);
            assert_eq!(Lifetime::from_byte(lifetime.to_byte()), lifetime);
            let (least, most) = (lifetime.at_least(), lifetime.at_most());
            assert!(most == 0 || least < most);
            for (usual, longest) in [(5, 5), (25, 25), (25, 600), (1_800, 25)] {
                let interval = lifetime.keepalive(usual, longest);
                assert!((5..=usual.max(longest)).contains(&interval), "{lifetime:?}: {interval}");
                assert!(most < 10 || interval < most, "{lifetime:?}: {interval}");
                assert!(interval <= usual || interval < least, "{lifetime:?}: {interval}");
            }
        }
    }

    #[test]
    fn a_bound_can_be_forgotten() {
        let mut lifetime = Lifetime::default();
        lifetime.lived(60);
        lifetime.died(120);
        let most = lifetime.no_longer();
        assert_eq!((most.at_least(), most.at_most()), (0, 120));
        let least = lifetime.or_longer();
        assert_eq!((least.at_least(), least.at_most()), (60, 0));
    }

    #[test]
    fn intervals_follow_the_lifetime() {
        let interval = |words: &[(bool, u32)], longest| {
            let mut lifetime = Lifetime::default();
            for &(lived, seconds) in words {
                let _ = if lived { lifetime.lived(seconds) } else { lifetime.died(seconds) };
            }
            lifetime.keepalive(25, longest)
        };
        assert_eq!(interval(&[], 600), 25);
        assert_eq!(interval(&[(false, 30)], 600), 15);
        assert_eq!(interval(&[(false, 20)], 600), 12);
        assert_eq!(interval(&[(false, 10)], 600), 5);
        assert_eq!(interval(&[(true, 30), (false, 60)], 600), 23);
        assert_eq!(interval(&[(true, 60), (false, 120)], 600), 45);
        assert_eq!(interval(&[(true, 60), (false, 120)], 25), 25);
        assert_eq!(interval(&[(true, 300)], 600), 225);
        assert_eq!(interval(&[(true, 300)], 100), 100);
        assert_eq!(interval(&[(false, 300)], 600), 25);
    }
}
