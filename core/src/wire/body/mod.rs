//! How bodies are written and read: postcard's format, by hand.
//!
//! The bytes are those that the derived `serde` implementations give with postcard, and a test holds
//! the two against each other; but serde's way, generic over formats at one end and types at the other,
//! takes a microcontroller three times the flash. Whole numbers of more than one byte are varints, the
//! variants of an enum and the lengths of slices too; everything else stands as it is.
//!
//! Each value has one encoding: a number that could have been written shorter is refused.

mod tables;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use heapless::Vec;

use crate::id::EquipmentId;
use crate::nat::Differential;

/// What stands in a transport message or handshake payload, or is a part of it.
pub trait Body<'a>: Sized {
    /// Appends itself.
    #[doc(hidden)]
    fn write(&self, to: &mut Sink<'_>);
    /// Takes one from the front; when there is none, [`Source::fail`] and anything.
    #[doc(hidden)]
    fn read(from: &mut Source<'a>) -> Self;
}

/// Bytes on their way into a slice; what does not fit is counted all the same.
#[derive(Debug)]
pub struct Sink<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Sink<'a> {
    pub(super) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// How many bytes it took.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(place) = self.out.get_mut(self.len..end) {
            place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        self.len = end;
    }

    #[inline(never)]
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.out.get_mut(self.len) {
            *place = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    #[inline(never)]
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            let [low, ..] = value.to_le_bytes();
            self.byte(low | 0x80);
            value >>= 7;
        }
        let [low, ..] = value.to_le_bytes();
        self.byte(low);
    }
}

/// Bytes that a body is read from. That something was wrong is remembered, and looked at once, at the
/// end: a check behind each field would double the code.
#[derive(Debug)]
pub struct Source<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Source<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, failed: false }
    }

    /// What is left; `None` when something was wrong.
    pub(super) fn rest(&self) -> Option<&'a [u8]> {
        (!self.failed).then_some(self.rest)
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self) {
        self.failed = true;
        self.rest = &[];
    }

    #[inline(never)]
    fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => {
                self.fail();
                0
            }
        }
    }

    #[inline(never)]
    fn fill(&mut self, out: &mut [u8]) {
        out.iter_mut().for_each(|place| *place = self.byte());
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    #[inline(never)]
    fn slice(&mut self) -> &'a [u8] {
        let len = usize::try_from(self.u32()).unwrap_or(usize::MAX);
        match self.rest.split_at_checked(len) {
            Some((slice, rest)) => {
                self.rest = rest;
                slice
            }
            None => {
                self.fail();
                &[]
            }
        }
    }

    /// A number that takes at most so many bytes, of whose last one no more bits than these are set.
    #[inline(never)]
    fn varint(&mut self, bytes: u32, last: u8) -> u64 {
        let mut value = 0;
        for place in 0..bytes {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << place.saturating_mul(7);
            if byte & 0x80 == 0 {
                // A last byte of zero could have been left out.
                let is_last = place.saturating_add(1) == bytes;
                if (byte == 0 && place > 0) || (is_last && byte > last) {
                    break;
                }
                return value;
            }
        }
        self.fail();
        0
    }

    #[inline(never)]
    fn u16(&mut self) -> u16 {
        let [low, high, ..] = self.varint(3, 0b11).to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    #[inline(never)]
    fn u32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.varint(5, 0b1111).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    #[inline(never)]
    fn bool(&mut self) -> bool {
        let byte = self.byte();
        if byte > 1 {
            self.fail();
        }
        byte == 1
    }
}

impl Body<'_> for u8 {
    fn write(&self, to: &mut Sink<'_>) {
        to.byte(*self);
    }

    fn read(from: &mut Source<'_>) -> Self {
        from.byte()
    }
}

impl Body<'_> for u16 {
    fn write(&self, to: &mut Sink<'_>) {
        to.varint((*self).into());
    }

    fn read(from: &mut Source<'_>) -> Self {
        from.u16()
    }
}

impl Body<'_> for u32 {
    fn write(&self, to: &mut Sink<'_>) {
        to.varint((*self).into());
    }

    fn read(from: &mut Source<'_>) -> Self {
        from.u32()
    }
}

impl Body<'_> for u64 {
    fn write(&self, to: &mut Sink<'_>) {
        to.varint(*self);
    }

    fn read(from: &mut Source<'_>) -> Self {
        from.varint(10, 1)
    }
}

impl Body<'_> for bool {
    fn write(&self, to: &mut Sink<'_>) {
        to.byte((*self).into());
    }

    fn read(from: &mut Source<'_>) -> Self {
        from.bool()
    }
}

impl<const N: usize> Body<'_> for [u8; N] {
    fn write(&self, to: &mut Sink<'_>) {
        to.put(self);
    }

    fn read(from: &mut Source<'_>) -> Self {
        from.array()
    }
}

impl<'a> Body<'a> for &'a [u8] {
    fn write(&self, to: &mut Sink<'_>) {
        to.varint(u64::try_from(self.len()).unwrap_or(u64::MAX));
        to.put(self);
    }

    fn read(from: &mut Source<'a>) -> Self {
        from.slice()
    }
}

impl<'a, T: Body<'a>> Body<'a> for Option<T> {
    fn write(&self, to: &mut Sink<'_>) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Source<'a>) -> Self {
        from.bool().then(|| T::read(from))
    }
}

impl<'a, T: Body<'a>, const N: usize> Body<'a> for Vec<T, N> {
    fn write(&self, to: &mut Sink<'_>) {
        to.varint(u64::try_from(self.len()).unwrap_or(u64::MAX));
        self.iter().for_each(|value| value.write(to));
    }

    fn read(from: &mut Source<'a>) -> Self {
        let mut all = Self::new();
        for _ in 0..from.u32() {
            if all.push(T::read(from)).is_err() {
                from.fail();
                break;
            }
        }
        all
    }
}

impl<'a, A: Body<'a>, B: Body<'a>> Body<'a> for (A, B) {
    fn write(&self, to: &mut Sink<'_>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Source<'a>) -> Self {
        (A::read(from), B::read(from))
    }
}

/// Family, address and port; an IPv6 address without flow and scope.
impl Body<'_> for SocketAddr {
    #[inline(never)]
    fn write(&self, to: &mut Sink<'_>) {
        to.byte(self.is_ipv6().into());
        match self.ip() {
            IpAddr::V4(address) => to.put(&address.octets()),
            IpAddr::V6(address) => to.put(&address.octets()),
        }
        self.port().write(to);
    }

    #[inline(never)]
    fn read(from: &mut Source<'_>) -> Self {
        let ip = if from.bool() {
            IpAddr::V6(Ipv6Addr::from(from.array::<16>()))
        } else {
            IpAddr::V4(Ipv4Addr::from(from.array::<4>()))
        };
        Self::new(ip, from.u16())
    }
}

impl Body<'_> for EquipmentId {
    fn write(&self, to: &mut Sink<'_>) {
        self.0.write(to);
    }

    fn read(from: &mut Source<'_>) -> Self {
        Self(from.array())
    }
}

impl Body<'_> for Differential {
    fn write(&self, to: &mut Sink<'_>) {
        to.put(&self.get().to_le_bytes());
    }

    fn read(from: &mut Source<'_>) -> Self {
        let step = Self::new(i8::from_le_bytes(from.array()).into());
        step.unwrap_or_else(|| {
            from.fail();
            Self::ONE
        })
    }
}
