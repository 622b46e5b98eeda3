//! Words and probes that are lost, late, or copied on the way.

use genkan_core::wire::message::Measure;
use genkan_sim::fleet::{Fleet, punches};
use genkan_sim::matrix::KINDS;
use genkan_sim::nat::Leases;
use genkan_sim::{HostId, NatConfig, Packet, Verdict};
use genkan_tests::appliance::Appliance;
use genkan_tests::booth::{OTHER_ADDRESS, OTHER_PORT};

use super::*;

const HOUR: u64 = 3_600;

/// Whether the server believes the leased port of an appliance behind a box that draws its ports, after
/// so many seconds in which `hook` has its way with the packets.
fn is_believed(secs: u64, mut hook: impl FnMut(&Packet, HostId) -> Verdict + 'static) -> bool {
    let kind = KINDS.into_iter().find(|kind| kind.name == "random").unwrap();
    let leases = Leases { nat_pmp: true, pcp: true, longest: Duration::from_secs(86_400), most: 8 };
    let mut fleet = Fleet::with_server(1, punches);
    fleet.asks_for_ports = true;
    let nat = fleet.nat(NatConfig { leases: Some(leases), ..kind.config(0.0) });
    let lamp = fleet.acceptor_behind(Some(nat), "lamp", |config| {
        (config.spread, config.punch) = (Duration::ZERO, LARGE);
    });
    fleet.world.hook(move |packet| hook(packet, lamp));
    assert!(fleet.wait_registered(lamp, Duration::from_secs(20)));
    fleet.world.run_for(Duration::from_secs(secs));
    let story = fleet.story();
    let last = story.lines().rfind(|line| line.contains("server: Measured"));
    last.unwrap_or_default().contains("mapping: EndpointIndependent")
}

/// The first of the appliance's words, which is the lease, comes so much later, or never.
fn first_word(late: Option<Duration>) -> impl FnMut(&Packet, HostId) -> Verdict {
    let mut seen = false;
    move |packet, lamp| {
        let word = packet.from == Some(lamp) && packet.kind() == Some(Kind::Transport);
        if !word || core::mem::replace(&mut seen, true) {
            return Verdict::Pass;
        }
        late.map_or(Verdict::Drop, Verdict::Delay)
    }
}

/// The probes of this status that are lost, by their number.
fn probes(status: u8, lost: core::ops::Range<usize>) -> impl FnMut(&Packet, HostId) -> Verdict {
    let mut seen = 0;
    move |packet, _| {
        let probe =
            packet.kind() == Some(Kind::FilterProbe) && packet.bytes.get(1) == Some(&status);
        seen += usize::from(probe);
        if probe && lost.contains(&(seen - 1)) { Verdict::Drop } else { Verdict::Pass }
    }
}

#[test]
fn a_lease_whose_word_is_lost_or_late_is_said_again() {
    assert!(is_believed(60, |_, _| Verdict::Pass));
    assert!(is_believed(60, first_word(None)));
    // Its registration overtakes it.
    assert!(is_believed(60, first_word(Some(Duration::from_millis(90)))));
}

#[test]
fn a_lost_probe_is_made_up_for() {
    // The box has leased the port that it shows: what gets in tells something every ten minutes.
    assert!(is_believed(1_200, probes(2, 0..1)), "the first");
    assert!(is_believed(2_400, probes(2, 0..2)), "the first two");
    // Probes that never arrive are not sent for ever.
    assert!(!is_believed(2 * HOUR, probes(2, 0..3)));
    // The one of the next measurement, six hours later: nothing is given up for that.
    assert!(is_believed(6 * HOUR + 300, probes(2, 1..2)));
    assert!(is_believed(6 * HOUR + 1_500, probes(2, 1..2)));
}

/// T14: who had a port once and only keeps his session alive is not believed for ever, nor by the word
/// that proved it then.
#[test]
fn t14_a_proof_is_good_for_some_hours() {
    let mut stand = Stand::new(true);
    let proof = stand.proof(NEIGHBOURS);
    stand.reached(proof);
    stand.show(6);
    assert!(stand.believes(1));
    for _ in 0..9 * 60 {
        stand.booth.pass(Duration::from_secs(60));
        for end in [&mut stand.lamp, &mut stand.phone] {
            let keepalive = end.evil.keepalive(None);
            stand.booth.tell(SocketId::MAIN, end.at, &keepalive);
        }
    }
    assert!(!stand.believes(2));
    assert_eq!(stand.reached(proof), UNPROVEN);
    assert!(!stand.believes(3));
}

/// Somebody on the way has seen two probes, and sends them again and again.
#[test]
fn copied_probes_do_not_make_an_appliance_talk() {
    let mut lamp = Appliance::new(|config| config.punch = Some(Ability::SMALL));
    let other_address = Some(sa(OTHER_ADDRESS).into());
    let measure =
        |now| ToEquipment::Measure(Measure { other_port: OTHER_PORT, other_address, now });
    lamp.tell(&measure(false));
    let now = lamp.now;
    lamp.lamp.set_leased(now, Some(NEIGHBOURS));
    lamp.pass_answered(Duration::from_secs(1));
    lamp.tell(&measure(true));
    lamp.said();
    let mut words = 0;
    for turn in 0..1_000 {
        lamp.short(Kind::FilterProbe, 2, 77 + turn % 2);
        words += lamp.said().len();
    }
    assert!((2..=10).contains(&words), "{words} words");
}

/// The NAT gives the session another port between the probe and the word.
#[test]
fn a_proof_outlives_another_port_of_the_session() {
    let mut stand = Stand::new(true);
    let proof = stand.proof(NEIGHBOURS);
    stand.show(0);
    stand.booth.pass(Duration::from_secs(2));
    stand.lamp.at.set_port(4_700);
    let keepalive = stand.lamp.evil.keepalive(None);
    let (_, sent) = stand.booth.tell(SocketId::MAIN, stand.lamp.at, &keepalive);
    let echo = stand.lamp.evil.keepalive(Some(&sent[0].bytes[6..12]));
    stand.booth.tell(SocketId::MAIN, stand.lamp.at, &echo);
    assert_eq!(stand.reached(proof), Received::Control);
}

/// No Detect has come, and the first Reached was lost: a registration later the word is repeated.
#[test]
fn a_proof_outlives_a_measurement_without_probes() {
    let mut stand = Stand::new(true);
    let proof = stand.proof(stand.lamp.at.port());
    stand.booth.pass(Duration::from_secs(25));
    let keepalive = stand.lamp.evil.keepalive(None);
    stand.booth.tell(SocketId::MAIN, stand.lamp.at, &keepalive);
    assert_eq!(stand.register(), [None; 2]);
    assert_eq!(stand.reached(proof), Received::Control);
}

/// What a measurement has sent that was under way when the port was leased opens nothing of that port.
#[test]
fn a_lease_that_comes_during_a_measurement_is_proven() {
    let mut lamp = Appliance::new(|config| config.punch = Some(Ability::SMALL));
    let measure =
        |now| ToEquipment::Measure(Measure { other_port: OTHER_PORT, other_address: None, now });
    lamp.tell(&measure(true));
    let now = lamp.now;
    lamp.lamp.set_leased(now, Some(NEIGHBOURS));
    lamp.lamp.handle_bound(now, SocketId::FRESH, Some(sa("10.0.0.1:5000")));
    lamp.pass_answered(Duration::from_secs(60));
    lamp.short(Kind::FilterProbe, 1, 99);
    lamp.tell(&measure(true));
    let reached = |word: &ToServer<'_>| matches!(word, ToServer::Reached(_));
    assert_eq!(lamp.said().iter().filter(|word| reached(word)).count(), 1);
}
