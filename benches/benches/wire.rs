//! Message bodies, encoded and decoded.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use core::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use genkan_benches::bodies::{self, Buffer, decode, encode};
use genkan_core::wire::Body;

const ROOM: Buffer = [0; genkan_core::wire::MAX_BODY];

fn both<'a, T: Body<'a>>(
    groups: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    value: &T,
    room: &'a mut Buffer,
) {
    let len = encode(value, room);
    let bytes: &'a [u8] = &room[..len];
    groups.throughput(Throughput::Bytes(bytes.len() as u64));
    let mut out = ROOM;
    groups.bench_function(format!("encode/{name}"), |bench| bench.iter(|| encode(value, &mut out)));
    groups.bench_function(format!("decode/{name}"), |bench| {
        bench.iter(|| {
            black_box(decode::<T>(bytes));
        });
    });
}

fn wire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    both(&mut group, "hello-with-request", &bodies::hello(), &mut { ROOM });
    both(&mut group, "welcome", &bodies::welcome(), &mut { ROOM });
    both(&mut group, "register", &bodies::register(), &mut { ROOM });
    both(&mut group, "registered", &bodies::registered(), &mut { ROOM });
    both(&mut group, "connect-request", &bodies::connect(), &mut { ROOM });
    both(&mut group, "connect-notify", &bodies::notify(), &mut { ROOM });
    both(&mut group, "notify-reply", &bodies::reply(), &mut { ROOM });
    both(&mut group, "plan", &bodies::plan(), &mut { ROOM });
    both(&mut group, "refused", &bodies::refused(), &mut { ROOM });
    group.finish();
}

criterion_group!(benches, wire);
criterion_main!(benches);
