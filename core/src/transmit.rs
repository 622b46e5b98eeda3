//! Outgoing bytes as a borrowed descriptor: look, encode, commit.
//!
//! A [`Transmit`] tells destination and exact length before a byte is written, so that a stack such
//! as smoltcp can be asked for a slot of just that size and the message is encrypted straight into
//! it. Three rules:
//!
//! - *Encode burns, commit moves.* Encoding an encrypted message takes a fresh nonce each time (a
//!   handshake message gives the same bytes again: its ephemeral key was drawn when it was queued).
//!   Protocol state moves only in `commit`.
//! - Dropping a descriptor is safe: the message stays queued.
//! - A send error is a lost datagram: `abandon` it and the retransmit timer does the rest.

use core::net::SocketAddr;

use crate::error::BufferTooSmall;
use crate::id::{SocketId, StreamId};
use crate::time::Instant;

/// What a machine has to send next, in its own terms. Implemented by the three roles only.
pub trait Outbox: sealed::Sealed {
    /// The machine's own name for the queued message.
    #[doc(hidden)]
    type Ticket: Copy;
    #[doc(hidden)]
    fn next_datagram(&mut self, now: Instant) -> Option<DatagramHead<Self::Ticket>>;
    #[doc(hidden)]
    fn next_frame(&mut self, now: Instant, stream: StreamId) -> Option<FrameHead<Self::Ticket>>;
    /// Writes the message to the front of `out`, which has exactly the announced length.
    #[doc(hidden)]
    fn encode(&mut self, now: Instant, ticket: Self::Ticket, out: &mut [u8]);
    /// The message has left (`sent`), or was dropped on the way out.
    #[doc(hidden)]
    fn commit(&mut self, now: Instant, ticket: Self::Ticket, sent: bool);
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Destination and length of a datagram.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct DatagramHead<T> {
    pub(crate) ticket: T,
    pub(crate) socket: SocketId,
    pub(crate) remote: SocketAddr,
    pub(crate) len: usize,
    pub(crate) hop_limit: Option<u8>,
}

/// Stream and length of a frame.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct FrameHead<T> {
    pub(crate) ticket: T,
    pub(crate) stream: StreamId,
    pub(crate) len: usize,
}

/// A datagram that waits to be sent.
#[must_use = "a transmit that is not committed stays queued"]
#[derive(Debug)]
pub struct Transmit<'m, M: Outbox> {
    machine: &'m mut M,
    now: Instant,
    head: DatagramHead<M::Ticket>,
}

impl<'m, M: Outbox> Transmit<'m, M> {
    pub(crate) const fn new(
        machine: &'m mut M,
        now: Instant,
        head: DatagramHead<M::Ticket>,
    ) -> Self {
        Self { machine, now, head }
    }

    /// The socket to send from.
    pub const fn socket(&self) -> SocketId {
        self.head.socket
    }

    /// The address to send to.
    pub const fn remote(&self) -> SocketAddr {
        self.head.remote
    }

    /// Exact length in bytes; at most [`MAX_DATAGRAM`](crate::MAX_DATAGRAM).
    #[expect(clippy::len_without_is_empty, reason = "a datagram of ours is never empty")]
    pub const fn len(&self) -> usize {
        self.head.len
    }

    /// A TTL or hop limit to set on this datagram, where the socket can.
    pub const fn hop_limit(&self) -> Option<u8> {
        self.head.hop_limit
    }

    /// Writes the datagram to the front of `buf` and returns its length.
    ///
    /// # Errors
    /// [`BufferTooSmall`] when `buf` is shorter than [`Transmit::len`]; `buf` is untouched then.
    pub fn encode(&mut self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        encode(self.machine, self.now, self.head.ticket, self.head.len, buf)
    }

    /// It was sent: timers start, the queue moves on.
    pub fn commit(self) {
        self.machine.commit(self.now, self.head.ticket, true);
    }

    /// It cannot be sent: treated as lost on the way.
    pub fn abandon(self) {
        self.machine.commit(self.now, self.head.ticket, false);
    }
}

/// A length-prefixed frame that waits to be written to a stream.
#[must_use = "a frame that is not committed stays queued"]
#[derive(Debug)]
pub struct Frame<'m, M: Outbox> {
    machine: &'m mut M,
    now: Instant,
    head: FrameHead<M::Ticket>,
}

impl<'m, M: Outbox> Frame<'m, M> {
    pub(crate) const fn new(machine: &'m mut M, now: Instant, head: FrameHead<M::Ticket>) -> Self {
        Self { machine, now, head }
    }

    /// The stream to write to.
    pub const fn stream(&self) -> StreamId {
        self.head.stream
    }

    /// Exact length in bytes with the length prefix; at most [`MAX_FRAME`](crate::MAX_FRAME).
    #[expect(clippy::len_without_is_empty, reason = "a frame of ours is never empty")]
    pub const fn len(&self) -> usize {
        self.head.len
    }

    /// Writes the frame to the front of `buf` and returns its length.
    ///
    /// # Errors
    /// [`BufferTooSmall`] when `buf` is shorter than [`Frame::len`]; `buf` is untouched then.
    pub fn encode(&mut self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        encode(self.machine, self.now, self.head.ticket, self.head.len, buf)
    }

    /// It was written, or queued in order for writing: the queue moves on.
    pub fn commit(self) {
        self.machine.commit(self.now, self.head.ticket, true);
    }
}

fn encode<M: Outbox>(
    machine: &mut M,
    now: Instant,
    ticket: M::Ticket,
    len: usize,
    buf: &mut [u8],
) -> Result<usize, BufferTooSmall> {
    let out = buf.get_mut(..len).ok_or(BufferTooSmall { needed: len })?;
    machine.encode(now, ticket, out);
    Ok(len)
}
