//! Which elements each claim has, and in which scenes it is shown.
//!
//! | claims | what | bubble and reply | range, targets, differential |
//! |---|---|---|---|
//! | 1–4, 51–53, 62 | both ends, both control units, server | 1 | the server detects 2, 4; the equipment 51, 52; targets 3, 53, 62 |
//! | 5–15, 36–46, 54–56, 59–61, 63–65, 80 | the bubbler: equipment, program | 5 | 6–12, 54–56, 63–65, 80; it replies, too: 13–15 |
//! | 16–18, 47–49, 66–72, 81, 82 | the replier: equipment, program | 16 | 17, 18; port assigning packets 66–72, 81, 82 |
//! | 19–24, 50, 57, 58, 73–78 | the server | 19 | 20–24, 57, 58, 73; port assigning packets 74–78 |
//! | 25–35, 79 | method | 25 | 28–31, 34, 35; addresses 26, 27; roles 33; targets 32, 79 |
//! | 83–106 | one end, its control unit and the server, and their parts | 83 | the server detects 83, 84, 100; the equipment 85, 86, 98, 99, 101 |

use super::depends::FORMS;
use super::elements::{Element, assign, bubble, differential, range, report, roles, target};
use super::run::{Held, Meeting};
use super::scenario::Scene::{
    self, AssignEquipment, AssignServer, Equipment, FreshEquipment, FreshServer, Server,
};

/// The number of claims of the punch document.
pub const CLAIMS: u16 = 106;

/// An element, looked at in a scene or in the same scene with the NATs exchanged: there the bubbler is
/// the replier (claims 13 to 15).
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// The element.
    pub element: &'static Element,
    /// In the exchanged scene.
    pub turned: bool,
}

impl Item {
    /// Whether it holds.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, meeting: &Meeting) -> Held {
        if !self.turned {
            return (self.element.check)(meeting);
        }
        let other = meeting.exchanged.as_deref().ok_or("it was not tried the other way round")?;
        if other.replier.name != meeting.bubbler.name {
            return Err("it is another end".into());
        }
        (self.element.check)(other)
    }

    /// A name for it.
    #[must_use]
    pub fn id(&self) -> String {
        let turned = if self.turned { "with roles exchanged: " } else { "" };
        format!("{turned}{}", self.element.id)
    }
}

type List = Vec<Item>;

/// A claim in one scene.
#[derive(Clone, Debug)]
pub struct Form {
    /// The scene.
    pub scene: Scene,
    /// Its elements.
    pub items: List,
}

impl Form {
    /// What does not hold of it.
    #[must_use]
    pub fn failures(&self, meeting: &Meeting) -> Vec<(Item, String)> {
        let failed = |item: &Item| item.check(meeting).err().map(|why| (*item, why));
        self.items.iter().filter_map(failed).collect()
    }
}

fn list(elements: &[&'static Element]) -> List {
    elements.iter().map(|element| Item { element, turned: false }).collect()
}

fn turned(elements: &[&'static Element]) -> List {
    elements.iter().map(|element| Item { element, turned: true }).collect()
}

const BUBBLER: &[&Element] = &[&bubble::BUBBLE, &bubble::RECORD, &bubble::RECEIVES_REPLY];
const REPLIER: &[&Element] = &[&bubble::BUBBLE_REACHES, &bubble::REPLIES];
const METHOD: &[&Element] = &[&bubble::BUBBLE, &bubble::RECORD, &bubble::REPLIES];
const SENT: &[&Element] = &[&bubble::BUBBLE, &bubble::RECORD, &range::PACKETS];
const SERVER_RANGE: &[&Element] =
    &[&report::POSITIONS, &report::SERVER_DETECTS, &report::SERVER_SENDS];
const OWN_RANGE: &[&Element] = &[&report::RECEIVES_REPORT, &report::DETECTS, &report::SENDS];
const REPORTS: &[&Element] = &[&report::POSITIONS, &report::REPORTS];
const OVER_RANGE: &[&Element] = &[&report::RECEIVES, &report::OVER_RANGE];
const TARGET: &[&Element] = &[&target::RECEIVES, &target::BUBBLES];
const STEPWISE: &[&Element] = &[&differential::RECEIVES, &differential::REPLIES_STEPWISE];
const OWN_STEP: &[&Element] =
    &[&differential::PACKETS, &differential::DETECTS, &differential::THROUGH_SERVER];
const ROLES: &[&Element] =
    &[&roles::INFORMS, &roles::CHARACTERISTICS, &roles::DECIDES, &roles::EXCHANGES];

/// A claim's elements and scenes.
///
/// # Panics
/// When there is no such claim.
#[must_use]
pub fn forms(claim: u16) -> Vec<Form> {
    let group = FORMS.iter().find(|group| group.contains(&claim));
    match group.map_or(claim, |group| group[0]) {
        claim @ (1..=4 | 51..=53 | 62) => system(claim),
        claim @ (5..=15 | 54..=56 | 63..=65 | 80) => bubbler(claim),
        claim @ (16..=18 | 66..=72 | 81..=82) => replier(claim),
        claim @ (19..=24 | 57..=58 | 73..=78 | 100) => server(claim),
        claim @ (25..=35 | 79) => method(claim),
        claim @ (83..=99) => parts(claim),
        claim => panic!("there is no claim {claim}"),
    }
}

/// The same elements in several scenes.
fn each(scenes: &[Scene], items: &[&'static Element]) -> Vec<Form> {
    scenes.iter().map(|&scene| Form { scene, items: list(items) }).collect()
}

/// The elements of another claim in these scenes, and more.
fn also(of: u16, scenes: &[Scene], more: &[&'static Element]) -> Vec<Form> {
    let mut forms = forms(of);
    // A scene that the other claim is not shown in: with the elements of its first form.
    for &scene in scenes {
        if forms.iter().all(|form| form.scene != scene) {
            let items = forms.first().map_or_else(Vec::new, |form| form.items.clone());
            forms.push(Form { scene, items });
        }
    }
    forms.retain(|form| scenes.contains(&form.scene));
    for form in &mut forms {
        form.items.extend(list(more));
    }
    forms
}

fn system(claim: u16) -> Vec<Form> {
    let all = [&[&bubble::SYSTEM], BUBBLER, REPLIER].concat();
    match claim {
        1 => each(&[Server, Equipment], &all),
        2 => also(
            1,
            &[Server, FreshServer],
            &[&[&range::PACKETS], SERVER_RANGE, OVER_RANGE].concat(),
        ),
        3 => also(2, &[Server], &[&[&target::SERVER_SENDS], TARGET].concat()),
        4 => also(
            1,
            &[Server],
            &[
                &[
                    &differential::PACKETS,
                    &differential::SERVER_DETECTS,
                    &differential::SERVER_SENDS,
                ],
                STEPWISE,
            ]
            .concat(),
        ),
        51 => also(
            1,
            &[Equipment, FreshEquipment],
            &[&[&range::PACKETS], REPORTS, OWN_RANGE, &[&report::THROUGH_SERVER], OVER_RANGE]
                .concat(),
        ),
        52 => also(51, &[Equipment], &[&[&differential::REPORTS], OWN_STEP, STEPWISE].concat()),
        53 => also(51, &[Equipment], &[&[&target::SERVER_SENDS], TARGET].concat()),
        _ => also(53, &[AssignEquipment], &[&target::SEVERAL]),
    }
}

fn bubbler(claim: u16) -> Vec<Form> {
    match claim {
        5 => each(&[Server, Equipment], BUBBLER),
        6 => also(5, &[Server, FreshServer], &[&range::PACKETS]),
        7 => also(6, &[Server, FreshServer], &[&range::BEFORE_AFTER]),
        8 => also(7, &[Server, Equipment], &[&range::ADDRESSES]),
        9 => also(7, &[FreshServer, FreshEquipment], &[&range::FRESH]),
        10 => [also(8, &[Server], TARGET), also(9, &[FreshServer], TARGET)].concat(),
        11 => also(10, &[Server, FreshServer], &[&target::SERVER_PORT]),
        12 => also(5, &[Server], &[&differential::PACKETS]),
        13 => with_turned(5, REPLIER),
        14 => with_turned(13, OVER_RANGE),
        15 => with_turned(14, STEPWISE),
        54 => [also(8, &[Equipment], OWN_RANGE), also(9, &[FreshEquipment], OWN_RANGE)].concat(),
        55 => also(54, &[Equipment, FreshEquipment], TARGET),
        56 => also(55, &[Equipment, FreshEquipment], OWN_STEP),
        63 => with_fresh(55, AssignEquipment, &[&target::SEVERAL]),
        64 => also(63, &[AssignEquipment], &[&assign::AMONG_TARGETS]),
        65 => also(64, &[AssignEquipment], &[&differential::BUBBLES_STEPWISE]),
        _ => with_fresh(10, AssignServer, &[&target::SEVERAL]),
    }
}

/// In the scene with the server as the detector, and there with roles exchanged.
fn with_turned(of: u16, more: &[&'static Element]) -> Vec<Form> {
    let mut forms = also(of, &[Server], &[]);
    for form in &mut forms {
        form.items.extend(turned(more));
    }
    forms
}

/// The form of a claim with range detection packets from new ports, in another scene.
fn with_fresh(of: u16, scene: Scene, more: &[&'static Element]) -> Vec<Form> {
    let forms = also(of, &[FreshServer, FreshEquipment], more);
    forms
        .into_iter()
        .filter(|form| form.items.iter().any(is_fresh))
        .map(|form| Form { scene, ..form })
        .collect()
}

fn is_fresh(item: &Item) -> bool {
    item.element.id == range::FRESH.id
}

fn replier(claim: u16) -> Vec<Form> {
    const BOTH: &[Scene] = &[AssignServer, AssignEquipment];
    match claim {
        16 => each(&[Server, Equipment], REPLIER),
        17 => also(16, &[Server, Equipment, FreshServer], OVER_RANGE),
        18 => also(17, &[Server, Equipment], STEPWISE),
        66 => also(16, BOTH, &[&assign::SENDS, &assign::SAME_SOCKET]),
        67 => also(66, BOTH, &[&range::ASSIGNING_PACKETS]),
        68 => also(67, BOTH, &[&range::ASSIGNING_BEFORE_AFTER]),
        69 => also(68, BOTH, &[&range::ASSIGNING_FRESH]),
        70 => also(69, &[AssignEquipment], &[&report::ASSIGNING_DETECTS, &report::ASSIGNING_SENDS]),
        71 => also(69, BOTH, &[&differential::REPLIER_PACKETS]),
        72 => also(
            71,
            &[AssignEquipment],
            &[&differential::REPLIER_DETECTS, &differential::REPLIER_THROUGH_SERVER],
        ),
        81 => also(17, BOTH, &[&assign::SENDS, &assign::SAME_SOCKET]),
        _ => also(81, BOTH, &[&range::ASSIGNING_PACKETS]),
    }
}

fn server(claim: u16) -> Vec<Form> {
    match claim {
        // The roles follow the judgement: each end bubbles once, the NATs exchanged in between.
        19 => each(&[Server, Equipment], ROLES),
        20 => also(19, &[Server, Equipment], &[&target::SERVER_SENDS]),
        21 => also(20, &[Server, Equipment], &[&target::SERVER_PORT]),
        22 => also(21, &[Server], SERVER_RANGE),
        23 => also(22, &[Server], &[&range::ADDRESSES]),
        24 => also(20, &[Server], &[&differential::SERVER_DETECTS, &differential::SERVER_SENDS]),
        57 => each(&[Equipment, FreshEquipment], REPORTS),
        58 => also(57, &[Equipment, FreshEquipment], &[&differential::REPORTS]),
        73 => each(&[Server, Equipment], &[&target::SERVER_SENDS]),
        74 => also(73, &[AssignServer, AssignEquipment], &[&assign::AMONG_TARGETS]),
        75 => also(
            74,
            &[AssignEquipment],
            &[
                &report::ASSIGNING_POSITIONS,
                &report::ASSIGNING_REPORTS,
                &report::ASSIGNING_THROUGH_SERVER,
            ],
        ),
        76 => also(
            74,
            &[AssignServer],
            &[&report::ASSIGNING_POSITIONS, &report::ASSIGNING_SERVER_DETECTS],
        ),
        77 => [
            also(75, &[AssignEquipment], &[&differential::REPLIER_REPORTS]),
            also(76, &[AssignServer], &[&differential::REPLIER_REPORTS]),
        ]
        .concat(),
        78 => also(
            76,
            &[AssignServer],
            &[&differential::REPLIER_SERVER_DETECTS, &differential::REPLIER_SERVER_SENDS],
        ),
        _ => each(&[Server, FreshServer], SERVER_RANGE),
    }
}

fn method(claim: u16) -> Vec<Form> {
    const BOTH: &[Scene] = &[Server, Equipment];
    match claim {
        25 => each(BOTH, METHOD),
        26 => also(25, BOTH, &[&target::ACQUIRES]),
        27 => also(26, BOTH, &[&target::REPLIER_ACQUIRES]),
        28 => by_detector(25, &[&range::PACKETS, &report::OVER_RANGE]),
        29 => also(28, Scene::ALL, &[&range::BEFORE_AFTER, &report::POSITIONS]),
        30 => also(29, BOTH, &[&range::ADDRESSES]),
        31 => also(29, &[FreshServer, FreshEquipment], &[&range::FRESH]),
        32 => also(25, BOTH, &[&target::SERVER_PORT]),
        33 => also(25, BOTH, &[&roles::CHARACTERISTICS, &roles::EXCHANGES]),
        34 => also(25, BOTH, &[&differential::REPLIES_STEPWISE]),
        35 => [
            also(34, &[Server], &[&differential::SERVER_DETECTS]),
            also(34, &[Equipment], &[&differential::DETECTS]),
        ]
        .concat(),
        _ => [
            also(25, BOTH, &[&target::BUBBLES]),
            also(25, &[AssignServer, AssignEquipment], &[&target::BUBBLES, &target::SEVERAL]),
        ]
        .concat(),
    }
}

/// The range is detected by whoever does that in the scene.
fn by_detector(of: u16, more: &[&'static Element]) -> Vec<Form> {
    let one = also(of, &[Server, FreshServer, AssignServer], &[&report::SERVER_DETECTS]);
    let other = also(of, &[Equipment, FreshEquipment, AssignEquipment], &[&report::DETECTS]);
    let mut forms = [one, other].concat();
    for form in &mut forms {
        form.items.extend(list(more));
    }
    forms
}

fn parts(claim: u16) -> Vec<Form> {
    let system = [&[&bubble::SYSTEM], SENT].concat();
    let two = |one: &[&'static Element], other: &[&'static Element]| {
        [each(&[Server], one), each(&[Equipment], other)].concat()
    };
    let receive = &[&report::RECEIVES_REPORT, &report::DETECTS];
    match claim {
        83 => each(
            &[Server, FreshServer, AssignServer],
            &[&system[..], &[&report::POSITIONS, &report::SERVER_DETECTS]].concat(),
        ),
        84 => also(83, &[Server, FreshServer, AssignServer], &[&report::SERVER_SENDS]),
        85 => each(
            &[Equipment, FreshEquipment, AssignEquipment],
            &[&system[..], REPORTS, receive].concat(),
        ),
        86 => also(85, &[Equipment, FreshEquipment, AssignEquipment], &[&report::SENDS]),
        87 => {
            let more = [OVER_RANGE, &[&bubble::RECEIVES_REPLY]].concat();
            let through = [&[&report::THROUGH_SERVER], &more[..]].concat();
            [also(84, &[Server], &more), also(86, &[Equipment], &through)].concat()
        }
        88 => [
            also(83, &[Server, FreshServer], &[&range::BEFORE_AFTER]),
            also(85, &[Equipment, FreshEquipment], &[&range::BEFORE_AFTER]),
        ]
        .concat(),
        89 => also(88, &[Server, Equipment], &[&range::ADDRESSES]),
        90 => also(88, &[FreshServer, FreshEquipment], &[&range::FRESH]),
        91 => {
            let more = [&[&target::SERVER_SENDS], TARGET].concat();
            [also(83, &[Server], &more), also(85, &[Equipment], &more)].concat()
        }
        92 => two(SENT, &[SENT, receive].concat()),
        93 => two(OVER_RANGE, OVER_RANGE),
        94 => two(&[&report::POSITIONS, &report::SERVER_DETECTS], REPORTS),
        95 => two(
            &[&bubble::BUBBLE, &bubble::RECORD, &report::SERVER_DETECTS],
            &[&bubble::BUBBLE, &bubble::RECORD, &report::DETECTS],
        ),
        96 => also(
            95,
            &[Server, Equipment],
            &[&range::PACKETS, &range::BEFORE_AFTER, &report::POSITIONS],
        ),
        97 => each(&[Server, Equipment], SENT),
        98 => also(97, &[Equipment], receive),
        _ => also(98, &[Equipment], &[&report::SENDS]),
    }
}
