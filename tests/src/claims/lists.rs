//! Which elements each claim has, those of the claims that it depends on included.
//!
//! | claims | what | elements |
//! |---|---|---|
//! | 1–4, 16–19, 31 | server: apparatus, method, program | one list for each depth |
//! | 5–7, 20–22, 32 | issuance equipment | one list for each depth |
//! | 8–11, 23–26, 33 | acceptance equipment | one list for each depth |
//! | 12–15, 27–30, 34 | the whole system | the three of that depth, and the network |

use super::elements::{Element, acceptor, issuer, keys, network, password, server, wake};
use super::run::{Held, Run};

/// The number of claims of the request document.
pub const CLAIMS: u16 = 34;

/// A claim, and the one that it depends on: a dependent claim has all of the other's elements. A
/// program depends on its method.
pub const DEPENDS: &[(u16, u16)] = &[
    (2, 1),
    (3, 2),
    (4, 3),
    (6, 5),
    (7, 6),
    (9, 8),
    (10, 9),
    (11, 10),
    (13, 12),
    (14, 13),
    (15, 14),
    (17, 16),
    (18, 17),
    (19, 18),
    (21, 20),
    (22, 21),
    (24, 23),
    (25, 24),
    (26, 25),
    (28, 27),
    (29, 28),
    (30, 29),
    (31, 16),
    (32, 20),
    (33, 23),
    (34, 27),
];

/// Apparatus or system, method and program of the same thing.
pub const FORMS: &[&[u16]] = &[
    &[1, 16, 31],
    &[2, 17],
    &[3, 18],
    &[4, 19],
    &[5, 20, 32],
    &[6, 21],
    &[7, 22],
    &[8, 23, 33],
    &[9, 24],
    &[10, 25],
    &[11, 26],
    &[12, 27, 34],
    &[13, 28],
    &[14, 29],
    &[15, 30],
];

type List = Vec<&'static Element>;

/// The elements of a claim.
///
/// # Panics
/// When there is no such claim.
#[must_use]
pub fn elements(claim: u16) -> List {
    match claim {
        1 | 16 | 31 => server_list(1),
        2 | 17 => server_list(2),
        3 | 18 => server_list(3),
        4 | 19 => server_list(4),
        5 | 20 | 32 => issuer_list(1),
        6 | 21 => issuer_list(3),
        7 | 22 => issuer_list(4),
        8 | 23 | 33 => acceptor_list(1),
        9 | 24 => acceptor_list(2),
        10 | 25 => acceptor_list(3),
        11 | 26 => acceptor_list(4),
        12 | 27 | 34 => system_list(1),
        13 | 28 => system_list(2),
        14 | 29 => system_list(3),
        15 | 30 => system_list(4),
        _ => panic!("there is no claim {claim}"),
    }
}

/// What does not hold of a claim on a run.
#[must_use]
pub fn failures(claim: u16, run: &Run) -> Vec<(&'static Element, String)> {
    let failed = |element: &'static Element| -> Option<(&'static Element, String)> {
        let held: Held = (element.check)(run);
        held.err().map(|why| (element, why))
    };
    elements(claim).into_iter().filter_map(failed).collect()
}

fn server_list(depth: u8) -> List {
    let mut list: List = vec![
        &server::KEEPS_LIST,
        &server::RECEIVES_REGISTRATION,
        &server::STORES_REGISTRATION,
        &server::RECEIVES_FIRST_SYN,
        &server::RECEIVES_FIRST_REQUEST,
        &server::IDENTIFIES,
        &server::SENDS_SECOND_REQUEST,
        &server::ANSWERS_REGISTRATION,
    ];
    if depth >= 2 {
        list.extend::<List>(vec![
            &wake::SENDS_THIRD_REQUEST,
            &wake::RECEIVES_SECOND_SYN,
            &wake::SENDS_SECOND_OVER_TCP,
        ]);
    }
    if depth >= 3 {
        list.extend::<List>(vec![&password::IN_FIRST_REQUEST, &password::PASSED_ON]);
    }
    if depth >= 4 {
        list.extend::<List>(vec![
            &keys::STORES_CERTIFICATE,
            &keys::FIRST_CERTIFICATE,
            &keys::FIRST_INFO_UP,
            &keys::FIRST_INFO_DOWN,
            &keys::FIRST_KEY,
            &keys::SERVER_DECRYPTS,
            &keys::SECOND_CERTIFICATE,
            &keys::SECOND_INFO_UP,
            &keys::SECOND_INFO_DOWN,
            &keys::SECOND_KEY,
            &keys::SERVER_ENCRYPTS,
        ]);
    }
    list
}

fn issuer_list(depth: u8) -> List {
    let mut list: List = vec![
        &issuer::SENDS_FIRST_SYN,
        &issuer::SENDS_FIRST_REQUEST,
        &issuer::ACCEPTS,
        &issuer::STARTS,
    ];
    if depth >= 3 {
        list.push(&password::IN_FIRST_REQUEST);
    }
    if depth >= 4 {
        list.extend::<List>(vec![
            &keys::FIRST_CERTIFICATE,
            &keys::FIRST_CHECKED,
            &keys::FIRST_INFO_UP,
            &keys::FIRST_INFO_DOWN,
            &keys::FIRST_KEY,
            &keys::ISSUER_ENCRYPTS,
        ]);
    }
    list
}

fn acceptor_list(depth: u8) -> List {
    let mut list: List = vec![
        &acceptor::STORES_ID,
        &acceptor::REGISTERS,
        &acceptor::RECEIVES_SECOND_REQUEST,
        &acceptor::SENDS_COMMUNICATION_REQUEST,
        &acceptor::STARTS,
    ];
    if depth >= 2 {
        list.extend::<List>(vec![
            &wake::RECEIVES_THIRD_REQUEST,
            &wake::SENDS_SECOND_SYN,
            &wake::RECEIVES_SECOND_OVER_TCP,
        ]);
    }
    if depth >= 3 {
        list.extend::<List>(vec![
            &password::STORED,
            &password::IN_SECOND_REQUEST,
            &password::ONLY_WITH_PASSWORD,
        ]);
    }
    if depth >= 4 {
        list.extend::<List>(vec![
            &keys::SECOND_CERTIFICATE,
            &keys::SECOND_CHECKED,
            &keys::SECOND_INFO_UP,
            &keys::SECOND_INFO_DOWN,
            &keys::SECOND_KEY,
            &keys::ACCEPTOR_DECRYPTS,
        ]);
    }
    list
}

/// The three parts, each element once, and what makes them a system.
fn system_list(depth: u8) -> List {
    let mut list: List = vec![&network::CONNECTED];
    let parts = [server_list(depth), issuer_list(depth), acceptor_list(depth)].concat();
    for element in parts {
        if list.iter().all(|other| other.id != element.id) {
            list.push(element);
        }
    }
    list
}
