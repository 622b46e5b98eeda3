//! One copy each of what reads and writes a field: the derives' code has one at each field otherwise,
//! which was a tenth of a microcontroller's flash for the bodies.
//!
//! Only where an address has 32 bits: hosts have the flash, and save the calls. The modules are for `#[serde(with = "…")]`; the bytes are those of serde's own implementations.

use core::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Numbers.
pub(crate) mod number {
    use super::*;

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(to)
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        T::deserialize(from)
    }
}

/// Arrays of bytes.
pub(crate) mod bytes {
    use super::*;
    pub(crate) use number::serialize;

    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        from: D,
    ) -> Result<[u8; N], D::Error> {
        from.deserialize_tuple(N, Bytes)
    }
}

/// Arrays of bytes that may be absent.
pub(crate) mod optional_bytes {
    use super::*;
    pub(crate) use number::serialize;

    #[derive(Deserialize)]
    struct Present<const N: usize>(#[serde(with = "bytes")] [u8; N]);

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<[u8; N]>, D::Error> {
        Option::<Present<N>>::deserialize(from).map(|present| present.map(|Present(bytes)| bytes))
    }
}

/// Writes a slice at once, not as a sequence of its bytes, which is the same.
pub(crate) fn slice<S: Serializer>(value: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(value)
}

/// Reads the elements of a sequence into `out`.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn fill<'de, A: SeqAccess<'de>>(from: &mut A, out: &mut [u8]) -> Result<(), A::Error> {
    for byte in out {
        *byte = from.next_element()?.ok_or_else(|| A::Error::custom("cut off"))?;
    }
    Ok(())
}

struct Bytes<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        fill(&mut from, &mut bytes)?;
        Ok(bytes)
    }
}
