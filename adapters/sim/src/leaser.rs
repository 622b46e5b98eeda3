//! A port that the box before a host opens: the core's client beside a machine, as the adapter for
//! real sockets has it.
//!
//! It has a socket of its own towards the box. The machine is held back until the box has answered
//! once, for [`HEAD_START`] at most, so that its first packet already leaves by the leased port; what
//! changes later it is told.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::nat::lease::{CONTROL_PORT, LeaseClient};
use genkan_core::{Instant, SocketId};

use crate::node::Io;

/// The number of its socket; no machine has so many.
const SOCKET: SocketId = SocketId(0xff00);
/// How long a machine waits for the box's first answer.
const HEAD_START: Duration = Duration::from_millis(100);

/// What a box is asked for a port with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    /// The machine's main socket.
    pub(crate) inside: SocketAddr,
    /// The box's address there.
    pub(crate) gateway: IpAddr,
    pub(crate) nonce: [u8; 12],
}

/// A client of the box's for a machine's main socket.
#[derive(Debug)]
pub(crate) struct Leaser {
    client: LeaseClient,
    at: SocketAddr,
    bound: bool,
    hold: Option<Instant>,
    told: Option<u16>,
}

impl Leaser {
    pub(crate) fn new(now: Instant, asking: Asking) -> Self {
        let Asking { inside, gateway, nonce } = asking;
        Self {
            client: LeaseClient::new(now, inside, nonce),
            at: SocketAddr::new(gateway, CONTROL_PORT),
            bound: false,
            hold: Some(now.after(HEAD_START)),
            told: None,
        }
    }

    /// Whether it was its socket's.
    pub(crate) fn bound(&mut self, socket: SocketId) -> bool {
        self.bound |= socket == SOCKET;
        socket == SOCKET
    }

    /// Whether it was the box's answer, or somebody else's word to its socket.
    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        if socket == SOCKET && remote == self.at && self.client.handle_answer(now, bytes) {
            // A box that speaks the other protocol is asked once more.
            let done = self.client.refused().is_some() || self.client.lease(now).is_some();
            self.hold = self.hold.filter(|_| !done);
        }
        socket == SOCKET
    }

    /// Until when the machine is held back.
    pub(crate) fn holds(&self, now: Instant) -> Option<Instant> {
        self.hold.filter(|&until| now < until)
    }

    /// Sends what is due; the port, when it is another one, or none any more.
    pub(crate) fn drive(&mut self, io: &mut Io) -> Option<Option<u16>> {
        let now = io.now();
        if !self.bound {
            io.bind_udp(SOCKET, 0);
            return None;
        }
        while let Some(request) = self.client.poll_request(now) {
            io.send_datagram(SOCKET, self.at, None, request.to_vec());
        }
        let port = self.client.lease(now).map(|lease| lease.port);
        let news = port != self.told;
        self.told = port;
        news.then_some(port)
    }

    /// When to be driven again.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let ends = self.client.lease(now).map(|lease| lease.until);
        let due = self.client.poll_timeout().filter(|_| self.bound);
        [self.holds(now), ends, due].into_iter().flatten().min()
    }
}
