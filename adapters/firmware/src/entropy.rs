//! Randomness. **What stands here works on the emulated board only.**
//!
//! QEMU's board has no random number generator, so the host's is read through the debugger
//! interface. A product must put its chip's true random number generator here, and report its
//! failures: a start-up test, the generator's own error flag, and a check that it does not repeat
//! itself (NIST SP 800-90B, section 4.4). A ring oscillator's jitter or a radio's noise do where there
//! is none. The core mixes every draw with the device's key and its boot counter, so that a generator
//! that fails unseen does not give keys away at once; that is a second line, not a first.

use genkan_core::{Entropy, EntropyError};
use semihosting::experimental::random;

/// The host's `/dev/urandom`.
#[derive(Debug)]
pub struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        random::fill_bytes(dest).map_err(|_| EntropyError)
    }
}
