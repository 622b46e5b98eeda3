//! Randomness: the caller brings it, the core hedges it.
//!
//! A device's random number generator fails in the field: it returns zeros, repeats itself after a
//! reboot, or reports an error that nobody reads (threat T26). So [`Entropy::fill`] can fail, and a
//! failure postpones whatever needed the bytes; and every secret is drawn through [`Hedge`], which
//! mixes the raw bytes with the device's own secret, its boot counter and a call counter. As long as
//! one of these is good, no two secrets are alike.

use zeroize::Zeroize;

use crate::crypto::{mac, sha256};

/// A source of random bytes. Adapters wrap the operating system's, or a TRNG.
pub trait Entropy {
    /// Fills `dest` with random bytes.
    ///
    /// # Errors
    /// [`EntropyError`] when the source failed; `dest` must not be used then.
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError>;
}

impl<T: Entropy + ?Sized> Entropy for &mut T {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(dest)
    }
}

/// The source of randomness failed. What needed it is tried again later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EntropyError;

impl core::fmt::Display for EntropyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the source of randomness failed")
    }
}

impl core::error::Error for EntropyError {}

/// Draws values for the machines: `public` ones travel in clear, `secret` ones become keys. The two
/// have names of their own so that an audit can search for them.
pub(crate) struct Draw<'a> {
    pub(crate) source: &'a mut dyn Entropy,
    pub(crate) hedge: &'a mut Hedge,
}

/// What is mixed into every draw beside the source's bytes.
pub(crate) struct Hedge {
    pool: [u8; 32],
    calls: u64,
}

impl core::fmt::Debug for Hedge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Hedge(..)")
    }
}

impl Drop for Hedge {
    fn drop(&mut self) {
        self.pool.zeroize();
    }
}

impl Hedge {
    /// `secret` is the device's static secret, `boots` its boot counter (0 where it keeps none).
    pub(crate) fn new(secret: &[u8; 32], boots: u64) -> Self {
        Self { pool: sha256(&[b"genkan hedge 1", secret, &boots.to_be_bytes()]), calls: 0 }
    }
}

impl Draw<'_> {
    /// Thirty-two bytes that will become a key.
    #[inline(never)]
    pub(crate) fn secret(&mut self) -> Result<[u8; 32], EntropyError> {
        let mut raw = [0; 32];
        self.source.fill(&mut raw)?;
        self.hedge.calls = self.hedge.calls.wrapping_add(1);
        let calls = self.hedge.calls.to_be_bytes();
        let drawn = sha256(&[b"genkan draw 1", &self.hedge.pool, &calls, &raw]);
        // The pool moves on one way, so that a later theft does not reveal what was drawn.
        self.hedge.pool = sha256(&[b"genkan pool 1", &self.hedge.pool, &raw]);
        raw.zeroize();
        Ok(drawn)
    }

    /// `N` bytes that will be seen by others; `N` is at most 32.
    pub(crate) fn public<const N: usize>(&mut self) -> Result<[u8; N], EntropyError> {
        let drawn = self.secret()?;
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(drawn) {
            *to = from;
        }
        Ok(out)
    }

    /// A fraction in 0..65536, for jitter. When the source fails it comes from the pool alone: jitter
    /// that an observer can guess is better than none. Each keepalive draws one, so it must be cheap: a
    /// keyed tag, a fortieth of [`Draw::secret`] on a microcontroller.
    #[inline(never)]
    pub(crate) fn jitter(&mut self) -> u16 {
        let mut raw = [0; 2];
        if self.source.fill(&mut raw).is_err() {
            raw = [0; 2];
        }
        self.hedge.calls = self.hedge.calls.wrapping_add(1);
        let (key, _) = self.hedge.pool.split_first_chunk().unwrap_or((&[0; 16], &[]));
        // Enough of the number, for it costs by the byte.
        let [.., low, lower] = self.hedge.calls.to_be_bytes();
        let [a, b, ..] = mac::tag(key, &[&[low, lower], &raw]);
        u16::from_be_bytes([a, b])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(u8);
    impl Entropy for Broken {
        fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
            if self.0 == 255 {
                return Err(EntropyError);
            }
            dest.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn constant_source_never_repeats_a_secret_across_calls_boots_or_devices() {
        extern crate std;
        let mut seen = std::collections::BTreeSet::new();
        for boots in 0..5 {
            for device in 0..5 {
                let mut hedge = Hedge::new(&[device; 32], boots);
                for _ in 0..20 {
                    let mut draw = Draw { source: &mut Broken(0), hedge: &mut hedge };
                    assert!(seen.insert(draw.secret().unwrap()));
                }
            }
        }
    }

    #[test]
    fn jitter_differs_across_calls_boots_and_devices_whose_source_is_dead() {
        extern crate std;
        let mut seen = std::collections::BTreeSet::new();
        for boots in 0..5 {
            for device in 0..5 {
                let mut hedge = Hedge::new(&[device; 32], boots);
                let mut draw = Draw { source: &mut Broken(255), hedge: &mut hedge };
                // Four together, since two bytes alone may well be those of another.
                let drawn: [[u16; 4]; 4] = [(); 4].map(|()| [(); 4].map(|()| draw.jitter()));
                assert!(drawn.into_iter().all(|four| seen.insert(four)), "{device} {boots}");
            }
        }
    }

    #[test]
    fn a_failing_source_fails_closed_but_still_jitters() {
        let mut hedge = Hedge::new(&[1; 32], 0);
        let mut draw = Draw { source: &mut Broken(255), hedge: &mut hedge };
        assert_eq!(draw.secret(), Err(EntropyError));
        assert_ne!(draw.jitter(), draw.jitter());
    }
}
