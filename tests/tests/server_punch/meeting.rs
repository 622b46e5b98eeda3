//! What the two ends of a request are told, and when.

use super::*;

#[test]
fn a_paired_issuer_and_its_acceptor_get_their_bursts_with_the_notification() {
    let mut booth = Booth::new(false);
    let lamp = lamp(&mut booth, Maps::Kept, Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    let number = notified(&lamp, &sent);
    let burst = |port| Burst::to_port(0, port);
    let expected = Punch { request: NUMBER, peer: lamp.at.into(), burst: burst(4_600) };
    assert_eq!(punches(&phone, &sent), [expected]);
    let expected = Punch { request: number, peer: phone.at.into(), burst: burst(5_600) };
    assert_eq!(punches(&lamp, &sent), [expected]);
    assert!(sent.iter().all(|sent| sent.socket == SocketId::MAIN));
    assert_eq!(plans(&mut booth), [Ok(Method::Direct)]);
}

#[test]
fn a_stranger_is_told_nothing_before_the_acceptor_has_accepted() {
    let mut booth = Booth::new(false);
    let mut lamp = lamp(&mut booth, Maps::Counted(2), Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), false);
    let number = notified(&lamp, &sent);
    // Whatever it says meanwhile.
    let mut all = booth.say(&mut phone, &ToServer::Can(Ability::LARGE.to_bits()));
    all.extend(booth.ask(&mut phone, NUMBER, lamp.evil.id(), false));
    for bad in [
        phone.evil.transport(&ToServer::Heard(Heard { request: NUMBER })),
        phone.evil.transport(&ToServer::Range(Range {
            request: NUMBER,
            round: 0,
            range: PortRange::detect(1, 65_535, None, 1),
        })),
    ] {
        let (received, sent) = booth.tell(SocketId::MAIN, phone.at, &bad);
        assert_eq!((received, sent), (UNEXPECTED, vec![]));
    }
    let (received, sent) = detect(&mut booth, &mut phone, (NUMBER, 0, 1), 5_600, 1);
    assert_eq!((received, sent), (UNEXPECTED, vec![]));
    all.extend(booth.pass(Duration::from_millis(2_900)));
    let told: Vec<_> = phone.read(&all);
    assert!(told.iter().all(|message| matches!(message, ToEquipment::Measure(_))), "{told:?}");
    assert_eq!(punches(&lamp, &all), []);
    assert_eq!(plans(&mut booth), []);
    let sent = accept(&mut booth, &mut lamp, number);
    assert_eq!(plans(&mut booth), [Ok(Method::Bracket)]);
    assert!(matches!(phone.read(&sent)[..], [ToEquipment::Plan(plan)] if plan.accepted));
    assert_eq!(punches(&lamp, &sent)[0].peer, phone.at.into());
}

#[test]
fn a_declined_request_meets_nowhere_and_a_hopeless_one_is_told_to_whoever_may_know() {
    let mut booth = Booth::new(false);
    let mut lamp = lamp(&mut booth, Maps::Drawn, Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Drawn, Ability::LARGE);
    // A stranger, declined: nothing but the refusal, in its time.
    let sent = booth.ask(&mut phone, 1, lamp.evil.id(), false);
    assert!(sent.iter().all(|sent| sent.to == lamp.at));
    let verdict = Verdict::Declined(Reason::NotAllowed);
    let request = notified(&lamp, &sent);
    let sent = booth.say(&mut lamp, &ToServer::Reply(NotifyReply { request, verdict }));
    assert_eq!(sent, []);
    let sent = booth.pass(Duration::from_secs(20));
    assert!(matches!(phone.read(&sent)[..], [ToEquipment::Refused(_)]), "{sent:?}");
    assert_eq!(plans(&mut booth), []);
    // Accepted: it is told at once.
    let sent = booth.ask(&mut phone, 2, lamp.evil.id(), false);
    let request = notified(&lamp, &sent);
    let sent = accept(&mut booth, &mut lamp, request);
    let [ToEquipment::Plan(_), ToEquipment::Hopeless(told)] = phone.read(&sent)[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((told.request, told.why), (2, Hopeless::BothUnpredictable));
    assert_eq!(punches(&lamp, &sent), []);
    assert_eq!(plans(&mut booth), [Err(Hopeless::BothUnpredictable)]);
}

#[test]
fn a_paired_request_that_is_declined_gets_no_further_bursts() {
    let mut booth = Booth::new(false);
    let mut lamp = lamp(&mut booth, Maps::Kept, Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    let (request, verdict) = (notified(&lamp, &sent), Verdict::Declined(Reason::Busy));
    booth.say(&mut lamp, &ToServer::Reply(NotifyReply { request, verdict }));
    let sent = booth.pass(Duration::from_secs(20));
    assert_eq!((punches(&lamp, &sent), punches(&phone, &sent)), (vec![], vec![]));
}

#[test]
fn the_bubble_of_a_counter_is_bracketed_and_its_sightings_are_reported() {
    let mut booth = Booth::new(false);
    let mut lamp = lamp(&mut booth, Maps::Counted(2), Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    let number = notified(&lamp, &sent);
    let [look] = punches(&lamp, &sent)[..] else { panic!("{sent:?}") };
    assert_eq!((look.burst.sockets, look.burst.bracket), (1, Bracket::SameSocket));
    // The counter was seen a moment ago: the next port but one, and a few after it.
    let [early] = punches(&phone, &sent)[..] else { panic!("{sent:?}") };
    assert_eq!((early.peer, early.burst.count), (lamp.at.into(), 3));
    let (received, sent) = detect(&mut booth, &mut lamp, (number, 0, 1), 41_000, 0);
    assert_eq!((received, sent), (Received::Control, vec![]));
    let (received, sent) = detect(&mut booth, &mut lamp, (number, 0, 2), 41_004, 1);
    assert_eq!(received, Received::Control);
    // The one asked for a report, the other did not.
    let [ToEquipment::Seen(seen)] = &lamp.read(&sent)[..] else { panic!("{sent:?}") };
    let from = SocketAddr::new(lamp.at.ip(), 41_004);
    assert_eq!((seen.request, seen.round, &seen.packets[..]), (number, 0, &[(2, from.into())][..]));
    let [aim] = punches(&phone, &sent)[..] else { panic!("{sent:?}") };
    assert_eq!((aim.request, aim.peer, ports(&aim.burst)), (NUMBER, lamp.at.into(), vec![41_002]));
}

/// Punch claims 51 and 57, threat T15.
#[test]
fn an_equipment_that_detects_is_waited_for_and_its_range_is_clamped() {
    for (before, after, expected) in [
        (41_002, 41_006, vec![41_004]),
        (1, 65_535, vec![41_004, 41_002, 41_006]),
        (65_535, 1, vec![41_004, 41_006, 41_002]),
    ] {
        let mut booth = Booth::new(false);
        let ability = Ability { detector: Detector::Equipment, ..Ability::LARGE };
        let mut lamp = lamp(&mut booth, Maps::Counted(2), ability);
        let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
        let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
        let request = notified(&lamp, &sent);
        for (which, port) in [(1, 41_000), (2, 41_008)] {
            let (_, sent) = detect(&mut booth, &mut lamp, (request, 0, which), port, 1);
            assert_eq!(lamp.read(&sent).len(), 1);
            assert_eq!(punches(&phone, &sent), []);
        }
        let range = PortRange::detect(before, after, Differential::new(2), 1);
        let sent = booth.say(&mut lamp, &ToServer::Range(Range { request, round: 0, range }));
        let [aim] = punches(&phone, &sent)[..] else { panic!("{sent:?}") };
        let mut aimed = ports(&aim.burst);
        assert!(aimed.iter().all(|port| (41_000..=41_008).contains(port)), "{aimed:?}");
        aimed.truncate(expected.len());
        assert_eq!(aimed.first(), expected.first(), "{before}..{after}");
    }
}

#[test]
fn an_equipment_that_detects_and_says_nothing_is_not_waited_for_for_ever() {
    let mut booth = Booth::new(false);
    let ability = Ability { detector: Detector::Equipment, ..Ability::LARGE };
    let mut lamp = lamp(&mut booth, Maps::Counted(2), ability);
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    let request = notified(&lamp, &sent);
    for (which, port) in [(1, 41_000), (2, 41_004)] {
        detect(&mut booth, &mut lamp, (request, 0, which), port, 1);
    }
    let sent = booth.pass(Duration::from_millis(200));
    assert_eq!(ports(&punches(&phone, &sent)[0].burst), [41_002]);
}

/// All tries of one request, from its first burst to its end: bursts come in time and then no more.
#[test]
fn tries_follow_each_other_until_both_have_heard_or_all_are_done() {
    for heard in [0, 1, 2] {
        let mut booth = Booth::new(false);
        let mut lamp = lamp(&mut booth, Maps::Kept, Ability::LARGE);
        let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
        let mut sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
        let request = notified(&lamp, &sent);
        sent.extend(accept(&mut booth, &mut lamp, request));
        if heard > 0 {
            booth.say(&mut lamp, &ToServer::Heard(Heard { request }));
        }
        if heard > 1 {
            booth.say(&mut phone, &ToServer::Heard(Heard { request: NUMBER }));
        }
        sent.extend(booth.pass(Duration::from_secs(30)));
        // After the first, one end's port is looked for, and only that end has something to do.
        let bursts = [punches(&phone, &sent), punches(&lamp, &sent)].concat();
        let rounds: BTreeSet<_> = bursts.iter().map(|one| one.burst.round).collect();
        let expected: BTreeSet<_> = (0..if heard == 2 { 1 } else { ROUNDS }).collect();
        assert_eq!(rounds, expected, "{heard} have heard");
        assert_eq!(booth.desk.server.pending().requests, 0);
    }
}

/// Nothing is known of the issuer's NAT when it asks: its port is taken for known, until the
/// measurement says that it counts.
#[test]
fn what_is_learned_later_begins_anew_where_it_changes_the_plan() {
    for (kind, methods) in [
        (Maps::Kept, vec![Ok(Method::Direct)]),
        (Maps::Counted(2), vec![Ok(Method::Direct), Ok(Method::Bracket)]),
    ] {
        let mut booth = Booth::new(false);
        let lamp = lamp(&mut booth, Maps::Kept, Ability::LARGE);
        let mut phone = booth.greet(3, Role::Issuer, sa(PHONE));
        booth.say(&mut phone, &ToServer::Can(Ability::LARGE.to_bits()));
        let mut sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
        sent.extend(measure(&mut booth, &mut phone, kind));
        let rounds: Vec<_> = punches(&phone, &sent).iter().map(|one| one.burst.round).collect();
        assert_eq!(plans(&mut booth), methods);
        assert_eq!(rounds, (0..).take(methods.len()).collect::<Vec<u8>>());
        assert!(punches(&phone, &sent).iter().all(|punch| punch.peer == lamp.at.into()));
    }
}

/// An issuer's first word after its request came with the first message.
#[test]
fn a_request_that_stands_meets_when_its_issuer_says_what_it_can() {
    let mut booth = Booth::new(false);
    let lamp = lamp(&mut booth, Maps::Kept, Ability::LARGE);
    let mut phone = booth.greet(3, Role::Issuer, sa(PHONE));
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    assert_eq!(punches(&lamp, &sent), []);
    let sent = booth.say(&mut phone, &ToServer::Can(Ability::LARGE.to_bits()));
    assert_eq!((punches(&lamp, &sent).len(), punches(&phone, &sent).len()), (1, 1));
}

/// A lamp with few sockets whose NAT draws ports, and an issuer of which nothing is known yet.
fn cold(booth: &mut Booth) -> (Guest, Guest, Vec<Sent>) {
    let lamp = lamp(booth, Maps::Drawn, Ability::SMALL);
    let mut phone = booth.greet(3, Role::Issuer, sa(PHONE));
    booth.say(&mut phone, &ToServer::Can(Ability::LARGE.to_bits()));
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    (lamp, phone, sent)
}

fn hopeless(guest: &Guest, sent: &[Sent]) -> usize {
    let told = guest.read(sent);
    told.iter().filter(|told| matches!(told, ToEquipment::Hopeless(_))).count()
}

#[test]
fn nothing_is_hopeless_while_a_nat_is_being_measured() {
    let mut booth = Booth::new(false);
    let (lamp, mut phone, sent) = cold(&mut booth);
    assert_eq!(hopeless(&phone, &sent), 0);
    assert_eq!(plans(&mut booth), []);
    // As a public host shows itself: its own ports, and the probe has come in.
    let ip = phone.at.ip();
    let sent = booth.measure(&mut phone, false, 2, |probe| {
        let port = 5_600 + 40 * u16::from(probe.socket);
        (SocketAddr::new(ip, port), port)
    });
    assert_eq!(plans(&mut booth), [Ok(Method::Direct)]);
    // Whatever the lamp's port is, its packet gets in.
    assert_eq!((punches(&lamp, &sent).len(), hopeless(&phone, &sent)), (1, 0));
}

#[test]
fn a_measurement_that_comes_to_nothing_is_waited_for_no_longer() {
    let mut booth = Booth::new(false);
    let (mut lamp, phone, sent) = cold(&mut booth);
    let request = notified(&lamp, &sent);
    accept(&mut booth, &mut lamp, request);
    let sent = booth.pass(Duration::from_secs(3));
    assert_eq!(hopeless(&phone, &sent), 0);
    let sent = booth.pass(Duration::from_secs(1));
    assert_eq!(hopeless(&phone, &sent), 1);
    assert_eq!(plans(&mut booth), [Err(Hopeless::Sockets)]);
}

/// The NAT is measured anew after the word was said: a request that stands begins after all.
#[test]
fn what_was_hopeless_begins_when_more_is_known() {
    let mut booth = Booth::new(false);
    let mut lamp = lamp(&mut booth, Maps::Drawn, Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Drawn, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    assert_eq!(hopeless(&phone, &sent), 1);
    // The router behind which the lamp stands has begun anew, with other rules.
    lamp = booth.greet(2, Role::Acceptor, sa("198.51.100.9:4600"));
    booth.register(&mut lamp, 4_600, LARGE);
    let sent = measure(&mut booth, &mut lamp, Maps::Kept);
    assert_eq!(plans(&mut booth), [Err(Hopeless::BothUnpredictable), Ok(Method::Birthday)]);
    assert!(!punches(&lamp, &sent).is_empty() || !punches(&phone, &sent).is_empty());
}

/// Datagrams get lost: that there is no way is said with each plan, and to whoever asks again.
#[test]
fn that_there_is_no_way_is_said_again() {
    let mut booth = Booth::new(false);
    let mut lamp = lamp(&mut booth, Maps::Drawn, Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Drawn, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    assert_eq!(hopeless(&phone, &sent), 1);
    let request = notified(&lamp, &sent);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    assert_eq!(hopeless(&phone, &sent), 1, "asked again");
    let sent = accept(&mut booth, &mut lamp, request);
    assert!(matches!(phone.read(&sent)[..], [ToEquipment::Plan(_), ToEquipment::Hopeless(_)]));
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    assert!(matches!(phone.read(&sent)[..], [ToEquipment::Plan(_), ToEquipment::Hopeless(_)]));
    // Once to the operator.
    assert_eq!(plans(&mut booth), [Err(Hopeless::BothUnpredictable)]);
}
