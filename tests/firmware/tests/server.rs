//! Which of its name's addresses the firmware uses the server at: needs no board.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeSet;

use server::{Answers, Server};

#[path = "../../../adapters/firmware/src/server.rs"]
#[allow(unreachable_pub, reason = "the firmware's own")]
mod server;

fn answers(last: &[u8]) -> Answers {
    last.iter().map(|&last| Ipv4Addr::new(203, 0, 113, last).into()).collect()
}

fn chosen(last: &[u8], draw: u64) -> Option<u8> {
    let IpAddr::V4(address) = Server::choose(&answers(last), draw)?.address else { return None };
    Some(address.octets()[3])
}

#[test]
fn devices_spread_over_the_addresses() {
    assert_eq!(chosen(&[], 7), None);
    assert_eq!([0, 1, 2, u64::MAX].map(|draw| chosen(&[1, 2, 3], draw)), [1, 2, 3, 1].map(Some));
}

#[test]
fn an_address_that_the_name_still_has_is_kept() {
    let mut server = Server::choose(&answers(&[1]), 0).unwrap();
    for more in [&[1][..], &[1, 2], &[2, 1], &[3, 2, 1]] {
        assert!(!server.looked_up(&answers(more)), "{more:?}");
        // It was there after all.
        server.answers();
    }
    assert_eq!(server.address, IpAddr::from([203, 0, 113, 1]));
    assert!(!server.looked_up(&answers(&[])), "there is no other");
    assert!(server.looked_up(&answers(&[2])));
    assert_eq!(server.address, IpAddr::from([203, 0, 113, 2]));
    let six = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
    assert!(server.looked_up(&[six].into_iter().collect()));
    assert_eq!(server.address, six);
}

#[test]
fn a_silent_address_is_given_up_for_another_one() {
    let mut server = Server::choose(&answers(&[1]), 0).unwrap();
    for _ in 0..100 {
        assert!(!server.looked_up(&answers(&[1])), "there is no other");
    }
    server.answers();
    assert_eq!((1..10).find(|_| server.looked_up(&answers(&[2, 1]))), Some(2));
    // Each has as long.
    assert_eq!((1..10).find(|_| server.looked_up(&answers(&[2, 1]))), Some(2));
    assert_eq!(server.address, IpAddr::from([203, 0, 113, 1]));
}

/// Whatever the draw, and in whatever order they are told.
#[test]
fn all_addresses_have_their_turn() {
    let all = answers(&[1, 2, 3]);
    for draw in (0..100_u64).map(|it| it.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
        let mut server = Server::choose(&all, draw).unwrap();
        let mut tried = BTreeSet::new();
        for _ in 0..40 {
            tried.insert(server.address);
            server.looked_up(&all);
        }
        assert_eq!(tried.len(), 3, "{draw:#x}");
    }
}
