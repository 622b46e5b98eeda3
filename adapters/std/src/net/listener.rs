//! The TCP listener. Without file descriptors it waits instead of trying again and again.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use genkan_core::{Instant, canonical};
use mio::net::{TcpListener, TcpStream};

/// First and longest pause when the system has no room for another connection.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) ready: bool,
    /// Not before this time again.
    pub(super) pause: Option<Instant>,
    length: Duration,
}

/// What an attempt to accept came to.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A connection from there.
    Stream(TcpStream, SocketAddr),
    /// None waits.
    Nobody,
    /// The system has no room; it is tried again after a pause.
    Exhausted(io::Error),
}

impl Listener {
    pub(super) const fn new(socket: TcpListener) -> Self {
        let [first, _] = PAUSES;
        Self { socket, ready: true, pause: None, length: first }
    }

    pub(super) fn accept(&mut self, now: Instant) -> Accepted {
        let [first, longest] = PAUSES;
        if !self.ready || self.pause.is_some_and(|until| now < until) {
            return Accepted::Nobody;
        }
        self.pause = None;
        loop {
            match self.socket.accept() {
                Ok((stream, remote)) => {
                    self.length = first;
                    return Accepted::Stream(stream, canonical(remote));
                }
                Err(error) => match error.kind() {
                    // A caller who hung up in the meantime is no reason to stop.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    io::ErrorKind::WouldBlock => {
                        self.ready = false;
                        return Accepted::Nobody;
                    }
                    _ => {
                        self.pause = Some(now.after(self.length));
                        self.length = (self.length * 2).min(longest);
                        return Accepted::Exhausted(error);
                    }
                },
            }
        }
    }
}
