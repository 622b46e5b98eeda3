//! One turn's view of the stack: the application's interface and sockets, and whose they are.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use genkan_core::{Instant, MAX_FRAME};
use genkan_turn::draw_ports;
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::socket::Socket;
use smoltcp::wire::IpListenEndpoint;

use crate::addr::own;
use crate::counters::Counters;
use crate::tcp::Wire;
use crate::udp::Port;

/// How often a row of free ports is looked for.
const TRIES: usize = 32;

/// What lasts from turn to turn besides the tables of sockets.
#[derive(Debug)]
pub(crate) struct Lasting {
    pub(crate) seed: u32,
    pub(crate) counters: Counters,
    /// The TCP port that is listened on.
    pub(crate) listening: Option<u16>,
    /// The TCP port to listen on when that is wanted; 0: draw one.
    pub(crate) listen_port: u16,
}

pub(crate) struct View<'v, 's> {
    pub(crate) now: Instant,
    pub(crate) iface: &'v mut Interface,
    pub(crate) sockets: &'v mut SocketSet<'s>,
    pub(crate) ports: &'v mut [Port],
    pub(crate) wires: &'v mut [Wire],
    pub(crate) lasting: &'v mut Lasting,
    /// For what is not in one piece in a ring, or is to be decrypted in place.
    pub(crate) scratch: &'v mut [u8; MAX_FRAME],
}

impl<'s> View<'_, 's> {
    /// The first of `count` consecutive ports that no socket of the application's set uses for the
    /// same protocol.
    pub(crate) fn free_ports(&mut self, count: u16, tcp: bool) -> Option<u16> {
        for _ in 0..TRIES {
            let port = draw_ports(&mut self.lasting.seed, count);
            let row = port..port + count;
            let taken = |socket: &Socket<'_>| match socket {
                Socket::Udp(socket) => !tcp && row.contains(&socket.endpoint().port),
                Socket::Tcp(socket) => {
                    let listening = socket.listen_endpoint().port;
                    let local = socket.local_endpoint().map_or(listening, |local| local.port);
                    tcp && row.contains(&local)
                }
                #[allow(unreachable_patterns, reason = "where the application uses other kinds")]
                _ => false,
            };
            if !self.sockets.iter().any(|(_, socket)| taken(socket)) {
                return Some(port);
            }
        }
        None
    }

    /// The local address of a port; the unspecified one while the interface has none.
    pub(crate) fn local(&self, port: u16) -> SocketAddr {
        let ip = own(self.iface).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::from);
        SocketAddr::new(ip, port)
    }
}

/// Any address of ours.
pub(crate) const fn any(port: u16) -> IpListenEndpoint {
    IpListenEndpoint { addr: None, port }
}
