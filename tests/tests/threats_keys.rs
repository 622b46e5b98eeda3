//! Threats to keys and certificates (T20, T23, T25 to T28): what a server can learn, what a clockless
//! device believes, and what becomes of a device whose randomness fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;
use std::collections::BTreeSet;

use genkan_core::inspect::{self, Body, KeyLog, LoggedRoot};
use genkan_core::wire::Kind;
use genkan_core::wire::certificate::{
    Certificate, MAX_CERTIFICATE, Subject, Trust, authority_public,
};
use genkan_core::{AcceptorEvent, CertificateError, Discard, PasswordRecord, Received, SocketId};
use genkan_sim::fleet::{AcceptorApp, FleetAcceptor, FleetIssuer, FleetServer, START};
use genkan_sim::{Death, EntropyMode, Rng};
use genkan_tests::appliance::Appliance;
use genkan_tests::evil::garbage;
use genkan_tests::scene::{Door, HOP, PASSWORD, PATIENCE, Setup};

/// Runs a scene to a confirmed connection; every root that stood at any of the machines, in order.
fn with_roots(setup: Setup) -> (genkan_tests::scene::Scene, BTreeSet<LoggedRoot>) {
    let mut scene = setup.scene();
    let mut roots = BTreeSet::new();
    let mut asked = false;
    while scene.fleet.world.now() < Duration::from_secs(20) {
        scene.fleet.world.step();
        if !asked && scene.fleet.world.now() > Duration::from_secs(2) {
            scene.ask();
            asked = true;
        }
        let world = &scene.fleet.world;
        let mut log = |root| {
            roots.insert(root);
        };
        world.machine::<FleetServer>(scene.fleet.server).roots(&mut log);
    }
    (scene, roots)
}

#[test]
fn t20_nothing_that_the_server_can_read_tests_a_password() {
    for setup in Setup::all() {
        let setup = Setup { door: Door::Password, ..setup };
        let (scene, roots) = with_roots(setup);
        let record = PasswordRecord::new([5; 16], &PASSWORD);
        let mut read = 0;
        for entry in scene.fleet.world.transcript().entries() {
            let mut texts = vec![entry.message().to_vec()];
            for root in &roots {
                let mut message = entry.message().to_vec();
                if let Some(body) = inspect::open(root, &mut message) {
                    assert!(!matches!(body, Body::Payload(..)), "the server reads no payload");
                    drop(format!("{body:?}"));
                    texts.push(message);
                    read += 1;
                }
            }
            for text in texts {
                for secret in [PASSWORD, record.hash] {
                    let found = text.windows(16).any(|window| window == &secret[..16]);
                    assert!(!found, "in a {:?}", entry.kind);
                }
            }
        }
        assert!(read >= 4, "the server's own messages were opened: {read}");
    }
}

#[test]
fn t23_one_sessions_root_opens_nothing_of_another() {
    let (scene, roots) = with_roots(Setup::default());
    let roots: Vec<_> = roots.into_iter().collect();
    assert!(roots.len() >= 2, "appliance and phone have sessions of their own");
    for entry in scene.fleet.world.transcript().entries() {
        let openers = roots.iter().filter(|root| {
            let mut message = entry.message().to_vec();
            inspect::open(root, &mut message).is_some()
        });
        assert!(openers.count() <= 1);
    }
}

const AUTHORITY: [u8; 32] = [3; 32];

fn check(
    not_before: u64,
    not_after: u64,
    floor: u64,
    now: Option<u64>,
) -> Result<(), CertificateError> {
    let subject =
        Subject { server_key: [9; 32], serial: 1, not_before, not_after, names: "server.example" };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut out).unwrap();
    let authorities = [authority_public(&AUTHORITY)];
    let trust = Trust { authorities: &authorities, name: None, min_serial: 0, floor, now };
    trust.check(&Certificate::parse(&out[..len]).unwrap())
}

#[test]
fn t25_a_clockless_device_goes_by_its_floor_from_1970_to_2106_and_beyond() {
    let year = 365 * 86_400;
    let build = START;
    for begin in [0, 1, build, u64::from(u32::MAX >> 1), u64::from(u32::MAX), build + 80 * year] {
        let end = begin + year;
        assert_eq!(check(begin, end, begin, None), Ok(()), "fresh, at {begin}");
        assert_eq!(check(begin, end, end, None), Ok(()), "its last second");
        assert_eq!(check(begin, end, end + 1, None), Err(CertificateError::Expired));
        // Without a clock the beginning is not enforced: the floor may be 20 years old.
        assert_eq!(check(begin, end, begin.saturating_sub(20 * year), None), Ok(()));
        // A clock that runs after 1970 is no clock: with one, both ends count.
        assert_eq!(check(begin, end, 0, Some(end + 1)), Err(CertificateError::Expired));
        if begin > 0 {
            assert_eq!(check(begin, end, 0, Some(begin - 1)), Err(CertificateError::NotYetValid));
        }
    }
    assert_eq!(check(u64::MAX - 1, u64::MAX, u64::MAX, None), Ok(()));
}

#[test]
fn t25_no_word_of_a_server_moves_the_floor() {
    let mut scene = Setup::default().registered();
    let floor = |scene: &genkan_tests::scene::Scene| {
        scene.fleet.world.machine::<FleetAcceptor>(scene.lamp).floor()
    };
    let before = floor(&scene);
    assert_eq!(before, START, "the certificate began a day before the build");
    // The server's clock jumps 200 years ahead; its welcomes say so.
    scene.fleet.world.jump_ahead(scene.fleet.server, Duration::from_secs(200 * 365 * 86_400));
    scene.fleet.world.run_for(Duration::from_secs(120));
    assert_eq!(floor(&scene), before);
    scene.connect();
}

#[test]
fn t26_constant_randomness_repeats_no_ephemeral_key_over_calls_and_reboots() {
    let mut scene = Setup { door: Door::Open, ..Setup::default() }.scene();
    for host in [scene.lamp, scene.phone] {
        scene.fleet.entropy(host).set(EntropyMode::Constant(0));
    }
    for _ in 0..4 {
        assert!(scene.fleet.wait_registered(scene.lamp, Duration::from_secs(20)));
        scene.fleet.world.run_for(HOP * 2);
        scene.connect();
        for host in [scene.lamp, scene.phone] {
            scene.fleet.reboot(host, Death::WithReset);
            // Boots count, in flash: that is what keeps the next draws apart.
            scene.fleet.entropy(host).set(EntropyMode::Constant(0));
        }
        scene.fleet.world.run_for(Duration::from_secs(30));
    }
    let mut ephemerals = BTreeSet::new();
    let mut sealed = BTreeSet::new();
    for entry in scene.fleet.world.transcript().entries().filter(|e| e.from != "server") {
        let message = entry.message();
        match entry.kind {
            Some(Kind::Initiation) => {
                // Retransmissions are the same message; anything else has a key of its own.
                let twin = ephemerals.insert((message[6..38].to_vec(), message[..130].to_vec()));
                let keys: BTreeSet<_> = ephemerals.iter().map(|(key, _)| key).collect();
                assert!(keys.len() == ephemerals.len(), "an ephemeral key was used twice: {twin}");
            }
            Some(Kind::Answer) => assert!(sealed.insert(message.to_vec())),
            Some(Kind::Transport | Kind::IssuerTransport | Kind::AcceptorTransport) => {
                assert!(sealed.insert(message.to_vec()), "a sealed message was written twice");
            }
            _ => {}
        }
    }
    assert!(ephemerals.len() >= 5 && sealed.len() >= 12, "{}, {}", ephemerals.len(), sealed.len());
}

#[test]
fn t26_randomness_that_fails_at_any_moment_only_delays() {
    for setup in [Setup::all()[0], Setup::all()[3], Setup::all()[4]] {
        for step in 0..30u32 {
            for host in 0..2 {
                let mut scene = setup.scene();
                let victim = [scene.lamp, scene.phone][host];
                let switch = scene.fleet.entropy(victim);
                let at = HOP / 2 * step;
                let (off, on) = (switch.clone(), switch);
                scene.fleet.world.at(at, move |_| off.set(EntropyMode::Failing));
                let back = at + Duration::from_millis(1_300);
                scene.fleet.world.at(back, move |_| on.set(EntropyMode::Seeded));
                let registered = scene.fleet.wait_registered(scene.lamp, Duration::from_secs(30));
                assert!(registered, "step {step}\n{}", scene.fleet.story());
                let target = scene.target();
                let mut told = false;
                for _ in 0..40 {
                    let phone = scene.phone;
                    let asked = scene.fleet.world.with(phone, |machine: &mut FleetIssuer, io| {
                        machine.request(io.now(), &target)
                    });
                    if let Ok(request) = asked {
                        let outcome = scene.fleet.wait_outcome(phone, request, PATIENCE);
                        assert!(outcome.is_some(), "no word\n{}", scene.fleet.story());
                        told = true;
                        break;
                    }
                    scene.fleet.world.run_for(Duration::from_millis(100));
                }
                assert!(told);
                scene.fleet.world.run_for(Duration::from_secs(20));
                scene.connect();
                scene.assert_at_rest();
            }
        }
    }
}

#[test]
fn t27_no_certificate_and_no_handshake_costs_more_than_its_bound() {
    // A certificate is one of at most 200 bytes and one signature; two authorities at most are tried.
    assert_eq!(MAX_CERTIFICATE, 200);
    assert_eq!(genkan_core::Anchors::default().authorities.capacity(), 2);
    let mut rng = Rng::new(27);
    for _ in 0..20_000 {
        let bytes = garbage(&mut rng, 1_000);
        if let Ok(certificate) = Certificate::parse(&bytes) {
            assert!(bytes.len() <= 55 + 255 + 64 && certificate.names().len() <= 255);
        }
    }
    // Garbage in a server's name makes an appliance neither answer nor write anything.
    let mut lamp = Appliance::default();
    for _ in 0..20_000 {
        let mut bytes = garbage(&mut rng, 400);
        assert!(matches!(lamp.hear(&mut bytes), Received::Discarded(_)));
    }
    assert!(lamp.said().is_empty());
    assert!(lamp.reaction().events.is_empty());
}

#[test]
fn t27_a_certificate_of_another_authority_is_refused_before_any_key_information() {
    let mut scene = Setup::default().scene();
    let stranger = scene.fleet.acceptor("stranger", |config| {
        config.spread = Duration::ZERO;
        config.anchors.authorities.clear();
        config.anchors.authorities.push(authority_public(&AUTHORITY)).unwrap();
    });
    scene.fleet.world.run_for(Duration::from_secs(120));
    let transcript = scene.fleet.world.transcript();
    assert_eq!(transcript.sent("stranger", "server", Kind::Initiation).count(), 0);
    assert!(!scene.fleet.is_registered(stranger));
    let requests = transcript.sent("stranger", "server", Kind::CertificateRequest).count();
    assert!((1..=50).contains(&requests), "{requests} certificate requests in two minutes");
    let counters = scene.fleet.world.machine::<FleetAcceptor>(stranger).counters();
    assert!(counters.discarded(Discard::BadCertificate) > 0);
}

#[test]
fn a_session_that_may_be_kept_is_told_whenever_it_is_another() {
    let mut scene = Setup { door: Door::Open, ..Setup::default() }.registered();
    // Four days: the root goes on every eight hours, and each day's session is a new one.
    scene.fleet.world.keep_transcript(false);
    scene.fleet.world.run_for(Duration::from_secs(4 * 86_400));
    let resumable =
        scene.lamp_events().into_iter().filter(|e| *e == AcceptorEvent::Resumable).count();
    assert!((9..=17).contains(&resumable), "{resumable} in four days: at most four writes a day");
    assert!(
        !scene.lamp_events().contains(&AcceptorEvent::RegistrationLost),
        "ratchets are seamless"
    );
    scene.fleet.world.keep_transcript(true);
    scene.fleet.world.clear_transcript();
    scene.fleet.reboot(scene.lamp, Death::Silent);
    scene.fleet.world.run_for(Duration::from_secs(12));
    let transcript = scene.fleet.world.transcript();
    assert_eq!(transcript.sent("server", "lamp", Kind::Resumed).count(), 1);
    assert_eq!(transcript.sent("lamp", "server", Kind::Initiation).count(), 0);
    let app: &AcceptorApp = scene.fleet.world.app(scene.lamp);
    assert!(app.flash.boots == 1 && SocketId::MAIN == SocketId(0));
    scene.connect();
}

#[test]
fn a_kept_session_that_the_server_lost_costs_one_handshake() {
    let mut scene = Setup { door: Door::Open, ..Setup::default() }.registered();
    scene.fleet.reboot_server(Death::WithReset);
    scene.fleet.world.clear_transcript();
    scene.fleet.reboot(scene.lamp, Death::Silent);
    scene.fleet.world.run_for(Duration::from_secs(5));
    assert_eq!(scene.server().registered(), 1, "{}", scene.fleet.story());
    let transcript = scene.fleet.world.transcript();
    assert_eq!(transcript.sent("server", "lamp", Kind::Hint).count(), 1);
    assert_eq!(transcript.sent("lamp", "server", Kind::Initiation).count(), 1);
    scene.connect();
}
