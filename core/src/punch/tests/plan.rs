//! Every pair of profiles.

use super::*;
use crate::nat::Forecast;
use crate::punch::{End, Hopeless, Method, plan};

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
                        let either = matches!(
                            here.method,
                            Method::Direct | Method::BothFirst | Method::Ramp
                        );
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

#[test]
fn two_families_and_two_drawn_ports_are_hopeless() {
    let drawn = profiles().find(|profile| {
        profile.allocation == Allocation::Random
            && profile.mapping == Mapping::AddressAndPortDependent
    });
    let a = party(1, drawn.unwrap(), Limits::LARGE);
    assert_eq!(plan(&a, &a), Err(Hopeless::BothUnpredictable));
    let observed = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 4_000));
    assert_eq!(plan(&a, &Party { observed, ..a }), Err(Hopeless::Families));
    // A span that was never seen is the whole port space.
    let nothing = Span::default().forecast();
    assert_eq!(nothing, Forecast::Among { low: 1_024, high: u16::MAX, margin: 0 });
}
