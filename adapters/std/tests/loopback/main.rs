//! Real sockets on the loopback: registration, dial-back, streams, datagrams, disturbances.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers are part of the test")]

mod disturb;
mod ends;
mod holes;
mod lab;
mod streams;

use core::net::SocketAddr;
use core::time::Duration;
use std::time::Instant;

use genkan_core::wire::message::Reason;
use genkan_core::{
    AcceptorEvent, AdmissionPolicy, CloseCause, FailCause, IssuerEvent, Path, Target,
};
use genkan_std::files::StateDir;
use genkan_std::{AcceptorNode, Bind, Happening, IssuerNode, ReachError};
use lab::{Lab, PATIENCE, wait};

#[test]
fn an_issuer_reaches_a_registered_acceptor_by_its_dial_back() {
    let lab = Lab::new();
    assert_eq!(lab.server.registered().unwrap(), 1);
    assert!(lab.server.location(lab.acceptor.id()).unwrap().is_some());
    let session = lab.connect();
    assert_eq!(session.peer(), lab.acceptor.id());
    assert!(matches!(session.path(), Path::Stream { .. }));
    let connected = wait(
        &lab.acceptor.events(),
        |event| matches!(event, AcceptorEvent::Connected { peer, .. } if *peer == lab.issuer_id()),
    );
    let Happening::Machine(AcceptorEvent::Connected { connection, .. }) = connected.event else {
        panic!("another event");
    };
    let theirs = lab.acceptor.session(connection).unwrap();
    assert_eq!(theirs.peer(), lab.issuer_id());
    drop(session);
    assert_eq!(theirs.wait_closed(Some(PATIENCE)), Some(CloseCause::Peer));
    assert!(lab.acceptor.sessions().unwrap().is_empty());
}

#[test]
fn datagrams_go_both_ways() {
    let lab = Lab::new();
    let ours = lab.connect();
    wait(&lab.acceptor.events(), |event| matches!(event, AcceptorEvent::Connected { .. }));
    let theirs = lab.acceptor.sessions().unwrap().pop().unwrap();
    ours.send_datagram(b"ping").unwrap();
    assert_eq!(theirs.recv_datagram(Some(PATIENCE)).unwrap(), b"ping");
    let longest = vec![7; genkan_core::MAX_PAYLOAD];
    theirs.send_datagram(&longest).unwrap();
    assert_eq!(ours.recv_datagram(Some(PATIENCE)).unwrap(), longest);
    assert!(ours.send_datagram(&[0; genkan_core::MAX_PAYLOAD + 1]).is_err());
    let none = ours.recv_datagram(Some(Duration::from_millis(20))).unwrap_err();
    assert_eq!(none.kind(), std::io::ErrorKind::TimedOut);
    ours.close();
    assert_eq!(ours.closed(), Some(CloseCause::Local));
    assert!(ours.send_datagram(b"late").is_err());
}

#[test]
fn an_unknown_target_is_refused_and_an_unreachable_server_is_told() {
    let lab = Lab::new();
    let nobody = genkan_core::StaticKey::from_secret([77; 32]).id();
    let refused = lab.issuer.connect(&Target::new(nobody)).unwrap_err();
    assert!(matches!(refused, ReachError::Refused(_)), "{refused}");
    // A port that was free a moment ago.
    let gone = lab.server.local_addr();
    lab.server.stop().unwrap();
    let mut options = lab::issuer_options(gone, 5);
    options.config.deadline = Duration::from_secs(3);
    let issuer = IssuerNode::start(options).unwrap();
    let failed = issuer.connect(&lab.target()).unwrap_err();
    assert!(matches!(failed, ReachError::Failed(FailCause::ServerUnreachable)), "{failed}");
}

#[test]
fn stopping_tells_the_peers_and_the_server() {
    let lab = Lab::new();
    let session = lab.connect();
    wait(&lab.acceptor.events(), |event| matches!(event, AcceptorEvent::Connected { .. }));
    lab.acceptor.stop(Duration::ZERO).unwrap();
    assert_eq!(session.wait_closed(Some(PATIENCE)), Some(CloseCause::Peer));
    wait(&lab.server.events(), |event| matches!(event, genkan_core::ServerEvent::Left { .. }));
    assert_eq!(lab.server.registered().unwrap(), 0);
    assert!(!lab.acceptor.is_running());
    assert!(lab.acceptor.sessions().is_err());
    lab.issuer.stop(Duration::ZERO).unwrap();
    assert!(matches!(lab.issuer.connect(&lab.target()), Err(ReachError::Stopped(_))));
}

#[test]
fn both_address_families_meet_on_sockets_for_both() {
    let six = "[::]:0".parse().unwrap();
    let server = lab::server_at(Bind::At(six));
    let port = server.local_addr().port();
    let mut options = lab::acceptor_options(([127, 0, 0, 1], port).into(), 2);
    options.bind = Bind::Any;
    let acceptor = AcceptorNode::start(options).unwrap();
    lab::registered(&acceptor.events());
    let observed = server.location(acceptor.id()).unwrap().unwrap();
    assert!(observed.is_ipv4(), "not in its mapped form: {observed}");
    for server in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(server.parse().unwrap(), port);
        let mut options = lab::issuer_options(address, 4);
        (options.bind, options.listen) = (Bind::Any, Bind::Any);
        let issuer = IssuerNode::start(options).unwrap();
        let session = issuer.connect(&Target::new(acceptor.id())).unwrap();
        assert_eq!(session.path().remote().ip(), address.ip());
    }
}

#[test]
fn an_acceptor_that_leaves_is_off_the_list_and_keeps_its_sessions() {
    let lab = Lab::new();
    let session = lab.connect();
    wait(&lab.acceptor.events(), |event| matches!(event, AcceptorEvent::Connected { .. }));
    lab.acceptor.deregister();
    wait(&lab.server.events(), |event| matches!(event, genkan_core::ServerEvent::Left { .. }));
    assert_eq!(session.closed(), None);
    let theirs = lab.acceptor.sessions().unwrap().pop().unwrap();
    theirs.send_datagram(b"still here").unwrap();
    assert_eq!(session.recv_datagram(Some(PATIENCE)).unwrap(), b"still here");
}

/// Only whose request carries the early tag is told why it was refused.
#[test]
fn a_paired_issuer_is_given_the_early_key_and_uses_it_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = lab::server_at(lab::loopback());
    let mut options = lab::issuer_options(server.local_addr(), 4);
    options.state = Some(StateDir::open(dir.path().join("issuer")).unwrap());
    let issuer = IssuerNode::start(options).unwrap();
    let mut options = lab::acceptor_options(server.local_addr(), 2);
    options.state = Some(StateDir::open(dir.path().join("acceptor")).unwrap());
    options.config.admission.open = false;
    options.config.admission.paired.push(issuer.id()).unwrap();
    let acceptor = AcceptorNode::start(options).unwrap();
    lab::registered(&acceptor.events());
    let target = Target::new(acceptor.id());
    let session = issuer.connect(&target).unwrap();
    wait(&issuer.events(), |event| matches!(event, IssuerEvent::EarlyKey { .. }));
    acceptor.set_admission(AdmissionPolicy::default());
    let refused = issuer.connect(&target).unwrap_err();
    assert!(matches!(refused, ReachError::Refused(Reason::NotAllowed)), "{refused}");
    let stranger = IssuerNode::start(lab::issuer_options(server.local_addr(), 5)).unwrap();
    let refused = stranger.connect(&target).unwrap_err();
    assert!(matches!(refused, ReachError::Refused(Reason::Unspecified)), "{refused}");
    // What an issuer knows that is no longer on the list is worth nothing any more.
    acceptor.set_early_key([9; 16]).unwrap();
    let until = Instant::now() + PATIENCE;
    while !matches!(issuer.connect(&target), Err(ReachError::Refused(Reason::Unspecified))) {
        assert!(Instant::now() < until, "the server was not told of the new key");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(session.closed(), None);
    drop((acceptor, issuer, session));
    let kept = StateDir::open(dir.path().join("acceptor")).unwrap();
    assert_eq!(kept.early_key().unwrap(), [9; 16]);
    let known = StateDir::open(dir.path().join("issuer")).unwrap().acquaintance(target.id).unwrap();
    assert!(known.early_key.is_some_and(|key| key != [9; 16]));
}

#[test]
fn idle_nodes_do_not_turn() {
    let lab = Lab::new();
    let session = lab.connect();
    wait(&lab.acceptor.events(), |event| matches!(event, AcceptorEvent::Connected { .. }));
    // As long as an attempt at a hole may take.
    std::thread::sleep(Duration::from_millis(10_500));
    let turns = || (lab.server.turns(), lab.acceptor.turns(), lab.issuer.turns());
    let before = turns();
    std::thread::sleep(Duration::from_secs(4));
    let after = turns();
    eprintln!("turns of server, acceptor, issuer: {before:?}, four seconds later {after:?}");
    // Keepalives every five seconds at most; each takes a turn or two on either side.
    assert!(after.0 - before.0 <= 20, "server {before:?} {after:?}");
    assert!(after.1 - before.1 <= 20, "acceptor {before:?} {after:?}");
    assert!(after.2 - before.2 <= 20, "issuer {before:?} {after:?}");
    assert_eq!(session.closed(), None);
}
