//! Sessions: encrypted transport messages under a root, with replay protection and rekeying.
//!
//! The same on the server link and between issuer and acceptor. A message is
//!
//! ```text
//! kind 1 | epoch 1 | receiver index 4 | counter 8 | ciphertext | tag 16
//! ```
//!
//! with the 14-byte header as additional data. Each direction has a key of its own and one counter
//! that never starts again, so no (key, nonce) pair occurs twice. The handshake's initiator moves a
//! session to the next *epoch* after a number of messages or some time: the root goes one step
//! through a one-way ratchet; the responder follows when it has authenticated a message of the new
//! epoch. Nothing that fails authentication changes anything (threats T18, T32).

pub(crate) mod keepalive;
pub(crate) mod window;

use core::time::Duration;

use crate::crypto::aead;
use crate::crypto::keys::{Direction, Root};
use crate::machine::Discard;
use crate::time::Instant;
use crate::wire::codec::{Reader, Writer};
use crate::wire::{Kind, TAG_LEN, TRANSPORT_HEADER, TRANSPORT_OVERHEAD};
use window::Window;

/// After how many messages the initiator moves to the next epoch.
pub(crate) const EPOCH_MESSAGES: u32 = 1 << 20;
/// After what time the initiator moves to the next epoch, in seconds.
const EPOCH_TIME: u16 = 15 * 60;
/// The last counter that is used: keepalives carry 48 bits of it.
pub(crate) const LAST_COUNTER: u64 = (1 << 48) - 1;

/// The fields in front of a transport message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) epoch: u8,
    pub(crate) receiver: u32,
    pub(crate) counter: u64,
}

impl Header {
    pub(crate) fn parse(kind: Kind, message: &[u8]) -> Option<Self> {
        let mut reader = Reader(message.get(1..)?);
        let (epoch, receiver, counter) = (reader.byte()?, reader.u32()?, reader.u64()?);
        (message.len() >= TRANSPORT_OVERHEAD && counter <= LAST_COUNTER).then_some(Self {
            kind,
            epoch,
            receiver,
            counter,
        })
    }

    /// Encrypts the body that stands in `out` between header and tag, and writes both.
    pub(crate) fn seal(self, key: &[u8; 32], out: &mut [u8]) {
        let Some((header, rest)) = out.split_first_chunk_mut::<TRANSPORT_HEADER>() else { return };
        let mut writer = Writer::new(header);
        writer.put(&[self.kind as u8, self.epoch]);
        writer.put(&self.receiver.to_be_bytes());
        writer.put(&self.counter.to_be_bytes());
        if let Some((body, tag)) = rest.split_last_chunk_mut::<TAG_LEN>() {
            *tag = aead::seal(key, self.counter, header, body);
        }
    }

    /// Decrypts the body in place.
    pub(crate) fn open<'d>(self, key: &[u8; 32], message: &'d mut [u8]) -> Option<&'d mut [u8]> {
        let (header, rest) = message.split_first_chunk_mut::<TRANSPORT_HEADER>()?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG_LEN>()?;
        aead::open(key, self.counter, header, body, tag).then_some(body)
    }
}

/// One end of a session, with its keys at hand.
#[derive(Clone)]
pub(crate) struct Session {
    /// What we send: up when we initiated the handshake.
    direction: Direction,
    root: Root,
    epoch: u8,
    seal: [u8; 32],
    open: [u8; 32],
    /// The peer may still send in the epoch before.
    previous: Option<[u8; 32]>,
    counter: u64,
    window: Window<4>,
    epoch_began: Instant,
    epoch_messages: u32,
    /// After what time the initiator moves to the next epoch, in seconds.
    pub(crate) epoch_time: u16,
    /// The index that the peer wants to see in messages to it.
    pub(crate) peer_index: u32,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session")
            .field("epoch", &self.epoch)
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.seal.zeroize();
        self.open.zeroize();
        self.previous.zeroize();
    }
}

impl Session {
    pub(crate) fn new(now: Instant, root: Root, direction: Direction, peer_index: u32) -> Self {
        Self {
            direction,
            seal: root.transport(direction),
            open: root.transport(direction.reverse()),
            root,
            epoch: 0,
            previous: None,
            counter: 0,
            window: Window::default(),
            epoch_began: now,
            epoch_messages: 0,
            epoch_time: EPOCH_TIME,
            peer_index,
        }
    }

    /// The current root: what a device may keep for resumption.
    pub(crate) const fn root(&self) -> &Root {
        &self.root
    }

    /// Takes the next counter, for a message that is authenticated in another way (a keepalive).
    pub(crate) fn next_counter(&mut self) -> Option<u64> {
        let counter = self.counter;
        if counter > LAST_COUNTER {
            return None;
        }
        self.counter = counter.saturating_add(1);
        Some(counter)
    }

    /// Takes the peer's counter of a message that is authenticated in another way; whether it was fresh.
    pub(crate) fn take(&mut self, counter: u64) -> bool {
        let fresh = self.window.is_fresh(counter);
        if fresh {
            self.window.accept(counter);
        }
        fresh
    }

    /// Whether a message with this counter is newer than all that were accepted.
    pub(crate) const fn is_newest(&self, counter: u64) -> bool {
        self.window.is_newest(counter)
    }

    /// Whether the counter is used up.
    pub(crate) const fn exhausted(&self) -> bool {
        self.counter > LAST_COUNTER
    }

    /// Seals the body that stands in `out` between header and tag.
    pub(crate) fn seal(&mut self, now: Instant, kind: Kind, out: &mut [u8]) {
        self.advance_epoch(now);
        let Some(counter) = self.next_counter() else { return out.fill(0) };
        self.epoch_messages = self.epoch_messages.saturating_add(1);
        let header = Header { kind, epoch: self.epoch, receiver: self.peer_index, counter };
        header.seal(&self.seal, out);
    }

    /// Opens a message; its header was parsed by the caller to find this session.
    pub(crate) fn open<'d>(
        &mut self,
        now: Instant,
        header: Header,
        message: &'d mut [u8],
    ) -> Result<&'d mut [u8], Discard> {
        if !self.window.is_fresh(header.counter) {
            return Err(Discard::Replayed);
        }
        let next = self.direction == Direction::Down && header.epoch == self.epoch.wrapping_add(1);
        let body = if header.epoch == self.epoch {
            header.open(&self.open, message)
        } else if next {
            let root = self.root.ratchet();
            let key = root.transport(self.direction.reverse());
            let body = header.open(&key, message);
            if body.is_some() {
                self.enter(now, root, key);
            }
            body
        } else if header.epoch == self.epoch.wrapping_sub(1) {
            self.previous.and_then(|key| header.open(&key, message))
        } else {
            None
        };
        let body = body.ok_or(Discard::Unauthentic)?;
        self.window.accept(header.counter);
        Ok(body)
    }

    /// For [`Inspect`](crate::inspect::Inspect).
    #[cfg(feature = "inspect")]
    pub(crate) fn inspect(&self, see: &mut dyn FnMut(u64)) {
        see(self.root.print());
        see(u64::from(self.peer_index) << 8 | u64::from(self.epoch));
        self.window.inspect(see);
    }

    fn advance_epoch(&mut self, now: Instant) {
        let due = self.epoch_messages >= EPOCH_MESSAGES
            || now >= self.epoch_began.after(Duration::from_secs(self.epoch_time.into()));
        if due && self.direction == Direction::Up {
            let root = self.root.ratchet();
            let open = root.transport(self.direction.reverse());
            self.enter(now, root, open);
        }
    }

    fn enter(&mut self, now: Instant, root: Root, open: [u8; 32]) {
        self.previous = Some(core::mem::replace(&mut self.open, open));
        self.seal = root.transport(self.direction);
        self.root = root;
        self.epoch = self.epoch.wrapping_add(1);
        self.epoch_began = now;
        self.epoch_messages = 0;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const EPOCH: Duration = Duration::from_secs(EPOCH_TIME as u64);

    fn pair() -> (Session, Session) {
        let now = Instant::START;
        (
            Session::new(now, Root([1; 32]), Direction::Up, 1),
            Session::new(now, Root([1; 32]), Direction::Down, 2),
        )
    }

    fn send(from: &mut Session, now: Instant, body: &[u8]) -> Vec<u8> {
        let mut out = std::vec![0; TRANSPORT_HEADER];
        out.extend_from_slice(body);
        out.extend_from_slice(&[0; TAG_LEN]);
        from.seal(now, Kind::IssuerTransport, &mut out);
        out
    }

    fn receive(to: &mut Session, message: &[u8]) -> Result<Vec<u8>, Discard> {
        let mut message = message.to_vec();
        let header = Header::parse(Kind::IssuerTransport, &message).ok_or(Discard::Malformed)?;
        to.open(Instant::START, header, &mut message).map(|body| body.to_vec())
    }

    #[test]
    fn messages_pass_once_in_any_order_and_changed_ones_never() {
        let (mut a, mut b) = pair();
        let messages: Vec<_> = (0..100u8).map(|n| send(&mut a, Instant::START, &[n; 9])).collect();
        for n in (0..100u8).rev() {
            let message = &messages[usize::from(n)];
            for position in 0..message.len() {
                let mut wrong = message.clone();
                wrong[position] ^= 0x11;
                // The kind is the caller's to check; the receiver index is what it found us by.
                assert!(receive(&mut b, &wrong).is_err(), "byte {position}");
            }
            assert_eq!(receive(&mut b, message), Ok(std::vec![n; 9]));
            assert_eq!(receive(&mut b, message), Err(Discard::Replayed));
        }
    }

    #[test]
    fn the_initiator_rekeys_and_late_messages_of_the_epoch_before_still_pass() {
        let (mut a, mut b) = pair();
        let late = send(&mut a, Instant::START, b"late");
        let crossing = send(&mut b, Instant::START, b"crossing");
        let later = Instant::START.after(EPOCH);
        let fresh = send(&mut a, later, b"fresh");
        assert_eq!(fresh[1], 1, "epoch");
        assert_eq!(receive(&mut a, &crossing), Ok(b"crossing".to_vec()));
        assert_eq!(receive(&mut b, &fresh), Ok(b"fresh".to_vec()));
        assert_eq!(receive(&mut b, &late), Ok(b"late".to_vec()));
        let answer = send(&mut b, later, b"answer");
        assert_eq!((answer[1], receive(&mut a, &answer)), (1, Ok(b"answer".to_vec())));
        assert_eq!(send(&mut b, later.after(EPOCH), b"x")[1], 1, "a responder only follows");
    }

    #[test]
    fn a_forged_next_epoch_moves_nothing() {
        let (mut a, mut b) = pair();
        let mut forged = send(&mut a, Instant::START, b"forged");
        forged[1] = 1;
        assert_eq!(receive(&mut b, &forged), Err(Discard::Unauthentic));
        let honest = send(&mut a, Instant::START, b"honest");
        assert_eq!(receive(&mut b, &honest), Ok(b"honest".to_vec()));
    }

    #[test]
    fn the_last_counter_ends_the_session_without_a_second_use() {
        let (mut a, mut b) = pair();
        a.counter = LAST_COUNTER;
        let last = send(&mut a, Instant::START, b"last");
        assert!(receive(&mut b, &last).is_ok() && a.exhausted());
        assert!(send(&mut a, Instant::START, b"more").iter().all(|&byte| byte == 0));
        assert_eq!(a.next_counter(), None);
    }
}
