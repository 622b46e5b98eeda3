//! Bytes arrive whole and in order, whatever the link does.

use genkan_stream::{Config, EndReason, HOST_BUFFER, StreamState};

use crate::lab::{Flow, Lab, Link, MS, SECOND, Side, both_ways, pattern, transfer};

const MIB: usize = 1 << 20;

fn one_mebibyte(link: Link, buffer: usize, span: u64) -> (Lab, u64) {
    let mut lab = Lab::new(2, buffer, link);
    let (near, far) = lab.open();
    let spent = transfer(&mut lab, &mut both_ways(near, far, MIB), span);
    lab.link = Link::CLEAN;
    lab.idle(5 * SECOND);
    for state in [lab.issuer.state(near), lab.acceptor.state(far)] {
        assert_eq!(state, Ok(StreamState::Ended(EndReason::Finished)));
    }
    (lab, spent)
}

#[test]
fn a_mebibyte_goes_both_ways_over_a_clean_link_in_seconds() {
    let (lab, spent) = one_mebibyte(Link::CLEAN, HOST_BUFFER, 60 * SECOND);
    assert!(spent < 3 * SECOND, "{} ms", spent / MS);
    assert!(lab.steps < 20_000, "{} steps", lab.steps);
}

#[test]
fn a_mebibyte_goes_both_ways_through_buffers_of_two_kibibytes() {
    one_mebibyte(Link::CLEAN, 2048, 120 * SECOND);
}

#[test]
fn a_mebibyte_goes_both_ways_over_ten_percent_loss() {
    let link = Link { loss: 100, ..Link::CLEAN };
    let (lab, _) = one_mebibyte(link, HOST_BUFFER, 3_600 * SECOND);
    assert!(lab.steps < 100_000, "{} steps", lab.steps);
}

#[test]
fn a_mebibyte_goes_both_ways_over_a_reordering_link() {
    one_mebibyte(Link { jitter: 15 * MS, ..Link::CLEAN }, HOST_BUFFER, 600 * SECOND);
}

#[test]
fn a_mebibyte_goes_both_ways_over_a_repeating_link() {
    one_mebibyte(Link { duplicates: 500, ..Link::CLEAN }, HOST_BUFFER, 600 * SECOND);
}

#[test]
fn a_mebibyte_goes_both_ways_over_loss_reordering_and_repetition_at_once() {
    let link = Link { jitter: 40 * MS, loss: 100, duplicates: 200, ..Link::CLEAN };
    one_mebibyte(link, HOST_BUFFER, 3_600 * SECOND);
}

#[test]
fn short_streams_survive_a_bad_link_from_opening_to_end_under_many_seeds() {
    for seed in 1..=200 {
        let config = Config { open_timeout: 200 * SECOND, ..Config::default() };
        let mut lab = Lab::with(2, 4096, Link::CLEAN, config);
        lab.dice.0 = seed * 0x9e37_79b9;
        lab.link = Link { jitter: 30 * MS, loss: 100, duplicates: 300, ..Link::CLEAN };
        let (near, far) = lab.open();
        transfer(&mut lab, &mut both_ways(near, far, 10_000), 600 * SECOND);
        lab.issuer.release(lab.now, near).unwrap();
        lab.acceptor.release(lab.now, far).unwrap();
        lab.idle(200 * SECOND);
        assert_eq!((lab.issuer.vacant_slots(), lab.acceptor.vacant_slots()), (2, 2));
    }
}

#[test]
fn a_change_of_path_that_loses_everything_for_three_seconds_loses_no_byte() {
    let mut lab = Lab::new(2, HOST_BUFFER, Link::CLEAN);
    let (near, far) = lab.open();
    let mut flows = both_ways(near, far, 4 * MIB);
    lab.run(500 * MS, |lab| {
        flows.iter_mut().for_each(|flow| {
            flow.pump(lab);
        });
        false
    });
    assert!(flows.iter().all(|flow| !flow.got.is_empty() && flow.got.len() < 4 * MIB));
    lab.link.dead = true;
    lab.idle(3 * SECOND);
    lab.link = Link { delay: 5 * MS, ..Link::CLEAN };
    let spent = transfer(&mut lab, &mut flows, 60 * SECOND);
    assert!(spent < 15 * SECOND, "{} ms", spent / MS);
}

#[test]
fn a_receiver_that_does_not_read_stops_the_sender_and_nothing_is_lost() {
    let mut lab = Lab::new(1, 8192, Link::CLEAN);
    let (near, far) = lab.open();
    let mut flow = Flow::new(Side::Issuer, near, far, pattern(200_000, 5));
    flow.reading = false;
    lab.run(5 * SECOND, |lab| flow.pump(lab));
    let stopped = flow.sent;
    assert!(stopped <= 2 * 8192, "{stopped} bytes were taken");
    assert_eq!(lab.acceptor.readable(far), 8192);
    assert_eq!(lab.issuer.send_room(near), 0);
    // Far longer than the user timeout: the peer is alive, it merely does not read.
    lab.run(1_200 * SECOND, |lab| flow.pump(lab));
    assert_eq!(flow.sent, stopped);
    assert_eq!(lab.issuer.state(near), Ok(StreamState::Open));
    flow.reading = true;
    transfer(&mut lab, &mut [flow], 60 * SECOND);
}

#[test]
fn streams_share_the_link_fairly() {
    let mut lab = Lab::new(4, 16_384, Link::CLEAN);
    let streams: Vec<_> = (0..4).map(|_| lab.open()).collect();
    let mut flows: Vec<_> =
        streams.into_iter().flat_map(|(near, far)| both_ways(near, far, 300_000)).collect();
    lab.run(SECOND, |lab| {
        flows.iter_mut().for_each(|flow| {
            flow.pump(lab);
        });
        false
    });
    let least = flows.iter().map(|flow| flow.got.len()).min().unwrap();
    let most = flows.iter().map(|flow| flow.got.len()).max().unwrap();
    assert!(least > 0 && most < 2 * least, "{least} against {most}");
    transfer(&mut lab, &mut flows, 60 * SECOND);
}

#[test]
fn a_peer_that_talks_little_is_not_starved_by_a_bulk_stream_before_it() {
    let mut lab = Lab::new(2, HOST_BUFFER, Link::CLEAN);
    let (bulk, bulk_sink) = lab.open();
    let (small, _) = lab.open();
    let mut flow = Flow::new(Side::Issuer, bulk, bulk_sink, pattern(MIB, 3));
    lab.run(300 * MS, |lab| flow.pump(lab));
    flow.pump(&mut lab);
    lab.issuer.send(small, b"ping").unwrap();
    let mut packet = [0; genkan_stream::INNER_MTU];
    let now = lab.now;
    let lens: Vec<_> = (0..3).map_while(|_| lab.issuer.poll_packet(now, &mut packet)).collect();
    assert!(lens.contains(&44), "{lens:?}");
}

#[test]
fn two_ends_that_both_timed_out_hear_each_other_again() {
    let mut lab = Lab::new(1, 8192, Link::CLEAN);
    let (near, far) = lab.open();
    let mut flows = both_ways(near, far, 5_000);
    for flow in &mut flows {
        flow.pump(&mut lab);
    }
    lab.drain_both();
    // What has left arrives, but no acknowledgement comes back until both ends have gone back to
    // their first byte and repeated it in vain.
    lab.link.dead = true;
    lab.idle(2_500 * MS);
    assert!(lab.issuer.readable(near).min(lab.acceptor.readable(far)) > 1_160);
    lab.link = Link::CLEAN;
    let spent = transfer(&mut lab, &mut flows, 60 * SECOND);
    assert!(spent < 10 * SECOND, "{} ms", spent / MS);
}

#[test]
fn streams_survive_links_of_all_kinds_with_buffers_of_all_sizes() {
    for seed in 1..=150 {
        let buffer = 300 + (seed * 977) % 20_000;
        // With patience, so that only a stream that is truly stuck fails.
        let patience = 3_600 * SECOND;
        let config = Config { open_timeout: patience, user_timeout: patience, ..Config::default() };
        let mut lab = Lab::with(2, buffer as usize, Link::CLEAN, config);
        lab.dice.0 = seed * 0x9e37_79b9;
        let (loss, duplicates) = (seed * 7 % 200, seed * 11 % 400);
        lab.link = Link { jitter: seed % 7 * 10 * MS, loss, duplicates, ..Link::CLEAN };
        let (near, far) = lab.open();
        transfer(&mut lab, &mut both_ways(near, far, 60_000), 2 * patience);
    }
}
