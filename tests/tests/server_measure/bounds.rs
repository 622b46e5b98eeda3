//! What becomes of packets that are not, and of too many.

use super::*;

fn state(booth: &Booth) -> Vec<u64> {
    let mut all = Vec::new();
    booth.desk.server.inspect(&mut |number| all.push(number));
    all
}

#[test]
fn a_detect_that_is_not_authentic_changes_nothing_and_gets_no_answer() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let probe = nat::measurement(false)[0];
    let good = lamp.measuring(1, 0, probe, 4_600);
    let before = state(&booth);
    for bit in 8..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let (received, sent) = booth.tell(SocketId::OTHER_PORT, sa(HOME), &bad);
        assert!(matches!(received, Received::Discarded(_)), "bit {bit}");
        // Not even a hint, where the handle is not known.
        assert_eq!(sent, [], "bit {bit}");
    }
    for len in 0..good.len() {
        let (received, sent) = booth.tell(SocketId::OTHER_PORT, sa(HOME), &good[..len]);
        assert!(matches!(received, Received::Discarded(_)) && sent.is_empty(), "{len} bytes");
    }
    assert_eq!(state(&booth), before);
    assert_eq!(booth.tell(SocketId::OTHER_PORT, sa(HOME), &good).0, Received::Control);
    assert_ne!(state(&booth), before);
    // Once.
    let before = state(&booth);
    for from in [sa(HOME), sa("192.0.2.66:1")] {
        let (received, sent) = booth.tell(SocketId::OTHER_PORT, from, &good);
        assert_eq!((received, sent), (Received::Discarded(Discard::Replayed), vec![]));
    }
    assert_eq!(state(&booth), before);
}

#[test]
fn a_packet_counts_for_its_own_place_in_the_measurement_and_once() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let probe = nat::measurement(false)[0];
    let mut tell = |end: SocketId, which: u8, socket: u8, port: u16| {
        let bytes = lamp.measuring(which, 0, Probe { socket, ..probe }, 4_600);
        let from = SocketAddr::new(sa(HOME).ip(), port);
        booth.tell(end, from, &bytes).0
    };
    let unexpected = Received::Discarded(Discard::Unexpected);
    assert_eq!(tell(SocketId::MAIN, 1, 0, 4_600), unexpected, "at another end");
    assert_eq!(tell(SocketId::OTHER_PORT, 1, 9, 4_600), unexpected, "from another socket");
    for which in [0, 6, 255] {
        let malformed = Received::Discarded(Discard::Malformed);
        assert_eq!(tell(SocketId::OTHER_PORT, which, 0, 4_600), malformed);
    }
    assert_eq!(tell(SocketId::OTHER_PORT, 1, 0, 4_600), Received::Control);
    assert_eq!(tell(SocketId::OTHER_PORT, 1, 0, 9), unexpected, "contradicts the first");
}

#[test]
fn ten_thousand_detects_are_one_measurement() {
    let mut booth = Booth::new(false);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let mut rng = Rng::new(1);
    let (mut taken, mut answers) = (0, 0);
    for _ in 0..10_000 {
        let which = u8::try_from(rng.below(8)).unwrap();
        let probe = nat::measurement(false)[rng.index(5)];
        let bytes = lamp.measuring(which, 6, probe, 4_600);
        let from = SocketAddr::new(sa(HOME).ip(), u16::try_from(rng.below(65_536)).unwrap());
        let (received, sent) = booth.tell(socket(probe.server), from, &bytes);
        // One that only keeps a mapping is taken, and does nothing.
        taken += usize::from(received == Received::Control && which != 6);
        answers += sent.len();
    }
    assert_eq!((taken, answers, measured(&mut booth).len()), (5, 1, 1));
    booth.pass(Duration::from_secs(1));
    assert!(booth.desk.server.poll_timeout().is_some_and(|next| next.at > booth.desk.now));
}

/// More equipments come at once than measurements can be under way: the first ones are measured, the
/// others at their next registration. Nobody's measurement is lost to others, however many come.
#[test]
fn in_a_full_table_whoever_comes_last_is_measured_later() {
    let mut booth = Booth::new(false);
    let home = |n: u8| SocketAddr::from(([198, 51, 100, n], 4_600));
    let mut lamps = Vec::new();
    for n in 0..80 {
        booth.desk.now = booth.desk.now.after(Duration::from_millis(5));
        let mut lamp = booth.greet(n + 1, Role::Acceptor, home(n));
        let sent = booth.register(&mut lamp, 4_600, LARGE);
        assert_eq!(asked(&lamp, &sent)[0].now, n < 64, "{n}");
        assert_eq!(probes(&sent).len(), usize::from(n < 64), "{n}");
        lamps.push(lamp);
    }
    booth.events();
    for (n, lamp) in lamps.iter_mut().enumerate() {
        let from = lamp.at;
        for (which, probe) in (1..).zip(nat::measurement(false)) {
            let bytes = lamp.measuring(which, 0, *probe, 4_600);
            booth.tell(socket(probe.server), from, &bytes);
        }
        assert_eq!(measured(&mut booth).len(), usize::from(n < 64), "{n}");
    }
    booth.pass(Duration::from_secs(1));
    for (n, lamp) in lamps.iter_mut().enumerate() {
        let sent = booth.register(lamp, 4_600, LARGE);
        assert_eq!(asked(lamp, &sent)[0].now, n >= 64, "{n}");
    }
}

#[test]
fn the_other_ends_take_nothing_but_detection_packets() {
    let mut booth = Booth::new(true);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let before = state(&booth);
    let hello = booth.greet(9, Role::Issuer, sa("192.0.2.9:9")).evil.hello(Role::Issuer);
    let certificate = vec![Kind::CertificateRequest as u8; 400];
    let messages = [
        hello,
        certificate,
        lamp.evil.keepalive(None),
        lamp.evil.transport(&ToServer::Deregister),
        vec![Kind::Resume as u8; 38],
    ];
    let before_all = state(&booth);
    for message in messages {
        for at in [SocketId::OTHER_PORT, SocketId::OTHER_ADDRESS, SocketId(16), SocketId::LISTENER]
        {
            let (received, sent) = booth.tell(at, sa(HOME), &message);
            assert_eq!(received, Received::Discarded(Discard::Unexpected));
            assert_eq!(sent, []);
        }
    }
    assert_eq!(state(&booth), before_all);
    assert_ne!(before, before_all, "another guest has come meanwhile");
}

/// A handle that the next equipment has: the report on one's NAT never goes to another.
#[test]
fn a_slot_that_is_used_anew_knows_nothing_of_the_one_before() {
    let mut booth = Booth::new(false);
    let mut lamp = known(&mut booth);
    let gone = lamp.evil.transport(&ToServer::Deregister);
    assert_eq!(booth.tell(SocketId::MAIN, lamp.at, &gone).0, Received::Control);
    let mut other = booth.greet(5, Role::Acceptor, sa("192.0.2.5:5"));
    assert_eq!(other.evil.handle & 0xff_ffff, lamp.evil.handle & 0xff_ffff, "the same slot");
    let sent = booth.register(&mut other, 5, LARGE);
    assert!(asked(&other, &sent)[0].now, "the profile was another's");
    let detect = Detect { status: 0, request: 0, round: 0, which: 1, socket: 0, local: 1 };
    let late = lamp.detect(detect);
    let (received, sent) = booth.tell(SocketId::OTHER_PORT, lamp.at, &late);
    assert_eq!((received, sent), (Received::Discarded(Discard::UnknownSession), vec![]));
}
