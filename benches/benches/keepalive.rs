//! Keepalives on a server: 28 bytes in, authenticated, and 28 bytes out where an answer is wanted.
//!
//! Keepalives are handled in batches of 64, as an adapter receives them, each from another device.
//! The large list takes a handshake for each device to build; `GENKAN_DEVICES` changes its length.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use core::cell::{OnceCell, RefCell};

use criterion::{BatchSize, Bencher, Criterion, criterion_group, criterion_main};
use genkan_benches::fleet::Fleet;
use genkan_benches::world::Datagram;

fn run(bench: &mut Bencher<'_>, fleet: &RefCell<Fleet>, wants_answer: bool) {
    let mut out = Datagram::default();
    bench.iter_batched_ref(
        || fleet.borrow_mut().keepalive(wants_answer),
        |keepalive| fleet.borrow_mut().handle(keepalive, &mut out),
        BatchSize::NumIterations(64),
    );
    assert_eq!(fleet.borrow().server.counters().all_discarded(), 0);
}

/// Devices on the large list; few when the benches are only tested.
fn devices() -> u32 {
    let asked = std::env::var("GENKAN_DEVICES").ok().and_then(|text| text.parse().ok());
    let tested = !std::env::args().any(|argument| argument == "--bench");
    asked.unwrap_or(if tested { 100 } else { 100_000 })
}

fn keepalive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keepalive");
    for count in [1, devices()] {
        // Only built when one of its benches is wanted.
        let fleet = OnceCell::new();
        for (name, wants_answer) in [("answered", true), ("unanswered", false)] {
            group.bench_function(format!("{name}/{count}-devices"), |bench| {
                let fleet = fleet.get_or_init(|| RefCell::new(Fleet::new(count)));
                run(bench, fleet, wants_answer);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, keepalive);
criterion_main!(benches);
