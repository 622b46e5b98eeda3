//! Mapping, filtering, and what changes them.

use super::*;

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
const FILTERINGS: [Filtering; 3] = [
    Filtering::EndpointIndependent,
    Filtering::AddressDependent,
    Filtering::AddressAndPortDependent,
];

#[test]
fn the_mapping_says_which_destinations_see_the_same_port() {
    for (mapping, port_differs, address_differs) in
        [(MAPPINGS[0], false, false), (MAPPINGS[1], false, true), (MAPPINGS[2], true, true)]
    {
        let mut nat = nat(NatConfig::new(mapping, FILTERINGS[0]));
        let [a, b, c] = [remote(1, 1), remote(1, 2), remote(2, 1)]
            .map(|to| out(&mut nat, secs(1), host(2, 5_000), to).unwrap());
        assert_eq!((a != b, a != c), (port_differs, address_differs), "{mapping:?}");
    }
}

#[test]
fn the_filtering_says_who_gets_in_whatever_the_mapping() {
    for mapping in MAPPINGS {
        for (filtering, same_address, stranger) in [
            (FILTERINGS[0], true, true),
            (FILTERINGS[1], true, false),
            (FILTERINGS[2], false, false),
        ] {
            let mut nat = nat(NatConfig::new(mapping, filtering));
            let port = out(&mut nat, secs(1), host(2, 5_000), remote(1, 1)).unwrap();
            let seen = [remote(1, 1), remote(1, 2), remote(2, 1)]
                .map(|from| gets_in(&mut nat, secs(2), from, port));
            assert_eq!(seen, [true, same_address, stranger], "{mapping:?} {filtering:?}");
        }
    }
}

#[test]
fn transports_have_mappings_of_their_own_and_may_behave_differently() {
    let mut config = NatConfig::new(MAPPINGS[0], FILTERINGS[0]);
    config.tcp_behaviour = Some(Behaviour::new(MAPPINGS[2], FILTERINGS[2]));
    let mut nat = nat(config);
    let inside = host(2, 5_000);
    assert_eq!(out(&mut nat, secs(1), inside, remote(1, 1)), Ok(20_000));
    assert_eq!(out(&mut nat, secs(1), inside, remote(1, 2)), Ok(20_000));
    let syn = |nat: &mut Nat, to| nat.outbound(secs(1), Flow::Syn, inside, to).unwrap().port();
    assert_ne!(syn(&mut nat, remote(1, 1)), syn(&mut nat, remote(1, 2)));
    for (udp, tcp) in [(false, true), (true, false)] {
        (nat.config_mut().udp, nat.config_mut().tcp) = (udp, tcp);
        assert_eq!(out(&mut nat, secs(1), inside, remote(1, 1)).is_ok(), udp);
        assert_eq!(nat.outbound(secs(1), Flow::Syn, inside, remote(1, 1)).is_ok(), tcp);
    }
}

#[test]
fn a_conflict_over_the_wanted_port_changes_the_behaviour_step_by_step() {
    let mut config = NatConfig::new(MAPPINGS[0], FILTERINGS[0]);
    config.behaviour.allocation.preserve = Preserve::WhenFree;
    config.on_conflict = vec![
        Behaviour::new(MAPPINGS[2], FILTERINGS[2]),
        Behaviour::new(MAPPINGS[1], FILTERINGS[1]),
    ];
    let mut nat = nat(config);
    assert_eq!(out(&mut nat, secs(1), host(2, 30_000), remote(1, 1)), Ok(30_000));
    let second = host(3, 30_000);
    assert_eq!(out(&mut nat, secs(1), second, remote(1, 1)), Ok(20_000));
    assert_eq!(out(&mut nat, secs(1), second, remote(1, 2)), Ok(20_001), "symmetric now");
    assert!(!gets_in(&mut nat, secs(1), remote(9, 9), 20_000), "and filtered so");
    assert!(gets_in(&mut nat, secs(1), remote(9, 9), 30_000), "the first is as it was");
    // Without a mapping left the inside address and port starts anew; the other's is gone as well.
    assert_eq!(out(&mut nat, secs(200), second, remote(1, 1)), Ok(30_000));
    assert_eq!(out(&mut nat, secs(200), second, remote(1, 2)), Ok(30_000));
    // The second step comes when the first wants a port that is taken, too.
    nat.config_mut().on_conflict[0].allocation.preserve = Preserve::WhenFree;
    let third = host(4, 30_000);
    let seen = [remote(1, 1), remote(1, 2), remote(2, 1)]
        .map(|to| out(&mut nat, secs(200), third, to).unwrap());
    assert_eq!((seen[0] == seen[1], seen[0] == seen[2]), (true, false), "address-dependent");
}

#[test]
fn a_changed_setting_leaves_standing_mappings_alone() {
    let mut nat = nat(NatConfig::new(MAPPINGS[0], FILTERINGS[2]));
    let inside = host(2, 5_000);
    assert_eq!(out(&mut nat, secs(1), inside, remote(1, 1)), Ok(20_000));
    nat.config_mut().behaviour.mapping = MAPPINGS[2];
    assert_eq!(out(&mut nat, secs(2), inside, remote(1, 2)), Ok(20_000));
    assert_eq!(out(&mut nat, secs(2), host(3, 1), remote(1, 1)), Ok(20_001));
    assert_eq!(out(&mut nat, secs(2), host(3, 1), remote(1, 2)), Ok(20_002));
    nat.config_mut().ports = 40_000..=40_001;
    assert_eq!(out(&mut nat, secs(2), host(3, 1), remote(1, 3)), Ok(40_000));
}

#[test]
fn a_remap_in_mid_life_leaves_the_old_port_open() {
    let mut nat = nat(NatConfig::new(MAPPINGS[0], FILTERINGS[2]));
    let inside = host(2, 5_000);
    assert_eq!(out(&mut nat, secs(1), inside, remote(1, 1)), Ok(20_000));
    nat.remap(inside);
    assert_eq!(out(&mut nat, secs(60), inside, remote(1, 1)), Ok(20_001));
    assert_eq!(nat.mapped(Proto::Udp, inside, remote(1, 1)).unwrap().port(), 20_001);
    assert!(gets_in(&mut nat, secs(61), remote(1, 1), 20_000));
    assert!(gets_in(&mut nat, secs(61), remote(1, 1), 20_001));
    assert!(!gets_in(&mut nat, secs(121), remote(1, 1), 20_000), "it died of its own time");
    assert!(gets_in(&mut nat, secs(121), remote(1, 1), 20_001));
}

#[test]
fn a_reboot_or_new_address_forgets_mappings_and_keeps_forwards() {
    let mut nat = nat(NatConfig::new(MAPPINGS[0], FILTERINGS[0]));
    let inside = host(2, 5_000);
    nat.forward(Proto::Udp, 8_000, host(3, 80));
    let first = out(&mut nat, secs(1), inside, remote(1, 1)).unwrap();
    nat.reboot();
    assert!(!gets_in(&mut nat, secs(1), remote(1, 1), first));
    assert_ne!(out(&mut nat, secs(1), inside, remote(1, 1)), Ok(first), "the counter went on");
    assert!(gets_in(&mut nat, secs(1), remote(9, 9), 8_000));
    nat.renumber(&[ip("192.0.2.7")]);
    assert!(nat.is_empty() && nat.mapped(Proto::Udp, inside, remote(1, 1)).is_none());
    assert!(!gets_in(&mut nat, secs(1), remote(9, 9), 8_000), "not at the old address");
    let forwarded = nat.inbound(secs(1), Flow::Udp, remote(9, 9), at("192.0.2.7:8000"));
    assert_eq!(forwarded, Ok(host(3, 80)));
    let back = nat.outbound(secs(1), Flow::Udp, host(3, 80), remote(9, 9));
    assert_eq!(back, Ok(at("192.0.2.7:8000")));
    nat.unforward(Proto::Udp, 8_000);
    assert!(nat.inbound(secs(1), Flow::Udp, remote(9, 9), at("192.0.2.7:8000")).is_err());
}

#[test]
fn a_firewall_changes_no_address_and_filters_all_the_same() {
    let mut wall = Nat::new(&[], presets::rfc6092_firewall(), Rng::new(1));
    let (inside, peer) = (at("[2001:db8::5]:5000"), at("[2001:db8:1::1]:1"));
    let strange = at("[2001:db8:2::1]:1");
    assert_eq!(wall.inbound(secs(1), Flow::Udp, peer, inside), Err(Refusal::Icmp));
    assert_eq!(wall.outbound(secs(1), Flow::Udp, inside, peer), Ok(inside));
    assert_eq!(wall.inbound(secs(1), Flow::Udp, peer, inside), Ok(inside));
    assert_eq!(wall.owner(Proto::Udp, strange, inside), Some(inside));
    assert_eq!(wall.inbound(secs(1), Flow::Udp, strange, inside), Err(Refusal::Icmp));
    wall.forward(Proto::Udp, 5_000, inside);
    assert_eq!(wall.inbound(secs(1), Flow::Udp, strange, inside), Ok(inside));
}

#[test]
fn each_host_behind_a_firewall_may_have_the_same_port_open() {
    let mut wall = Nat::new(&[], presets::rfc6092_firewall(), Rng::new(1));
    let (one, two) = (at("[2001:db8::2]:443"), at("[2001:db8::3]:443"));
    for inside in [one, two] {
        wall.forward(Proto::Udp, 443, inside);
    }
    let strange = at("[2001:db8:2::1]:1");
    for inside in [one, two] {
        assert_eq!(wall.inbound(secs(1), Flow::Udp, strange, inside), Ok(inside));
    }
    wall.unforward(Proto::Udp, 443);
    for inside in [one, two] {
        assert_eq!(wall.inbound(secs(1), Flow::Udp, strange, inside), Err(Refusal::Icmp));
    }
}

#[test]
fn a_port_may_be_forwarded_for_each_address_family() {
    let external = [ip("192.0.2.1"), ip("2001:db8::1")];
    let mut nat = Nat::new(&external, NatConfig::default(), Rng::new(1));
    let insides = [host(2, 80), at("[fd00::2]:80")];
    for inside in insides {
        nat.forward(Proto::Tcp, 8_000, inside);
    }
    for (from, to, inside) in [
        (remote(9, 9), at("192.0.2.1:8000"), insides[0]),
        (at("[2001:db8:2::1]:1"), at("[2001:db8::1]:8000"), insides[1]),
    ] {
        assert_eq!(nat.inbound(secs(1), Flow::Syn, from, to), Ok(inside));
    }
}

#[test]
#[should_panic(expected = "a firewall changes no port")]
fn a_firewall_forwards_no_port_to_another() {
    let mut wall = Nat::new(&[], presets::rfc6092_firewall(), Rng::new(1));
    wall.forward(Proto::Udp, 8_080, at("[2001:db8::2]:80"));
}
