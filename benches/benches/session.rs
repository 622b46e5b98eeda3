//! Handshakes between a device and its server, and payloads between issuer and acceptor.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use core::time::Duration;
use std::time::Instant as Clock;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use genkan_benches::connection::{PAYLOAD, connected};
use genkan_benches::handshake::{device, later, shake};
use genkan_benches::world::{ACCEPTOR, Datagram, SERVER, server, turn, wake};
use genkan_core::{Instant, MAX_FRAME, StaticKey};

/// Initiation, Response, confirmation by a registration, and its answer.
fn handshake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake");
    let mut now = Instant::from_millis(1_000);
    let mut server = server(now, 16);
    let key = StaticKey::from_secret([2; 32]);
    let mut seed = 0;
    group.bench_function("both-sides", |bench| {
        bench.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let now = later(&mut now);
                seed += 1;
                let mut device = device(now, key.clone(), seed);
                let start = Clock::now();
                shake(&mut server, now, &mut device, ACCEPTOR);
                spent += start.elapsed();
            }
            spent
        });
    });
    group.bench_function("server", |bench| {
        bench.iter_custom(|rounds| {
            let (mut up, mut down) = (Datagram::default(), Datagram::default());
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let now = later(&mut now);
                seed += 1;
                let mut device = device(now, key.clone(), seed);
                wake(&mut device, now, &mut up);
                for _ in 0..2 {
                    let start = Clock::now();
                    turn(&mut *server, now, ACCEPTOR, up.bytes(), &mut down);
                    spent += start.elapsed();
                    turn(&mut device, now, SERVER, down.bytes(), &mut up);
                }
            }
            spent
        });
    });
    group.finish();
}

/// One payload as it goes through the issuer's `send` and the acceptor's `handle_stream`.
fn payload(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("payload");
    group.throughput(Throughput::Bytes(PAYLOAD as u64));
    let (mut sender, _receiver) = connected();
    let mut frame = [0; MAX_FRAME];
    group.bench_function("seal/1200", |bench| {
        bench.iter(|| sender.seal(&[7; PAYLOAD], &mut frame));
    });
    // Another pair: the first sender is epochs ahead of a receiver that heard nothing of them.
    let (mut sender, mut receiver) = connected();
    let mut sealed = || {
        let mut frame = Box::new([0; MAX_FRAME]);
        let len = sender.seal(&[7; PAYLOAD], &mut frame);
        (frame, len)
    };
    group.bench_function("open/1200", |bench| {
        bench.iter_batched_ref(
            &mut sealed,
            |(frame, len)| receiver.open(&mut frame[..*len]),
            BatchSize::NumIterations(64),
        );
    });
    group.finish();
}

criterion_group!(benches, handshake, payload);
criterion_main!(benches);
