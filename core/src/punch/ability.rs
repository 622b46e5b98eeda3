//! What an end can do in an attempt, and which of the two detectors works for it.

use super::plan::Limits;
use crate::wire::message::capability;

/// Who computes range and differential of an end's NAT from the detection packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Detector {
    /// The server, from what it sees (punch claims 2, 4, 22).
    #[default]
    Server,
    /// The equipment, from the detection port information that the server reports to it; the range
    /// goes back through the server, which clamps it to what it saw (punch claims 51, 52, 57). One
    /// round trip more.
    Equipment,
}

/// What an end can do in an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ability {
    /// Sockets and guesses.
    pub limits: Limits,
    /// Who computes its ranges.
    pub detector: Detector,
}

impl Ability {
    /// A microcontroller's: [`Limits::SMALL`], the server detects.
    pub const SMALL: Self = Self { limits: Limits::SMALL, detector: Detector::Server };
    /// A host's: [`Limits::LARGE`], the server detects.
    pub const LARGE: Self = Self { limits: Limits::LARGE, detector: Detector::Server };

    /// As capability bits: the flags, sockets in bits 8 to 15, guesses in bits 16 to 31.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        let [guesses_high, guesses_low] = self.limits.guesses.to_be_bytes();
        let detects = match self.detector {
            Detector::Server => 0,
            Detector::Equipment => capability::DETECTS,
        };
        let amounts = u32::from_be_bytes([guesses_high, guesses_low, self.limits.sockets, 0]);
        amounts | capability::PUNCH | detects
    }

    /// The reverse; `None` without [`capability::PUNCH`].
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & capability::PUNCH == 0 {
            return None;
        }
        let [guesses_high, guesses_low, sockets, _] = bits.to_be_bytes();
        let guesses = u16::from_be_bytes([guesses_high, guesses_low]);
        let detector = match bits & capability::DETECTS {
            0 => Detector::Server,
            _ => Detector::Equipment,
        };
        Some(Self { limits: Limits { sockets, guesses }, detector })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_survive_as_bits() {
        for limits in [Limits::SMALL, Limits::LARGE, Limits::BIRTHDAY] {
            for detector in [Detector::Server, Detector::Equipment] {
                let ability = Ability { limits, detector };
                assert_eq!(Ability::from_bits(ability.to_bits()), Some(ability));
                assert_eq!(Ability::from_bits(ability.to_bits() & !capability::PUNCH), None);
            }
        }
    }
}
