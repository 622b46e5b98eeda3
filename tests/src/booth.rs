//! Crafted equipment that lets a server see its NAT, and is told where to send: for the tests of
//! measuring and punching at a server without a network.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::inspect::{Body, LoggedRoot, open};
use genkan_core::nat::{self, ServerEnd};
use genkan_core::punch::Ability;
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Register, Role, ToEquipment, ToServer};
use genkan_core::{
    EquipmentId, MAX_DATAGRAM, Machine, Received, ServerConfig, ServerEvent, SocketId,
};

use crate::evil::{Desk, Evil, body, hmac, plain_offer, sa, siphash};

/// The port beside the main one.
pub const OTHER_PORT: u16 = 3_479;
/// The server's end on another address.
pub const OTHER_ADDRESS: &str = "203.0.113.2:3478";
/// The early key of acceptors.
pub const EARLY: [u8; 16] = [8; 16];

/// A datagram from the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// From which of its sockets.
    pub socket: SocketId,
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// A server with more than one end.
#[derive(Debug)]
pub struct Booth {
    /// The server behind it.
    pub desk: Desk,
}

/// A detection packet, as equipment writes it.
#[derive(Clone, Copy, Debug)]
pub struct Detect {
    /// Its status bits.
    pub status: u8,
    /// The request's number; 0 for a measurement.
    pub request: u32,
    /// The burst's round.
    pub round: u8,
    /// Place in the measurement, or moment in the burst.
    pub which: u8,
    /// The socket's number.
    pub socket: u8,
    /// The port that it is bound to.
    pub local: u16,
}

/// Equipment with a session.
#[derive(Debug)]
pub struct Guest {
    /// Its hands.
    pub evil: Evil,
    /// Where the server sees it.
    pub at: SocketAddr,
}

impl Guest {
    /// A detection packet with the session's next counter.
    pub fn detect(&mut self, detect: Detect) -> Vec<u8> {
        let Detect { status, request, round, which, socket, local } = detect;
        let mut out = vec![Kind::Detect as u8, status];
        out.extend(self.evil.handle.to_be_bytes());
        out.extend(&self.evil.counter.to_be_bytes()[2..]);
        self.evil.counter += 1;
        out.extend(request.to_be_bytes());
        out.extend([round, which, socket]);
        out.extend(local.to_be_bytes());
        let key = hmac(&self.evil.root, &[b"keepalive up  "]);
        out.extend(siphash(&key[..16], &[&out]));
        out
    }

    /// The packet of a measurement with this number.
    pub fn measuring(&mut self, which: u8, status: u8, probe: nat::Probe, local: u16) -> Vec<u8> {
        let socket = probe.socket;
        self.detect(Detect { status, request: 0, round: 0, which, socket, local })
    }

    /// What the server tells this session.
    #[must_use]
    pub fn read(&self, sent: &[Sent]) -> Vec<ToEquipment<'static>> {
        let mine = sent.iter().filter(|sent| sent.to == self.at);
        let opened = mine.filter_map(|sent| {
            let mut bytes = sent.bytes.clone();
            match open(&LoggedRoot(self.evil.root), &mut bytes) {
                Some(Body::ToEquipment(ToEquipment::Notify(notify))) => {
                    let notify = genkan_core::wire::message::ConnectNotify { offer: &[], ..notify };
                    Some(ToEquipment::Notify(notify))
                }
                Some(Body::ToEquipment(other)) => Some(owned(&other)),
                _ => None,
            }
        });
        opened.collect()
    }
}

/// All of these but notifications hold nothing borrowed.
fn owned(message: &ToEquipment<'_>) -> ToEquipment<'static> {
    match message {
        ToEquipment::Registered(it) => ToEquipment::Registered(*it),
        ToEquipment::Notify(_) => unreachable!("taken care of before"),
        ToEquipment::Wake(it) => ToEquipment::Wake(*it),
        ToEquipment::Plan(it) => ToEquipment::Plan(*it),
        ToEquipment::Refused(it) => ToEquipment::Refused(*it),
        ToEquipment::Goodbye => ToEquipment::Goodbye,
        ToEquipment::Measure(it) => ToEquipment::Measure(*it),
        ToEquipment::Seen(it) => ToEquipment::Seen(it.clone()),
        ToEquipment::Punch(it) => ToEquipment::Punch(*it),
        ToEquipment::Hopeless(it) => ToEquipment::Hopeless(*it),
        ToEquipment::Call(it) => ToEquipment::Call(*it),
    }
}

/// The socket that an end of the server has.
#[must_use]
pub const fn socket(end: ServerEnd) -> SocketId {
    match end {
        ServerEnd::Main => SocketId::MAIN,
        ServerEnd::OtherPort => SocketId::OTHER_PORT,
        ServerEnd::OtherAddress => SocketId::OTHER_ADDRESS,
    }
}

/// Where an end of the server is.
#[must_use]
pub fn place(end: ServerEnd) -> SocketAddr {
    match end {
        ServerEnd::Main => SocketAddr::new(IpAddr::from([203, 0, 113, 1]), 3_478),
        ServerEnd::OtherPort => SocketAddr::new(IpAddr::from([203, 0, 113, 1]), OTHER_PORT),
        ServerEnd::OtherAddress => sa(OTHER_ADDRESS),
    }
}

impl Booth {
    /// A server with another port, and with or without another address.
    #[must_use]
    pub fn new(other_address: bool) -> Self {
        Self::with(|config| config.other_address = other_address.then(|| sa(OTHER_ADDRESS)))
    }

    /// A server with another port and these settings.
    #[must_use]
    pub fn with(adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let desk = Desk::sized(100, |config| {
            config.other_port = Some(OTHER_PORT);
            adjust(config);
        });
        Self { desk }
    }

    /// A datagram at one of the server's sockets: what it made of it, and what it sends now.
    pub fn tell(
        &mut self,
        at: SocketId,
        from: SocketAddr,
        bytes: &[u8],
    ) -> (Received<'static>, Vec<Sent>) {
        let mut bytes = bytes.to_vec();
        let now = self.desk.now;
        let received = match self.desk.server.handle_datagram(now, at, from, &mut bytes) {
            Received::Discarded(reason) => Received::Discarded(reason),
            _ => Received::Control,
        };
        (received, self.drain())
    }

    /// What a guest says at the main end; the server must take it.
    pub fn say(&mut self, guest: &mut Guest, message: &ToServer<'_>) -> Vec<Sent> {
        let bytes = guest.evil.raw(&body(message, 0));
        let (received, sent) = self.tell(SocketId::MAIN, guest.at, &bytes);
        assert_eq!(received, Received::Control, "{message:?}");
        sent
    }

    /// What the server sends now.
    pub fn drain(&mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Some(mut tx) = self.desk.server.poll_transmit(self.desk.now) {
            let mut buf = [0; MAX_DATAGRAM];
            let len = tx.encode(&mut buf).expect("room");
            all.push(Sent { socket: tx.socket(), to: tx.remote(), bytes: buf[..len].to_vec() });
            tx.commit();
            assert!(all.len() < 1_000, "a drain must end");
        }
        all
    }

    /// Time passes; what the server sends then. After each drain it must be done for now.
    pub fn pass(&mut self, time: Duration) -> Vec<Sent> {
        let end = self.desk.now.after(time);
        let mut sent = Vec::new();
        while let Some(wakeup) = self.desk.server.poll_timeout().filter(|wakeup| wakeup.at <= end) {
            assert!(wakeup.at > self.desk.now, "drained, yet due: {wakeup:?}");
            self.desk.now = wakeup.at;
            self.desk.server.handle_timeout(self.desk.now);
            sent.extend(self.drain());
        }
        self.desk.now = end;
        sent
    }

    /// What the operator is told.
    pub fn events(&mut self) -> Vec<ServerEvent> {
        core::iter::from_fn(|| self.desk.server.poll_event()).collect()
    }

    /// Equipment shakes hands; it has said nothing in its session.
    pub fn greet(&mut self, secret: u8, role: Role, at: SocketAddr) -> Guest {
        let mut evil = Evil::new(secret, self.desk.key.public());
        self.desk.admit(&mut evil, role, at);
        Guest { evil, at }
    }

    /// A registration with these abilities.
    pub fn register(
        &mut self,
        guest: &mut Guest,
        local: u16,
        ability: Option<Ability>,
    ) -> Vec<Sent> {
        let local = SocketAddr::from(([10, 0, 0, 2], local));
        let capabilities = 7 | ability.map_or(0, Ability::to_bits);
        let (id, early_key) = (guest.evil.id(), Some(EARLY));
        self.say(
            guest,
            &ToServer::Register(Register { id, local: local.into(), capabilities, early_key }),
        )
    }

    /// A request; with the early key when `paired`.
    pub fn ask(
        &mut self,
        guest: &mut Guest,
        number: u32,
        of: EquipmentId,
        paired: bool,
    ) -> Vec<Sent> {
        let offer = guest.evil.offer(&of, &plain_offer(None), 1);
        let mut request = Evil::request(number, of, guest.at, &offer);
        request.early_tag = paired.then(|| siphash(&EARLY, &[&number.to_be_bytes(), &offer]));
        self.say(guest, &ToServer::Connect(request))
    }

    /// The five packets of a measurement, observed where `seen` says, all with this status; what the
    /// server says to them.
    pub fn measure(
        &mut self,
        guest: &mut Guest,
        second_address: bool,
        status: u8,
        mut seen: impl FnMut(nat::Probe) -> (SocketAddr, u16),
    ) -> Vec<Sent> {
        let mut sent = Vec::new();
        for (which, &probe) in (1..).zip(nat::measurement(second_address)) {
            let (from, local) = seen(probe);
            let bytes = guest.measuring(which, status, probe, local);
            let (received, more) = self.tell(socket(probe.server), from, &bytes);
            assert_eq!(received, Received::Control, "packet {which}");
            sent.extend(more);
        }
        sent
    }
}
