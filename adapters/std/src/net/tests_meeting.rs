//! Connections from another one's port, and two that are opened towards each other at the same time.
//!
//! On the loopback whoever calls first is refused before the other has called. So the first one here
//! is a socket that is deaf to resets: it goes on calling, and the other one's call meets its own.
#![cfg(target_os = "linux")]

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;

use genkan_core::{Instant, StreamId};
use socket2::{Domain, SockFilter, Socket, Type};

use super::tests::{ID, net, until};
use super::*;
use crate::clock::Clock;

const LOOPBACK: &str = "127.0.0.1:0";
const OTHER: StreamId = StreamId { index: 4, generation: 1 };
const THIRD: StreamId = StreamId { index: 5, generation: 1 };

fn now() -> Instant {
    Clock::new().now()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

fn change(net: &mut Net) -> Change {
    until(net, |net, now| net.changes(now).pop())
}

/// A connection that stands, its other end, and its own address.
fn beside() -> (Net, std::net::TcpStream, SocketAddr) {
    let (mut net, (listener, at)) = (net(), listener());
    net.connect(now(), ID, None, at).unwrap();
    let (other, local) = listener.accept().unwrap();
    assert!(matches!(change(&mut net), Change::Connected(ID, _)));
    (net, other, local)
}

/// A socket that no reset reaches, bound and not listening.
fn deaf() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&LOOPBACK.parse::<SocketAddr>().unwrap().into()).unwrap();
    // The byte of the flags; with RST among them nothing of the segment is let in.
    let filter = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x45, 0, 1, 4),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    socket.attach_filter(&filter).unwrap();
    let at = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, at)
}

/// Has it call; it goes on calling.
fn call(socket: &Socket, to: SocketAddr) {
    socket.set_nonblocking(true).unwrap();
    let called = socket.connect(&to.into()).unwrap_err();
    assert!(bind::is_under_way(&called), "{called}");
}

fn read(net: &mut Net, id: StreamId) -> Vec<u8> {
    let mut room = [0; 64];
    let filled = until(net, |net, _| Some(net.fill(id, &mut room)).filter(|&n| n > 0));
    room[..filled].to_vec()
}

#[test]
fn two_that_call_each_other_become_one_connection() {
    let (mut net, mut server, local) = beside();
    let (caller, peer) = deaf();
    // Nobody calls yet, and nobody listens: it is refused, and may be tried again.
    net.connect(now(), OTHER, Some(ID), peer).unwrap();
    assert_eq!(change(&mut net), Change::Failed(OTHER, peer));
    call(&caller, local);
    net.connect(now(), OTHER, Some(ID), peer).unwrap();
    assert_eq!(change(&mut net), Change::Connected(OTHER, peer));
    caller.set_nonblocking(false).unwrap();
    let mut caller = std::net::TcpStream::from(caller);
    assert_eq!(caller.peer_addr().unwrap(), local);
    // Bytes pass both ways, and those of the one beside are its own.
    net.push(OTHER, b"to the peer");
    net.push(ID, b"to the server");
    net.flush(now());
    for (end, text) in [(&mut caller, &b"to the peer"[..]), (&mut server, b"to the server")] {
        let mut room = [0; 64];
        let length = end.read(&mut room).unwrap();
        assert_eq!(&room[..length], text);
        end.write_all(text).unwrap();
    }
    assert_eq!(read(&mut net, OTHER), b"to the peer");
    assert_eq!(read(&mut net, ID), b"to the server");
    // The one does not end with the other.
    net.leave(now(), ID);
    until(&mut net, |net, now| (net.flush(now).is_empty() && net.streams() == 1).then_some(()));
    caller.write_all(b"still here").unwrap();
    assert_eq!(read(&mut net, OTHER), b"still here");
}

#[test]
fn a_port_is_shared_with_two_remotes_and_with_the_same_one_only_once() {
    let (mut net, server, local) = beside();
    let ends = [(OTHER, listener()), (THIRD, listener())];
    for (id, (listener, at)) in &ends {
        net.connect(now(), *id, Some(ID), *at).unwrap();
        assert_eq!(listener.accept().unwrap().1, local);
        assert_eq!(change(&mut net), Change::Connected(*id, *at));
    }
    let again = StreamId { index: 6, generation: 1 };
    let refused = net.connect(now(), again, Some(ID), server.local_addr().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AddrNotAvailable);
    assert_eq!(net.streams(), 3);
}

#[test]
fn without_the_one_beside_there_is_none() {
    let (mut net, server, _) = beside();
    let (_listener, at) = listener();
    let refused = |net: &mut Net, beside| {
        let error = net.connect(now(), OTHER, Some(beside), at).unwrap_err();
        assert!(!net.is_named(OTHER));
        error.kind()
    };
    assert_eq!(refused(&mut net, THIRD), ErrorKind::NotConnected, "never there");
    net.connect(now(), THIRD, None, at).unwrap();
    assert_eq!(refused(&mut net, THIRD), ErrorKind::NotConnected, "not standing yet");
    drop(server);
    until(&mut net, |net, _| {
        net.fill(ID, &mut [0; 8]);
        net.writable().is_empty().then_some(())
    });
    assert_eq!(refused(&mut net, ID), ErrorKind::NotConnected, "ended");
    net.leave(now(), ID);
    assert_eq!(refused(&mut net, ID), ErrorKind::NotConnected, "let go");
}

/// A caller's local port is the listener's: whoever called there would be let in by it.
#[test]
fn a_port_that_is_listened_on_is_not_shared() {
    for any in [LOOPBACK, "0.0.0.0:0", "[::]:0"] {
        let listener = tcp(Bind::At(any.parse().unwrap())).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut net = Net::new(udp(Bind::At(LOOPBACK.parse().unwrap())).unwrap(), Some(listener));
        let net = net.as_mut().unwrap();
        let _caller = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (socket, remote) = until(net, |net, now| match net.accept(now) {
            Accepted::Stream(socket, remote) => Some((socket, remote)),
            _ => None,
        });
        net.adopt(ID, remote, socket).unwrap();
        let (_elsewhere, at) = self::listener();
        let refused = net.connect(now(), OTHER, Some(ID), at).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse, "{any}");
        assert!(!net.is_named(OTHER));
    }
}

#[test]
fn another_family_is_refused() {
    let (mut net, _server, _) = beside();
    let refused = net.connect(now(), OTHER, Some(ID), "[2001:db8::1]:4000".parse().unwrap());
    assert!(refused.is_err());
    assert!(!net.is_named(OTHER));
    net.wait(Some(Duration::ZERO)).unwrap();
    assert!(net.changes(now()).is_empty(), "it was said once");
}
