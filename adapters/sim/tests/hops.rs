//! Hop limits and ICMP errors, seen by nodes without a machine.

mod talker;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::SocketId;
use genkan_sim::capture::IcmpError;
use genkan_sim::nat::Unsolicited;
use genkan_sim::{
    Death, Entry, Fate, Faults, Filtering, NatConfig, Origin, Proto, Unroutable, Verdict, Via,
    World,
};
use talker::{
    INSIDE, Talker, address, heard, ip, millis, pair, send, send_far, talker, two_houses,
};

fn hops(hops: u8) -> NatConfig {
    NatConfig { hops, ..NatConfig::default() }
}

fn unsolicited(unsolicited: Unsolicited) -> NatConfig {
    NatConfig { unsolicited, ..NatConfig::default() }
}

fn entries(world: &World, icmp: bool) -> Vec<&Entry> {
    let entries = world.transcript().entries();
    entries.filter(|entry| matches!(entry.via, Via::Icmp(_)) == icmp).collect()
}

/// The sender's NAT is the third router; four and four follow on the lines (which take 20 ms); the
/// receiver's NAT is the twelfth, and one more stands behind it.
#[test]
fn how_far_a_hop_limit_reaches() {
    for limit in 1..=14 {
        let mut world = World::new(1);
        let (left, right) = two_houses(&mut world, hops(3), hops(2));
        // The receiver's side is open to all that comes, so that only the hop limit counts.
        let filtering = &mut world.nat_mut(right.nat).config_mut().behaviour.filtering;
        *filtering = Filtering::EndpointIndependent;
        world.nat_mut(left.nat).reboot();
        world.clear_transcript();
        let start = world.now();
        send_far(&mut world, left.host, right.seen, limit);
        let mapped = world.nat_mut(left.nat).mapped(Proto::Udp, INSIDE, right.seen);
        assert_eq!(mapped.is_some(), limit > 3, "limit {limit}: no mapping before its own NAT");
        world.run_for(Duration::from_secs(1));
        let arrives = limit > 13;
        assert_eq!(heard(&world, right.host).len(), usize::from(arrives), "limit {limit}");
        let fate = entries(&world, false)[0].fate;
        assert_eq!(fate == Fate::Expired, !arrives, "limit {limit}: {fate:?}");
        // The sender hears of it, through its NAT, about the packet as it sent it.
        let errors = &talker(&world, left.host).errors;
        assert_eq!(errors.len(), usize::from(!arrives), "limit {limit}");
        for &(at, error, about) in errors {
            let quoted = (about.proto, about.local, about.remote);
            assert_eq!((error, quoted.0), (IcmpError::TimeExceeded, Proto::Udp));
            assert_eq!((quoted.1, quoted.2), (INSIDE, right.seen));
            let there = match limit {
                0..=3 => Duration::from_micros(200),
                4..=11 => millis(20).mul_f64(f64::from(limit - 3) / 8.0),
                _ => millis(20),
            };
            assert_eq!(at, world.instant_at(left.host, start + there * 2), "limit {limit}");
        }
    }
}

/// Why hop limits are used at all: a NAT that punishes whoever comes too early is not reached, and
/// the sender's own is open all the same.
#[test]
fn a_bubble_opens_its_own_nat_and_leaves_the_other_alone() {
    for (limit, passes) in [(9, true), (10, false), (64, false)] {
        let mut world = World::new(2);
        let blocks = unsolicited(Unsolicited::BlockRemote(Duration::from_secs(60)));
        let (left, right) = two_houses(&mut world, NatConfig::default(), blocks);
        send_far(&mut world, left.host, right.seen, limit);
        world.run_for(millis(100));
        send(&mut world, right.host, left.seen, b"in");
        world.run_for(millis(100));
        assert_eq!(heard(&world, left.host), [(right.seen, &b"in"[..])], "the bubble opened it");
        send(&mut world, left.host, right.seen, b"back");
        world.run_for(millis(100));
        let heard = heard(&world, right.host).len();
        // The tenth router is the other NAT: what ends there has passed its filter.
        assert_eq!(heard, usize::from(passes), "limit {limit}");
    }
}

#[test]
fn a_host_without_the_socket_says_so_unless_it_is_off() {
    let (mut world, left, right) = pair(3);
    let closed = SocketAddr::new(ip(2), 9);
    send(&mut world, left, closed, b"anybody?");
    world.run_for(millis(39));
    assert!(talker(&world, left).errors.is_empty());
    world.run_for(millis(1));
    let (at, error, about) = talker(&world, left).errors[0];
    assert_eq!((error, about.remote), (IcmpError::PortUnreachable, closed));
    assert_eq!((at, about.local), (world.instant(left), address(1)));
    let told = entries(&world, true)[0];
    assert_eq!((told.from.as_str(), told.to.as_str()), ("right", "left"));
    assert_eq!((told.fate, told.origin), (Fate::Delivered(millis(40)), Origin::Network));
    assert_eq!(told.to_string(), "t=0.020 right → left ICMP port unreachable");

    world.kill(right, Death::Silent);
    send(&mut world, left, closed, b"anybody?");
    world.run_for(millis(100));
    assert_eq!(talker(&world, left).errors.len(), 1);
}

#[test]
fn an_icmp_error_can_be_lost_cut_and_dropped() {
    let closed = SocketAddr::new(ip(2), 9);
    let run = |prepare: fn(&mut World, genkan_sim::HostId, genkan_sim::HostId)| {
        let (mut world, left, right) = pair(4);
        prepare(&mut world, left, right);
        send(&mut world, left, closed, b"anybody?");
        world.run_for(millis(100));
        assert!(talker(&world, left).errors.is_empty());
        entries(&world, true)[0].fate
    };
    let lossy = |world: &mut World, left, _| {
        world.set_down(left, Faults::default().with_loss(1.0));
    };
    assert_eq!(run(lossy), Fate::Lost);
    assert_eq!(run(|world, left, right| world.cut(right, left)), Fate::Cut);
    let hooked = run(|world, _, _| {
        world.hook(|packet| match packet.via {
            Via::Icmp(_) => Verdict::Drop,
            _ => Verdict::Pass,
        });
    });
    assert_eq!(hooked, Fate::Hooked);
}

#[test]
fn a_nat_that_refuses_by_icmp_tells_the_sender() {
    let mut world = World::new(5);
    let (left, right) =
        two_houses(&mut world, NatConfig::default(), unsolicited(Unsolicited::Icmp));
    // Nothing is mapped there, whatever the present body of the NAT says of its filter.
    let nobody = SocketAddr::new(right.seen.ip(), 60_000);
    send(&mut world, left.host, nobody, b"too early");
    world.run_for(millis(100));
    let dropped = entries(&world, false).last().unwrap().to_string();
    assert!(dropped.ends_with("→ right nat 9 bytes (dropped by a NAT)"), "{dropped}");
    let errors: Vec<_> =
        talker(&world, left.host).errors.iter().map(|error| (error.1, error.2.remote)).collect();
    assert_eq!(errors, [(IcmpError::Prohibited, nobody)]);
    let told = entries(&world, true)[0];
    assert_eq!((told.from.as_str(), told.source.ip()), ("right nat", right.seen.ip()));
    assert!(heard(&world, right.host).is_empty());
}

#[test]
fn a_nat_that_forgot_the_packet_keeps_the_error_to_itself() {
    let mut world = World::new(6);
    let (left, right) = two_houses(&mut world, NatConfig::default(), NatConfig::default());
    send_far(&mut world, left.host, right.seen, 9);
    world.nat_mut(left.nat).reboot();
    world.run_for(millis(100));
    assert!(talker(&world, left.host).errors.is_empty());
    assert_eq!(entries(&world, true)[0].fate, Fate::Unroutable(Unroutable::Nat));
}

#[test]
fn errors_come_to_the_socket_owner_also_from_a_second_socket() {
    let (mut world, left, _) = pair(7);
    let second = SocketId(7);
    world.bind_udp(left, second, 5_000);
    world.with(left, |_: &mut Talker, io| {
        io.send_datagram(second, address(2), Some(3), b"x".to_vec());
    });
    world.run_for(millis(100));
    let about = talker(&world, left).errors[0].2;
    assert_eq!((about.local, about.remote), (SocketAddr::new(ip(1), 5_000), address(2)));
}

/// Each router on the way has an address of its own, those within a box of several too, so that a
/// traceroute shows a way and not one router again and again.
#[test]
fn each_router_reports_by_its_own_number() {
    for limit in 1..=14 {
        let mut world = World::new(1);
        let (left, right) = two_houses(&mut world, hops(3), hops(3));
        let filtering = &mut world.nat_mut(right.nat).config_mut().behaviour.filtering;
        *filtering = Filtering::EndpointIndependent;
        world.clear_transcript();
        send_far(&mut world, left.host, right.seen, limit);
        world.run_for(Duration::from_secs(1));
        let teller = entries(&world, true)[0].source.ip();
        let expected = match limit {
            3 => ip(11),
            12 => ip(12),
            number => [198, 18, 0, number].into(),
        };
        assert_eq!(teller, expected, "limit {limit}");
    }
}
