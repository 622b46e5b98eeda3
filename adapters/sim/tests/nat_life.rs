//! What befalls a NAT while connections go through it: forwards, reboots, crashes, new addresses,
//! moved mappings, changed settings. Seen by nodes without a machine.

mod talker;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_sim::capture::Interface;
use genkan_sim::nat::{Foreign, Hairpin, Limits, Overflow, Unsolicited};
use genkan_sim::{Fate, Faults, Filtering, HostId, Mapping, NatConfig, NatId, Proto, World};
use talker::{
    INSIDE, STREAM, accepted, address, behind, connect, heard, ip, last_seen, millis, send, server,
    talker, two_houses, write,
};

/// A server, and a host behind a NAT that it has just written through.
fn house(config: NatConfig) -> (World, HostId, NatId, HostId) {
    let mut world = World::new(1);
    let server = server(&mut world);
    let nat = world.add_nat("nat", ip(9), None, config);
    let host = behind(&mut world, nat, "host", 2);
    send(&mut world, host, address(2), b"hello");
    world.run_for(millis(100));
    (world, server, nat, host)
}

/// Whether something from the server to there arrives at the host.
fn reaches(world: &mut World, server: HostId, outside: SocketAddr, host: HostId) -> bool {
    let before = heard(world, host).len();
    send(world, server, outside, b"in");
    world.run_for(millis(100));
    heard(world, host).len() > before
}

#[test]
fn a_forwarded_port_leads_in_for_strangers_over_udp_and_tcp() {
    let (mut world, server, nat, _) = house(NatConfig::default());
    let spec = genkan_sim::HostSpec::new("camera", [10, 0, 0, 3].into()).behind(nat).listening();
    let camera = world.add_host(spec, |_| talker::Talker::default());
    let outside = SocketAddr::new(ip(9), 8_000);
    assert!(!reaches(&mut world, server, outside, camera));
    let inside = SocketAddr::new([10, 0, 0, 3].into(), 4_600);
    world.nat_mut(nat).forward(Proto::Udp, 8_000, inside);
    world.nat_mut(nat).forward(Proto::Tcp, 8_000, inside);
    assert!(reaches(&mut world, server, outside, camera));
    connect(&mut world, server, outside);
    world.run_for(millis(100));
    let stream = accepted(&world, camera);
    write(&mut world, server, STREAM, b"hello");
    world.run_for(millis(100));
    assert_eq!(talker(&world, camera).received[&stream], b"hello");
    world.nat_mut(nat).unforward(Proto::Udp, 8_000);
    assert!(!reaches(&mut world, server, outside, camera));
}

#[test]
fn a_moved_mapping_sends_from_a_new_port_and_the_old_one_still_leads_in() {
    let (mut world, server, nat, host) = house(NatConfig::default());
    let old = last_seen(&world, server);
    world.at(Duration::from_secs(5), move |world| world.nat_mut(nat).remap(INSIDE));
    world.run_until(Duration::from_secs(6));
    send(&mut world, host, address(2), b"hello");
    world.run_for(millis(100));
    let new = last_seen(&world, server);
    assert_ne!(new, old);
    assert!(reaches(&mut world, server, new, host));
    assert!(reaches(&mut world, server, old, host));
    world.run_for(Duration::from_secs(115));
    assert!(!reaches(&mut world, server, old, host), "it has died");
}

#[test]
fn a_box_that_crashes_under_too_many_mappings_lets_nothing_pass_for_a_while() {
    let overflow = Overflow::Crash(Duration::from_secs(30));
    let limits = Limits { per_inside: None, total: Some(10), rate: None, overflow };
    let mut config = NatConfig::new(Mapping::AddressAndPortDependent, Filtering::AddressDependent);
    config.limits = limits;
    let (mut world, server, _, host) = house(config);
    let outside = last_seen(&world, server);
    assert!(reaches(&mut world, server, outside, host));
    for port in 1..=10 {
        send(&mut world, host, SocketAddr::new(ip(2), port), b"spray");
    }
    assert!(!reaches(&mut world, server, outside, host));
    let refused = |world: &mut World| {
        send(world, host, address(2), b"hello");
        world.run_for(millis(100));
        let fate = world.transcript().entries().last().map(|entry| entry.fate);
        matches!(fate, Some(Fate::Unroutable(_)))
    };
    assert!(refused(&mut world));
    world.run_for(Duration::from_secs(30));
    assert!(!refused(&mut world));
    let outside = last_seen(&world, server);
    assert!(reaches(&mut world, server, outside, host));
}

#[test]
fn settings_change_under_way() {
    let (mut world, server, nat, host) = house(NatConfig::default());
    let outside = last_seen(&world, server);
    assert!(reaches(&mut world, server, outside, host));
    world.nat_mut(nat).config_mut().udp = false;
    assert!(!reaches(&mut world, server, outside, host));
    world.nat_mut(nat).config_mut().udp = true;
    assert!(reaches(&mut world, server, outside, host));
    world.renumber_nat(nat, ip(10));
    assert!(!reaches(&mut world, server, outside, host), "nobody has the address any more");
    assert!(!reaches(&mut world, server, SocketAddr::new(ip(10), outside.port()), host));
}

#[test]
fn a_packet_that_came_too_early_costs_the_port() {
    let early = |unsolicited| {
        let mut world = World::new(2);
        let mut config = NatConfig { unsolicited, ..NatConfig::default() };
        config.behaviour.mapping = Mapping::AddressAndPortDependent;
        let (left, right) = two_houses(&mut world, NatConfig::default(), config);
        // The next port of the counter, which the right one's next flow would have.
        let next = SocketAddr::new(right.seen.ip(), right.seen.port() + 1);
        send(&mut world, left.host, next, b"too early");
        world.run_for(millis(100));
        send(&mut world, right.host, left.seen, b"out");
        world.run_for(millis(100));
        let got = world.nat_mut(right.nat).mapped(Proto::Udp, INSIDE, left.seen);
        (got == Some(next), talker(&world, left.host).errors.len())
    };
    assert_eq!(early(Unsolicited::Drop), (true, 0));
    assert_eq!(early(Unsolicited::Occupy), (false, 1));
}

#[test]
fn the_reset_of_a_box_goes_the_way_that_other_packets_go() {
    let told = |hinder: fn(&mut World, HostId, HostId)| {
        let unsolicited = Unsolicited::Reset(Duration::ZERO);
        let (mut world, server, _, host) = house(NatConfig { unsolicited, ..NatConfig::default() });
        hinder(&mut world, host, server);
        connect(&mut world, server, SocketAddr::new(ip(9), 9_999));
        world.run_for(millis(500));
        let fate = world.transcript().entries().last().map(|entry| entry.fate);
        let delivered = matches!(fate, Some(Fate::Delivered(_)));
        assert_eq!(delivered, !talker(&world, server).states.is_empty());
        fate
    };
    assert!(matches!(told(|_, _, _| ()), Some(Fate::Delivered(_))));
    assert_eq!(told(|world, host, server| world.cut(host, server)), Some(Fate::Cut));
    let blocked = told(|world, host, server| {
        let path = Faults { tcp_blocked: true, ..Faults::lan() };
        world.set_path(host, server, path);
    });
    assert_eq!(blocked, Some(Fate::Blocked));
    let queued = told(|world, host, server| {
        let path = Faults::lan().with_rate(10, 0);
        world.set_path(host, server, path);
        // The line is busy with this for four seconds and more.
        send(world, host, address(2), b"long");
    });
    assert_eq!(queued, Some(Fate::QueueFull));
}

/// Everything at once: the same seed gives the same run, and the capture does not matter.
#[test]
fn worlds_with_all_kinds_of_boxes_are_the_same_for_the_same_seed() {
    let run = |seed: u64, capture: bool| {
        let mut world = World::new(seed);
        world.capture(capture);
        let mut config = NatConfig::new(Mapping::AddressDependent, Filtering::AddressDependent);
        config.foreign = Some(Foreign {
            rate: 50.0,
            bursts: 1.0,
            burst_size: 5.0,
            stay: Duration::from_secs(9),
        });
        config.hairpin = Hairpin::ExternalSource;
        config.unsolicited = Unsolicited::Icmp;
        let (left, right) = two_houses(&mut world, config.clone(), config);
        for host in [left.host, right.host] {
            world.set_line(host, &Faults::hostile().with_rate(20_000, 2_000));
            world.set_drift(host, 300);
        }
        for n in 0..300u16 {
            let (from, to) = if n % 2 == 0 { (left, right) } else { (right, left) };
            let to = SocketAddr::new(to.seen.ip(), to.seen.port() + n % 7);
            world.at(millis(u64::from(n) * 30), move |world| {
                talker::send_far(world, from.host, to, (n % 40) as u8);
                if n % 50 == 0 {
                    world.nat_mut(from.nat).reboot();
                }
            });
        }
        connect(&mut world, left.host, address(2));
        world.run_until(Duration::from_secs(30));
        let inside =
            |frame: &&genkan_sim::capture::Frame| frame.interface == Interface::Inside(left.nat);
        let frames = world.captured().iter().filter(inside).count();
        assert_eq!(frames > 100, capture);
        (world.transcript().hash(), world.transcript().to_string())
    };
    let first = run(1, true);
    assert!(first.1.contains("ICMP time exceeded") && first.1.contains("ICMP prohibited"));
    assert_eq!(first, run(1, false));
    assert_ne!(first.0, run(2, false).0);
}
