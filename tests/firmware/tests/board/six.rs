//! A home with IPv6 alone: the board makes itself an address, and what keeps strangers out is a firewall.

use genkan_firmware_tests::{Board, Home};
use genkan_kernel_tests::Rules::{Firewall, Plain};

use crate::assert_connected;

/// What the router's prefix and the board's Ethernet address make.
const BOARD: &str = "2001:db8:1:0:5054:ff:fe12:3456";

fn registered(home: &Home, more: &[&str]) -> Board {
    let board = home.board(more);
    board.says("address 2001:0db8:0001:0000:5054:00ff:fe12:3456/64");
    board.says("genkan.test is [2001:0db8:0002:0000:0000:0000:0000:000a]");
    board.says(&format!("registered, seen as [{BOARD}]:"));
    board
}

#[test]
fn the_page_comes_over_the_dial_back_through_the_boards_firewall() {
    let home = Home::six(Firewall, Plain);
    let board = registered(&home, &["no-punch"]);
    let user = home.user(&["--punch", "no"]);
    assert_connected(&user, "tcp");
    board.says("connected, Stream");
    home.assert_page(&user);
}

#[test]
fn a_hole_is_punched_through_the_boards_firewall() {
    let home = Home::six(Firewall, Plain);
    let board = registered(&home, &[]);
    let user = home.user(&[]);
    // First or last: it dials back, too.
    board.says("Datagram {");
    home.assert_page(&user);
}

/// Neither can be called: both must speak first.
#[test]
fn a_hole_is_punched_through_a_firewall_at_either_end() {
    let home = Home::six(Firewall, Firewall);
    let board = registered(&home, &[]);
    let user = home.user(&["--transport", "udp"]);
    assert_connected(&user, "udp");
    board.says("connected, Datagram");
    home.assert_page(&user);
}

/// The same network again: what it has told lives for longer than the cable is out.
#[test]
fn a_cable_that_is_pulled_and_put_back() {
    let home = Home::six(Firewall, Plain);
    let board = registered(&home, &[]);
    let user = home.user(&[]);
    board.says("connected, ");
    board.plug(false);
    board.says("the cable is out");
    std::thread::sleep(core::time::Duration::from_secs(2));
    board.plug(true);
    board.says("the cable is in");
    crate::assert_page_within(&user, crate::RECOVERY);
    assert!(!board.has_said("no address of IPv6"));
}
