//! The real machines in the simulated world.

use core::net::IpAddr;
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{
    AcceptorConfig, AcceptorEvent, IssuerEvent, RequestTransport, ServerEvent, Transport,
};
use genkan_sim::fleet::{
    AcceptorApp, Fleet, FleetAcceptor, FleetIssuer, FleetServer, IssuerApp, START, punches,
};
use genkan_sim::nat::presets;
use genkan_sim::{
    Death, EntropyMode, Faults, HostId, Log, NatConfig, Origin, Reader, Sent, Verdict, Via,
    drop_nth,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Registers at once and admits anybody.
fn eager(config: &mut AcceptorConfig) {
    config.admission.open = true;
    config.spread = Duration::ZERO;
}

/// A fleet of one acceptor, which sends back what it gets, and one issuer.
fn couple(seed: u64) -> (Fleet, HostId, HostId) {
    let mut fleet = Fleet::new(seed);
    let lamp = fleet.acceptor("lamp", eager);
    let phone = fleet.issuer("phone", |_| ());
    fleet.world.app_mut::<AcceptorApp>(lamp).echo = true;
    (fleet, lamp, phone)
}

/// The phone asks for the lamp and sends words, which must come back.
fn talk(fleet: &mut Fleet, lamp: HostId, phone: HostId) {
    let connection = fleet.request(phone, lamp);
    assert!(fleet.wait_connected(phone, connection, secs(5)), "{}", fleet.story());
    for word in [&b"on"[..], &[7; 1_000]] {
        let before = fleet.heard(phone).len();
        assert_eq!(fleet.say(phone, connection, word), Ok(Sent::Away));
        let came = fleet
            .world
            .wait_for(secs(5), |world| world.app::<IssuerApp>(phone).log.payloads.len() > before);
        assert!(came, "{}", fleet.story());
        assert_eq!(fleet.heard(phone).last(), Some(&word));
    }
}

#[test]
fn an_issuer_reaches_an_acceptor_through_the_server_and_they_talk() {
    let (mut fleet, lamp, phone) = couple(1);
    assert!(fleet.wait_registered(lamp, secs(5)));
    let place = fleet.world.machine::<FleetServer>(fleet.server).location(&fleet.id(lamp));
    assert_eq!(place.map(|place| place.ip()), Some(IpAddr::from([198, 51, 100, 1])));
    talk(&mut fleet, lamp, phone);
    let log = &fleet.world.app::<AcceptorApp>(lamp).log;
    let peer = fleet.id(phone);
    assert!(log.events.iter().any(
        |(_, event)| matches!(event, AcceptorEvent::Connected { peer: id, .. } if *id == peer)
    ));
    let server = &fleet.world.app::<Log<ServerEvent>>(fleet.server).events;
    assert!(server.iter().any(|(_, event)| matches!(event, ServerEvent::Accepted { .. })));
    assert_eq!(fleet.world.transcript().sent("lamp", "phone", Kind::Answer).count(), 1);
}

#[test]
fn one_seed_gives_one_run_and_another_seed_another() {
    let run = |seed, keep| {
        let (mut fleet, lamp, phone) = couple(seed);
        fleet.world.keep_transcript(keep);
        fleet.world.set_line(phone, &Faults::mobile());
        fleet.wait_registered(lamp, secs(60));
        fleet.request(phone, lamp);
        fleet.world.run_for(secs(600));
        (fleet.world.transcript().hash(), fleet.world.transcript().to_string())
    };
    assert_eq!(run(1, true), run(1, true));
    assert_eq!(run(1, true).0, run(1, false).0);
    assert_ne!(run(1, true).0, run(2, true).0);
}

#[test]
fn an_acceptor_behind_a_nat_is_woken_and_dials_back() {
    let mut fleet = Fleet::new(2);
    let nat = fleet.nat(NatConfig::default());
    let lamp = fleet.acceptor_behind(Some(nat), "lamp", eager);
    let phone = fleet.issuer("phone", |_| ());
    fleet.world.app_mut::<AcceptorApp>(lamp).echo = true;
    assert!(fleet.wait_registered(lamp, secs(5)));
    let place = fleet.world.machine::<FleetServer>(fleet.server).location(&fleet.id(lamp));
    assert_eq!(place.map(|place| place.ip()), Some(IpAddr::from([192, 0, 2, 1])));
    // Long after: the mapping was kept alive.
    fleet.world.run_for(secs(3_600));
    talk(&mut fleet, lamp, phone);
}

#[test]
fn an_acceptor_behind_home_and_carrier_is_woken_for_hundreds_of_hosts() {
    let mut fleet = Fleet::new(12);
    let carrier = fleet.nat(presets::cellular());
    let mut lamps = Vec::new();
    for number in 0..300 {
        let home = fleet.nat_behind(Some(carrier), presets::openwrt());
        lamps.push(fleet.acceptor_behind(Some(home), &format!("lamp {number}"), eager));
    }
    let phone = fleet.issuer("phone", |_| ());
    fleet.world.run_for(secs(1_800));
    for &lamp in &lamps {
        let place = fleet.world.machine::<FleetServer>(fleet.server).location(&fleet.id(lamp));
        assert_eq!(place.map(|place| place.ip()), Some(IpAddr::from([192, 0, 2, 1])));
    }
    let request = fleet.request(phone, lamps[299]);
    assert!(fleet.wait_connected(phone, request, secs(5)));
}

#[test]
fn where_udp_is_blocked_the_issuer_comes_over_tcp() {
    let (mut fleet, lamp, phone) = couple(3);
    fleet.world.set_line(phone, &Faults::default().without_udp());
    assert!(fleet.wait_registered(lamp, secs(5)));
    talk(&mut fleet, lamp, phone);
    let over = fleet.world.app::<IssuerApp>(phone).log.events.iter().find_map(|(_, event)| {
        let IssuerEvent::ServerReached { over, .. } = event else { return None };
        Some(*over)
    });
    assert_eq!(over, Some(Transport::Stream));
}

#[test]
fn a_rebooted_acceptor_registers_again() {
    for death in [Death::Silent, Death::WithReset] {
        let (mut fleet, lamp, phone) = couple(4);
        assert!(fleet.wait_registered(lamp, secs(5)));
        talk(&mut fleet, lamp, phone);
        fleet.reboot(lamp, death);
        fleet.world.app_mut::<AcceptorApp>(lamp).echo = true;
        fleet.world.run_for(secs(60));
        let events = &fleet.world.app::<AcceptorApp>(lamp).log.events;
        let again =
            events.iter().any(|(_, event)| matches!(event, AcceptorEvent::Registered { .. }));
        assert!(again, "{}", fleet.story());
        let flash = &fleet.world.app::<AcceptorApp>(lamp).flash;
        assert_eq!(flash.boots, 1);
        talk(&mut fleet, lamp, phone);
    }
}

#[test]
fn a_rebooted_server_gets_its_acceptors_back() {
    let (mut fleet, lamp, phone) = couple(5);
    assert!(fleet.wait_registered(lamp, secs(5)));
    fleet.reboot_server(Death::Silent);
    assert!(!fleet.is_registered(lamp));
    assert!(fleet.wait_registered(lamp, secs(120)), "{}", fleet.story());
    talk(&mut fleet, lamp, phone);
}

#[test]
fn hostile_lines_and_hosts_break_no_rule_of_the_interface() {
    for seed in 0..24 {
        let (mut fleet, lamp, phone) = couple(seed);
        let (server, world) = (fleet.server, &mut fleet.world);
        world.keep_transcript(false);
        for host in [lamp, phone, server] {
            world.set_line(host, &Faults::hostile());
            world.set_early_wakes(host, 0.3);
            world.set_late_wakes(host, Duration::from_millis(300));
            world.set_send_errors(host, 0.05);
        }
        world.set_reader(server, Reader::Slow { bytes: 50, every: Duration::from_millis(20) });
        let mut chance = world.chance("swarm");
        for _ in 0..12 {
            fleet.world.run_for(chance.up_to(secs(20)));
            let host = [lamp, phone, fleet.server][chance.index(3)];
            match chance.below(6) {
                0 => fleet.world.jump_back(host, chance.up_to(secs(100))),
                1 => fleet.world.jump_ahead(host, chance.up_to(secs(100))),
                2 => {
                    fleet.world.pause(host);
                    fleet.world.run_for(chance.up_to(secs(10)));
                    fleet.world.resume(host);
                }
                3 => fleet.reboot(lamp, Death::Silent),
                4 => fleet.reboot_server(Death::WithReset),
                _ => fleet.reboot(phone, Death::WithReset),
            }
            let id = genkan_core::Target::new(fleet.id(lamp));
            // The table may be full of requests that have come to nothing yet.
            let _ = fleet
                .world
                .with(phone, |issuer: &mut FleetIssuer, io| issuer.request(io.now(), &id));
        }
        fleet.world.run_for(secs(60));
    }
}

#[test]
fn entropy_that_fails_for_a_while_only_delays() {
    let mut fleet = Fleet::new(6);
    let lamp = fleet.acceptor("lamp", eager);
    let phone = fleet.issuer("phone", |_| ());
    let switch = fleet.entropy(lamp);
    switch.set(EntropyMode::Failing);
    assert!(!fleet.wait_registered(lamp, secs(30)));
    switch.set(EntropyMode::Seeded);
    assert!(fleet.wait_registered(lamp, secs(120)), "{}", fleet.story());
    fleet.world.app_mut::<AcceptorApp>(lamp).echo = true;
    talk(&mut fleet, lamp, phone);
}

#[test]
fn a_hook_can_pick_a_message_by_its_kind_and_number() {
    let mut fleet = Fleet::new(7);
    let lamp = fleet.acceptor("lamp", eager);
    let mut seen = 0;
    fleet.world.hook(move |packet| {
        if packet.from == Some(lamp) && packet.kind() == Some(Kind::Initiation) {
            seen += 1;
            if seen == 1 {
                return Verdict::Drop;
            }
            packet.bytes[40] ^= u8::from(seen == 2);
        }
        Verdict::Pass
    });
    assert!(fleet.wait_registered(lamp, secs(30)), "{}", fleet.story());
    let sent: Vec<_> = fleet.world.transcript().sent("lamp", "server", Kind::Initiation).collect();
    assert!(sent.len() >= 3 && !sent[0].is_delivered() && sent[1].origin == Origin::Altered);
    assert!(sent.iter().all(|entry| entry.via == Via::Udp));
}

#[test]
fn a_lost_message_is_sent_again() {
    for kind in [Kind::Initiation, Kind::Response, Kind::Certificate, Kind::Transport] {
        let mut fleet = Fleet::new(8);
        let lamp = fleet.acceptor("lamp", eager);
        fleet.world.hook(drop_nth(kind, 1));
        assert!(fleet.wait_registered(lamp, secs(60)), "{kind:?}: {}", fleet.story());
    }
}

#[test]
fn a_stream_only_issuer_connects_and_an_acceptor_can_leave() {
    let mut fleet = Fleet::new(8);
    let lamp = fleet.acceptor("lamp", eager);
    let phone = fleet.issuer("phone", |config| {
        config.transport = RequestTransport::Stream;
        config.wall_clock = Some(START);
    });
    fleet.world.app_mut::<AcceptorApp>(lamp).echo = true;
    assert!(fleet.wait_registered(lamp, secs(5)));
    talk(&mut fleet, lamp, phone);
    fleet.world.with(lamp, |acceptor: &mut FleetAcceptor, io| acceptor.deregister(io.now()));
    fleet.world.run_for(secs(5));
    assert!(!fleet.is_registered(lamp));
}

#[test]
#[should_panic(expected = "lamp: more than 1 outputs in one drain")]
fn a_drain_that_does_not_end_is_caught() {
    let (mut fleet, lamp, _) = couple(9);
    fleet.world.set_drain_limit(lamp, 1);
    fleet.world.run_for(secs(5));
}

#[test]
fn a_story_has_names_in_place_of_ids() {
    let (mut fleet, lamp, phone) = couple(10);
    assert!(fleet.wait_registered(lamp, secs(5)));
    talk(&mut fleet, lamp, phone);
    let story = fleet.story();
    assert!(story.starts_with("t=0.000 server: on\nt=0.000 lamp: on\n"), "{story}");
    assert!(story.contains("server: Requested { issuer: phone, target: lamp, found: true }"));
    assert!(!story.contains("gk1"), "{story}");
}

/// A holiday: the phone learns that the lamp is away, and finds it again when the power is back, with
/// what it had in flash.
#[test]
fn a_device_can_be_off_for_a_while() {
    let (mut fleet, lamp, phone) = couple(21);
    assert!(fleet.wait_registered(lamp, secs(5)));
    fleet.power_off(lamp, Death::Silent);
    fleet.power_off(lamp, Death::Silent);
    fleet.world.run_for(secs(3_600));
    assert!(!fleet.world.is_on(lamp) && !fleet.is_registered(lamp));
    let request = fleet.request(phone, lamp);
    assert!(!fleet.wait_connected(phone, request, secs(60)));
    fleet.power_on(lamp);
    fleet.power_on(lamp);
    assert!(fleet.wait_registered(lamp, secs(60)));
    let flash = &fleet.world.app::<AcceptorApp>(lamp).flash;
    assert_eq!((flash.boots, flash.certificate.is_empty()), (1, false));
    let request = fleet.request(phone, lamp);
    assert!(fleet.wait_connected(phone, request, secs(10)));

    fleet.power_off(lamp, Death::WithReset);
    fleet.reboot(lamp, Death::Silent);
    assert!(fleet.wait_registered(lamp, secs(60)), "a reboot brings it back too");
    assert_eq!(fleet.world.app::<AcceptorApp>(lamp).flash.boots, 2);
}

#[test]
fn a_server_that_punches_has_its_further_ends_open_also_after_a_reboot() {
    let mut fleet = Fleet::with_server(9, punches);
    assert_eq!(fleet.world.open_sockets(fleet.server), 3);
    let server = fleet.server;
    fleet.reboot_server(Death::Silent);
    assert_eq!(fleet.world.open_sockets(server), 3);
    assert_eq!(Fleet::new(9).world.open_sockets(server), 1);
}
