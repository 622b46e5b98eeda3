//! Further sockets, drifting clocks, partitions and slow lines, seen by nodes without a machine.

mod talker;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{Command, SocketId};
use genkan_sim::{Death, Fate, Faults, HostId, HostSpec, World};
use talker::{Talker, address, heard, ip, millis, pair, send, talker};

const SECOND: SocketId = SocketId(2);
const THIRD: SocketId = SocketId(3);

fn send_from(world: &mut World, host: HostId, socket: SocketId, to: SocketAddr) {
    world.with(host, |_: &mut Talker, io| io.send_datagram(socket, to, None, b"hello".to_vec()));
}

#[test]
fn each_socket_has_its_port_both_ways_and_those_of_the_spec_come_back_after_a_reboot() {
    let mut world = World::new(1);
    let spec = HostSpec::new("left", ip(1)).socket(SECOND, 7_000);
    let left = world.add_host(spec, |_| Talker::default());
    let right = world.add_host(HostSpec::new("right", ip(2)), |_| Talker::default());
    let bound = world.bind_udp(left, THIRD, 7_001);
    assert_eq!(bound, Some(SocketAddr::new(ip(1), 7_001)));
    for socket in [SocketId::MAIN, SECOND, THIRD] {
        send_from(&mut world, left, socket, address(2));
    }
    world.run_for(millis(20));
    let ports: Vec<_> = heard(&world, right).iter().map(|got| got.0.port()).collect();
    assert_eq!(ports, [4_600, 7_000, 7_001]);
    let to = |port| SocketAddr::new(ip(1), port);
    for port in [7_001, 7_000, 4_600] {
        send(&mut world, right, to(port), b"hello");
    }
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).sockets, [THIRD, SECOND, SocketId::MAIN]);

    world.kill(left, Death::Silent);
    world.restart(left, |_| Talker::default());
    for port in [7_001, 7_000, 4_600] {
        send(&mut world, right, to(port), b"hello");
    }
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).sockets, [SECOND, SocketId::MAIN], "the third was in memory");
    world.close_udp(left, SECOND);
    send(&mut world, right, to(7_000), b"hello");
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).sockets.len(), 2);
}

#[test]
fn a_port_is_given_once_and_a_free_one_is_found() {
    let (mut world, left, _) = pair(2);
    assert_eq!(world.bind_udp(left, SECOND, 4_600), None, "the main socket has it");
    let free = world.bind_udp(left, SECOND, 0).unwrap();
    assert_eq!(free.port(), 49_152);
    // The one after it is taken when its turn comes.
    assert!(world.bind_udp(left, THIRD, 49_153).is_some());
    assert_eq!(world.bind_udp(left, SocketId(4), 0).map(|at| at.port()), Some(49_154));
    // A socket that moves leaves its port to others.
    assert!(world.bind_udp(left, THIRD, 9_000).is_some());
    assert!(world.bind_udp(left, SocketId(5), 49_153).is_some());
    let mut ports: Vec<_> =
        (100..600).filter_map(|n| world.bind_udp(left, SocketId(n), 0)).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 500, "no port twice");
}

#[test]
fn a_node_binds_and_closes_for_itself_and_is_told() {
    let (mut world, left, right) = pair(3);
    world.with(left, |_: &mut Talker, io| io.bind_udp(SECOND, 0));
    world.run_for(Duration::ZERO);
    let bound = talker(&world, left).bound.unwrap();
    send(&mut world, right, bound, b"hello");
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).sockets, [SECOND]);
    world.with(left, |_: &mut Talker, io| io.bind_udp(THIRD, bound.port()));
    world.run_for(Duration::ZERO);
    assert_eq!(talker(&world, left).bound, None);
    world.with(left, |_: &mut Talker, io| io.close_udp(SECOND));
    send(&mut world, right, bound, b"hello");
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).sockets.len(), 1);
}

fn bind(world: &mut World, host: HostId, first: SocketId, count: u8) -> Option<SocketAddr> {
    world.with(host, |_: &mut Talker, io| io.command(Command::Bind { first, count }));
    world.run_for(Duration::ZERO);
    talker(world, host).bound
}

#[test]
fn fresh_sockets_are_on_consecutive_ports_and_hear_by_their_numbers_until_they_are_closed() {
    let (mut world, left, right) = pair(11);
    let first = SocketId::FRESH;
    assert!(world.bind_udp(left, SocketId(9), 49_154).is_some(), "in the way of four");
    let local = bind(&mut world, left, first, 4).unwrap();
    assert_eq!(local, SocketAddr::new(ip(1), 49_155));
    for n in 0..4 {
        send(&mut world, right, SocketAddr::new(ip(1), local.port() + n), b"hello");
    }
    world.with(left, |_: &mut Talker, io| {
        io.send_datagram(SocketId(first.0 + 2), address(2), None, b"hello".to_vec());
    });
    world.run_for(millis(20));
    let numbers: Vec<u16> = talker(&world, left).sockets.iter().map(|socket| socket.0).collect();
    assert_eq!(numbers, [first.0, first.0 + 1, first.0 + 2, first.0 + 3]);
    assert_eq!(heard(&world, right), [(SocketAddr::new(ip(1), local.port() + 2), &b"hello"[..])]);
    // Two of them go; the others stay, and so does what was never open.
    world.with(left, |_: &mut Talker, io| {
        io.command(Command::Unbind { first: SocketId(first.0 + 2), count: 9 });
    });
    for n in 0..4 {
        send(&mut world, right, SocketAddr::new(ip(1), local.port() + n), b"again");
    }
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).sockets.len(), 6);
    assert_eq!(world.open_sockets(left), 4);
    // What is closed can be opened again, on ports that come next.
    let again = bind(&mut world, left, SocketId(first.0 + 2), 1).unwrap();
    assert_eq!(again.port(), 49_159);
}

#[test]
fn fresh_sockets_are_scattered_where_no_ports_lie_together_and_none_is_opened_when_not_all_can_be()
{
    let (mut world, left, _) = pair(12);
    // Every second port of the dynamic range is in use.
    for (n, port) in (49_152..=u16::MAX).step_by(2).enumerate() {
        assert!(world.bind_udp(left, SocketId(1_000 + n as u16), port).is_some());
    }
    let open = world.open_sockets(left);
    assert_eq!(bind(&mut world, left, SocketId::FRESH, 3).unwrap().port(), 49_153);
    assert_eq!(world.open_sockets(left), open + 3);
    // A small device has room for two more.
    world.set_socket_limit(left, open + 5);
    assert_eq!(bind(&mut world, left, SocketId(100), 3), None);
    assert_eq!(world.open_sockets(left), open + 3);
    assert!(bind(&mut world, left, SocketId(100), 2).is_some());
}

#[test]
fn datagrams_of_one_moment_leave_one_after_the_other_where_a_gap_is_set() {
    let (mut world, left, right) = pair(15);
    world.set_send_gap(left, millis(2));
    (0..3).for_each(|_| send(&mut world, left, address(2), b"hello"));
    world.run_for(millis(30));
    send(&mut world, left, address(2), b"later");
    world.run_for(millis(30));
    let start = world.instant_at(right, Duration::ZERO);
    let times: Vec<_> =
        talker(&world, right).datagrams.iter().map(|got| got.0.since(start)).collect();
    assert_eq!(times, [20, 22, 24, 50].map(millis));
}

#[test]
#[should_panic(expected = "left: SocketId(17) is open")]
fn who_opens_a_socket_that_is_open_has_forgotten_it() {
    let (mut world, left, _) = pair(13);
    bind(&mut world, left, SocketId::FRESH, 2);
    bind(&mut world, left, SocketId(SocketId::FRESH.0 + 1), 1);
}

#[test]
fn a_host_with_two_addresses_has_one_socket_at_one_of_them_only() {
    let mut world = World::new(14);
    let other = SocketAddr::new(ip(3), 4_600);
    let spec = HostSpec::new("server", ip(2)).address(ip(3));
    let spec = spec.socket(SocketId::OTHER_PORT, 4_601).socket_at(SocketId::OTHER_ADDRESS, other);
    let server = world.add_host(spec, |_| Talker::default());
    let left = world.add_host(HostSpec::new("left", ip(1)), |_| Talker::default());
    let (beside, across) = (SocketAddr::new(ip(2), 4_601), SocketAddr::new(ip(3), 4_601));
    for to in [address(2), beside, other, across] {
        send(&mut world, left, to, b"hello");
    }
    world.run_for(millis(20));
    // What comes to the other address on the second port goes to the socket that is at both.
    let [main, port, place] = [SocketId::MAIN, SocketId::OTHER_PORT, SocketId::OTHER_ADDRESS];
    assert_eq!(talker(&world, server).sockets, [main, port, place, port]);
    for socket in [main, port, place] {
        world.with(server, |_: &mut Talker, io| {
            io.send_datagram(socket, address(1), None, b"hello".to_vec());
        });
    }
    world.run_for(millis(20));
    let from: Vec<_> = heard(&world, left).into_iter().map(|(from, _)| from).collect();
    assert_eq!(from, [address(2), beside, other]);
}

#[test]
fn tcp_takes_no_port_that_is_listened_on_or_called_from() {
    let (mut world, left, right) = pair(4);
    // What it listens on is the first of the dynamic range; the counter comes round to it.
    world.with(left, |_: &mut Talker, io| {
        io.command(Command::Listen { socket: SocketId::LISTENER });
    });
    world.run_for(Duration::ZERO);
    assert_eq!(talker(&world, left).bound.unwrap().port(), 49_152);
    for index in 10..10 + 16_383 {
        world.with(left, |_: &mut Talker, io| {
            let stream = genkan_core::StreamId { index, generation: 1 };
            io.command(Command::Connect { stream, remote: SocketAddr::new(ip(2), 1) });
            io.command(Command::Shutdown { stream });
        });
    }
    talker::connect(&mut world, left, address(2));
    world.run_for(millis(100));
    let from = talker(&world, right).accepted[0].2.port();
    assert_eq!(from, 49_153, "not the listener's");
}

#[test]
fn a_drifting_clock_runs_fast_or_slow_from_where_it_was() {
    for (drift, hour) in [(100, 3_600_360_000), (-50_000, 3_420_000_000), (0, 3_600_000_000u64)] {
        let (mut world, left, _) = pair(5);
        world.run_for(Duration::from_secs(10));
        let before = world.instant(left);
        world.set_drift(left, drift);
        assert_eq!(world.instant(left), before);
        world.run_for(Duration::from_secs(3_600));
        assert_eq!(world.instant(left), before.after(Duration::from_micros(hour)));
        world.set_drift(left, 0);
        let later = world.instant(left);
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.instant(left), later.after(Duration::from_secs(1)));
    }
}

#[test]
fn an_alarm_rings_when_the_hosts_own_clock_says_so() {
    for drift in [333_333, -333_333, 7] {
        let (mut world, left, _) = pair(6);
        let at = world.instant(left).after(Duration::from_secs(60));
        world.with(left, |talker: &mut Talker, _| talker.alarm = Some(at));
        world.run_for(Duration::from_secs(1));
        world.set_drift(left, drift);
        world.run_for(Duration::from_secs(100));
        let rang = talker(&world, left).timeouts[0];
        assert!(rang >= at && rang <= at.after(Duration::from_micros(2)), "{rang:?} for {at:?}");
    }
}

#[test]
fn a_partition_stops_both_directions_until_it_is_healed() {
    let mut world = World::new(7);
    let hosts: Vec<HostId> = (1..=4)
        .map(|last| {
            let spec = HostSpec::new(&format!("host{last}"), ip(last));
            world.add_host(spec, |_| Talker::default())
        })
        .collect();
    let everybody = |world: &mut World| {
        for &from in &hosts {
            for last in 1..=4 {
                if world.name(from) != format!("host{last}") {
                    send(world, from, address(last), b"hello");
                }
            }
        }
        world.run_for(millis(20));
        let cut = world.transcript().entries().filter(|entry| entry.fate == Fate::Cut).count();
        world.clear_transcript();
        cut
    };
    world.partition(&hosts[..1], &hosts[2..]);
    assert_eq!(everybody(&mut world), 4);
    world.heal(&hosts[..1], &hosts[2..3]);
    assert_eq!(everybody(&mut world), 2);
    world.heal(&hosts, &hosts);
    assert_eq!(everybody(&mut world), 0);
}

#[test]
fn a_slow_line_spaces_datagrams_out_and_drops_what_does_not_fit_its_queue() {
    let (mut world, left, right) = pair(8);
    // 100 bytes with their headers take 10 ms.
    world.set_up(left, Faults::default().with_rate(10_000, 400));
    for _ in 0..10 {
        send(&mut world, left, address(2), &[0; 72]);
    }
    world.run_for(Duration::from_secs(1));
    let times: Vec<_> = talker(&world, right).datagrams.iter().map(|got| got.0).collect();
    let expected: Vec<_> = (1..=4).map(|n| world.instant_at(right, millis(20 + n * 10))).collect();
    assert_eq!(times, expected);
    let full = world.transcript().entries().filter(|entry| entry.fate == Fate::QueueFull).count();
    assert_eq!(full, 6);
}

#[test]
fn a_stream_over_a_slow_line_takes_as_long_as_the_line_says_and_loses_nothing() {
    let (mut world, left, right) = pair(9);
    world.tcp_mut().split = false;
    talker::connect(&mut world, left, address(2));
    world.run_for(millis(100));
    world.set_down(right, Faults::default().with_rate(54_000, 4_000));
    let start = world.now();
    // Twenty frames of 500 bytes with 40 for headers: 0.2 s, and more for what was dropped.
    talker::write(&mut world, left, talker::STREAM, &[3; 10_000]);
    let stream = talker::accepted(&world, right);
    let got = |world: &World| talker(world, right).received.get(&stream).map_or(0, Vec::len);
    assert!(world.wait_for(Duration::from_secs(60), |world| got(world) == 10_000));
    assert!(world.now() - start >= millis(200), "{:?}", world.now() - start);
}
