//! The sockets without a machine.

use core::time::Duration;
use std::io::{Read, Write};
use std::net;

use genkan_core::{Instant, StreamId};

use super::*;
use crate::clock::Clock;

pub(super) const ID: StreamId = StreamId { index: 3, generation: 1 };

fn loopback() -> Bind {
    Bind::At("127.0.0.1:0".parse().unwrap())
}

pub(super) fn net() -> Net {
    Net::new(udp(loopback()).unwrap(), None).unwrap()
}

/// Turns until something is there.
pub(super) fn until<T>(net: &mut Net, mut look: impl FnMut(&mut Net, Instant) -> Option<T>) -> T {
    let end = Clock::new().now().after(Duration::from_secs(10));
    loop {
        let now = Clock::new().now();
        if let Some(found) = look(net, now) {
            return found;
        }
        assert!(now < end, "it did not come");
        net.wait(Some(Duration::from_millis(20))).unwrap();
    }
}

/// A connection that stands, and its other end.
fn connected() -> (Net, net::TcpStream) {
    let mut net = net();
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    net.connect(Clock::new().now(), ID, None, listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    let change = until(&mut net, |net, now| net.changes(now).pop());
    assert!(matches!(change, Change::Connected(id, _) if id == ID));
    (net, other)
}

#[test]
fn a_connection_that_nobody_takes_is_reported_as_failed() {
    let mut net = net();
    let port = net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    net.connect(Clock::new().now(), ID, None, port).unwrap();
    let change = until(&mut net, |net, now| net.changes(now).pop());
    assert!(matches!(change, Change::Failed(id, _) if id == ID));
    assert_eq!(net.streams(), 0);
}

#[test]
fn a_connection_in_the_making_is_given_up_in_time() {
    let mut net = net();
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let now = Clock::new().now();
    net.connect(now, ID, None, listener.local_addr().unwrap()).unwrap();
    assert!(net.deadline().is_some());
    // The poller was never asked, so that nothing is known of success.
    let late = net.changes(now.after(Duration::from_secs(60)));
    assert!(matches!(late[..], [Change::Failed(id, _)] if id == ID));
}

#[test]
fn the_rest_of_a_frame_is_kept_for_the_next_read() {
    let (mut net, mut other) = connected();
    let mut room = [0; 64];
    other.write_all(b"abcdef").unwrap();
    let filled = until(&mut net, |net, _| Some(net.fill(ID, &mut room)).filter(|&n| n > 0));
    assert_eq!(room[..filled], *b"abcdef");
    net.keep(ID, &room[4..filled]);
    other.write_all(b"gh").unwrap();
    let filled = until(&mut net, |net, _| {
        let filled = net.fill(ID, &mut room);
        net.keep(ID, &room[..filled]);
        (filled > 2).then_some(filled)
    });
    assert_eq!(room[..filled], *b"efgh");
}

#[test]
fn payloads_are_dropped_above_the_limit_and_frames_never() {
    let (mut net, mut other) = connected();
    let frame = [7; 1_000];
    let mut taken = 0;
    while net.push_payload(ID, &frame) == Queued::Taken {
        taken += frame.len();
    }
    assert!((QUEUE_LIMIT..=QUEUE_LIMIT + 2 * frame.len()).contains(&taken), "{taken}");
    net.push(ID, &frame);
    assert!(net.takes_frames(ID));
    assert!(!net.is_flushed());
    until(&mut net, |net, now| {
        assert!(net.flush(now).is_empty());
        net.is_flushed().then_some(())
    });
    let mut all = vec![0; taken + frame.len()];
    other.read_exact(&mut all).unwrap();
    assert!(all.iter().all(|&byte| byte == 7));
}

#[test]
fn a_connection_that_is_let_go_delivers_what_is_queued_even_to_a_talker() {
    let (mut net, mut other) = connected();
    // Bytes that stay unread would reset the connection and take the farewell with them.
    other.write_all(&[1; 5_000]).unwrap();
    net.push(ID, b"farewell");
    net.leave(Clock::new().now(), ID);
    assert!(!net.is_named(ID));
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        other.write_all(&[1; 5_000]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        other.read_to_end(&mut all).unwrap();
        all
    });
    until(&mut net, |net, now| {
        assert!(net.flush(now).is_empty(), "the machine has forgotten it");
        (net.streams() == 0).then_some(())
    });
    assert_eq!(reader.join().unwrap(), b"farewell");
}

#[test]
fn a_broken_connection_is_reported_once() {
    let (mut net, other) = connected();
    drop(other);
    let mut room = [0; 64];
    let broken = until(&mut net, |net, now| {
        net.fill(ID, &mut room);
        net.flush(now).pop()
    });
    assert_eq!(broken.0, ID);
    assert_eq!(net.streams(), 0);
    assert!(net.flush(Clock::new().now()).is_empty());
}

#[test]
fn a_long_wait_ends_with_another_threads_nudge_and_a_timer_in_time() {
    let mut net = net();
    let waker = net.waker().unwrap();
    // A new socket is reported as writable at once.
    net.wait(Some(Duration::ZERO)).unwrap();
    let begun = std::time::Instant::now();
    let waking = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        waker.wake().unwrap();
        // Dropped too early, it would take its news with it.
        waker
    });
    net.wait(Some(Duration::from_secs(3_600))).unwrap();
    let waited = begun.elapsed();
    assert!(waited > Duration::from_millis(200) && waited < Duration::from_secs(60), "{waited:?}");
    drop(waking.join().unwrap());
    let begun = std::time::Instant::now();
    // Longer than the poller alone is trusted with.
    net.wait(Some(Duration::from_millis(2_100))).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(2_000), "{:?}", begun.elapsed());
}
