//! Randomness for machines: seeded, and with the faults that real devices show.

use core::cell::Cell;
use std::rc::Rc;

use genkan_core::{Entropy, EntropyError};

use crate::rng::Rng;

/// How a [`SimEntropy`] behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntropyMode {
    /// Good numbers, from the seed.
    Seeded,
    /// Every byte is this one (a generator that was never started).
    Constant(u8),
    /// The source reports an error.
    Failing,
    /// The seed's numbers begin anew with each call (a generator that is reset).
    Repeating,
}

/// A seeded source of randomness whose mode can be changed while a machine owns it.
#[derive(Clone, Debug)]
pub struct SimEntropy {
    rng: Rng,
    mode: Rc<Cell<EntropyMode>>,
}

impl SimEntropy {
    /// Good randomness from this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::with_mode(seed, EntropyMode::Seeded)
    }

    /// Always the same byte.
    #[must_use]
    pub fn constant(byte: u8) -> Self {
        Self::with_mode(0, EntropyMode::Constant(byte))
    }

    /// Always an error.
    #[must_use]
    pub fn failing() -> Self {
        Self::with_mode(0, EntropyMode::Failing)
    }

    /// From this seed, in this mode.
    #[must_use]
    pub fn with_mode(seed: u64, mode: EntropyMode) -> Self {
        Self { rng: Rng::new(seed), mode: Rc::new(Cell::new(mode)) }
    }

    /// What changes the mode later, after a machine has taken the source.
    #[must_use]
    pub fn switch(&self) -> EntropySwitch {
        EntropySwitch(Rc::clone(&self.mode))
    }
}

impl Entropy for SimEntropy {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        match self.mode.get() {
            EntropyMode::Seeded => self.rng.fill(dest),
            EntropyMode::Constant(byte) => dest.fill(byte),
            EntropyMode::Failing => return Err(EntropyError),
            EntropyMode::Repeating => self.rng.clone().fill(dest),
        }
        Ok(())
    }
}

/// Changes the mode of a [`SimEntropy`] that a machine owns.
#[derive(Clone, Debug)]
pub struct EntropySwitch(Rc<Cell<EntropyMode>>);

impl EntropySwitch {
    /// From now on, this mode.
    pub fn set(&self, mode: EntropyMode) {
        self.0.set(mode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(entropy: &mut SimEntropy) -> Result<[u8; 12], EntropyError> {
        let mut out = [0; 12];
        entropy.fill(&mut out)?;
        Ok(out)
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let (mut a, mut b) = (SimEntropy::seeded(3), SimEntropy::seeded(3));
        let first = draw(&mut a);
        assert_eq!(first, draw(&mut b));
        assert_ne!(first, draw(&mut a));
    }

    #[test]
    fn the_switch_reaches_a_source_that_is_owned_elsewhere() {
        let mut entropy = SimEntropy::seeded(3);
        let switch = entropy.switch();
        switch.set(EntropyMode::Failing);
        assert_eq!(draw(&mut entropy), Err(EntropyError));
        switch.set(EntropyMode::Constant(9));
        assert_eq!(draw(&mut entropy), Ok([9; 12]));
        switch.set(EntropyMode::Repeating);
        assert_eq!(draw(&mut entropy), draw(&mut entropy));
        assert_eq!(draw(&mut SimEntropy::failing()), Err(EntropyError));
        assert_eq!(draw(&mut SimEntropy::constant(0)), Ok([0; 12]));
    }
}
