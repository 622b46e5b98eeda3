//! One test for each claim of both documents, the proof that the tests are those of the table, the
//! proofs that every check can fail, the negative twins, and the printed table. Those of the punch
//! document are in a room of their own.

#[path = "claims/punch.rs"]
mod punch;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::OnceLock;

use genkan_tests::claims::elements::Element;
use genkan_tests::claims::lists::{CLAIMS, DEPENDS, FORMS, elements, failures};
use genkan_tests::claims::run::{ACCEPTOR, ISSUER, Run, SERVER, is_wake};
use genkan_tests::claims::scenario::{self, Behaviour, Setting};
use genkan_tests::claims::table;
use genkan_tests::claims::twins::TWINS;
use genkan_tests::story::{Packet, What};

/// The run of a behaviour, played once for all tests.
fn run(behaviour: Behaviour) -> &'static Run {
    static RUNS: [OnceLock<Run>; 4] = [const { OnceLock::new() }; 4];
    RUNS[behaviour as usize].get_or_init(|| scenario::run(behaviour))
}

/// Not by print!, so that it shows without --nocapture too.
fn show(text: &str) {
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    assert!(written.is_ok(), "standard output is open");
}

/// Asserts each element of a claim.
fn holds(claim: u16, behaviour: Behaviour) {
    let failed = failures(claim, run(behaviour));
    let line =
        |(element, why): &(&Element, String)| format!("{} ({}): {why}", element.id, element.says);
    let why: Vec<String> = failed.iter().map(line).collect();
    assert!(why.is_empty(), "claim {claim} does not hold:\n{}", why.join("\n"));
}

/// One test for each claim, and the list of them.
macro_rules! claims {
    ($($name:ident: $claim:literal => $behaviour:ident,)*) => {
        $(#[test] fn $name() { holds($claim, Behaviour::$behaviour); })*

        /// The tests: name, claim and behaviour.
        const TESTS: &[(&str, u16, Behaviour)] =
            &[$((stringify!($name), $claim, Behaviour::$behaviour)),*];
    };
}

claims! {
    request_claim_01: 1 => ConnectionRequest,
    request_claim_02: 2 => WakeThenStream,
    request_claim_03: 3 => PasswordGate,
    request_claim_04: 4 => CertifiedKeyExchange,
    request_claim_05: 5 => ConnectionRequest,
    request_claim_06: 6 => PasswordGate,
    request_claim_07: 7 => CertifiedKeyExchange,
    request_claim_08: 8 => ConnectionRequest,
    request_claim_09: 9 => WakeThenStream,
    request_claim_10: 10 => PasswordGate,
    request_claim_11: 11 => CertifiedKeyExchange,
    request_claim_12: 12 => ConnectionRequest,
    request_claim_13: 13 => WakeThenStream,
    request_claim_14: 14 => PasswordGate,
    request_claim_15: 15 => CertifiedKeyExchange,
    request_claim_16: 16 => ConnectionRequest,
    request_claim_17: 17 => WakeThenStream,
    request_claim_18: 18 => PasswordGate,
    request_claim_19: 19 => CertifiedKeyExchange,
    request_claim_20: 20 => ConnectionRequest,
    request_claim_21: 21 => PasswordGate,
    request_claim_22: 22 => CertifiedKeyExchange,
    request_claim_23: 23 => ConnectionRequest,
    request_claim_24: 24 => WakeThenStream,
    request_claim_25: 25 => PasswordGate,
    request_claim_26: 26 => CertifiedKeyExchange,
    request_claim_27: 27 => ConnectionRequest,
    request_claim_28: 28 => WakeThenStream,
    request_claim_29: 29 => PasswordGate,
    request_claim_30: 30 => CertifiedKeyExchange,
    request_claim_31: 31 => ConnectionRequest,
    request_claim_32: 32 => ConnectionRequest,
    request_claim_33: 33 => ConnectionRequest,
    request_claim_34: 34 => ConnectionRequest,
}

#[test]
fn the_tests_are_those_of_the_table() {
    let rows = table::claims();
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|row| row.document == table::REQUEST)
        .map(|row| (format!("request_claim_{:02}", row.claim), row.claim, row.behaviour))
        .collect();
    let tests: Vec<_> = TESTS
        .iter()
        .map(|(name, claim, behaviour)| ((*name).to_owned(), *claim, behaviour.name()))
        .collect();
    assert_eq!(tests, rows);
    assert_eq!(tests.len(), usize::from(CLAIMS));
    let known: Vec<_> = Behaviour::ALL.iter().map(|behaviour| behaviour.name()).collect();
    assert_eq!(table::behaviours(table::REQUEST), known);
    assert_eq!(table::claims().len(), 140);
}

fn ids(claim: u16) -> BTreeSet<&'static str> {
    elements(claim).iter().map(|element| element.id).collect()
}

#[test]
fn different_claims_have_different_lists_and_forms_of_one_thing_share_theirs() {
    let forms: Vec<u16> = FORMS.iter().flat_map(|forms| forms.iter().copied()).collect();
    assert_eq!(forms.iter().copied().collect::<BTreeSet<_>>().len(), usize::from(CLAIMS));
    assert_eq!(forms.len(), usize::from(CLAIMS));
    let mut lists = BTreeSet::new();
    for group in FORMS {
        let list = ids(group[0]);
        assert!(group.iter().all(|claim| ids(*claim) == list), "{group:?}");
        assert!(lists.insert(list), "{group:?} has the list of another claim");
    }
}

#[test]
fn a_dependent_claim_has_all_elements_of_the_one_that_it_depends_on() {
    for (claim, of) in DEPENDS {
        assert!(ids(*claim).is_superset(&ids(*of)), "claim {claim}");
        let form = FORMS.iter().any(|group| group.contains(claim) && group.contains(of));
        assert!(form || ids(*claim).len() > ids(*of).len(), "claim {claim} adds nothing");
    }
}

#[test]
fn the_claims_hold_with_other_seeds_and_behind_a_nat_too() {
    for &(_, claim, behaviour) in TESTS.iter().filter(|(_, claim, _)| (12..=15).contains(claim)) {
        for seed in 2..7 {
            for behind_nat in [false, true] {
                let setting = Setting { seed, behind_nat, ..Setting::of(behaviour) };
                let played = scenario::variation(run(behaviour), setting);
                let failed = failures(claim, &played);
                let ids: Vec<_> = failed.iter().map(|(element, why)| (element.id, why)).collect();
                assert!(ids.is_empty(), "claim {claim}, {setting:?}: {ids:?}");
            }
        }
    }
}

#[test]
fn every_element_fails_when_it_is_spoilt() {
    let mut count = 0;
    for &(_, claim, behaviour) in TESTS {
        let good = run(behaviour);
        for element in elements(claim) {
            assert!(element.spoils.len() >= 2, "{} can fail in one way only", element.id);
            for spoil in element.spoils {
                let mut bad = good.clone();
                (spoil.1)(&mut bad);
                let about = format!("claim {claim}, {}: {}", element.id, spoil.0);
                assert_ne!(&bad, good, "{about}: nothing is different");
                assert!((element.check)(&bad).is_err(), "{about}: it still holds");
                count += 1;
            }
        }
    }
    assert!(count > 1_000, "{count} proofs");
}

#[test]
fn each_twin_fails_at_the_element_that_it_lacks() {
    let mut text = String::from("\nnegative twins\n");
    for twin in TWINS {
        let about = format!("{} without {}", twin.behaviour.name(), twin.without);
        let played = twin.play(run(twin.behaviour));
        let failed = failures(twin.claim(), &played);
        let broken: Vec<_> = failed.iter().map(|(element, _)| element.id).collect();
        assert!(broken.contains(&twin.breaks), "{about}: only {broken:?} fail");
        let shown = (twin.shows)(&played);
        assert_eq!(shown, Ok(()), "{about}");
        let (breaks, others) = (twin.breaks, broken.len() - 1);
        text += &format!("fails as it must: {about}: {breaks}, and {others} more\n");
    }
    show(&text);
    for behaviour in Behaviour::ALL {
        assert!(TWINS.iter().filter(|twin| twin.behaviour == behaviour).count() >= 4);
    }
}

#[test]
fn the_certified_scenario_begins_with_nothing_in_the_cache() {
    let story = &run(Behaviour::CertifiedKeyExchange).story;
    let certificates: Vec<&Packet> = story
        .packets
        .iter()
        .filter(|packet| matches!(packet.what, What::Certificate { .. }))
        .collect();
    let to = |name: &str| certificates.iter().filter(|packet| packet.to == name).count();
    assert_eq!(to(ISSUER), 1, "the issuer's only certificate is the one on the first connection");
    assert_eq!(to(ACCEPTOR), 2, "the acceptor's are those of its registration and the second");
    let unasked = certificates.iter().any(|packet| {
        let mut asked = story.between(&packet.to, &packet.from);
        !asked.any(|asked| asked.what == What::CertificateRequest && asked.via == packet.via)
    });
    assert!(!unasked);
}

#[test]
fn the_base_scenario_needs_neither_wake_nor_second_connection_nor_password() {
    let story = &run(Behaviour::ConnectionRequest).story;
    assert!(!story.packets.iter().any(is_wake));
    assert!(!story.between(ACCEPTOR, SERVER).any(|packet| packet.what == What::Syn));
    let given = |packet: &Packet| match &packet.what {
        What::Connect { offer, .. } => offer.password().is_some(),
        _ => false,
    };
    assert!(!story.packets.iter().any(given));
}

#[test]
fn table_of_claims() {
    let text = table::print(run, punch::meeting);
    show(&format!("\n{text}"));
    assert!(text.ends_with("140 of 140 claims hold\n"), "{text}");
}
