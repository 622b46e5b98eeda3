//! Answers that wait to leave.
//!
//! An incoming segment may demand an answer at once: a reset, or a duplicate acknowledgement.
//! Callers that read datagrams in batches poll only afterwards, so a few answers wait here. When
//! the queue is full, further ones are dropped: each is repeated by the peer's next segment, and
//! three duplicate acknowledgements say as much as thirty.

use crate::config::INNER_MTU;
use crate::device::REPLY_LEN;

const CAPACITY: usize = 8;

/// A short queue of short packets.
pub(crate) struct Replies {
    packets: [([u8; REPLY_LEN], usize); CAPACITY],
    first: usize,
    count: usize,
}

impl Replies {
    pub(crate) const fn new() -> Self {
        Self { packets: [([0; REPLY_LEN], 0); CAPACITY], first: 0, count: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Keeps the first `len` bytes of `packet`; false when there is no room.
    pub(crate) fn push(&mut self, packet: [u8; REPLY_LEN], len: usize) -> bool {
        let free = self.count < CAPACITY;
        if let Some(place) = self.packets.get_mut((self.first + self.count) % CAPACITY)
            && free
        {
            *place = (packet, len.min(REPLY_LEN));
            self.count += 1;
        }
        free
    }

    /// Moves the oldest packet into `room`.
    pub(crate) fn pop(&mut self, room: &mut [u8; INNER_MTU]) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let (packet, len) = self.packets.get(self.first)?;
        room[..REPLY_LEN].copy_from_slice(packet);
        self.first = (self.first + 1) % CAPACITY;
        self.count -= 1;
        Some(*len)
    }
}
