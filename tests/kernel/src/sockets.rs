//! UDP sockets in several namespaces, looked at together: who got what, and who was told by ICMP
//! that nobody is there.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::net::UdpSocket;
use std::thread::sleep;
use std::time::Instant;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};

use crate::netns::Namespace;
use crate::scenario::{Inside, Remote};

/// Whose socket it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Who {
    Inside(Inside),
    Remote(Remote),
}

/// What a socket learnt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A datagram came, from there, with this number in it.
    Datagram(SocketAddr, u32),
    /// An ICMP error came for what it sent.
    Icmp,
}

/// Sockets that do not block.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: BTreeMap<Who, UdpSocket>,
}

/// How long it takes until another look.
const LOOK: Duration = Duration::from_micros(500);

impl Sockets {
    /// Opens a socket, if it is not open yet.
    #[expect(clippy::expect_used, reason = "a port of a namespace of our own")]
    pub(crate) fn open(&mut self, namespace: &Namespace, who: Who) {
        let address = match who {
            Who::Inside(inside) => inside.address(),
            Who::Remote(remote) => remote.address(),
        };
        self.open.entry(who).or_insert_with(|| {
            let socket = namespace.within(|| UdpSocket::bind(address)).expect("the port is free");
            socket.set_nonblocking(true).expect("a socket can be set not to block");
            // Without this, a socket that is not connected hears nothing of ICMP.
            match address {
                SocketAddr::V4(_) => setsockopt(&socket, Ipv4RecvErr, &true),
                SocketAddr::V6(_) => setsockopt(&socket, Ipv6RecvErr, &true),
            }
            .expect("a socket can be told of ICMP");
            socket
        });
    }

    /// Sends a datagram with a number in it.
    #[expect(clippy::expect_used, reason = "a scenario names sockets that are open")]
    pub(crate) fn send(&self, who: Who, to: SocketAddr, number: u32) {
        let socket = self.open.get(&who).expect("the socket is open");
        let _ = socket.send_to(&number.to_be_bytes(), to);
    }

    /// As [`Sockets::send`], with a hop limit.
    #[expect(clippy::expect_used, reason = "a scenario names sockets that are open")]
    pub(crate) fn send_low(&self, who: Who, to: SocketAddr, number: u32, hops: u8) {
        let socket = &self.open[&who];
        let usual = socket.ttl().expect("a socket has a hop limit");
        socket.set_ttl(hops.into()).expect("it can be set");
        self.send(who, to, number);
        socket.set_ttl(usual).expect("it can be set");
    }

    /// The first thing that any of the sockets learns within so long.
    pub(crate) fn event(&self, longest: Duration) -> Option<(Who, Event)> {
        let start = Instant::now();
        loop {
            let found = self.open.iter().find_map(|(&who, socket)| Some((who, look(socket)?)));
            if found.is_some() || start.elapsed() >= longest {
                return found;
            }
            sleep(LOOK);
        }
    }
}

fn look(socket: &UdpSocket) -> Option<Event> {
    let mut buffer = [0; 4];
    let received: Result<_> = socket.recv_from(&mut buffer);
    match received {
        Ok((_, from)) => Some(Event::Datagram(from, u32::from_be_bytes(buffer))),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(_) => Some(Event::Icmp),
    }
}
