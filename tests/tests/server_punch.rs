//! A server that lets two ends meet through their NATs: bursts, reports, ranges, and who is told what.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use genkan_core::inspect::Inspect;
use genkan_core::nat::{Differential, PortRange, Probe};
use genkan_core::punch::{
    Ability, Bracket, Burst, Detector, End, Hopeless, Limits, Method, ROUNDS,
};
use genkan_core::wire::message::{
    Heard, NotifyReply, Punch, Range, Reason, Register, Role, ToEquipment, ToServer, Verdict,
};
use genkan_core::{Discard, Machine, Received, ServerEvent, SocketId, StreamId};
use genkan_sim::Rng;
use genkan_tests::booth::{Booth, Detect, EARLY, Guest, Sent};
use genkan_tests::device::frames;
use genkan_tests::evil::{Evil, plain_offer, sa, siphash};

const HOME: &str = "198.51.100.2:4600";
const PHONE: &str = "192.0.2.7:5600";
const LARGE: Option<Ability> = Some(Ability::LARGE);
const UNEXPECTED: Received<'static> = Received::Discarded(Discard::Unexpected);
/// The issuer's number for its request.
const NUMBER: u32 = 77;

/// What a NAT gives to the packets of a measurement.
#[derive(Clone, Copy)]
enum Maps {
    /// One port for each socket.
    Kept,
    /// A counter that goes on with each packet.
    Counted(u16),
    /// Ports that are nowhere near each other.
    Drawn,
}

fn measure(booth: &mut Booth, guest: &mut Guest, kind: Maps) -> Vec<Sent> {
    let ip = guest.at.ip();
    let mut rng = Rng::new(9);
    let mut next = guest.at.port();
    booth.measure(guest, false, 0, |probe: Probe| {
        let local = 30_000 + 40 * u16::from(probe.socket);
        let port = match kind {
            Maps::Kept if probe.socket == 0 => next,
            Maps::Kept => local,
            Maps::Counted(step) => {
                next = next.wrapping_add(step);
                next
            }
            Maps::Drawn => 1_024 + u16::try_from(rng.below(60_000)).unwrap(),
        };
        (SocketAddr::new(ip, port), local)
    })
}

/// An acceptor on the list, its NAT measured.
fn lamp(booth: &mut Booth, kind: Maps, ability: Ability) -> Guest {
    let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
    booth.register(&mut lamp, 4_600, Some(ability));
    measure(booth, &mut lamp, kind);
    lamp
}

/// An issuer that has said what it can do, its NAT measured.
fn phone(booth: &mut Booth, kind: Maps, ability: Ability) -> Guest {
    let mut phone = booth.greet(3, Role::Issuer, sa(PHONE));
    booth.say(&mut phone, &ToServer::Can(ability.to_bits()));
    measure(booth, &mut phone, kind);
    phone
}

fn punches(guest: &Guest, sent: &[Sent]) -> Vec<Punch> {
    let told = guest.read(sent).into_iter().filter_map(|message| match message {
        ToEquipment::Punch(punch) => Some(punch),
        _ => None,
    });
    told.collect()
}

/// The server's number for the request in its notification.
fn notified(guest: &Guest, sent: &[Sent]) -> u32 {
    let told = guest.read(sent).into_iter().find_map(|message| match message {
        ToEquipment::Notify(notify) => Some(notify.request),
        _ => None,
    });
    told.unwrap()
}

fn accept(booth: &mut Booth, guest: &mut Guest, request: u32) -> Vec<Sent> {
    booth.say(guest, &ToServer::Reply(NotifyReply { request, verdict: Verdict::Accepted }))
}

fn plans(booth: &mut Booth) -> Vec<Result<Method, Hopeless>> {
    let planned = booth.events().into_iter().filter_map(|event| match event {
        ServerEvent::Planned { plan, .. } => Some(plan.map(|plan| plan.method)),
        _ => None,
    });
    planned.collect()
}

fn state(booth: &Booth) -> Vec<u64> {
    let mut all = Vec::new();
    booth.desk.server.inspect(&mut |number| all.push(number));
    all
}

fn ports(burst: &Burst) -> Vec<u16> {
    burst.ports.ports().take(burst.count.into()).collect()
}

/// A detection packet of a burst from this port of the guest's host.
fn detect(
    booth: &mut Booth,
    guest: &mut Guest,
    (request, round, which): (u32, u8, u8),
    port: u16,
    status: u8,
) -> (Received<'static>, Vec<Sent>) {
    let bytes = guest.detect(Detect { status, request, round, which, socket: 1, local: 33_000 });
    let from = SocketAddr::new(guest.at.ip(), port);
    booth.tell(SocketId::MAIN, from, &bytes)
}

#[test]
fn a_paired_issuer_and_its_acceptor_get_their_bursts_with_the_notification() {
    let mut booth = Booth::new(false);
    let lamp = lamp(&mut booth, Maps::Kept, Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    let number = notified(&lamp, &sent);
    let burst = |port| Burst::to_port(0, port);
    let expected = Punch { request: NUMBER, peer: lamp.at, burst: burst(4_600) };
    assert_eq!(punches(&phone, &sent), [expected]);
    let expected = Punch { request: number, peer: phone.at, burst: burst(5_600) };
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
    assert_eq!(punches(&lamp, &sent)[0].peer, phone.at);
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
    assert_eq!(punches(&phone, &sent), []);
    let (received, sent) = detect(&mut booth, &mut lamp, (number, 0, 1), 41_000, 0);
    assert_eq!((received, sent), (Received::Control, vec![]));
    let (received, sent) = detect(&mut booth, &mut lamp, (number, 0, 2), 41_004, 1);
    assert_eq!(received, Received::Control);
    // The one asked for a report, the other did not.
    let [ToEquipment::Seen(seen)] = &lamp.read(&sent)[..] else { panic!("{sent:?}") };
    let from = SocketAddr::new(lamp.at.ip(), 41_004);
    assert_eq!((seen.request, seen.round, &seen.packets[..]), (number, 0, &[(2, from)][..]));
    let [aim] = punches(&phone, &sent)[..] else { panic!("{sent:?}") };
    assert_eq!((aim.request, aim.peer, ports(&aim.burst)), (NUMBER, lamp.at, vec![41_002]));
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
        assert!(punches(&phone, &sent).iter().all(|punch| punch.peer == lamp.at));
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

#[test]
fn who_cannot_punch_gets_no_bursts() {
    for (one, other) in [(None, LARGE), (LARGE, None), (None, None)] {
        let mut booth = Booth::new(false);
        let mut lamp = booth.greet(2, Role::Acceptor, sa(HOME));
        booth.register(&mut lamp, 4_600, one);
        let mut phone = booth.greet(3, Role::Issuer, sa(PHONE));
        if let Some(ability) = other {
            booth.say(&mut phone, &ToServer::Can(ability.to_bits()));
        }
        let mut sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
        let number = notified(&lamp, &sent);
        sent.extend(accept(&mut booth, &mut lamp, number));
        sent.extend(booth.pass(Duration::from_secs(5)));
        assert_eq!((punches(&lamp, &sent), punches(&phone, &sent)), (vec![], vec![]));
        assert_eq!(plans(&mut booth), []);
    }
}

/// A session over TCP: what `evil` says in it, and what comes back.
fn stream(booth: &mut Booth, evil: &mut Evil, role: Role, from: &str) -> StreamId {
    let now = booth.desk.now;
    let stream = booth.desk.server.handle_accept(now, SocketId::LISTENER, sa(from)).unwrap();
    let hello = evil.hello(role);
    let sent = write(booth, stream, &hello);
    evil.finish(&sent[0][2..]);
    stream
}

fn write(booth: &mut Booth, stream: StreamId, message: &[u8]) -> Vec<Vec<u8>> {
    let mut frame = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(message);
    let now = booth.desk.now;
    let input = booth.desk.server.handle_stream(now, stream, &mut frame);
    assert_eq!(input.received, Received::Control);
    frames(&mut booth.desk.server, now, stream)
}

#[test]
fn a_registration_or_a_request_over_tcp_gets_no_bursts() {
    let mut booth = Booth::new(false);
    let mut lamp = Evil::new(2, booth.desk.key.public());
    let line = stream(&mut booth, &mut lamp, Role::Acceptor, HOME);
    let capabilities = 7 | Ability::LARGE.to_bits();
    let (id, local, early_key) = (lamp.id(), sa("10.0.0.2:4600"), Some(EARLY));
    let register = Register { id, local, capabilities, early_key };
    let register = lamp.transport(&ToServer::Register(register));
    assert_eq!(write(&mut booth, line, &register).len(), 1, "the answer alone");
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, 1, id, true);
    assert!(matches!(phone.read(&sent)[..], [ToEquipment::Plan(_)]), "{sent:?}");

    let oven = {
        let mut oven = booth.greet(8, Role::Acceptor, sa("203.0.113.8:8"));
        booth.register(&mut oven, 8, LARGE);
        oven
    };
    let mut tablet = Evil::new(4, booth.desk.key.public());
    let line = stream(&mut booth, &mut tablet, Role::Issuer, PHONE);
    let offer = tablet.offer(&oven.evil.id(), &plain_offer(None), 1);
    let mut request = Evil::request(5, oven.evil.id(), sa(PHONE), &offer);
    request.early_tag = Some(siphash(&EARLY, &[&5_u32.to_be_bytes(), &offer]));
    let connect = tablet.transport(&ToServer::Connect(request));
    assert_eq!(write(&mut booth, line, &connect).len(), 1, "the plan alone");
    let sent = booth.drain();
    assert!(matches!(oven.read(&sent)[..], [ToEquipment::Notify(_)]), "{sent:?}");
    assert_eq!(plans(&mut booth), []);
}

/// Threats T14 and T15: nobody speaks for another's request, and no address but the end's own counts.
#[test]
fn nobody_touches_another_equipments_request() {
    let mut booth = Booth::new(false);
    let mut lamp = lamp(&mut booth, Maps::Counted(2), Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    let number = notified(&lamp, &sent);
    let mut thief = booth.greet(9, Role::Issuer, sa("203.0.113.9:9"));
    booth.say(&mut thief, &ToServer::Can(Ability::LARGE.to_bits()));
    let mut oven = booth.greet(8, Role::Acceptor, sa("203.0.113.8:8"));
    booth.register(&mut oven, 8, LARGE);
    let range = PortRange::detect(1, 9, None, 1);
    // The acceptor's number in the issuer's mouth is wrong, too, and the other way round.
    for request in [NUMBER, number, 0, u32::MAX] {
        let mut guests = [&mut thief, &mut oven];
        for guest in &mut guests {
            let said = [
                guest.evil.transport(&ToServer::Heard(Heard { request })),
                guest.evil.transport(&ToServer::Range(Range { request, round: 0, range })),
            ];
            for bytes in said {
                let (received, sent) = booth.tell(SocketId::MAIN, guest.at, &bytes);
                assert_eq!((received, sent), (UNEXPECTED, vec![]));
            }
            if request != 0 {
                let (received, sent) = detect(&mut booth, guest, (request, 0, 1), 41_000, 1);
                assert_eq!((received, sent), (UNEXPECTED, vec![]));
            }
        }
    }
    for (guest, request) in [(&mut lamp, NUMBER), (&mut phone, number)] {
        let (received, sent) = detect(&mut booth, guest, (request, 0, 1), 41_000, 1);
        assert_eq!((received, sent), (UNEXPECTED, vec![]));
    }
    // From another host: not even the counter is used up.
    let fields = Detect { status: 1, request: number, round: 0, which: 1, socket: 1, local: 1 };
    let bytes = lamp.detect(fields);
    let before = state(&booth);
    let (received, sent) = booth.tell(SocketId::MAIN, sa("203.0.113.66:80"), &bytes);
    assert_eq!((received, sent), (Received::Discarded(Discard::ForbiddenAddress), vec![]));
    assert_eq!(state(&booth), before);
    let (received, _) = booth.tell(SocketId::MAIN, SocketAddr::new(lamp.at.ip(), 41_000), &bytes);
    assert_eq!(received, Received::Control);
    // Once.
    let (received, sent) = booth.tell(SocketId::MAIN, lamp.at, &bytes);
    assert_eq!((received, sent), (Received::Discarded(Discard::Replayed), vec![]));
}

/// 10,000 contradictory detection packets: each costs no more than the report that it asks for, and
/// the peer is aimed at once in a try, at ports that were seen.
#[test]
fn ten_thousand_detects_aim_once() {
    let mut booth = Booth::new(false);
    let mut lamp = lamp(&mut booth, Maps::Counted(2), Ability::LARGE);
    let mut phone = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    let request = notified(&lamp, &sent);
    let mut rng = Rng::new(5);
    let (mut aims, mut reports) = (Vec::new(), 0);
    for n in 0..10_000 {
        let which = u8::try_from(rng.below(3)).unwrap();
        let port = u16::try_from(41_000 + rng.below(1_000)).unwrap();
        let (_, sent) = detect(&mut booth, &mut lamp, (request, 0, which), port, 1);
        assert!(sent.len() <= 2, "packet {n}");
        reports += lamp.read(&sent).len();
        aims.extend(punches(&phone, &sent));
    }
    assert_eq!((aims.len(), reports), (1, 10_000));
    assert!(ports(&aims[0].burst).iter().all(|port| (41_000..42_000).contains(port)));
    let sent = booth.pass(Duration::from_secs(30));
    assert!(punches(&phone, &sent).len() <= 4);
    assert!(booth.desk.server.poll_timeout().is_none_or(|next| next.at > booth.desk.now));
}

/// Many requests whose timers fall together: each end gets every burst that it is due, a few at a
/// time, and the queue never overflows.
#[test]
fn many_attempts_at_once_do_not_flood_the_queue() {
    let mut booth = Booth::new(false);
    let mut phones = Vec::new();
    let mut first = Vec::new();
    for n in 0..30_u8 {
        let home = SocketAddr::from(([198, 51, 100, n], 4_600));
        let mut lamp = booth.greet(100 + n, Role::Acceptor, home);
        booth.register(&mut lamp, 4_600, LARGE);
        let mut phone = booth.greet(n + 2, Role::Issuer, SocketAddr::from(([192, 0, 2, n], 5_600)));
        booth.say(&mut phone, &ToServer::Can(Ability::LARGE.to_bits()));
        first.extend(booth.ask(&mut phone, NUMBER, lamp.evil.id(), true));
        phones.push((phone, lamp));
    }
    let mut sent = booth.pass(Duration::from_millis(1_500));
    sent.extend(first);
    for (phone, lamp) in &phones {
        for guest in [phone, lamp] {
            assert_eq!(punches(guest, &sent).len(), 3, "{:?}", guest.at);
        }
    }
    let full = booth.desk.server.counters().discarded(Discard::TableFull);
    assert_eq!(full, 0);
}

#[test]
fn small_and_large_devices_get_what_they_can_do() {
    let mut booth = Booth::new(false);
    let lamp = lamp(&mut booth, Maps::Counted(2), Ability::SMALL);
    let mut phone = phone(&mut booth, Maps::Counted(4), Ability::LARGE);
    let sent = booth.ask(&mut phone, NUMBER, lamp.evil.id(), true);
    let planned = booth.events().into_iter().find_map(|event| match event {
        ServerEvent::Planned { plan, .. } => Some(plan.unwrap()),
        _ => None,
    });
    let plan = planned.unwrap();
    assert_eq!((plan.method, plan.bubbler), (Method::Ramp, End::Issuer));
    assert!(plan.bubbles > Limits::SMALL.sockets, "the phone has more sockets");
    assert_eq!((punches(&lamp, &sent).len(), punches(&phone, &sent).len()), (1, 1));
}
