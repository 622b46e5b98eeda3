//! A server's further UDP sockets.

use core::net::SocketAddr;
use std::net::UdpSocket;

use genkan_std::{Bind, OtherPort, ServerNode, ServerOptions, StartError};

use crate::lab::{loopback, server_config};

fn start(
    bind: Bind,
    port: OtherPort,
    address: Option<SocketAddr>,
) -> Result<ServerNode, StartError> {
    let mut options = ServerOptions::new(server_config(), bind);
    (options.clients, options.other_port, options.other_address) = (8, port, address);
    ServerNode::start(options)
}

#[test]
fn a_server_has_the_next_port_too_or_another_where_that_is_taken() {
    // A port with a free one after it.
    let (main, next) = (0..100)
        .find_map(|_| {
            let main = UdpSocket::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
            let next = UdpSocket::bind((main.ip(), main.port().checked_add(1)?)).ok()?;
            Some((main, next))
        })
        .unwrap();
    let taken = start(Bind::At(main), OtherPort::Next, None).unwrap();
    let other = taken.other_port().unwrap();
    assert!(other != 0 && other != main.port() + 1 && other != main.port());
    assert!(UdpSocket::bind((main.ip(), other)).is_err(), "it is open");
    drop((taken, next));
    let free = start(Bind::At(main), OtherPort::Next, None).unwrap();
    assert_eq!(free.other_port(), Some(main.port() + 1));
    assert_eq!(free.other_address(), None);
}

#[test]
fn a_chosen_other_port_is_taken_or_told_to_be_taken() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = start(loopback(), OtherPort::At(port), None).unwrap_err().to_string();
    assert!(refused.contains(&format!("127.0.0.1:{port}")), "{refused}");
    drop(taken);
    let server = start(loopback(), OtherPort::At(port), None).unwrap();
    assert_eq!(server.other_port(), Some(port));
    drop(server);
    assert_eq!(start(loopback(), OtherPort::None, None).unwrap().other_port(), None);
}

/// Elsewhere this machine is not at all of 127.0.0.0/8.
#[cfg(target_os = "linux")]
#[test]
fn a_second_address_is_opened_where_it_is_one() {
    let second: SocketAddr = "127.0.0.2:0".parse().unwrap();
    let server = start(loopback(), OtherPort::Next, Some(second)).unwrap();
    let other = server.other_address().unwrap();
    assert_eq!((other.ip(), other.port()), (second.ip(), server.local_addr().port()));
    assert!(UdpSocket::bind(other).is_err(), "it is open");
    for (port, address) in [
        (OtherPort::None, "127.0.0.2:0"),
        (OtherPort::Next, "127.0.0.1:0"),
        (OtherPort::Next, "0.0.0.0:0"),
        // Somebody else's.
        (OtherPort::Next, "192.0.2.77:0"),
    ] {
        assert!(start(loopback(), port, address.parse().ok()).is_err(), "{port:?} {address}");
    }
}
