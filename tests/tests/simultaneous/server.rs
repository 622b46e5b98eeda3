//! What a server takes for a sighting, from ends that keep to no rule.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::inspect::{self, Body, LoggedRoot};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{
    Call, NotifyReply, Register, Role, ToEquipment, ToServer, Verdict,
};
use genkan_core::{
    Command, Discard, MAX_FRAME, Machine, Received, SocketId, StreamId, StreamInput, StreamState,
};
use genkan_tests::evil::{Desk, Evil, hmac, plain_offer, sa, siphash};

const CAN: u32 = 7 | 32;
const PHONE: &str = "192.0.2.50:5000";
const LAMP: &str = "198.51.100.2:4600";

/// A server, and two ends with sessions over TCP.
struct Scene {
    desk: Desk,
    phone: (Evil, StreamId),
    lamp: (Evil, StreamId),
}

fn open(desk: &mut Desk, from: &str) -> StreamId {
    desk.server.handle_accept(desk.now, SocketId::LISTENER, sa(from)).unwrap()
}

fn write(desk: &mut Desk, stream: StreamId, message: &[u8]) -> Received<'static> {
    let mut frame = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(message);
    let StreamInput { received, .. } = desk.server.handle_stream(desk.now, stream, &mut frame);
    match received {
        Received::Discarded(reason) => Received::Discarded(reason),
        _ => Received::Control,
    }
}

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

fn admit(desk: &mut Desk, secret: u8, role: Role, from: &str) -> (Evil, StreamId) {
    let mut evil = Evil::new(secret, desk.key.public());
    let stream = open(desk, from);
    let hello = evil.hello(role);
    assert_eq!(write(desk, stream, &hello), Received::Control);
    let response = read(desk, stream).remove(0);
    evil.finish(&response);
    (evil, stream)
}

impl Scene {
    /// Both are admitted, and have said so much.
    fn new(can: [u32; 2]) -> Self {
        let mut desk = Desk::default();
        let mut phone = admit(&mut desk, 3, Role::Issuer, PHONE);
        let mut lamp = admit(&mut desk, 2, Role::Acceptor, LAMP);
        let register = ToServer::Register(Register {
            id: lamp.0.id(),
            local: sa("0.0.0.0:0").into(),
            capabilities: can[1],
            early_key: None,
        });
        let register = lamp.0.transport(&register);
        assert_eq!(write(&mut desk, lamp.1, &register), Received::Control);
        let message = phone.0.transport(&ToServer::Can(can[0]));
        assert_eq!(write(&mut desk, phone.1, &message), Received::Control);
        let mut scene = Self { desk, phone, lamp };
        scene.words();
        scene
    }

    /// The phone asks, and the lamp accepts; the numbers that the two know the request by.
    fn accepted(&mut self) -> (u32, u32) {
        let target = self.lamp.0.id();
        let offer = self.phone.0.offer(&target, &plain_offer(None), 1);
        let request = ToServer::Connect(Evil::request(77, target, sa("0.0.0.0:5000"), &offer));
        let request = self.phone.0.transport(&request);
        assert_eq!(write(&mut self.desk, self.phone.1, &request), Received::Control);
        let told = read(&mut self.desk, self.lamp.1);
        let notified = told.into_iter().find_map(|mut message| {
            match inspect::open(&LoggedRoot(self.lamp.0.root), &mut message) {
                Some(Body::ToEquipment(ToEquipment::Notify(notify))) => Some(notify.request),
                _ => None,
            }
        });
        let number = notified.unwrap();
        let reply = NotifyReply { request: number, verdict: Verdict::Accepted };
        let reply = self.lamp.0.transport(&ToServer::Reply(reply));
        assert_eq!(write(&mut self.desk, self.lamp.1, &reply), Received::Control);
        (77, number)
    }

    /// The calls that the server tells phone and lamp of now.
    fn words(&mut self) -> [Vec<Call>; 2] {
        [&self.phone, &self.lamp].map(|(evil, stream)| {
            let told = read(&mut self.desk, *stream);
            let calls = told.into_iter().filter_map(|mut message| {
                match inspect::open(&LoggedRoot(evil.root), &mut message) {
                    Some(Body::ToEquipment(ToEquipment::Call(call))) => Some(call),
                    _ => None,
                }
            });
            calls.collect()
        })
    }

    /// A connection from there with this as its first frame.
    fn show(&mut self, from: &str, detect: &[u8]) -> (StreamId, Received<'static>) {
        let stream = open(&mut self.desk, from);
        (stream, write(&mut self.desk, stream, detect))
    }

    fn is_closed(&mut self, stream: StreamId) -> bool {
        let closed = Command::Shutdown { stream };
        core::iter::from_fn(|| self.desk.server.poll_command()).any(|command| command == closed)
    }
}

/// What shows the server where a connection comes from.
fn sight(evil: &mut Evil, request: u32) -> Vec<u8> {
    let mut out = vec![Kind::Detect as u8, 0, 0, 0, 0, 0];
    out.extend(&evil.counter.to_be_bytes()[2..]);
    evil.counter += 1;
    out.extend(request.to_be_bytes());
    out.extend([0, 7, 0, 0, 0]);
    let key = hmac(&evil.root, &[b"keepalive up  "]);
    out.extend(siphash(&key[..16], &[&out]));
    out
}

fn call(request: u32, peer: Option<&str>) -> Call {
    Call { request, peer: peer.map(|peer| sa(peer).into()) }
}

#[test]
fn each_end_is_told_where_the_other_one_was_seen() {
    let mut scene = Scene::new([CAN, CAN]);
    let (ours, theirs) = scene.accepted();
    assert_eq!(scene.words(), [vec![call(ours, None)], vec![call(theirs, None)]]);
    let detect = sight(&mut scene.phone.0, ours);
    assert_eq!(scene.show("192.0.2.50:6001", &detect).1, Received::Control);
    assert_eq!(scene.words(), [vec![], vec![]], "the other one has not been seen");
    let detect = sight(&mut scene.lamp.0, theirs);
    assert_eq!(scene.show("198.51.100.2:7001", &detect).1, Received::Control);
    let told = scene.words();
    let phone = vec![call(ours, Some("198.51.100.2:7001"))];
    assert_eq!(told, [phone, vec![call(theirs, Some("192.0.2.50:6001"))]]);
    // Nothing is lost over TCP, so nothing is said again; and the connections are not kept.
    scene.desk.pass(Duration::from_secs(6));
    assert_eq!(scene.words(), [vec![], vec![]]);
    let shut = core::iter::from_fn(|| scene.desk.server.poll_command());
    assert_eq!(shut.filter(|one| matches!(one, Command::Shutdown { .. })).count(), 2);
}

#[test]
fn nobody_is_told_before_the_acceptor_has_accepted_nor_who_cannot() {
    let mut scene = Scene::new([CAN, CAN]);
    let target = scene.lamp.0.id();
    let offer = scene.phone.0.offer(&target, &plain_offer(None), 1);
    let request = ToServer::Connect(Evil::request(77, target, sa("0.0.0.0:5000"), &offer));
    let request = scene.phone.0.transport(&request);
    write(&mut scene.desk, scene.phone.1, &request);
    assert_eq!(scene.words(), [vec![], vec![]]);
    // Nor is who shows himself all the same believed.
    let detect = sight(&mut scene.phone.0, 77);
    let (stream, received) = scene.show("192.0.2.50:6001", &detect);
    assert_eq!(received, Received::Discarded(Discard::Unauthentic));
    assert!(scene.is_closed(stream));
    for can in [[CAN, 7], [7, CAN], [0, CAN]] {
        let mut scene = Scene::new(can);
        scene.accepted();
        assert_eq!(scene.words(), [vec![], vec![]], "{can:?}");
        scene.desk.pass(Duration::from_secs(5));
        assert_eq!(scene.words(), [vec![], vec![]], "{can:?}");
    }
}

#[test]
fn sightings_that_are_forged_replayed_or_from_elsewhere_are_refused() {
    let mut scene = Scene::new([CAN, CAN]);
    let (ours, theirs) = scene.accepted();
    scene.words();
    let good = sight(&mut scene.phone.0, ours);
    let refused = |scene: &mut Scene, from: &str, bytes: &[u8], reason: Discard| {
        let (stream, received) = scene.show(from, bytes);
        assert_eq!(received, Received::Discarded(reason), "{from}");
        assert!(scene.is_closed(stream), "{reason:?}");
    };
    for at in 1..good.len() {
        let mut forged = good.clone();
        forged[at] ^= 1;
        let (stream, received) = scene.show("192.0.2.50:6001", &forged);
        assert!(matches!(received, Received::Discarded(_)), "byte {at}");
        assert!(scene.is_closed(stream), "byte {at}");
    }
    // Another's key, and another's number.
    let strange = sight(&mut scene.lamp.0, ours);
    refused(&mut scene, "198.51.100.2:7001", &strange, Discard::Unauthentic);
    // Another address: the counter stays fresh.
    refused(&mut scene, "192.0.2.51:6001", &good, Discard::ForbiddenAddress);
    let (stream, received) = scene.show("192.0.2.50:6001", &good);
    assert_eq!(received, Received::Control);
    refused(&mut scene, "192.0.2.50:6666", &good, Discard::Replayed);
    let detect = sight(&mut scene.lamp.0, theirs);
    scene.show("198.51.100.2:7001", &detect);
    assert_eq!(scene.words()[1], [call(theirs, Some("192.0.2.50:6001"))]);
    // A second frame ends the connection, whatever it is.
    let more = sight(&mut scene.phone.0, ours);
    let received = write(&mut scene.desk, stream, &more);
    assert_eq!(received, Received::Discarded(Discard::Unexpected));
}

/// Or it could have the other one told, and woken, again and again.
#[test]
fn an_end_is_seen_once_for_a_request() {
    let mut scene = Scene::new([CAN, CAN]);
    let (ours, theirs) = scene.accepted();
    scene.words();
    let refused = |scene: &mut Scene, from: &str, detect: &[u8]| {
        let (stream, received) = scene.show(from, detect);
        assert_eq!(received, Received::Discarded(Discard::Unexpected), "{from}");
        assert!(scene.is_closed(stream), "{from}");
        assert_eq!(scene.words(), [vec![], vec![]], "{from}");
    };
    let detect = sight(&mut scene.phone.0, ours);
    assert_eq!(scene.show("192.0.2.50:6001", &detect).1, Received::Control);
    let detect = sight(&mut scene.phone.0, ours);
    refused(&mut scene, "192.0.2.50:6002", &detect);
    let detect = sight(&mut scene.lamp.0, theirs);
    assert_eq!(scene.show("198.51.100.2:7001", &detect).1, Received::Control);
    assert_eq!(scene.words()[1], [call(theirs, Some("192.0.2.50:6001"))]);
    for port in 6003..6006 {
        let detect = sight(&mut scene.phone.0, ours);
        refused(&mut scene, &format!("192.0.2.50:{port}"), &detect);
        let detect = sight(&mut scene.lamp.0, theirs);
        refused(&mut scene, &format!("198.51.100.2:{port}"), &detect);
    }
}

/// Its port is nobody's any more, or another's, and it calls from no other one.
#[test]
fn a_port_whose_connection_has_ended_is_told_nobody() {
    for by_itself in [true, false] {
        let mut scene = Scene::new([CAN, CAN]);
        let (ours, theirs) = scene.accepted();
        scene.words();
        let detect = sight(&mut scene.phone.0, ours);
        let (stream, received) = scene.show("192.0.2.50:6001", &detect);
        assert_eq!(received, Received::Control);
        if by_itself {
            scene.desk.server.handle_stream_state(scene.desk.now, stream, StreamState::Closed);
        } else {
            scene.desk.pass(Duration::from_secs(6));
            assert!(scene.is_closed(stream));
        }
        // Another connection with the same place and port is not the phone's.
        open(&mut scene.desk, "192.0.2.50:6001");
        let detect = sight(&mut scene.lamp.0, theirs);
        assert_eq!(scene.show("198.51.100.2:7001", &detect).1, Received::Control);
        assert_eq!(scene.words(), [vec![], vec![]], "by itself: {by_itself}");
    }
}

#[test]
fn who_has_gone_is_called_by_nobody() {
    let mut scene = Scene::new([CAN, CAN]);
    let (ours, theirs) = scene.accepted();
    scene.words();
    let detect = sight(&mut scene.phone.0, ours);
    scene.show("192.0.2.50:6001", &detect);
    let (now, stream) = (scene.desk.now, scene.phone.1);
    scene.desk.server.handle_stream_state(now, stream, StreamState::Closed);
    let detect = sight(&mut scene.lamp.0, theirs);
    scene.show("198.51.100.2:7001", &detect);
    assert_eq!(scene.words()[1], []);
}

/// Each word leaves three times where it may be lost, and no more.
#[test]
fn words_in_datagrams_are_said_three_times() {
    let mut desk = Desk::default();
    let (mut phone, at_phone): (_, SocketAddr) =
        admit_over_datagrams(&mut desk, 3, Role::Issuer, PHONE);
    let (mut lamp, at_lamp) = admit_over_datagrams(&mut desk, 2, Role::Acceptor, LAMP);
    let id = lamp.id();
    let register =
        Register { id, local: sa("0.0.0.0:0").into(), capabilities: CAN, early_key: None };
    let register = lamp.transport(&ToServer::Register(register));
    desk.tell(at_lamp, &register);
    let can = phone.transport(&ToServer::Can(CAN));
    desk.tell(at_phone, &can);
    let offer = phone.offer(&id, &plain_offer(None), 1);
    let request = Evil::request(77, id, sa("0.0.0.0:5000"), &offer);
    let request = phone.transport(&ToServer::Connect(request));
    let (_, sent) = desk.tell(at_phone, &request);
    let number = sent.into_iter().find_map(|(_, mut message)| {
        match inspect::open(&LoggedRoot(lamp.root), &mut message) {
            Some(Body::ToEquipment(ToEquipment::Notify(notify))) => Some(notify.request),
            _ => None,
        }
    });
    let number = number.unwrap();
    let reply = NotifyReply { request: number, verdict: Verdict::Accepted };
    let reply = lamp.transport(&ToServer::Reply(reply));
    let mut sent = desk.tell(at_lamp, &reply).1;
    sent.extend(desk.pass(Duration::from_secs(8)));
    let roots = [phone.root, lamp.root];
    let mut counts = [0; 2];
    for (_, message) in sent {
        for (count, root) in counts.iter_mut().zip(roots) {
            let opened = inspect::open(&LoggedRoot(root), &mut message.clone()).map(|body| {
                matches!(body, Body::ToEquipment(ToEquipment::Call(Call { peer: None, .. })))
            });
            *count += usize::from(opened == Some(true));
        }
    }
    assert_eq!(counts, [3, 3]);
    // Who has shown himself is not asked again, and told once the other one has.
    let detect = sight(&mut phone, 77);
    let stream = open(&mut desk, "192.0.2.50:6001");
    assert_eq!(write(&mut desk, stream, &detect), Received::Control);
    assert_eq!(desk.drain(), vec![]);
    let detect = sight(&mut lamp, number);
    let stream = open(&mut desk, "198.51.100.2:7001");
    assert_eq!(write(&mut desk, stream, &detect), Received::Control);
    let mut sent = desk.drain();
    assert_eq!(sent.len(), 2);
    sent.extend(desk.pass(Duration::from_secs(8)));
    assert_eq!(sent.len(), 6);
}

fn admit_over_datagrams(desk: &mut Desk, secret: u8, role: Role, from: &str) -> (Evil, SocketAddr) {
    let mut evil = Evil::new(secret, desk.key.public());
    desk.admit(&mut evil, role, sa(from));
    (evil, sa(from))
}
