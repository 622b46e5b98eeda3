//! Application data on its way out: sealed straight into the caller's buffer, never queued here.

use super::{Path, Peer};
use crate::error::{BufferTooSmall, SendError};
use crate::machine::{Channel, FRAME_PREFIX, MAX_DATAGRAM};
use crate::time::Instant;
use crate::wire::TRANSPORT_OVERHEAD;

/// Longest application payload in bytes.
pub const MAX_PAYLOAD: usize = MAX_DATAGRAM - TRANSPORT_OVERHEAD - 1;

/// Application data that waits to be sent on a connection's path. Dropping it sends nothing; the
/// caller still holds the bytes. Each `encode` takes a fresh nonce.
#[must_use = "a payload that is not encoded and written is not sent"]
#[derive(Debug)]
pub struct Payload<'a> {
    peer: &'a mut Peer,
    now: Instant,
    channel: Channel,
    bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    pub(crate) fn new(
        peer: &'a mut Peer,
        now: Instant,
        channel: Channel,
        bytes: &'a [u8],
    ) -> Result<Self, SendError> {
        if bytes.len() > MAX_PAYLOAD {
            return Err(SendError::TooLong);
        }
        if peer.session.exhausted() {
            return Err(SendError::CounterExhausted);
        }
        if !peer.consents(now) {
            return Err(SendError::NoConsent);
        }
        Ok(Self { peer, now, channel, bytes })
    }

    /// Where it goes: a datagram to this address, or bytes for this stream.
    pub const fn path(&self) -> Path {
        self.peer.path
    }

    /// Exact length in bytes; on a stream with the frame's length prefix.
    #[expect(clippy::len_without_is_empty, reason = "a message of ours is never empty")]
    pub const fn len(&self) -> usize {
        self.prefix().saturating_add(self.message_len())
    }

    const fn message_len(&self) -> usize {
        self.bytes.len().saturating_add(1).saturating_add(TRANSPORT_OVERHEAD)
    }

    const fn prefix(&self) -> usize {
        match self.peer.path {
            Path::Stream { .. } => FRAME_PREFIX,
            Path::Datagram { .. } => 0,
        }
    }

    /// Writes the message to the front of `buf` and returns its length.
    ///
    /// # Errors
    /// [`BufferTooSmall`] when `buf` is shorter than [`Payload::len`]; `buf` is untouched then.
    pub fn encode(&mut self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let needed = self.len();
        let out = buf.get_mut(..needed).ok_or(BufferTooSmall { needed })?;
        let Some((prefix, out)) = out.split_at_mut_checked(self.prefix()) else {
            return Err(BufferTooSmall { needed });
        };
        let len = u16::try_from(out.len()).unwrap_or(u16::MAX);
        if let Some(prefix) = prefix.first_chunk_mut() {
            *prefix = len.to_be_bytes();
        }
        let channel = match self.channel {
            Channel::Datagram => 1,
            Channel::Stream => 2,
        };
        self.peer.seal(self.now, &[channel], self.bytes, out);
        Ok(needed)
    }

    /// It was sent or queued for sending.
    pub const fn commit(self) {
        self.peer.sent = self.now;
    }
}
