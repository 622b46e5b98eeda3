//! Board and user meet over UDP, whatever their NATs.

use core::time::Duration;

use genkan_firmware_tests::Home;
use genkan_kernel_tests::Rules::{self, FullCone, FullyRandom, Plain, Random};
use genkan_kernel_tests::direct::field;

use crate::registered;

/// How many users it took until board and user met over UDP, of so many that were given a try.
fn users_to_meet(home: &Home, most: u32, more: &[&str]) -> Option<u32> {
    let board = registered(home, &[]);
    let arguments = [&["--transport", "udp", "--timeout", "15"], more].concat();
    let number = (1..=most).find(|_| {
        let user = home.user(&arguments);
        let connected = user.process.within(Duration::from_secs(15), "connected", |_| true);
        let Some(connected) = connected else { return false };
        assert_eq!(field(&connected, "path"), "udp", "{connected}");
        home.assert_page(&user);
        board.says("connected, Datagram");
        true
    });
    eprintln!("met by user {number:?}");
    number
}

/// Where nothing is lost and nothing left to chance, the first user meets the board. Others are tried to
/// know whether anybody would.
fn meet(appliance: Rules, user: Rules) {
    let home = Home::new(appliance, user);
    assert_eq!(users_to_meet(&home, 3, &[]), Some(1));
}

/// Users are told at once that there is no way, and why.
fn is_hopeless(appliance: Rules, user: Rules, why: &str) {
    let home = Home::new(appliance, user);
    let _board = registered(&home, &[]);
    let user = home.user(&["--transport", "udp"]);
    let told = user.process.event_within(Duration::from_secs(10), "hopeless");
    assert_eq!(field(&told, "why"), why, "{told}");
}

#[test]
fn two_masqueraded_homes_meet_over_udp() {
    meet(Plain, Plain);
}

#[test]
fn a_board_behind_drawn_ports_meets_an_open_nat() {
    meet(Random, FullCone(60));
    meet(FullyRandom, FullCone(60));
}

#[test]
fn a_board_behind_an_open_nat_meets_drawn_ports() {
    meet(FullCone(60), FullyRandom);
}

/// Neither end's port is known, and no number of tries has a fair chance (NAT.md, section 5).
#[test]
fn two_homes_with_drawn_ports_are_told_that_they_cannot_meet() {
    is_hopeless(Random, Random, "both-unpredictable");
    is_hopeless(FullyRandom, FullyRandom, "both-unpredictable");
}

/// The board has four sockets to be guessed: 256 guesses hit one of them once in 63 times, which is not
/// worth them.
#[test]
fn a_drawn_port_of_a_board_is_not_guessed() {
    is_hopeless(FullyRandom, Plain, "sockets");
}

/// The user's 255 sockets and the board's 128 guesses meet twice in five tries. After seven tries that
/// nobody confirmed, a board takes no password for a while: so six at each of four boards, all of which
/// fail once in 200,000 times.
#[test]
fn a_board_guesses_the_drawn_port_of_a_user() {
    let has_met = |_| users_to_meet(&Home::new(Plain, FullyRandom), 6, &[]).is_some();
    assert!((0..4).any(has_met));
}
