//! The wire format of version 1, byte by byte, and the handshake against an independent Noise.
//!
//! Equipment in the field speaks these bytes for twenty years. Whoever finds one of these tests red
//! has changed the protocol and must undo that, or begin version 2: **do not change the test!**
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::{Ipv4Addr, Ipv6Addr};

use genkan_core::nat::{Count, Differential, Forecast, PortRange};
use genkan_core::punch::{Ability, Bracket, Burst, Detector, Hopeless, Limits};
use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject};
use genkan_core::wire::message::{self, *};
use genkan_core::wire::*;
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorSlot, Endpoint, EquipmentId, Identity, Machine, Received,
    ServerAddress, SocketId, StaticKey, inspect,
};
use genkan_sim::SimEntropy;
use genkan_tests::evil::{
    Desk, Evil, PEER_LINK, SERVER_LINK, WALL, body, drain, hmac, initiator, plain_offer, responder,
    sa, seal,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn frozen<'d, T: Serialize + Body<'d>>(value: &T, expected: &str) {
    assert_eq!(hex(&body(value, 0)), expected);
    // As the machines write it, too, not only as the test does.
    let mut space = [0; 512];
    let len = inspect::write_body(value, &mut space).unwrap();
    assert_eq!(hex(&space[..len]), expected);
}

const V4: Endpoint = Endpoint::v4(Ipv4Addr::new(192, 0, 2, 1), 4600);

/// The kinds' first bytes. Do not change the test!
#[test]
fn first_bytes_are_frozen() {
    let bytes: Vec<u8> = Kind::ALL.iter().map(|&kind| kind as u8).collect();
    assert_eq!(hex(&bytes), "41614262634464456566476748686 94a6a4b6b4c6c".replace(' ', ""));
    assert_eq!(VERSION, 1);
}

/// The lengths. Do not change the test!
#[test]
fn lengths_are_frozen() {
    assert_eq!([CERTIFICATE_REQUEST_LEN, MAX_CERTIFICATE], [210, 200]);
    assert_eq!([KEEPALIVE_LEN, ECHO_LEN, RESUME_LEN, COOKIE_LEN], [28, 34, 38, 50]);
    assert_eq!([IK1_OVERHEAD, IK2_OVERHEAD, INITIATION_OVERHEAD], [96, 48, 38]);
    assert_eq!([RESPONSE_LEN, WELCOME_LEN, HELLO_LEN], [98, 40, 32]);
    assert_eq!([OFFER_LEN, OFFER_BODY, ANSWER_LEN, ANSWER_BODY], [288, 192, 102, 32]);
    assert_eq!([TRANSPORT_HEADER, TRANSPORT_OVERHEAD, TAG_LEN], [14, 30, 16]);
}

/// Addresses. Do not change the test!
#[test]
fn addresses_are_frozen() {
    frozen(&V4, "00c0000201f823");
    let six = Endpoint::v6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 80);
    frozen(&six, "0120010db800000000000000000000000150");
    // One that is mapped has the bytes of the IPv4 address, and no others.
    frozen(&Endpoint::v6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped(), 4600), "00c0000201f823");
}

/// Bodies from equipment to server. Do not change the test!
#[test]
fn bodies_to_the_server_are_frozen() {
    let id = EquipmentId([0xaa; 32]);
    let aa = "aa".repeat(32);
    frozen(&ToServer::Confirm, "00");
    let register = Register { id, local: V4, capabilities: 7, early_key: Some([3; 16]) };
    let address = "00c0000201f823";
    frozen(&ToServer::Register(register), &format!("01{aa}{address}0701{}", "03".repeat(16)));
    frozen(&ToServer::Deregister, "02");
    let offer = [5; OFFER_LEN];
    let connect =
        ConnectRequest { request: 300, target: id, issuer: V4, early_tag: None, offer: &offer };
    let text = format!("ac02{aa}{address}00a002{}", "05".repeat(288));
    frozen(&ToServer::Connect(connect), &format!("03{text}"));
    let tagged = ConnectRequest { early_tag: Some([4; 16]), ..connect };
    let with_tag = format!("ac02{aa}{address}01{}a002{}", "04".repeat(16), "05".repeat(288));
    frozen(&ToServer::Connect(tagged), &format!("03{with_tag}"));
    let reply = |verdict| ToServer::Reply(NotifyReply { request: 1, verdict });
    frozen(&reply(Verdict::Accepted), "040100");
    let reasons = [
        Reason::Unspecified,
        Reason::Unknown,
        Reason::Offline,
        Reason::Busy,
        Reason::NotAllowed,
        Reason::WrongPassword,
        Reason::ForbiddenAddress,
        Reason::BadOffer,
        Reason::Unreachable,
    ];
    for (number, reason) in reasons.into_iter().enumerate() {
        frozen(&reply(Verdict::Declined(reason)), &format!("040101{number:02x}"));
    }
    frozen(&ToServer::Fetch(Fetch { request: 0x8000_0001 }), "058180808008");
    let hello = Hello { role: Role::Issuer, time: 1, early: Some(connect) };
    frozen(&hello, &format!("010101{text}"));
    frozen(&Hello { role: Role::Acceptor, time: 0, early: None }, "000000");
}

/// Bodies from server to equipment. Do not change the test!
#[test]
fn bodies_to_equipment_are_frozen() {
    let address = "00c0000201f823";
    let registered = Registered { observed: V4, interval: 25, register_every: 8 };
    frozen(&ToEquipment::Registered(registered), &format!("00{address}1908"));
    let offer = [5; OFFER_LEN];
    let notify = ConnectNotify { request: 2, issuer: V4, paired: true, offer: &offer };
    let text = format!("0102{address}01a002{}", "05".repeat(288));
    frozen(&ToEquipment::Notify(notify), &text);
    frozen(&ToEquipment::Wake(Wake { request: 2 }), "0202");
    let plan = Plan { request: 2, acceptor: V4, accepted: true };
    frozen(&ToEquipment::Plan(plan), &format!("0302{address}01"));
    let refused = Refused { request: 2, reason: Reason::Unspecified };
    frozen(&ToEquipment::Refused(refused), "040200");
    frozen(&ToEquipment::Goodbye, "05");
    let welcome = Welcome { observed: V4, time: 128, early_taken: true };
    frozen(&welcome, &format!("{address}800101"));
    let v6 = sa("[2001:db8::1]:80");
    let plan = Plan { request: 2, acceptor: v6.into(), accepted: false };
    frozen(&ToEquipment::Plan(plan), "03020120010db80000000000000000000000015000");
}

/// Bodies about what a NAT keeps. Do not change the test!
#[test]
fn bodies_about_lifetimes_and_leases_are_frozen() {
    frozen(&ToServer::Life(Life { port: 40_000, lifetime: 0x76 }), "09c0b80276");
    frozen(&ToServer::Leased(40_000), "0ac0b802");
    frozen(&ToServer::Reached([0xa0, 1, 2, 3, 4, 5]), "0ba00102030405");
}

/// Bodies about calls over TCP. Do not change the test!
#[test]
fn bodies_about_calls_are_frozen() {
    frozen(&ToServer::Can(capability::CALL), "0620");
    frozen(&ToEquipment::Call(Call { request: 2, peer: None }), "0a0200");
    frozen(&ToEquipment::Call(Call { request: 300, peer: Some(V4) }), "0aac020100c0000201f823");
}

/// Bodies about measuring and punching. Do not change the test!
#[test]
fn bodies_about_holes_are_frozen() {
    let address = "00c0000201f823";
    let can =
        Ability { limits: Limits { sockets: 4, guesses: 128 }, detector: Detector::Equipment };
    frozen(&ToServer::Can(can.to_bits()), "0698888004");
    frozen(&ToServer::Heard(Heard { request: 2 }), "0702");
    let step = Differential::new(-2);
    let range = PortRange { before: 40_000, after: 39_990, differential: step, bubbles: 1 };
    frozen(&ToServer::Range(Range { request: 2, round: 1, range }), "080201c0b802b6b80201fe01");
    let range = PortRange { differential: None, ..range };
    frozen(&ToServer::Range(Range { request: 2, round: 1, range }), "080201c0b802b6b8020001");
    let measure = Measure { other_port: 4_434, other_address: None, now: true };
    frozen(&ToEquipment::Measure(measure), "06d2220001");
    let measure = Measure { other_address: Some(V4), now: false, ..measure };
    frozen(&ToEquipment::Measure(measure), "06d2220100c0000201f82300");
    let packets = [(1, V4), (5, V4)].into_iter().collect();
    frozen(
        &ToEquipment::Seen(Seen { request: 0, round: 0, packets }),
        "070000020100c0000201f8230500c0000201f823",
    );
    let reasons =
        [Hopeless::BothUnpredictable, Hopeless::Families, Hopeless::Budget, Hopeless::Sockets];
    for (number, why) in reasons.into_iter().enumerate() {
        let hopeless = message::Hopeless { request: 2, why };
        frozen(&ToEquipment::Hopeless(hopeless), &format!("0902{number:02x}"));
    }
    let step = Differential::new(-2).unwrap();
    let counter = |foreign| Forecast::Counter { last: 9, differential: step, nth: 1, foreign };
    let forecasts = [
        (Forecast::Port(40_000), "00c0b802"),
        (counter(Count::Poisson { mean: 128 }), "0109fe01008001"),
        (counter(Count::Split { number: 3, part: 1, rest: 2 }), "0109fe0101030102"),
        (Forecast::Run { first: 9, differential: step }, "0209fe"),
        (Forecast::Around { before: 9, after: 4, differential: step }, "030904fe"),
        (Forecast::Between { low: 4, high: 300 }, "0404ac02"),
        (Forecast::Among { low: 4, high: 300, margin: 5 }, "0504ac0205"),
    ];
    for (ports, text) in forecasts {
        let burst = Burst {
            round: 1,
            sockets: 3,
            keep: false,
            ports,
            count: 200,
            bracket: Bracket::SameSocket,
            once: true,
            hops: 5,
        };
        let punch = Punch { request: 2, peer: V4, burst };
        frozen(&ToEquipment::Punch(punch), &format!("0802{address}010300{text}c801030105"));
    }
    let brackets = [
        Bracket::None,
        Bracket::Announce,
        Bracket::After,
        Bracket::SameSocket,
        Bracket::FreshSockets,
    ];
    for (number, bracket) in brackets.into_iter().enumerate() {
        frozen(&bracket, &format!("{number:02x}"));
    }
}

/// Bodies between issuer and acceptor. Do not change the test!
#[test]
fn bodies_between_the_ends_are_frozen() {
    frozen(&PeerMessage::Alive, "00");
    frozen(&PeerMessage::Probe, "01");
    frozen(&PeerMessage::Close, "02");
    frozen(&PeerMessage::EarlyKey([7; 16]), &format!("03{}", "07".repeat(16)));
    frozen(&Accept { early_key: None }, "00");
    frozen(&Accept { early_key: Some([7; 16]) }, &format!("01{}", "07".repeat(16)));
    let mut offer = plain_offer(Some([6; 32]));
    (offer.counter, offer.time) = (1, 128);
    offer.candidates.push(V4).unwrap();
    let text = format!("0701{}{}0180010100c0000201f823", "06".repeat(32), "09".repeat(16));
    frozen(&offer, &text);
    for (renewal, last) in [(false, "00"), (true, "01")] {
        frozen(&WholeOffer { offer: offer.clone(), renewal }, &format!("{text}{last}"));
    }
}

/// The certificate. Do not change the test!
#[test]
fn the_certificate_is_frozen() {
    let subject = Subject {
        server_key: [9; 32],
        serial: 5,
        not_before: 1_000,
        not_after: 2_000,
        names: "rdv.example.net Backup",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&[3; 32], &subject, &mut out).unwrap();
    assert_eq!(len, 141);
    let head = "0100000000050000000000 0003e800000000000007d0".replace(' ', "");
    assert_eq!(hex(&out[..22]), head);
    assert_eq!((out[54], &out[55..77]), (22, &b"rdv.example.net Backup"[..]));
    assert_eq!(hex(&Sha256::digest(&out[..len])), CERTIFICATE);
}
const CERTIFICATE: &str = "f1e8272eda694e7315e309a4ef6adebcf877ad839bbbf2309b201c946027abe0";

/// Handshake, transport and keepalive messages under fixed keys: written here by other
/// implementations of every primitive, opened by the core. Do not change the test!
#[test]
fn messages_under_fixed_keys_are_frozen() {
    let server = StaticKey::from_secret([1; 32]);
    let mut lamp = Evil::new(2, server.public());
    let hello = lamp.hello(Role::Acceptor);
    assert_eq!(hex(&hello[..6]), "420010000002");
    assert_eq!(hex(&Sha256::digest(&hello)), INITIATION);
    let mut out = [0; 1_024];
    let (who, opened) = inspect::open_initiation(&server, &hello, &mut out).unwrap();
    assert_eq!((who, opened), (lamp.id(), Hello { role: Role::Acceptor, time: WALL, early: None }));
    (lamp.root, lamp.handle, lamp.counter) = ([7; 32], 0x0102_0304, 5);
    let mut confirm = lamp.transport(&ToServer::Confirm);
    assert_eq!(hex(&confirm), TRANSPORT);
    let root = inspect::LoggedRoot([7; 32]);
    assert_eq!(
        inspect::open(&root, &mut confirm),
        Some(inspect::Body::ToServer(ToServer::Confirm))
    );
    assert_eq!(hex(&lamp.keepalive(None)), KEEPALIVE);
    assert_eq!(hex(&lamp.keepalive(Some(&[1, 2, 3, 4, 5, 6]))), ECHO);
    let down = hmac(&[7; 32], &[b"transport down"]);
    let goodbye = body(&ToEquipment::Goodbye, 0);
    let mut goodbye = seal(&down, Kind::ServerTransport, 9, 0, &goodbye);
    assert_eq!(hex(&goodbye), DOWNWARD);
    let opened = inspect::open(&root, &mut goodbye);
    assert_eq!(opened, Some(inspect::Body::ToEquipment(ToEquipment::Goodbye)));
    let mut close = seal(&down, Kind::AcceptorTransport, 9, 1, &[0, 2]);
    assert_eq!(inspect::open(&root, &mut close), Some(inspect::Body::Peer(PeerMessage::Close)));
    let offer = lamp.offer(&server.id(), &plain_offer(None), 5);
    assert_eq!(hex(&Sha256::digest(offer)), OFFER);
}
const INITIATION: &str = "99704e6f8c95db70f0580e2e7177711e90099e1886c2d647fea9a5b89b59bbd1";
const TRANSPORT: &str = "4800010203040000000000000005058833d9d59901e612de1863aeab4261f7";
const KEEPALIVE: &str = "4401010203040000000000061501eefcf00f4ebfedbbcd4f1f9d57fa";
const ECHO: &str = "450101020304000000000007010203040506526b2fcb07c86aa879b5420279286301";
const DOWNWARD: &str = "6800000000090000000000000000ba87b2c47256fa73da29c3f0c2dddfe7d0";
const OFFER: &str = "f12a12e12dce2cbe28ebe5ab9c2276c97347e6372e42b233dc22b0a78b0946c2";

/// A server and an independent client: every kind of answer has its frozen head. Do not change the
/// test!
#[test]
fn a_whole_registration_has_frozen_heads() {
    let mut desk = Desk::default();
    let mut lamp = Evil::new(2, desk.key.public());
    let from = sa("198.51.100.2:4600");
    let exchange = |desk: &mut Desk, message: &[u8]| desk.tell(from, message).1.remove(0).1;
    let mut request = vec![0; CERTIFICATE_REQUEST_LEN];
    (request[0], request[9]) = (Kind::CertificateRequest as u8, 7);
    let certificate = exchange(&mut desk, &request);
    assert_eq!(certificate[..10], [0x61, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(certificate[10..], desk.certificate);
    let hello = lamp.hello(Role::Acceptor);
    let response = exchange(&mut desk, &hello);
    assert_eq!(hex(&response[..10]), "62000100000010000002");
    let welcome = lamp.finish(&response);
    assert_eq!(welcome, Welcome { observed: from.into(), time: WALL, early_taken: false });
    let register =
        Register { id: lamp.id(), local: sa("0.0.0.0:0").into(), capabilities: 7, early_key: None };
    let message = lamp.transport(&ToServer::Register(register));
    let registered = exchange(&mut desk, &message);
    assert_eq!(
        (hex(&registered[..14]), registered.len()),
        ("6800100000020000000000000000".into(), 40)
    );
    let keepalive = lamp.keepalive(None);
    let answer = exchange(&mut desk, &keepalive);
    assert_eq!((hex(&answer[..12]), answer.len()), ("640210000002000000000001".into(), 28));
}

/// The server's message 2 is read, and our derivation of the root agreed with, by snow: see
/// [`Desk::admit`], which would fail otherwise. The reverse: our message 1 is read by snow.
#[test]
fn an_independent_noise_reads_our_first_message_and_we_read_its_second() {
    let server = StaticKey::from_secret([1; 32]);
    let (now, address) = (genkan_core::Instant::from_millis(1), sa("203.0.113.1:4600"));
    let identity = Identity { key: StaticKey::from_secret([2; 32]), boots: 0 };
    let desk = Desk::default();
    let both = ServerAddress::both(address);
    let mut config = AcceptorConfig::new(identity, both, Desk::anchors());
    config.spread = core::time::Duration::ZERO;
    let slots = [AcceptorSlot::EMPTY];
    let mut lamp = Acceptor::new(now, config, slots, SimEntropy::seeded(3));
    lamp.restore_certificate(&desk.certificate).unwrap();
    lamp.handle_timeout(now);
    let first = drain(&mut lamp, now).remove(0).1;
    assert_eq!((first[0], first.len()), (Kind::Initiation as u8, 166));
    let mut theirs = responder(&server, SERVER_LINK, &[4; 32]);
    let mut plain = [0; 1_024];
    let len = theirs.read_message(&first[6..first.len() - 32], &mut plain).unwrap();
    assert_eq!(len, HELLO_LEN);
    assert_eq!(theirs.get_remote_static().unwrap(), &lamp.id().0);
    let mut response = vec![Kind::Response as u8, 0, 0, 0, 0, 9];
    response.extend(&first[2..6]);
    let welcome = Welcome { observed: sa("198.51.100.2:4600").into(), time: 0, early_taken: false };
    let mut noise = [0; 1_024];
    let len = theirs.write_message(&body(&welcome, WELCOME_LEN), &mut noise).unwrap();
    response.extend(&noise[..len]);
    let main = SocketId::MAIN;
    assert_eq!(lamp.handle_datagram(now, main, address, &mut response), Received::Control);
    // What it says next opens under the root that snow's handshake gives.
    let mut register = drain(&mut lamp, now).remove(0).1;
    let root = inspect::LoggedRoot(genkan_tests::evil::root(&mut theirs));
    let opened = inspect::open(&root, &mut register);
    let Some(inspect::Body::ToServer(ToServer::Register(register))) = opened else {
        panic!("{opened:?}")
    };
    assert_eq!(register.id, lamp.id());
}

/// The sealed offer and the communication request, against snow in both roles.
#[test]
fn an_independent_noise_opens_our_offers() {
    let (issuer, acceptor) = (Evil::new(3, &[1; 32]), StaticKey::from_secret([2; 32]));
    let offer = plain_offer(Some([6; 32]));
    let sealed = issuer.offer(&acceptor.id(), &offer, 5);
    let (who, opened) = inspect::open_offer(&acceptor, &sealed).unwrap();
    assert_eq!((who, opened), (issuer.id(), offer));
    let mut theirs = responder(&acceptor, PEER_LINK, &[4; 32]);
    let mut plain = [0; OFFER_BODY];
    assert_eq!(theirs.read_message(&sealed, &mut plain).unwrap(), OFFER_BODY);
    // A message of one link is nothing on the other.
    let mut other = responder(&acceptor, SERVER_LINK, &[4; 32]);
    assert!(other.read_message(&sealed, &mut plain).is_err());
    let mut ours = initiator(&issuer.key, acceptor.public(), SERVER_LINK, &[5; 32]);
    let mut wrong = [0; OFFER_LEN];
    ours.write_message(&plain, &mut wrong).unwrap();
    assert!(inspect::open_offer(&acceptor, &wrong).is_none());
}
