//! The wall clock as the box's own: mappings die, and others make theirs meanwhile.

use core::net::SocketAddr;
use core::time::Duration;
use std::net::UdpSocket;
use std::thread::sleep;
use std::time::Instant;

use genkan_kernel_tests::Seen;
use genkan_kernel_tests::Step::{Answer, Out, Reboot};
use genkan_kernel_tests::scenario::{A, R, S, wait};
use genkan_kernel_tests::tun::{Home, Internet, same};
use genkan_sim::nat::{Foreign, Lifetimes, Proto};

use crate::counting;

#[test]
fn a_mapping_lives_as_long_as_the_settings_say() {
    let mut config = counting(1);
    config.lifetimes = Lifetimes::udp(Duration::from_millis(600));
    let steps = [Out(A, R), wait(200), Answer(R, A), Out(A, R), wait(900), Answer(R, A), Out(A, R)];
    let outcome = same(&config, &steps);
    assert_eq!((outcome[2], outcome[5]), (Seen::At(A), Seen::Nothing));
    assert_eq!((outcome[3].port(), outcome[6].port()), (Some(20_000), Some(20_001)));
}

#[test]
fn a_box_forgets_all_when_it_starts_anew() {
    let outcome = same(&counting(2), &[Out(A, R), Reboot, Answer(R, A), Out(A, R), Answer(R, A)]);
    assert_eq!((outcome[2], outcome[4]), (Seen::Nothing, Seen::At(A)));
    assert_eq!(outcome[3].port(), Some(20_002), "the counter stands where it stood");
}

/// 2,000 a second for half a second are 1,000, give or take 32 (a Poisson process).
#[test]
fn others_move_the_counter_on_while_time_passes() {
    let mut config = counting(2);
    let stay = Duration::from_secs(1);
    config.foreign = Some(Foreign { rate: 2_000.0, bursts: 0.0, burst_size: 1.0, stay });
    let internet = Internet::new();
    let home = Home::new(&internet, 1, config, 7);
    let near = home.host().within(|| UdpSocket::bind(A.address())).unwrap();
    let port = |remote: SocketAddr| loop {
        near.send_to(b"hello", remote).unwrap();
        if let Some(external) = home.mapped(Proto::Udp, A.address(), remote) {
            return (external.port(), Instant::now());
        }
        sleep(Duration::from_micros(100));
    };
    let (first, start) = port(R.address());
    sleep(Duration::from_millis(500));
    let (second, end) = port(S.address());
    let expected = 2_000.0 * (end - start).as_secs_f64();
    let others = f64::from(second - first) / 2.0 - 1.0;
    assert!((others - expected).abs() < 6.0 * expected.sqrt() + 50.0, "{others}, not {expected}");
}
