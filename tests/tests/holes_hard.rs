//! Holes where something else goes wrong at the same time: TCP that opens into nowhere, checks that pass
//! while the session does not, lost first words, a server that counts anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{IssuerEvent, Path, RequestTransport, Target};
use genkan_sim::matrix::KINDS;
use genkan_sim::{Death, NatConfig, Packet, Verdict, Via};
use genkan_tests::evil::Evil;
use genkan_tests::punch::Meeting;
use genkan_tests::scene::{Door, PATIENCE};

fn config(name: &str) -> NatConfig {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap().config(0.0)
}

/// TCP carries the connection. Checks pass over the hole, what follows them does not (a firewall
/// that ends the flow, a check that somebody has replayed): TCP must go on carrying it.
#[test]
fn tcp_is_not_given_up_for_a_hole_over_which_no_session_message_has_come() {
    let meeting = Meeting {
        dial_back: true,
        door: Door::Paired,
        ..Meeting::between(None, Some(config("port")))
    };
    let mut pair = meeting.prepared();
    let (lamp, phone) = (pair.lamp, pair.phone);
    pair.fleet.world.hook(move |packet| {
        let direct = matches!(packet.via, Via::Udp)
            && [Some(lamp), Some(phone)].contains(&packet.from)
            && [Some(lamp), Some(phone)].contains(&packet.to);
        match packet.kind() {
            Some(Kind::IssuerPunch | Kind::AcceptorPunch) if direct => {
                Verdict::Delay(Duration::from_millis(300))
            }
            _ if direct => Verdict::Drop,
            _ => Verdict::Pass,
        }
    });
    let request = pair.ask();
    let told = pair.fleet.wait_outcome(pair.phone, request, PATIENCE);
    assert!(
        matches!(told, Some(IssuerEvent::Connected { path: Path::Stream { .. }, .. })),
        "{told:?}"
    );
    pair.fleet.world.run_for(Duration::from_secs(120));
    let closed = pair.phone_events().iter().any(|e| matches!(e, IssuerEvent::Closed { .. }));
    assert!(!closed && pair.talk(), "{}", pair.fleet.story());
}

/// TCP to the issuer's port opens, but nobody of ours is behind it. The hole, which comes about in
/// the last round, must not be given up with it.
#[test]
fn a_dial_back_into_the_void_does_not_end_the_hole() {
    for dial_back in [false, true] {
        let meeting = Meeting { dial_back, ..Meeting::between(None, Some(config("port"))) };
        let mut pair = meeting.prepared();
        let (lamp, phone) = (pair.lamp, pair.phone);
        let begun = pair.fleet.world.now();
        pair.fleet.world.hook(move |packet| {
            let direct = [Some(lamp), Some(phone)].contains(&packet.from)
                && [Some(lamp), Some(phone)].contains(&packet.to);
            let early = packet.at < begun + Duration::from_millis(5_500);
            match packet.via {
                Via::Udp if direct && early => Verdict::Drop,
                Via::Tcp(_) if direct => Verdict::Drop,
                _ => Verdict::Pass,
            }
        });
        let outcome = pair.meet();
        assert!(
            outcome.is_punched(),
            "dial back {dial_back}: {:?}\n{}",
            outcome.told,
            pair.fleet.story()
        );
    }
}

/// The default transport: one datagram is lost on the way to the server, and TCP is faster then.
#[test]
fn one_lost_initiation_does_not_end_punching() {
    let port = || Some(config("port"));
    let meeting = Meeting { transport: RequestTransport::Race, ..Meeting::between(port(), port()) };
    let mut pair = meeting.prepared();
    // The session with the server is let go when idle.
    pair.fleet.world.run_for(Duration::from_secs(90));
    let phone = pair.phone;
    let mut lost = false;
    pair.fleet.world.hook(move |packet| {
        let first = packet.kind() == Some(Kind::Initiation)
            && matches!(packet.via, Via::Udp)
            && packet.from == Some(phone);
        if first && !core::mem::replace(&mut lost, true) { Verdict::Drop } else { Verdict::Pass }
    });
    let outcome = pair.meet();
    assert!(outcome.is_punched(), "{:?}\n{}", outcome.told, pair.fleet.story());
}

/// The server begins to count requests anew: a connection that TCP carries must not get the new
/// request's hole.
#[test]
fn a_connection_over_tcp_does_not_take_the_hole_of_a_request_after_a_restart() {
    for old_connection in [false, true] {
        let meeting = Meeting { dial_back: true, ..Meeting::between(None, Some(config("port"))) };
        let mut pair = meeting.prepared();
        let (lamp, phone) = (pair.lamp, pair.phone);
        let ours = move |packet: &Packet| {
            [Some(lamp), Some(phone)].contains(&packet.from)
                && [Some(lamp), Some(phone)].contains(&packet.to)
        };
        if old_connection {
            pair.fleet.world.hook(move |packet| match packet.via {
                Via::Udp if ours(packet) => Verdict::Drop,
                _ => Verdict::Pass,
            });
            let request = pair.ask();
            let told = pair.fleet.wait_outcome(pair.phone, request, PATIENCE);
            assert!(matches!(told, Some(IssuerEvent::Connected { path: Path::Stream { .. }, .. })));
            pair.fleet.world.run_for(Duration::from_secs(20));
        }
        pair.fleet.reboot_server(Death::Silent);
        pair.fleet.world.run_for(Duration::from_secs(90));
        // From now on only datagrams make new ways.
        pair.fleet.world.hook(move |packet| match packet.via {
            Via::Syn(_) if ours(packet) => Verdict::Drop,
            _ => Verdict::Pass,
        });
        // The first request after each start was for nobody.
        let nobody = Target::new(Evil::new(77, &[1; 32]).id());
        let request = pair.fleet.request_target(pair.phone, &nobody);
        pair.fleet.world.run_for(Duration::from_secs(5));
        pair.fleet.hang_up(pair.phone, request);
        let outcome = pair.meet();
        assert!(
            outcome.is_punched(),
            "{old_connection}: {:?}\n{}",
            outcome.told,
            pair.fleet.story()
        );
    }
}

/// That there is no way is said more than once: the application hears it once, and hears it when the
/// first word is lost.
#[test]
fn that_there_is_no_way_is_heard_once_though_a_word_is_lost() {
    for lost in [0, 1] {
        let drawn = || Some(config("random"));
        let mut pair = Meeting::between(drawn(), drawn()).prepared();
        let (phone, mut left) = (pair.phone, lost);
        // The one word to an issuer whose body has no more than 7 bytes then.
        pair.fleet.world.hook(move |packet| {
            let small = packet.kind() == Some(Kind::ServerTransport) && packet.bytes.len() < 38;
            let hopeless = small && packet.to == Some(phone);
            if hopeless && left > 0 {
                left -= 1;
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        });
        pair.meet();
        let events = pair.phone_events();
        let told = events.iter().filter(|one| matches!(one, IssuerEvent::Hopeless { .. })).count();
        assert_eq!(told, 1, "{lost} lost\n{}", pair.fleet.story());
    }
}

/// The dial-back overtakes the server's Response, which is as far away as an ocean or lost once: the
/// two still punch, and TCP has done its work.
#[test]
fn a_dial_back_that_overtakes_the_server_s_response_is_followed_by_a_hole() {
    for late in [70, 200, 700, 1_500] {
        for other in ["port", "seq+1"] {
            let meeting = Meeting {
                dial_back: true,
                age: Duration::from_secs(100),
                ..Meeting::between(None, Some(config(other)))
            };
            let mut pair = meeting.prepared();
            let phone = pair.phone;
            pair.fleet.world.hook(move |packet| match packet.kind() {
                Some(Kind::Response) if packet.to == Some(phone) => {
                    Verdict::Delay(Duration::from_millis(late))
                }
                _ => Verdict::Pass,
            });
            let request = pair.ask();
            let told = pair.fleet.wait_outcome(pair.phone, request, PATIENCE);
            let name = format!("{other}, {late} ms");
            let first =
                matches!(told, Some(IssuerEvent::Connected { path: Path::Stream { .. }, .. }));
            assert!(first, "{name}: {told:?}\n{}", pair.fleet.story());
            pair.fleet.world.run_for(Duration::from_secs(8));
            let moved = pair.phone_events().into_iter().any(|event| {
                matches!(event, IssuerEvent::PathChanged { path: Path::Datagram { .. }, .. })
            });
            assert!(moved && pair.talk(), "{name}: {}", pair.fleet.story());
            assert_eq!(pair.streams(), 0, "{name}");
        }
    }
}

/// A server that is never heard over datagrams is not called for ever.
#[test]
fn a_response_that_never_comes_leaves_the_connection_on_tcp_and_the_issuer_at_rest() {
    let meeting = Meeting {
        dial_back: true,
        age: Duration::from_secs(100),
        ..Meeting::between(None, Some(config("port")))
    };
    let mut pair = meeting.prepared();
    let phone = pair.phone;
    pair.fleet.world.hook(move |packet| match packet.kind() {
        Some(Kind::Response | Kind::Certificate) if packet.to == Some(phone) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let request = pair.ask();
    let told = pair.fleet.wait_outcome(pair.phone, request, PATIENCE);
    assert!(matches!(told, Some(IssuerEvent::Connected { .. })), "{told:?}");
    pair.fleet.world.run_for(Duration::from_secs(60));
    let quiet = pair.fleet.world.now() - Duration::from_secs(30);
    let entries = pair.fleet.world.transcript().entries();
    let calls = entries.filter(|entry| entry.from == "phone" && entry.at > quiet);
    let calls = calls.filter(|entry| entry.via == Via::Udp).count();
    assert_eq!(calls, 0, "{}", pair.fleet.story());
    assert!(pair.talk());
}

/// A stranger is told that there is no way when the acceptor has accepted, once. When that is lost, it
/// is told again.
#[test]
fn a_stranger_s_lost_word_that_there_is_no_way_is_said_again() {
    for lost in 1..=2 {
        let meeting = Meeting {
            door: Door::Open,
            ..Meeting::between(Some(config("random")), Some(config("random")))
        };
        let mut pair = meeting.prepared();
        let (phone, server, mut heard) = (pair.phone, pair.fleet.server, 0);
        pair.fleet.world.hook(move |packet| {
            if (packet.from, packet.to) != (Some(server), Some(phone)) || packet.via != Via::Udp {
                return Verdict::Pass;
            }
            // Behind a NAT the receiver is known all the same: Plan, then Hopeless.
            heard += 1;
            if (2..2 + lost).contains(&heard) { Verdict::Drop } else { Verdict::Pass }
        });
        let outcome = pair.meet();
        assert!(outcome.hopeless.is_some(), "{lost}: {outcome:?}\n{}", pair.fleet.story());
    }
}
