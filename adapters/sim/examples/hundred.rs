//! A hundred appliances behind a NAT of your choice: who can be reached, and what it costs.
//!
//! `cargo run --release -p genkan-sim --example hundred -- openwrt`

use core::time::Duration;
use std::process::ExitCode;

use genkan_sim::fleet::Fleet;
use genkan_sim::nat::{NatConfig, presets};

fn main() -> ExitCode {
    run(&std::env::args().nth(1).unwrap_or_else(|| "openwrt".into()))
}

fn run(name: &str) -> ExitCode {
    let Some(nat) = presets::by_name(name) else {
        let known = presets::ALL.map(|(name, _)| name).join(" ");
        eprintln!("no NAT is called {name}; there are: {known}");
        return ExitCode::from(2);
    };
    reach(&nat)
}

/// Succeeds when all can be reached.
fn reach(nat: &NatConfig) -> ExitCode {
    let mut fleet = Fleet::new(1); // the seed: the same run each time
    let phone = fleet.issuer("phone", |_| ());
    let mut appliances = Vec::new();
    for number in 0..100 {
        let home = fleet.nat(nat.clone());
        let name = format!("appliance {number}");
        let open = |config: &mut genkan_core::AcceptorConfig| config.admission.open = true;
        appliances.push(fleet.acceptor_behind(Some(home), &name, open));
    }
    fleet.world.run_for(Duration::from_secs(3_600));
    let registered = appliances.iter().filter(|&&host| fleet.is_registered(host)).count();
    let mut connected = 0;
    for &appliance in &appliances {
        let request = fleet.request(phone, appliance);
        connected += u32::from(fleet.wait_connected(phone, request, Duration::from_secs(10)));
        fleet.hang_up(phone, request);
    }
    let packets = fleet.world.transcript().packets();
    eprintln!("{registered} registered after an hour, {connected} connected, {packets} packets");
    if connected == 100 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[test]
fn who_is_not_reached_is_no_success() {
    let closed = NatConfig { udp: false, tcp: false, ..NatConfig::default() };
    assert_eq!(reach(&closed), ExitCode::FAILURE);
    assert_eq!(reach(&presets::openwrt()), ExitCode::SUCCESS);
}

#[test]
fn a_name_that_no_nat_has_is_refused() {
    assert_eq!(run("openwtr"), ExitCode::from(2));
}
