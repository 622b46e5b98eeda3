//! One number over what happened: a multiplication for each eight bytes, the same on any platform.
//!
//! It tells runs and messages apart; it keeps nobody out who chooses what is hashed.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::net::Unroutable;
use crate::packet::Via;
use crate::transcript::Fate;

/// A hash that is being made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }

    pub(crate) const fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    pub(crate) fn time(&mut self, at: Duration) {
        self.word(at.as_micros() as u64);
    }

    pub(crate) fn address(&mut self, address: SocketAddr) {
        let port = u64::from(address.port());
        match address.ip() {
            IpAddr::V4(ip) => self.word(u64::from(u32::from(ip)) << 16 | port),
            IpAddr::V6(ip) => {
                self.word(u128::from(ip) as u64);
                self.word((u128::from(ip) >> 64) as u64 ^ port.rotate_right(16));
            }
        }
    }

    pub(crate) fn via(&mut self, via: Via) {
        let (kind, id) = match via {
            Via::Udp => (0, 0),
            Via::Tcp(id) => (1, id.0),
            Via::Syn(id) => (2, id.0),
            Via::SynAck(id) => (3, id.0),
            Via::Fin(id) => (4, id.0),
            Via::Rst(id) => (5, id.0),
            Via::Icmp(error) => (6, error as u64),
        };
        self.word(id << 3 | kind);
    }

    pub(crate) fn fate(&mut self, fate: Fate) {
        self.word(match fate {
            Fate::InFlight => 1,
            Fate::Delivered(at) => (at.as_micros() as u64) << 8,
            Fate::Lost => 2,
            Fate::TooLong => 3,
            Fate::Expired => 4,
            Fate::Blocked => 5,
            Fate::Cut => 6,
            Fate::Hooked => 7,
            Fate::Unroutable(Unroutable::NoRoute) => 8,
            Fate::Unroutable(Unroutable::Nat) => 9,
            Fate::Unreceived => 10,
            Fate::QueueFull => 11,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&[u8]]) -> u64 {
        let mut digest = Digest::new();
        parts.iter().for_each(|part| digest.bytes(part));
        digest.value()
    }

    #[test]
    fn every_byte_its_place_and_every_length_counts() {
        let mut seen = std::collections::BTreeSet::from([of(&[]), of(&[b""]), of(&[b"", b""])]);
        for len in 1..40 {
            for at in 0..len {
                let mut bytes = vec![0; len];
                assert_eq!(seen.insert(of(&[&bytes])), at == 0);
                bytes[at] = 1;
                assert!(seen.insert(of(&[&bytes])), "{len} {at}");
            }
        }
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
    }
}
