//! One UDP socket. An error in sending is a lost datagram; none in receiving ends anything.

use core::net::SocketAddr;
use std::io;

use genkan_core::canonical;
use mio::net::UdpSocket;
use socket2::SockRef;

use super::bind::for_family;

/// What hop limit the system's datagrams have where it does not tell.
const USUAL_HOPS: u32 = 64;

/// What became of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// The kernel has it.
    Done,
    /// It cannot be sent.
    Lost,
    /// Not now: the kernel has no room. The socket becomes writable later.
    Blocked,
}

/// What a socket had to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// A datagram of this length, from there.
    Datagram(usize, SocketAddr),
    /// Nothing waits. The socket becomes readable later.
    Nothing,
    /// The system could not give what waits.
    Error,
}

/// Windows says of a datagram that is longer than the room that it was cut.
fn cut_short(error: &io::Error) -> bool {
    const WSAEMSGSIZE: i32 = 10_040;
    cfg!(windows) && error.raw_os_error() == Some(WSAEMSGSIZE)
}

#[derive(Debug)]
pub(crate) struct Udp {
    pub(super) socket: UdpSocket,
    ipv6: bool,
    /// The kernel had no room for the last datagram.
    pub(super) blocked: bool,
}

impl Udp {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let ipv6 = socket.local_addr()?.is_ipv6();
        Ok(Self { socket, ipv6, blocked: false })
    }

    pub(super) fn receive(&self, room: &mut [u8]) -> Came {
        loop {
            match self.socket.recv_from(room) {
                Ok((length, remote)) => return Came::Datagram(length, canonical(remote)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Came::Nothing,
                    // An ICMP message about an earlier datagram (some systems tell): not news.
                    io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused => {}
                    _ if cut_short(&error) => {}
                    _ => return Came::Error,
                },
            }
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8], remote: SocketAddr, hops: Option<u8>) -> Sent {
        let Some(remote) = for_family(self.ipv6, remote) else { return Sent::Lost };
        let Some(hops) = hops else { return self.send_plain(bytes, remote) };
        let usual = self.hops();
        self.set_hops(u32::from(hops));
        let sent = self.send_plain(bytes, remote);
        self.set_hops(usual);
        sent
    }

    fn send_plain(&mut self, bytes: &[u8], remote: SocketAddr) -> Sent {
        loop {
            match self.socket.send_to(bytes, remote) {
                Ok(_) => return Sent::Done,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Sent::Blocked;
                }
                Err(_) => return Sent::Lost,
            }
        }
    }

    fn hops(&self) -> u32 {
        SockRef::from(&self.socket).ttl_v4().unwrap_or(USUAL_HOPS)
    }

    /// A socket for both families has two such settings, one of either only one: the other fails.
    fn set_hops(&self, hops: u32) {
        let socket = SockRef::from(&self.socket);
        let _ = socket.set_ttl_v4(hops);
        if self.ipv6 {
            let _ = socket.set_unicast_hops_v6(hops);
        }
    }
}
