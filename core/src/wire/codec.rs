//! Fixed-layout fields and postcard bodies, read and written without panics.
//!
//! Fixed fields are big-endian. A body ([`Body`]) is one postcard value and nothing after it; a value
//! that could have been written shorter (a padded varint) is refused (`reading.rs`), so each value has
//! one encoding.

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// What stands in a transport message or handshake payload.
pub trait Body<'a>: Serialize + Deserialize<'a> {}

impl<'a, T: Serialize + Deserialize<'a>> Body<'a> for T {}

/// Reads fields from the front of a slice.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

/// Writes fields to the front of a slice. What does not fit is dropped: callers measure first, and
/// the tests compare every message's announced with its written length.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut [u8]) -> Self {
        Self { rest: out }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        if let Some((head, tail)) = rest.split_at_mut_checked(bytes.len()) {
            head.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            self.rest = tail;
        }
    }

    pub(crate) fn zeros(&mut self) {
        core::mem::take(&mut self.rest).fill(0);
    }
}

/// Length in bytes of a body.
pub(crate) fn body_len<T: Serialize>(value: &T) -> usize {
    postcard::serialize_with_flavor::<T, Sink<'_>, usize>(value, Sink { out: &mut [], len: 0 })
        .unwrap_or(usize::MAX)
}

/// Writes a body to the front of `out`; returns its length, or `None` when it does not fit.
pub(crate) fn write_body<T: Serialize>(value: &T, out: &mut [u8]) -> Option<usize> {
    let room = out.len();
    let sink = Sink { out, len: 0 };
    let len = postcard::serialize_with_flavor::<T, Sink<'_>, usize>(value, sink).ok()?;
    (len <= room).then_some(len)
}

/// Reads a body that fills `bytes`.
pub(crate) fn read_body<'a, T: Body<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (value, rest) = read_front(bytes)?;
    rest.is_empty().then_some(value)
}

/// Reads a body that may be followed by zero bytes (padding).
pub(crate) fn read_padded_body<'a, T: Body<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (value, rest) = read_front(bytes)?;
    rest.iter().all(|&byte| byte == 0).then_some(value)
}

fn read_front<'a, T: Body<'a>>(bytes: &'a [u8]) -> Option<(T, &'a [u8])> {
    let mut reader = Reader(bytes);
    let value = T::deserialize(&mut reader).ok()?;
    Some((value, reader.0))
}

/// For what equipment that does not punch does not read.
#[cfg(not(feature = "punch"))]
pub(super) fn refuse<'de, D: serde::Deserializer<'de>, T>(_: D) -> Result<T, D::Error> {
    Err(serde::de::Error::custom(""))
}

/// What bodies are written to, and what measures them: bytes for which there is no room are counted
/// only.
struct Sink<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Flavor for Sink<'_> {
    type Output = usize;

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if let Some(to) = self.out.get_mut(self.len) {
            *to = byte;
        }
        // No value is as long as memory.
        self.len = self.len.wrapping_add(1);
        Ok(())
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let end = self.len.saturating_add(bytes.len());
        if let Some(to) = self.out.get_mut(self.len..end) {
            // Not copy_from_slice: it has a panic for slices of two lengths.
            to.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        self.len = end;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.len)
    }
}
