//! Wrong passwords, denied addresses, loss and restarts.

use core::time::Duration;

use genkan_core::wire::message::Reason;
use genkan_core::{AcceptorEvent, IssuerEvent, Target};
use genkan_sim::fleet::{FleetAcceptor, FleetIssuer};
use genkan_sim::{Death, Entry, Faults, NatConfig, Via};
use genkan_tests::scene::HOP;

use super::{Setup, plain};

/// Who is not let in learns nothing of where the acceptor is, and nobody is called for him.
#[test]
fn without_the_password_nobody_shows_himself_and_nobody_is_called() {
    let mut scene = Setup::default().scene();
    let wrong = Target { password: Some([7; 32]), ..scene.target() };
    let request = scene.fleet.request_target(scene.phone, &wrong);
    let told = scene.fleet.wait_outcome(scene.phone, request, super::LONG);
    assert!(
        matches!(told, Some(IssuerEvent::Refused { reason: Reason::Unspecified, .. })),
        "{told:?}"
    );
    assert_eq!((scene.sights(scene.phone), scene.sights(scene.lamp)), (1, 0));
    assert_eq!((scene.calls(scene.phone), scene.calls(scene.lamp)), (0, 0));
}

/// The box gives the phone's connections ports that no appliance is to dial (ADM-3).
#[test]
fn a_port_that_may_not_be_dialled_is_not_called() {
    let low = NatConfig { ports: 600..=1_000, ..plain() };
    let mut scene = Setup { boxes: [low, plain()], ..Setup::default() }.scene();
    let (told, _) = scene.meet();
    assert!(matches!(told, Some(IssuerEvent::Failed { .. })), "{told:?}");
    assert_eq!(scene.sights(scene.lamp), 1, "it has shown itself: {}", scene.fleet.story());
    let to_low = |entry: &&Entry| {
        matches!(entry.via, Via::Syn(_)) && entry.from == "lamp" && entry.destination.port() < 1_024
    };
    assert_eq!(scene.entries().filter(to_low).count(), 0);
}

/// The same on the phone's side.
#[test]
fn the_issuer_calls_no_address_that_is_denied_to_it() {
    let low = NatConfig { ports: 600..=1_000, ..plain() };
    let mut scene = Setup { boxes: [plain(), low], ..Setup::default() }.scene();
    let (told, _) = scene.meet();
    assert!(matches!(told, Some(IssuerEvent::Failed { .. })), "{told:?}");
    assert_eq!((scene.sights(scene.phone), scene.calls(scene.phone)), (2, 0));
}

#[test]
fn words_that_are_lost_are_said_again() {
    let mut met = 0;
    for seed in 0..20 {
        let mut scene = Setup { seed, ..Setup::default() }.scene();
        // All that the server says to the lamp in datagrams but the first word, which is the request.
        let (mut count, server, lamp) = (0, scene.fleet.server, scene.lamp);
        scene.fleet.world.hook(move |packet| {
            let lost =
                packet.from == Some(server) && packet.to == Some(lamp) && packet.via == Via::Udp;
            count += usize::from(lost);
            match lost && count % 2 == 0 {
                true => genkan_sim::Verdict::Drop,
                false => genkan_sim::Verdict::Pass,
            }
        });
        let (told, _) = scene.meet();
        met += usize::from(matches!(told, Some(IssuerEvent::Connected { .. })));
    }
    assert_eq!(met, 20);
}

#[test]
fn they_meet_over_lines_that_lose_and_turn_round() {
    let mut met = 0;
    for seed in 0..30 {
        let line = Faults::latency(HOP / 2).with_loss(0.1).with_jitter(HOP);
        let mut scene = Setup { seed, line, ..Setup::default() }.scene();
        met += usize::from(matches!(scene.meet().0, Some(IssuerEvent::Connected { .. })));
        scene.fleet.world.run_for(Duration::from_secs(90));
        let [_, lamp, phone] = scene.streams();
        assert!(lamp <= 1 && phone <= 1, "seed {seed}: {}", scene.fleet.story());
    }
    assert!(met >= 27, "{met} of 30");
}

/// Whenever the server goes, nothing is left behind, and the next request is served.
#[test]
fn a_server_that_restarts_in_the_middle_leaves_nothing_behind() {
    for step in 0..24 {
        let mut scene = Setup { seed: step, ..Setup::default() }.scene();
        let request = scene.ask();
        scene.fleet.world.run_for(HOP * step as u32 / 2);
        scene.fleet.reboot_server(Death::Silent);
        scene.fleet.wait_outcome(scene.phone, request, super::LONG);
        scene.fleet.hang_up(scene.phone, request);
        scene.fleet.world.run_for(Duration::from_secs(90));
        assert_eq!(scene.streams(), [0; 3], "step {step}: {}", scene.fleet.story());
        scene.assert_met();
    }
}

#[test]
fn a_hundred_meetings_leave_no_stream_and_no_slot() {
    let mut scene = Setup::default().scene();
    for _ in 0..100 {
        let request = scene.ask();
        let told = scene.fleet.wait_outcome(scene.phone, request, super::LONG);
        assert!(matches!(told, Some(IssuerEvent::Connected { .. })), "{told:?}");
        scene.fleet.world.run_for(HOP * 4);
        scene.fleet.hang_up(scene.phone, request);
        scene.fleet.world.run_for(Duration::from_secs(12));
    }
    scene.fleet.world.run_for(Duration::from_secs(30));
    assert_eq!(scene.streams(), [0; 3]);
    use genkan_core::inspect::Inspect;
    let lamp = scene.fleet.world.machine::<FleetAcceptor>(scene.lamp).pending();
    let phone = scene.fleet.world.machine::<FleetIssuer>(scene.phone).pending();
    assert_eq!((lamp.passing, lamp.open, phone.requests, phone.open), (0, 0, 0, 0));
    let closed = |event: &AcceptorEvent| matches!(event, AcceptorEvent::Closed { .. });
    let log = &scene.lamp_log().log.events;
    assert_eq!(log.iter().filter(|(_, event)| closed(event)).count(), 100);
}
