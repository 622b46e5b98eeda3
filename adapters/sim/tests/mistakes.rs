//! Mistakes of whoever writes a simulation: each is refused with words that say what was done.

use core::net::IpAddr;
use core::time::Duration;

use genkan_sim::fleet::Fleet;
use genkan_sim::nat::presets;
use genkan_sim::{Death, Faults, NatConfig, NatSpec, Verdict};

#[test]
#[should_panic(expected = "this fleet has a \"lamp\" already; keys are made from names")]
fn two_devices_of_one_name_would_share_a_key() {
    let mut fleet = Fleet::new(1);
    fleet.acceptor("lamp", |_| ());
    fleet.issuer("lamp", |_| ());
}

#[test]
#[should_panic(expected = "this fleet has a \"server\" already")]
fn a_device_with_the_servers_name_would_have_its_key() {
    Fleet::new(1).acceptor("server", |_| ());
}

#[test]
#[should_panic(expected = "this fleet has a \"authority\" already")]
fn a_device_with_the_authoritys_name_could_certify_servers() {
    Fleet::new(1).issuer("authority", |_| ());
}

#[test]
#[should_panic(expected = "this world has no NAT of number 0 (it has 0, from 0 on)")]
fn a_nat_of_another_fleet_is_none_of_this_one() {
    let nat = Fleet::new(1).nat(NatConfig::default());
    Fleet::new(1).acceptor_behind(Some(nat), "lamp", |_| ());
}

#[test]
#[should_panic(expected = "this world has no NAT of number 0")]
fn a_carrier_of_another_fleet_is_none_of_this_one() {
    let carrier = Fleet::new(1).nat(presets::nokia_cgn());
    Fleet::new(1).nat_behind(Some(carrier), NatConfig::default());
}

#[test]
#[should_panic(expected = "this world has no host of number 1 (it has 1, from 0 on)")]
fn a_device_of_another_fleet_is_none_of_this_one() {
    let lamp = Fleet::new(1).acceptor("lamp", |_| ());
    let _ = Fleet::new(1).id(lamp);
}

#[test]
#[should_panic(expected = "server is no equipment of this fleet")]
fn the_server_is_no_equipment() {
    let fleet = Fleet::new(1);
    let _ = fleet.id(fleet.server);
}

#[test]
#[should_panic(expected = "office cannot get 192.0.2.1: nat1 has it")]
fn a_nats_address_is_taken_by_another_nat() {
    let mut fleet = Fleet::new(1);
    fleet.nat(NatConfig::default());
    let spec = NatSpec::new("office", NatConfig::default());
    fleet.world.add_gateway(spec.external(IpAddr::from([192, 0, 2, 1])));
}

#[test]
#[should_panic(expected = "phone cannot get 198.51.100.1: lamp has it")]
fn a_renumbered_hosts_address_is_taken_by_another_host() {
    let mut fleet = Fleet::new(1);
    fleet.acceptor("lamp", |_| ());
    let phone = fleet.issuer("phone", |_| ());
    fleet.world.renumber_host(phone, &[IpAddr::from([198, 51, 100, 2])]); // its own
    fleet.world.renumber_host(phone, &[IpAddr::from([198, 51, 100, 1])]);
}

#[test]
#[should_panic(expected = "nat1 cannot get 203.0.113.1: server has it")]
fn a_renumbered_nats_address_is_the_servers() {
    let mut fleet = Fleet::new(1);
    let nat = fleet.nat(NatConfig::default());
    fleet.world.renumber_nat(nat, fleet.server_address().ip());
}

#[test]
#[should_panic(expected = "192.0.2.7 is given twice in one network")]
fn one_address_twice_is_no_pool() {
    let address = IpAddr::from([192, 0, 2, 7]);
    let spec = NatSpec::new("office", NatConfig::default()).external(address).external(address);
    Fleet::new(1).world.add_gateway(spec);
}

#[test]
#[should_panic(expected = "a pool of 0 was asked for")]
fn a_nat_without_an_address_is_none() {
    Fleet::new(1).nat_pool(0, NatConfig::default());
}

/// One address of this carrier serves 64 subscribers and no more: a pool of two serves all of 100.
#[test]
fn a_pool_serves_those_for_whom_one_address_has_no_room() {
    let registered = |addresses| {
        let mut fleet = Fleet::new(3);
        let carrier = fleet.nat_pool(addresses, presets::nokia_cgn());
        let next = fleet.nat(NatConfig::default());
        let outside = fleet.world.nat_mut(next).external().to_vec();
        assert_eq!(outside, [IpAddr::from([192, 0, 2, addresses as u8 + 1])]);
        let lamps: Vec<_> = (0..100)
            .map(|number| fleet.acceptor_behind(Some(carrier), &format!("lamp {number}"), |_| ()))
            .collect();
        fleet.world.run_for(Duration::from_secs(60));
        lamps.iter().filter(|lamp| fleet.is_registered(**lamp)).count()
    };
    assert_eq!((registered(1), registered(2)), (64, 100));
}

#[test]
#[should_panic(expected = "lamp's line: loss is 30, which is no probability (0 to 1)")]
fn thirty_per_cent_are_not_thirty() {
    let mut fleet = Fleet::new(1);
    let lamp = fleet.acceptor("lamp", |_| ());
    fleet.world.set_line(lamp, &Faults::default().with_loss(30.0));
}

#[test]
#[should_panic(expected = "the path from lamp to server: latency is")]
fn nothing_is_on_its_way_for_ever() {
    let mut fleet = Fleet::new(1);
    let lamp = fleet.acceptor("lamp", |_| ());
    fleet.world.set_path(lamp, fleet.server, Faults::latency(Duration::MAX));
}

/// "For ever" is a time to wait as any other.
#[test]
fn whoever_waits_for_ever_waits_until_nothing_is_left_to_happen() {
    let mut fleet = Fleet::new(1);
    let lamp = fleet.acceptor("lamp", |_| ());
    fleet.world.run_for(Duration::from_secs(1));
    assert!(fleet.wait_registered(lamp, Duration::MAX));
    fleet.world.set_line(lamp, &Faults::default().with_rate(1, usize::MAX));
    fleet.world.hook(|_| Verdict::Delay(Duration::MAX));
    fleet.world.run_for(Duration::from_secs(100));
    fleet.world.unhook();
    for host in [fleet.server, lamp] {
        fleet.world.kill(host, Death::Silent);
    }
    assert!(!fleet.wait_registered(lamp, Duration::MAX));
    fleet.world.run_for(Duration::MAX);
    fleet.reboot_server(Death::Silent);
}

#[test]
#[should_panic(
    expected = "a fleet has 65535 addresses for NATs: 40000 are taken, 40000 more were asked"
)]
fn a_fleet_has_so_many_addresses_for_nats() {
    let mut fleet = Fleet::new(1);
    fleet.nat_pool(40_000, presets::cellular());
    fleet.nat_pool(40_000, presets::cellular());
}

#[test]
#[should_panic(expected = "lamp was killed with its flash: Fleet::power_off keeps what is in it")]
fn a_device_that_was_killed_has_no_flash_to_come_back_with() {
    let mut fleet = Fleet::new(1);
    let lamp = fleet.acceptor("lamp", |_| ());
    fleet.world.kill(lamp, Death::Silent);
    fleet.reboot(lamp, Death::Silent);
}
