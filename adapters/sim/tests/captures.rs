//! What a capture shows at each interface, seen by nodes without a machine.

mod talker;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::Command;
use genkan_sim::capture::{Frame, IcmpError, Interface, Load, SegmentKind};
use genkan_sim::{Death, Faults, HostId, NatConfig, NatId, World};
use talker::{
    INSIDE, STREAM, Talker, address, behind, connect, ip, millis, send, send_far, server,
};

struct House {
    world: World,
    server: HostId,
    nat: NatId,
    host: HostId,
}

/// A server and a host behind a NAT that is its second router, from now on captured.
fn house() -> House {
    let mut world = World::new(1);
    let server = server(&mut world);
    let nat = world.add_nat("nat", ip(9), None, NatConfig { hops: 2, ..NatConfig::default() });
    let host = behind(&mut world, nat, "host", 2);
    world.capture(true);
    House { world, server, nat, host }
}

/// Each frame as a line: time in µs, where, which way, addresses, hop limit.
fn lines(world: &World) -> Vec<String> {
    let line = |frame: &Frame| {
        let way = if frame.inbound { "in" } else { "out" };
        let Frame { source, destination, hop_limit, .. } = frame;
        let (at, name) = (frame.at.as_micros(), world.interface_name(frame.interface));
        format!("{at} {name} {way} {source} {destination} {hop_limit}")
    };
    world.captured().iter().map(line).collect()
}

#[test]
fn a_datagram_is_seen_on_both_sides_of_a_nat_with_the_addresses_that_it_has_there() {
    let mut house = house();
    let world = &mut house.world;
    send(world, house.host, address(2), b"out");
    world.run_until(millis(20));
    let outside = talker::talker(world, house.server).datagrams[0].1;
    send(world, house.server, outside, b"in");
    world.run_until(millis(40));
    let expected = [
        format!("0 host out {INSIDE} 203.0.113.2:4600 64"),
        format!("0 nat inside in {INSIDE} 203.0.113.2:4600 63"),
        format!("0 nat outside out {outside} 203.0.113.2:4600 62"),
        format!("20000 server in {outside} 203.0.113.2:4600 54"),
        format!("20000 server out 203.0.113.2:4600 {outside} 64"),
        format!("40000 nat outside in 203.0.113.2:4600 {outside} 56"),
        format!("40000 nat inside out 203.0.113.2:4600 {INSIDE} 55"),
        format!("40000 host in 203.0.113.2:4600 {INSIDE} 54"),
    ];
    assert_eq!(lines(world), expected);
    let loads: Vec<_> = world.captured().iter().map(|frame| &frame.load).collect();
    assert!(loads[..4].iter().all(|load| **load == Load::Udp(b"out".to_vec())));
    assert!(loads[4..].iter().all(|load| **load == Load::Udp(b"in".to_vec())));
    let (host, server) = (Interface::Host(house.host), Interface::Host(house.server));
    let nat = [Interface::Inside(house.nat), Interface::Outside(house.nat)];
    assert_eq!(world.interfaces(), [server, host, nat[0], nat[1]]);
}

#[test]
fn what_is_stopped_is_seen_as_far_as_it_came_and_so_is_the_error() {
    // Hop limit, lines of the packet, lines of the error.
    let cases = [(1, 1, 1), (2, 2, 1), (3, 3, 3), (10, 3, 3), (11, 4, 0)];
    for (limit, seen, error) in cases {
        let mut house = house();
        let world = &mut house.world;
        send_far(world, house.host, address(2), limit);
        world.run_for(millis(100));
        let errors =
            world.captured().iter().filter(|frame| matches!(frame.load, Load::Icmp { .. })).count();
        assert_eq!((world.captured().len() - errors, errors), (seen, error), "{limit}");
        assert_eq!(world.captured().last().unwrap().hop_limit == 1, error == 0, "{limit}");
    }
    let mut house = house();
    let world = &mut house.world;
    world.set_up(house.host, Faults::default().with_loss(1.0));
    send(world, house.host, address(2), b"lost");
    let nowhere = SocketAddr::new(ip(9), 60_000);
    send(world, house.server, nowhere, b"uninvited");
    world.run_for(millis(100));
    let text = lines(world).join("\n");
    assert_eq!(text.matches("\n0 nat outside out").count(), 1, "{text}");
    assert_eq!(text.matches("nat outside in").count(), 1, "{text}");
    assert_eq!(world.captured().len(), 5, "{text}");
}

#[test]
fn an_icmp_error_quotes_the_packet_as_it_was_at_each_interface() {
    let mut house = house();
    let world = &mut house.world;
    send(world, house.host, SocketAddr::new(ip(2), 9), b"closed");
    world.run_for(millis(100));
    let mapped = world.captured()[2].source;
    let errors: Vec<_> = world.captured()[4..].iter().collect();
    let sources: Vec<_> = errors
        .iter()
        .map(|frame| match frame.load {
            Load::Icmp { error: IcmpError::PortUnreachable, source, destination, tcp: false } => {
                assert_eq!(destination, SocketAddr::new(ip(2), 9));
                (frame.interface, frame.inbound, frame.destination.ip(), source)
            }
            ref other => panic!("{other:?}"),
        })
        .collect();
    let nat = house.nat;
    let expected = [
        (Interface::Host(house.server), false, mapped.ip(), mapped),
        (Interface::Outside(nat), true, mapped.ip(), mapped),
        (Interface::Inside(nat), false, INSIDE.ip(), INSIDE),
        (Interface::Host(house.host), true, INSIDE.ip(), INSIDE),
    ];
    assert_eq!(sources, expected);
    assert!(errors.iter().all(|frame| frame.source.ip() == ip(2)));
}

/// The segments at one host's interface: which way, what, offset, bytes.
fn segments(world: &World, host: HostId) -> Vec<(bool, bool, SegmentKind, u64, Vec<u8>)> {
    let own = world.captured().iter().filter(|frame| frame.interface == Interface::Host(host));
    own.filter_map(|frame| match frame.load.clone() {
        Load::Tcp { from_caller, kind, offset, bytes, .. } => {
            Some((frame.inbound, from_caller, kind, offset, bytes))
        }
        _ => None,
    })
    .collect()
}

#[test]
fn a_connection_is_seen_from_its_syn_to_its_fin_with_the_offsets_of_its_bytes() {
    let mut house = house();
    let world = &mut house.world;
    connect(world, house.host, address(2));
    world.run_for(millis(100));
    for word in [&b"hello"[..], b", ", b"world"] {
        talker::write(world, house.host, STREAM, word);
    }
    world.run_for(millis(100));
    world.with(house.host, |_: &mut Talker, io| io.command(Command::Shutdown { stream: STREAM }));
    world.run_for(millis(100));
    for (host, inbound) in [(house.host, false), (house.server, true)] {
        let mut seen = segments(world, host);
        let handshake: Vec<_> =
            seen.drain(..3).map(|segment| (segment.0, segment.1, segment.2)).collect();
        assert_eq!(handshake[0], (inbound, true, SegmentKind::Syn));
        assert_eq!(handshake[1], (!inbound, false, SegmentKind::SynAck));
        assert_eq!(handshake[2], (inbound, true, SegmentKind::Ack));
        // The other side closes in its turn.
        let last = seen.pop().unwrap();
        assert_eq!((last.0, last.1, last.2, last.3), (!inbound, false, SegmentKind::Fin, 0));
        let last = seen.pop().unwrap();
        assert_eq!((last.2, last.3, last.4.len()), (SegmentKind::Fin, 12, 0));
        let mut stream = Vec::new();
        for (way, from_caller, kind, offset, bytes) in seen {
            assert_eq!((way, from_caller, kind), (inbound, true, SegmentKind::Ack));
            assert_eq!(offset, stream.len() as u64);
            stream.extend(bytes);
        }
        assert_eq!(stream, b"hello, world");
    }
    let outside = |frame: &&Frame| frame.interface == Interface::Outside(house.nat);
    assert!(
        world
            .captured()
            .iter()
            .filter(outside)
            .all(|frame| { [frame.source, frame.destination].iter().any(|end| end.ip() == ip(9)) })
    );
}

#[test]
fn an_rst_is_seen_all_the_way() {
    let mut house = house();
    let world = &mut house.world;
    connect(world, house.host, address(2));
    world.run_for(millis(100));
    world.capture(true);
    world.kill(house.server, Death::WithReset);
    world.run_for(millis(100));
    let kinds: Vec<_> = world
        .captured()
        .iter()
        .map(|frame| matches!(frame.load, Load::Tcp { kind: SegmentKind::Rst, .. }))
        .collect();
    assert_eq!(kinds, [true; 4]);
}

#[test]
fn nothing_is_kept_while_it_is_off_and_nothing_changes_by_it() {
    let run = |on: bool| {
        let mut house = house();
        house.world.capture(on);
        house.world.set_line(house.host, &Faults::hostile());
        connect(&mut house.world, house.host, address(2));
        for n in 0..50u8 {
            house.world.at(millis(u64::from(n) * 20), move |world| {
                send(world, house.host, address(2), &[n; 40]);
            });
        }
        house.world.run_until(Duration::from_secs(10));
        (house.world.transcript().hash(), house.world.captured().len())
    };
    let (with, without) = (run(true), run(false));
    assert_eq!(with.0, without.0);
    assert!(with.1 > 200 && without.1 == 0, "{with:?} {without:?}");
}
