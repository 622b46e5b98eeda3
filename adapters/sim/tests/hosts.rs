//! Datagrams, clocks and the faults of hosts, seen by nodes without a machine.

mod talker;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::SocketId;
use genkan_sim::{
    Death, Fate, Faults, Filtering, HostSpec, Mapping, NatConfig, Origin, Verdict, World,
};
use talker::{Talker, address, ip, millis, pair, send, talker};

#[test]
fn a_datagram_takes_the_time_of_both_lines() {
    let (mut world, left, right) = pair(1);
    world.set_up(left, Faults::millis(5));
    world.set_down(right, Faults::millis(7));
    send(&mut world, left, address(2), b"\0text");
    world.run_for(millis(30));
    let arrived = world.instant_at(right, millis(12));
    let expected = (arrived, address(1), b"\0text".to_vec());
    assert_eq!(talker(&world, right).datagrams, [expected]);
    let text = world.transcript().to_string();
    assert_eq!(text, "t=0.000 left: on\nt=0.000 right: on\nt=0.000 left → right 5 bytes\n");
}

#[test]
fn each_fault_has_its_fate() {
    type Fault = fn(&mut Faults);
    let cases: [(Fault, Fate); 5] = [
        (|faults| faults.loss = 1.0, Fate::Lost),
        (|faults| faults.udp_blocked = true, Fate::Blocked),
        (|faults| faults.mtu = 4, Fate::TooLong),
        (|faults| faults.hops = 9, Fate::Expired),
        (|_| (), Fate::Delivered(millis(20))),
    ];
    for (fault, fate) in cases {
        let (mut world, left, _) = pair(1);
        let mut faults = Faults::default();
        fault(&mut faults);
        world.set_up(left, faults);
        world.with(left, |_: &mut Talker, io| {
            io.send_datagram(SocketId::MAIN, address(2), Some(9), b"hello".to_vec());
        });
        world.run_for(millis(30));
        assert_eq!(world.transcript().entries().next().map(|entry| entry.fate), Some(fate));
    }
    let (mut world, left, right) = pair(1);
    world.cut(left, right);
    send(&mut world, left, address(2), b"hello");
    send(&mut world, right, address(1), b"other way");
    world.kill(left, Death::Silent);
    world.run_for(millis(30));
    let fates: Vec<_> = world.transcript().entries().map(|entry| entry.fate).collect();
    assert_eq!(fates, [Fate::Cut, Fate::Unreceived]);
}

#[test]
fn copies_and_damage_are_on_record() {
    let (mut world, left, right) = pair(2);
    let faults = Faults { duplicate: 1.0, corrupt: 1.0, ..Faults::default() };
    world.set_up(left, faults);
    send(&mut world, left, address(2), &[0; 100]);
    world.run_for(millis(30));
    let mut origins: Vec<_> = world.transcript().entries().map(|entry| entry.origin).collect();
    origins.sort_by_key(|origin| *origin == Origin::Copy);
    assert_eq!(origins, [Origin::Altered, Origin::Copy]);
    let got: Vec<_> = talker(&world, right).datagrams.iter().map(|got| &got.2).collect();
    assert_eq!(got.len(), 2);
    assert!(got.contains(&&vec![0; 100]), "the copy is as it was sent");
}

#[test]
fn a_hook_drops_changes_delays_and_doubles_datagrams() {
    let (mut world, left, right) = pair(3);
    world.hook(|packet| match packet.number {
        0 => Verdict::Drop,
        1 => {
            packet.bytes[0] = b'X';
            Verdict::Pass
        }
        2 => Verdict::Duplicate(millis(100)),
        _ => Verdict::Delay(millis(50)),
    });
    for word in [b"a0", b"a1", b"a2"] {
        send(&mut world, left, address(2), word);
    }
    send(&mut world, left, address(2), b"a3");
    world.run_for(millis(200));
    let got: Vec<_> = talker(&world, right).datagrams.iter().map(|got| &got.2[..]).collect();
    assert_eq!(got, [&b"X1"[..], b"a2", b"a3", b"a2"]);
    world.unhook();
}

#[test]
fn an_injected_datagram_comes_from_whoever_it_says() {
    let (mut world, _, right) = pair(4);
    let source = SocketAddr::new(ip(99), 1);
    world.inject(millis(7), source, address(2), b"spoof");
    world.run_for(millis(7));
    let at = world.instant_at(right, millis(7));
    assert_eq!(talker(&world, right).datagrams, [(at, source, b"spoof".to_vec())]);
}

#[test]
fn a_nat_lets_answers_in_and_strangers_not() {
    let mut world = World::new(5);
    let config = NatConfig::new(Mapping::EndpointIndependent, Filtering::AddressAndPortDependent);
    let nat = world.add_nat("nat", ip(9), None, config);
    let inside = IpAddr::from([10, 0, 0, 2]);
    let left = world.add_host(HostSpec::new("left", inside).behind(nat), |_| Talker::default());
    let right = world.add_host(HostSpec::new("right", ip(2)), |_| Talker::default());
    send(&mut world, left, address(2), b"out");
    world.run_for(millis(20));
    let seen = talker(&world, right).datagrams[0].1;
    assert_eq!(seen, SocketAddr::new(ip(9), 20_000));
    send(&mut world, right, seen, b"in");
    world.inject(world.now(), address(3), seen, b"stranger");
    world.inject_behind(nat, world.now(), (address(3), SocketAddr::new(inside, 4_600)), b"lan");
    world.run_for(millis(20));
    let got: Vec<_> = talker(&world, left).datagrams.iter().map(|got| &got.2[..]).collect();
    assert_eq!(got, [&b"lan"[..], b"in"]);
    world.renumber_nat(nat, ip(10));
    send(&mut world, right, seen, b"lost");
    world.run_for(millis(20));
    assert_eq!(talker(&world, left).datagrams.len(), 2);
}

#[test]
fn alarms_ring_on_time_also_after_jumps_of_the_clock() {
    let (mut world, left, _) = pair(6);
    let set = |world: &mut World, after: Duration| {
        world.with(left, |talker: &mut Talker, io| talker.alarm = Some(io.now().after(after)));
    };
    set(&mut world, Duration::from_secs(10));
    assert_eq!(world.next_wake(left), Some(Duration::from_secs(10)));
    world.run_until(Duration::from_secs(9));
    assert!(talker(&world, left).timeouts.is_empty());
    world.jump_back(left, Duration::from_secs(5));
    world.run_until(Duration::from_secs(14));
    assert!(talker(&world, left).timeouts.is_empty());
    world.run_until(Duration::from_secs(15));
    assert_eq!(talker(&world, left).timeouts, [world.instant(left)]);
    set(&mut world, Duration::from_secs(3_600));
    world.jump_ahead(left, Duration::from_secs(3_600));
    world.run_for(Duration::ZERO);
    assert_eq!(talker(&world, left).timeouts.len(), 2);
}

#[test]
fn early_wakes_come_between_and_late_ones_after() {
    let (mut world, left, _) = pair(7);
    world.set_early_wakes(left, 1.0);
    world.set_late_wakes(left, Duration::from_secs(1));
    let start = world.instant(left);
    let at = start.after(Duration::from_secs(10));
    world.with(left, |talker: &mut Talker, _| talker.alarm = Some(at));
    world.run_for(Duration::from_secs(12));
    let timeouts = &talker(&world, left).timeouts;
    assert_eq!(timeouts.len(), 2);
    assert!(start < timeouts[0] && timeouts[0] < at && at < timeouts[1], "{timeouts:?}");
}

#[test]
fn a_paused_host_handles_what_has_waited() {
    let (mut world, left, right) = pair(8);
    world.with(right, |talker: &mut Talker, io| {
        talker.alarm = Some(io.now().after(millis(100)));
    });
    world.pause(right);
    send(&mut world, left, address(2), b"hello");
    world.run_for(Duration::from_secs(1));
    assert!(
        talker(&world, right).datagrams.is_empty() && talker(&world, right).timeouts.is_empty()
    );
    world.resume(right);
    assert_eq!(talker(&world, right).datagrams.len(), 1);
    assert_eq!(talker(&world, right).timeouts.len(), 1);
}

#[test]
fn a_dead_host_hears_nothing_and_a_new_one_begins_anew() {
    let (mut world, left, right) = pair(9);
    world.kill(right, Death::Silent);
    assert!(!world.is_on(right));
    send(&mut world, left, address(2), b"lost");
    world.run_for(millis(30));
    world.restart(right, |_| Talker::default());
    send(&mut world, left, address(2), b"found");
    world.run_for(millis(30));
    let got: Vec<_> = talker(&world, right).datagrams.iter().map(|got| &got.2[..]).collect();
    assert_eq!(got, [b"found"]);
}

#[test]
fn scripts_run_at_their_time() {
    let (mut world, left, right) = pair(10);
    world.at(millis(500), move |world| send(world, left, address(2), b"later"));
    assert!(!world.wait_for(millis(519), |world| !talker(world, right).datagrams.is_empty()));
    assert!(world.wait_for(millis(1), |world| !talker(world, right).datagrams.is_empty()));
    assert_eq!(world.now(), millis(520));
}

#[test]
fn one_seed_gives_one_run_and_another_seed_another() {
    let run = |seed, keep| {
        let (mut world, left, right) = pair(seed);
        world.keep_transcript(keep);
        world.set_line(left, &Faults::hostile());
        for number in 0..200u8 {
            let (from, to) = if number % 2 == 0 { (left, 2) } else { (right, 1) };
            world.at(millis(u64::from(number)), move |world| {
                send(world, from, address(to), &[number; 50]);
            });
        }
        talker::connect(&mut world, left, address(2));
        world.run_until(Duration::from_secs(20));
        (world.transcript().hash(), world.transcript().to_string())
    };
    assert_eq!(run(1, true), run(1, true));
    assert_eq!(run(1, true).0, run(1, false).0);
    assert_ne!(run(1, true).0, run(2, true).0);
}
