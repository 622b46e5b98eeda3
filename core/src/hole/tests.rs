//! Several holes at once, and holes that follow each other in one slot.

use core::time::Duration;

use heapless::Vec;

use super::*;
use crate::nat::Forecast;
use crate::punch::{Ability, Bracket};

const AT: Instant = Instant::from_millis(1_000_000);
const PUBLIC: AddressPolicy = AddressPolicy { loopback: false, private: false, low_ports: false };

struct Slot(Way);

impl Holed for Slot {
    fn way(&self) -> &Way {
        &self.0
    }

    fn way_mut(&mut self) -> &mut Way {
        &mut self.0
    }

    fn path_socket(&self) -> Option<SocketId> {
        None
    }
}

fn address(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn peer() -> Endpoint {
    address("192.0.2.7:4600")
}

fn opening(slot: usize) -> Opening {
    Opening {
        ability: Ability::LARGE,
        policy: PUBLIC,
        key: [7; 16],
        index: 1,
        sends: Kind::AcceptorPunch,
        request: 1,
        slot,
        kept: None,
    }
}

fn puncher() -> Puncher {
    Puncher::new(Some(Ability::LARGE), PUBLIC, false)
}

/// The slots whose packets leave in this time, in order.
fn leave(puncher: &mut Puncher, slots: &mut [Slot], time: Duration) -> Vec<usize, 512> {
    let mut left = Vec::new();
    for millis in 0..u64::try_from(time.as_millis()).unwrap() {
        let now = AT.after(Duration::from_millis(millis));
        advance(now, slots, 8, &mut |_| {});
        while let Some(due) = puncher.next(now, slots, address("203.0.113.1:3478")) {
            let slot = due.slot.unwrap();
            left.push(slot).unwrap();
            puncher.sent(now, &due);
            slots[slot].0.hole.as_mut().unwrap().sent();
            advance(now, slots, 8, &mut |_| {});
        }
    }
    left
}

fn search(slot: usize, count: u16) -> Slot {
    let mut way = Way::NONE;
    way.open(AT, peer(), &opening(slot)).unwrap();
    let burst = Burst::from_registered(0, Forecast::Between { low: 40_000, high: 50_000 }, count);
    way.hole.as_mut().unwrap().burst(peer(), burst).unwrap();
    Slot(way)
}

#[test]
fn no_hole_waits_for_the_end_of_another_ones_search() {
    let mut slots = [search(0, 100), search(1, 100), search(2, 100)];
    let left = leave(&mut puncher(), &mut slots, Duration::from_secs(1));
    let first = |slot: usize| left.iter().position(|one| *one == slot).unwrap();
    // What may leave at once is one burst's, in a row.
    assert_eq!([first(0), first(1), first(2)], [0, 32, 33]);
    let of = |slot: usize| left.iter().filter(|one| **one == slot).count();
    assert!(of(1).abs_diff(of(2)) <= 1 && of(0) > of(1) && left.len() > 150, "{left:?}");
}

/// Its caller has not said yet what became of the sockets of the one before, which have the same
/// numbers.
#[test]
fn a_hole_in_the_place_of_another_one_waits_for_the_answer_that_is_owed_to_that() {
    let mut puncher = puncher();
    let mut slots = [Slot(Way::NONE)];
    let mut binds = 0;
    let mut first = SocketId::MAIN;
    for round in 1..=3 {
        let way = slots[0].way_mut();
        way.open(AT, peer(), &opening(0)).unwrap();
        let burst = Burst::from_fresh(0, 2, 4_600, Bracket::None);
        way.hole.as_mut().unwrap().burst(peer(), burst).unwrap();
        advance(AT, &mut slots, 8, &mut |command| {
            if let Command::Bind { first: named, count } = command {
                assert_eq!(count, 2);
                (first, binds) = (named, binds + 1);
            }
        });
        assert_eq!(binds, 1, "hole {round}");
        if round < 3 {
            slots[0].0.close(0, None, &mut |_| {});
            slots[0].0 = slots[0].0.freed();
        }
    }
    let mut answer = |binds: &mut u32| {
        puncher.opened(&mut slots, first, Some(address("10.0.0.2:40000")));
        let mut count = |command| *binds += u32::from(matches!(command, Command::Bind { .. }));
        advance(AT, &mut slots, 8, &mut count);
        puncher.next(AT, &slots, address("203.0.113.1:3478")).is_some()
    };
    assert!(!answer(&mut binds), "they are closed");
    assert_eq!(binds, 2);
    assert!(answer(&mut binds));
}
