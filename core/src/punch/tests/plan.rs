//! Every pair of profiles.

use super::*;
use crate::Instant;
use crate::nat::Forecast;
use crate::punch::{Coordinator, End, Hopeless, Method, plan};

const LIMITS: [Limits; 5] = [
    Limits { sockets: 0, guesses: 0 },
    Limits { sockets: 1, guesses: 9 },
    Limits::SMALL,
    Limits::LARGE,
    Limits { sockets: 255, guesses: u16::MAX },
];

#[test]
fn exchanging_the_ends_exchanges_the_roles_and_costs_the_same() {
    for one in profiles() {
        for other in profiles() {
            for (mine, yours) in LIMITS.into_iter().flat_map(|a| LIMITS.map(|b| (a, b))) {
                let (a, b) = (party(1, one, mine), party(2, other, yours));
                match (plan(&a, &b), plan(&b, &a)) {
                    (Ok(here), Ok(there)) => {
                        assert_eq!(here.method, there.method, "{one:?} {other:?}");
                        assert_eq!(here.expected, there.expected, "{one:?} {other:?}");
                        // Only where both ends could take either role does the caller's place say.
                        let alike = here.bubbler == there.bubbler;
                        let drawn = [one, other].map(|p| p.allocation == Allocation::Random);
                        let either = match here.method {
                            Method::Direct | Method::BothFirst | Method::Ramp => true,
                            Method::Birthday => drawn == [true; 2],
                            _ => false,
                        };
                        assert!(!alike || either, "{here:?} {one:?} {other:?}");
                    }
                    (Err(here), Err(there)) => assert_eq!(here, there, "{one:?} {other:?}"),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// An end is never planned with sockets that it cannot open: its attempt would do nothing.
#[test]
fn no_plan_wants_more_sockets_than_there_are() {
    for (one, other) in profiles().flat_map(|a| profiles().map(move |b| (a, b))) {
        for (mine, yours) in LIMITS.into_iter().flat_map(|a| LIMITS.map(|b| (a, b))) {
            let (a, b) = (party(1, one, mine), party(2, other, yours));
            let Ok(plan) = plan(&a, &b) else { continue };
            let (bubbler, replier) = if plan.bubbler == End::Issuer { (a, b) } else { (b, a) };
            let enough = plan.method == Method::Direct || plan.bubbles <= bubbler.limits.sockets;
            assert!(enough && plan.bubbles > 0, "{plan:?}");
            let both = matches!(plan.method, Method::BothFirst | Method::Ramp);
            assert!(!both || replier.limits.sockets > 0, "{plan:?}");
            let guesses = plan.method == Method::Birthday;
            assert!(!guesses || plan.replies <= replier.limits.guesses, "{plan:?}");
        }
    }
}

/// A filter that does not look at ports lets a guess in from whatever port it comes; a guess that is a
/// mapping of its own at the guesser's NAT is one of 256 at most; two such NATs are guessed at both.
#[test]
fn a_drawn_port_behind_an_open_filter_can_be_guessed_whatever_the_other_end_is() {
    let of = |mapping, filtering, allocation| {
        let found = profiles().filter(|p| p.span.seen == 20).find(|profile| {
            (profile.mapping, profile.filtering) == (mapping, filtering)
                && profile.allocation == allocation
        });
        found.unwrap()
    };
    let (adm, apdm) = (Mapping::AddressDependent, Mapping::AddressAndPortDependent);
    let (adf, apdf) = (Filtering::AddressDependent, Filtering::AddressAndPortDependent);
    let drawn = party(1, of(adm, adf, Allocation::Random), Limits::BIRTHDAY);
    let counted = Allocation::Sequential(Differential::ONE);
    for (mapping, allocation, replies) in
        [(apdm, counted, 256), (apdm, Allocation::Random, 256), (adm, counted, 1_024)]
    {
        let other = party(2, of(mapping, apdf, allocation), Limits::BIRTHDAY);
        let plan = plan(&drawn, &other).unwrap();
        assert_eq!((plan.method, plan.bubbler), (Method::Birthday, End::Issuer));
        assert_eq!((plan.bubbles, plan.replies), (255, replies), "{mapping:?} {allocation:?}");
    }
    let mut both =
        Coordinator::new(Instant::from_millis(1), drawn, Party { limits: Limits::SMALL, ..drawn });
    let both = both.as_mut().unwrap();
    let bursts = [End::Issuer, End::Acceptor].map(|end| both.poll_burst(end).unwrap());
    assert_eq!(bursts.map(|burst| burst.sockets), [255, 4]);
    both.handle_timeout(both.poll_timeout().unwrap());
    let bursts = [End::Issuer, End::Acceptor].map(|end| both.poll_burst(end).unwrap());
    assert_eq!(bursts.map(|burst| (burst.sockets, burst.count)), [(0, 128), (0, 128)]);
}

#[test]
fn two_families_and_two_drawn_ports_are_hopeless() {
    let drawn = profiles().find(|profile| {
        profile.allocation == Allocation::Random
            && profile.mapping == Mapping::AddressAndPortDependent
    });
    let a = party(1, drawn.unwrap(), Limits::LARGE);
    assert_eq!(plan(&a, &a), Err(Hopeless::BothUnpredictable));
    let observed = Endpoint::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 4_000));
    assert_eq!(plan(&a, &Party { observed, ..a }), Err(Hopeless::Families));
    // A span that was never seen is the whole port space.
    let nothing = Span::default().forecast();
    assert_eq!(nothing, Forecast::Among { low: 1_024, high: u16::MAX, margin: 0 });
}

/// What an owner is told must be what the owner can change.
#[test]
fn too_few_sockets_and_too_few_guesses_are_told_apart() {
    let with = |mapping, is: fn(&Allocation) -> bool| {
        // Filters that look at ports, so that nobody gets in by chance.
        let mut shut = profiles().filter(|p| p.filtering == Filtering::AddressAndPortDependent);
        shut.find(|p| p.mapping == mapping && is(&p.allocation)).unwrap()
    };
    let apdm = Mapping::AddressAndPortDependent;
    let counted = with(apdm, |it| matches!(it, Allocation::Sequential(_)));
    let mut drawn = with(apdm, |it| *it == Allocation::Random);
    drawn.span = Span::default();
    let known = with(Mapping::EndpointIndependent, |_| true);
    let why = |one, mine, other, yours| {
        let (a, b) = (party(1, one, mine), party(2, other, yours));
        assert_eq!(plan(&a, &b), plan(&b, &a));
        plan(&a, &b).err()
    };
    let none = Limits { sockets: 0, guesses: 1_024 };
    let timid = Limits { sockets: 255, guesses: 0 };
    assert_eq!(why(counted, none, counted, none), Some(Hopeless::Sockets));
    assert_eq!(why(drawn, none, known, Limits::BIRTHDAY), Some(Hopeless::Sockets));
    assert_eq!(why(drawn, Limits::BIRTHDAY, known, timid), Some(Hopeless::Budget));
    assert_eq!(why(drawn, none, known, timid), Some(Hopeless::Budget));
}
