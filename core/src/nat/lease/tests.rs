//! Bytes as the two RFCs draw them, times as they set them, and answers that are not ours. What boxes
//! say to it is in `tests/tests/lease.rs`.

extern crate std;
use std::vec::Vec as List;

use super::*;

const NONCE: [u8; 12] = *b"twelve bytes";
const INSIDE: ([u8; 4], u16) = ([192, 168, 1, 20], 0xbeef);

fn client() -> LeaseClient {
    LeaseClient::new(at(0), INSIDE.into(), NONCE)
}

const fn at(seconds: u64) -> Instant {
    Instant::from_millis(1_000 + seconds * 1_000)
}

/// A granted MAP as RFC 6887 figures 7 and 9 draw it.
fn granted(nonce: [u8; 12], port: u16, seconds: u32, epoch: u32) -> List<u8> {
    let mut answer = List::from([2, 129, 0, 0]);
    answer.extend(seconds.to_be_bytes());
    answer.extend(epoch.to_be_bytes());
    answer.extend([0; 12]);
    answer.extend(nonce);
    answer.extend([17, 0, 0, 0]);
    answer.extend(INSIDE.1.to_be_bytes());
    answer.extend(port.to_be_bytes());
    answer.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7]);
    answer
}

fn announced(epoch: u32) -> List<u8> {
    let mut announced = List::from([2, 128, 0, 0, 0, 0, 0, 0]);
    announced.extend(epoch.to_be_bytes());
    announced.resize(24, 0);
    announced
}

/// The times, in seconds, at which requests leave until `end`.
fn requests(client: &mut LeaseClient, end: u64) -> List<f64> {
    let mut times = List::new();
    while let Some(due) = client.poll_timeout().filter(|due| *due <= at(end)) {
        assert!(client.poll_request(due).is_some());
        assert!(client.poll_timeout().is_none_or(|next| next > due), "asks at once again");
        times.push(due.since(at(0)).as_secs_f64());
    }
    times
}

#[test]
fn a_pcp_request_has_the_form_of_rfc_6887() {
    let mut client = client();
    let request = client.poll_request(at(0)).unwrap();
    let mut wanted = List::from([2, 1, 0, 0, 0, 0, 0x1c, 0x20]);
    wanted.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 20]);
    wanted.extend(NONCE);
    wanted.extend([17, 0, 0, 0, 0xbe, 0xef, 0xbe, 0xef]);
    wanted.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(request[..], wanted);
    assert_eq!(client.poll_request(at(0)), None);
    // A renewal names what was granted, an end has no lifetime.
    assert!(client.handle_answer(at(0), &granted(NONCE, 40_000, 600, 5)));
    let due = client.poll_timeout().unwrap();
    let renewal = client.poll_request(due).unwrap();
    assert_eq!(renewal[..42], wanted[..42]);
    assert_eq!(
        renewal[42..],
        [0x9c, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7]
    );
    client.end(due);
    let end = client.poll_request(due).unwrap();
    assert_eq!((&end[4..8], &end[8..]), ([0; 4].as_slice(), &renewal[8..]));
    assert_eq!((client.poll_timeout(), client.lease(due)), (None, None));
}

#[test]
fn a_box_that_speaks_only_nat_pmp_is_asked_in_it() {
    let mut client = client();
    client.poll_request(at(0)).unwrap();
    assert!(client.handle_answer(at(0), &[0, 129, 0, 1, 0, 0, 0, 9]));
    let request = client.poll_request(at(0)).unwrap();
    assert_eq!(request[..], [0, 1, 0, 0, 0xbe, 0xef, 0xbe, 0xef, 0, 0, 0x1c, 0x20]);
    let other_port = [0, 129, 0, 0, 0, 0, 0, 9, 0xbe, 0xee, 0x9c, 0x40, 0, 0, 0x1c, 0x20];
    assert!(!client.handle_answer(at(0), &other_port));
    let answer = [0, 129, 0, 0, 0, 0, 0, 9, 0xbe, 0xef, 0x9c, 0x40, 0, 0, 0x1c, 0x20];
    assert!(client.handle_answer(at(1), &answer));
    let until = at(1).after(Duration::from_secs(7_200));
    assert_eq!(client.lease(at(1)), Some(Lease { address: None, port: 40_000, until }));
    client.end(at(2));
    assert_eq!(client.poll_request(at(2)).unwrap(), [0, 1, 0, 0, 0xbe, 0xef, 0, 0, 0, 0, 0, 0]);
}

/// RFC 6887 section 8.1.1: 3 s, doubled up to 1,024 s, a tenth more or less.
#[test]
fn a_silent_box_is_asked_ever_more_seldom() {
    let times = requests(&mut client(), 6_000);
    let gaps: List<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, wanted) in gaps.iter().zip([3.0, 6.0, 12.0, 24.0, 48.0, 96.0, 192.0, 384.0, 768.0]) {
        assert!((0.899..=1.101).contains(&(gap / wanted)), "{gap} for {wanted}");
    }
    assert!((11..=14).contains(&times.len()), "{times:?}");
}

/// RFC 6887 section 11.2.1: from half of its life on, and after it as at the beginning.
#[test]
fn a_lease_is_renewed_in_time_and_asked_for_anew_when_it_has_ended() {
    let mut client = client();
    client.poll_request(at(0)).unwrap();
    assert!(client.handle_answer(at(0), &granted(NONCE, 40_000, 1_600, 5)));
    assert_eq!(client.lease(at(1_599)).unwrap().port, 40_000);
    assert_eq!(client.lease(at(1_600)), None);
    let times = requests(&mut client, 1_700);
    assert!((800.0..=1_000.0).contains(&times[0]), "{times:?}");
    let in_time = times.iter().filter(|&&time| time < 1_600.0).count();
    assert!((6..=9).contains(&in_time), "{times:?}");
    assert!(times.iter().any(|time| (1_600.0..1_604.0).contains(time)), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 2.7), "{times:?}");
}

#[test]
fn a_refusal_is_told_and_not_asked_again_soon() {
    for (code, why, pause) in [
        (2, Refused::NotAuthorized, 1_800),
        (8, Refused::NoResources, 30),
        (12, Refused::Between, 1_800),
        (6, Refused::Other(6), 1_800),
    ] {
        let mut client = client();
        client.poll_request(at(0)).unwrap();
        let mut answer = granted(NONCE, 0, 30, 5);
        answer[3] = code;
        assert!(client.handle_answer(at(1), &answer));
        assert_eq!((client.refused(), client.lease(at(1))), (Some(why), None));
        assert_eq!(client.poll_timeout(), Some(at(1 + pause)));
    }
    // A success that is none.
    for (port, seconds) in [(0, 600), (40_000, 0), (40_000, 3)] {
        let mut client = client();
        client.poll_request(at(0)).unwrap();
        assert!(client.handle_answer(at(1), &granted(NONCE, port, seconds, 5)));
        assert_eq!((client.lease(at(1)), client.poll_timeout()), (None, Some(at(1_801))));
    }
}

#[test]
fn what_nobody_asked_for_is_no_answer() {
    let mut client = client();
    assert!(!client.handle_answer(at(0), &granted(NONCE, 40_000, 600, 5)), "before any request");
    client.poll_request(at(0)).unwrap();
    let right = granted(NONCE, 40_000, 600, 5);
    assert!(!client.handle_answer(at(0), &granted(*b"another none", 40_000, 600, 5)));
    for len in 0..right.len() {
        assert!(!client.handle_answer(at(0), &right[..len]), "{len} bytes");
    }
    // Version, opcode, protocol, inside port.
    for place in [0, 1, 36, 40, 41] {
        let mut wrong = right.clone();
        wrong[place] ^= 0x84;
        assert!(!client.handle_answer(at(0), &wrong), "byte {place}");
    }
    assert_eq!(client.lease(at(0)), None);
    assert!(client.handle_answer(at(0), &right));
    assert!(!client.handle_answer(at(0), &granted(NONCE, 41_000, 600, 5)), "a second answer");
    assert_eq!(client.lease(at(0)).unwrap().port, 40_000);
}

/// RFC 6887 section 8.5.
#[test]
fn a_box_that_has_lost_its_leases_is_asked_again_at_once_and_no_oftener() {
    let mut client = client();
    client.poll_request(at(0)).unwrap();
    assert!(client.handle_answer(at(0), &granted(NONCE, 40_000, 7_200, 1_000)));
    let due = client.poll_timeout();
    assert!(client.handle_answer(at(100), &announced(1_100)));
    assert!(client.handle_answer(at(200), &announced(1_202)));
    assert_eq!(client.poll_timeout(), due, "it counts on as we do");
    assert!(client.handle_answer(at(300), &announced(1)));
    assert_eq!(client.poll_timeout(), Some(at(300)));
    assert_eq!(client.lease(at(300)).unwrap().port, 40_000);
    assert!(client.poll_request(at(300)).is_some());
    for second in 301..400 {
        client.handle_answer(at(second), &announced(1));
    }
    assert_eq!(client.lease(at(331)), None, "nothing was heard of it any more");
    assert!(client.poll_timeout().unwrap() <= at(400));
    let mut asked = 0;
    for second in 400..500_u64 {
        client.handle_answer(at(second), &announced(u32::try_from(second % 7).unwrap() * 100));
        asked += u8::from(client.poll_request(at(second)).is_some());
    }
    assert!((1..=25).contains(&asked), "{asked} requests in 100 s of false alarms");
}

/// Any bytes are survived, and none of them is believed without the nonce.
#[test]
fn garbage_grants_nothing() {
    let mut state = 7_u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    };
    let mut client = client();
    client.poll_request(at(0)).unwrap();
    let right = granted(*b"another none", 40_000, 600, 5);
    for round in 0..20_000_u64 {
        let mut bytes = right.clone();
        for _ in 0..random() % 8 {
            let place = usize::from(random()) % bytes.len();
            bytes[place] = random();
        }
        // A box that says it is older has no nonce: that way is another test's.
        bytes[0] |= 1;
        bytes.truncate(usize::from(random()));
        client.handle_answer(at(round), &bytes);
        while client.poll_request(at(round)).is_some() {}
        assert_eq!(client.lease(at(round)), None);
    }
}
