//! Paths over UDP beside, before and instead of the dial-back, and what a server needs for them.

use core::time::Duration;
use std::io::{Read, Write};
use std::thread;
use std::time::Instant;

use genkan_core::nat::{Allocation, Mapping};
use genkan_core::{AcceptorEvent, AddressPolicy, IssuerEvent, Path, ServerEvent, SocketId};
use genkan_std::{AcceptorNode, Bind, IssuerNode, OtherPort, ServerNode, ServerOptions, Session};

use crate::lab::{self, Lab, PATIENCE, loopback, registered, server_config, wait};

/// A lab whose issuer is at `bind` and may send to this machine, too.
fn lab(other_port: OtherPort, bind: Bind) -> Lab {
    let mut options = ServerOptions::new(server_config(), loopback());
    (options.clients, options.other_port) = (64, other_port);
    let server = ServerNode::start(options).unwrap();
    let address = server.local_addr();
    let acceptor = AcceptorNode::start(lab::acceptor_options(address, 2)).unwrap();
    let mut options = lab::issuer_options(address, 4);
    options.config.addresses = AddressPolicy { loopback: true, ..AddressPolicy::default() };
    options.bind = bind;
    let issuer = IssuerNode::start(options).unwrap();
    registered(&acceptor.events());
    Lab { server, acceptor, issuer }
}

/// Sends back what comes, on every stream.
fn echo(lab: &Lab) {
    let listener = lab.acceptor.listen(7).unwrap();
    thread::spawn(move || {
        while let Ok(stream) = listener.accept() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
}

fn datagrams(session: &Session) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if matches!(session.path(), Path::Datagram { .. }) {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn an_equipment_learns_of_its_nat_and_so_does_the_server() {
    let lab = lab(OtherPort::Next, loopback());
    let nat = wait(&lab.acceptor.events(), |event| matches!(event, AcceptorEvent::Nat(_)));
    let told = wait(&lab.server.events(), |event| matches!(event, ServerEvent::Measured { .. }));
    for told in [format!("{nat:?}"), format!("{told:?}")] {
        // There is none: ports are those that the sockets have.
        assert!(told.contains(&format!("{:?}", Mapping::PortIndependent)), "{told}");
        assert!(told.contains(&format!("{:?}", Allocation::Preserving)), "{told}");
    }
}

/// The issuer's listener is not where the server sees it: no dial-back can come.
#[cfg(target_os = "linux")]
#[test]
fn where_no_dial_back_arrives_a_punched_path_carries_everything() {
    let lab = lab(OtherPort::Next, Bind::At("127.0.0.2:0".parse().unwrap()));
    echo(&lab);
    let session = lab.connect();
    wait(&lab.issuer.events(), |event| matches!(event, IssuerEvent::Nat(_)));
    let Path::Datagram { socket, remote } = session.path() else {
        panic!("over {:?}", session.path());
    };
    assert_eq!(remote.ip(), lab.acceptor.local_addr().ip());
    assert!(socket == SocketId::MAIN || socket >= SocketId::FRESH, "{socket:?}");
    let mut stream = session.open(7).unwrap();
    let sent: Vec<u8> = (0..500_000_u32).map(|number| (number >> 3) as u8).collect();
    let writer = {
        let (stream, sent) = (stream.clone(), sent.clone());
        thread::spawn(move || (&stream).write_all(&sent).unwrap())
    };
    let mut back = vec![0; sent.len()];
    stream.read_exact(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back == sent, "other bytes came back");
    wait(&lab.acceptor.events(), |event| {
        matches!(event, AcceptorEvent::Connected { path: Path::Datagram { .. }, .. })
    });
}

/// Where the dial-back has arrived before the server's word, the server is not asked for more; here
/// that happens to one connection of six.
#[test]
fn a_connection_over_tcp_moves_to_a_punched_path_and_loses_nothing() {
    let lab = lab(OtherPort::Next, loopback());
    echo(&lab);
    let moved = (0..7).any(|_| {
        let session = lab.connect();
        let moved = counts_across_a_move(&session);
        let theirs = lab.acceptor.sessions().unwrap().pop().unwrap();
        assert!(!moved || datagrams(&theirs), "the acceptor has not followed");
        moved
    });
    assert!(moved, "no connection has moved");
}

/// Counts on a stream, to and fro, until it has gone over datagrams for a while, or for two seconds;
/// says which.
fn counts_across_a_move(session: &Session) -> bool {
    let mut stream = session.open(7).unwrap();
    let mut moved = None;
    let until = Instant::now() + Duration::from_secs(2);
    for number in 0_u32.. {
        stream.write_all(&number.to_be_bytes()).unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(u32::from_be_bytes(back), number);
        if moved.is_none() && matches!(session.path(), Path::Datagram { .. }) {
            moved = Some(number);
        }
        if moved.is_some_and(|at| number > at + 200) || Instant::now() > until {
            break;
        }
    }
    moved.is_some()
}

#[test]
fn a_server_without_a_second_port_leaves_everything_to_the_dial_back() {
    let lab = lab(OtherPort::None, loopback());
    let session = lab.connect();
    assert!(matches!(session.path(), Path::Stream { .. }));
    thread::sleep(Duration::from_millis(1_000));
    assert!(matches!(session.path(), Path::Stream { .. }));
    let told = core::iter::from_fn(|| lab.acceptor.events().try_next()).collect::<Vec<_>>();
    let text = format!("{told:?}");
    assert!(text.contains("Connected") && !text.contains("Nat("), "{text}");
}
