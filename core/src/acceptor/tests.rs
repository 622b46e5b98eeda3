//! What waits for the caller, and the one handshake at a time.

extern crate std;

use core::time::Duration;
use std::vec::Vec;

use super::connection::Stage;
use super::queue::{Asked, News};
use super::*;
use crate::StaticKey;
use crate::crypto::keys::{Direction, Root};
use crate::entropy::EntropyError;
use crate::link::{Anchors, Identity, ServerAddress};
use crate::peer::{CloseCause, Path, Peer};
use crate::wire::Kind;
use crate::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use crate::wire::message::{Reason, Verdict};

const WALL: u64 = 1_767_225_600;
const AUTHORITY: [u8; 32] = [9; 32];
const PEER: EquipmentId = EquipmentId([7; 32]);
const ID: ConnectionId = ConnectionId { index: 0, generation: 0 };
const LINE: StreamId = StreamId { index: 1, generation: 0 };

struct Noise(u8);

impl Entropy for Noise {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        self.0 = self.0.wrapping_add(1);
        dest.fill(self.0);
        Ok(())
    }
}

type Lamp = Acceptor<[ConnectionSlot; 1], Noise>;

fn start() -> Instant {
    Instant::from_millis(1_000_000)
}

fn server() -> ServerAddress {
    ServerAddress {
        datagram: "203.0.113.1:3478".parse().unwrap(),
        stream: "203.0.113.1:443".parse().unwrap(),
    }
}

fn certificate() -> Vec<u8> {
    let server_key = *StaticKey::from_secret([1; 32]).public();
    let names = "server.example";
    let subject = Subject { server_key, serial: 1, not_before: WALL, not_after: WALL + 9, names };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut out).unwrap();
    out[..len].to_vec()
}

fn config() -> AcceptorConfig {
    let identity = Identity { key: StaticKey::from_secret([2; 32]), boots: 0 };
    let mut anchors = Anchors { floor: WALL, ..Anchors::default() };
    anchors.authorities.push(authority_public(&AUTHORITY)).unwrap();
    let mut config = AcceptorConfig::new(identity, server(), anchors);
    config.spread = Duration::ZERO;
    config
}

fn lamp() -> Lamp {
    Acceptor::new(start(), config(), [ConnectionSlot::EMPTY], Noise(0))
}

fn peer(remote: &str) -> Peer {
    let path = Path::Stream { stream: LINE, remote: remote.parse().unwrap() };
    Peer::new(start(), PEER, Root([5; 32]), Direction::Down, 1, path)
}

#[test]
fn an_event_says_what_is_so_when_it_is_taken() {
    let mut lamp = lamp();
    lamp.state.event(News::Connected(ID));
    lamp.state.event(News::Closed(ID, CloseCause::Peer));
    let closed = AcceptorEvent::Closed { connection: ID, cause: CloseCause::Peer };
    assert_eq!(lamp.poll_event(), Some(closed), "what has ended has not begun");
    assert_eq!(lamp.poll_event(), None);
    let slot = &mut lamp.slots[0];
    slot.stage = Stage::Open;
    slot.peer = Some(peer("192.0.2.7:1"));
    lamp.state.event(News::Connected(ID));
    lamp.state.event(News::PathChanged(ID));
    lamp.slots[0].peer = Some(peer("192.0.2.7:2"));
    let path = Path::Stream { stream: LINE, remote: "192.0.2.7:2".parse().unwrap() };
    let connected = AcceptorEvent::Connected { connection: ID, peer: PEER, path };
    assert_eq!(lamp.poll_event(), Some(connected));
    assert_eq!(lamp.poll_event(), Some(AcceptorEvent::PathChanged { connection: ID, path }));
}

#[test]
fn a_request_is_lost_while_the_one_before_is_not_taken() {
    let mut lamp = lamp();
    let asked = |port| Asked {
        issuer: Some(PEER),
        address: Endpoint::from(([192, 0, 2, 7], port)),
        verdict: Verdict::Declined(Reason::NotAllowed),
    };
    assert!(!lamp.state.is_nearly_full());
    for port in 1..=3 {
        lamp.state.ask(asked(port));
        lamp.state.ask(asked(9));
        assert!(lamp.state.is_nearly_full(), "nothing is acted upon that asks again");
        let Some(AcceptorEvent::Requested { issuer, address, .. }) = lamp.poll_event() else {
            panic!("nothing was asked");
        };
        assert_eq!((issuer, address.port()), (Some(PEER), port));
        assert_eq!((lamp.poll_event(), lamp.counters().lost_events()), (None, port.into()));
    }
}

#[test]
fn a_request_for_which_the_queue_has_no_room_is_lost_and_bars_no_other() {
    let mut lamp = lamp();
    let address = Endpoint::from(([192, 0, 2, 7], 7));
    let asked = Asked { issuer: Some(PEER), address, verdict: Verdict::Accepted };
    for _ in 0..QUEUE {
        lamp.state.event(News::Certificate);
    }
    lamp.state.ask(asked);
    assert_eq!(lamp.counters().lost_events(), 1);
    while lamp.poll_event().is_some() {}
    assert!(!lamp.state.is_nearly_full());
    lamp.state.ask(asked);
    assert!(matches!(lamp.poll_event(), Some(AcceptorEvent::Requested { .. })));
}

#[test]
fn a_stream_that_nobody_wants_any_more_is_not_opened() {
    let mut lamp = lamp();
    lamp.view(start()).open_stream();
    let (first, remote) = (lamp.state.stream.stream.unwrap(), server().stream);
    lamp.view(start()).drop_stream();
    lamp.view(start()).open_stream();
    let second = lamp.state.stream.stream.unwrap();
    lamp.slots[0].stream = Some(LINE);
    lamp.slots[0].address = Some(Endpoint::from(([192, 0, 2, 7], 7)));
    let beside = Command::ConnectFrom { stream: LINE, beside: second, remote };
    lamp.state.command(beside);
    let theirs = "192.0.2.7:7".parse().unwrap();
    let commands: Vec<_> = core::iter::from_fn(|| lamp.poll_command()).collect();
    let expected = [
        Command::Shutdown { stream: first },
        Command::Connect { stream: second, remote },
        Command::ConnectFrom { stream: LINE, beside: second, remote: theirs },
    ];
    assert_eq!(commands, expected);
}

/// What leaves by UDP: its kind and its bytes.
fn datagram(lamp: &mut Lamp, now: Instant) -> Option<(u8, Vec<u8>)> {
    let mut out = [0; 600];
    let mut transmit = lamp.poll_transmit(now)?;
    let len = transmit.encode(&mut out).unwrap();
    transmit.commit();
    Some((out[0], out[..len].to_vec()))
}

/// Answers a certificate request over datagrams.
fn certify(lamp: &mut Lamp, now: Instant) {
    let (kind, request) = datagram(lamp, now).expect("nothing is asked for");
    assert_eq!(kind, Kind::CertificateRequest as u8);
    let mut message = std::vec![Kind::Certificate as u8, 0];
    message.extend_from_slice(&request[2..10]);
    message.extend_from_slice(&certificate());
    let received = lamp.handle_datagram(now, SocketId::MAIN, server().datagram, &mut message);
    assert!(matches!(received, Received::Control), "{received:?}");
}

fn shaking(lamp: &Lamp) -> (bool, bool) {
    (lamp.state.datagram.is_shaking(), lamp.state.stream.is_shaking())
}

#[test]
fn a_handshake_over_tcp_goes_before_that_over_datagrams_which_begins_anew() {
    let mut lamp = lamp();
    let mut now = start();
    lamp.handle_timeout(now);
    certify(&mut lamp, now);
    assert_eq!(shaking(&lamp), (true, false));
    assert_eq!(datagram(&mut lamp, now).unwrap().0, Kind::Initiation as u8);
    lamp.view(now).open_stream();
    let line = lamp.state.stream.stream.unwrap();
    lamp.handle_stream_state(now, line, StreamState::Connected);
    assert_eq!(shaking(&lamp), (false, true));
    assert!(lamp.state.datagram.is_trying());
    let mut bytes = [0; 600];
    let later = now.after(Duration::from_millis(10));
    let mut frame = lamp.poll_frame(later, line).unwrap();
    assert!(frame.encode(&mut bytes).is_ok());
    frame.commit();
    assert_eq!(bytes[2], Kind::Initiation as u8);
    // Nothing leaves over datagrams meanwhile. Then it is begun with the certificate, and waits again
    // where the other one still goes on.
    for under_way in [true, false] {
        now = now.after(Duration::from_millis(4_999));
        lamp.handle_timeout(now);
        assert_eq!(datagram(&mut lamp, now), None);
        now = now.after(Duration::from_millis(1));
        lamp.handle_timeout(now);
        certify(&mut lamp, now);
        assert_eq!(shaking(&lamp), (!under_way, under_way));
    }
    assert_eq!(datagram(&mut lamp, now).unwrap().0, Kind::Initiation as u8);
}

#[test]
fn nothing_that_the_former_server_asked_is_said_to_the_next_one() {
    let mut lamp = lamp();
    lamp.view(start()).reply(Transport::Datagram, 5, Verdict::Accepted);
    let slot = &mut lamp.slots[0];
    (slot.stage, slot.request) = (Stage::Dialling, 6);
    lamp.set_server_address(start(), server());
    assert!(lamp.state.replies.is_empty());
    lamp.view(start()).end(0, CloseCause::PathLost);
    assert!(lamp.state.replies.is_empty(), "{:?}", lamp.state.replies);
}

#[cfg(feature = "punch")]
#[test]
fn calls_that_are_due_together_wait_for_the_queue() {
    let slots: [ConnectionSlot; 12] = core::array::from_fn(|_| ConnectionSlot::EMPTY);
    let mut lamp = Acceptor::new(start(), config(), slots, Noise(0));
    let stream = |index, generation| StreamId { index, generation };
    for (index, slot) in (0_u16..).zip(&mut lamp.slots) {
        slot.address = Some(Endpoint::from(([192, 0, 2, 7], 7)));
        slot.calling.show(stream(index, 1));
        slot.calling.heard(stream(index, 1), StreamState::Connected, start());
        slot.calling.shown();
        slot.calling.put_off(start());
    }
    let mut called = 0;
    for _ in 0..3 {
        lamp.view(start()).expire_calls();
        called += core::iter::from_fn(|| lamp.poll_command()).count();
    }
    assert_eq!((called, lamp.counters().lost_events()), (12, 0));
}
