//! What a home router has to bear: no more than 200 new mappings in any second, whatever is tried.
//!
//! A mapping is counted as new when a socket sends to an address and port for the first time: so many
//! has a box with a mapping for each destination to make, and any other box has fewer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use genkan_core::Target;
use genkan_core::punch::{Ability, Detector, Limits};
use genkan_core::wire::Kind as Message;
use genkan_sim::fleet::Fleet;
use genkan_sim::matrix::{KINDS, Kind};
use genkan_sim::{NatConfig, Via};
use genkan_tests::punch::Meeting;

/// In one second at one box.
const MOST: usize = 200;

fn kind(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap()
}

fn ability(limits: Limits) -> Option<Ability> {
    Some(Ability { limits, detector: Detector::Server })
}

/// The most new mappings of a host in any second, and in all.
fn mapped(fleet: &Fleet, name: &str) -> (usize, usize) {
    let mut known: BTreeSet<(SocketAddr, SocketAddr)> = BTreeSet::new();
    let entries = fleet.world.transcript().entries();
    let mine = entries.filter(|entry| entry.from == name && entry.via == Via::Udp);
    let new = mine.filter(|entry| known.insert((entry.source, entry.destination)));
    let times: Vec<Duration> = new.map(|entry| entry.at).collect();
    let until = |place: usize| {
        let end = times[place] + Duration::from_secs(1);
        times[place..].iter().filter(|&&at| at <= end).count()
    };
    ((0..times.len()).map(until).max().unwrap_or(0), times.len())
}

/// The methods that make the most: all ports guessed at from one socket, all sockets open towards one
/// port, a block from a box that maps each destination, and ramps past busy counters.
#[test]
fn no_attempt_makes_more_than_200_new_mappings_in_a_second_at_a_router() {
    let busy = |name: &str| kind(name).config(200.0);
    let quiet = |name: &str| kind(name).config(5.0);
    let cases: [(NatConfig, NatConfig, Limits); 5] = [
        (quiet("random"), quiet("port"), Limits::BIRTHDAY),
        (quiet("blk4k"), quiet("port"), Limits::BIRTHDAY),
        (quiet("random"), quiet("addr"), Limits::LARGE),
        (busy("seq-64"), busy("seq+8"), Limits::LARGE),
        (busy("seq+1"), busy("first"), Limits::LARGE),
    ];
    let mut most = 0;
    for (one, other, limits) in cases {
        for seed in 0..4 {
            let meeting = Meeting::between(Some(one.clone()), Some(other.clone()));
            let meeting = Meeting { seed, abilities: [ability(limits); 2], ..meeting };
            let mut pair = meeting.prepared();
            let _outcome = pair.meet();
            for name in ["phone", "lamp"] {
                let (in_a_second, all) = mapped(&pair.fleet, name);
                assert!(in_a_second <= MOST, "{name}: {in_a_second} in a second, {all} in all");
                most = most.max(in_a_second);
            }
        }
    }
    assert!(most > 150, "these are the worst, and yet there were no more than {most}");
}

/// One machine's attempts share what one of them may.
#[test]
fn two_attempts_of_one_device_together_make_no_more_than_one() {
    for seed in 0..3 {
        let meeting =
            Meeting::between(Some(kind("port").config(5.0)), Some(kind("random").config(5.0)));
        let abilities = [ability(Limits::BIRTHDAY); 2];
        let mut pair = Meeting { seed, abilities, ..meeting }.prepared();
        let nat = pair.fleet.nat(kind("random").config(5.0));
        let other = pair.fleet.acceptor_behind(Some(nat), "bulb", |config| {
            config.spread = Duration::ZERO;
            config.punch = ability(Limits::BIRTHDAY);
            config.admission.open = true;
        });
        assert!(pair.fleet.wait_registered(other, Duration::from_secs(20)));
        pair.fleet.world.run_for(Duration::from_secs(5));
        pair.ask();
        let bulb = Target::new(pair.fleet.id(other));
        pair.fleet.request_target(pair.phone, &bulb);
        pair.fleet.world.run_for(Duration::from_secs(12));
        let to = |name: &str| {
            let sent = pair.since().filter(|entry| entry.from == name);
            sent.filter(|entry| entry.kind == Some(Message::AcceptorPunch)).count()
        };
        assert!(to("lamp") > 16 && to("bulb") > 16, "both are tried: {}", pair.fleet.story());
        let (in_a_second, all) = mapped(&pair.fleet, "phone");
        assert!(in_a_second <= MOST, "{in_a_second} in a second, {all} in all");
    }
}
