//! Opening sockets, and addresses as the machines and as the sockets want them.
//!
//! The machines know one form of an address only: an IPv4 address is never written as IPv6. A socket
//! for both families wants the opposite. The translation happens here and nowhere else.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;

use mio::net::{TcpListener, TcpStream, UdpSocket};
use socket2::{Domain, Protocol, Socket, Type};

/// What the kernel is asked to hold for a UDP socket in each direction, in bytes; it may give less.
const UDP_BUFFER: usize = 4 << 20;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;
/// How often a free port that is the same for UDP and TCP is looked for.
const PORT_TRIES: usize = 32;
/// How often a row of free ports is looked for.
const ROW_TRIES: usize = 8;

/// Where a node's sockets are bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Bind {
    /// Every address of this machine, IPv4 and IPv6, on a port of the system's choice.
    #[default]
    Any,
    /// This address. The unspecified IPv6 address takes IPv4 as well; port 0 lets the system choose.
    At(SocketAddr),
}

impl Bind {
    const BOTH: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

    /// Tries the addresses in turn that this stands for.
    fn first<T>(self, mut open: impl FnMut(SocketAddr) -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::At(address) => open(address),
            // A system without IPv6.
            Self::Any => open(Self::BOTH).or_else(|_| open(Self::V4)),
        }
    }
}

/// A UDP socket.
pub(crate) fn udp(bind: Bind) -> io::Result<UdpSocket> {
    bind.first(|address| {
        let socket = open(address, Type::DGRAM, Protocol::UDP)?;
        // Bursts wait here while the loop is busy; a smaller buffer only loses more of them.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
        let _ = socket.set_send_buffer_size(UDP_BUFFER);
        socket.bind(&address.into())?;
        Ok(UdpSocket::from_std(socket.into()))
    })
}

/// So many UDP sockets on one address: on consecutive ports, unless there seems to be no such row.
pub(super) fn row(ip: IpAddr, count: u8) -> io::Result<Vec<UdpSocket>> {
    let open = |port| udp(Bind::At(SocketAddr::new(ip, port)));
    for _ in 0..ROW_TRIES {
        let first = open(0)?;
        let mut ports = first.local_addr()?.port().saturating_add(1)..=u16::MAX;
        let mut row = vec![first];
        while row.len() < count.into()
            && let Some(port) = ports.next()
        {
            match open(port) {
                Ok(socket) => row.push(socket),
                Err(error) if is_taken(&error) => break,
                Err(error) => return Err(error),
            }
        }
        if row.len() >= count.into() {
            return Ok(row);
        }
    }
    (0..count).map(|_| open(0)).collect()
}

/// Somebody has the port. Windows keeps some from everybody.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// A TCP listener.
pub(crate) fn tcp(bind: Bind) -> io::Result<TcpListener> {
    bind.first(|address| {
        let socket = open(address, Type::STREAM, Protocol::TCP)?;
        // A restarted server takes its port back at once. On Windows the option means another thing.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from_std(socket.into()))
    })
}

/// Whether two outgoing connections can share a port here, as `stream` has them do: without that, two
/// ends cannot call each other.
pub(crate) const SHARES_PORTS: bool = cfg!(unix);

/// An outgoing TCP connection, from an address of our own where one is given: another outgoing
/// connection's, which then shares its port with this one. A port that somebody listens on is not
/// shared.
pub(super) fn stream(from: Option<SocketAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Both that share a port must have said so; BSD's kernels and Apple's want the second option. On
    // Windows the first means another thing: there, such a port is taken.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    socket.set_reuse_port(true)?;
    if let Some(from) = from {
        socket.bind(&from.into())?;
    }
    match socket.connect(&to.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// The connection that is asked for will stand or fail later.
pub(super) fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    let now = rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS);
    #[cfg(not(unix))]
    let now = error.kind() == io::ErrorKind::WouldBlock;
    now
}

/// Both, on one port number.
pub(crate) fn pair(bind: Bind) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let datagrams = udp(bind)?;
        let local = datagrams.local_addr()?;
        let chosen = match bind {
            Bind::At(address) => address.port() != 0,
            Bind::Any => false,
        };
        tries += 1;
        match tcp(Bind::At(local)) {
            Ok(listener) => return Ok((datagrams, listener)),
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && !chosen && tries < PORT_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

/// The form of `remote` that a socket of this family takes; `None` when it cannot reach it.
pub(crate) fn for_family(ipv6: bool, remote: SocketAddr) -> Option<SocketAddr> {
    match (ipv6, remote) {
        (true, SocketAddr::V4(v4)) => {
            Some(SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()))
        }
        (false, SocketAddr::V6(_)) => None,
        _ => Some(remote),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genkan_core::canonical;

    #[test]
    fn mapped_addresses_have_one_form_inside_and_the_sockets_form_outside() {
        let plain: SocketAddr = "192.0.2.1:7".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:7".parse().unwrap();
        let six: SocketAddr = "[2001:db8::1]:7".parse().unwrap();
        assert_eq!(canonical(mapped), plain);
        assert_eq!((canonical(plain), canonical(six)), (plain, six));
        assert_eq!(for_family(true, plain), Some(mapped));
        assert_eq!((for_family(false, plain), for_family(false, six)), (Some(plain), None));
        assert_eq!(for_family(true, six), Some(six));
    }

    #[test]
    fn udp_and_tcp_get_the_same_port() {
        let loopback = Bind::At("127.0.0.1:0".parse().unwrap());
        let (datagrams, listener) = pair(loopback).unwrap();
        let port = datagrams.local_addr().unwrap().port();
        assert_ne!(port, 0);
        assert_eq!(port, listener.local_addr().unwrap().port());
        let taken = pair(Bind::At(datagrams.local_addr().unwrap()));
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
