//! Defects of the issuer that were found once, each with the test that keeps it away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject};
use genkan_core::wire::message::Reason;
use genkan_core::{
    Command, Discard, FailCause, Identity, Instant, Issuer, IssuerConfig, IssuerEvent, IssuerSlot,
    Machine, Received, RequestTransport, ServerAddress, SocketId, StaticKey, StreamState, Target,
};
use genkan_sim::{SimEntropy, Verdict as Fate};
use genkan_tests::appliance::SERVER;
use genkan_tests::device::frames;
use genkan_tests::evil::{Desk, WALL, drain, sa};
use genkan_tests::scene::{Door, EARLY_KEY, Setup};

const PHONE: &str = "192.0.2.50:50000";

fn is(bytes: &[u8], kinds: &[Kind]) -> bool {
    kinds.iter().any(|kind| bytes.first() == Some(&(*kind as u8)))
}

/// An issuer without a certificate, and with so many slots.
fn issuer<const N: usize>(
    now: Instant,
    transport: RequestTransport,
) -> Issuer<[IssuerSlot; N], SimEntropy> {
    let identity = Identity { key: StaticKey::from_secret([3; 32]), boots: 0 };
    let mut config = IssuerConfig::new(identity, ServerAddress::both(sa(SERVER)), Desk::anchors());
    config.transport = transport;
    Issuer::new(now, config, [const { IssuerSlot::EMPTY }; N], SimEntropy::seeded(3))
}

/// A certificate by an authority that nobody trusts.
fn self_signed() -> Vec<u8> {
    let subject = Subject {
        server_key: *StaticKey::from_secret([7; 32]).public(),
        serial: 1,
        not_before: WALL - 86_400,
        not_after: WALL + 86_400 * 400,
        names: "server.example",
    };
    let mut bytes = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&[66; 32], &subject, &mut bytes).unwrap();
    bytes[..len].to_vec()
}

/// The answer to a request for a certificate: its nonce, and what is presented.
fn certificate(request: &[u8], presented: &[u8]) -> Vec<u8> {
    let mut message = vec![Kind::Certificate as u8, 0];
    message.extend_from_slice(&request[2..10]);
    message.extend_from_slice(presented);
    message
}

#[test]
fn without_a_listener_each_of_two_dozen_requests_is_told_its_failure() {
    let mut now = Instant::from_millis(1_000);
    // Over TCP to the server no hole is punched either.
    let mut phone = issuer::<24>(now, RequestTransport::Stream);
    let mut asked = Vec::new();
    for secret in 50..74u8 {
        let target = Target::new(StaticKey::from_secret([secret; 32]).id());
        asked.push(phone.request(now, &target).unwrap());
        while phone.poll_command().is_some() {}
        while phone.poll_event().is_some() {}
    }
    let limit = now.after(Duration::from_secs(1));
    phone.handle_bound(now, SocketId::LISTENER, None);
    let mut told = Vec::new();
    loop {
        drain(&mut phone, now);
        while phone.poll_command().is_some() {}
        while let Some(event) = phone.poll_event() {
            if let IssuerEvent::Failed { connection, cause } = event {
                assert_eq!(cause, FailCause::NoListener);
                told.push(connection);
            }
        }
        let Some(wakeup) = phone.poll_timeout().filter(|wakeup| wakeup.at <= limit) else { break };
        now = wakeup.at;
        phone.handle_timeout(now);
    }
    told.sort_by_key(|connection| asked.iter().position(|other| other == connection));
    assert_eq!(told, asked);
    assert_eq!(phone.counters().lost_events(), 0);
}

#[test]
fn a_forged_certificate_in_a_datagram_fails_no_request_and_the_genuine_one_then_works() {
    let mut desk = Desk::default();
    let mut phone = issuer::<1>(desk.now, RequestTransport::Datagram);
    let target = Target::new(StaticKey::from_secret([2; 32]).id());
    phone.request(desk.now, &target).unwrap();
    while phone.poll_command().is_some() {}
    phone.handle_bound(desk.now, SocketId::LISTENER, Some(sa("0.0.0.0:7777")));
    let asked = drain(&mut phone, desk.now).remove(0).1;
    assert!(is(&asked, &[Kind::CertificateRequest]));
    let mut forged = certificate(&asked, &self_signed());
    let received = phone.handle_datagram(desk.now, SocketId::MAIN, sa(SERVER), &mut forged);
    assert_eq!(received, Received::Discarded(Discard::BadCertificate));
    assert_eq!(phone.poll_event(), None);
    let mut answers = desk.tell(sa(PHONE), &asked).1;
    let mut events = Vec::new();
    for _ in 0..3 {
        for (_, mut bytes) in core::mem::take(&mut answers) {
            phone.handle_datagram(desk.now, SocketId::MAIN, sa(SERVER), &mut bytes);
        }
        for (_, bytes) in drain(&mut phone, desk.now) {
            answers.extend(desk.tell(sa(PHONE), &bytes).1);
        }
        events.extend(core::iter::from_fn(|| phone.poll_event()));
    }
    let reached = |event: &IssuerEvent| matches!(event, IssuerEvent::ServerReached { .. });
    assert!(events.iter().any(reached), "{events:?}");
    let failed = |event: &IssuerEvent| matches!(event, IssuerEvent::Failed { .. });
    assert!(!events.iter().any(failed), "{events:?}");
}

#[test]
fn a_bad_certificate_over_tcp_fails_the_request_at_once() {
    let now = Instant::from_millis(1_000);
    let mut phone = issuer::<1>(now, RequestTransport::Stream);
    let target = Target::new(StaticKey::from_secret([2; 32]).id());
    let connection = phone.request(now, &target).unwrap();
    phone.handle_bound(now, SocketId::LISTENER, Some(sa("0.0.0.0:7777")));
    let commands: Vec<_> = core::iter::from_fn(|| phone.poll_command()).collect();
    let stream = commands.iter().find_map(|command| match command {
        Command::Connect { stream, .. } => Some(*stream),
        _ => None,
    });
    let stream = stream.unwrap();
    phone.handle_stream_state(now, stream, StreamState::Connected);
    let asked = frames(&mut phone, now, stream).remove(0);
    assert!(is(&asked[2..], &[Kind::CertificateRequest]));
    let forged = certificate(&asked[2..], &self_signed());
    let mut frame = u16::try_from(forged.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(forged);
    phone.handle_stream(now, stream, &mut frame);
    let events: Vec<_> = core::iter::from_fn(|| phone.poll_event()).collect();
    let failed = IssuerEvent::Failed { connection, cause: FailCause::BadCertificate };
    assert!(events.contains(&failed), "{events:?}");
}

#[test]
fn a_paired_issuer_learns_why_although_the_refusal_was_lost_once() {
    let mut scene = Setup { door: Door::Open, clock: false, ..Setup::default() }.scene();
    // An appliance that has given its early key away, but has this issuer not on its list any more.
    let door = scene.fleet.acceptor("door", |config| {
        config.spread = Duration::ZERO;
        config.admission.early_key = Some(EARLY_KEY);
    });
    assert!(scene.fleet.wait_registered(door, Duration::from_secs(5)));
    scene.fleet.world.run_for(Duration::from_secs(1));
    let (server, phone) = (scene.fleet.server, scene.phone);
    let words = std::rc::Rc::new(core::cell::Cell::new(0));
    let seen = words.clone();
    scene.fleet.world.hook(move |packet| {
        let word = packet.from == Some(server)
            && packet.to == Some(phone)
            && packet.kind() == Some(Kind::ServerTransport);
        seen.set(seen.get() + usize::from(word));
        // The first word says that the request was passed on.
        if word && seen.get() == 2 { Fate::Drop } else { Fate::Pass }
    });
    let mut target = Target::new(scene.fleet.id(door));
    target.early_key = Some(EARLY_KEY);
    let connection = scene.fleet.request_target(phone, &target);
    scene.fleet.wait_outcome(phone, connection, Duration::from_secs(11));
    let events = scene.phone_events();
    let told = IssuerEvent::Refused { connection, reason: Reason::NotAllowed };
    assert!(events.contains(&told), "{events:?}\n{}", scene.fleet.story());
    assert!(words.get() > 2, "{}", scene.fleet.story());
}
