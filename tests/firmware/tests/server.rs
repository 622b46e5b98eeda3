//! Which of its name's addresses the firmware uses the server at: needs no board.

use core::net::Ipv4Addr;

use server::{Answers, Server};

#[path = "../../../adapters/firmware/src/server.rs"]
#[allow(unreachable_pub, reason = "the firmware's own")]
mod server;

fn answers(last: &[u8]) -> Answers {
    last.iter().map(|&last| Ipv4Addr::new(203, 0, 113, last)).collect()
}

fn chosen(last: &[u8], draw: u64) -> Option<u8> {
    Server::choose(&answers(last), draw).map(|server| server.address.octets()[3])
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
        server.looked_up(&answers(more));
        assert!(!server.is_elsewhere(), "{more:?}");
    }
    server.looked_up(&answers(&[2, 3]));
    assert!(server.is_elsewhere());
    // It was there after all.
    server.answers();
    assert!(!server.is_elsewhere());
}

#[test]
fn a_silent_address_is_given_up_for_another_one() {
    let mut server = Server::choose(&answers(&[1]), 0).unwrap();
    for _ in 0..100 {
        server.looked_up(&answers(&[1]));
        assert!(!server.is_elsewhere(), "there is no other");
    }
    server.answers();
    let given_up = (1..10).find(|_| {
        server.looked_up(&answers(&[2, 1]));
        server.is_elsewhere()
    });
    assert_eq!(given_up, Some(5));
}
