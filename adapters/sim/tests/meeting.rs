//! TCP between NATs: connections that meet, that boxes refuse, and that a NAT forgets.

mod talker;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{Command, StreamId, StreamState};
use genkan_sim::capture::IcmpError;
use genkan_sim::nat::{Allocation, Preserve, TcpLifetimes, Unsolicited};
use genkan_sim::{Fate, Filtering, HostId, Mapping, NatConfig, Proto, Via, World};
use talker::{
    House, STREAM, Talker, accepted, address, behind, connect, ip, millis, pair, server, talker,
    write,
};

const PORT: u16 = 5_000;

/// Ports are kept, so that the ends know each other's address outside without asking.
fn keeps(filtering: Filtering, unsolicited: Unsolicited) -> NatConfig {
    let mut config = NatConfig::new(Mapping::EndpointIndependent, filtering);
    let allocation = Allocation { preserve: Preserve::WhenFree, ..config.behaviour.allocation };
    config.behaviour.allocation = allocation;
    NatConfig { unsolicited, ports: 1_024..=65_535, ..config }
}

fn restricted() -> NatConfig {
    keeps(Filtering::AddressAndPortDependent, Unsolicited::Drop)
}

fn houses(world: &mut World, left: NatConfig, right: NatConfig) -> [House; 2] {
    let mut house = |name: &str, last: u8, config: NatConfig| {
        let nat = world.add_nat(&format!("{name} nat"), ip(last), None, config);
        let host = behind(world, nat, name, 2);
        House { nat, host, seen: SocketAddr::new(ip(last), PORT) }
    };
    [house("left", 11, left), house("right", 12, right)]
}

fn call(world: &mut World, from: HostId, port: u16, to: SocketAddr) {
    world.with(from, |_: &mut Talker, io| io.connect_from(STREAM, port, to));
}

fn states(world: &World, host: HostId) -> Vec<StreamState> {
    talker(world, host).states.iter().map(|state| state.2).collect()
}

fn count(world: &World, is: fn(Via) -> bool) -> usize {
    world.transcript().entries().filter(|entry| is(entry.via)).count()
}

/// Both say something and hear it, then one shuts down.
fn talk(world: &mut World, left: HostId, right: HostId) {
    write(world, left, STREAM, b"from the left");
    write(world, right, STREAM, b"from the right");
    world.run_for(Duration::from_secs(1));
    assert_eq!(talker(world, right).received[&STREAM], b"from the left");
    assert_eq!(talker(world, left).received[&STREAM], b"from the right");
    world.with(left, |_: &mut Talker, io| io.command(Command::Shutdown { stream: STREAM }));
    world.run_for(Duration::from_secs(1));
    assert_eq!(states(world, right), [StreamState::Connected, StreamState::Closed]);
    assert!(format!("{world:?}").contains("connections: 0"), "{world:?}");
}

#[test]
fn two_calls_that_cross_become_one_connection() {
    let mut world = World::new(1);
    let [left, right] = houses(&mut world, restricted(), restricted());
    call(&mut world, left.host, PORT, right.seen);
    call(&mut world, right.host, PORT, left.seen);
    world.run_until(millis(39));
    assert!(talker(&world, left.host).states.is_empty(), "{}", world.transcript());
    world.run_until(millis(40));
    for house in [left, right] {
        let connected = (world.instant(house.host), STREAM, StreamState::Connected);
        assert_eq!(talker(&world, house.host).states, [connected]);
        assert!(talker(&world, house.host).accepted.is_empty(), "nobody listens");
    }
    assert_eq!(count(&world, |via| matches!(via, Via::Syn(_))), 2);
    assert_eq!(count(&world, |via| matches!(via, Via::SynAck(_))), 2);
    assert_eq!(count(&world, |via| matches!(via, Via::Rst(_))), 0);
    talk(&mut world, left.host, right.host);
}

/// The second caller's SYN finds the first one's attempt, whose own SYN never arrived.
#[test]
fn a_call_whose_syn_was_filtered_is_met_by_the_other_one() {
    for after in [25, 500, 1_005, 2_500] {
        let mut world = World::new(2);
        let [left, right] = houses(&mut world, restricted(), restricted());
        call(&mut world, left.host, PORT, right.seen);
        world.run_until(millis(after));
        let first = world.transcript().entries().next().unwrap();
        assert!(matches!(first.fate, Fate::Unroutable(_)), "{first}");
        call(&mut world, right.host, PORT, left.seen);
        world.run_for(millis(100));
        assert_eq!(states(&world, left.host), [StreamState::Connected], "{after}");
        assert_eq!(states(&world, right.host), [StreamState::Connected], "{after}");
        talk(&mut world, left.host, right.host);
    }
}

#[test]
fn meeting_survives_lost_segments() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        let [left, right] = houses(&mut world, restricted(), restricted());
        for house in [left, right] {
            world.set_line(house.host, &genkan_sim::Faults::mobile().with_loss(0.1));
        }
        call(&mut world, left.host, PORT, right.seen);
        world.run_for(millis(seed * 20));
        call(&mut world, right.host, PORT, left.seen);
        world.run_for(Duration::from_secs(15));
        write(&mut world, left.host, STREAM, &[1; 3_000]);
        write(&mut world, right.host, STREAM, &[2; 3_000]);
        world.run_for(Duration::from_secs(30));
        for house in [left, right] {
            let received = talker(&world, house.host).received.get(&STREAM).map(Vec::len);
            assert_eq!(received, Some(3_000), "seed {seed}\n{}", world.transcript());
        }
    }
}

#[test]
fn calls_from_other_ports_than_those_called_do_not_meet() {
    let mut world = World::new(3);
    let open = || keeps(Filtering::EndpointIndependent, Unsolicited::Drop);
    let [left, right] = houses(&mut world, open(), open());
    call(&mut world, left.host, PORT, right.seen);
    call(&mut world, right.host, PORT + 1, left.seen);
    world.run_for(Duration::from_secs(1));
    // The left one's SYN finds no mapping; the right one's finds the port, but another call.
    assert_eq!(states(&world, right.host), [StreamState::Closed]);
}

#[test]
fn a_chosen_port_is_kept_and_cannot_be_used_twice_for_the_same_remote() {
    let (mut world, left, right) = pair(4);
    call(&mut world, left, PORT, address(2));
    world.run_for(millis(100));
    assert_eq!(talker(&world, right).accepted[0].2, SocketAddr::new(ip(1), PORT));
    let other = StreamId { index: 2, generation: 0 };
    world.with(left, |_: &mut Talker, io| io.connect_from(other, PORT, address(2)));
    world.run_for(Duration::ZERO);
    assert_eq!(states(&world, left), [StreamState::Connected, StreamState::Closed]);
    assert_eq!(talker(&world, left).states[1].1, other);
}

#[test]
fn a_filtered_call_is_given_up_and_a_refused_one_ends_at_once() {
    let run = |unsolicited| {
        let mut world = World::new(5);
        let filtering = Filtering::AddressAndPortDependent;
        let [left, right] = houses(&mut world, restricted(), keeps(filtering, unsolicited));
        call(&mut world, left.host, PORT, right.seen);
        let ended =
            world.wait_for(Duration::from_secs(30), |world| !states(world, left.host).is_empty());
        assert!(ended && states(&world, left.host) == [StreamState::Closed]);
        let errors = talker(&world, left.host).errors.iter().map(|error| error.1).collect();
        (world.now(), errors, count(&world, |via| matches!(via, Via::Rst(_))))
    };
    let given_up: (Duration, Vec<IcmpError>, usize) = run(Unsolicited::Drop);
    assert_eq!(given_up, (Duration::from_secs(20), vec![], 0));
    let icmp = run(Unsolicited::Icmp);
    // There and back, and in between what the box waits.
    assert_eq!((icmp.0, icmp.2), (millis(40), 0));
    let reset = run(Unsolicited::Reset(Duration::from_secs(6)));
    assert_eq!((reset.0, reset.2), (Duration::from_secs(6) + millis(40), 1));
}

/// RFC 5382 REQ-4: whoever calls within the six seconds is met, and no RST disturbs it.
#[test]
fn a_box_that_waits_with_its_rst_lets_calls_meet() {
    for (wait, meets) in [(6, true), (0, false)] {
        let mut world = World::new(6);
        let unsolicited = Unsolicited::Reset(Duration::from_secs(wait));
        let config = || keeps(Filtering::AddressAndPortDependent, unsolicited);
        let [left, right] = houses(&mut world, config(), config());
        call(&mut world, left.host, PORT, right.seen);
        world.run_for(Duration::from_secs(2));
        call(&mut world, right.host, PORT, left.seen);
        world.run_for(Duration::from_secs(20));
        let connected = states(&world, left.host) == [StreamState::Connected];
        assert_eq!(connected, meets, "{wait} s: {}", world.transcript());
        assert_eq!(count(&world, |via| matches!(via, Via::Rst(_))) == 0, meets);
    }
}

#[test]
fn an_acknowledgement_keeps_the_readers_mapping() {
    let mut world = World::new(7);
    let mut config = NatConfig::default();
    let minute = Duration::from_secs(60);
    config.lifetimes.tcp = TcpLifetimes::new(minute, minute);
    let nat = world.add_nat("nat", ip(9), None, config);
    let server = server(&mut world);
    let host = behind(&mut world, nat, "host", 2);
    connect(&mut world, host, address(2));
    world.run_for(millis(100));
    let stream = accepted(&world, server);
    for minute in 0..10 {
        write(&mut world, server, stream, &[minute]);
        world.run_for(Duration::from_secs(40));
    }
    assert_eq!(talker(&world, host).received[&STREAM].len(), 10, "the host only reads");
    let inside = SocketAddr::new(talker::INSIDE.ip(), 49_152);
    assert!(world.nat_mut(nat).mapped(Proto::Tcp, inside, address(2)).is_some());
}
