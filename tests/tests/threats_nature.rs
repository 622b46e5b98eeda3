//! Threats by nature (T33 to T36, T40): clocks at their ends and jumping, power cuts over a whole
//! town, networks that change under a device, garbage, and logs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, Delivery, Identity, Instant, Machine,
    Received, ServerAddress, SocketId, StaticKey, StreamId, TimerKind, Transport,
};
use genkan_sim::fleet::{FleetAcceptor, FleetServer};
use genkan_sim::nat::Hairpin;
use genkan_sim::{Faults, NatConfig, Rng, SimEntropy};
use genkan_tests::appliance::Appliance;
use genkan_tests::evil::{Desk, garbage, sa};
use genkan_tests::scene::{Door, HOP, Setup};

#[test]
fn t33_machines_run_at_every_end_of_the_time_scale() {
    let ends = [
        0,
        u64::from(u32::MAX) * 1_000 - 60_000_000,
        u64::from(u32::MAX) * 1_000_000 - 60_000_000,
        i64::MAX as u64 - 60_000_000,
        u64::MAX - 3_600_000_000,
    ];
    for micros in ends {
        let mut lamp = Appliance::at(Instant::from_micros(micros), |_| ());
        // Nobody answers: it goes through keepalives, loss, back-off and new attempts.
        lamp.pass(Duration::from_secs(3_000));
        let wakeup = lamp.lamp.poll_timeout().unwrap();
        assert!(wakeup.at > lamp.now);
    }
}

#[test]
fn t33_at_the_very_end_of_time_nothing_panics() {
    let mut lamp = Appliance::at(Instant::from_micros(u64::MAX - 5_000_000), |_| ());
    for micros in [u64::MAX - 1, u64::MAX] {
        let now = Instant::from_micros(micros);
        for _ in 0..100 {
            lamp.lamp.handle_timeout(now);
            genkan_tests::evil::drain(&mut lamp.lamp, now);
        }
    }
    let mut desk = Desk::default();
    desk.server.handle_timeout(Instant::END);
    assert!(desk.drain().is_empty());
}

#[test]
fn t34_clocks_that_jump_delay_and_disconnect_but_do_not_break() {
    for seconds in [1u64, 30, 3_600, 40 * 86_400] {
        let by = Duration::from_secs(seconds);
        for victim in 0..3 {
            let mut scene = Setup { door: Door::Open, ..Setup::default() }.registered();
            scene.connect();
            let host = [scene.fleet.server, scene.lamp, scene.phone][victim];
            scene.fleet.world.jump_ahead(host, by);
            scene.fleet.world.run_for(Duration::from_secs(60));
            assert_eq!(
                scene.server().registered(),
                1,
                "{seconds} s ahead\n{}",
                scene.fleet.story()
            );
            scene.connect();
            scene.assert_at_rest();
        }
    }
}

#[test]
fn t34_a_clock_that_jumps_back_only_delays() {
    for victim in 0..3 {
        let mut scene = Setup { door: Door::Open, ..Setup::default() }.registered();
        let host = [scene.fleet.server, scene.lamp, scene.phone][victim];
        scene.fleet.world.jump_back(host, Duration::from_secs(20));
        scene.fleet.world.run_for(Duration::from_secs(60));
        assert_eq!(scene.server().registered(), 1, "{}", scene.fleet.story());
        scene.connect();
    }
}

#[test]
fn t35_a_power_cut_over_a_whole_town_comes_back_spread_out() {
    const DEVICES: usize = 20_000;
    const BINS: usize = 10;
    let now = Instant::from_millis(1_000);
    let mut bins = [0usize; BINS];
    for n in 0..DEVICES {
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&(n as u64).to_be_bytes());
        // All of them have the same broken generator: what is their own still sets them apart.
        let key = StaticKey::from_parts(secret, secret);
        let server = ServerAddress::both(sa("203.0.113.1:4600"));
        let config = AcceptorConfig::new(Identity { key, boots: 1 }, server, Desk::anchors());
        let lamp = Acceptor::new(now, config, [AcceptorSlot::EMPTY], SimEntropy::constant(0));
        let wakeup = lamp.poll_timeout().unwrap();
        assert_eq!(wakeup.reason, TimerKind::Registration);
        let wait = wakeup.at.since(now);
        assert!(wait < Duration::from_secs(25));
        bins[wait.as_millis() as usize * BINS / 25_000] += 1;
    }
    let mean = DEVICES / BINS;
    let peak = bins.iter().max().unwrap();
    assert!(peak * 10 <= mean * 13, "{bins:?}: peak over mean must be at most 1.3");
}

#[test]
fn t35_a_dead_server_is_asked_less_and_less() {
    let mut lamp = Appliance::default();
    let mut sent = Vec::new();
    let end = lamp.now.after(Duration::from_secs(4 * 3_600));
    while let Some(wakeup) = lamp.lamp.poll_timeout().filter(|wakeup| wakeup.at <= end) {
        lamp.now = wakeup.at;
        lamp.lamp.handle_timeout(lamp.now);
        for _ in genkan_tests::evil::drain(&mut lamp.lamp, lamp.now) {
            sent.push(lamp.now);
        }
        while let Some(command) = lamp.lamp.poll_command() {
            if let genkan_core::Command::Connect { stream, .. } = command {
                let closed = genkan_core::StreamState::Closed;
                lamp.lamp.handle_stream_state(lamp.now, stream, closed);
            }
        }
        while lamp.lamp.poll_event().is_some() {}
    }
    let last_hour = sent.iter().filter(|at| end.since(**at) < Duration::from_secs(3_600)).count();
    assert!((6 * 12..=6 * 25).contains(&last_hour), "{last_hour} datagrams in the fourth hour");
}

#[test]
fn t36_no_garbage_of_any_kind_makes_a_machine_panic_or_speak() {
    let mut rng = Rng::new(36);
    let mut lamp = Appliance::default();
    let mut desk = Desk::default();
    let mut scene = Setup::default().registered();
    scene.connect();
    let entries = scene.fleet.world.transcript().entries();
    let genuine: Vec<Vec<u8>> = entries.map(|entry| entry.message().to_vec()).collect();
    for n in 0..60_000u32 {
        let mut bytes = if n % 2 == 0 {
            garbage(&mut rng, 1_300)
        } else {
            let mut bytes = genuine[rng.index(genuine.len())].clone();
            for _ in 0..=rng.below(4) {
                if !bytes.is_empty() {
                    let at = rng.index(bytes.len());
                    bytes[at] ^= 1 << rng.below(8);
                }
            }
            bytes.truncate(bytes.len().saturating_sub(rng.index(3)));
            bytes
        };
        let from = SocketAddr::from((
            rng.next_u64().to_be_bytes()[..4].first_chunk().copied().unwrap_or([1; 4]),
            5_000,
        ));
        let _discarded = desk.tell(from, &bytes);
        let received = lamp.lamp.handle_datagram(lamp.now, SocketId::MAIN, from, &mut bytes);
        assert!(matches!(received, Received::Discarded(_)));
        let stream = StreamId { index: (n % 4) as u16, generation: (n % 3) as u16 };
        let input = lamp.lamp.handle_stream(lamp.now, stream, &mut bytes);
        assert!(input.consumed <= bytes.len());
    }
    assert!(lamp.said().is_empty());
    assert_eq!((desk.server.clients(), desk.server.registered()), (0, 0));
}

#[test]
fn t40_what_strangers_send_makes_no_event_and_counters_do_not_overflow() {
    let mut desk = Desk::default();
    let mut rng = Rng::new(40);
    for _ in 0..10_000 {
        let bytes = garbage(&mut rng, 300);
        desk.tell(sa("192.0.2.66:5000"), &bytes);
    }
    assert_eq!(desk.server.poll_event(), None, "an event per packet would be a flooded log");
    assert!(desk.server.counters().all_discarded() >= 10_000);
    // What an operator's log is given of equipment has no text of its choosing: a key's Bech32 form.
    let id = StaticKey::from_secret([7; 32]).id().to_string();
    assert!(id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    let secret = format!("{:?}", StaticKey::from_secret([7; 32]));
    assert!(!secret.contains("07") && !secret.contains("[7"), "{secret}");
}

#[test]
fn an_appliance_whose_nat_forgets_it_is_reachable_again_within_a_period() {
    let mut scene = Setup { door: Door::Open, ..Setup::default() }.scene();
    let nat = scene.fleet.nat(NatConfig::default());
    let lamp = scene.fleet.acceptor_behind(Some(nat), "inside", |config| {
        config.spread = Duration::ZERO;
        config.admission.open = true;
    });
    assert!(scene.fleet.wait_registered(lamp, Duration::from_secs(5)));
    for round in 0..3u8 {
        match round {
            0 => scene.fleet.world.nat_mut(nat).reboot(),
            1 => scene.fleet.world.renumber_nat(nat, IpAddr::from([192, 0, 2, 201])),
            _ => scene.fleet.world.renumber_nat(nat, IpAddr::from([192, 0, 2, 202])),
        }
        scene.fleet.world.run_for(Duration::from_secs(26));
        let request = scene.fleet.request(scene.phone, lamp);
        let connected = scene.fleet.wait_connected(scene.phone, request, Duration::from_secs(5));
        assert!(connected, "round {round}\n{}", scene.fleet.story());
    }
    let inits = scene.fleet.world.transcript().entries();
    let inits = inits.filter(|e| e.from == "inside" && e.kind == Some(Kind::Initiation)).count();
    assert_eq!(inits, 1, "a challenge and its echo, and no further handshake");
}

#[test]
fn an_issuers_idle_session_survives_a_nat_that_forgets_it() {
    let mut scene = Setup { door: Door::Open, ..Setup::default() }.registered();
    let nat = scene.fleet.nat(NatConfig::default());
    let phone = scene.fleet.issuer_behind(Some(nat), "inside", |config| {
        config.transport = genkan_core::RequestTransport::Datagram;
        config.wall_clock = Some(genkan_sim::fleet::START);
    });
    // Unknown on purpose: a dial-back does not come through this NAT, an answer does.
    let nobody = genkan_core::Target::new(StaticKey::from_secret([77; 32]).id());
    let first = scene.fleet.request_target(phone, &nobody);
    let refused = scene.fleet.wait_outcome(phone, first, Duration::from_secs(5));
    assert!(format!("{refused:?}").contains("Refused"));
    scene.fleet.world.run_for(Duration::from_secs(20));
    scene.fleet.world.nat_mut(nat).reboot();
    scene.fleet.world.nat_mut(nat).config_mut().hairpin = Hairpin::None;
    scene.fleet.world.renumber_nat(nat, IpAddr::from([192, 0, 2, 201]));
    let second = scene.fleet.request_target(phone, &nobody);
    let refused = scene.fleet.wait_outcome(phone, second, Duration::from_secs(5));
    assert!(format!("{refused:?}").contains("Refused"), "{refused:?}\n{}", scene.fleet.story());
}

#[test]
fn an_appliance_goes_over_tcp_while_udp_is_blocked_and_back_when_it_is_not() {
    let mut scene = Setup { door: Door::Open, ..Setup::default() }.registered();
    let blocked = Faults::default().without_udp();
    scene.fleet.world.set_line(scene.lamp, &blocked);
    scene.fleet.world.run_for(Duration::from_secs(100));
    assert_eq!(scene.server().registered(), 1);
    let over = |scene: &genkan_tests::scene::Scene| {
        scene.lamp_events().into_iter().rev().find_map(|event| match event {
            AcceptorEvent::Registered { over, .. } => Some(over),
            _ => None,
        })
    };
    assert_eq!(over(&scene), Some(Transport::Stream), "{}", scene.fleet.story());
    scene.connect();
    scene.fleet.world.set_line(scene.lamp, &Faults::default());
    scene.fleet.world.run_for(Duration::from_secs(400));
    assert_eq!(over(&scene), Some(Transport::Datagram), "{}", scene.fleet.story());
    scene.connect();
    scene.assert_at_rest();
}

#[test]
fn an_appliance_that_left_stays_away_and_leaves_nothing_behind() {
    for blocked in [false, true] {
        let setup = Setup { door: Door::Open, delivery: Delivery::Auto, ..Setup::default() };
        let mut scene = setup.scene();
        if blocked {
            scene.fleet.world.set_line(scene.lamp, &Faults::default().without_udp());
        }
        scene.fleet.world.run_for(Duration::from_secs(30));
        assert_eq!(scene.server().registered(), 1, "{}", scene.fleet.story());
        scene.fleet.world.with(scene.lamp, |machine: &mut FleetAcceptor, io| {
            machine.deregister(io.now());
        });
        scene.fleet.world.run_for(HOP * 4);
        let server: &FleetServer = scene.fleet.world.machine(scene.fleet.server);
        assert_eq!((server.registered(), server.clients()), (0, 0), "{}", scene.fleet.story());
        scene.fleet.world.run_for(Duration::from_secs(600));
        assert_eq!(scene.server().clients(), 0, "it is back\n{}", scene.fleet.story());
        assert_eq!(scene.streams(scene.lamp), 0);
        let lamp: &FleetAcceptor = scene.fleet.world.machine(scene.lamp);
        assert_eq!(lamp.poll_timeout(), None);
    }
}
