//! A server's further UDP sockets.

use core::net::SocketAddr;
use std::net::UdpSocket;

use genkan_core::ServerEvent;
use genkan_std::{
    AcceptorNode, Bind, Happening, OtherPort, ServerNode, ServerOptions, StartError, Trace,
};

use crate::lab::{PATIENCE, acceptor_options, loopback, server_config};

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
    let one_port = start(Bind::Any, OtherPort::Next, Some(second)).unwrap_err().to_string();
    assert!(one_port.contains("single"), "all addresses are the first one's: {one_port}");
    for (port, address) in [
        (OtherPort::None, "127.0.0.2:0"),
        (OtherPort::Next, "127.0.0.1:0"),
        (OtherPort::Next, "0.0.0.0:0"),
        (OtherPort::Next, "[::1]:0"),
        // Somebody else's.
        (OtherPort::Next, "192.0.2.77:0"),
    ] {
        assert!(start(loopback(), port, address.parse().ok()).is_err(), "{port:?} {address}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn equipment_may_know_the_other_ends_by_other_numbers() {
    let behind = |public: &str| {
        let mut options = ServerOptions::new(server_config(), loopback());
        (options.clients, options.other_address) = (8, "127.0.0.2:0".parse().ok());
        options.config.other_port = Some(4_444);
        options.config.other_address = public.parse().ok();
        ServerNode::start(options)
    };
    let server = behind("203.0.113.5:0").unwrap();
    assert_eq!(server.other_port(), Some(4_444));
    let bound = server.local_addr().port();
    assert_eq!(server.other_address(), Some(([203, 0, 113, 5], bound).into()));
    let given = behind("203.0.113.5:7").unwrap().other_address();
    assert_eq!(given, Some(([203, 0, 113, 5], 7).into()));
    assert!(behind("[2001:db8::1]:7").is_err(), "the wrong family");
    assert!(behind("0.0.0.0:7").is_err());
}

/// Its announced number leads nowhere, as behind a firewall.
#[test]
fn a_second_port_that_nothing_reaches_is_told_once() {
    let nowhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut options = ServerOptions::new(server_config(), loopback());
    options.config.other_port = Some(nowhere.local_addr().unwrap().port());
    (options.clients, options.trace) = (16, Trace::Off);
    let server = ServerNode::start(options).unwrap();
    let address = server.local_addr();
    let nodes: Vec<_> = (2..7)
        .map(|number| AcceptorNode::start(acceptor_options(address, number)).unwrap())
        .collect();
    let events = server.events();
    let (mut measured, mut told) = (0, Vec::new());
    while measured < nodes.len() {
        match events.next_within(PATIENCE).expect("they are measured").event {
            Happening::Machine(ServerEvent::Measured { .. }) => measured += 1,
            Happening::Unheard { port, measurements } => told.push((port, measurements)),
            _ => {}
        }
    }
    assert_eq!(told, [(nowhere.local_addr().unwrap().port(), 3)]);
}

#[test]
fn a_second_port_that_is_reached_is_nothing_to_tell() {
    let server = start(loopback(), OtherPort::Next, None).unwrap();
    let address = server.local_addr();
    let nodes: Vec<_> = (2..7)
        .map(|number| AcceptorNode::start(acceptor_options(address, number)).unwrap())
        .collect();
    let events = server.events();
    let mut measured = 0;
    while measured < nodes.len() {
        match events.next_within(PATIENCE).expect("they are measured").event {
            Happening::Machine(ServerEvent::Measured { .. }) => measured += 1,
            Happening::Unheard { .. } => panic!("it was reached"),
            _ => {}
        }
    }
}
