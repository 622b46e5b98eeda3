//! The command's processes behind boxes of this process: a user's `connect` and an appliance's `accept`
//! meet over UDP, and the thermostat's page comes by that path. Nobody can call the user back: no TCP
//! passes the user's box.

use core::time::Duration;

use genkan_kernel_tests::direct::{Appliance, Town, User, field, is_page};
use genkan_kernel_tests::scenario::R;
use genkan_kernel_tests::tun::{Device, Home, Internet, Tally};
use genkan_sim::NatConfig;
use genkan_sim::nat::{Blocks, Foreign, Mapping, Pick, Proto};

use crate::{APDF, counting, picking};

/// One port for all, open to the ports that were sent something.
fn port_restricted() -> NatConfig {
    NatConfig::new(Mapping::EndpointIndependent, APDF)
}

/// A port for each destination, drawn from 512.
fn block() -> NatConfig {
    let mut config = picking(Pick::Random);
    config.ports = 1_024..=u16::MAX;
    config.blocks = Blocks::Contiguous { size: 512, most: 1 };
    config
}

/// As `config`, with others who make so many mappings a second.
fn busy(mut config: NatConfig, rate: f64) -> NatConfig {
    let stay = Duration::from_secs(30);
    config.foreign = Some(Foreign { rate, bursts: 0.0, burst_size: 1.0, stay });
    config
}

/// An appliance and a user, each behind a box; a server with a second port in the open.
struct Pair {
    internet: Internet,
    homes: [Home; 2],
    serve: &'static [&'static str],
}

impl Pair {
    fn new(appliance: NatConfig, user: NatConfig) -> Self {
        let internet = Internet::new();
        let homes = [Home::new(&internet, 1, appliance, 11), Home::new(&internet, 2, user, 12)];
        // An appliance that is seen elsewhere says so within 5 s.
        Self { internet, homes, serve: &["--interval", "5"] }
    }

    /// Starts all three, and waits for a connection over UDP that carries the page.
    fn meet(&self, accept: &[&str], connect: &[&str]) -> (Town, Appliance, User<'_>) {
        let [appliance_home, user_home] = &self.homes;
        let town = Town::new(self.internet.namespace(), R.address(), self.serve);
        let appliance = town.accept(appliance_home.host(), "appliance", accept);
        let connect = [&["--transport", "udp", "--timeout", "25"], connect].concat();
        let user = town.connect(user_home.host(), "user", &appliance.id, &connect);
        let connected = user.process.event("connected");
        assert_eq!(field(&connected, "path"), "udp", "{connected}");
        let remote = field(&connected, "remote");
        let external = appliance_home.external().to_string();
        assert_eq!(remote.split(':').next(), Some(&external[..]), "{connected}");
        assert!(is_page(&user.page()));
        self.no_tcp();
        (town, appliance, user)
    }

    /// What came by TCP to or from the user was stopped: the page came by UDP.
    fn no_tcp(&self) {
        for device in [Device::Inside, Device::Outside] {
            let Tally { passed, .. } = self.homes[1].tally(device, Proto::Tcp);
            assert_eq!(passed, 0, "TCP from {device:?}");
        }
    }
}

fn meet(appliance: NatConfig, user: NatConfig) {
    Pair::new(appliance, user).meet(&[], &[]);
}

#[test]
fn two_boxes_with_one_port_for_all() {
    meet(port_restricted(), port_restricted());
}

#[test]
fn a_counter_of_any_step_and_one_port_for_all() {
    for (step, with_user) in [(1, true), (-1, false), (2, false), (8, true), (-64, true)] {
        let both = [port_restricted(), counting(step)];
        let [appliance, user] = both;
        if with_user { meet(appliance, user) } else { meet(user, appliance) }
    }
}

#[test]
fn a_counter_that_others_move_on_and_one_port_for_all() {
    meet(port_restricted(), busy(counting(2), 50.0));
    meet(busy(counting(-8), 50.0), port_restricted());
}

#[test]
fn two_counters_of_different_steps() {
    meet(counting(1), counting(2));
    meet(counting(-64), counting(8));
}

#[test]
fn a_block_of_512_ports_and_one_port_for_all() {
    meet(port_restricted(), block());
    meet(block(), port_restricted());
}

/// One that maps each address anew looks from one address of the server as one with one port for all.
#[test]
fn a_counter_for_each_address_that_the_server_sees_from_one_address_or_two() {
    let mut by_address = counting(1);
    by_address.behaviour.mapping = Mapping::AddressDependent;
    let second: &[&str] = &["--other-address", "203.0.113.11"];
    for serve in [&[], second] {
        for [appliance, user] in [
            [by_address.clone(), port_restricted()],
            [port_restricted(), by_address.clone()],
            [counting(-2), counting(1)],
        ] {
            Pair { serve, ..Pair::new(appliance, user) }.meet(&[], &[]);
        }
    }
}

#[test]
fn equipment_that_finds_the_ports_out_by_itself() {
    let detector = &["--punch", "equipment"];
    Pair::new(counting(-2), port_restricted()).meet(detector, detector);
    Pair::new(counting(2), counting(1)).meet(detector, detector);
}

/// Both boxes forget everything: no packet of the path passes any more, nor one from the server. That
/// is noticed after 20 s of silence.
#[test]
fn a_connection_outlives_a_restart_of_both_boxes() {
    let pair = Pair::new(counting(2), port_restricted());
    let (_town, _appliance, user) = pair.meet(&[], &[]);
    pair.homes.iter().for_each(Home::reboot);
    let changed = user.process.within(Duration::from_secs(60), "path-changed", |_| true);
    assert_eq!(changed.map(|event| field(&event, "path")).as_deref(), Some("udp"));
    assert!(is_page(&user.page()));
    let told = user.process.told();
    assert!(told.iter().all(|event| event["event"] != "closed"), "{told:?}");
    pair.no_tcp();
}

#[test]
fn two_boxes_that_draw_from_all_ports_are_told_to_be_hopeless() {
    let pair = Pair::new(picking(Pick::Random), picking(Pick::Random));
    let town = Town::new(pair.internet.namespace(), R.address(), &[]);
    let appliance = town.accept(pair.homes[0].host(), "appliance", &[]);
    let arguments = ["--transport", "udp", "--timeout", "3"];
    let user = town.connect(pair.homes[1].host(), "user", &appliance.id, &arguments);
    assert_eq!(field(&user.process.event("hopeless"), "why"), "both-unpredictable");
    user.process.event("unreached");
}
