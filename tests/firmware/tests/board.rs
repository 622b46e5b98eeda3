//! The reference firmware, behind NATs of the running kernel.
#![cfg(target_os = "linux")]

use genkan_firmware_tests::Home;
use genkan_kernel_tests::Rules::Plain;

#[test]
fn a_board_gets_an_address_finds_its_server_and_registers() {
    let home = Home::new(Plain, Plain);
    let board = home.board(&[]);
    board.says("provisioned");
    board.says("address 192.0.2.");
    board.says("found");
    board.says("registered, seen as 203.0.113.1:");
}
