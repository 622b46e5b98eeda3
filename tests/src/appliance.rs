//! An appliance in the hands of a hostile server.
//!
//! The server here is the test itself: it holds a key that the authority has certified, shakes hands
//! by an independent Noise, and then sends the appliance whatever it likes.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::inspect::{self, Body, LoggedRoot};
use genkan_core::wire::message::{
    ConnectNotify, NotifyReply, Registered, ToEquipment, ToServer, Verdict, Welcome,
};
use genkan_core::wire::{Kind, OFFER_LEN, WELCOME_LEN};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, Command, Identity, Instant, Machine,
    PasswordRecord, Received, ServerAddress, SocketId, StaticKey, StreamId,
};
use genkan_sim::SimEntropy;

use crate::evil::{Desk, SERVER_LINK, Sent, body, drain, hmac, responder, root, sa, seal, siphash};
use crate::scene::PASSWORD;

/// The server's address.
pub const SERVER: &str = "203.0.113.1:4600";

/// The appliance's machine.
pub type Lamp = Acceptor<[AcceptorSlot; 2], SimEntropy>;

/// An appliance, and the server's end of its session.
#[derive(Debug)]
pub struct Appliance {
    /// The machine.
    pub lamp: Lamp,
    /// The time.
    pub now: Instant,
    /// Its server's address.
    server: SocketAddr,
    root: [u8; 32],
    index: u32,
    counter: u64,
}

/// What an appliance did about a notification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reaction {
    /// What it told the server.
    pub verdict: Option<Verdict>,
    /// Whom it dialled.
    pub dialled: Option<(StreamId, SocketAddr)>,
    /// What it told its application.
    pub events: Vec<AcceptorEvent>,
}

impl Default for Appliance {
    fn default() -> Self {
        Self::new(|_| ())
    }
}

impl Appliance {
    /// A registered appliance that admits by password, its settings changed by `adjust`.
    #[must_use]
    pub fn new(adjust: impl FnOnce(&mut AcceptorConfig)) -> Self {
        Self::at(Instant::from_millis(5_000_000), adjust)
    }

    /// As [`Appliance::new`], at this time of its clock.
    #[must_use]
    pub fn at(now: Instant, adjust: impl FnOnce(&mut AcceptorConfig)) -> Self {
        let identity = Identity { key: StaticKey::from_secret([2; 32]), boots: 0 };
        let server = ServerAddress::both(sa(SERVER));
        let mut config = AcceptorConfig::new(identity, server, Desk::anchors());
        config.spread = Duration::ZERO;
        config.admission.password = Some(PasswordRecord::new([5; 16], &PASSWORD));
        adjust(&mut config);
        let server = config.server.datagram;
        let slots = [AcceptorSlot::EMPTY, AcceptorSlot::EMPTY];
        let mut lamp = Acceptor::new(now, config, slots, SimEntropy::seeded(4));
        lamp.restore_certificate(&Desk::default().certificate).expect("a good certificate");
        lamp.handle_timeout(now);
        let mut this = Self { lamp, now, server, root: [0; 32], index: 0, counter: 0 };
        this.shake_hands();
        this
    }

    fn shake_hands(&mut self) {
        let hello = drain(&mut self.lamp, self.now).remove(0).1;
        assert_eq!(Kind::of(&hello), Ok(Kind::Initiation));
        let key = StaticKey::from_secret([1; 32]);
        let mut state = responder(&key, SERVER_LINK, &[4; 32]);
        let mut noise = [0; 1_024];
        state.read_message(&hello[6..hello.len() - 32], &mut noise).expect("a good Initiation");
        let welcome =
            Welcome { observed: sa("198.51.100.2:4600").into(), time: 0, early_taken: false };
        let len = state.write_message(&body(&welcome, WELCOME_LEN), &mut noise).expect("room");
        let mut response = vec![Kind::Response as u8, 0, 0, 0, 0, 9];
        response.extend(&hello[2..6]);
        response.extend(&noise[..len]);
        self.index = u32::from_be_bytes(*hello[2..].first_chunk().expect("an index"));
        self.root = root(&mut state);
        assert_eq!(self.hear(&mut response), Received::Control);
        let said = self.said();
        assert!(matches!(said[..], [ToServer::Register(_)]), "{said:?}");
        self.registered();
        while self.lamp.poll_event().is_some() {}
    }

    /// The server answers a registration.
    fn registered(&mut self) {
        let observed = sa("198.51.100.2:4600");
        self.tell(&ToEquipment::Registered(Registered {
            observed: observed.into(),
            interval: 25,
            register_every: 8,
        }));
    }

    /// A datagram in the server's name.
    pub fn hear(&mut self, bytes: &mut [u8]) -> Received<'static> {
        match self.lamp.handle_datagram(self.now, SocketId::MAIN, self.server, bytes) {
            Received::Discarded(reason) => Received::Discarded(reason),
            _ => Received::Control,
        }
    }

    /// The server's word, sealed.
    pub fn seal(&mut self, message: &ToEquipment<'_>) -> Vec<u8> {
        self.seal_raw(&body(message, 0))
    }

    fn seal_raw(&mut self, body: &[u8]) -> Vec<u8> {
        let key = hmac(&self.root, &[b"transport down"]);
        let counter = self.counter;
        self.counter += 1;
        seal(&key, Kind::ServerTransport, self.index, counter, body)
    }

    /// The server wants the address proven.
    pub fn challenge(&mut self, cookie: [u8; 6]) -> Received<'static> {
        let [a, b, c, d, e, f] = cookie;
        self.short(Kind::Challenge, 0, u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The kinds of all that the appliance has to send now.
    pub fn kinds(&mut self) -> Vec<Kind> {
        let sent = drain(&mut self.lamp, self.now);
        sent.iter().filter_map(|(_, bytes)| Kind::of(bytes).ok()).collect()
    }

    /// The server says what may be no message.
    pub fn tell_raw(&mut self, body: &[u8]) -> Received<'static> {
        let mut bytes = self.seal_raw(body);
        self.hear(&mut bytes)
    }

    /// The server says this.
    pub fn tell(&mut self, message: &ToEquipment<'_>) -> Received<'static> {
        let mut bytes = self.seal(message);
        self.hear(&mut bytes)
    }

    /// A short message in the server's name: a probe, or the answer to a keepalive.
    pub fn short(&mut self, kind: Kind, status: u8, counter: u64) -> Received<'static> {
        let mut bytes = vec![kind as u8, status];
        bytes.extend(self.index.to_be_bytes());
        bytes.extend(&counter.to_be_bytes()[2..]);
        let key = hmac(&self.root, &[b"keepalive down"]);
        bytes.extend(siphash(&key[..16], &[&bytes]));
        self.hear(&mut bytes)
    }

    /// What the appliance has to say to the server now.
    pub fn said(&mut self) -> Vec<ToServer<'static>> {
        let sent = drain(&mut self.lamp, self.now);
        self.open(sent)
    }

    fn open(&self, sent: Sent) -> Vec<ToServer<'static>> {
        let root = LoggedRoot(self.root);
        let opened =
            sent.into_iter().filter_map(|(_, mut bytes)| match inspect::open(&root, &mut bytes) {
                Some(Body::ToServer(ToServer::Register(register))) => {
                    Some(ToServer::Register(register))
                }
                Some(Body::ToServer(ToServer::Reply(reply))) => Some(ToServer::Reply(reply)),
                Some(Body::ToServer(ToServer::Deregister)) => Some(ToServer::Deregister),
                Some(Body::ToServer(ToServer::Leased(port))) => Some(ToServer::Leased(port)),
                Some(Body::ToServer(ToServer::Reached(proof))) => Some(ToServer::Reached(proof)),
                _ => None,
            });
        opened.collect()
    }

    /// A second connection request: what the appliance does about it at once.
    pub fn notify(
        &mut self,
        request: u32,
        issuer: SocketAddr,
        offer: &[u8; OFFER_LEN],
    ) -> Reaction {
        let notify = ConnectNotify { request, issuer: issuer.into(), paired: false, offer };
        self.tell(&ToEquipment::Notify(notify));
        self.reaction()
    }

    /// What the appliance does now.
    pub fn reaction(&mut self) -> Reaction {
        let verdict = self.said().into_iter().find_map(|said| match said {
            ToServer::Reply(NotifyReply { verdict, .. }) => Some(verdict),
            _ => None,
        });
        let mut reaction = Reaction { verdict, dialled: None, events: Vec::new() };
        while let Some(command) = self.lamp.poll_command() {
            if let Command::Connect { stream, remote } = command {
                reaction.dialled = Some((stream, remote));
            }
        }
        while let Some(event) = self.lamp.poll_event() {
            reaction.events.push(event);
        }
        reaction
    }

    /// As [`Appliance::notify`], with a flash that writes at once.
    pub fn notify_persisting(
        &mut self,
        request: u32,
        issuer: SocketAddr,
        offer: &[u8; OFFER_LEN],
    ) -> Reaction {
        let mut first = self.notify(request, issuer, offer);
        if first.events.contains(&AcceptorEvent::Persist) {
            self.lamp.handle_persisted(self.now, self.lamp.failures());
            let then = self.reaction();
            first.verdict = first.verdict.or(then.verdict);
            first.dialled = first.dialled.or(then.dialled);
            first.events.extend(then.events);
        }
        first
    }

    /// Time passes; nothing that is sent arrives anywhere.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(wakeup) = self.lamp.poll_timeout().filter(|wakeup| wakeup.at <= end) {
            assert!(wakeup.at > self.now, "drained, yet due: {wakeup:?}");
            self.now = wakeup.at;
            self.lamp.handle_timeout(self.now);
            drain(&mut self.lamp, self.now);
            while self.lamp.poll_command().is_some() {}
            while self.lamp.poll_event().is_some() {}
        }
        self.now = end;
    }

    /// Time passes; keepalives and registrations are answered, from one place. What it says.
    pub fn pass_answered(&mut self, time: Duration) -> Vec<ToServer<'static>> {
        let (end, mut said) = (self.now.after(time), Vec::new());
        loop {
            let sent = drain(&mut self.lamp, self.now);
            while self.lamp.poll_command().is_some() {}
            if sent.is_empty() {
                let Some(due) = self.lamp.poll_timeout().filter(|due| due.at <= end) else { break };
                self.now = due.at;
                self.lamp.handle_timeout(self.now);
                continue;
            }
            for (_, bytes) in &sent {
                if Kind::of(bytes) == Ok(Kind::Keepalive) {
                    let counter =
                        bytes[6..12].iter().fold(0, |all, &one| all << 8 | u64::from(one));
                    self.short(Kind::KeepaliveAnswer, 2, counter);
                }
            }
            let words = self.open(sent);
            if words.iter().any(|word| matches!(word, ToServer::Register(_))) {
                self.registered();
            }
            said.extend(words);
        }
        self.now = end;
        said
    }

    /// The frames that the appliance writes to a stream now.
    pub fn frames(&mut self, stream: StreamId) -> Vec<Vec<u8>> {
        crate::device::frames(&mut self.lamp, self.now, stream)
    }
}
