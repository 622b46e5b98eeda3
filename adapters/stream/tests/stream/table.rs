//! Slots, handles and what happens when there are not enough.

use genkan_stream::{
    ConnectError, EndReason, INNER_MTU, ListenError, MAX_LISTENERS, StreamError, StreamState,
};

use crate::lab::{Lab, Link, MS, PORT, SECOND, both_ways, transfer};

fn lab(slots: usize) -> Lab {
    Lab::new(slots, 2048, Link::CLEAN)
}

#[test]
fn several_openings_at_once_are_all_accepted_in_order() {
    let mut lab = lab(4);
    lab.acceptor.listen(PORT).unwrap();
    lab.acceptor.listen(PORT + 1).unwrap();
    let near: Vec<_> = (0..4).map(|i| lab.issuer.connect(0, PORT + i % 2).unwrap()).collect();
    lab.idle(SECOND);
    let far: Vec<_> = core::iter::from_fn(|| lab.acceptor.accept()).collect();
    let ports: Vec<_> = far.iter().map(|far| lab.acceptor.local_port(*far).unwrap()).collect();
    assert_eq!(ports, [PORT, PORT + 1, PORT, PORT + 1]);
    let mut flows: Vec<_> =
        near.into_iter().zip(far).flat_map(|(near, far)| both_ways(near, far, 20_000)).collect();
    transfer(&mut lab, &mut flows, 60 * SECOND);
}

#[test]
fn a_full_table_refuses_at_once_and_takes_again_when_a_slot_is_vacant() {
    let mut lab = Lab::new(3, 2048, Link::CLEAN);
    lab.acceptor = crate::lab::stack(genkan_stream::Role::Acceptor, 1, 2048, Default::default());
    let (near, far) = lab.open();
    let refused = lab.issuer.connect(lab.now, PORT).unwrap();
    lab.idle(50 * MS);
    let reason = StreamState::Ended(EndReason::Refused);
    assert_eq!(lab.issuer.state(refused), Ok(reason));
    assert_eq!(lab.acceptor.counters().refused_full, 1);
    assert_eq!(lab.acceptor.connect(lab.now, 5), Err(ConnectError::TableFull));
    // The end that finishes first sits in TIME-WAIT, which must not keep the next stream out.
    lab.acceptor.release(lab.now, far).unwrap();
    lab.idle(SECOND);
    lab.issuer.release(lab.now, near).unwrap();
    lab.issuer.release(lab.now, refused).unwrap();
    lab.idle(100 * MS);
    let (near, far) = lab.open();
    transfer(&mut lab, &mut both_ways(near, far, 5_000), 10 * SECOND);
}

#[test]
fn slots_are_used_again_and_again_without_waiting() {
    let mut lab = lab(1);
    for _ in 0..50 {
        let (near, far) = lab.open();
        transfer(&mut lab, &mut both_ways(near, far, 3_000), 10 * SECOND);
        lab.issuer.release(lab.now, near).unwrap();
        lab.acceptor.release(lab.now, far).unwrap();
        lab.idle(100 * MS);
    }
    assert!(lab.now < 60 * SECOND);
}

#[test]
fn a_repeated_opening_segment_does_not_disturb_the_stream_that_it_opened() {
    let mut lab = lab(4);
    lab.acceptor.listen(PORT).unwrap();
    let near = lab.issuer.connect(0, PORT).unwrap();
    let mut opening = [0; INNER_MTU];
    let len = lab.issuer.poll_packet(0, &mut opening).unwrap();
    for _ in 0..3 {
        lab.acceptor.handle_packet(0, &opening[..len]);
    }
    lab.idle(SECOND);
    let far = lab.acceptor.accept().unwrap();
    lab.acceptor.handle_packet(lab.now, &opening[..len]);
    let mut flows = both_ways(near, far, 10_000);
    transfer(&mut lab, &mut flows, 60 * SECOND);
    assert!(lab.acceptor.accept().is_none());
    assert_eq!(lab.acceptor.vacant_slots(), 3);
}

#[test]
fn half_open_streams_give_their_slots_back() {
    let mut lab = lab(2);
    lab.acceptor.listen(PORT).unwrap();
    for _ in 0..2 {
        lab.issuer.connect(0, PORT).unwrap();
    }
    let mut packet = [0; INNER_MTU];
    while let Some(len) = lab.issuer.poll_packet(0, &mut packet) {
        lab.acceptor.handle_packet(0, &packet[..len]);
    }
    lab.link.dead = true;
    assert_eq!(lab.acceptor.vacant_slots(), 0);
    lab.idle(30 * SECOND);
    assert_eq!(lab.acceptor.vacant_slots(), 2);
    assert!(lab.acceptor.accept().is_none());
}

#[test]
fn stale_handles_fail_and_do_not_touch_the_next_stream() {
    let mut lab = lab(1);
    let (near, far) = lab.open();
    lab.issuer.abort(near).unwrap();
    lab.idle(SECOND);
    lab.acceptor.release(lab.now, far).unwrap();
    let (next, _) = lab.open();
    assert_ne!(near, next);
    assert_eq!(lab.issuer.send(near, b"x"), Err(StreamError::Stale));
    assert_eq!(lab.issuer.recv(near, &mut [0; 4]), Err(StreamError::Stale));
    assert_eq!(lab.issuer.finish(near), Err(StreamError::Stale));
    assert_eq!(lab.issuer.abort(near), Err(StreamError::Stale));
    assert_eq!(lab.issuer.release(0, near), Err(StreamError::Stale));
    assert!(!lab.issuer.may_send(near) && !lab.issuer.may_recv(near));
    assert_eq!(lab.issuer.state(next), Ok(StreamState::Open));
}

#[test]
fn ports_are_checked() {
    let mut lab = lab(1);
    assert_eq!(lab.issuer.connect(0, 0), Err(ConnectError::InvalidPort));
    assert_eq!(lab.issuer.listen(0), Err(ListenError::InvalidPort));
    for port in 1..=MAX_LISTENERS as u16 {
        assert_eq!(lab.issuer.listen(port), Ok(()));
    }
    assert_eq!(lab.issuer.listen(1), Ok(()));
    assert_eq!(lab.issuer.listen(99), Err(ListenError::TableFull));
    lab.issuer.unlisten(3);
    assert_eq!(lab.issuer.listen(99), Ok(()));
}
