//! How streams begin and end.

use genkan_stream::{Config, EndReason, StreamError, StreamState};

use crate::lab::{Flow, Lab, Link, MS, PORT, SECOND, Side, pattern, transfer};

fn lab() -> Lab {
    Lab::new(2, 4096, Link::CLEAN)
}

fn ended(reason: EndReason) -> Result<StreamState, StreamError> {
    Ok(StreamState::Ended(reason))
}

#[test]
fn a_finished_direction_leaves_the_other_open() {
    let mut lab = lab();
    let (near, far) = lab.open();
    transfer(&mut lab, &mut [Flow::new(Side::Issuer, near, far, pattern(5_000, 1))], SECOND);
    assert_eq!(lab.issuer.state(near), Ok(StreamState::LocalFinished));
    assert_eq!(lab.acceptor.state(far), Ok(StreamState::PeerFinished));
    assert_eq!(lab.issuer.send(near, b"more"), Err(StreamError::Finished));
    assert!(!lab.issuer.may_send(near) && lab.issuer.may_recv(near));
    // The half-open stream stays for as long as the peer likes.
    lab.idle(600 * SECOND);
    let back = Flow::new(Side::Acceptor, far, near, pattern(50_000, 2));
    transfer(&mut lab, &mut [back], 10 * SECOND);
    lab.idle(SECOND);
    assert_eq!(lab.issuer.state(near), ended(EndReason::Finished));
    assert_eq!(lab.acceptor.state(far), ended(EndReason::Finished));
}

#[test]
fn both_ends_may_finish_at_the_same_time() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.issuer.finish(near).unwrap();
    lab.acceptor.finish(far).unwrap();
    lab.idle(SECOND);
    assert_eq!(lab.issuer.state(near), ended(EndReason::Finished));
    assert_eq!(lab.acceptor.state(far), ended(EndReason::Finished));
}

#[test]
fn finishing_while_opening_takes_effect_once_open() {
    let mut lab = lab();
    lab.acceptor.listen(PORT).unwrap();
    let near = lab.issuer.connect(0, PORT).unwrap();
    lab.issuer.finish(near).unwrap();
    assert_eq!(lab.issuer.state(near), Ok(StreamState::Opening));
    lab.idle(SECOND);
    let far = lab.acceptor.accept().unwrap();
    assert_eq!(lab.acceptor.recv(far, &mut [0; 8]), Err(StreamError::Finished));
    assert_eq!(lab.acceptor.send(far, b"yet"), Ok(3));
    lab.idle(SECOND);
    assert_eq!(lab.issuer.recv(near, &mut [0; 8]), Ok(3));
}

#[test]
fn the_acceptor_can_open_streams_too() {
    let mut lab = lab();
    lab.issuer.listen(7).unwrap();
    let far = lab.acceptor.connect(0, 7).unwrap();
    lab.idle(SECOND);
    let near = lab.issuer.accept().unwrap();
    assert_eq!(lab.issuer.local_port(near), Some(7));
    assert_eq!(lab.acceptor.send(far, b"hello"), Ok(5));
    lab.idle(SECOND);
    assert_eq!(lab.issuer.readable(near), 5);
}

#[test]
fn a_port_that_nobody_listens_on_is_refused_within_one_round_trip() {
    let mut lab = lab();
    let near = lab.issuer.connect(0, 9).unwrap();
    let refused = |lab: &mut Lab| lab.issuer.state(near) == ended(EndReason::Refused);
    assert!(lab.run(SECOND, refused));
    assert_eq!(lab.now, 2 * Link::CLEAN.delay);
    assert_eq!(lab.issuer.send(near, b"x"), Err(StreamError::Ended(EndReason::Refused)));
    assert_eq!(lab.acceptor.counters().refused_port, 1);
}

#[test]
fn a_port_is_refused_again_after_it_is_no_longer_listened_on() {
    let mut lab = lab();
    let (_, far) = lab.open();
    lab.acceptor.unlisten(PORT);
    let second = lab.issuer.connect(lab.now, PORT).unwrap();
    lab.idle(SECOND);
    assert_eq!(lab.issuer.state(second), ended(EndReason::Refused));
    assert_eq!(lab.acceptor.state(far), Ok(StreamState::Open));
}

#[test]
fn an_aborted_stream_is_seen_as_reset_and_what_had_arrived_can_be_read() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.issuer.send(near, b"last words").unwrap();
    lab.idle(SECOND);
    lab.issuer.abort(near).unwrap();
    assert_eq!(lab.issuer.state(near), Err(StreamError::Stale));
    lab.idle(SECOND);
    assert_eq!(lab.acceptor.state(far), ended(EndReason::Reset));
    let mut room = [0; 32];
    assert_eq!(lab.acceptor.recv(far, &mut room), Ok(10));
    assert_eq!(lab.acceptor.recv(far, &mut room), Err(StreamError::Ended(EndReason::Reset)));
    assert_eq!(lab.issuer.vacant_slots(), 2);
}

#[test]
fn a_released_stream_delivers_what_it_holds() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.issuer.send(near, &pattern(4_000, 9)).unwrap();
    lab.issuer.release(lab.now, near).unwrap();
    let mut sink = Flow::new(Side::Issuer, near, far, pattern(4_000, 9));
    sink.sent = 4_000;
    transfer(&mut lab, &mut [sink], 10 * SECOND);
    // Whatever the peer still says is thrown away and does not stall it.
    let mut said = 0;
    lab.run(10 * SECOND, |lab| {
        said += lab.acceptor.send(far, &[0; 1000]).unwrap();
        said > 20_000
    });
    assert!(said > 20_000);
    lab.acceptor.release(lab.now, far).unwrap();
    lab.idle(SECOND);
    assert_eq!((lab.issuer.vacant_slots(), lab.acceptor.vacant_slots()), (2, 2));
}

#[test]
fn a_released_stream_whose_peer_never_finishes_is_reset_after_the_linger_time() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.issuer.release(lab.now, near).unwrap();
    lab.idle(Config::default().linger - SECOND);
    assert_eq!(lab.acceptor.state(far), Ok(StreamState::PeerFinished));
    lab.idle(2 * SECOND);
    assert_eq!(lab.acceptor.state(far), ended(EndReason::Reset));
    assert_eq!(lab.issuer.vacant_slots(), 2);
}

#[test]
fn bytes_that_are_read_late_survive_time_wait() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.issuer.finish(near).unwrap();
    lab.acceptor.send(far, b"read me later").unwrap();
    lab.acceptor.finish(far).unwrap();
    lab.idle(120 * SECOND);
    assert_eq!(lab.issuer.state(near), ended(EndReason::Finished));
    let mut room = [0; 32];
    assert_eq!(lab.issuer.recv(near, &mut room), Ok(13));
    lab.idle(20 * SECOND);
    assert_eq!(lab.issuer.recv(near, &mut room), Err(StreamError::Finished));
}

#[test]
fn a_peer_that_vanishes_ends_an_idle_stream_within_the_user_timeout() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.link.dead = true;
    let limit = Config::default().user_timeout + SECOND;
    let gone = |lab: &mut Lab| {
        lab.issuer.state(near) == ended(EndReason::TimedOut)
            && lab.acceptor.state(far) == ended(EndReason::TimedOut)
    };
    assert!(lab.run(limit, gone));
    // Nothing is left that would wake anybody up.
    lab.idle(SECOND);
    assert_eq!(lab.issuer.poll_timeout(lab.now), None);
}

#[test]
fn a_peer_that_vanishes_ends_a_busy_stream_within_the_user_timeout() {
    let mut lab = lab();
    let (near, far) = lab.open();
    let mut flow = Flow::new(Side::Issuer, near, far, pattern(1 << 20, 4));
    lab.run(SECOND, |lab| flow.pump(lab));
    lab.link.dead = true;
    let limit = 2 * Config::default().user_timeout;
    assert!(lab.run(limit, |lab| lab.issuer.state(near) == ended(EndReason::TimedOut)));
}

#[test]
fn opening_towards_a_dead_peer_ends_within_the_open_timeout() {
    let mut lab = lab();
    lab.link.dead = true;
    let near = lab.issuer.connect(0, PORT).unwrap();
    lab.idle(Config::default().open_timeout + SECOND);
    assert_eq!(lab.issuer.state(near), ended(EndReason::TimedOut));
}

#[test]
fn idle_streams_of_live_peers_stay_for_hours_and_rarely_wake_anybody() {
    let mut lab = lab();
    let (near, far) = lab.open();
    let before = lab.steps;
    lab.idle(6 * 3_600 * SECOND);
    assert_eq!(lab.issuer.state(near), Ok(StreamState::Open));
    assert_eq!(lab.acceptor.state(far), Ok(StreamState::Open));
    let per_minute = (lab.steps - before) / 360;
    assert!(per_minute < 20, "{per_minute} wake-ups a minute");
}

#[test]
fn a_machine_that_slept_through_the_user_timeout_wakes_to_ended_streams() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.issuer.send(near, b"in flight").unwrap();
    lab.drain_both();
    lab.now += 30 * 24 * 3_600 * SECOND;
    lab.idle(SECOND);
    assert_eq!(lab.issuer.state(near), ended(EndReason::TimedOut));
    assert_eq!(lab.acceptor.state(far), ended(EndReason::TimedOut));
}

#[test]
fn a_clock_that_goes_backwards_is_taken_as_standing_still() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.issuer.send(near, b"hi").unwrap();
    let mut packet = [0; genkan_stream::INNER_MTU];
    let len = lab.issuer.poll_packet(0, &mut packet).unwrap();
    lab.acceptor.handle_packet(lab.now + 5 * MS, &packet[..len]);
    lab.acceptor.handle_packet(0, &packet[..len]);
    assert_eq!(lab.acceptor.readable(far), 2);
}

#[test]
fn a_lost_session_ends_everything_at_once() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.acceptor.send(far, b"kept").unwrap();
    lab.idle(SECOND);
    lab.issuer.session_lost();
    assert_eq!(lab.issuer.state(near), ended(EndReason::SessionLost));
    let mut room = [0; 8];
    assert_eq!(lab.issuer.recv(near, &mut room), Ok(4));
    let over = StreamError::Ended(EndReason::SessionLost);
    assert_eq!(lab.issuer.recv(near, &mut room), Err(over));
    assert_eq!(lab.issuer.send(near, b"x"), Err(over));
}

#[test]
fn a_fin_is_repeated_even_when_old_acknowledgements_are_repeated_meanwhile() {
    let mut lab = lab();
    let (near, far) = lab.open();
    lab.acceptor.send(far, b"x").unwrap();
    lab.issuer.send(near, b"y").unwrap();
    lab.idle(SECOND);
    lab.acceptor.send(far, b"z").unwrap();
    lab.idle(SECOND);
    let mut room = [0; 8];
    let mut packet = [0; genkan_stream::INNER_MTU];
    // The acceptor's bare acknowledgement of some byte, recorded to be repeated.
    lab.issuer.send(near, b"w").unwrap();
    let now = lab.now;
    let len = lab.issuer.poll_packet(now, &mut packet).unwrap();
    lab.acceptor.handle_packet(now, &packet[..len]);
    let later = now + 20 * MS;
    let len = lab.acceptor.poll_packet(later, &mut packet).unwrap();
    assert_eq!(len, 40);
    let bare = packet[..len].to_vec();
    lab.issuer.handle_packet(later, &bare);
    // The FIN is lost, and the acknowledgement comes again and again.
    lab.issuer.finish(near).unwrap();
    assert!(lab.issuer.poll_packet(later, &mut packet).is_some());
    for _ in 0..10 {
        lab.issuer.handle_packet(later, &bare);
        while lab.issuer.poll_packet(later, &mut packet).is_some() {}
    }
    lab.now = later;
    lab.idle(5 * SECOND);
    assert!(lab.acceptor.recv(far, &mut room).is_ok());
    assert_eq!(lab.acceptor.recv(far, &mut room), Err(StreamError::Finished));
}

#[test]
fn an_acknowledgement_that_rides_on_a_keepalive_counts() {
    let config = Config { keep_alive: 700 * MS, ..Config::default() };
    let mut lab = Lab::with(1, 4096, Link::CLEAN, config);
    let (near, far) = lab.open();
    lab.issuer.send(near, &[1; 500]).unwrap();
    lab.drain_both();
    // The bytes arrive and their acknowledgement is lost.
    lab.link.dead = true;
    lab.idle(500 * MS);
    assert_eq!((lab.acceptor.readable(far), lab.issuer.unacknowledged(near)), (500, 500));
    lab.link = Link::CLEAN;
    lab.idle(400 * MS);
    assert_eq!(lab.issuer.unacknowledged(near), 0);
}
