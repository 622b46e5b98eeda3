//! The three machines and the wire between them. What the acceptor does is counted, and nothing else.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, AdmissionPolicy, Anchors, Channel,
    ClientSlot, Command, ConnectionId, Entropy, EntropyError, Identity, Instant, Issuer,
    IssuerConfig, IssuerEvent, IssuerSlot, MAX_DATAGRAM, MAX_FRAME, Machine, Rate, Received,
    RequestSlot, RequestTransport, Server, ServerAddress, ServerConfig, SocketId, StaticKey,
    StreamId, StreamSlot, StreamState, Target,
};
use heapless::{Deque, Vec};

use crate::meter::Count;

const SERVER: SocketAddr = address([203, 0, 113, 1], 3478);
const ACCEPTOR: SocketAddr = address([198, 51, 100, 2], 40_000);
const ISSUER: SocketAddr = address([198, 51, 100, 3], 50_000);
const AUTHORITY: [u8; 32] = [9; 32];
const SECRET: [u8; 32] = [2; 32];

const fn address([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

/// Marsaglia's xorshift: the same in each run, and hardly an instruction a byte.
#[derive(Clone, Debug)]
pub struct Noise(u32);

impl Entropy for Noise {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        for bytes in dest.chunks_mut(4) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            bytes.copy_from_slice(&self.0.to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }
}

/// An acceptor as firmware has it.
pub type Device = Acceptor<[AcceptorSlot; 1], Noise>;
type Phone = Issuer<[IssuerSlot; 1], Noise>;
type Rendezvous = Server<[ClientSlot; 2], [RequestSlot; 2], [StreamSlot; 1], Noise>;

/// A datagram under way.
#[derive(Debug)]
pub struct Flying {
    from: SocketAddr,
    to: SocketAddr,
    /// What it says.
    pub bytes: Vec<u8, MAX_DATAGRAM>,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// Everybody's clock.
    pub now: Instant,
    /// What the device does.
    pub device: Device,
    server: Rendezvous,
    issuer: Phone,
    wire: Deque<Flying, 16>,
    /// The dial-back's two ends.
    streams: Option<[StreamId; 2]>,
    count: Count,
    /// The device's connection, once it stands, and the issuer's.
    connections: [Option<ConnectionId>; 2],
    registered: bool,
    /// When the device wants to be woken.
    wakeup: Option<Instant>,
}

/// The certificate of the server.
pub fn certificate() -> Vec<u8, MAX_CERTIFICATE> {
    let subject = Subject {
        server_key: *StaticKey::from_secret([1; 32]).public(),
        serial: 1,
        not_before: 1_000,
        not_after: 5_000_000_000,
        names: "rdv.example",
    };
    let mut bytes = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut bytes).unwrap();
    Vec::from_slice(&bytes[..len]).unwrap()
}

fn anchors() -> Anchors {
    let mut anchors = Anchors::default();
    anchors.authorities.push(authority_public(&AUTHORITY)).unwrap();
    anchors
}

/// The issuer's key.
pub fn issuer_key() -> StaticKey {
    StaticKey::from_secret([3; 32])
}

impl World {
    /// A device that has just been switched on; its making is counted.
    pub fn new(admission: AdmissionPolicy) -> Self {
        let now = Instant::from_millis(1_000);
        let mut count = Count::default();
        let device = device(now, 1, admission, &mut count);
        let mut config = ServerConfig::new(StaticKey::from_secret([1; 32]), certificate());
        config.handshakes = Rate::new(u32::MAX, 0);
        let clients = [const { ClientSlot::EMPTY }; 2];
        let requests = [const { RequestSlot::EMPTY }; 2];
        let server = Server::new(now, config, clients, requests, [StreamSlot::EMPTY], Noise(1));
        let identity = Identity { key: issuer_key(), boots: 0 };
        let mut config = IssuerConfig::new(identity, ServerAddress::both(SERVER), anchors());
        config.transport = RequestTransport::Datagram;
        // What is counted is a dial-back.
        config.simultaneous_open = false;
        Self {
            now,
            device,
            server: server.unwrap(),
            issuer: Issuer::new(now, config, [IssuerSlot::EMPTY], Noise(3)),
            wire: Deque::new(),
            streams: None,
            count,
            connections: [None; 2],
            registered: false,
            wakeup: Some(now),
        }
    }

    /// The device is switched off and on, and forgets everything.
    pub fn restart(&mut self, boots: u64, admission: AdmissionPolicy) {
        self.now = self.now.after(Duration::from_secs(1));
        self.registered = false;
        self.wakeup = Some(self.now);
        self.device = device(self.now, boots, admission, &mut self.count);
    }

    /// What the device has done since this was asked last.
    pub fn spent(&mut self) -> Count {
        core::mem::take(&mut self.count)
    }

    /// The device does something, and its adapter what follows from it.
    pub fn device_does(&mut self, mut step: impl FnMut(&mut Device, Instant)) {
        let Self { device, count, now, .. } = self;
        count.of(&mut || step(device, *now));
        self.drain_device();
    }

    /// Everything that an adapter asks of the device afterwards.
    fn drain_device(&mut self) {
        let Self { device, issuer, count, now, .. } = self;
        let now = *now;
        let mut dialled = None;
        loop {
            let mut command = None;
            count.of(&mut || command = device.poll_command());
            match command {
                None => break,
                Some(Command::Connect { stream, .. }) => dialled = Some(stream),
                Some(_) => {}
            }
        }
        let mut room = [0; MAX_FRAME];
        loop {
            let mut sent = None;
            count.of(&mut || sent = send(device, now, &mut room));
            let Some((to, len)) = sent else { break };
            let bytes = Vec::from_slice(&room[..len]).unwrap();
            self.wire.push_back(Flying { from: ACCEPTOR, to, bytes }).unwrap();
        }
        while let Some([ours, theirs]) = self.streams {
            let mut len = None;
            count.of(&mut || len = write(device, now, ours, &mut room));
            let Some(len) = len else { break };
            let received = issuer.handle_stream(now, theirs, &mut room[..len]).received;
            assert_eq!(received, Received::Control);
        }
        let mut persist = false;
        loop {
            let mut event = None;
            count.of(&mut || event = device.poll_event());
            match event {
                None => break,
                Some(AcceptorEvent::Registered { .. }) => self.registered = true,
                Some(AcceptorEvent::Connected { connection, .. }) => {
                    self.connections[0] = Some(connection);
                }
                Some(AcceptorEvent::Persist) => persist = true,
                Some(_) => {}
            }
        }
        let mut wakeup = None;
        count.of(&mut || wakeup = device.poll_timeout());
        self.wakeup = wakeup.map(|wakeup| wakeup.at);
        if persist {
            self.device_does(|device, now| device.handle_persisted(now, device.failures()));
        }
        if let Some(ours) = dialled {
            let theirs = self.issuer.handle_accept(now, SocketId::LISTENER, ACCEPTOR).unwrap();
            self.streams = Some([ours, theirs]);
        }
    }

    /// Carries the oldest datagram to whom it is for. Whether there was one.
    pub fn carry(&mut self) -> bool {
        let now = self.now;
        self.server.handle_timeout(now);
        self.issuer.handle_timeout(now);
        while self.server.poll_event().is_some() {}
        while let Some(event) = self.issuer.poll_event() {
            if let IssuerEvent::Connected { connection, .. } = event {
                self.connections[1] = Some(connection);
            }
        }
        while let Some(command) = self.issuer.poll_command() {
            if let Command::Listen { socket } = command {
                let local = SocketAddr::new(ISSUER.ip(), 7_777);
                self.issuer.handle_bound(now, socket, Some(local));
            }
        }
        collect(&mut self.server, now, SERVER, &mut self.wire);
        collect(&mut self.issuer, now, ISSUER, &mut self.wire);
        let Some(Flying { from, to, mut bytes }) = self.wire.pop_front() else { return false };
        let received = match to {
            SERVER => self.server.handle_datagram(now, SocketId::MAIN, from, &mut bytes),
            ISSUER => self.issuer.handle_datagram(now, SocketId::MAIN, from, &mut bytes),
            _ => {
                self.device_does(|device, now| {
                    let received = device.handle_datagram(now, SocketId::MAIN, from, &mut bytes);
                    assert_eq!(received, Received::Control);
                });
                return true;
            }
        };
        assert_eq!(received, Received::Control);
        true
    }

    /// Carries datagrams until there are none.
    pub fn settle(&mut self) {
        while self.carry() {}
    }

    /// The device sleeps until its next deadline and does what is due then. What it sends, if
    /// anything, is on the wire.
    pub fn next(&mut self) -> Option<&Flying> {
        self.now = self.now.max(self.wakeup.unwrap());
        self.device_does(|device, now| device.handle_timeout(now));
        self.wire.front()
    }

    /// The device becomes registered.
    pub fn register(&mut self) {
        self.next();
        self.settle();
        assert!(self.registered);
    }

    /// The issuer asks for the device, until that has dialled back.
    pub fn request(&mut self, password: Option<[u8; 32]>) {
        let mut target = Target::new(self.device.id());
        target.password = password;
        self.issuer.request(self.now, &target).unwrap();
        self.settle();
        assert!(self.streams.is_some());
    }

    /// The dial-back has come through: the communication request leaves.
    pub fn dialled(&mut self) {
        let [ours, _] = self.streams.unwrap();
        self.device_does(|device, now| {
            device.handle_stream_state(now, ours, StreamState::Connected);
        });
    }

    /// The issuer's first message arrives.
    pub fn confirm(&mut self) {
        let [ours, theirs] = self.streams.unwrap();
        let mut room = [0; MAX_FRAME];
        while let Some(mut frame) = self.issuer.poll_frame(self.now, theirs) {
            let len = frame.encode(&mut room).unwrap();
            frame.commit();
            self.device_does(|device, now| {
                let received = device.handle_stream(now, ours, &mut room[..len]).received;
                assert_eq!(received, Received::Control);
            });
        }
        self.settle();
        assert!(self.connections.iter().all(Option::is_some));
    }

    /// A payload from the issuer to the device, as a frame of the dial-back's.
    pub fn hear(&mut self, payload: &[u8]) {
        let ([ours, _], [_, connection]) = (self.streams.unwrap(), self.connections);
        let mut room = [0; MAX_FRAME];
        let (connection, now) = (connection.unwrap(), self.now);
        let mut sealed = self.issuer.send(now, connection, Channel::Datagram, payload).unwrap();
        let len = sealed.encode(&mut room).unwrap();
        sealed.commit();
        self.device_does(|device, now| {
            match device.handle_stream(now, ours, &mut room[..len]).received {
                Received::Payload { plaintext, .. } => assert_eq!(plaintext.len(), payload.len()),
                other => panic!("{other:?}"),
            }
        });
    }

    /// A payload from the device to the issuer.
    pub fn say(&mut self, payload: &[u8]) {
        let ([_, theirs], [connection, _]) = (self.streams.unwrap(), self.connections);
        let connection = connection.unwrap();
        let mut room = [0; MAX_FRAME];
        let mut len = 0;
        self.device_does(|device, now| {
            let mut sealed = device.send(now, connection, Channel::Datagram, payload).unwrap();
            len = sealed.encode(&mut room).unwrap();
            sealed.commit();
        });
        match self.issuer.handle_stream(self.now, theirs, &mut room[..len]).received {
            Received::Payload { plaintext, .. } => assert_eq!(plaintext, payload),
            other => panic!("{other:?}"),
        }
    }
}

/// Made where it stays, as firmware does.
fn device(now: Instant, boots: u64, admission: AdmissionPolicy, count: &mut Count) -> Device {
    let mut key = None;
    count.of(&mut || key = Some(StaticKey::from_secret(SECRET)));
    let identity = Identity { key: key.unwrap(), boots };
    let mut config = AcceptorConfig::new(identity, ServerAddress::both(SERVER), anchors());
    config.spread = Duration::ZERO;
    config.admission = admission;
    let (mut config, mut made) = (Some(config), None);
    count.of(&mut || {
        let config = config.take().unwrap();
        made = Some(Acceptor::new(now, config, [AcceptorSlot::EMPTY], Noise(2)));
    });
    made.unwrap()
}

/// Its next datagram: where to, and how long.
fn send(device: &mut Device, now: Instant, room: &mut [u8]) -> Option<(SocketAddr, usize)> {
    let mut transmit = device.poll_transmit(now)?;
    let sent = (transmit.remote(), transmit.encode(room).unwrap());
    transmit.commit();
    Some(sent)
}

/// Its next frame: how long.
fn write(device: &mut Device, now: Instant, stream: StreamId, room: &mut [u8]) -> Option<usize> {
    let mut frame = device.poll_frame(now, stream)?;
    let len = frame.encode(room).unwrap();
    frame.commit();
    Some(len)
}

fn collect<M: Machine>(
    machine: &mut M,
    now: Instant,
    from: SocketAddr,
    wire: &mut Deque<Flying, 16>,
) {
    while let Some(mut transmit) = machine.poll_transmit(now) {
        let mut bytes = Vec::new();
        bytes.resize_default(transmit.len()).unwrap();
        transmit.encode(&mut bytes).unwrap();
        wire.push_back(Flying { from, to: transmit.remote(), bytes }).unwrap();
        transmit.commit();
    }
}
