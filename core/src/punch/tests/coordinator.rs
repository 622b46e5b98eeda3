//! A server whose ends say anything, twice, late, or not at all.

use std::vec::Vec;

use super::*;
use crate::nat::{PortRange, ServerEnd, Sighting};
use crate::punch::{Bracket, Burst, Coordinator, End, Method, Moment, ROUNDS};
use crate::time::Instant;

const START: Instant = Instant::from_millis(1_000);
const MOMENTS: [Moment; 3] = [Moment::Announce, Moment::Before, Moment::After];

fn sighting(number: u8, local: u16, port: u16) -> Sighting {
    let observed = SocketAddr::from(([192, 0, 2, number], port));
    Sighting { socket: 1, local, server: ServerEnd::Main, observed }
}

fn counted() -> NatProfile {
    profiles()
        .find(|profile| {
            profile.mapping == Mapping::AddressAndPortDependent
                && profile.filtering == Filtering::AddressAndPortDependent
                && profile.allocation == Allocation::Sequential(Differential::ONE)
        })
        .unwrap()
}

fn known() -> NatProfile {
    profiles()
        .find(|profile| {
            profile.mapping == Mapping::EndpointIndependent
                && profile.filtering == Filtering::AddressAndPortDependent
        })
        .unwrap()
}

/// An issuer whose port is bracketed and an acceptor whose port is known.
fn bracketing() -> Coordinator {
    let issuer = party(1, counted(), Limits::LARGE);
    let acceptor = party(2, known(), Limits::LARGE);
    let mut coordinator = Coordinator::new(START, issuer, acceptor).unwrap();
    assert_eq!(coordinator.plan().method, Method::Bracket);
    assert!(coordinator.poll_burst(End::Issuer).is_some());
    assert_eq!(coordinator.poll_burst(End::Acceptor), None);
    coordinator
}

fn ports(burst: Burst) -> Vec<u16> {
    burst.ports.ports().take(burst.count.into()).collect()
}

/// A counter that was just seen: the bubble's port is guessed at before it is detected, the likeliest
/// first. An old sighting, a fast NAT or one that did not fit its profile is not guessed at.
#[test]
fn a_fresh_profile_sends_replies_at_once() {
    let fresh = NatProfile { consistent: true, ..counted() };
    let begin = |profile: NatProfile, age: u64| {
        let age = Duration::from_millis(age);
        let issuer = Party { age, ..party(1, profile, Limits::SMALL) };
        let acceptor = party(2, known(), Limits::SMALL);
        Coordinator::new(START, issuer, acceptor).unwrap().poll_burst(End::Acceptor).map(ports)
    };
    let last = fresh.last;
    assert_eq!(begin(fresh, 20), Some(std::vec![last + 2, last + 3, last + 4]));
    assert_eq!(begin(fresh, 300), Some(std::vec![last + 3, last + 4, last + 2]));
    assert_eq!(begin(fresh, 500), None, "5 a second are taken where nothing is known");
    assert!(begin(NatProfile { foreign: 1, ..fresh }, 1_900).is_some());
    assert_eq!(begin(NatProfile { foreign: 50, ..fresh }, 50), None);
    assert_eq!(begin(NatProfile { consistent: false, ..fresh }, 20), None);
    assert_eq!(begin(NatProfile { last: 0, ..fresh }, 20), None);
}

/// Every pair of profiles: whatever is said, tries end at a time that can be told beforehand, and an
/// end is asked for no more than it can do.
#[test]
fn whatever_the_ends_say_tries_end() {
    let mut dice = Dice(7);
    for (one, other) in profiles().flat_map(|a| profiles().step_by(3).map(move |b| (a, b))) {
        let limits = [Limits::SMALL, Limits::LARGE, Limits { sockets: 1, guesses: 9 }];
        let mut limit = || limits[usize::try_from(dice.below(3)).unwrap()];
        let parties = [party(1, one, limit()), party(2, other, limit())];
        let mut now = START;
        let Ok(mut coordinator) = Coordinator::new(now, parties[0], parties[1]) else { continue };
        let mut bursts = 0;
        while let Some(at) = coordinator.poll_timeout() {
            assert!(at > now || dice.flag() || bursts < 100);
            for _ in 0..4 {
                let end = if dice.flag() { End::Issuer } else { End::Acceptor };
                let (round, number) = (u8::try_from(dice.below(6)).unwrap(), 1 + dice.byte() % 3);
                let seen = sighting(number, dice.port(), dice.port());
                let moment = MOMENTS[usize::try_from(dice.below(3)).unwrap()];
                let differential = Differential::new(i32::from(dice.small()) - 30);
                let claim = PortRange {
                    before: dice.port(),
                    after: dice.port(),
                    differential,
                    bubbles: dice.byte(),
                };
                match dice.below(4) {
                    0 => coordinator.handle_range(end, round, claim),
                    1 => coordinator.handle_heard(now),
                    _ => coordinator.handle_detection(now, end, round, moment, &seen),
                }
            }
            for (end, party) in [End::Issuer, End::Acceptor].into_iter().zip(&parties) {
                let Some(burst) = coordinator.poll_burst(end) else { continue };
                bursts += 1;
                let wanted = u16::from(burst.sockets) + u16::from(burst.bracket.extra_sockets());
                assert!(wanted <= party.limits.sockets.into(), "{burst:?} {party:?}");
                assert!(burst.count <= 128.max(party.limits.guesses), "{burst:?}");
                assert!(burst.round < ROUNDS && !ports(burst).contains(&0));
            }
            now = coordinator.poll_timeout().unwrap_or(now).max(at);
            coordinator.handle_timeout(now);
            assert!(coordinator.poll_timeout().is_none_or(|next| next > now));
        }
        assert!(bursts <= 4 * u32::from(ROUNDS), "{bursts} bursts");
        // 6 s of patience and 1.5 s of grace in each of the four tries that are followed by another.
        assert!(now.since(START) <= Duration::from_secs(13), "{:?}", now.since(START));
    }
}

#[test]
fn what_is_not_of_this_try_or_this_host_is_passed_over() {
    let mut coordinator = bracketing();
    let mut detect = |round, number, moment, port| {
        let seen = sighting(number, 33_000, port);
        coordinator.handle_detection(START, End::Issuer, round, moment, &seen);
        coordinator.poll_burst(End::Acceptor).map(ports)
    };
    assert_eq!(detect(0, 3, Moment::Before, 100), None, "another address");
    assert_eq!(detect(1, 1, Moment::Before, 100), None, "a try that has not begun");
    assert_eq!(detect(0, 1, Moment::Before, 0), None, "no port");
    assert_eq!(detect(0, 1, Moment::Before, 41_000), None);
    assert_eq!(detect(0, 1, Moment::Before, 100), None, "contradicts the first");
    assert_eq!(detect(0, 1, Moment::After, 41_002), Some([41_001].into()));
    assert_eq!(detect(0, 1, Moment::After, 41_090), None, "it has aimed already");
}

/// Detection packets that are repeated for ever do not keep the lone one waiting.
#[test]
fn a_repeated_detection_does_not_put_off_what_is_due() {
    let mut coordinator = bracketing();
    for n in 0..60 {
        let now = START.after(Duration::from_millis(n));
        let seen = sighting(1, 33_000, 41_000);
        coordinator.handle_detection(now, End::Issuer, 0, Moment::Before, &seen);
        coordinator.handle_timeout(now);
    }
    let late = ports(coordinator.poll_burst(End::Acceptor).unwrap());
    assert_eq!(late.first(), Some(&41_001));
}

/// Threat T15.
#[test]
fn claimed_range_clamped() {
    for (before, after, step) in
        [(1, 65_535, 1), (65_535, 1, 1), (80, 81, 1), (41_000, 41_001, 64), (41_003, 41_000, -1)]
    {
        let mut coordinator = bracketing();
        let differential = Differential::new(step);
        let claim = PortRange { before, after, differential, bubbles: u8::MAX };
        coordinator.handle_range(End::Issuer, 0, claim);
        assert_eq!(coordinator.poll_burst(End::Acceptor), None, "a claim alone leads nowhere");
        for (moment, port) in [(Moment::Before, 41_000), (Moment::After, 41_004)] {
            let seen = sighting(1, 33_000, port);
            coordinator.handle_detection(START, End::Issuer, 0, moment, &seen);
        }
        let ports = ports(coordinator.poll_burst(End::Acceptor).unwrap());
        assert!(ports.iter().all(|port| (41_000..=41_004).contains(port)), "{ports:?}");
    }
}

/// The owner may never ask: the burst of a try that is over is not handed out in the next.
#[test]
fn a_burst_of_a_past_try_is_not_handed_out() {
    let mut coordinator = bracketing();
    for (moment, port) in [(Moment::Before, 41_000), (Moment::After, 41_002)] {
        let seen = sighting(1, 33_000, port);
        coordinator.handle_detection(START, End::Issuer, 0, moment, &seen);
    }
    coordinator.handle_timeout(START.after(Duration::from_millis(400)));
    assert_eq!(coordinator.poll_burst(End::Acceptor), None);
    assert_eq!(coordinator.poll_burst(End::Issuer).map(|burst| burst.round), Some(1));
}

/// One that says for ever that it has heard its peer gets time once in each try.
#[test]
fn an_end_that_has_always_heard_does_not_hold_up_the_other() {
    let mut coordinator = bracketing();
    let mut now = START;
    while coordinator.poll_timeout().is_some_and(|at| at > now) {
        coordinator.handle_heard(now);
        now = now.after(Duration::from_millis(100));
        assert!(now.since(START) <= Duration::from_secs(3), "the first try never ends");
    }
}

/// A socket whose port is not known cannot be aimed at, by either end.
#[test]
fn local_port_0_is_not_aimed_at() {
    let kept = profiles().find(|profile| {
        profile.mapping == Mapping::AddressAndPortDependent
            && profile.allocation == Allocation::PreservingFirst
    });
    let kept = NatProfile { filtering: Filtering::AddressAndPortDependent, ..kept.unwrap() };
    for acceptor in [known(), kept, counted()] {
        let (one, other) = (party(1, kept, Limits::LARGE), party(2, acceptor, Limits::LARGE));
        let mut coordinator = Coordinator::new(START, one, other).unwrap();
        let first = [End::Issuer, End::Acceptor].map(|end| coordinator.poll_burst(end));
        assert!(first.iter().flatten().all(|burst| burst.bracket != Bracket::None));
        for (end, number) in [(End::Issuer, 1), (End::Acceptor, 2)] {
            for moment in MOMENTS {
                let seen = sighting(number, 0, 41_000);
                coordinator.handle_detection(START, end, 0, moment, &seen);
            }
        }
        coordinator.handle_timeout(START.after(Duration::from_millis(50)));
        let later = [End::Issuer, End::Acceptor].map(|end| coordinator.poll_burst(end));
        assert_eq!(later, [None; 2], "{acceptor:?}");
    }
}
