//! A session with the server over datagrams that stood, in a network that lets none pass any more: TCP is
//! there, and the user waits.
#![allow(clippy::unwrap_used, reason = "tests")]

use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{FailCause, IssuerEvent, RequestTransport, Target, Transport};
use genkan_sim::{Verdict, Via};
use genkan_tests::evil::Evil;
use genkan_tests::scene::{Door, PATIENCE, Scene, Setup};

/// A phone that is connected since half a minute.
fn warm(transport: RequestTransport, door: Door) -> Scene {
    let mut scene = Setup { transport, door, ..Setup::default() }.registered();
    scene.connect();
    scene.fleet.world.run_for(Duration::from_secs(30));
    scene
}

/// The phone's datagrams from now on, and those to it, as `fate` has it for the n-th.
fn datagrams(scene: &mut Scene, mut fate: impl FnMut(usize) -> Verdict + 'static) {
    let phone = scene.phone;
    let mut seen = 0;
    scene.fleet.world.hook(move |packet| {
        let theirs = [packet.from, packet.to].contains(&Some(phone));
        if !theirs || !matches!(packet.via, Via::Udp) {
            return Verdict::Pass;
        }
        seen += 1;
        fate(seen)
    });
}

fn handshakes(scene: &Scene) -> usize {
    let transcript = scene.fleet.world.transcript();
    transcript.entries().filter(|entry| entry.kind == Some(Kind::Initiation)).count()
}

#[test]
fn a_session_that_stood_is_given_up_for_tcp_when_no_datagram_passes_any_more() {
    for door in [Door::Open, Door::Password, Door::Paired] {
        let mut scene = warm(RequestTransport::Race, door);
        datagrams(&mut scene, |_| Verdict::Drop);
        let began = scene.fleet.world.now();
        scene.connect();
        let waited = scene.fleet.world.now() - began;
        assert!(waited < Duration::from_secs(5), "{door:?}: {waited:?}");
        let over = |event: &IssuerEvent| {
            matches!(event, IssuerEvent::ServerReached { over: Transport::Stream, .. })
        };
        assert_eq!(scene.phone_events().iter().filter(|event| over(event)).count(), 1);
    }
}

#[test]
fn an_issuer_of_datagrams_alone_says_that_nobody_answered() {
    let mut scene = warm(RequestTransport::Datagram, Door::Paired);
    datagrams(&mut scene, |_| Verdict::Drop);
    let request = scene.ask();
    let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
    let failed = IssuerEvent::Failed { connection: request, cause: FailCause::NoAnswer };
    assert_eq!(outcome, Some(failed), "{}", scene.fleet.story());
}

/// The server keeps a stranger waiting for three seconds whatever becomes of the request (REQ-7).
#[test]
fn a_refusal_comes_before_the_session_is_given_up() {
    let mut scene = warm(RequestTransport::Race, Door::Password);
    let before = handshakes(&scene);
    let nobody = Target::new(Evil::new(77, &[1; 32]).id());
    let request = scene.fleet.request_target(scene.phone, &nobody);
    let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
    assert!(matches!(outcome, Some(IssuerEvent::Refused { .. })), "{outcome:?}");
    scene.fleet.world.run_for(Duration::from_secs(10));
    assert_eq!(handshakes(&scene), before, "{}", scene.fleet.story());
}

#[test]
fn a_few_lost_datagrams_cost_no_session() {
    let mut scene = warm(RequestTransport::Race, Door::Password);
    let before = handshakes(&scene);
    datagrams(&mut scene, |n| if n <= 2 { Verdict::Drop } else { Verdict::Pass });
    scene.connect();
    assert_eq!(handshakes(&scene), before, "{}", scene.fleet.story());
}
