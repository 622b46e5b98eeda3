//! Slots that own their memory, for hosts.
//!
//! A stack begins with few slots and makes more as streams come ([`OwnedStack::make_room`]): zeroed
//! buffers of this size are touched when they are allocated, and a session mostly carries one or two
//! streams at once.

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::iface::SocketSet;
use smoltcp::socket::tcp::SocketBuffer;

use crate::config::{Config, MAX_BUFFER, MIN_BUFFER, Role};
use crate::slot::Slot;
use crate::stack::StreamStack;

/// A [`StreamStack`] that owns its storage.
pub type OwnedStack = StreamStack<'static, Vec<Slot<'static>>>;

impl Slot<'static> {
    /// A slot with buffers of its own, of `receive` and `transmit` bytes, clamped to between
    /// [`MIN_BUFFER`] and [`MAX_BUFFER`].
    #[must_use]
    pub fn owned(receive: usize, transmit: usize) -> Self {
        let buffer = |len: usize| SocketBuffer::new(vec![0; len.clamp(MIN_BUFFER, MAX_BUFFER)]);
        Self::with(SocketSet::new(Vec::with_capacity(1)), buffer(receive), buffer(transmit))
    }
}

impl OwnedStack {
    /// One end with `streams` slots of `buffer` bytes per direction;
    /// [`HOST_BUFFER`](crate::HOST_BUFFER) is the usual size. `seed` and `now` are those of
    /// [`StreamStack::new`].
    #[must_use]
    pub fn with_slots(role: Role, streams: u16, buffer: usize, seed: u64, now: u64) -> Self {
        let slots = (0..streams).map(|_| Slot::owned(buffer, buffer)).collect();
        Self::new(role, slots, Config::default(), seed, now)
    }

    /// Makes one more slot, of `buffer` bytes per direction, if none is vacant and there are fewer
    /// than `most`. Call it before a packet is handled and before a stream is opened.
    pub fn make_room(&mut self, most: u16, buffer: usize) {
        if self.vacant_slots() == 0 && self.slots.len() < usize::from(most) {
            self.slots.push(Slot::owned(buffer, buffer));
        }
    }
}
