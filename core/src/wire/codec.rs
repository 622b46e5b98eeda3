//! Fixed-layout fields and postcard bodies, read and written without panics.
//!
//! Fixed fields are big-endian. A body ([`Body`]) is one value and nothing after it; each value has
//! one encoding.

use super::body::{Body, Sink, Source};

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

    #[inline(never)]
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

    #[inline(never)]
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
pub(crate) fn body_len<'a, T: Body<'a>>(value: &T) -> usize {
    let mut sink = Sink::new(&mut []);
    value.write(&mut sink);
    sink.len()
}

/// Writes a body to the front of `out`; returns its length, or `None` when it does not fit.
pub(crate) fn write_body<'a, T: Body<'a>>(value: &T, out: &mut [u8]) -> Option<usize> {
    let room = out.len();
    let mut sink = Sink::new(out);
    value.write(&mut sink);
    Some(sink.len()).filter(|&len| len <= room)
}

/// Reads a body that fills `bytes`.
pub(crate) fn read_body<'a, T: Body<'a>>(bytes: &'a [u8]) -> Option<T> {
    let mut source = Source::new(bytes);
    let value = T::read(&mut source);
    source.rest()?.is_empty().then_some(value)
}

/// Reads a body that may be followed by zero bytes (padding).
pub(crate) fn read_padded_body<'a, T: Body<'a>>(bytes: &'a [u8]) -> Option<T> {
    let mut source = Source::new(bytes);
    let value = T::read(&mut source);
    source.rest()?.iter().all(|&byte| byte == 0).then_some(value)
}
