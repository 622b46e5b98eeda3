//! What a node has to live with: restarts, garbage, callers that say nothing.

use core::time::Duration;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Instant;

use genkan_core::AcceptorEvent;
use genkan_std::{AcceptorNode, Bind, StateDir};

use crate::lab::{self, Lab, PATIENCE, loopback, registered, server_at, wait};

#[test]
fn an_acceptor_registers_again_by_itself_when_the_server_was_restarted() {
    let server = server_at(loopback());
    let address = server.local_addr();
    let acceptor = AcceptorNode::start(lab::acceptor_options(address, 2)).unwrap();
    registered(&acceptor.events());
    drop(server);
    std::thread::sleep(Duration::from_millis(300));
    let server = server_at(Bind::At(address));
    assert_eq!(server.local_addr(), address, "the port was free at once");
    registered(&acceptor.events());
    assert_eq!(server.registered().unwrap(), 1);
    let issuer = genkan_std::IssuerNode::start(lab::issuer_options(address, 4)).unwrap();
    issuer.connect(&genkan_core::Target::new(acceptor.id())).unwrap();
}

#[test]
fn garbage_on_udp_and_tcp_disturbs_nobody() {
    let lab = Lab::new();
    let listener = lab.acceptor.listen(7).unwrap();
    let session = lab.connect();
    let mut stream = session.open(7).unwrap();
    let mut theirs = listener.accept_within(PATIENCE).unwrap();
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ports = [lab.server.local_addr(), lab.acceptor.local_addr(), lab.issuer.local_addr()];
    let mut callers = Vec::new();
    let mut state = 1_u32;
    let mut buffer = [0; 2_000];
    for round in 0..300 {
        for byte in &mut buffer {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        // Every kind of this version comes up.
        buffer[0] = 0x40 | (round % 64) as u8;
        for port in ports {
            let length = state as usize % buffer.len();
            // The kernel may have no room; that is part of the noise.
            let _ = noise.send_to(&buffer[..length], port);
        }
        if round % 15 == 0 {
            let mut caller = TcpStream::connect(lab.server.local_addr()).unwrap();
            let _ = caller.write_all(&buffer);
            callers.push(caller);
        }
        if round % 100 == 0 {
            stream.write_all(b"still here").unwrap();
            let mut read = [0; 10];
            theirs.read_exact(&mut read).unwrap();
            assert_eq!(&read, b"still here");
        }
    }
    assert_eq!(session.closed(), None);
    assert!(lab.server.counters().unwrap().all_discarded() > 0);
    assert!(lab.acceptor.counters().unwrap().all_discarded() > 0);
    assert_eq!(lab.server.registered().unwrap(), 1);
    assert!(lab.server.is_running() && lab.acceptor.is_running() && lab.issuer.is_running());
    // The next connection works as well.
    drop(callers);
    lab.connect();
}

#[test]
fn a_caller_that_says_nothing_is_closed_in_the_end() {
    let server = server_at(loopback());
    let mut caller = TcpStream::connect(server.local_addr()).unwrap();
    caller.set_read_timeout(Some(PATIENCE)).unwrap();
    let begun = Instant::now();
    assert_eq!(caller.read(&mut [0; 8]).unwrap_or(0), 0);
    assert!(begun.elapsed() > Duration::from_secs(1));
}

#[test]
fn an_acceptor_with_state_remembers_certificate_password_and_failures() {
    let dir = tempfile::tempdir().unwrap();
    let server = server_at(loopback());
    let open = || {
        let mut options = lab::acceptor_options(server.local_addr(), 2);
        options.config.admission.open = false;
        let state = StateDir::open(dir.path()).unwrap();
        state.set_password(Some(&[9; 32])).unwrap();
        options.state = Some(state);
        AcceptorNode::start(options).unwrap()
    };
    let acceptor = open();
    registered(&acceptor.events());
    let issuer =
        genkan_std::IssuerNode::start(lab::issuer_options(server.local_addr(), 4)).unwrap();
    let mut target = genkan_core::Target::new(acceptor.id());
    target.password = Some([8; 32]);
    assert!(issuer.connect(&target).is_err(), "a wrong password");
    target.password = Some([9; 32]);
    let session = issuer.connect(&target).unwrap();
    wait(&acceptor.events(), |event| matches!(event, AcceptorEvent::Connected { .. }));
    session.close();
    acceptor.stop(Duration::ZERO).unwrap();
    drop(acceptor);
    let state = StateDir::open(dir.path()).unwrap();
    assert!(state.certificate().unwrap().is_some());
    assert!(state.failures().unwrap() > 0, "the tries were reserved before they were acted upon");
    drop(state);
    registered(&open().events());
}
