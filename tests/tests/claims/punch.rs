//! One test for each claim of the punch document, the proof that the tests are those of the table, the
//! proofs that every check can fail, and the negative twins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use genkan_tests::claims::punch::depends::{ALIKE, DEPENDS, FORMS};
use genkan_tests::claims::punch::lists::{CLAIMS, Form, Item, forms};
use genkan_tests::claims::punch::run::Meeting;
use genkan_tests::claims::punch::scenario::{self, Scene};
use genkan_tests::claims::punch::twins;
use genkan_tests::claims::table;

/// The meeting of a scene, played once for all tests.
pub(crate) fn meeting(scene: Scene) -> &'static Meeting {
    static MEETINGS: [OnceLock<Meeting>; 6] = [const { OnceLock::new() }; 6];
    MEETINGS[scene as usize].get_or_init(|| scenario::meeting(scene, 0))
}

/// What does not hold of a form, in words.
fn words(form: &Form, meeting: &Meeting) -> Vec<String> {
    let failed = form.failures(meeting).into_iter();
    failed.map(|(item, why)| format!("{} ({}): {why}", item.id(), item.element.says)).collect()
}

/// Asserts each element of a claim, in each of its scenes.
fn holds(claim: u16) {
    for form in forms(claim) {
        let why = words(&form, meeting(form.scene)).join("\n");
        let scene = form.scene.name();
        assert!(why.is_empty(), "claim {claim} does not hold ({scene}):\n{why}");
    }
}

/// One test for each claim, and the list of them.
macro_rules! claims {
    ($($name:ident: $claim:literal => $behaviour:literal,)*) => {
        $(#[test] fn $name() { holds($claim); })*

        /// The tests: name, claim and behaviour.
        const TESTS: &[(&str, u16, &str)] = &[$((stringify!($name), $claim, $behaviour)),*];
    };
}

claims! {
    punch_claim_001: 1 => "bubble-reply",
    punch_claim_002: 2 => "server-range",
    punch_claim_003: 3 => "bubble-target",
    punch_claim_004: 4 => "server-differential",
    punch_claim_005: 5 => "bubble-reply",
    punch_claim_006: 6 => "server-range",
    punch_claim_007: 7 => "range-before-after",
    punch_claim_008: 8 => "range-other-address",
    punch_claim_009: 9 => "range-fresh-port",
    punch_claim_010: 10 => "bubble-target",
    punch_claim_011: 11 => "bubble-target-server-port",
    punch_claim_012: 12 => "server-differential",
    punch_claim_013: 13 => "bubble-reply",
    punch_claim_014: 14 => "server-range",
    punch_claim_015: 15 => "server-differential",
    punch_claim_016: 16 => "bubble-reply",
    punch_claim_017: 17 => "server-range",
    punch_claim_018: 18 => "server-differential",
    punch_claim_019: 19 => "role-decision",
    punch_claim_020: 20 => "bubble-target",
    punch_claim_021: 21 => "bubble-target-server-port",
    punch_claim_022: 22 => "server-range",
    punch_claim_023: 23 => "range-other-address",
    punch_claim_024: 24 => "server-differential",
    punch_claim_025: 25 => "bubble-reply",
    punch_claim_026: 26 => "address-exchange",
    punch_claim_027: 27 => "address-exchange",
    punch_claim_028: 28 => "server-range",
    punch_claim_029: 29 => "range-before-after",
    punch_claim_030: 30 => "range-other-address",
    punch_claim_031: 31 => "range-fresh-port",
    punch_claim_032: 32 => "bubble-target-server-port",
    punch_claim_033: 33 => "role-decision",
    punch_claim_034: 34 => "server-differential",
    punch_claim_035: 35 => "server-differential",
    punch_claim_036: 36 => "bubble-reply",
    punch_claim_037: 37 => "server-range",
    punch_claim_038: 38 => "range-before-after",
    punch_claim_039: 39 => "range-other-address",
    punch_claim_040: 40 => "range-fresh-port",
    punch_claim_041: 41 => "bubble-target",
    punch_claim_042: 42 => "bubble-target-server-port",
    punch_claim_043: 43 => "server-differential",
    punch_claim_044: 44 => "bubble-reply",
    punch_claim_045: 45 => "server-range",
    punch_claim_046: 46 => "server-differential",
    punch_claim_047: 47 => "bubble-reply",
    punch_claim_048: 48 => "server-range",
    punch_claim_049: 49 => "server-differential",
    punch_claim_050: 50 => "role-decision",
    punch_claim_051: 51 => "client-range",
    punch_claim_052: 52 => "client-differential",
    punch_claim_053: 53 => "bubble-target",
    punch_claim_054: 54 => "client-range",
    punch_claim_055: 55 => "bubble-target",
    punch_claim_056: 56 => "client-differential",
    punch_claim_057: 57 => "client-range",
    punch_claim_058: 58 => "client-differential",
    punch_claim_059: 59 => "client-range",
    punch_claim_060: 60 => "bubble-target",
    punch_claim_061: 61 => "client-differential",
    punch_claim_062: 62 => "bubble-many",
    punch_claim_063: 63 => "bubble-many",
    punch_claim_064: 64 => "bubble-many",
    punch_claim_065: 65 => "bubble-many",
    punch_claim_066: 66 => "port-assigning",
    punch_claim_067: 67 => "port-assigning",
    punch_claim_068: 68 => "port-assigning",
    punch_claim_069: 69 => "port-assigning",
    punch_claim_070: 70 => "port-assigning",
    punch_claim_071: 71 => "port-assigning",
    punch_claim_072: 72 => "port-assigning",
    punch_claim_073: 73 => "bubble-target",
    punch_claim_074: 74 => "bubble-many",
    punch_claim_075: 75 => "port-assigning",
    punch_claim_076: 76 => "port-assigning",
    punch_claim_077: 77 => "client-differential",
    punch_claim_078: 78 => "server-differential",
    punch_claim_079: 79 => "bubble-many",
    punch_claim_080: 80 => "bubble-many",
    punch_claim_081: 81 => "port-assigning",
    punch_claim_082: 82 => "port-assigning",
    punch_claim_083: 83 => "server-range",
    punch_claim_084: 84 => "server-range",
    punch_claim_085: 85 => "client-range",
    punch_claim_086: 86 => "client-range",
    punch_claim_087: 87 => "server-range",
    punch_claim_088: 88 => "range-before-after",
    punch_claim_089: 89 => "range-other-address",
    punch_claim_090: 90 => "range-fresh-port",
    punch_claim_091: 91 => "bubble-target",
    punch_claim_092: 92 => "composition",
    punch_claim_093: 93 => "composition",
    punch_claim_094: 94 => "composition",
    punch_claim_095: 95 => "server-range",
    punch_claim_096: 96 => "range-before-after",
    punch_claim_097: 97 => "server-range",
    punch_claim_098: 98 => "client-range",
    punch_claim_099: 99 => "client-range",
    punch_claim_100: 100 => "server-range",
    punch_claim_101: 101 => "client-range",
    punch_claim_102: 102 => "server-range",
    punch_claim_103: 103 => "client-range",
    punch_claim_104: 104 => "client-range",
    punch_claim_105: 105 => "server-range",
    punch_claim_106: 106 => "client-range",
}

#[test]
fn the_punch_tests_are_those_of_the_table() {
    let rows = table::claims();
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| row.document == table::PUNCH)
        .map(|row| (format!("punch_claim_{:03}", row.claim), row.claim, row.behaviour))
        .collect();
    let tests: Vec<_> =
        TESTS.iter().map(|&(name, claim, behaviour)| (name.to_owned(), claim, behaviour)).collect();
    assert_eq!(tests, rows);
    assert_eq!(tests.len(), usize::from(CLAIMS));
    let used: BTreeSet<&str> = TESTS.iter().map(|(.., behaviour)| *behaviour).collect();
    let known: BTreeSet<&str> = table::behaviours(table::PUNCH).into_iter().collect();
    assert_eq!(used, known);
}

/// Elements of a claim, in whichever scenes.
fn ids(claim: u16) -> BTreeSet<String> {
    forms(claim).iter().flat_map(|form| form.items.iter().map(Item::id)).collect()
}

/// Scenes and elements of a claim.
fn shown(claim: u16) -> BTreeSet<(Scene, String)> {
    let of = |form: Form| form.items.into_iter().map(move |item| (form.scene, item.id()));
    forms(claim).into_iter().flat_map(of).collect()
}

#[test]
fn different_punch_claims_have_different_lists_and_forms_of_one_thing_share_theirs() {
    let mut lists: BTreeMap<_, Vec<u16>> = BTreeMap::new();
    for claim in 1..=CLAIMS {
        let list = ids(claim);
        assert!(!list.is_empty(), "claim {claim}");
        lists.entry(list).or_default().push(claim);
    }
    // One list: the forms of one thing, and what is named with its reason.
    let alike = |claims: &[u16]| {
        let forms = FORMS.iter().any(|group| claims.iter().all(|claim| group.contains(claim)));
        forms || ALIKE.iter().any(|(named, _)| *named == claims)
    };
    let shared: Vec<&Vec<u16>> = lists.values().filter(|claims| claims.len() > 1).collect();
    let wrong: Vec<_> = shared.iter().filter(|claims| !alike(claims)).collect();
    assert!(wrong.is_empty(), "claims with one list: {wrong:?}");
    let unused = ALIKE.iter().filter(|(named, _)| !shared.iter().any(|claims| claims == named));
    assert_eq!(unused.count(), 0, "an exception that is none");
    for group in FORMS {
        let first = shown(group[0]);
        assert!(group.iter().all(|claim| shown(*claim) == first), "{group:?}");
    }
    let forms: Vec<u16> = FORMS.iter().flat_map(|group| group.iter().copied()).collect();
    assert_eq!(forms.iter().collect::<BTreeSet<_>>().len(), forms.len());
}

#[test]
fn a_dependent_punch_claim_has_all_elements_of_those_that_it_depends_on() {
    let elements = |form: &Form| -> BTreeSet<String> { form.items.iter().map(Item::id).collect() };
    for (claim, all) in DEPENDS {
        let own = forms(*claim);
        for of in *all {
            let theirs = forms(*of);
            let within = own
                .iter()
                .any(|form| theirs.iter().any(|other| elements(other).is_subset(&elements(form))));
            assert!(within, "claim {claim} lacks elements of {of}");
            let more =
                own.iter().all(|form| theirs.iter().all(|other| elements(form) != elements(other)));
            assert!(more, "claim {claim} adds nothing to {of}");
        }
        // And each of its forms has all elements of a form of one of them.
        let based = own.iter().all(|form| {
            let mut theirs = all.iter().flat_map(|of| forms(*of));
            theirs.any(|other| elements(&other).is_subset(&elements(form)))
        });
        assert!(based, "claim {claim} has a form that depends on nothing");
    }
}

#[test]
fn the_punch_claims_hold_with_other_seeds_too() {
    for &scene in Scene::ALL {
        let mut seed = meeting(scene).seed;
        for _ in 0..3 {
            let meeting = scenario::meeting(scene, seed);
            seed = meeting.seed;
            for claim in 1..=CLAIMS {
                for form in forms(claim).into_iter().filter(|form| form.scene == scene) {
                    let why = words(&form, &meeting).join("\n");
                    assert!(why.is_empty(), "claim {claim}, {scene:?}, seed {seed}:\n{why}");
                }
            }
        }
    }
}

#[test]
fn every_punch_element_fails_when_it_is_spoilt() {
    let mut count = 0;
    let (mut known, mut wrong) = (BTreeSet::new(), Vec::new());
    for form in (1..=CLAIMS).flat_map(forms) {
        let good = meeting(form.scene);
        for item in form.items {
            let element = item.element;
            if !known.insert((form.scene, element.id)) {
                continue;
            }
            assert!(element.spoils.len() >= 2, "{} can fail in one way only", element.id);
            for spoil in element.spoils {
                let mut bad = good.clone();
                (spoil.1)(&mut bad);
                let about = format!("{:?}, {}: {}", form.scene, element.id, spoil.0);
                if &bad == good {
                    wrong.push(format!("{about}: nothing is different"));
                } else if (element.check)(&bad).is_ok() {
                    wrong.push(format!("{about}: it still holds"));
                }
                count += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 500, "{count} proofs");
}

#[test]
fn each_punch_twin_fails_at_the_elements_that_it_lacks() {
    let mut text = String::from("\nnegative twins of the punch claims\n");
    let mut wrong = Vec::new();
    let mut failing = BTreeSet::new();
    for twin in twins::all() {
        let good = meeting(twin.scene);
        let turned = if twin.turned { ", NATs exchanged" } else { "" };
        let about = format!("{}{turned}, without {}", twin.scene.name(), twin.what);
        let played = twin.play(good);
        if !twin.takes_something(good, &played) {
            wrong.push(format!("{about}: nothing was taken away"));
        }
        let shown = forms_in(twin.scene);
        let fails: Vec<(u16, String)> = shown
            .iter()
            .flat_map(|(claim, form)| {
                let failed = form.failures(&played).into_iter();
                failed.map(|(item, _)| (*claim, item.id()))
            })
            .collect();
        for &(claim, element) in twin.breaks {
            let here = shown.iter().any(|(other, _)| *other == claim);
            assert!(here, "{about}: claim {claim} is not shown there");
            if !fails.iter().any(|(of, id)| *of == claim && id == element) {
                let of = fails.iter().filter(|(of, _)| *of == claim).collect::<Vec<_>>();
                wrong.push(format!("{about}: claim {claim} fails at {of:?}, not at {element}"));
            }
            text += &format!("fails as it must: {about}: claim {claim}, {element}\n");
        }
        if let Err(why) = (twin.shows)(twin.subject(&played)) {
            wrong.push(format!("{about}: {why}"));
        }
        failing.extend(fails.into_iter().map(|(claim, id)| (claim, twin.scene, id)));
    }
    super::show(&text);
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Each element of each claim, in each of its scenes, fails in some twin of that scene.
    let shown = |claim| shown(claim).into_iter().map(move |(scene, id)| (claim, scene, id));
    let firm: BTreeSet<_> = (1..=CLAIMS)
        .flat_map(shown)
        .filter(|shown| !failing.contains(shown))
        .map(|(_, scene, id)| (scene, id))
        .collect();
    assert!(firm.is_empty(), "elements that no twin of the scene breaks: {firm:#?}");
}

/// The claims that are shown in a scene, and how.
fn forms_in(scene: Scene) -> Vec<(u16, Form)> {
    let all =
        (1..=CLAIMS).flat_map(|claim| forms(claim).into_iter().map(move |form| (claim, form)));
    all.filter(|(_, form)| form.scene == scene).collect()
}

#[test]
fn each_punch_element_has_a_twin_that_it_fails_in() {
    let all: BTreeSet<String> = (1..=CLAIMS).flat_map(ids).collect();
    let aimed: BTreeSet<String> =
        twins::all().flat_map(|twin| twin.breaks).map(|(_, id)| (*id).to_owned()).collect();
    let lacking: Vec<_> = all.difference(&aimed).collect();
    assert!(lacking.is_empty(), "elements without a twin: {lacking:#?}");
    assert!(all.is_superset(&aimed), "elements of no claim: {:#?}", aimed.difference(&all));
}

#[test]
fn each_punch_behaviour_has_a_twin() {
    let behaviour =
        |claim: u16| TESTS.iter().find(|(_, test, _)| *test == claim).map(|test| test.2);
    let broken = twins::all().flat_map(|twin| twin.breaks);
    let shown: BTreeSet<&str> = broken.filter_map(|(claim, _)| behaviour(*claim)).collect();
    let all: BTreeSet<&str> = table::behaviours(table::PUNCH).into_iter().collect();
    assert_eq!(shown, all, "a behaviour without a twin");
}
