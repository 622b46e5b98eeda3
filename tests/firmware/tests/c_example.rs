//! The appliance of `adapters/c/example`, written in C with lwIP, behind NATs of the running kernel.
#![cfg(target_os = "linux")]

use core::time::Duration;
use std::time::Instant;

use genkan_firmware_tests::{Board, Home};
use genkan_kernel_tests::Rules::{self, Plain};
use genkan_kernel_tests::direct::is_page;

/// How deep the example's stack may be, in bytes, through start, registration, a hole and a page; the
/// README tells what was reached.
const STACK: usize = 12_288;

fn home(user: Rules, more: &[&str]) -> (Home, Board) {
    let home = Home::new(Plain, user);
    let board = home.board_with("GENKAN_C_EXAMPLE", more);
    board.says("address 192.0.2.");
    board.says("registered over UDP, seen as 203.0.113.1:");
    (home, board)
}

#[test]
fn it_calls_back_over_tcp_and_serves_its_page_again_and_again() {
    let (home, board) = home(Plain, &["no-punch"]);
    home.expose_user();
    let user = home.user(&[]);
    board.says("requested: accepted");
    board.says("connected over TCP");
    for _ in 0..5 {
        home.assert_page(&user);
    }
    let state = user.get("/api").unwrap();
    assert!(state.contains("\"target\":20.0"), "{state}");
    assert!(!board.has_said("path over UDP"), "no hole was wanted");
}

#[test]
fn it_is_reached_through_a_punched_hole() {
    let (home, board) = home(Plain, &[]);
    let user = home.user(&[]);
    board.says("connected over UDP");
    home.assert_page(&user);
    // All that there is has been done then: how deep was the stack?
    assert_eq!(user.process.stop(), Some(0));
    board.says("closed, ");
    let line = board.says("stack ");
    let deepest = line.split(' ').find_map(|word| word.parse::<usize>().ok()).unwrap();
    eprintln!("stack: {deepest} bytes");
    assert!((8_000..STACK).contains(&deepest), "{line}");
}

#[test]
fn it_takes_no_wrong_password_and_then_the_right_one() {
    let (home, board) = home(Plain, &["no-punch"]);
    home.expose_user();
    {
        let _stranger = home.user_with("incorrect horse", &[]);
        board.says("requested: wrong password");
        assert!(!board.has_said("requested: accepted"));
    }
    let user = home.user(&[]);
    board.says("requested: accepted");
    board.says("connected over TCP");
    home.assert_page(&user);
}

/// As many as there are places for, of a browser that opens them in case it needs them.
#[test]
fn streams_that_say_nothing_give_their_places_back() {
    let (home, board) = home(Plain, &["no-punch"]);
    home.expose_user();
    let user = home.user(&[]);
    board.says("connected over TCP");
    home.assert_page(&user);
    let silent = [(); 4].map(|()| user.call().unwrap());
    let before = Instant::now();
    while !user.get("/").is_ok_and(|page| is_page(&page)) {
        assert!(before.elapsed() < Duration::from_secs(40), "no page: {:#?}", user.process.told());
    }
    assert!(before.elapsed() > Duration::from_secs(10), "the places were taken");
    drop(silent);
}
