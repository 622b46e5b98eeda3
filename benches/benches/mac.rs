//! Three candidates for the keepalive's tag.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use core::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use genkan_benches::mac;

fn tags(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mac");
    let head = [0x44; 12];
    group.bench_function("siphash-2-4-128", |bench| {
        bench.iter(|| mac::siphash(black_box(&[7; 16]), black_box(&head)));
    });
    group.bench_function("chacha20-poly1305", |bench| {
        bench.iter(|| mac::aead(black_box(&[7; 32]), 1, black_box(&head)));
    });
    group.bench_function("hmac-sha256", |bench| {
        bench.iter(|| mac::hmac(black_box(&[7; 32]), black_box(&head)));
    });
    group.finish();
}

criterion_group!(benches, tags);
criterion_main!(benches);
