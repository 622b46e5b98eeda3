//! What acceptors say of their NAT's lifetime and ask for, and what the server advises.

use super::*;

/// 60 s to 120 s, by places in the table.
const MIDDLE: u8 = 0x76;
/// Less than 30 s.
const SHORT: u8 = 0x50;

const fn life(port: u16, lifetime: u8) -> ToServer<'static> {
    ToServer::Life(Life { port, lifetime })
}

fn intervals(guest: &Guest, sent: &[Sent]) -> Vec<u16> {
    let told = guest.read(sent).into_iter().filter_map(|message| match message {
        ToEquipment::Registered(registered) => Some(registered.interval),
        _ => None,
    });
    told.collect()
}

/// What the server makes of a word, and what it sends then.
fn tell(
    booth: &mut Booth,
    guest: &mut Guest,
    word: &ToServer<'_>,
) -> (Received<'static>, Vec<Sent>) {
    let bytes = guest.evil.transport(word);
    booth.tell(SocketId::MAIN, guest.at, &bytes)
}

#[test]
fn a_probe_goes_to_the_port_that_was_named_and_is_no_longer_than_the_wish() {
    let mut booth = Booth::new(false);
    let mut lamp = known(&mut booth);
    for port in [1_024, 5_001, 65_535] {
        let wish = lamp.evil.transport(&life(port, 0));
        let (received, sent) = booth.tell(SocketId::MAIN, lamp.at, &wish);
        assert_eq!(received, Received::Control);
        let [probe] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(
            (probe.socket, probe.to),
            (SocketId::MAIN, SocketAddr::new(sa(HOME).ip(), port))
        );
        assert!(probe.bytes.len() <= wish.len());
        let (signed, tag) = probe.bytes.split_at(12);
        assert_eq!((signed[0], signed[1]), (Kind::FilterProbe as u8, 3));
        assert_eq!(signed[2..6], (0x1000_0000u32 | 2).to_be_bytes());
        assert_eq!(signed[6..], [&[0; 4][..], &port.to_be_bytes()].concat());
        let key = hmac(&lamp.evil.root, &[b"keepalive down"]);
        assert_eq!(tag, siphash(&key[..16], &[signed]));
    }
    assert_eq!(tell(&mut booth, &mut lamp, &life(0, MIDDLE)), (Received::Control, vec![]));
    let forbidden = (Received::Discarded(Discard::ForbiddenAddress), vec![]);
    for port in [1, 443, 1_023] {
        assert_eq!(tell(&mut booth, &mut lamp, &life(port, 0)), forbidden, "{port}");
    }
}

/// Ports of others behind the same address are nobody's to knock at without end.
#[test]
fn whoever_asks_for_ever_gets_sixteen_probes_and_four_a_second() {
    let mut booth = Booth::new(false);
    let mut lamp = known(&mut booth);
    let mut probes = 0;
    for port in 5_000..6_000 {
        booth.desk.now = booth.desk.now.after(Duration::from_millis(10));
        let (received, sent) = tell(&mut booth, &mut lamp, &life(port, 0));
        let limited = received == Received::Discarded(Discard::RateLimited);
        assert_eq!(sent.len(), usize::from(!limited));
        assert!(sent.iter().all(|sent| sent.to.ip() == lamp.at.ip()));
        probes += sent.len();
    }
    assert!((50..=57).contains(&probes), "{probes} in ten seconds");
}

#[test]
fn nobody_is_probed_whose_nat_is_not_known_or_shuts_senders_out() {
    let unexpected = (Received::Discarded(Discard::Unexpected), vec![]);
    let mut booth = Booth::new(false);
    // Not before it has been asked for its NAT, and not as an issuer.
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    assert_eq!(tell(&mut booth, &mut lamp, &life(5_000, MIDDLE)), unexpected);
    let mut phone = booth.greet(3, Role::Issuer, sa("192.0.2.9:9"));
    booth.say(&mut phone, &ToServer::Can(Ability::LARGE.to_bits()));
    assert_eq!(tell(&mut booth, &mut phone, &life(5_000, MIDDLE)), unexpected);
    // Not without hole punching.
    let mut plain = booth.greet(4, Role::Acceptor, sa("192.0.2.10:9"));
    booth.register(&mut plain, 9, None);
    assert_eq!(tell(&mut booth, &mut plain, &life(5_000, MIDDLE)), unexpected);
    // Not behind a NAT that has shut out the server when it was probed.
    booth.register(&mut lamp, 4_600, LARGE);
    booth.pass(Duration::from_secs(5));
    let keepalive = lamp.evil.keepalive(None);
    booth.tell(SocketId::MAIN, lamp.at, &keepalive);
    assert!(measured(&mut booth)[0].punishes);
    assert_eq!(tell(&mut booth, &mut lamp, &life(5_000, 0)), (Received::Control, vec![]));
    assert_eq!(tell(&mut booth, &mut lamp, &life(4_600, 0)), (Received::Control, vec![]));
}

#[test]
fn what_an_acceptor_has_found_changes_its_interval_at_once() {
    let mut booth = Booth::with(|config| config.longest_interval = 100);
    let mut lamp = known(&mut booth);
    let sent = booth.say(&mut lamp, &life(0, MIDDLE));
    assert_eq!(intervals(&lamp, &sent), [45]);
    let profile = measured(&mut booth)[0];
    assert_eq!((profile.lifetime.at_least(), profile.lifetime.at_most()), (60, 120));
    assert!(!profile.drifted);
    // The same again is nothing new.
    assert_eq!(booth.say(&mut lamp, &life(0, MIDDLE)), []);
    assert_eq!(measured(&mut booth), []);
    let sent = booth.say(&mut lamp, &life(0, SHORT));
    assert_eq!(intervals(&lamp, &sent), [15]);
    let profile = measured(&mut booth)[0];
    assert_eq!((profile.lifetime.at_least(), profile.lifetime.at_most()), (0, 30));
    assert!(profile.drifted);
    // A registration is told the same.
    let sent = booth.register(&mut lamp, 4_600, LARGE);
    assert_eq!(intervals(&lamp, &sent), [15]);
}

/// Every byte, one after the other: the interval is one that a server may advise, and no longer than
/// the operator wants.
#[test]
fn no_word_makes_an_interval_out_of_bounds() {
    let mut booth = Booth::with(|config| config.longest_interval = 100);
    let mut lamp = known(&mut booth);
    let mut rng = Rng::new(1);
    for _ in 0..2_000 {
        booth.desk.now = booth.desk.now.after(Duration::from_millis(300));
        let byte = u8::try_from(rng.below(256)).unwrap();
        let sent = booth.say(&mut lamp, &life(0, byte));
        let told = intervals(&lamp, &sent);
        assert!(told.iter().all(|interval| (5..=100).contains(interval)), "{byte}: {told:?}");
        booth.events();
    }
}

/// Keepalives of an equipment whose NAT draws a port for each destination, from this one or another.
#[test]
fn keepalives_after_a_silence_tell_how_long_a_mapping_lives() {
    let mut booth = Booth::new(true);
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let mut port = 4_600;
    booth.measure(&mut lamp, true, 0, |probe| {
        port += 1_000 + port % 77;
        (SocketAddr::new(sa(HOME).ip(), port), 40_000 + u16::from(probe.socket))
    });
    assert_eq!(measured(&mut booth)[0].mapping, Mapping::AddressAndPortDependent);
    let mut keep = |silence: u64, port: u16, skipped: u64| {
        booth.desk.now = booth.desk.now.after(Duration::from_secs(silence));
        lamp.at.set_port(port);
        lamp.evil.counter += skipped;
        let keepalive = lamp.evil.keepalive(None);
        let (_, sent) = booth.tell(SocketId::MAIN, lamp.at, &keepalive);
        let challenge = sent.iter().find(|sent| sent.bytes[0] == Kind::Challenge as u8);
        if let Some(challenge) = challenge {
            let cookie: [u8; 6] = challenge.bytes[6..12].try_into().unwrap();
            let echo = lamp.evil.keepalive(Some(&cookie));
            booth.tell(SocketId::MAIN, lamp.at, &echo);
        }
        let told = measured(&mut booth);
        told.last().map(|nat| [nat.lifetime.at_least(), nat.lifetime.at_most()])
    };
    // The first keepalive comes after Detects, of which any may have kept the mapping alive.
    keep(1, 4_600, 0);
    assert_eq!(keep(25, 4_600, 0), Some([20, 0]));
    assert_eq!(keep(22, 4_600, 0), None, "nothing new");
    assert_eq!(keep(70, 4_600, 1), None, "one in between was lost");
    assert_eq!(keep(70, 4_600, 0), Some([60, 0]));
    assert_eq!(keep(80, 9_000, 0), Some([60, 120]));
    assert_eq!(keep(40, 9_100, 0), Some([0, 60]), "contradicts");
}

/// An acceptor says what it has leased after its keepalives have come from there (LSE-1).
#[test]
fn a_port_that_changes_for_a_lease_tells_nothing_of_a_lifetime() {
    let mut booth = Booth::new(true);
    let ip = sa(HOME).ip();
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, LARGE);
    let mut drawn = 4_600;
    let mut look = |booth: &mut Booth, lamp: &mut Guest, status| {
        booth.measure(lamp, true, status, |probe| {
            drawn += 1_000 + drawn % 77;
            (SocketAddr::new(ip, drawn), 40_000 + u16::from(probe.socket))
        });
        measured(booth).last().unwrap().lifetime
    };
    look(&mut booth, &mut lamp, 0);
    let keep = |booth: &mut Booth, lamp: &mut Guest, port: u16| {
        booth.desk.now = booth.desk.now.after(Duration::from_secs(25));
        lamp.at.set_port(port);
        let keepalive = lamp.evil.keepalive(None);
        let (_, sent) = booth.tell(SocketId::MAIN, lamp.at, &keepalive);
        let challenge = sent.iter().find(|sent| sent.bytes[0] == Kind::Challenge as u8).unwrap();
        let cookie: [u8; 6] = challenge.bytes[6..12].try_into().unwrap();
        let echo = lamp.evil.keepalive(Some(&cookie));
        booth.tell(SocketId::MAIN, lamp.at, &echo);
        measured(booth).last().map(|nat| nat.lifetime.at_most())
    };
    assert_eq!(keep(&mut booth, &mut lamp, 50_000), Some(30));
    booth.say(&mut lamp, &ToServer::Leased(50_000));
    let sent = booth.register(&mut lamp, 4_600, LARGE);
    booth.say(&mut lamp, &ToServer::Reached(carried(&sent)));
    assert_eq!(look(&mut booth, &mut lamp, 6).at_most(), 0);
    // The box has lost it.
    assert_eq!(keep(&mut booth, &mut lamp, 9_000), None);
}
