//! Houses, carriers, firewalls and pools: who reaches whom, seen by nodes without a machine.

mod talker;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::SocketId;
use genkan_sim::capture::IcmpError;
use genkan_sim::nat::{Hairpin, Leases, Pooling, Translation};
use genkan_sim::{
    Faults, Filtering, HostId, HostSpec, Mapping, NatConfig, NatId, NatSpec, Proto, Verdict, World,
};
use talker::{INSIDE, Talker, address, behind, heard, ip, last_seen, millis, send, server, talker};

fn open(hairpin: Hairpin) -> NatConfig {
    let config = NatConfig::new(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
    NatConfig { hairpin, ..config }
}

/// 2001:db8:`net`::2
const fn v6(net: u16) -> IpAddr {
    IpAddr::V6(core::net::Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, 2))
}

/// The address at which the server sees a host.
fn seen(world: &mut World, server: HostId, host: HostId) -> SocketAddr {
    send(world, host, address(2), b"where am I?");
    world.run_for(millis(100));
    last_seen(world, server)
}

#[test]
fn on_the_same_lan_neighbours_talk_directly() {
    let mut world = World::new(1);
    let nat = world.add_nat("nat", ip(9), None, NatConfig::default());
    let (left, right) = (behind(&mut world, nat, "left", 2), behind(&mut world, nat, "right", 3));
    let neighbour = SocketAddr::new(IpAddr::from([10, 0, 0, 3]), 4_600);
    // Not even the lowest hop limit ends there.
    talker::send_far(&mut world, left, neighbour, 1);
    world.run_for(Duration::from_micros(200));
    assert_eq!(heard(&world, right), [(INSIDE, &[0, 1][..])]);
    assert_eq!(world.nat_mut(nat).mapped(Proto::Udp, INSIDE, neighbour), None);
}

#[test]
fn hairpins_are_refused_or_turn_with_the_inside_or_the_outside_source() {
    for hairpin in [Hairpin::None, Hairpin::InternalSource, Hairpin::ExternalSource] {
        let mut world = World::new(2);
        let config = NatConfig { hairpin_delay: millis(30), ..open(hairpin) };
        let nat = world.add_nat("nat", ip(9), None, config);
        let server = server(&mut world);
        let (left, right) =
            (behind(&mut world, nat, "left", 2), behind(&mut world, nat, "right", 3));
        let (left_seen, right_seen) =
            (seen(&mut world, server, left), seen(&mut world, server, right));
        let start = world.now();
        send(&mut world, left, right_seen, b"round");
        world.run_for(millis(100));
        let got = talker(&world, right).datagrams.first().map(|got| (got.0, got.1));
        let at = world.instant_at(right, start + millis(30) + Duration::from_micros(200));
        let expected = match hairpin {
            Hairpin::None | Hairpin::Forwards => None,
            Hairpin::InternalSource => Some((at, INSIDE)),
            Hairpin::ExternalSource => Some((at, left_seen)),
        };
        assert_eq!(got, expected, "{hairpin:?}");
        // What nobody receives comes back as an error about the packet as it was sent.
        world.close_udp(right, SocketId::MAIN);
        send(&mut world, left, right_seen, b"closed");
        world.run_for(millis(100));
        let error = talker(&world, left).errors.first().map(|error| (error.1, error.2.remote));
        let expected =
            (hairpin != Hairpin::None).then_some((IcmpError::PortUnreachable, right_seen));
        assert_eq!(error, expected, "{hairpin:?}");
    }
}

/// Two houses, each with a router of its own, behind one carrier's NAT.
fn same_carrier(world: &mut World, hairpin: Hairpin) -> (HostId, [HostId; 2]) {
    let carrier = world.add_nat("carrier", ip(9), None, open(hairpin));
    let server = server(world);
    let mut house = |name: &str, last: u8| {
        let external = IpAddr::from([100, 64, 0, last]);
        let config = open(Hairpin::None);
        let nat = world.add_nat(&format!("{name} router"), external, Some(carrier), config);
        behind(world, nat, name, 2)
    };
    let (left, right) = (house("left", 1), house("right", 2));
    (server, [left, right])
}

#[test]
fn customers_of_one_carrier_meet_only_where_it_hairpins() {
    for hairpin in [Hairpin::None, Hairpin::InternalSource, Hairpin::ExternalSource] {
        let mut world = World::new(3);
        let (server, [left, right]) = same_carrier(&mut world, hairpin);
        let (left_seen, right_seen) =
            (seen(&mut world, server, left), seen(&mut world, server, right));
        assert_eq!((left_seen.ip(), right_seen.ip()), (ip(9), ip(9)));
        send(&mut world, left, right_seen, b"round");
        world.run_for(millis(100));
        let from = talker(&world, right).datagrams.first().map(|got| got.1);
        let expected = match hairpin {
            Hairpin::None | Hairpin::Forwards => None,
            // The carrier's inside is the house's outside.
            Hairpin::InternalSource => Some(IpAddr::from([100, 64, 0, 1])),
            Hairpin::ExternalSource => Some(ip(9)),
        };
        assert_eq!(from.map(|from| from.ip()), expected, "{hairpin:?}");
        // The address in the carrier's own network works without it.
        let near = SocketAddr::new(IpAddr::from([100, 64, 0, 2]), 1);
        let entry = {
            send(&mut world, left, near, b"near");
            world.transcript().entries().last().unwrap().to.clone()
        };
        assert_eq!(entry, near.to_string());
    }
}

#[test]
fn behind_two_boxes_both_translate_and_both_must_know_the_answer() {
    let mut world = World::new(4);
    let carrier = world.add_nat("carrier", ip(9), None, NatConfig::default());
    let home = IpAddr::from([100, 64, 0, 1]);
    let home = world.add_nat("home", home, Some(carrier), NatConfig::default());
    let server = server(&mut world);
    let host = behind(&mut world, home, "host", 2);
    let outside = seen(&mut world, server, host);
    assert_eq!(outside.ip(), ip(9));
    send(&mut world, server, outside, b"in");
    world.run_for(millis(100));
    assert_eq!(heard(&world, host), [(address(2), &b"in"[..])]);
    for nat in [home, carrier] {
        world.nat_mut(nat).reboot();
        send(&mut world, server, outside, b"lost");
        world.run_for(millis(100));
        assert_eq!(heard(&world, host).len(), 1);
    }
}

/// A home with IPv4 behind a NAT and IPv6 behind a firewall, as most have today.
fn dual_stack(world: &mut World) -> (NatId, NatId, HostId) {
    let router = world.add_nat("router", ip(9), None, NatConfig::default());
    let config = NatConfig { translation: Translation::None, ..NatConfig::default() };
    let firewall = world.add_gateway(NatSpec::new("firewall", config).beside(router));
    let spec = HostSpec::new("host", INSIDE.ip()).address(v6(1)).behind(router);
    let host = world.add_host(spec, |_| Talker::default());
    (router, firewall, host)
}

#[test]
fn a_dual_stack_host_is_translated_in_one_family_and_filtered_in_the_other() {
    let mut world = World::new(5);
    let (_, firewall, host) = dual_stack(&mut world);
    let spec = HostSpec::new("server", ip(2)).address(v6(2));
    let server = world.add_host(spec, |_| Talker::default());
    let (inside, outside) = (v6(1), v6(2));
    let (inside, outside) = (SocketAddr::new(inside, 4_600), SocketAddr::new(outside, 4_600));
    send(&mut world, server, inside, b"uninvited");
    world.run_for(millis(100));
    assert!(heard(&world, host).is_empty());
    let entry = world.transcript().entries().last().unwrap();
    assert!(entry.to_string().contains("firewall"), "{entry}");
    send(&mut world, host, outside, b"out");
    send(&mut world, host, address(2), b"out");
    world.run_for(millis(100));
    let from: Vec<_> = heard(&world, server).iter().map(|got| got.0).collect();
    assert_eq!(from[0], inside, "nothing was translated");
    assert_eq!(from[1].ip(), ip(9));
    send(&mut world, server, inside, b"in");
    world.run_for(millis(100));
    assert_eq!(heard(&world, host), [(outside, &b"in"[..])]);
    world.nat_mut(firewall).reboot();
    send(&mut world, server, inside, b"lost");
    world.run_for(millis(100));
    assert_eq!(heard(&world, host).len(), 1);
}

#[test]
fn a_second_line_is_used_when_it_is_preferred() {
    let mut world = World::new(6);
    let server = server(&mut world);
    let first = world.add_nat("first", ip(9), None, NatConfig::default());
    let spec = NatSpec::new("second", NatConfig::default()).external(ip(10)).beside(first);
    let second = world.add_gateway(spec);
    let host = behind(&mut world, first, "host", 2);
    assert_eq!(seen(&mut world, server, host).ip(), ip(9));
    world.prefer_nat(second);
    let outside = seen(&mut world, server, host);
    assert_eq!(outside.ip(), ip(10));
    send(&mut world, server, outside, b"in");
    world.run_for(millis(100));
    assert_eq!(heard(&world, host).len(), 1);
}

#[test]
fn of_a_pool_each_destination_may_see_another_address() {
    let mut world = World::new(7);
    let config = NatConfig {
        pooling: Pooling::PerDestination,
        ..NatConfig::new(Mapping::AddressDependent, Filtering::AddressAndPortDependent)
    };
    let pool = [ip(9), ip(10), ip(11), ip(12)];
    let spec = pool.iter().fold(NatSpec::new("nat", config), |spec, &one| spec.external(one));
    let nat = world.add_gateway(spec);
    let host = behind(&mut world, nat, "host", 2);
    let mut from = Vec::new();
    for last in 20..40 {
        let spec = HostSpec::new(&format!("server{last}"), ip(last));
        let server = world.add_host(spec, |_| Talker::default());
        send(&mut world, host, address(last), b"out");
        world.run_for(millis(100));
        let outside = talker(&world, server).datagrams[0].1;
        assert!(pool.contains(&outside.ip()));
        from.push(outside.ip());
        send(&mut world, server, outside, b"in");
        world.run_for(millis(100));
    }
    assert_eq!(heard(&world, host).len(), 20, "every address of the pool leads in");
    from.sort_unstable();
    from.dedup();
    assert!(from.len() > 1, "{from:?}");
    world.renumber_nat_pool(nat, &[ip(13)]);
    send(&mut world, host, address(20), b"out");
    world.run_for(millis(100));
    assert_eq!(world.transcript().entries().last().unwrap().source.ip(), ip(13));
}

#[test]
fn a_gateway_answers_port_control_and_nothing_else() {
    let mut world = World::new(8);
    let inner = IpAddr::from([10, 0, 0, 1]);
    let add = |world: &mut World, leases: Option<Leases>, external: u8| {
        let config = NatConfig { leases, ..NatConfig::default() };
        let spec = NatSpec::new("nat", config).external(ip(external)).inner(inner);
        let nat = world.add_gateway(spec);
        (nat, behind(world, nat, "host", 2))
    };
    let longest = Duration::from_secs(7_200);
    let leases = Leases { nat_pmp: true, pcp: true, longest, most: 10 };
    let (nat, host) = add(&mut world, Some(leases), 9);
    assert_eq!(world.gateway(nat), Some(inner));
    let ask = SocketAddr::new(inner, 5_351);
    let start = world.now();
    // RFC 6886 section 3.2: what is the external address?
    send(&mut world, host, ask, &[0, 0]);
    world.run_for(millis(100));
    let (at, from, answer) = talker(&world, host).datagrams[0].clone();
    assert_eq!(
        (from, &answer[..4], &answer[8..]),
        (ask, &[0, 128, 0, 0][..], &[203, 0, 113, 9][..])
    );
    assert_eq!(at, world.instant_at(host, start + Faults::lan().latency * 2));
    let text = world.transcript().entries().last().unwrap().to_string();
    assert!(text.ends_with("→ host 12 bytes"), "{text}");

    send(&mut world, host, SocketAddr::new(inner, 53), b"dns?");
    world.run_for(millis(100));
    assert_eq!(talker(&world, host).errors[0].1, IcmpError::PortUnreachable);
    let (_, host) = add(&mut world, None, 10);
    send(&mut world, host, ask, &[0, 0]);
    world.run_for(millis(100));
    assert_eq!(talker(&world, host).errors[0].1, IcmpError::PortUnreachable);
}

/// What a box answers itself is a packet as others are: a hook can lose, change and double it.
#[test]
fn a_hook_decides_about_what_a_gateway_answers() {
    let heard = |verdict: Verdict| {
        let mut world = World::new(8);
        let inner = IpAddr::from([10, 0, 0, 1]);
        let config = genkan_sim::nat::presets::rfc4787();
        let nat = world.add_gateway(NatSpec::new("nat", config).external(ip(9)).inner(inner));
        let host = behind(&mut world, nat, "host", 2);
        world.hook(move |packet| match packet.source.port() {
            5_351 => verdict.clone(),
            _ => Verdict::Pass,
        });
        send(&mut world, host, SocketAddr::new(inner, 5_351), &[0, 0]);
        world.run_for(Duration::from_secs(1));
        let datagrams = &talker(&world, host).datagrams;
        datagrams.iter().map(|(_, _, bytes)| bytes.len()).collect::<Vec<_>>()
    };
    assert_eq!(heard(Verdict::Pass), [12]);
    assert_eq!(heard(Verdict::Drop), [0; 0]);
    assert_eq!(heard(Verdict::Replace(vec![7])), [1]);
    assert_eq!(heard(Verdict::Duplicate(millis(5))), [12, 12]);
}

#[test]
fn an_application_level_gateway_rewrites_addresses_in_payloads_both_ways() {
    for rewrites_payload in [true, false] {
        let mut world = World::new(9);
        let server = server(&mut world);
        let config = NatConfig { rewrites_payload, ..NatConfig::default() };
        let nat = world.add_nat("nat", ip(9), None, config);
        let host = behind(&mut world, nat, "host", 2);
        let text = |address: SocketAddr| {
            let IpAddr::V4(ip) = address.ip() else { panic!("IPv6") };
            [&b"I am "[..], &ip.octets(), &address.port().to_be_bytes()].concat()
        };
        send(&mut world, host, address(2), &text(INSIDE));
        world.run_for(millis(100));
        let (outside, got) = heard(&world, server)[0];
        assert_eq!(got, text(if rewrites_payload { outside } else { INSIDE }));
        send(&mut world, server, outside, &text(outside));
        world.run_for(millis(100));
        let (_, got) = heard(&world, host)[0];
        assert_eq!(got, text(if rewrites_payload { INSIDE } else { outside }));
    }
}

#[test]
fn a_bubble_below_a_gateways_own_hops_never_reaches_its_hairpin() {
    let mut world = World::new(10);
    let config = NatConfig { hops: 2, ..open(Hairpin::ExternalSource) };
    let nat = world.add_nat("nat", ip(9), None, config);
    let server = server(&mut world);
    let (left, right) = (behind(&mut world, nat, "left", 2), behind(&mut world, nat, "right", 3));
    let right_seen = seen(&mut world, server, right);
    for limit in 1..=4 {
        world.with(left, |_: &mut Talker, io| {
            io.send_datagram(SocketId::MAIN, right_seen, Some(limit), vec![0, limit]);
        });
    }
    world.run_for(millis(100));
    // Out to the second router, round, and back through the first.
    assert_eq!(heard(&world, right).iter().map(|got| got.1[1]).collect::<Vec<_>>(), [4]);
}

/// Each box has chance of its own, whatever it is called.
#[test]
fn boxes_of_one_name_draw_different_ports() {
    let mut world = World::new(1);
    let server = server(&mut world);
    let config = genkan_sim::nat::presets::linux_masquerade_fully_random();
    let ports = [11, 12].map(|last| {
        let nat = world.add_nat("home", ip(last), None, config.clone());
        let host = behind(&mut world, nat, &format!("host {last}"), 2);
        seen(&mut world, server, host).port()
    });
    assert_ne!(ports[0], ports[1]);
}
