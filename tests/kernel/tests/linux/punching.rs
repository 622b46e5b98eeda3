//! Two hosts behind two NATs, in the kernel and in the simulator: which pairs meet.

use core::net::SocketAddr;

use genkan_kernel_tests::Rules::{
    self, AddressRestricted, FullCone, FullyRandom, Open, Plain, Sequential,
};
use genkan_kernel_tests::punch::{kernel, simulated};

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

fn check(rules: [Rules; 2], held: u32, meet: bool) {
    let met = kernel(rules, held);
    assert_eq!(met.map(|met| met.is_some()), [meet; 2], "kernel: {rules:?}, {met:?}");
    let met = simulated(rules, held);
    assert_eq!(met.map(|met| met.is_some()), [meet; 2], "simulator: {rules:?}, {met:?}");
}

#[test]
fn two_plain_nats_let_their_hosts_meet_where_the_server_saw_them() {
    let met = [address("203.0.113.2:40000"), address("203.0.113.1:40000")];
    for held in [0, 3] {
        assert_eq!(kernel([Plain, Plain], held), met);
        assert_eq!(simulated([Plain, Plain], held), met);
    }
}

#[test]
fn one_open_side_is_enough_for_a_nat_with_new_ports() {
    check([FullCone(60), Sequential], 0, true);
    check([FullCone(60), FullyRandom], 0, true);
    check([AddressRestricted(60), FullyRandom], 0, true);
}

#[test]
fn new_ports_and_a_strict_filter_do_not_meet() {
    check([Plain, Sequential], 0, false);
    check([Plain, FullyRandom], 0, false);
    check([FullyRandom, FullyRandom], 0, false);
}

#[test]
fn who_sends_first_to_a_nat_that_keeps_the_uninvited_spoils_it() {
    check([Open, Open], 3, false);
}
