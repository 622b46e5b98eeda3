//! NAT-PMP and PCP, byte by byte.

use super::*;

const CLIENT: &str = "10.0.0.2:40000";

fn leasing(nat_pmp: bool, pcp: bool) -> Nat {
    let mut config = NatConfig::new(Mapping::EndpointIndependent, APDF);
    config.leases = Some(Leases { nat_pmp, pcp, longest: secs(7_200), most: 3 });
    nat(config)
}

fn ask(nat: &mut Nat, at_second: u64, request: &[u8]) -> Vec<u8> {
    nat.port_control(secs(at_second), at(CLIENT), request).unwrap_or_default()
}

/// A MAP request of PCP from the client's own address.
fn map(nonce: u8, proto: u8, inner: u16, wanted: u16, lifetime: u32) -> Vec<u8> {
    let mut request = vec![2, 1, 0, 0];
    request.extend(lifetime.to_be_bytes());
    request.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2]);
    request.extend([nonce; 12]);
    request.extend([proto, 0, 0, 0]);
    request.extend(inner.to_be_bytes());
    request.extend(wanted.to_be_bytes());
    request.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    request
}

#[test]
fn nat_pmp_tells_the_external_address() {
    let mut nat = leasing(true, false);
    assert_eq!(ask(&mut nat, 300, &[0, 0]), [0, 128, 0, 0, 0, 0, 1, 44, 192, 0, 2, 1]);
    nat.renumber(&[]);
    assert_eq!(ask(&mut nat, 400, &[0, 0]), [0, 128, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn nat_pmp_leases_a_port_that_anybody_may_send_to() {
    let mut nat = leasing(true, false);
    // UDP, inside port 5000, wanted 30000, 3600 s.
    let request = [0, 1, 0, 0, 0x13, 0x88, 0x75, 0x30, 0, 0, 0x0e, 0x10];
    let answer = [0, 129, 0, 0, 0, 0, 0, 10, 0x13, 0x88, 0x75, 0x30, 0, 0, 0x0e, 0x10];
    assert_eq!(ask(&mut nat, 10, &request), answer);
    assert!(gets_in(&mut nat, secs(3_609), remote(9, 9), 30_000));
    assert_eq!(out(&mut nat, secs(11), host(2, 5_000), remote(1, 1)), Ok(30_000));
    assert_eq!(nat.mapped(Proto::Udp, host(2, 5_000), remote(1, 1)), Some(at("192.0.2.1:30000")));
    let tcp = nat.inbound(secs(11), Flow::Syn, remote(9, 9), at("192.0.2.1:30000"));
    assert_eq!(tcp, Err(Refusal::NoMapping), "a lease is for one transport");
    assert!(!gets_in(&mut nat, secs(3_610), remote(9, 9), 30_000), "no traffic prolongs it");
}

#[test]
fn nat_pmp_gives_another_port_when_the_wanted_one_is_taken() {
    let mut nat = leasing(true, false);
    nat.forward(Proto::Udp, 30_000, host(7, 7));
    let answer = ask(&mut nat, 10, &[0, 1, 0, 0, 0x13, 0x88, 0x75, 0x30, 0, 0, 0, 60]);
    assert_eq!(answer[..4], [0, 129, 0, 0]);
    assert_ne!(answer[10..12], [0x75, 0x30]);
    let forwarded = nat.port_control(secs(10), host(7, 1), &[0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0]);
    assert_eq!(forwarded.unwrap()[..4], [0, 129, 0, 2], "set up by hand: not to be deleted");
}

#[test]
fn nat_pmp_deletes_one_or_all() {
    let mut nat = leasing(true, false);
    let lease = |inner: u8| [0, 2, 0, 0, 0, inner, 0x75, inner, 0, 0, 0x0e, 0x10];
    let leased = |nat: &Nat, inner| nat.mapped(Proto::Tcp, host(2, inner), remote(1, 1)).is_some();
    (1..=3).for_each(|inner| assert_eq!(ask(&mut nat, 1, &lease(inner))[3], 0));
    assert_eq!(ask(&mut nat, 1, &lease(4))[..4], [0, 130, 0, 4], "out of resources");
    let gone = [0, 130, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(ask(&mut nat, 2, &[0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), gone);
    assert_eq!([1, 2, 3].map(|inner| leased(&nat, inner)), [false, true, true]);
    assert_eq!(ask(&mut nat, 2, &[0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])[..4], [0, 130, 0, 0]);
    assert!(!leased(&nat, 2) && !leased(&nat, 3));
}

#[test]
fn nat_pmp_refuses_what_it_does_not_know() {
    let mut nat = leasing(true, false);
    assert_eq!(ask(&mut nat, 1, &[0, 9]), [0, 137, 0, 5, 0, 0, 0, 1]);
    assert_eq!(ask(&mut nat, 1, &map(1, 17, 1, 0, 60)), [0, 129, 0, 1, 0, 0, 0, 1]);
    for silent in [&[][..], &[0], &[0, 128], &[0, 1, 0, 0, 0]] {
        assert_eq!(ask(&mut nat, 1, silent), [], "{silent:?}");
    }
    nat.config_mut().leases = None;
    assert_eq!(ask(&mut nat, 1, &[0, 0]), []);
}

#[test]
fn the_epoch_starts_again_after_a_reboot_and_leases_are_lost() {
    let mut nat = leasing(true, true);
    ask(&mut nat, 100, &[0, 1, 0, 0, 0x13, 0x88, 0x75, 0x30, 0, 0, 0x0e, 0x10]);
    nat.reboot();
    assert!(!gets_in(&mut nat, secs(200), remote(9, 9), 30_000));
    assert_eq!(ask(&mut nat, 205, &[0, 0])[4..8], [0, 0, 0, 5]);
}

#[test]
fn pcp_announces_its_epoch() {
    let mut nat = leasing(false, true);
    let mut request = map(0, 0, 0, 0, 0)[..24].to_vec();
    request[1] = 0;
    let mut answer = vec![2, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77];
    answer.resize(24, 0);
    assert_eq!(ask(&mut nat, 77, &request), answer);
}

#[test]
fn pcp_leases_renews_and_ends_a_port() {
    let mut nat = leasing(false, true);
    let answer = ask(&mut nat, 5, &map(7, 17, 5_000, 30_000, 3_600));
    let mut expected = vec![2, 129, 0, 0, 0, 0, 0x0e, 0x10, 0, 0, 0, 5];
    expected.resize(24, 0);
    expected.extend([7; 12]);
    expected.extend([17, 0, 0, 0, 0x13, 0x88, 0x75, 0x30]);
    expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    assert_eq!(answer, expected);
    assert!(gets_in(&mut nat, secs(6), remote(9, 9), 30_000));
    // Renewed half-way, whatever port is wanted now; for two hours at most.
    let renewed = ask(&mut nat, 1_805, &map(7, 17, 5_000, 0, 86_400));
    assert_eq!((&renewed[4..8], &renewed[42..44]), (&[0, 0, 0x1c, 0x20][..], &[0x75, 0x30][..]));
    assert!(gets_in(&mut nat, secs(9_004), remote(9, 9), 30_000));
    assert_eq!(ask(&mut nat, 9_004, &map(8, 17, 5_000, 0, 0))[3], 2, "another's nonce");
    let ended = ask(&mut nat, 9_004, &map(7, 17, 5_000, 30_000, 0));
    assert_eq!(ended[..8], [2, 129, 0, 0, 0, 0, 0, 0]);
    assert!(!gets_in(&mut nat, secs(9_004), remote(9, 9), 30_000));
    assert_eq!(ask(&mut nat, 9_004, &map(7, 17, 5_000, 0, 0))[3], 0, "nothing to end is no error");
}

#[test]
fn pcp_makes_a_standing_mapping_the_lease_and_grants_at_least_two_minutes() {
    let mut nat = leasing(false, true);
    assert_eq!(out(&mut nat, secs(1), host(2, 5_000), remote(1, 1)), Ok(20_000));
    let answer = ask(&mut nat, 2, &map(1, 17, 5_000, 33_333, 1));
    assert_eq!((&answer[4..8], &answer[42..44]), (&[0, 0, 0, 120][..], &[0x4e, 0x20][..]));
}

#[test]
fn pcp_errors_say_what_is_wrong_and_repeat_the_request() {
    let mut nat = leasing(false, true);
    nat.forward(Proto::Udp, 30_000, host(7, 7));
    let good = map(1, 17, 5_000, 30_000, 600);
    let changed = |at: usize, byte: u8| {
        let mut request = good.clone();
        request[at] = byte;
        request
    };
    let longer = |option: &[u8]| [&good[..], option].concat();
    for (request, result, lifetime) in [
        (changed(0, 3), 1, 1_800),
        (changed(1, 2), 4, 1_800),
        (changed(23, 9), 12, 1_800),
        (changed(36, 99), 9, 1_800),
        (changed(36, 0), 3, 1_800),
        (good[..58].to_vec(), 3, 1_800),
        (good[..20].to_vec(), 3, 1_800),
        ([&good[..], &[0; 1_100]].concat(), 3, 1_800),
        (longer(&[1, 0, 0, 0]), 5, 1_800),
        (longer(&[2, 0, 0, 4, 0, 0, 0, 0]), 6, 1_800),
        (longer(&[200, 0, 0, 9, 0, 0, 0, 0]), 6, 1_800),
        (longer(&[2, 0, 0, 0]), 11, 30),
    ] {
        let answer = ask(&mut nat, 1, &request);
        assert_eq!((answer[3], &answer[4..8]), (result, &u32::to_be_bytes(lifetime)[..]));
        assert_eq!((answer[0], answer.len() % 4), (2, 0));
        if request.len() == 60 && result != 1 {
            assert_eq!(answer[24..], request[24..]);
        }
    }
    assert_eq!(ask(&mut nat, 1, &longer(&[200, 0, 0, 1, 9, 0, 0, 0]))[3], 0, "may be ignored");
    nat.config_mut().leases.as_mut().unwrap().most = 1;
    assert_eq!(ask(&mut nat, 1, &map(1, 6, 6_000, 0, 600))[3], 8);
    assert_eq!(ask(&mut nat, 1, &changed(1, 129)), [], "an answer");
    nat.renumber(&[]);
    assert_eq!(ask(&mut nat, 1, &good)[3], 7);
}

#[test]
fn a_box_that_speaks_only_pcp_says_so_to_nat_pmp() {
    let mut answer = vec![2, 128, 0, 1, 0, 0, 7, 8, 0, 0, 0, 9];
    answer.resize(24, 0);
    assert_eq!(ask(&mut leasing(false, true), 9, &[0, 0]), answer);
    assert_eq!(ask(&mut leasing(true, true), 9, &[0, 0])[..4], [0, 128, 0, 0], "both: NAT-PMP");
}

#[test]
fn pcp_opens_a_firewall_without_changing_the_address() {
    let mut config = presets::rfc6092_firewall();
    config.leases = Some(Leases { nat_pmp: false, pcp: true, longest: secs(7_200), most: 9 });
    let mut wall = Nat::new(&[], config, Rng::new(1));
    let inside = at("[2001:db8::5]:5000");
    let mut request = map(1, 17, 5_000, 0, 600);
    let IpAddr::V6(address) = inside.ip() else { return };
    request[8..24].copy_from_slice(&address.octets());
    let answer = wall.port_control(secs(1), inside, &request).unwrap();
    assert_eq!((answer[3], &answer[42..44]), (0, &[0x13, 0x88][..]));
    assert_eq!(answer[44..60], address.octets());
    let stranger = at("[2001:db8:2::1]:1");
    assert_eq!(wall.inbound(secs(2), Flow::Udp, stranger, inside), Ok(inside));
}

#[test]
fn a_lease_comes_from_the_hosts_own_block() {
    let mut config = NatConfig::new(Mapping::EndpointIndependent, APDF);
    config.leases = Some(Leases { nat_pmp: true, pcp: true, longest: secs(7_200), most: 9 });
    config.blocks = Blocks::Contiguous { size: 100, most: 1 };
    let mut nat = nat(config);
    let port = out(&mut nat, secs(1), host(2, 1), remote(1, 1)).unwrap();
    let answer = ask(&mut nat, 1, &map(1, 17, 5_000, port ^ 0x8000, 600));
    let leased = u16::from_be_bytes([answer[42], answer[43]]);
    assert!(leased.abs_diff(port) < 100, "{leased} {port}");
}

#[test]
fn a_port_is_held_down_from_its_last_use_whether_mapping_or_lease() {
    let mut nat = leasing(true, false);
    (nat.config.hold_down, nat.config.lifetimes) = (secs(120), Lifetimes::udp(secs(30)));
    nat.config.behaviour.allocation.preserve = Preserve::WhenFree;
    let inside = at("10.0.0.2:20005");
    assert_eq!(out(&mut nat, secs(0), inside, remote(1, 1)), Ok(20_005));
    // The mapping becomes a lease for 600 s, and dies long before it.
    let answer = ask(&mut nat, 1, &[0, 1, 0, 0, 0x4e, 0x25, 0, 0, 0, 0, 2, 0x58]);
    assert_eq!(answer[10..12], [0x4e, 0x25]);
    let other = host(3, 20_005);
    assert_ne!(out(&mut nat, secs(720), other, remote(1, 1)), Ok(20_005), "119 s after the lease");
    nat.advance(secs(760));
    assert_eq!(out(&mut nat, secs(760), other, remote(1, 1)), Ok(20_005));
}
