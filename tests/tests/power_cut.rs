//! L-5: a town's power comes back, and two thousand appliances want their registration at once.
//!
//! Rates are counted in windows of five seconds. T is the keepalive's interval, 25 s by default; over
//! as long a span appliances spread their first registration, by default too. With 10 s the peak is
//! N per 10 s, as a test here shows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::cell::Cell;
use core::time::Duration;
use std::rc::Rc;

use genkan_core::wire::Kind;
use genkan_core::{AcceptorConfig, AcceptorEvent};
use genkan_sim::fleet::{AcceptorApp, Fleet, FleetServer, Tables};
use genkan_sim::{Death, HostId, Verdict};

const DEVICES: usize = 2_000;
const INTERVAL: Duration = Duration::from_secs(25);
const WINDOW: Duration = Duration::from_secs(5);

/// A server with all acceptors on its list, `settled` after the last has come.
fn town(adjust: fn(&mut AcceptorConfig), settled: Duration) -> (Fleet, Vec<HostId>) {
    let tables = Tables { clients: DEVICES + 100, ..Tables::default() };
    let mut fleet = Fleet::with_tables(1, tables, |_| ());
    fleet.world.keep_transcript(false);
    let name = |number: usize| format!("lamp{number}");
    let lamps: Vec<HostId> =
        (0..DEVICES).map(|number| fleet.acceptor(&name(number), adjust)).collect();
    fleet.world.run_for(INTERVAL + Duration::from_secs(5) + settled);
    assert_eq!(registered(&fleet), DEVICES);
    (fleet, lamps)
}

fn registered(fleet: &Fleet) -> usize {
    fleet.world.machine::<FleetServer>(fleet.server).registered() as usize
}

/// When acceptors were told that they are on the list, since `from`, in order.
fn told(fleet: &Fleet, lamps: &[HostId], from: Duration) -> Vec<Duration> {
    let when = |&lamp: &HostId| {
        let app = fleet.world.app::<AcceptorApp>(lamp);
        let start = fleet.world.instant_at(lamp, from);
        app.log.events.iter().filter_map(move |&(at, event)| {
            let registered = matches!(event, AcceptorEvent::Registered { .. });
            (registered && at >= start).then(|| at.since(start))
        })
    };
    let mut times: Vec<Duration> = lamps.iter().filter_map(|lamp| when(lamp).next()).collect();
    times.sort();
    times
}

/// The most that came in one window, as a multiple of N/T.
fn peak(times: &[Duration]) -> f64 {
    let most =
        |from: &Duration| times.iter().filter(|&at| (*from..*from + WINDOW).contains(at)).count();
    let most = times.iter().map(most).max().unwrap_or(0) as f64;
    most / WINDOW.as_secs_f64() / (DEVICES as f64 / INTERVAL.as_secs_f64())
}

fn cut_power(fleet: &mut Fleet, lamps: &[HostId]) -> Duration {
    let at = fleet.world.now();
    for &lamp in lamps {
        fleet.reboot(lamp, Death::Silent);
    }
    at
}

#[test]
fn after_a_power_cut_all_resume_within_two_intervals_and_no_faster_than_they_should() {
    let (mut fleet, lamps) = town(|_| (), INTERVAL);
    let handshakes = Rc::new(Cell::new(0));
    let counter = Rc::clone(&handshakes);
    fleet.world.hook(move |packet| {
        counter.set(counter.get() + usize::from(packet.kind() == Some(Kind::Initiation)));
        Verdict::Pass
    });
    let at = cut_power(&mut fleet, &lamps);
    fleet.world.run_for(2 * INTERVAL);
    let times = told(&fleet, &lamps, at);
    assert_eq!(times.len(), DEVICES, "back within two intervals");
    assert!(peak(&times) <= 1.3, "peak {:.2} N/T", peak(&times));
    assert_eq!(handshakes.get(), 0, "all can resume");
}

#[test]
fn a_server_that_has_lost_its_list_gets_it_back_at_the_keepalives_rate() {
    // Keepalives are 20 to 25 s apart, so that those of appliances which began within the same 25 s
    // stand denser in places (1.4 N/T) until some dozens of them have mixed the town.
    let (mut fleet, lamps) = town(|_| (), Duration::from_secs(1_500));
    let at = fleet.world.now();
    fleet.reboot_server(Death::Silent);
    fleet.world.run_for(2 * INTERVAL);
    let times = told(&fleet, &lamps, at);
    assert_eq!((times.len(), registered(&fleet)), (DEVICES, DEVICES));
    assert!(peak(&times) <= 1.3, "peak {:.2} N/T", peak(&times));
}

#[test]
fn when_the_server_too_has_lost_its_power_nobody_can_resume_and_all_come_back_spread() {
    let (mut fleet, lamps) = town(|_| (), INTERVAL);
    fleet.reboot_server(Death::Silent);
    let at = cut_power(&mut fleet, &lamps);
    fleet.world.run_for(2 * INTERVAL);
    let times = told(&fleet, &lamps, at);
    assert_eq!((times.len(), registered(&fleet)), (DEVICES, DEVICES));
    assert!(peak(&times) <= 1.3, "peak {:.2} N/T", peak(&times));
}

#[test]
fn with_a_spread_of_ten_seconds_the_peak_is_higher() {
    let (mut fleet, lamps) = town(|config| config.spread = Duration::from_secs(10), INTERVAL);
    let at = cut_power(&mut fleet, &lamps);
    fleet.world.run_for(2 * INTERVAL);
    let times = told(&fleet, &lamps, at);
    assert_eq!(times.len(), DEVICES);
    let by_spread = INTERVAL.as_secs_f64() / 10.0;
    assert!((by_spread * 0.8..by_spread * 1.3).contains(&peak(&times)), "{:.2}", peak(&times));
}
