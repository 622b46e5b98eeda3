//! A server whose ends say anything, twice, late, or not at all.

use std::vec::Vec;

use super::*;
use crate::nat::{PortRange, ServerEnd, Sighting};
use crate::punch::{Bracket, Burst, Coordinator, End, Method, Moment, Plan, ROUNDS};
use crate::time::Instant;

const START: Instant = Instant::from_millis(1_000);
const MOMENTS: [Moment; 3] = [Moment::Announce, Moment::Before, Moment::After];

fn sighting(number: u8, local: u16, port: u16) -> Sighting {
    let observed = Endpoint::from(([192, 0, 2, number], port));
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
    assert_eq!(begin(NatProfile { punishes: true, ..fresh }, 20), None, "the bubble goes first");
}

/// Every pair of profiles: whatever is said, tries end at a time that can be told beforehand, and an
/// end is asked for no more than it can do.
#[test]
fn whatever_the_ends_say_tries_end() {
    let mut dice = Dice(7);
    for (one, other) in profiles().flat_map(|a| profiles().step_by(3).map(move |b| (a, b))) {
        let few = |sockets| Limits { sockets, guesses: 9 };
        let limits = [Limits::SMALL, Limits::LARGE, few(1), few(0)];
        let mut limit = || limits[usize::try_from(dice.below(4)).unwrap()];
        let mut parties = [party(1, one, limit()), party(2, other, limit())];
        parties.iter_mut().for_each(|party| {
            party.profile.punishes = dice.flag();
            party.profile.displaced = dice.flag();
        });
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

/// It says all the same that a socket of its own was seen.
#[test]
fn who_has_no_socket_but_its_own_is_not_asked_for_another() {
    let issuer = party(1, counted(), Limits::LARGE);
    let acceptor = party(2, known(), Limits { sockets: 0, guesses: 9 });
    let mut coordinator = Coordinator::new(START, issuer, acceptor).unwrap();
    coordinator.handle_detection(START, End::Acceptor, 0, Moment::After, &sighting(2, 1, 5_000));
    for (moment, port) in [(Moment::Before, 7_000), (Moment::After, 7_002)] {
        coordinator.handle_detection(START, End::Issuer, 0, moment, &sighting(1, 1, port));
    }
    let burst = coordinator.poll_burst(End::Acceptor).unwrap();
    assert!(burst.sockets == 0 && !burst.keep && burst.count > 0, "{burst:?}");
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

/// What the two ends are given at once in each try, and what the replier when the bubble has left: the
/// hop limit of each, and whether it is from a fresh socket.
type Tries = [[Option<(u8, bool)>; 3]; 5];

fn hops_by_tries(issuer: NatProfile, acceptor: NatProfile) -> (End, Tries) {
    let parties = (party(1, issuer, Limits::LARGE), party(2, acceptor, Limits::LARGE));
    let mut coordinator = Coordinator::new(START, parties.0, parties.1).unwrap();
    let bubbler = coordinator.plan().bubbler;
    let number = if bubbler == End::Issuer { 1 } else { 2 };
    let mut now = START;
    let tries = core::array::from_fn(|_| {
        let told = |burst: Burst| (burst.hops, burst.sockets > 0);
        let mut first = coordinator.poll_burst(bubbler).map(told);
        let second = coordinator.poll_burst(bubbler.other()).map(told);
        let seen = sighting(number, 33_000, 41_000);
        let round = coordinator.round();
        if first.is_none() {
            // The replier is asked to show a socket: the bubble goes there, and it replies from there.
            let shown = sighting(3 - number, 33_000, 42_000);
            coordinator.handle_detection(now, bubbler.other(), round, Moment::After, &shown);
            let bubble = coordinator.poll_burst(bubbler).unwrap();
            assert_eq!(ports(bubble), [42_000]);
            first = Some(told(bubble));
        }
        for moment in [Moment::Before, Moment::After] {
            coordinator.handle_detection(now, bubbler, round, moment, &seen);
        }
        let later = coordinator.poll_burst(bubbler.other());
        assert!(later.is_none_or(|burst| ports(burst).contains(&41_000)), "{later:?}");
        while let Some(at) = coordinator.poll_timeout().filter(|_| coordinator.round() == round) {
            now = at;
            coordinator.handle_timeout(now);
        }
        [first, second, later.map(told)]
    });
    (bubbler, tries)
}

#[test]
fn what_goes_to_a_nat_that_punishes_is_held_back_and_the_other_end_s_packets_are_not() {
    let shy = |profile| NatProfile { punishes: true, ..profile };
    let (plain, bare) = (Some((0, false)), Some((0, true)));
    let limits = [4, 2, 7, 4, 2];
    // Nobody's: both send at once, from where the server sees them.
    let (_, tries) = hops_by_tries(known(), known());
    assert_eq!(tries, [[plain, plain, None]; 5]);
    // One end's: the other is the bubbler, whoever asks.
    for (issuer, acceptor, bubbler) in
        [(known(), shy(known()), End::Issuer), (shy(known()), known(), End::Acceptor)]
    {
        let (end, tries) = hops_by_tries(issuer, acceptor);
        assert_eq!(end, bubbler);
        assert_eq!(tries[0], [Some((4, false)), plain, None]);
        // Other ports at both ends in each try, of which each has to be told.
        for (found, hops) in tries.into_iter().zip(limits).skip(1) {
            assert_eq!(found, [Some((hops, true)), bare, bare], "{hops}");
        }
    }
    // Both ends': the replier waits for the bubble in the first try, too.
    let (_, tries) = hops_by_tries(shy(known()), shy(known()));
    assert_eq!(tries[0], [Some((4, true)), None, plain]);
    assert_eq!(tries[2], [Some((7, true)), bare, bare]);
    // A bracket: replies come after the bubble in any case.
    let (_, tries) = hops_by_tries(counted(), shy(known()));
    assert_eq!(tries[0], [Some((4, true)), None, plain]);
    assert_eq!(tries[1], [Some((2, true)), bare, bare]);
    let (_, tries) = hops_by_tries(shy(counted()), known());
    assert_eq!(tries, [[bare, None, plain]; 5]);
}

/// Without a socket to spare the registered one is used, and the order is kept.
#[test]
fn a_device_without_sockets_holds_back_all_the_same() {
    let shy = NatProfile { punishes: true, ..known() };
    let none = Limits { sockets: 0, guesses: 0 };
    let (one, other) = (party(1, shy, none), party(2, shy, none));
    let mut coordinator = Coordinator::new(START, one, other).unwrap();
    let bubble = coordinator.poll_burst(End::Acceptor).unwrap();
    assert_eq!((bubble.sockets, bubble.bracket, bubble.hops), (0, Bracket::After, 4));
    assert_eq!(coordinator.poll_burst(End::Issuer), None);
    let seen = sighting(2, 33_000, 40_002);
    coordinator.handle_detection(START, End::Acceptor, 0, Moment::After, &seen);
    let reply = coordinator.poll_burst(End::Issuer).unwrap();
    assert_eq!((ports(reply), reply.hops), ([40_002].into(), 0));
}

/// Nobody knows where a socket is that its measurement has displaced: another one is shown first.
#[test]
fn a_replier_that_was_displaced_shows_another_socket_first() {
    let shy = NatProfile { punishes: true, ..known() };
    let displaced = NatProfile { displaced: true, ..shy };
    for (one, bubbler_waits) in [(known(), false), (shy, true), (counted(), true)] {
        // Both punish: the acceptor is the bubbler.
        let (issuer, acceptor) = if one == shy { (displaced, one) } else { (one, displaced) };
        let parties = (party(1, issuer, Limits::LARGE), party(2, acceptor, Limits::LARGE));
        let mut coordinator = Coordinator::new(START, parties.0, parties.1).unwrap();
        let bubbler = coordinator.plan().bubbler;
        let replier = bubbler.other();
        let (one, other) = if bubbler == End::Issuer { (1, 2) } else { (2, 1) };
        let seen = |number, port| sighting(number, 33_000, port);
        assert_eq!(coordinator.poll_burst(bubbler), None);
        let shows = coordinator.poll_burst(replier).unwrap();
        assert_eq!((shows.sockets, shows.bracket, shows.count), (1, Bracket::After, 0));
        // What the bubbler says meanwhile leads to nothing.
        coordinator.handle_detection(START, bubbler, 0, Moment::Announce, &seen(one, 7));
        assert_eq!(coordinator.poll_burst(replier), None);
        coordinator.handle_detection(START, replier, 0, Moment::After, &seen(other, 41_700));
        let bubble = coordinator.poll_burst(bubbler).unwrap();
        assert_eq!((ports(bubble), bubble.hops), ([41_700].into(), 4));
        assert_eq!(coordinator.due(replier).is_none(), bubbler_waits);
        for moment in [Moment::Before, Moment::After] {
            coordinator.handle_detection(START, bubbler, 0, moment, &seen(one, 41_000));
        }
        let reply = coordinator.poll_burst(replier).unwrap();
        assert_eq!((reply.sockets, reply.keep, reply.hops), (1, true, 0));
        assert_eq!(coordinator.poll_burst(bubbler), None, "once");
    }
    // A minute later the NAT has forgotten it.
    let parties = (party(1, known(), Limits::LARGE), party(2, displaced, Limits::LARGE));
    let old = Party { age: Duration::from_secs(60), ..parties.1 };
    let mut coordinator = Coordinator::new(START, parties.0, old).unwrap();
    assert_eq!(coordinator.poll_burst(End::Acceptor).map(ports), Some([40_001].into()));
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

/// From one address of the server a NAT that maps each address anew looks as one that has a port for
/// all: when the direct way fails, each of two such ends is looked at in its turn.
#[test]
fn where_either_port_may_be_another_one_both_are_looked_for_in_turn() {
    let doubtful = NatProfile { mapping: Mapping::PortIndependent, ..known() };
    let bubblers = |issuer, acceptor| {
        let parties = [party(1, issuer, Limits::LARGE), party(2, acceptor, Limits::LARGE)];
        let mut coordinator = Coordinator::new(START, parties[0], parties[1]).unwrap();
        let mut all = Vec::new();
        loop {
            let Plan { method, bubbler, .. } = *coordinator.plan();
            all.push((method == Method::Bracket).then_some(bubbler));
            let Some(at) = coordinator.poll_timeout() else { return all };
            coordinator.handle_timeout(at);
        }
    };
    let [issuer, acceptor] = [Some(End::Issuer), Some(End::Acceptor)];
    assert_eq!(bubblers(doubtful, doubtful), [None, acceptor, issuer, acceptor, issuer]);
    assert_eq!(bubblers(known(), doubtful), [None, acceptor, acceptor, acceptor, acceptor]);
    assert_eq!(bubblers(doubtful, known()), [None, None, issuer, issuer, issuer]);
    assert_eq!(bubblers(known(), known()), [None; 5]);
}
