//! Who gets nothing, and what a crowd of equipment can do.

use super::*;

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
    let register = Register { id, local: local.into(), capabilities, early_key };
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

/// Each such word is looked for among all requests: who says too many is not listened to.
#[test]
fn an_issuer_s_words_about_requests_are_limited() {
    for kind in 0..4 {
        let mut booth = Booth::new(false);
        let mut phone = booth.greet(3, Role::Issuer, sa(PHONE));
        let range = PortRange::detect(1, 9, None, 1);
        let mut flood = |booth: &mut Booth| {
            let taken = (0..200).filter(|_| {
                let (request, round) = (NUMBER, 0);
                let word = match kind {
                    0 => ToServer::Heard(Heard { request }),
                    1 => ToServer::Range(Range { request, round, range }),
                    2 => ToServer::Can(Ability::LARGE.to_bits()),
                    _ => {
                        let (received, _) = detect(booth, &mut phone, (request, 0, 1), 41_000, 1);
                        return received != Received::Discarded(Discard::RateLimited);
                    }
                };
                let bytes = phone.evil.transport(&word);
                let (received, _) = booth.tell(SocketId::MAIN, phone.at, &bytes);
                received != Received::Discarded(Discard::RateLimited)
            });
            taken.count()
        };
        assert_eq!(flood(&mut booth), 64, "{kind}");
        booth.pass(Duration::from_secs(1));
        assert_eq!(flood(&mut booth), 50, "{kind}");
    }
}

/// A caller that sends nothing for long: the burst of a request that is gone waits in the queue, and
/// its slot has the next request.
#[test]
fn a_burst_of_a_request_that_is_gone_takes_nothing_from_the_next() {
    let mut booth = Booth::new(false);
    let lamp = lamp(&mut booth, Maps::Kept, Ability::LARGE);
    let mut one = phone(&mut booth, Maps::Kept, Ability::LARGE);
    let mut other = booth.greet(4, Role::Issuer, sa("192.0.2.8:5600"));
    booth.say(&mut other, &ToServer::Can(Ability::LARGE.to_bits()));
    measure(&mut booth, &mut other, Maps::Kept);
    for guest in [&mut one, &mut other] {
        let offer = guest.evil.offer(&lamp.evil.id(), &plain_offer(None), 1);
        let mut request = Evil::request(NUMBER, lamp.evil.id(), guest.at, &offer);
        request.early_tag = Some(siphash(&EARLY, &[&NUMBER.to_be_bytes(), &offer]));
        let mut bytes = guest.evil.transport(&ToServer::Connect(request));
        let (now, at) = (booth.desk.now, guest.at);
        let received = booth.desk.server.handle_datagram(now, SocketId::MAIN, at, &mut bytes);
        assert_eq!(received, Received::Control);
        if at == sa(PHONE) {
            // Refused after 3 s, forgotten 10 s later.
            for _ in 0..20 {
                booth.desk.now = booth.desk.now.after(Duration::from_secs(1));
                booth.desk.server.handle_timeout(booth.desk.now);
            }
        }
    }
    let sent = booth.drain();
    assert_eq!((punches(&one, &sent).len(), punches(&other, &sent).len()), (0, 1));
    assert_eq!(punches(&lamp, &sent).len(), 1);
    assert_eq!(one.read(&sent), []);
}
