//! The 28-byte messages that keep a registration and its NAT mapping alive.
//!
//! ```text
//! kind 1 | status 1 | handle 4 | counter 6 | tag 16
//! ```
//!
//! The tag is SipHash-2-4-128 under a key derived for keepalives of that direction alone. The
//! counter is the session's own, so keepalives and transport messages share one replay window. An
//! [`Echo`](crate::wire::Kind::Echo) has the challenge's 6-byte cookie between counter and tag.

use crate::crypto::mac;
use crate::wire::codec::{Reader, Writer};
use crate::wire::{Kind, TAG_LEN};

/// Status bit: the sender wants an answer.
pub(crate) const WANTS_ANSWER: u8 = 1;
/// Status bit of an answer: the address is the registered one.
pub(crate) const ADDRESS_UNCHANGED: u8 = 2;
/// Status bits that must be zero.
const RESERVED: u8 = !(WANTS_ANSWER | ADDRESS_UNCHANGED);

/// A keepalive or its answer, a challenge, a hint or (with a cookie) an echo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Keepalive {
    pub(crate) kind: Kind,
    pub(crate) status: u8,
    /// The receiver's index for the session.
    pub(crate) handle: u32,
    /// 48 bits.
    pub(crate) counter: u64,
    /// An echo's copy of the challenge's cookie (a challenge carries it in `counter`).
    pub(crate) cookie: Option<[u8; 6]>,
}

impl Keepalive {
    pub(crate) fn parse(kind: Kind, message: &[u8]) -> Option<(Self, [u8; TAG_LEN])> {
        let mut reader = Reader(message.get(1..)?);
        let (status, handle) = (reader.byte()?, reader.u32()?);
        let [a, b, c, d, e, f] = reader.array()?;
        let cookie = if kind == Kind::Echo { Some(reader.array()?) } else { None };
        let tag = reader.array()?;
        let counter = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        (reader.0.is_empty() && status & RESERVED == 0)
            .then_some((Self { kind, status, handle, counter, cookie }, tag))
    }

    fn head(&self) -> [u8; 12] {
        let mut head = [0; 12];
        let mut writer = Writer::new(&mut head);
        writer.put(&[self.kind as u8, self.status]);
        writer.put(&self.handle.to_be_bytes());
        let [_, _, counter @ ..] = self.counter.to_be_bytes();
        writer.put(&counter);
        head
    }

    pub(crate) fn tag(&self, key: &[u8; 16]) -> [u8; TAG_LEN] {
        mac::tag(key, &[&self.head(), self.cookie.as_ref().map_or(&[][..], |cookie| &cookie[..])])
    }

    /// Writes the message with `tag`.
    pub(crate) fn write(&self, tag: &[u8; TAG_LEN], out: &mut [u8]) {
        let mut writer = Writer::new(out);
        writer.put(&self.head());
        if let Some(cookie) = &self.cookie {
            writer.put(cookie);
        }
        writer.put(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ECHO_LEN, KEEPALIVE_LEN};

    #[test]
    fn keepalives_and_echoes_survive_their_wire_form() {
        for (kind, cookie) in [(Kind::Keepalive, None), (Kind::Echo, Some([7; 6]))] {
            let sent = Keepalive { kind, status: 1, handle: 9, counter: (1 << 48) - 2, cookie };
            let mut bytes = [0; ECHO_LEN];
            let len = if cookie.is_some() { ECHO_LEN } else { KEEPALIVE_LEN };
            let bytes = &mut bytes[..len];
            sent.write(&sent.tag(&[5; 16]), bytes);
            let (read, tag) = Keepalive::parse(kind, bytes).unwrap();
            assert_eq!((read, tag), (sent, sent.tag(&[5; 16])));
            assert!(Keepalive::parse(kind, &bytes[..bytes.len() - 1]).is_none());
        }
    }
}
