//! Whither probes go, and what an appliance says of them.

use genkan_core::AcceptorEvent;
use genkan_core::wire::message::{Measure, Seen};
use genkan_sim::fleet::{AcceptorApp, Fleet, punches};
use genkan_sim::matrix::KINDS;
use genkan_sim::nat::{Leases, Unsolicited};
use genkan_sim::{NatConfig, Via};
use genkan_tests::appliance::Appliance;
use genkan_tests::booth::{OTHER_ADDRESS, OTHER_PORT};

use super::*;

/// A box that takes a probe for its own harms the port that it went to, and no other.
#[test]
fn a_leased_port_is_probed_behind_a_box_that_takes_probes_for_its_own() {
    for (port, probed) in [(NEIGHBOURS, true), (4_600, false)] {
        let mut stand = Stand::new(true);
        stand.register();
        let ip = stand.lamp.at.ip();
        // The registered socket has another port towards the server's other port, all others their own.
        stand.booth.measure(&mut stand.lamp, true, 0, |probe| {
            let local = 4_600 + u16::from(probe.socket);
            (SocketAddr::new(ip, if probe.socket == 0 { 9_000 } else { local }), local)
        });
        assert!(stand.profile().unwrap().displaced);
        assert_eq!(stand.lease(port).map(|probe| probe.is_some()), [probed; 2], "{port}");
    }
}

/// A carrier's box that shuts out for two minutes whoever sends to a port that is not open: a probe to a
/// port that a box at home has opened in vain would take the server's address with it. Once it was seen
/// to punish, none is sent.
#[test]
fn a_leased_port_is_not_probed_behind_a_box_that_shuts_out_the_sender() {
    let draws = KINDS.into_iter().find(|kind| kind.name == "random").unwrap().config(0.0);
    let leases = |most| {
        let longest = Duration::from_secs(600);
        Some(Leases { nat_pmp: true, pcp: true, longest, most })
    };
    let unsolicited = Unsolicited::BlockRemote(Duration::from_secs(120));
    let mut fleet = Fleet::with_server(1, punches);
    fleet.asks_for_ports = true;
    let carrier = fleet.nat(NatConfig { unsolicited, ..draws.clone() });
    let home = fleet.nat_behind(Some(carrier), NatConfig { leases: leases(0), ..draws });
    let lamp = fleet.acceptor_behind(Some(home), "lamp", |config| {
        (config.spread, config.punch) = (Duration::ZERO, LARGE);
    });
    assert!(fleet.wait_registered(lamp, Duration::from_secs(10)));
    fleet.world.run_for(Duration::from_secs(900));
    let probes = |fleet: &Fleet| {
        let all = fleet.world.transcript().entries().filter(|entry| entry.via == Via::Udp);
        all.filter(|entry| entry.kind == Some(Kind::FilterProbe)).count()
    };
    let before = probes(&fleet);
    assert!(before > 0);
    fleet.world.nat_mut(home).config_mut().leases = leases(8);
    for _ in 0..180 {
        fleet.world.run_for(Duration::from_secs(5));
        assert!(fleet.is_registered(lamp), "it was out of reach for long");
    }
    assert!(fleet.story().contains("leased port: Some"), "{}", fleet.story());
    assert_eq!(probes(&fleet), before);
    let app: &AcceptorApp = fleet.world.app(lamp);
    let nats = app.log.events.iter().filter(|(_, event)| matches!(event, AcceptorEvent::Nat(_)));
    assert!(nats.count() > 0);
}

/// The words about a lease among all.
fn words(said: Vec<ToServer<'static>>) -> Vec<ToServer<'static>> {
    let about = |word: &ToServer<'_>| matches!(word, ToServer::Leased(_) | ToServer::Reached(_));
    said.into_iter().filter(about).collect()
}

/// What an appliance says of probes: once at once, and again three times in all, since nobody says
/// that it was heard.
#[test]
fn what_a_probe_has_carried_is_said_four_times() {
    for second in [true, false] {
        let mut lamp = Appliance::new(|config| config.punch = Some(Ability::SMALL));
        let other_address = second.then(|| sa(OTHER_ADDRESS).into());
        let measure =
            |now| ToEquipment::Measure(Measure { other_port: OTHER_PORT, other_address, now });
        lamp.tell(&measure(false));
        // Nothing is leased: what probes carry is not looked at.
        lamp.short(Kind::FilterProbe, 1, 77);
        lamp.short(Kind::FilterProbe, 2, 78);
        assert_eq!(words(lamp.pass_answered(Duration::from_secs(60))), []);
        let now = lamp.now;
        lamp.lamp.set_leased(now, Some(NEIGHBOURS));
        let said = words(lamp.pass_answered(Duration::from_secs(1)));
        assert_eq!(said, [ToServer::Leased(NEIGHBOURS)], "{second}");
        let carried = |value: u64| ToServer::Reached(value.to_be_bytes()[2..].try_into().unwrap());
        let probes = |lamp: &mut Appliance, value: u64| {
            lamp.short(Kind::FilterProbe, 1, value);
            if second {
                lamp.short(Kind::FilterProbe, 2, value + 1);
            }
            lamp.tell(&measure(true));
            let right = carried(if second { value + 1 } else { value });
            assert_eq!(words(lamp.said()), [right], "at once, and the one that counts");
            right
        };
        let right = probes(&mut lamp, 0xa0b0_0000_0000);
        lamp.lamp.handle_bound(now, SocketId(u16::MAX), None);
        lamp.tell(&ToEquipment::Seen(Seen {
            request: 0,
            round: 0,
            packets: [(1, sa("198.51.100.2:4600").into())].into_iter().collect(),
        }));
        assert_eq!(words(lamp.said()), [right], "and with the report");
        let said = words(lamp.pass_answered(Duration::from_secs(300)));
        let (leased, reached): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|word| *word == ToServer::Leased(NEIGHBOURS));
        assert_eq!((leased.len(), reached), (3, vec![right; 2]));
        // Another measurement's is another; and nothing is said of a lease that has ended.
        let right = probes(&mut lamp, 99);
        let now = lamp.now;
        lamp.lamp.set_leased(now, None);
        let said = words(lamp.pass_answered(Duration::from_secs(300)));
        assert!(said.contains(&ToServer::Leased(0)) && !said.contains(&right), "{said:?}");
    }
}
