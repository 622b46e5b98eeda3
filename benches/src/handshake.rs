//! A server, a device, and the messages between them one at a time.
//!
//! ```text
//! device  wake ─ Initiation ─► server  turn     (the server's four Diffie-Hellman operations)
//! device  turn ◄─ Response ─── server
//! device       ─ Register ───► server  turn     (the session is confirmed)
//! device  turn ◄─ Registered ─ server
//! ```

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{Instant, StaticKey};

use crate::world::{
    BenchAcceptor, BenchServer, Datagram, SERVER, acceptor, certificate, turn, wake,
};

/// A device before its first message, with the certificate at hand.
///
/// # Panics
/// When it does not take the certificate.
#[must_use]
pub fn device(now: Instant, key: StaticKey, seed: u64) -> BenchAcceptor {
    let mut device = acceptor(now, key, seed);
    device.restore_certificate(&certificate()).unwrap();
    device
}

/// Initiation, Response, registration, answer.
///
/// # Panics
/// When the device is not registered after that.
pub fn shake(server: &mut BenchServer, now: Instant, device: &mut BenchAcceptor, from: SocketAddr) {
    let (mut up, mut down) = (Datagram::default(), Datagram::default());
    wake(device, now, &mut up);
    for _ in 0..2 {
        turn(server, now, from, up.bytes(), &mut down);
        turn(device, now, SERVER, down.bytes(), &mut up);
    }
    assert_eq!(server.location(&device.id()), Some(from));
}

/// The clock of a bench: the next moment, late enough that no rate limit is met.
pub fn later(now: &mut Instant) -> Instant {
    *now = now.after(Duration::from_millis(100));
    *now
}
