//! The operating system's randomness.

use genkan_core::{Entropy, EntropyError};

/// Draws from the operating system (`getrandom(2)` and its like).
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy(());

impl OsEntropy {
    /// The operating system's source.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Entropy for OsEntropy {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(dest).map_err(|_| EntropyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut one, mut other) = ([0; 32], [0; 32]);
        OsEntropy::new().fill(&mut one).unwrap();
        OsEntropy::new().fill(&mut other).unwrap();
        assert_ne!(one, other);
        assert_ne!(one, [0; 32]);
    }
}
