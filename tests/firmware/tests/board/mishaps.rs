//! What happens to a home: its server, router and cable fail, come back, or move.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use genkan_firmware_tests::{APPLIANCE, Home};
use genkan_kernel_tests::Rules::Plain;

use crate::{RECOVERY, assert_page_within, registered};

#[test]
fn a_server_that_restarts_is_found_again() {
    let mut home = Home::new(Plain, Plain);
    let board = registered(&home, &[]);
    home.restart_server();
    board.says_within(RECOVERY, "registered, seen as");
    let user = home.user(&[]);
    assert_page_within(&user, RECOVERY);
}

#[test]
fn a_router_that_restarts_is_survived() {
    let home = Home::new(Plain, Plain);
    let _board = registered(&home, &[]);
    let user = home.user(&["--transport", "udp"]);
    assert_page_within(&user, RECOVERY);
    home.lab.reset(APPLIANCE);
    assert_page_within(&user, RECOVERY);
}

#[test]
fn a_cable_that_is_pulled_and_put_back() {
    let home = Home::new(Plain, Plain);
    let board = registered(&home, &[]);
    let user = home.user(&["--transport", "udp"]);
    assert_page_within(&user, RECOVERY);
    board.plug(false);
    board.says("the cable is out");
    std::thread::sleep(Duration::from_secs(2));
    board.plug(true);
    board.says("the cable is in");
    assert_page_within(&user, RECOVERY);
}

/// Where UDP is lost too often, the registration goes over TCP, and so must the connection.
#[test]
fn a_fifth_of_all_packets_may_be_lost() {
    let home = Home::new(Plain, Plain);
    home.expose_user();
    home.lose(20);
    let _board = registered(&home, &[]);
    let user = home.user(&["--keep-trying"]);
    assert_page_within(&user, RECOVERY);
}

/// In the middle of a request, in a moment that nobody has chosen.
#[test]
fn a_board_that_is_reset_is_the_same_one_again() {
    let home = Home::new(Plain, Plain);
    home.expose_user();
    let mut board = registered(&home, &[]);
    let user = home.user(&["--punch", "no", "--keep-trying"]);
    assert_page_within(&user, RECOVERY);
    for start in ["1.1", "2.0"] {
        let request = user.ask("GET", "/", "").unwrap();
        if start == "1.1" {
            board.tell("system_reset");
        } else {
            // A power cut, and the flash is as it was.
            board.cut();
            board = home.board(&[]);
        }
        drop(request);
        board.says(&format!(", start {start}"));
        board.says("registered, seen as");
        assert!(!board.has_said("Certificate"), "it was in the flash");
        // As soon as the user says something, he hears that the connection is no more.
        assert_page_within(&user, RECOVERY);
    }
}

/// Where the server is, where it may go, and where nobody is.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 11));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 99));

/// Where nobody answers, the address of before is not kept for ever.
#[test]
fn a_cable_that_goes_to_where_no_dhcp_is() {
    let mut home = Home::new(Plain, Plain);
    let board = registered(&home, &[]);
    board.plug(false);
    board.says("the cable is out");
    home.forgets_dhcp();
    board.plug(true);
    board.says("the cable is in");
    std::thread::sleep(Duration::from_secs(30));
    assert!(!board.has_said("no address"));
    board.says_within(Duration::from_secs(40), "no address");
}

/// Each has a second, of some that the test leaves to a busy machine.
#[test]
fn two_of_three_name_servers_are_dead() {
    let mut home = Home::new(Plain, Plain);
    home.name_servers_are("192.0.2.66,192.0.2.67,192.0.2.1");
    let board = home.board(&[]);
    board.says("address 192.0.2.");
    board.says_within(Duration::from_secs(8), "genkan.test is [203.0.113.10]");
    board.says("registered, seen as 203.0.113.1:");
}

/// With the same address kept, it would ask a router that is not there.
#[test]
fn a_cable_that_goes_into_another_network() {
    let mut home = Home::new(Plain, Plain);
    let board = registered(&home, &[]);
    board.plug(false);
    board.says("the cable is out");
    home.renumber();
    board.plug(true);
    board.says("the cable is in");
    board.says("address 198.51.100.");
    let user = home.user(&["--transport", "udp", "--keep-trying"]);
    assert_page_within(&user, RECOVERY);
    assert!(!board.has_said("no address"), "the old one was kept meanwhile");
}

#[test]
fn a_name_with_several_addresses_is_no_other_server() {
    let home = Home::new(Plain, Plain);
    let board = registered(&home, &[]);
    // Whichever comes first.
    home.name_is(&[ELSEWHERE, HERE]);
    for _ in 0..2 {
        home.silence_server(true);
        board.says_within(RECOVERY, "the server does not answer");
        let found = board.says_within(RECOVERY, "genkan.test is");
        assert!(found.contains("203.0.113.10") && found.contains("203.0.113.99"), "{found}");
        home.silence_server(false);
        board.says_within(RECOVERY, "registered, seen as");
    }
    assert!(!home.log.text().contains("ended with"), "{}", home.log.text());
}

/// Nothing that stands is lost by that, and nothing is begun anew.
#[test]
fn a_server_that_moves_is_followed_and_ends_no_connection() {
    let home = Home::new(Plain, Plain);
    let board = registered(&home, &[]);
    let user = home.user(&["--transport", "udp"]);
    assert_page_within(&user, RECOVERY);
    // Where nobody is, first.
    home.name_is(&[ELSEWHERE]);
    home.move_server(THERE);
    board.says_within(RECOVERY, "the server is looked for at 203.0.113.99");
    home.assert_page(&user);
    home.name_is(&[THERE]);
    board.says_within(Duration::from_secs(90), "the server is looked for at 203.0.113.11");
    board.says("registered, seen as 203.0.113.1:");
    home.assert_page(&user);
    let log = home.log.text();
    assert!(!log.contains("ended") && log.matches("this is ").count() == 1, "{log}");
}

/// As many as there are places for, of a browser that opens them in case it needs them.
#[test]
fn streams_that_say_nothing_give_their_places_back() {
    let home = Home::new(Plain, Plain);
    let board = registered(&home, &[]);
    let user = home.user(&["--transport", "udp"]);
    assert_page_within(&user, RECOVERY);
    let silent = [(); 3].map(|()| user.call().unwrap());
    board.says("a stream that says nothing is ended");
    assert_page_within(&user, Duration::from_secs(10));
    drop(silent);
}
