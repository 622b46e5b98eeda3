//! Bursts as they travel.

use super::*;
use crate::nat::{Count, Forecast};
use crate::punch::{Bracket, Burst};

/// A burst travels with other words in one datagram.
const MOST_BYTES: usize = 24;

#[test]
fn every_burst_travels_in_24_bytes() {
    let differential = Differential::new(-64).unwrap();
    let port = u16::MAX;
    let counter = |foreign| Forecast::Counter { last: port, differential, nth: port, foreign };
    let forecasts = [
        Forecast::Port(port),
        counter(Count::Poisson { mean: u32::MAX }),
        counter(Count::Split { number: port, part: u8::MAX, rest: u8::MAX }),
        Forecast::Run { first: port, differential },
        Forecast::Around { before: port, after: port, differential },
        Forecast::Between { low: port, high: port },
        Forecast::Among { low: port, high: port, margin: port },
    ];
    let brackets = [
        Bracket::None,
        Bracket::Announce,
        Bracket::After,
        Bracket::SameSocket,
        Bracket::FreshSockets,
    ];
    let mut longest = 0;
    for (ports, bracket) in forecasts.into_iter().flat_map(|one| brackets.map(|b| (one, b))) {
        for keep in [false, true] {
            let (round, sockets) = (u8::MAX, u8::MAX);
            let burst =
                Burst { round, sockets, keep, ports, count: port, bracket, once: !keep, hops: 0 };
            let mut space = [0; MOST_BYTES];
            let bytes = postcard::to_slice(&burst, &mut space).unwrap();
            assert_eq!(postcard::from_bytes::<Burst>(bytes), Ok(burst));
            longest = longest.max(bytes.len());
        }
    }
    assert_eq!(longest, 23);
}

/// A counter that stands still never gets into a machine.
#[test]
fn a_burst_with_a_differential_that_is_none_does_not_decode() {
    let ports = Forecast::Run { first: 4_000, differential: Differential::ONE };
    let burst = Burst::from_registered(0, ports, 9);
    let mut space = [0; MOST_BYTES];
    let bytes = postcard::to_slice(&burst, &mut space).unwrap();
    // Round, sockets, keep, kind of forecast, a port in two bytes, and then the step.
    assert_eq!(bytes[6], 1);
    for step in [0_i8, 65, -65, i8::MIN, i8::MAX] {
        bytes[6] = step.cast_unsigned();
        assert!(postcard::from_bytes::<Burst>(bytes).is_err(), "{step}");
    }
}
