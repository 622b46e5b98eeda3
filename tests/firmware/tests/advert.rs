//! Router advertisements as the firmware reads them: needs no board.

use core::net::Ipv6Addr;

use advert::Advert;

#[path = "../../../adapters/firmware/src/advert.rs"]
#[allow(unreachable_pub, reason = "the firmware's own")]
mod advert;

/// For 1,800 s, without options.
const HEAD: [u8; 16] = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
const MTU: [u8; 8] = [5, 1, 0, 0, 0, 0, 5, 220];

#[expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]
fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// For an hour.
fn prefix(length: u8, flags: u8, network: &str) -> Vec<u8> {
    let mut option = vec![3, 4, length, flags, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0];
    option.extend(address(network).octets());
    option
}

fn name_servers(lifetime: u8, servers: &[&str]) -> Vec<u8> {
    let mut option = vec![25, 1 + 2 * servers.len() as u8, 0, 0, 0, 0, 0, lifetime];
    option.extend(servers.iter().flat_map(|it| address(it).octets()));
    option
}

fn read(options: &[&[u8]]) -> Option<Advert> {
    Advert::read(&[&HEAD[..], &options.concat()].concat())
}

#[test]
fn prefix_and_name_servers_are_taken() {
    let (own, servers) =
        (prefix(64, 0xc0, "2001:db8:1::"), name_servers(9, &["fe80::1", "fd00::1"]));
    let advert = read(&[&MTU, &own, &servers]).unwrap();
    assert_eq!(advert.lifetime, 1_800);
    assert_eq!(advert.prefix, Some((address("2001:db8:1::"), 3_600)));
    assert_eq!(advert.name_servers[..], ["fe80::1", "fd00::1"].map(address));
    assert_eq!(read(&[]).map(|it| (it.lifetime, it.prefix)), Some((1_800, None)));
}

#[test]
fn what_is_of_no_use_is_passed_over() {
    for useless in [
        prefix(64, 0x80, "2001:db8:2::"),
        prefix(48, 0xc0, "2001:db8:2::"),
        prefix(64, 0xc0, "fd00:2::"),
        prefix(64, 0xc0, "fe80::"),
        prefix(64, 0xc0, "ff02::1"),
        [&prefix(64, 0xc0, "2001:db8:2::")[..4], &[0; 28]].concat(),
        vec![200, 3].into_iter().chain([1; 22]).collect(),
    ] {
        assert_eq!(read(&[&useless]).unwrap().prefix, None, "{useless:?}");
        let both = read(&[&useless, &prefix(64, 0x40, "2001:db8:1::")]).unwrap();
        assert_eq!(both.prefix, Some((address("2001:db8:1::"), 3_600)), "{useless:?}");
    }
    assert!(read(&[&name_servers(0, &["fe80::1"])]).unwrap().name_servers.is_empty());
    let three = read(&[&name_servers(9, &["fe80::1", "fe80::2", "fe80::3"])]).unwrap();
    assert_eq!(three.name_servers.len(), 2);
}

/// A router goes on naming the prefix of before, for two hours, when the provider has given it another one.
#[test]
fn a_prefix_that_is_preferred_no_more_is_passed_over() {
    let (mut old, new) = (prefix(64, 0xc0, "2001:db8:1::"), prefix(64, 0xc0, "2001:db8:2::"));
    old[8..12].fill(0);
    assert_eq!(read(&[&old]).unwrap().prefix, None);
    for both in [[&old[..], &new], [&new, &old]] {
        assert_eq!(read(&both).unwrap().prefix, Some((address("2001:db8:2::"), 3_600)));
    }
}

#[test]
fn what_is_broken_is_discarded_whole() {
    let whole =
        [&HEAD[..], &MTU, &prefix(64, 0xc0, "2001:db8:1::"), &name_servers(9, &["fe80::1"])];
    let whole = whole.concat();
    let ends = [16, 24, 56, whole.len()];
    for length in 0..=whole.len() {
        assert_eq!(Advert::read(&whole[..length]).is_some(), ends.contains(&length), "{length}");
    }
    assert_eq!(read(&[&[1, 0, 0, 0, 0, 0, 0, 0]]), None, "an option of no length");
    for length in 1..4 {
        // Too short for what it is: nothing of it is taken.
        let short = [&[3, length, 64, 0xc0][..], &[1; 20]].concat();
        assert_eq!(read(&[&short[..8 * usize::from(length)]]).unwrap().prefix, None, "{length}");
    }
}
