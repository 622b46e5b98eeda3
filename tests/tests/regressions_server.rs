//! Defects of the server that were found once, each with the test that keeps it away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;

use genkan_core::wire::message::{Register, Role, ToServer};
use genkan_core::{
    MAX_FRAME, Machine, Received, ServerEvent, SocketId, StreamId, StreamInput, Transport,
};
use genkan_sim::fleet::{Fleet, FleetServer};
use genkan_sim::{Faults, HostId, Log};
use genkan_tests::evil::{Desk, Evil, plain_offer, sa};

/// What the operator was told about registrations: what carries each, and whether the address told
/// is the one on the list now.
fn told(fleet: &Fleet, lamp: HostId) -> Vec<(Transport, bool)> {
    let listed = fleet.world.machine::<FleetServer>(fleet.server).location(&fleet.id(lamp));
    let log: &Log<ServerEvent> = fleet.world.app(fleet.server);
    let registered = log.events.iter().filter_map(|&(_, event)| match event {
        ServerEvent::Registered { address, over, .. } => Some((over, Some(address) == listed)),
        _ => None,
    });
    registered.collect()
}

/// Found by world runs: an acceptor that was on the list and moved its registration to TCP, or back,
/// changed its address without a word to the operator.
#[test]
fn a_registration_that_moves_to_tcp_and_back_is_told_each_time() {
    let mut fleet = Fleet::new(1);
    let lamp = fleet.acceptor("lamp", |config| config.spread = Duration::ZERO);
    assert!(fleet.wait_registered(lamp, Duration::from_secs(5)));
    assert_eq!(told(&fleet, lamp), [(Transport::Datagram, true)]);

    fleet.world.set_line(lamp, &Faults::default().without_udp());
    fleet.world.run_for(Duration::from_secs(80));
    assert_eq!(told(&fleet, lamp)[1..], [(Transport::Stream, true)], "{}", fleet.story());

    fleet.world.set_line(lamp, &Faults::default());
    fleet.world.run_for(Duration::from_secs(310));
    assert_eq!(told(&fleet, lamp)[2..], [(Transport::Datagram, true)], "{}", fleet.story());
}

/// A frame for the server, which must take it.
fn write(desk: &mut Desk, stream: StreamId, message: &[u8]) {
    let mut frame = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(message);
    let StreamInput { received, .. } = desk.server.handle_stream(desk.now, stream, &mut frame);
    assert_eq!(received, Received::Control);
}

/// The messages that wait on a stream.
fn read(desk: &mut Desk, stream: StreamId) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(mut frame) = desk.server.poll_frame(desk.now, stream) {
        let mut bytes = [0; MAX_FRAME];
        let len = frame.encode(&mut bytes).unwrap();
        all.push(bytes[2..len].to_vec());
        frame.commit();
    }
    all
}

/// An issuer whose TCP connection takes no bytes for a while: what waits there of a request that is
/// over must not be said of the one that has its place now.
#[test]
fn what_waits_on_a_stream_for_a_request_that_is_over_is_not_said_of_another() {
    let mut desk = Desk::default();
    let from = sa("192.0.2.1:5000");
    let mut issuer = Evil::new(3, desk.key.public());
    let stream = desk.server.handle_accept(desk.now, SocketId::LISTENER, from).unwrap();
    write(&mut desk, stream, &issuer.hello(Role::Issuer));
    let response = read(&mut desk, stream).remove(0);
    issuer.finish(&response);
    let nobody = Evil::new(9, desk.key.public()).id();
    let sealed = issuer.offer(&nobody, &plain_offer(None), 1);
    let mut ask = |desk: &mut Desk, number| {
        let request = Evil::request(number, nobody, from, &sealed);
        let message = issuer.transport(&ToServer::Connect(request));
        write(desk, stream, &message);
    };
    ask(&mut desk, 1);
    // It is refused, and forgotten.
    desk.pass(Duration::from_secs(15));
    ask(&mut desk, 2);
    assert_eq!(read(&mut desk, stream).len(), 0, "the first one's refusal is void");
    desk.pass(Duration::from_secs(5));
    assert_eq!(read(&mut desk, stream).len(), 1, "the second one has its own");
}

/// Found by fuzzing worlds: a server that had been suspended still woke an acceptor for what it refused
/// in the same moment.
#[test]
fn a_server_that_slept_asks_nobody_for_what_is_over() {
    let (home, phone) = (sa("198.51.100.2:4600"), sa("198.51.100.9:4600"));
    for capabilities in [2, 7] {
        let mut desk = Desk::default();
        let mut lamp = Evil::new(2, desk.key.public());
        desk.admit(&mut lamp, Role::Acceptor, home);
        let register =
            Register { id: lamp.id(), local: home.into(), capabilities, early_key: None };
        let register = lamp.transport(&ToServer::Register(register));
        desk.tell(home, &register);
        let mut evil = Evil::new(66, desk.key.public());
        desk.admit(&mut evil, Role::Issuer, phone);
        let sealed = evil.offer(&lamp.id(), &plain_offer(None), 1);
        let request = ToServer::Connect(Evil::request(1, lamp.id(), phone, &sealed));
        let request = evil.transport(&request);
        let (_, sent) = desk.tell(phone, &request);
        assert!(sent.iter().all(|(to, _)| *to == home) && !sent.is_empty(), "{sent:?}");
        desk.now = desk.now.after(Duration::from_secs(60));
        desk.server.handle_timeout(desk.now);
        let sent: Vec<_> = desk.drain().into_iter().map(|(to, _)| to).collect();
        assert_eq!(sent, [phone], "one refusal, and nothing besides");
    }
}
