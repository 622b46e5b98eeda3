//! x
use core::time::Duration;
use genkan_sim::NatConfig;
use genkan_sim::fleet::Fleet;

fn main() {
    let mut fleet = Fleet::new(7);
    fleet.watch();
    let nat = fleet.nat(NatConfig::default());
    let lamp = fleet.acceptor_behind(Some(nat), "lamp", |config| config.admission.open = true);
    let phone = fleet.issuer("phone", |_| ());
    assert!(fleet.wait_registered(lamp, Duration::from_secs(15)));
    fleet.world.inject(
        fleet.world.now() + Duration::from_millis(400),
        "198.51.100.99:53".parse().unwrap(),
        "192.0.2.1:4600".parse().unwrap(),
        b"hello <&>",
    );
    fleet.world.run_for(Duration::from_secs(40));
    let connection = fleet.request(phone, lamp);
    assert!(fleet.wait_connected(phone, connection, Duration::from_secs(1)));
    fleet.world.run_for(Duration::from_millis(20));
    fleet.say(phone, connection, b"on").unwrap();
    fleet.world.run_for(Duration::from_secs(30));
    eprint!("{}", fleet.story());
    std::fs::write("/tmp/t-see/x/a.svg", fleet.diagram(200)).unwrap();
}
