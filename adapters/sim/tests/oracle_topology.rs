//! The oracle's word about shared boxes, firewalls, leases and boxes that punish, held against the
//! simulator.

mod puncher;

use core::slice::from_ref;
use core::time::Duration;

use genkan_sim::nat::{
    Filtering, Flow, Hairpin, Limits, Mapping, Nat, NatConfig, Overflow, Pick, Proto, Translation,
    Unsolicited, presets,
};
use genkan_sim::oracle::{
    Budget, Conditions, Direct, End, Gate, Judgement, Order, Probability, Reason, Verdict, judge,
};
use genkan_sim::{NatId, NatSpec, Rng};
use puncher::{
    LOCAL_PORT, Manner, Puncher, SERVER, SERVER_V6, address, boxes, connects, punch,
    punch_in_order, puncher, puncher_v6, world,
};

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
const FILTERINGS: [Filtering; 3] = [
    Filtering::EndpointIndependent,
    Filtering::AddressDependent,
    Filtering::AddressAndPortDependent,
];

fn every() -> impl Iterator<Item = NatConfig> {
    MAPPINGS.into_iter().flat_map(|mapping| {
        FILTERINGS.into_iter().map(move |filtering| NatConfig::new(mapping, filtering))
    })
}

fn end(id: u32, config: &NatConfig) -> End {
    End::behind([Gate::new(id, config.clone())])
}

#[test]
fn neighbours_and_customers_of_one_carrier_meet_as_the_oracle_says() {
    let none = Vec::new();
    let mut met = 0;
    for carrier in every() {
        for hairpin in [Hairpin::None, Hairpin::InternalSource, Hairpin::ExternalSource] {
            let carrier = NatConfig { hairpin, ..carrier.clone() };
            // In one house, and with a box of their own in each house.
            let mut homes = vec![(none.clone(), none.clone())];
            homes.extend(every().map(|home| (vec![home], none.clone())));
            homes.extend(every().zip(every().skip(2)).map(|(a, b)| (vec![a], vec![b])));
            for (number, (a, b)) in homes.iter().enumerate() {
                let gates = |first: u32, own: &[NatConfig]| {
                    let own = own.iter().map(|config| Gate::new(first, config.clone()));
                    End::behind(own.chain([Gate::new(9, carrier.clone())]))
                };
                let judgement = judge(&gates(1, a), &gates(2, b));
                assert_eq!(judgement.local, a.is_empty() && b.is_empty());
                assert_eq!(judgement.direct, Direct::Possible);

                let mut world = world(number as u64);
                let outside = boxes(&mut world, 9, from_ref(&carrier), None);
                let behind = [(1, a), (2, b)].map(|(n, own)| boxes(&mut world, n, own, outside));
                let a_host = puncher(&mut world, 1, behind[0], Manner::default());
                let b_host = puncher(&mut world, 2, behind[1], Manner::default());
                let seen = connects(&mut world, a_host, b_host);
                assert_eq!(judgement.plain, seen, "{carrier:?}, {a:?}, {b:?}");
                met += u32::from(seen);
            }
        }
    }
    assert!(met > 50, "{met}");
}

#[test]
fn firewalls_without_translation_are_punched() {
    let firewall = |filtering| NatConfig {
        translation: Translation::None,
        ..NatConfig::new(Mapping::EndpointIndependent, filtering)
    };
    let v6 = |gates| End { v4: None, v6: Some(gates) };
    for one in FILTERINGS {
        for other in FILTERINGS {
            let ends = [(1, one), (2, other)]
                .map(|(id, filtering)| v6(vec![Gate::new(id, firewall(filtering))]));
            let judgement = judge(&ends[0], &ends[1]);
            assert!(judgement.plain && judgement.order == Order::Any);
            // Whatever its filter: nothing has opened the port on which somebody only listens.
            assert!(!judgement.dial_back);

            let mut world = world(6);
            let hosts = [(1, one), (2, other)].map(|(number, filtering)| {
                let spec = NatSpec::new(&format!("firewall {number}"), firewall(filtering));
                let nat = world.add_gateway(spec);
                puncher_v6(&mut world, number, Some(nat))
            });
            assert!(connects(&mut world, hosts[0], hosts[1]), "{one:?} × {other:?}");
        }
    }
    let mut fresh = Nat::new(&[], firewall(Filtering::EndpointIndependent), Rng::new(1));
    let listener = "[2001:db8:1::1]:4600".parse().unwrap();
    assert!(fresh.inbound(Duration::ZERO, Flow::Syn, SERVER_V6, listener).is_err());
    // No translation and no box: nobody is in the way; no common family: nobody can help.
    assert!(judge(&v6(Vec::new()), &v6(Vec::new())).dial_back);
    let nothing = judge(&v6(Vec::new()), &End::public());
    assert_eq!(nothing.direct, Direct::Impossible(Reason::NoCommonFamily));
}

#[test]
fn the_better_family_decides() {
    let symmetric = presets::linux_masquerade_random();
    let firewall = presets::rfc6092_firewall();
    let both = |id| end(id, &symmetric).with_v6([Gate::new(id + 10, firewall.clone())]);
    assert!(!judge(&end(1, &symmetric), &end(2, &symmetric)).plain);
    assert!(judge(&both(1), &both(2)).plain);
    assert!(!judge(&both(1), &end(2, &symmetric)).plain);
}

/// A forward is what a lease is, once it stands.
#[test]
fn a_forwarded_port_on_one_side_is_enough_for_whatever_is_on_the_other() {
    for one in every() {
        for other in every() {
            let forwarded = End::behind([Gate::new(1, one.clone()).forwarded()]);
            let judgement = judge(&forwarded, &end(2, &other));
            let swapped = judge(&end(2, &other), &forwarded);
            assert!(judgement.plain && swapped.plain);
            assert!(judgement.dial_back && !swapped.dial_back);

            let mut world = world(3);
            let behind = [(1, &one), (2, &other)]
                .map(|(number, own)| boxes(&mut world, number, from_ref(own), None));
            let nat: NatId = behind[0].unwrap();
            let inside = address([10, 0, 0, 1], LOCAL_PORT + 1);
            world.nat_mut(nat).forward(Proto::Udp, 7_777, inside);
            let a = puncher(&mut world, 1, behind[0], Manner::default());
            let b = puncher(&mut world, 2, behind[1], Manner::default());
            assert!(connects(&mut world, a, b), "{one:?} × {other:?}");
        }
    }
}

#[test]
fn a_lease_from_the_inner_box_of_two_does_not_open_the_outer_one() {
    let inner = presets::rfc4787();
    let outer = presets::linux_masquerade_random();
    let both = End::behind([Gate::new(1, inner), Gate::new(2, outer.clone())]).asking();
    let Some(gates) = &both.v4 else { unreachable!() };
    assert!(gates[0].forwarded && !gates[1].forwarded);
    assert!(!judge(&both, &end(3, &outer)).plain);
}

fn punishing(filtering: Filtering, unsolicited: Unsolicited) -> NatConfig {
    NatConfig { unsolicited, ..NatConfig::new(Mapping::EndpointIndependent, filtering) }
}

#[test]
fn boxes_that_punish_are_passed_in_the_right_order_and_not_in_the_wrong_one() {
    let strict = Filtering::AddressAndPortDependent;
    let quiet = NatConfig::new(Mapping::EndpointIndependent, strict);
    let cruel = punishing(strict, Unsolicited::BlockRemote(Duration::from_secs(60)));
    let late = Manner { wait: Duration::from_millis(150), bubble: None };
    let (at_once, short) = (Manner::default(), Manner { bubble: Some(2), ..late });
    let cases = [
        (&quiet, &quiet, Order::Any, [late, at_once], None),
        (&cruel, &quiet, Order::AFirst, [at_once, late], Some([late, at_once])),
        (&quiet, &cruel, Order::BFirst, [late, at_once], Some([at_once, late])),
        (&cruel, &cruel, Order::ShortHops, [short, short], Some([at_once, late])),
    ];
    for (a, b, order, right, wrong) in cases {
        let judgement: Judgement = judge(&end(1, a), &end(2, b));
        assert_eq!((judgement.plain, judgement.order), (true, order));
        let sure = judgement.verdict(Budget::default(), Conditions::default());
        let certain = Verdict::May(Probability::ALWAYS);
        assert_eq!(sure, if order == Order::Any { Verdict::MustConnect } else { certain });
        let boxes = [from_ref(a), from_ref(b)];
        assert!(punch_in_order(1, boxes, right), "{order:?}");
        assert!(wrong.is_none_or(|wrong| !punch_in_order(1, boxes, wrong)), "{order:?}");
    }
}

#[test]
fn linux_that_takes_packets_for_its_own_must_send_first() {
    let loose = presets::linux_masquerade_no_wan_drop();
    let quiet = presets::linux_masquerade();
    assert_eq!(judge(&end(1, &loose), &end(2, &quiet)).order, Order::AFirst);
    let late = Manner { wait: Duration::from_millis(150), bubble: None };
    let boxes = [from_ref(&loose), from_ref(&quiet)];
    assert!(punch_in_order(1, boxes, [Manner::default(), late]));
    assert!(!punch_in_order(1, boxes, [late, Manner::default()]));
}

/// Somebody who reads the box's tables knows where to send, and still cannot do what the oracle calls
/// impossible; what it calls possible, he can.
#[test]
fn the_impossible_is_impossible_even_for_one_who_sees_the_boxes_tables() {
    let strict = NatConfig::default();
    let mut answers = [0, 0];
    for config in every() {
        for pick in [config.behaviour.allocation.pick, Pick::Random] {
            for (udp, most) in [(true, None), (true, Some(1)), (true, Some(2)), (false, None)] {
                let mut config = config.clone();
                config.behaviour.allocation.pick = pick;
                config.udp = udp;
                config.limits = Limits { per_inside: most, ..config.limits };
                assert_eq!(config.limits.overflow, Overflow::Drop);
                let possible = judge(&end(1, &config), &end(2, &strict)).direct == Direct::Possible;
                assert_eq!(possible, omniscient(&config, &strict), "{config:?}");
                answers[usize::from(possible)] += 1;
            }
        }
    }
    assert!(answers.iter().all(|&count| count > 20), "{answers:?}");
}

/// `b` sends to whatever address `a`'s box has given it towards `b`'s.
fn omniscient(a: &NatConfig, b: &NatConfig) -> bool {
    let mut world = world(4);
    let nats = [("a", 1, a), ("b", 2, b)].map(|(name, number, config)| {
        let external = address([198, 51, 100, number], 0).ip();
        world.add_nat(name, external, None, config.clone())
    });
    let a = puncher(&mut world, 1, Some(nats[0]), Manner::default());
    let b = puncher(&mut world, 2, Some(nats[1]), Manner::default());
    world.run_for(Duration::from_millis(100));
    let [inside_a, inside_b] = [1, 2].map(|n| address([10, 0, 0, n], LOCAL_PORT + u16::from(n)));
    let at_b = world.nat_mut(nats[1]).mapped(Proto::Udp, inside_b, SERVER);
    let Some(at_b) = at_b else { unreachable!("b is registered") };
    world.with(a, |puncher: &mut Puncher, io| puncher.try_address(io, at_b));
    if let Some(at_a) = world.nat_mut(nats[0]).mapped(Proto::Udp, inside_a, at_b) {
        world.with(b, |puncher: &mut Puncher, io| puncher.try_address(io, at_a));
    }
    connects(&mut world, a, b)
}

#[test]
fn a_wide_pool_hides_the_address_and_the_oracle_says_how_well() {
    // Address-symmetric against address-restricted: only the address has to be right. Its boxes'
    // choices differ from seed to seed.
    let (kinds, runs) = (presets::rfc6081(), 400);
    let judgement =
        judge(&End::behind([Gate::new(1, kinds[8].1.clone()).pool(4)]), &end(2, &kinds[1].1));
    let Verdict::May(said) = judgement.verdict(Budget::default(), Conditions::default()) else {
        panic!("neither certain nor impossible");
    };
    let connected = |seed| {
        let mut world = world(seed);
        let pool = NatSpec::new("pool", kinds[8].1.clone());
        let pool =
            (1..=4).fold(pool, |pool, n| pool.external(address([198, 51, 100, 10 + n], 0).ip()));
        let nat = world.add_gateway(pool);
        let other = boxes(&mut world, 2, from_ref(&kinds[1].1), None);
        let a = puncher(&mut world, 1, Some(nat), Manner::default());
        let b = puncher(&mut world, 2, other, Manner::default());
        connects(&mut world, a, b)
    };
    let hits = (0..u64::from(runs)).filter(|&seed| connected(seed)).count() as u32;
    assert!(said.allows(hits, runs, 4.0) && hits > 0, "{hits} of {runs}: {said:?}");
    assert!((said.at_most - 0.25).abs() < 1e-9);
    assert!(punch(1, from_ref(&kinds[8].1), from_ref(&kinds[1].1)), "without a pool it is easy");
}

#[test]
fn a_box_that_changes_on_a_conflict_is_not_certain_any_more() {
    // RFC 4787 section 8: endpoint-independent, until two inside hosts want the same port.
    let mut fickle = presets::port_restricted();
    fickle.on_conflict = vec![presets::linux_masquerade_random().behaviour];
    let strict = presets::port_restricted();
    let judgement = judge(&end(1, &fickle), &end(2, &strict));
    assert!(!judgement.plain);
    let said = judgement.prediction.bound(Budget::default(), Conditions::default());
    assert!(said.reached < 0.7 && said.at_most >= 1.0, "{said:?}");
}
