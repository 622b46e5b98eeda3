//! Defects of the acceptor, and of the server's list, that were found once, each with the test that
//! keeps it away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject};
use genkan_core::wire::message::{
    ConnectNotify, Reason, Registered, Role, ToEquipment, ToServer, Verdict,
};
use genkan_core::wire::{Kind, OFFER_LEN};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, Command, Delivery, Discard, Identity,
    Machine, Received, ServerAddress, SocketId, StaticKey, StreamId, StreamState,
};
use genkan_sim::SimEntropy;
use genkan_tests::appliance::{Appliance, SERVER};
use genkan_tests::device::frames;
use genkan_tests::evil::{Desk, Evil, WALL, drain, plain_offer, sa};
use genkan_tests::scene::PASSWORD;

const HOME: &str = "198.51.100.2:40000";

const PHONE: &str = "192.0.2.50:50000";

/// An acceptor in front of a [`Desk`].
struct Lamp {
    machine: Acceptor<[AcceptorSlot; 1], SimEntropy>,
    at: SocketAddr,
    /// Its stream to the server, with the server's name for it.
    line: Option<(StreamId, StreamId)>,
    /// Whether datagrams get through.
    datagrams: bool,
    /// Whether the server's end of a stream is noticed.
    ends: bool,
    events: Vec<AcceptorEvent>,
}

impl Lamp {
    fn new(desk: &Desk, secret: u8, adjust: impl FnOnce(&mut AcceptorConfig)) -> Self {
        let identity = Identity { key: StaticKey::from_secret([secret; 32]), boots: 0 };
        let mut config =
            AcceptorConfig::new(identity, ServerAddress::both(sa(SERVER)), Desk::anchors());
        config.spread = Duration::ZERO;
        config.stream_fallback = false;
        adjust(&mut config);
        let entropy = SimEntropy::seeded(u64::from(secret));
        let machine = Acceptor::new(desk.now, config, [AcceptorSlot::EMPTY], entropy);
        let at = SocketAddr::new(sa(HOME).ip(), 40_000 + u16::from(secret));
        Self { machine, at, line: None, datagrams: true, ends: true, events: Vec::new() }
    }

    /// Everything that acceptor and server have for each other now, as far as `pass` lets it.
    fn exchange(&mut self, desk: &mut Desk, pass: &mut dyn FnMut(&[u8]) -> bool) {
        let now = desk.now;
        for _ in 0..10 {
            while let Some(command) = self.machine.poll_command() {
                self.obey(desk, command);
            }
            for (_, mut bytes) in drain(&mut self.machine, now) {
                if self.datagrams && pass(&bytes) {
                    desk.server.handle_datagram(now, SocketId::MAIN, self.at, &mut bytes);
                }
            }
            for (to, mut bytes) in desk.drain() {
                if to == self.at && self.datagrams && pass(&bytes) {
                    self.machine.handle_datagram(now, SocketId::MAIN, sa(SERVER), &mut bytes);
                }
            }
            let Some((ours, theirs)) = self.line else { continue };
            for mut bytes in frames(&mut self.machine, now, ours) {
                if pass(&bytes[2..]) {
                    desk.server.handle_stream(now, theirs, &mut bytes);
                }
            }
            for mut bytes in frames(&mut desk.server, now, theirs) {
                if pass(&bytes[2..]) {
                    self.machine.handle_stream(now, ours, &mut bytes);
                }
            }
        }
        self.events.extend(core::iter::from_fn(|| self.machine.poll_event()));
        while desk.server.poll_event().is_some() {}
        while let Some(command) = desk.server.poll_command() {
            if let Command::Shutdown { stream } = command
                && self.ends
                && let Some((ours, _)) = self.line.take_if(|line| line.1 == stream)
            {
                self.machine.handle_stream_state(now, ours, StreamState::Closed);
            }
        }
    }

    fn obey(&mut self, desk: &mut Desk, command: Command) {
        match command {
            Command::Connect { stream, .. } => {
                let theirs = desk.server.handle_accept(desk.now, SocketId::LISTENER, self.at);
                self.line = Some((stream, theirs.unwrap()));
                self.machine.handle_stream_state(desk.now, stream, StreamState::Connected);
            }
            Command::Shutdown { stream } => {
                if let Some((_, theirs)) = self.line.take_if(|line| line.0 == stream) {
                    desk.server.handle_stream_state(desk.now, theirs, StreamState::Closed);
                }
            }
            _ => {}
        }
    }

    /// Time passes for both, by what their `poll_timeout` says alone.
    fn run(&mut self, desk: &mut Desk, time: Duration, mut pass: impl FnMut(&[u8]) -> bool) {
        let end = desk.now.after(time);
        loop {
            if self.machine.poll_timeout().is_some_and(|wakeup| wakeup.at <= desk.now) {
                self.machine.handle_timeout(desk.now);
            }
            desk.server.handle_timeout(desk.now);
            self.exchange(desk, &mut pass);
            let due = [self.machine.poll_timeout(), desk.server.poll_timeout()];
            let next = due.into_iter().flatten().map(|wakeup| wakeup.at).min();
            let next = next.unwrap_or(end).max(desk.now.after(Duration::from_millis(1)));
            if next > end {
                break;
            }
            desk.now = next;
        }
        desk.now = end;
    }

    fn is_lost(&self) -> bool {
        self.events.contains(&AcceptorEvent::RegistrationLost)
    }

    fn registrations(&self) -> usize {
        let registered = |event: &&AcceptorEvent| matches!(event, AcceptorEvent::Registered { .. });
        self.events.iter().filter(registered).count()
    }
}

fn all(_: &[u8]) -> bool {
    true
}

fn is(bytes: &[u8], kinds: &[Kind]) -> bool {
    kinds.iter().any(|kind| bytes.first() == Some(&(*kind as u8)))
}

fn is_yes(said: &ToServer<'_>) -> bool {
    matches!(said, ToServer::Reply(reply) if reply.verdict == Verdict::Accepted)
}

#[test]
fn each_parked_request_is_acted_upon_however_full_the_queues_are() {
    let mut lamp = Appliance::default();
    let evil = Evil::new(3, &[1; 32]);
    // Two tries that wait for stable storage, and then as much to tell as the queue holds.
    let tries = [1, 2].map(|fresh| {
        (u32::from(fresh), evil.offer(&lamp.lamp.id(), &plain_offer(Some(PASSWORD)), fresh))
    });
    let noise = (100..105u8).map(|number| (u32::from(number), [number; OFFER_LEN]));
    for (request, offer) in tries.into_iter().chain(noise) {
        let notify =
            ConnectNotify { request, issuer: sa(PHONE).into(), paired: false, offer: &offer };
        lamp.tell(&ToEquipment::Notify(notify));
        lamp.said();
    }
    lamp.lamp.handle_persisted(lamp.now, lamp.lamp.failures());
    let limit = lamp.now.after(Duration::from_millis(100));
    let (mut told, mut dialled, mut replied) = (0, 0, 0);
    loop {
        replied += lamp.said().iter().filter(|said| is_yes(said)).count();
        while let Some(command) = lamp.lamp.poll_command() {
            dialled += usize::from(matches!(command, Command::Connect { .. }));
        }
        while let Some(event) = lamp.lamp.poll_event() {
            let AcceptorEvent::Requested { verdict, .. } = event else { continue };
            told += usize::from(verdict == Verdict::Accepted);
        }
        let due = lamp.lamp.poll_timeout().filter(|wakeup| wakeup.at <= limit);
        let Some(wakeup) = due else { break };
        lamp.now = wakeup.at;
        lamp.lamp.handle_timeout(lamp.now);
    }
    assert_eq!((told, dialled, replied), (2, 2, 2));
    assert_eq!(lamp.lamp.counters().lost_events(), 0);
}

#[test]
fn a_stream_whose_entry_was_given_away_keeps_nobody_elses_alive() {
    let mut desk = Desk::default();
    let certificate = desk.certificate.clone();
    // One key on two devices: the first registers over TCP, the second takes the entry with it to
    // UDP and leaves, and a third equipment gets the place in the list.
    let mut first = Lamp::new(&desk, 20, |config| config.stream_fallback = true);
    first.machine.restore_certificate(&certificate).unwrap();
    first.datagrams = false;
    first.run(&mut desk, Duration::from_secs(15), all);
    assert_eq!((first.registrations(), desk.server.registered()), (1, 1));
    let mut second = Lamp::new(&desk, 20, |_| ());
    second.at = sa("198.51.100.2:50000");
    second.run(&mut desk, Duration::from_secs(1), all);
    assert_eq!(second.registrations(), 1);
    second.machine.deregister(desk.now);
    second.run(&mut desk, Duration::from_millis(500), all);
    let mut third = Lamp::new(&desk, 30, |_| ());
    third.run(&mut desk, Duration::from_secs(1), all);
    let id = third.machine.id();
    assert_eq!(desk.server.location(&id), Some(third.at));
    // The third falls silent; the first goes on with its stream.
    first.run(&mut desk, Duration::from_secs(165), all);
    assert_eq!(desk.server.location(&id), None, "it was kept alive by another's keepalives");
    assert!(desk.server.counters().discarded(Discard::Unexpected) > 0);
    // The first one notices, and comes back by itself.
    first.run(&mut desk, Duration::from_secs(300), all);
    let back = (first.is_lost(), first.registrations(), desk.server.registered());
    assert_eq!(back, (true, 2, 1), "{:?}", first.events);
}

#[test]
fn a_server_address_in_mapped_form_is_the_same_server() {
    let mut desk = Desk::default();
    let mapped = sa("[::ffff:203.0.113.1]:4600");
    let mut lamp = Lamp::new(&desk, 2, |config| config.server = ServerAddress::both(mapped));
    lamp.run(&mut desk, Duration::from_secs(20), all);
    assert_eq!((lamp.registrations(), desk.server.registered()), (1, 1));
    assert_eq!(lamp.machine.counters().discarded(Discard::UnknownSession), 0);
}

/// Somebody asks for the lamp, which is woken.
fn wake(desk: &mut Desk, lamp: &Lamp, secret: u8) {
    let from = SocketAddr::new(sa(PHONE).ip(), 50_000 + u16::from(secret));
    let mut evil = Evil::new(secret, desk.key.public());
    desk.admit(&mut evil, Role::Issuer, from);
    let id = lamp.machine.id();
    let sealed = evil.offer(&id, &plain_offer(None), secret);
    let request = Evil::request(1, id, sa("0.0.0.0:5000"), &sealed);
    let mut bytes = evil.transport(&ToServer::Connect(request));
    desk.server.handle_datagram(desk.now, SocketId::MAIN, from, &mut bytes);
}

#[test]
fn a_server_that_falls_silent_in_a_fetch_is_left_within_ten_seconds() {
    let mut desk = Desk::new(|config| config.delivery = Delivery::Stream);
    let mut lamp = Lamp::new(&desk, 2, |config| config.admission.open = true);
    lamp.run(&mut desk, Duration::from_secs(5), all);
    assert_eq!(lamp.registrations(), 1);
    wake(&mut desk, &lamp, 40);
    // The session over TCP comes about; what follows is lost.
    lamp.ends = false;
    lamp.run(&mut desk, Duration::from_millis(100), |bytes| !is(bytes, &[Kind::Transport]));
    assert!(lamp.line.is_some());
    lamp.run(&mut desk, Duration::from_secs(10), |bytes| !is(bytes, &[Kind::Transport]));
    assert!(lamp.line.is_none(), "the stream still stands");
    lamp.ends = true;
    wake(&mut desk, &lamp, 41);
    lamp.events.clear();
    lamp.run(&mut desk, Duration::from_secs(2), all);
    let asked = |event: &AcceptorEvent| {
        matches!(event, AcceptorEvent::Requested { verdict: Verdict::Accepted, .. })
    };
    assert!(lamp.events.iter().any(asked), "{:?}", lamp.events);
}

#[test]
fn a_fresh_handshake_that_fails_costs_no_registration() {
    let mut desk = Desk::default();
    let mut lamp = Lamp::new(&desk, 2, |_| ());
    lamp.run(&mut desk, Duration::from_secs(3_600), all);
    assert_eq!(lamp.registrations(), 1);
    // For more than a day, no handshake gets through, but everything else does.
    let tried = core::cell::Cell::new(0);
    lamp.run(&mut desk, Duration::from_secs(28 * 3_600), |bytes| {
        let handshake = is(bytes, &[Kind::Initiation, Kind::CertificateRequest]);
        tried.set(tried.get() + usize::from(handshake));
        !handshake
    });
    assert!(tried.get() > 0, "a fresh handshake was due");
    assert!(!lamp.is_lost(), "{:?}", lamp.events);
    assert_eq!(desk.server.location(&lamp.machine.id()), Some(lamp.at));
    // When they get through again, the fresh session comes about, and nobody is told.
    let answered = core::cell::Cell::new(0);
    lamp.run(&mut desk, Duration::from_secs(600), |bytes| {
        answered.set(answered.get() + usize::from(is(bytes, &[Kind::Response])));
        true
    });
    assert_eq!((answered.get(), lamp.is_lost(), desk.server.registered()), (1, false, 1));
}

#[test]
fn a_hint_tells_of_the_lost_registration_and_the_way_back() {
    let mut desk = Desk::default();
    let mut lamp = Lamp::new(&desk, 2, |_| ());
    lamp.run(&mut desk, Duration::from_secs(60), all);
    assert_eq!((lamp.registrations(), lamp.is_lost()), (1, false));
    // The server restarts, and only its hint still comes through.
    let now = desk.now;
    desk = Desk::restarted();
    desk.now = now;
    let mut hinted = false;
    lamp.run(&mut desk, Duration::from_secs(120), |bytes| {
        let pass = !hinted;
        hinted |= is(bytes, &[Kind::Hint]);
        pass
    });
    assert!(hinted);
    assert!(lamp.is_lost(), "{:?}", lamp.events);
    lamp.events.clear();
    lamp.run(&mut desk, Duration::from_secs(600), all);
    assert_eq!((lamp.registrations(), desk.server.registered()), (1, 1));
}

#[test]
fn t30_strangers_never_take_the_last_slot_of_a_device_with_paired_issuers() {
    let friend = Evil::new(4, &[1; 32]);
    let paired = friend.id();
    let mut lamp = Appliance::new(|config| {
        config.admission.open = true;
        config.admission.paired.push(paired).unwrap();
    });
    let stranger = |lamp: &Appliance, fresh| {
        Evil::new(3, &[1; 32]).offer(&lamp.lamp.id(), &plain_offer(None), fresh)
    };
    let (one, two) = (stranger(&lamp, 1), stranger(&lamp, 2));
    assert_eq!(lamp.notify(1, sa(PHONE), &one).verdict, Some(Verdict::Accepted));
    let refused = lamp.notify(2, sa(PHONE), &two);
    assert_eq!(refused.verdict, Some(Verdict::Declined(Reason::Busy)));
    assert_eq!(refused.dialled, None);
    let welcome = friend.offer(&lamp.lamp.id(), &plain_offer(None), 3);
    assert_eq!(lamp.notify(3, sa(PHONE), &welcome).verdict, Some(Verdict::Accepted));
}

/// A server that has learned how long the NAT keeps a mapping says so at any time.
#[test]
fn advice_that_nobody_asked_for_answers_nothing() {
    let advice = |port, interval| {
        let observed = SocketAddr::new(sa(HOME).ip(), port);
        ToEquipment::Registered(Registered {
            observed: observed.into(),
            interval,
            register_every: 8,
        })
    };
    let mut lamp = Appliance::default();
    // Before a Register has left, and before an Echo has.
    lamp.lamp.set_early_key(lamp.now, [8; 16]);
    lamp.tell(&advice(4_600, 60));
    let said = lamp.said();
    let key = |said: &ToServer<'_>| match said {
        ToServer::Register(register) => register.early_key,
        _ => None,
    };
    assert_eq!(said.iter().map(key).collect::<Vec<_>>(), [Some([8; 16])]);
    lamp.tell(&advice(4_600, 60));
    assert_eq!(lamp.challenge([7; 6]), Received::Control);
    lamp.tell(&advice(4_601, 60));
    assert_eq!(lamp.kinds(), [Kind::Echo]);
    // Nor after it has left: it is unanswered, and something that wants an answer follows it soon.
    lamp.tell(&advice(4_601, 60));
    let due = lamp.lamp.poll_timeout().map(|wakeup| wakeup.at.since(lamp.now));
    assert_eq!(due, Some(Duration::from_secs(1)));
    // It tells its application where it is seen, and takes the interval once there is nothing else.
    let events: Vec<_> = core::iter::from_fn(|| lamp.lamp.poll_event()).collect();
    let moved = |event: &AcceptorEvent| matches!(event, AcceptorEvent::Registered { observed, .. } if observed.port() == 4_601);
    assert_eq!(events.iter().filter(|event| moved(event)).count(), 1, "{events:?}");
    let mut idle = Appliance::default();
    idle.tell(&advice(4_600, 1_000));
    let due = idle.lamp.poll_timeout().map(|wakeup| wakeup.at.since(idle.now).as_secs());
    assert!(due.is_some_and(|due| (800..=1_000).contains(&due)), "{due:?}");
}

/// The other link, or the caller, brings the server's new key, while the server still answers to the old.
#[test]
fn a_handshake_under_way_outlives_another_key_of_the_server() {
    let mut desk = Desk::default();
    let mut lamp = Lamp::new(&desk, 2, |_| ());
    lamp.machine.restore_certificate(&desk.certificate).unwrap();
    let mut said = Vec::new();
    lamp.run(&mut desk, Duration::from_millis(500), |bytes| {
        said.push(bytes.to_vec());
        false
    });
    let subject = Subject {
        server_key: *StaticKey::from_secret([7; 32]).public(),
        serial: 2,
        not_before: WALL - 86_400,
        not_after: WALL + 86_400 * 400,
        names: "server.example",
    };
    let mut certificate = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&[9; 32], &subject, &mut certificate).unwrap();
    lamp.machine.restore_certificate(&certificate[..len]).unwrap();
    lamp.run(&mut desk, Duration::from_secs(1), |bytes| {
        said.push(bytes.to_vec());
        true
    });
    assert_eq!(Kind::of(&said[0]), Ok(Kind::Initiation));
    assert!(said[0] == said[1], "the same bytes again");
    assert_eq!(lamp.registrations(), 1, "{:?}", lamp.events);
}
