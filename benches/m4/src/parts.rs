//! What is counted by itself: tags, foreseeing ports, meeting.

use core::hint::black_box;

use genkan_core::nat::NatProfile;
use genkan_core::punch::{Attempt, Burst, Coordinator, Method, Party};
use semihosting::println;

use crate::meter::{Count, Table};
use crate::punch::{self, Ports};
use crate::{mac, world};

/// The mean of so many is taken.
const ROUNDS: u64 = 10;

impl Table {
    fn part(&mut self, name: &str, budget: u64, mut operation: impl FnMut() -> u8) {
        let mut count = Count::default();
        for _ in 0..ROUNDS {
            count.of(&mut || {
                black_box(operation());
            });
        }
        self.row(name, count, ROUNDS, budget);
    }
}

/// All of them. Budgets keep what was reached, with room for another compiler.
pub fn rows(table: &mut Table) {
    let head = [0x44; 12];
    table.part("mac/siphash-2-4-128", 398, || {
        mac::siphash(black_box(&[7; 16]), black_box(&head))[0]
    });
    table.part("mac/chacha20-poly1305", 3_740, || {
        mac::aead(black_box(&[7; 32]), 1, black_box(&head))[0]
    });
    table.part("mac/hmac-sha256", 22_300, || mac::hmac(black_box(&[7; 32]), black_box(&head))[0]);
    for (name, ports, budget) in [
        ("nat/measure, known", Ports::Known, 2_360),
        ("nat/measure, counted", Ports::Counted, 3_140),
        ("nat/measure, drawn", Ports::Drawn, 3_880),
    ] {
        let seen = punch::sightings(ports);
        table.part(name, budget, || NatProfile::measure(black_box(&seen)).mapping as u8);
    }
    let names =
        ["nat/128 ports of a counter", "nat/128 ports between two", "nat/128 ports of a block"];
    for (at, (_, forecast)) in punch::forecasts().into_iter().enumerate() {
        let budget = [43_000, 9_800, 39_000][at];
        table.part(names[at], budget, || punch::walk(black_box(forecast)).to_le_bytes()[0]);
    }
    let ramp = punch::pair(Method::Ramp);
    table.part("punch/plan", 538, || u8::from(punch::planned(black_box(&ramp)).is_some()));
    for (name, method, budget) in [
        ("punch/round, direct", Method::Direct, 2_330),
        ("punch/round, first", Method::First, 2_950),
        ("punch/round, both first", Method::BothFirst, 3_760),
        ("punch/round, bracket", Method::Bracket, 3_810),
        ("punch/round, ramp", Method::Ramp, 5_970),
        ("punch/round, birthday", Method::Birthday, 3_040),
    ] {
        let pair = punch::pair(method);
        table.part(name, budget, || punch::round(black_box(&pair)));
    }
    table.part("punch/128 packets of an end", 96_500, || punch::attempt().to_le_bytes()[0]);
}

/// What they keep.
pub fn sizes() {
    for (name, bytes) in [
        ("Acceptor with one connection", size_of::<world::Device>()),
        ("NatProfile", size_of::<NatProfile>()),
        ("Party", size_of::<Party>()),
        ("Burst", size_of::<Burst>()),
        ("Attempt", size_of::<Attempt>()),
        ("Coordinator", size_of::<Coordinator>()),
    ] {
        println!("{:<44} {:>10} bytes", name, bytes);
    }
}
