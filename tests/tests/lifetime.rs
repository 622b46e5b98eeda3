//! How long a NAT keeps a silent mapping: found out through simulated boxes, and what keepalives
//! make of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;

use genkan_core::AcceptorEvent;
use genkan_core::nat::Allocation;
use genkan_core::wire::Kind as Message;
use genkan_sim::fleet::{AcceptorApp, FleetServer};
use genkan_sim::{Death, Entry, Fate, Faults, Unroutable};
use genkan_tests::home::{Home, home, keeping, nth_home, secs};
use genkan_tests::punch::Meeting;
use genkan_tests::scene::HOP;

/// Longer than a whole watch takes: silences of 690 s.
const WATCH: Duration = secs(720);

/// The kinds that hand the same port out again, and that do not.
const KINDS_OF_PORT: [&str; 4] = ["kept", "first", "port", "seq+1"];

/// The bounds that a box's lifetime is found between, and the interval that follows where the usual
/// one is 25 s and it may grow.
const FOUND: [(u64, [u16; 2], u64); 5] = [
    (20, [0, 30], 15),
    (45, [30, 60], 23),
    (65, [60, 120], 45),
    (180, [120, 180], 90),
    (400, [300, 0], 225),
];

/// Whether the first silence of 30 s or a keepalive, 20 to 25 s after the one before, is the first to
/// meet a mapping that is gone is drawn: hence several runs.
const RUNS: core::ops::Range<u64> = 1..9;

#[test]
fn a_lifetime_is_found_within_a_step_of_its_table() {
    for (seed, kind) in RUNS.flat_map(|seed| KINDS_OF_PORT.map(|kind| (seed, kind))) {
        for (life, bounds, _) in FOUND {
            let mut home = nth_home(seed, keeping(kind, secs(life)), 25, true);
            home.fleet.world.run_for(WATCH);
            let [lamps, [least, most]] = home.lifetimes();
            // Another port at a keepalive: the server has learned it, asks for the NAT anew, and that
            // ends the watch.
            let cut = life < 25 && ["port", "seq+1"].contains(&kind) && lamps == [0, 0];
            let name = format!("run {seed}, {kind}, {life} s");
            assert!(lamps == bounds || cut, "{name}: {lamps:?}\n{}", home.fleet.story());
            // The server knows that and, where ports are counted, its own keepalives' gaps.
            let told = match kind {
                "seq+1" => (bounds[0].max(10)..=bounds[0].max(15)).contains(&least),
                _ => least == bounds[0],
            };
            assert!(told && most == bounds[1], "{name}: {least}, {most}");
            assert_eq!(home.fleet.world.open_sockets(home.lamp), 1, "{name}");
        }
    }
}

/// Without it nothing is known where ports are kept, and no socket stays open.
#[test]
fn nobody_watches_who_was_not_told_to() {
    for (life, _, _) in FOUND {
        let mut home = home(keeping("kept", secs(life)), 600, false);
        home.fleet.world.run_for(secs(5));
        assert_eq!(home.fleet.world.open_sockets(home.lamp), 1);
        home.fleet.world.run_for(WATCH);
        assert_eq!(home.lifetimes(), [[0, 0]; 2]);
    }
}

/// What a watch costs the lamp, and that there is no second one for hours.
#[test]
fn a_watch_takes_few_datagrams_and_comes_once() {
    let mut most = 0;
    for (life, bounds, _) in FOUND {
        let counted = |watches: bool| {
            let mut home = home(keeping("port", secs(life)), 25, watches);
            home.fleet.world.run_for(WATCH);
            let entries = home
                .since(Duration::ZERO)
                .filter(|entry| entry.from == "lamp" && entry.kind != Some(Message::Keepalive));
            let sent = entries.count();
            home.fleet.world.run_for(secs(3 * 3_600));
            let kept = |entry: &&Entry| {
                entry.kind == Some(Message::Detect) && entry.bytes.get(17) == Some(&6)
            };
            (sent, home.since(WATCH + secs(10)).filter(kept).count())
        };
        let ((with, again), (without, _)) = (counted(true), counted(false));
        // A shorter interval brings registrations more often.
        let more = with - without;
        assert!(more <= 16 && again == 0, "{bounds:?}: {more}, {again}");
        most = most.max(more);
    }
    assert!(most >= 10, "{most}: it does watch");
}

/// A box that does not count what comes in as use of a mapping.
#[test]
fn a_mapping_that_only_packets_from_inside_prolong_is_found_too() {
    for kind in ["port", "seq+1"] {
        let mut config = keeping(kind, secs(65));
        config.refresh.inbound = false;
        let mut home = home(config, 25, true);
        home.fleet.world.run_for(WATCH);
        assert_eq!(home.lifetimes(), [[60, 120]; 2], "{kind}");
    }
}

#[test]
fn the_advice_grows_where_it_may_and_shrinks_where_it_must() {
    for kind in KINDS_OF_PORT {
        for (life, _, interval) in FOUND {
            for longest in [25, 600] {
                let mut home = home(keeping(kind, secs(life)), longest, true);
                home.fleet.world.run_for(WATCH);
                let from = home.fleet.world.now();
                home.fleet.world.run_for(secs(20 * interval.max(25)));
                let expected = secs(interval.min(longest.into()));
                let longest_gap = home.gaps(from).into_iter().max().unwrap();
                let name = format!("{kind}, {life} s, up to {longest} s: {longest_gap:?}");
                // A keepalive comes up to a fifth early.
                assert!(longest_gap <= expected + secs(1), "{name}");
                assert!(longest_gap >= expected * 3 / 4, "{name}");
                // And nobody is taken off the list.
                assert!(home.fleet.is_registered(home.lamp), "{name}");
                let app: &AcceptorApp = home.fleet.world.app(home.lamp);
                let lost = |event: &AcceptorEvent| *event == AcceptorEvent::RegistrationLost;
                assert!(!app.log.events.iter().any(|(_, event)| lost(event)), "{name}");
            }
        }
    }
}

/// An entry ends three of its own intervals after the last word where those are longer than usual.
#[test]
fn an_entry_lasts_as_long_as_its_interval_says() {
    for (life, longest, bounds) in [(20, 25, 85..=125), (400, 600, 685..=725)] {
        let mut home = home(keeping("port", secs(life)), longest, true);
        home.fleet.world.run_for(WATCH + secs(10));
        home.fleet.world.kill(home.lamp, Death::Silent);
        let from = home.fleet.world.now();
        let lamp = home.lamp;
        let fleet = &mut home.fleet;
        let mut gone = None;
        for _ in 0..1_000 {
            fleet.world.run_for(secs(1));
            if !fleet.is_registered(lamp) {
                gone = Some((fleet.world.now() - from).as_secs());
                break;
            }
        }
        // Swept within 32 s, and last heard of up to an interval before.
        let low = *bounds.start() - if longest == 25 { 15 } else { 225 };
        assert!(gone.is_some_and(|gone| (low..=*bounds.end()).contains(&gone)), "{gone:?}");
    }
}

/// Whether a datagram from the server would get in at each moment: packets that the box drops.
fn shut_out(home: &mut Home) -> usize {
    let from = home.fleet.world.now();
    let server = home.fleet.world.machine::<FleetServer>(home.fleet.server);
    let place = server.location(&home.fleet.id(home.lamp)).unwrap();
    let main = home.fleet.server_address();
    for tick in 0..600 {
        home.fleet.world.inject(from + secs(tick), main, place, b"nothing");
    }
    home.fleet.world.run_for(secs(601));
    let dropped = |entry: &&Entry| {
        entry.bytes == b"nothing" && entry.fate == Fate::Unroutable(Unroutable::Nat)
    };
    home.since(from).filter(dropped).count()
}

/// Ports are kept, so nobody sees that the mapping goes again and again.
#[test]
fn a_device_behind_a_box_that_forgets_after_20_s_stays_reachable() {
    let run = |seed, watches| {
        let mut config = keeping("kept", secs(20));
        // What is asked here must not keep the mapping alive.
        config.refresh.inbound = false;
        let mut home = nth_home(seed, config, 25, watches);
        home.fleet.world.run_for(WATCH);
        shut_out(&mut home)
    };
    for seed in RUNS {
        assert_eq!(run(seed, true), 0, "run {seed}");
        assert!(run(seed, false) > 30, "without, it is cut off for a part of the time");
    }
}

/// Another port after a silence says that the mapping was gone, without any socket.
#[test]
fn keepalives_tell_the_server_of_a_counting_box() {
    let mut short = home(keeping("seq+1", secs(12)), 25, false);
    short.fleet.world.run_for(secs(300));
    let [_, server] = short.profiles();
    assert!(matches!(server.allocation, Allocation::Sequential(_)));
    let lifetime = server.lifetime;
    assert!([15, 20].contains(&lifetime.at_most()) && lifetime.at_least() < 12, "{lifetime:?}");
    let from = short.fleet.world.now();
    short.fleet.world.run_for(secs(300));
    assert!(short.gaps(from).into_iter().max().unwrap() < secs(12), "{:?}", short.gaps(from));
    // One that keeps its mapping tells so, too.
    let mut long = home(keeping("seq+1", secs(60)), 25, false);
    long.fleet.world.run_for(secs(300));
    let [_, server] = long.profiles();
    assert_eq!([server.lifetime.at_least(), server.lifetime.at_most()], [20, 0]);
}

/// Nobody answers for a while: that says nothing of the NAT.
#[test]
fn a_server_that_is_out_of_reach_is_not_taken_for_a_mapping_that_is_gone() {
    for at in [10, 40, 110, 240, 420] {
        let mut home = home(keeping("port", secs(400)), 25, true);
        home.fleet.world.run_for(secs(at));
        let (lamp, server) = (home.lamp, home.fleet.server);
        home.fleet.world.partition(&[lamp], &[server]);
        home.fleet.world.run_for(secs(400));
        home.fleet.world.heal(&[lamp], &[server]);
        home.fleet.world.run_for(WATCH);
        let told = home.lifetimes();
        assert!(told.iter().all(|[_, most]| *most == 0), "cut at {at} s: {told:?}");
        assert_eq!(home.fleet.world.open_sockets(lamp), 1);
    }
}

#[test]
fn lost_packets_do_not_shorten_what_is_found() {
    let mut short = 0;
    for seed in 0..20 {
        let mut home = home(keeping("port", secs(400)), 25, true);
        let (lamp, server) = (home.lamp, home.fleet.server);
        // The measurement is over; another run of the same world for each seed.
        home.fleet.world.run_for(secs(2) + Duration::from_millis(10 * seed));
        home.fleet.world.set_paths(lamp, server, &Faults::latency(HOP).with_loss(0.05));
        home.fleet.world.run_for(WATCH + secs(60));
        let [[_, most], _] = home.lifetimes();
        short += usize::from(most != 0);
    }
    assert!(short <= 1, "{short} of 20 took loss for an end");
}

/// A server that has forgotten is told what the lamp still knows.
#[test]
fn a_restarted_server_is_told() {
    let mut home = home(keeping("port", secs(65)), 600, true);
    home.fleet.world.run_for(WATCH);
    assert_eq!(home.lifetimes(), [[60, 120]; 2]);
    home.fleet.reboot_server(Death::Silent);
    home.fleet.world.run_for(secs(90));
    assert_eq!(home.lifetimes(), [[60, 120]; 2]);
}

/// What was found of one house's box says nothing of another's.
#[test]
fn a_move_begins_anew() {
    for early in [true, false] {
        let mut home = home(keeping("seq+1", secs(65)), 25, true);
        home.fleet.world.run_for(if early { secs(50) } else { WATCH });
        let nat = home.nat;
        home.fleet.world.renumber_nat(nat, "192.0.2.77".parse().unwrap());
        home.fleet.world.run_for(secs(30));
        let told = home.lifetimes();
        // But what the server has seen of the new one's first keepalive.
        let [lamps, [least, most]] = told;
        let none = lamps == [0, 0] && least <= 20 && most == 0;
        assert!(none, "early: {early}: {told:?}\n{}", home.fleet.story());
        home.fleet.world.run_for(WATCH);
        assert_eq!(home.lifetimes(), [[60, 120]; 2], "early: {early}");
        assert_eq!(home.fleet.world.open_sockets(home.lamp), 1);
    }
}

fn changes(events: &[AcceptorEvent]) -> usize {
    events.iter().filter(|event| matches!(event, AcceptorEvent::PathChanged { .. })).count()
}

/// Of two boxes that forget so soon, the lamp's is known: its keepalives come sooner.
#[test]
fn a_punched_path_stays_up_behind_boxes_that_forget_soon() {
    let run = |life: u64, lifetime: bool| {
        let config = keeping("seq+1", secs(life));
        let phones = keeping("port", secs(20));
        let meeting =
            Meeting { lifetime, age: secs(60), ..Meeting::between(Some(phones), Some(config)) };
        let mut pair = meeting.prepared();
        let outcome = pair.meet();
        assert!(outcome.is_punched(), "{outcome:?}\n{}", pair.fleet.story());
        assert!(pair.talk());
        let before = changes(&pair.lamp_events());
        for _ in 0..10 {
            pair.fleet.world.run_for(secs(60));
            assert!(pair.talk(), "{life} s\n{}", pair.fleet.story());
        }
        changes(&pair.lamp_events()) - before
    };
    assert_eq!(run(20, true), 0);
    assert_eq!(run(12, true), 0);
}

/// A request has the sockets, and nothing is left open.
#[test]
fn a_request_ends_a_watch() {
    let meeting = Meeting {
        lifetime: true,
        age: secs(20),
        ..Meeting::between(Some(keeping("port", secs(300))), Some(keeping("seq+1", secs(65))))
    };
    let mut pair = meeting.prepared();
    assert_eq!(pair.fleet.world.open_sockets(pair.lamp), 2, "it watches");
    let request = pair.ask();
    pair.fleet.world.run_for(secs(5));
    assert!(pair.outcome(pair.told(request)).is_punched(), "{}", pair.fleet.story());
    pair.fleet.hang_up(pair.phone, request);
    pair.fleet.world.run_for(secs(30));
    // The first silence would have ended by now.
    let kept = pair.since().filter(|entry| entry.bytes.get(17) == Some(&6));
    assert_eq!(kept.count(), 0);
    assert_eq!(pair.fleet.world.open_sockets(pair.lamp), 1);
}

/// It looks like a box that forgets soon, for some hours.
#[test]
fn a_box_that_was_restarted_is_believed_again() {
    let mut home = home(keeping("seq+1", secs(100)), 25, false);
    home.fleet.world.run_for(secs(100));
    let nat = home.nat;
    home.fleet.world.nat_mut(nat).reboot();
    home.fleet.world.run_for(secs(60));
    let [_, server] = home.profiles();
    assert_eq!(server.lifetime.at_most(), 30);
    home.fleet.world.run_for(secs(7 * 3_600));
    let [_, server] = home.profiles();
    assert!(server.lifetime.at_most() == 0 && server.confidence > 1, "{server:?}");
}
