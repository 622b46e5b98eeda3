//! A server with many registered devices, and keepalives from them.

use core::net::SocketAddr;

use genkan_core::{Instant, StaticKey};

use crate::handshake::{device, later, shake};
use crate::mac::{hmac, siphash};
use crate::world::{BenchServer, Datagram, server, turn};

/// Length of a keepalive in bytes.
pub const KEEPALIVE: usize = genkan_core::wire::KEEPALIVE_LEN;

/// What a registered device knows.
#[derive(Clone, Debug)]
struct Device {
    address: SocketAddr,
    handle: u32,
    key: [u8; 16],
    counter: u64,
}

/// A server and its registered devices.
#[derive(Debug)]
pub struct Fleet {
    /// The server.
    pub server: Box<BenchServer>,
    /// Its time.
    pub now: Instant,
    devices: Vec<Device>,
    next: usize,
}

/// A keepalive on its way.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// Where it comes from.
    pub from: SocketAddr,
    /// The datagram.
    pub bytes: [u8; KEEPALIVE],
}

impl Fleet {
    /// Registers `count` devices, each with a handshake of its own.
    ///
    /// # Panics
    /// When one is not registered.
    #[must_use]
    pub fn new(count: u32) -> Self {
        let mut now = Instant::from_millis(1_000);
        let room = usize::try_from(count).unwrap();
        let mut server = server(now, room);
        let devices = (0..count).map(|n| enrol(&mut server, later(&mut now), n)).collect();
        assert_eq!(server.registered(), count);
        Self { server, now, devices, next: 0 }
    }

    /// The next keepalive of the next device, far from the one before in the server's memory.
    ///
    /// # Panics
    /// Without devices.
    pub fn keepalive(&mut self, wants_answer: bool) -> Keepalive {
        self.next = (self.next + 7_919) % self.devices.len();
        let device = &mut self.devices[self.next];
        device.counter += 1;
        let mut bytes = [0; KEEPALIVE];
        bytes[0] = genkan_core::wire::Kind::Keepalive as u8;
        bytes[1] = u8::from(wants_answer);
        bytes[2..6].copy_from_slice(&device.handle.to_be_bytes());
        bytes[6..12].copy_from_slice(&device.counter.to_be_bytes()[2..]);
        let tag = siphash(&device.key, &bytes[..12]);
        bytes[12..].copy_from_slice(&tag);
        Keepalive { from: device.address, bytes }
    }

    /// The server handles a keepalive; its answer is left in `out`.
    pub fn handle(&mut self, keepalive: &mut Keepalive, out: &mut Datagram) {
        turn(&mut *self.server, self.now, keepalive.from, &mut keepalive.bytes, out);
    }
}

fn enrol(server: &mut BenchServer, now: Instant, number: u32) -> Device {
    let mut secret = [0x5a; 32];
    secret[..4].copy_from_slice(&number.to_be_bytes());
    let [a, b, c, d] = number.to_be_bytes();
    let address = SocketAddr::from(([10 | a, b, c, d], 40_000));
    let mut device = device(now, StaticKey::from_secret(secret), u64::from(number));
    shake(server, now, &mut device, address);
    let kept = device.resumption().unwrap();
    let mut key = [0; 16];
    key.copy_from_slice(&hmac(&kept.root, b"keepalive up  ")[..16]);
    // The registration had counter 0.
    Device { address, handle: kept.handle, key, counter: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keepalive_made_here_is_answered_as_a_devices_own_would_be() {
        let mut fleet = Fleet::new(3);
        let mut out = Datagram::default();
        for _ in 0..10 {
            let mut keepalive = fleet.keepalive(true);
            fleet.handle(&mut keepalive, &mut out);
            assert_eq!(out.bytes().len(), KEEPALIVE);
            assert_eq!(out.bytes()[0], genkan_core::wire::Kind::KeepaliveAnswer as u8);
            let mut keepalive = fleet.keepalive(false);
            fleet.handle(&mut keepalive, &mut out);
            assert_eq!(out.bytes().len(), 0);
        }
        assert_eq!(fleet.server.counters().all_discarded(), 0);
    }
}
