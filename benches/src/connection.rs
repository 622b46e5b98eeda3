//! An issuer and an acceptor with a session over a stream.

use core::net::SocketAddr;

use genkan_core::{
    Channel, Command, ConnectionId, Instant, IssuerEvent, MAX_FRAME, Machine, Received, SocketId,
    StaticKey, StreamId, StreamState, Target,
};

use crate::world::{
    ACCEPTOR, BenchAcceptor, BenchIssuer, BenchServer, ISSUER, SERVER, acceptor, issuer, server,
};

/// Length of the payload that is measured, in bytes.
pub const PAYLOAD: usize = 1_200;

/// Room for one frame.
pub type Frame = [u8; MAX_FRAME];

/// The issuer's end.
#[derive(Debug)]
pub struct Sender {
    issuer: BenchIssuer,
    name: ConnectionId,
    now: Instant,
}

impl Sender {
    /// Seals `payload` into a frame; its length.
    ///
    /// # Panics
    /// When the session has ended.
    pub fn seal(&mut self, payload: &[u8], out: &mut Frame) -> usize {
        let mut sending =
            self.issuer.send(self.now, self.name, Channel::Datagram, payload).unwrap();
        let len = sending.encode(out).unwrap();
        sending.commit();
        len
    }
}

/// The acceptor's end.
#[derive(Debug)]
pub struct Receiver {
    acceptor: BenchAcceptor,
    stream: StreamId,
    now: Instant,
}

impl Receiver {
    /// Opens a frame; the length of the payload in it.
    ///
    /// # Panics
    /// When it is not authentic.
    pub fn open(&mut self, frame: &mut [u8]) -> usize {
        match self.acceptor.handle_stream(self.now, self.stream, frame).received {
            Received::Payload { plaintext, .. } => plaintext.len(),
            other => panic!("{other:?}"),
        }
    }
}

struct Trio {
    server: Box<BenchServer>,
    acceptor: BenchAcceptor,
    issuer: BenchIssuer,
    now: Instant,
}

/// Both ends of a connection that has just been made.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn connected() -> (Sender, Receiver) {
    let now = Instant::from_millis(1_000);
    let mut trio = Trio {
        server: server(now, 4),
        acceptor: acceptor(now, StaticKey::from_secret([2; 32]), 2),
        issuer: issuer(now),
        now,
    };
    trio.pump();
    let target = Target::new(trio.acceptor.id());
    let name = trio.issuer.request(now, &target).unwrap();
    assert_eq!(trio.issuer.poll_command(), Some(Command::Listen { socket: SocketId::LISTENER }));
    trio.issuer.handle_bound(now, SocketId::LISTENER, Some(SocketAddr::new(ISSUER.ip(), 7_777)));
    trio.pump();
    let Some(Command::Connect { stream, .. }) = trio.acceptor.poll_command() else {
        panic!("no dial-back")
    };
    let theirs = trio.issuer.handle_accept(now, SocketId::LISTENER, ACCEPTOR).unwrap();
    trio.acceptor.handle_stream_state(now, stream, StreamState::Connected);
    carry(now, (&mut trio.acceptor, stream), (&mut trio.issuer, theirs));
    carry(now, (&mut trio.issuer, theirs), (&mut trio.acceptor, stream));
    let mut events = core::iter::from_fn(|| trio.issuer.poll_event());
    assert!(events.any(|event| matches!(event, IssuerEvent::Connected { .. })));
    let Trio { acceptor, issuer, .. } = trio;
    (Sender { issuer, name, now }, Receiver { acceptor, stream, now })
}

impl Trio {
    /// Carries datagrams until there are none.
    fn pump(&mut self) {
        for _ in 0..50 {
            self.acceptor.handle_timeout(self.now);
            self.issuer.handle_timeout(self.now);
            let mut all = take(&mut self.acceptor, self.now, ACCEPTOR);
            all.extend(take(&mut self.issuer, self.now, ISSUER));
            all.extend(take(&mut *self.server, self.now, SERVER));
            for (from, to, mut bytes) in all {
                let (now, main) = (self.now, SocketId::MAIN);
                let received = match to {
                    SERVER => self.server.handle_datagram(now, main, from, &mut bytes),
                    ACCEPTOR => self.acceptor.handle_datagram(now, main, from, &mut bytes),
                    _ => self.issuer.handle_datagram(now, main, from, &mut bytes),
                };
                assert_eq!(received, Received::Control);
            }
        }
    }
}

type Flying = (SocketAddr, SocketAddr, Vec<u8>);

fn take<M: Machine>(machine: &mut M, now: Instant, from: SocketAddr) -> Vec<Flying> {
    let mut all = Vec::new();
    while let Some(mut transmit) = machine.poll_transmit(now) {
        let mut bytes = vec![0; transmit.len()];
        transmit.encode(&mut bytes).unwrap();
        all.push((from, transmit.remote(), bytes));
        transmit.commit();
    }
    all
}

/// Carries all frames of one end to the other.
fn carry<A: Machine, B: Machine>(
    now: Instant,
    (from, out): (&mut A, StreamId),
    (to, into): (&mut B, StreamId),
) {
    while let Some(mut frame) = from.poll_frame(now, out) {
        let mut bytes = [0; MAX_FRAME];
        let len = frame.encode(&mut bytes).unwrap();
        frame.commit();
        assert_eq!(to.handle_stream(now, into, &mut bytes[..len]).received, Received::Control);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_arrive() {
        let (mut sender, mut receiver) = connected();
        for _ in 0..5 {
            let mut frame = [0; MAX_FRAME];
            let len = sender.seal(&[7; PAYLOAD], &mut frame);
            assert_eq!(receiver.open(&mut frame[..len]), PAYLOAD);
        }
    }
}
