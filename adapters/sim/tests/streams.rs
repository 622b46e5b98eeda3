//! The TCP model, seen by nodes without a machine.

mod talker;

use core::time::Duration;

use genkan_core::{Command, SocketId, StreamState};
use genkan_sim::{Death, Fate, Faults, HostSpec, NatConfig, Reader, Verdict, Via, World};
use talker::{STREAM, Talker, accepted, address, connect, ip, millis, pair, talker, write};

#[test]
fn the_caller_is_connected_after_two_one_way_delays_and_heard_after_three() {
    let (mut world, left, right) = pair(1);
    connect(&mut world, left, address(2));
    world.run_until(millis(39));
    assert!(talker(&world, left).states.is_empty());
    world.run_until(millis(40));
    let connected = (world.instant_at(left, millis(40)), STREAM, StreamState::Connected);
    assert_eq!(talker(&world, left).states, [connected]);
    write(&mut world, left, STREAM, b"hello");
    world.run_until(millis(59));
    assert!(talker(&world, right).accepted.is_empty());
    world.run_until(millis(60));
    let stream = accepted(&world, right);
    assert_eq!(talker(&world, right).accepted[0].2.ip(), ip(1));
    assert_eq!(talker(&world, right).received[&stream], b"hello");
}

#[test]
fn nobody_listening_and_a_machine_that_refuses_both_reset() {
    let (mut world, left, right) = pair(1);
    let nobody = core::net::SocketAddr::new(ip(2), 1);
    connect(&mut world, left, nobody);
    world.run_for(millis(40));
    assert_eq!(talker(&world, left).states[0].2, StreamState::Closed);
    assert_eq!(world.transcript().entries().filter(|entry| entry.is_delivered()).count(), 2);

    world.with(right, |talker: &mut Talker, _| talker.refuses = true);
    connect(&mut world, left, address(2));
    world.run_for(millis(80));
    let states: Vec<_> = talker(&world, left).states.iter().map(|state| state.2).collect();
    assert_eq!(states, [StreamState::Closed, StreamState::Connected, StreamState::Closed]);
}

#[test]
fn bytes_arrive_whole_and_in_order_over_a_hostile_path_in_all_kinds_of_pieces() {
    let mut shown = Vec::new();
    for seed in 0..20 {
        let (mut world, left, right) = pair(seed);
        world.set_line(left, &Faults::hostile());
        connect(&mut world, left, address(2));
        world.wait_for(Duration::from_secs(60), |world| !talker(world, right).accepted.is_empty());
        let bytes: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
        write(&mut world, left, STREAM, &bytes);
        world.run_for(Duration::from_secs(120));
        let stream = accepted(&world, right);
        assert!(talker(&world, right).received[&stream] == bytes, "seed {seed}");
        shown.extend(&talker(&world, right).shown);
    }
    assert!(shown.contains(&1) && shown.iter().any(|&len| len > 1_000), "{shown:?}");
}

#[test]
fn a_reader_that_stalls_stops_the_writer_and_lets_it_go_on_later() {
    let (mut world, left, right) = pair(3);
    world.tcp_mut().capacity = 2_000;
    connect(&mut world, left, address(2));
    world.run_for(millis(100));
    world.set_reader(right, Reader::Stalled);
    write(&mut world, left, STREAM, &[7; 10_000]);
    world.run_for(Duration::from_secs(100));
    assert_eq!(talker(&world, left).written, 2_000);
    let stream = accepted(&world, right);
    assert!(!talker(&world, right).received.contains_key(&stream));
    world.set_reader(right, Reader::Slow { bytes: 100, every: millis(10) });
    world.run_for(millis(55));
    assert_eq!(talker(&world, right).received[&stream].len(), 600);
    world.set_reader(right, Reader::Fast);
    world.run_for(Duration::from_secs(1));
    assert_eq!(talker(&world, right).received[&stream].len(), 10_000);
}

#[test]
fn a_shutdown_comes_after_the_last_byte() {
    let (mut world, left, right) = pair(4);
    world.set_line(left, &Faults::mobile().with_loss(0.3));
    connect(&mut world, left, address(2));
    world.wait_for(Duration::from_secs(60), |world| !talker(world, right).accepted.is_empty());
    write(&mut world, left, STREAM, &[1; 5_000]);
    world.with(left, |_: &mut Talker, io| io.command(Command::Shutdown { stream: STREAM }));
    world.run_for(Duration::from_secs(60));
    let stream = accepted(&world, right);
    assert_eq!(talker(&world, right).received[&stream].len(), 5_000);
    assert_eq!(talker(&world, right).states[0].1, stream);
    assert_eq!(talker(&world, right).states[0].2, StreamState::Closed);
    assert_eq!(talker(&world, left).states.len(), 1, "the one who shuts down is told nothing");
    assert!(format!("{world:?}").contains("connections: 0"), "{world:?}");
}

#[test]
fn a_silent_death_leaves_a_half_open_connection_until_something_is_written() {
    let (mut world, left, right) = pair(5);
    connect(&mut world, left, address(2));
    world.run_for(millis(100));
    world.kill(right, Death::Silent);
    world.run_for(Duration::from_secs(3_600));
    assert_eq!(talker(&world, left).states.len(), 1);
    write(&mut world, left, STREAM, b"anybody there?");
    let written = world.now();
    world.run_for(Duration::from_secs(29));
    assert_eq!(talker(&world, left).states.len(), 1);
    world.run_for(Duration::from_secs(2));
    let closed = talker(&world, left).states[1];
    assert_eq!(closed.2, StreamState::Closed);
    assert_eq!(closed.0, world.instant_at(left, written + Duration::from_secs(30)));
}

#[test]
fn a_rebooted_host_and_a_death_with_reset_reset() {
    let (mut world, left, right) = pair(6);
    connect(&mut world, left, address(2));
    world.run_for(millis(100));
    world.kill(right, Death::Silent);
    world.restart(right, |_| Talker::default());
    write(&mut world, left, STREAM, b"hello");
    world.run_for(millis(40));
    assert_eq!(talker(&world, left).states[1].2, StreamState::Closed);

    connect(&mut world, left, address(2));
    world.run_for(millis(100));
    world.kill(right, Death::WithReset);
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).states[3].2, StreamState::Closed);
}

#[test]
fn a_cut_of_either_direction_ends_a_connection_that_is_written_to() {
    for direction in 0..2 {
        let (mut world, left, right) = pair(7);
        connect(&mut world, left, address(2));
        world.run_for(millis(100));
        let (from, to) = [(left, right), (right, left)][direction];
        world.cut(from, to);
        write(&mut world, left, STREAM, b"hello");
        world.run_for(Duration::from_secs(31));
        assert_eq!(talker(&world, left).states[1].2, StreamState::Closed, "{direction}");
    }
    let (mut world, left, right) = pair(7);
    world.cut(right, left);
    connect(&mut world, left, address(2));
    world.run_for(Duration::from_secs(19));
    world.mend(right, left);
    world.run_for(Duration::from_secs(2));
    assert_eq!(talker(&world, left).states[0].2, StreamState::Closed, "given up after 20 s");
}

#[test]
fn a_nat_that_forgets_a_connection_breaks_it() {
    let mut world = World::new(8);
    let nat = world.add_nat("nat", ip(9), None, NatConfig::default());
    let inside = core::net::IpAddr::from([10, 0, 0, 2]);
    let left = world.add_host(HostSpec::new("left", inside).behind(nat), |_| Talker::default());
    let right = world.add_host(HostSpec::new("right", ip(2)).listening(), |_| Talker::default());
    connect(&mut world, left, address(2));
    world.run_for(millis(100));
    assert_eq!(talker(&world, right).accepted[0].2.ip(), ip(9));
    let stream = accepted(&world, right);
    write(&mut world, right, stream, b"in");
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).received[&STREAM], b"in");
    world.nat_mut(nat).reboot();
    write(&mut world, left, STREAM, b"out");
    world.run_for(millis(40));
    assert_eq!(talker(&world, left).states[1].2, StreamState::Closed);
}

#[test]
fn hooks_see_frames_and_control_segments_and_may_change_them() {
    let (mut world, left, right) = pair(9);
    let mut syns = 0;
    world.hook(move |packet| match packet.via {
        Via::Syn(_) => {
            syns += 1;
            if syns == 1 { Verdict::Drop } else { Verdict::Pass }
        }
        Via::Tcp(_) if packet.bytes == b"drop" => Verdict::Drop,
        Via::Tcp(_) if packet.bytes == b"twice" => Verdict::Duplicate(Duration::ZERO),
        Via::Tcp(_) if packet.bytes == b"change" => Verdict::Replace(b"changed".to_vec()),
        Via::Tcp(_) if packet.bytes == b"late" => Verdict::Delay(Duration::from_secs(1)),
        _ => Verdict::Pass,
    });
    connect(&mut world, left, address(2));
    world.run_until(Duration::from_secs(1) + millis(60));
    for word in [&b"drop"[..], b"twice", b"change", b"late", b"end"] {
        write(&mut world, left, STREAM, word);
    }
    let stream = accepted(&world, right);
    world.run_for(Duration::from_secs(1));
    assert_eq!(talker(&world, right).received[&stream], b"twicetwicechanged");
    world.run_for(millis(20));
    assert_eq!(talker(&world, right).received[&stream], b"twicetwicechangedlateend");
    let fates: Vec<_> = world.transcript().entries().map(|entry| entry.fate).collect();
    assert_eq!(fates[0], Fate::Hooked);
    assert!(fates[1..3].iter().all(|fate| matches!(fate, Fate::Delivered(_))), "{fates:?}");
}

#[test]
fn a_listener_that_a_machine_asks_for_is_bound_and_can_be_closed() {
    let (mut world, left, right) = pair(10);
    let socket = SocketId::LISTENER;
    world.with(left, |_: &mut Talker, io| io.command(Command::Listen { socket }));
    world.run_for(Duration::ZERO);
    let Some(bound) = talker(&world, left).bound else { panic!("not bound") };
    connect(&mut world, right, bound);
    world.run_for(millis(60));
    assert_eq!(talker(&world, left).accepted.len(), 1);
    world.with(left, |_: &mut Talker, io| io.command(Command::Unlisten { socket }));
    connect_again(&mut world, right, bound);
    world.run_for(millis(60));
    assert_eq!(talker(&world, left).accepted.len(), 1);
}

fn connect_again(world: &mut World, from: genkan_sim::HostId, remote: core::net::SocketAddr) {
    let stream = genkan_core::StreamId { index: 2, generation: 0 };
    world.with(from, |_: &mut Talker, io| io.command(Command::Connect { stream, remote }));
}

#[test]
fn tcp_that_is_blocked_or_has_no_way_ends_in_closed() {
    let (mut world, left, _) = pair(11);
    world.set_line(left, &Faults::default().without_tcp());
    connect(&mut world, left, address(2));
    world.run_for(Duration::from_secs(21));
    assert_eq!(talker(&world, left).states[0].2, StreamState::Closed);
    connect(&mut world, left, address(77));
    world.run_for(Duration::ZERO);
    assert_eq!(talker(&world, left).states[1].2, StreamState::Closed);
}

#[test]
fn a_host_that_moves_loses_its_connections() {
    let (mut world, left, right) = pair(12);
    connect(&mut world, left, address(2));
    world.run_for(millis(100));
    world.renumber_host(left, &[ip(3)]);
    let stream = accepted(&world, right);
    write(&mut world, left, STREAM, b"from nowhere");
    write(&mut world, right, stream, b"to nowhere");
    world.run_for(Duration::from_secs(31));
    assert_eq!(talker(&world, left).states[1].2, StreamState::Closed);
    assert_eq!(talker(&world, right).states[0].2, StreamState::Closed);
    assert!(talker(&world, left).received.is_empty() && talker(&world, right).received.is_empty());
}

/// Which side of a connection shuts it down, or both at once.
const CLOSERS: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

/// A NAT forgets a connection some minutes after it saw a FIN from each side (RFC 5382 REQ-5), and
/// keeps one that is half closed for hours: whoever closes first, both FINs have to pass it.
#[test]
fn a_nat_sees_the_fins_of_both_sides_whoever_closes_first() {
    for (inside, outside) in CLOSERS {
        for loss in [0.0, 0.2] {
            let mut world = World::new(9);
            let server = talker::server(&mut world);
            let nat = world.add_nat("nat", ip(11), None, NatConfig::default());
            let host = talker::behind(&mut world, nat, "host", 2);
            world.set_line(host, &Faults::default().with_loss(loss));
            connect(&mut world, host, address(2));
            world.run_for(Duration::from_secs(20));
            let stream = accepted(&world, server);
            let close = |world: &mut World, host, stream| {
                world.with(host, |_: &mut Talker, io| io.command(Command::Shutdown { stream }));
            };
            if inside {
                close(&mut world, host, STREAM);
            }
            if outside {
                close(&mut world, server, stream);
            }
            world.run_for(Duration::from_secs(300));
            let case = format!("closed inside {inside}, outside {outside}, loss {loss}");
            // With the next packet the box forgets what is over; that packet's mapping is the one left.
            talker::send(&mut world, host, address(2), b"anything");
            assert_eq!(world.nat_mut(nat).len(), 1, "{case}");
            assert!(format!("{world:?}").contains("connections: 0"), "{case}: {world:?}");
        }
    }
}

/// The waits double up to a minute, however long the caller is patient.
#[test]
fn a_patient_caller_sends_few_syns() {
    let (mut world, left, right) = pair(12);
    world.kill(right, Death::Silent);
    world.tcp_mut().connect_timeout = Duration::from_secs(127);
    connect(&mut world, left, address(2));
    world.run_for(Duration::from_secs(130));
    let syns = world.transcript().entries().filter(|entry| matches!(entry.via, Via::Syn(_)));
    // At 0, 1, 3, 7, 15, 31, 63 and 123 s.
    assert_eq!(syns.count(), 8);
    assert_eq!(talker(&world, left).states[0].2, StreamState::Closed);
}
