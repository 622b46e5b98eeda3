//! A profile in twelve bytes: what a server keeps of each equipment.
//!
//! ```text
//! offset  len  field
//!      0    1  mapping in the low half, filtering in the high half
//!      1    1  allocation: the step as a signed byte, or one of the numbers below
//!      2    1  bits: steady address, consistent, drifted, punishes, displaced; confidence from bit 5
//!      3    2  lowest port of the span, little-endian
//!      5    2  its highest port
//!      7    1  how many were seen
//!      8    1  foreign mappings a second
//!      9    2  the last port of a counter
//!     11    1  lifetime: at least in the low half, at most in the high half
//! ```

use super::differential::Differential;
use super::lifetime::Lifetime;
use super::profile::{Allocation, Filtering, MAX_CONFIDENCE, Mapping, NatProfile, Span};

// Beyond the steps, which reach to ±64.
const PRESERVING: i8 = 125;
const PRESERVING_FIRST: i8 = 126;
const RANDOM: i8 = 127;

impl NatProfile {
    /// The profile in twelve bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 12] {
        let allocation = match self.allocation {
            Allocation::Unknown => 0,
            Allocation::Preserving => PRESERVING,
            Allocation::PreservingFirst => PRESERVING_FIRST,
            Allocation::Sequential(step) => step.get(),
            Allocation::Random => RANDOM,
        };
        let bits =
            [self.steady_address, self.consistent, self.drifted, self.punishes, self.displaced];
        let confidence = self.confidence.min(MAX_CONFIDENCE);
        let bits = bits.into_iter().rev().fold(confidence, |bits, bit| bits << 1 | u8::from(bit));
        let Span { low, high, seen } = self.span;
        let ([low, low_high], [high, high_high]) = (low.to_le_bytes(), high.to_le_bytes());
        let [last, last_high] = self.last.to_le_bytes();
        let kinds = self.mapping as u8 | (self.filtering as u8) << 4;
        let [allocation] = allocation.to_le_bytes();
        let (head, span) = ([kinds, allocation, bits], [low, low_high, high, high_high, seen]);
        let ([a, b, c], [d, e, f, g, h]) = (head, span);
        [a, b, c, d, e, f, g, h, self.foreign, last, last_high, self.lifetime.to_byte()]
    }

    /// The profile of these bytes. Values that mean nothing count as not known, and a span whose
    /// ends are the wrong way round as none: any bytes give a profile that can be used.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 12]) -> Self {
        let [kinds, allocation, bits, span @ .., foreign, last, last_high, _] = *bytes;
        let [low, low_high, high, high_high, seen] = span;
        let span = Span {
            low: u16::from_le_bytes([low, low_high]),
            high: u16::from_le_bytes([high, high_high]),
            seen,
        };
        let allocation = match i8::from_le_bytes([allocation]) {
            PRESERVING => Allocation::Preserving,
            PRESERVING_FIRST => Allocation::PreservingFirst,
            RANDOM => Allocation::Random,
            step => {
                Differential::new(step.into()).map_or(Allocation::Unknown, Allocation::Sequential)
            }
        };
        Self {
            mapping: mapping(kinds & 15),
            filtering: filtering(kinds >> 4),
            allocation,
            steady_address: bits & 1 != 0,
            consistent: bits & 2 != 0,
            drifted: bits & 4 != 0,
            punishes: bits & 8 != 0,
            displaced: bits & 16 != 0,
            span: if span.seen == 0 || span.low > span.high { Span::default() } else { span },
            foreign,
            last: u16::from_le_bytes([last, last_high]),
            confidence: bits >> 5,
            lifetime: Self::lifetime_of(bytes),
        }
    }

    /// The lifetime in such bytes.
    pub(crate) const fn lifetime_of(bytes: &[u8; 12]) -> Lifetime {
        let [.., lifetime] = *bytes;
        Lifetime::from_byte(lifetime)
    }

    /// The mapping in such bytes.
    pub(crate) fn mapping_of(bytes: &[u8; 12]) -> Mapping {
        let [kinds, ..] = *bytes;
        mapping(kinds & 15)
    }
}

fn mapping(number: u8) -> Mapping {
    use Mapping::{
        AddressAndPortDependent, AddressDependent, EndpointIndependent, PortIndependent,
    };
    [EndpointIndependent, PortIndependent, AddressDependent, AddressAndPortDependent]
        .into_iter()
        .find(|&one| one as u8 == number)
        .unwrap_or_default()
}

fn filtering(number: u8) -> Filtering {
    use Filtering::{
        AddressAndPortDependent, AddressDependent, EndpointIndependent, PortIndependent,
    };
    [EndpointIndependent, PortIndependent, AddressDependent, AddressAndPortDependent]
        .into_iter()
        .find(|&one| one as u8 == number)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of every field comes back, with the others at all their extremes.
    #[test]
    fn a_profile_comes_back_from_its_bytes() {
        let steps = (-64..=64).filter_map(Differential::new).map(Allocation::Sequential);
        let named = [
            Allocation::Unknown,
            Allocation::Preserving,
            Allocation::PreservingFirst,
            Allocation::Random,
        ];
        for allocation in steps.chain(named) {
            for kinds in 0..25 {
                for bits in 0..=u8::MAX {
                    let most = bits & 4 != 0;
                    let profile = NatProfile {
                        mapping: mapping(kinds % 5),
                        filtering: filtering(kinds / 5),
                        allocation,
                        steady_address: bits & 1 != 0,
                        consistent: bits & 2 != 0,
                        drifted: most,
                        punishes: bits & 8 != 0,
                        displaced: bits & 16 != 0,
                        span: if most {
                            Span { low: 0x1234, high: u16::MAX, seen: u8::MAX }
                        } else {
                            Span::default()
                        },
                        foreign: if most { u8::MAX } else { 7 },
                        last: if most { u16::MAX } else { 0x0102 },
                        confidence: bits >> 5,
                        lifetime: Lifetime::from_byte(bits),
                    };
                    assert_eq!(NatProfile::from_bytes(&profile.to_bytes()), profile);
                }
            }
        }
        let kinds = |number: u8| (mapping(number) as u8, filtering(number) as u8);
        assert!((0..=4).all(|number| kinds(number) == (number, number)));
    }

    /// Every value of every byte: a profile, which has bytes that give it again.
    #[test]
    fn any_bytes_are_a_profile() {
        for at in 0..12 {
            for value in 0..=u8::MAX {
                for rest in [0, 0x5a, u8::MAX] {
                    let mut bytes = [rest; 12];
                    bytes[at] = value;
                    let profile = NatProfile::from_bytes(&bytes);
                    assert_eq!(NatProfile::from_bytes(&profile.to_bytes()), profile);
                    assert!(profile.span.low <= profile.span.high);
                }
            }
        }
        let strange = NatProfile::from_bytes(&[0x5f; 12]);
        assert_eq!((strange.mapping, strange.filtering), Default::default());
        assert_eq!(strange.allocation, Allocation::Unknown);
        assert_eq!(NatProfile::from_bytes(&[0; 12]), NatProfile::default());
    }
}
