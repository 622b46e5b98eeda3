//! Byte streams inside connections.

use core::time::Duration;
use std::rc::Rc;

use genkan_core::punch::Ability;
use genkan_core::{AcceptorEvent, ConnectionId, Instant, IssuerEvent, Path, SocketId};
use genkan_sim::nat::presets;
use genkan_smoltcp::{Service, Session, Sessions, Storage, StreamStorage};
use genkan_stream::{Role, StreamHandle, StreamState};

use crate::registers::{Lamp, Phone, Trio, behind, open_udp, path, public, three};
use crate::world::{Site, TestAcceptor, TestIssuer, World};

const LONG: usize = 64 << 10;

/// Sends back whatever comes.
#[derive(Default)]
struct Echo {
    /// By session, since handles are only good for their own.
    open: [Vec<(StreamHandle, Vec<u8>)>; 2],
    ended: usize,
}

impl Service<TestAcceptor, 2> for Echo {
    fn event(&mut self, _: Instant, _: &mut TestAcceptor, _: AcceptorEvent) {}

    fn serve(&mut self, now: Instant, session: &mut Session<'_, 2>) {
        let open = &mut self.open[session.index()];
        let streams = &mut session.streams;
        while let Some(stream) = streams.accept() {
            open.push((stream, Vec::new()));
        }
        let mut room = [0; 512];
        let ended = &mut self.ended;
        open.retain_mut(|(stream, held)| {
            while held.is_empty() {
                match streams.recv(*stream, &mut room) {
                    Ok(0) => break,
                    Ok(length) => held.extend_from_slice(&room[..length]),
                    Err(_) => {
                        streams.release(now.as_micros(), *stream).unwrap();
                        *ended += 1;
                        return false;
                    }
                }
                let sent = streams.send(*stream, held).unwrap_or(0);
                held.drain(..sent);
            }
            let sent = streams.send(*stream, held).unwrap_or(0);
            held.drain(..sent);
            true
        });
    }
}

/// Sends a pattern over a stream of the first connection that stands, and reads what comes back.
#[derive(Default)]
struct Fetch {
    stream: Option<StreamHandle>,
    sent: usize,
    read: usize,
    state: Option<StreamState>,
}

fn pattern(at: usize) -> u8 {
    (at as u8).wrapping_mul(31) ^ (at >> 8) as u8
}

impl Service<TestIssuer, 2> for Fetch {
    fn event(&mut self, _: Instant, _: &mut TestIssuer, _: IssuerEvent) {}

    fn serve(&mut self, now: Instant, session: &mut Session<'_, 2>) {
        if session.index() > 0 {
            return;
        }
        let connected = session.connection().is_some();
        let streams = &mut session.streams;
        if self.stream.is_none() && connected {
            self.stream = streams.connect(now.as_micros(), 80).ok();
        }
        let Some(stream) = self.stream else { return };
        self.state = streams.state(stream).ok();
        while self.sent < LONG {
            let piece: Vec<u8> = (self.sent..LONG.min(self.sent + 512)).map(pattern).collect();
            match streams.send(stream, &piece) {
                Ok(0) | Err(_) => break,
                Ok(sent) => self.sent += sent,
            }
        }
        let mut room = [0; 512];
        while let Ok(length @ 1..) = streams.recv(stream, &mut room) {
            for byte in &room[..length] {
                assert_eq!(*byte, pattern(self.read), "byte {}", self.read);
                self.read += 1;
            }
        }
        if self.read == LONG {
            streams.finish(stream).unwrap();
        }
    }
}

type Server = Sessions<'static, Echo, 2, 2>;
type Client = Sessions<'static, Fetch, 2, 2>;
type Pair = Trio<Server, Client>;

fn sessions<V>(role: Role, seed: u64, now: Instant, service: V) -> Sessions<'static, V, 2, 2> {
    let storage = Box::leak(Box::new(StreamStorage::<'_, 2, 2, 2_048>::new()));
    Sessions::new(role, storage, seed, now, service)
}

fn pair(seed: u64, sites: (Site, Site), punch: Option<Ability>) -> Pair {
    with_rings(seed, sites, punch, <Storage<5, 2>>::new())
}

fn with_rings<const U: usize, const T: usize>(
    seed: u64,
    sites: (Site, Site),
    punch: Option<Ability>,
    rings: Storage<5, 2, U, T>,
) -> Pair {
    let world = World::new(seed);
    let mut server = sessions(Role::Acceptor, seed, world.now, Echo::default());
    server.listen(80).unwrap();
    let client = sessions(Role::Issuer, !seed, world.now, Fetch::default());
    let phone = (<Storage<8, 3>>::new(), client);
    let mut trio = three(world, sites, [punch; 2], (rings, server), phone);
    assert!(trio.registered());
    trio
}

fn read(phone: &Phone<Client>) -> usize {
    phone.borrow().app.service.read
}

fn ended(lamp: &Lamp<Server>) -> usize {
    lamp.borrow().app.service.ended
}

/// Carries the pattern there and back; how long it took.
fn carry(trio: &mut Pair, longest: Duration) -> Duration {
    let begin = trio.world.now;
    let (phone, lamp) = (Rc::clone(&trio.phone), Rc::clone(&trio.lamp));
    let done = trio.world.until(longest, || read(&phone) == LONG && ended(&lamp) == 1);
    assert!(done, "{} of {LONG} bytes, {} ended", read(&phone), ended(&lamp));
    trio.world.now.since(begin)
}

#[test]
fn a_long_exchange_over_a_punched_path_with_loss_and_disorder() {
    for seed in 1..=4 {
        let mut trio = pair(seed, behind(presets::linux_masquerade), Some(Ability::SMALL));
        let (_, path) = trio.connect().expect("a connection");
        assert!(matches!(path, Path::Datagram { .. }), "{path:?}");
        trio.world.net.faults.loss = 0.05;
        trio.world.net.faults.jitter = Duration::from_millis(8);
        trio.world.net.faults.twins = 0.02;
        carry(&mut trio, Duration::from_secs(300));
    }
}

/// One end's NAT gives each destination another port: the other end finds it from fresh sockets, one
/// of which becomes the path and carries everything; the rest goes back to the pool.
#[test]
fn a_fresh_socket_becomes_the_path() {
    let sequential = || presets::linux_snat_sequential(40_000..=40_999);
    let symmetric = Site::behind([192, 0, 2, 1], sequential());
    let plain = Site::behind([192, 0, 2, 2], presets::linux_masquerade());
    let mut trio = pair(7, (symmetric, plain), Some(Ability::SMALL));
    let (name, _) = trio.connect().expect("a connection");
    trio.world.net.faults.loss = 0.02;
    carry(&mut trio, Duration::from_secs(300));
    let Some(Path::Datagram { socket, .. }) = path(&trio.phone, name) else {
        panic!("not a punched path");
    };
    let lamp = lamp_path(&trio);
    assert!(socket >= SocketId::FRESH || lamp >= SocketId::FRESH, "{socket:?}, {lamp:?}");
    trio.world.pass(Duration::from_secs(20));
    let open = [&trio.lamp.borrow().sockets, &trio.phone.borrow().sockets].map(open_udp);
    assert!(open.iter().sum::<usize>() <= 4, "{open:?}");
}

fn lamp_path(trio: &Pair) -> SocketId {
    let lamp = trio.lamp.borrow();
    let names = lamp.app.iter().filter_map(|session| session.connection());
    let paths = names.filter_map(|name| lamp.node.machine().connection(name));
    let sockets = paths.filter_map(|info| match info.path {
        Path::Datagram { socket, .. } => Some(socket),
        Path::Stream { .. } => None,
    });
    sockets.max().expect("the lamp is connected over datagrams")
}

/// What an idle network carries, as fast as windows of 2 KiB and a round trip of 20 ms allow; no timer
/// of TCP's is waited for, least of all for the first packet, which comes with the connection's
/// confirmation.
#[test]
fn nothing_waits_for_a_timer() {
    for (sites, punch) in
        [(public(), None), (behind(presets::linux_masquerade), Some(Ability::SMALL))]
    {
        let mut trio = pair(6, sites, punch);
        trio.connect().expect("a connection");
        let phone = Rc::clone(&trio.phone);
        assert!(trio.world.until(Duration::from_millis(100), || read(&phone) > 0));
        let took = carry(&mut trio, Duration::from_secs(300));
        // At one window a round trip, plus the time that acknowledgements may wait.
        let windows = (LONG / 2_048) as u32;
        assert!(took < windows * Duration::from_millis(40), "{took:?}");
    }
}

#[test]
fn a_long_exchange_over_a_dial_back() {
    for (seed, loss) in [(1, 0.0), (2, 0.05), (3, 0.05)] {
        let mut trio = pair(seed, public(), None);
        let (_, path) = trio.connect().expect("a connection");
        assert!(matches!(path, Path::Stream { .. }), "{path:?}");
        trio.world.net.faults.loss = loss;
        carry(&mut trio, Duration::from_secs(300));
    }
}

/// Rings that hold one message, and a device that takes one packet at a time: slow, but nothing is
/// lost.
#[test]
fn the_smallest_rings_carry_it_too() {
    for punch in [None, Some(Ability::SMALL)] {
        let rings = Storage::<5, 2, 1_232, 1_234>::new();
        let mut trio = with_rings(9, public(), punch, rings);
        trio.lamp.borrow().line.narrow(1);
        trio.connect().expect("a connection");
        carry(&mut trio, Duration::from_secs(300));
        let lamp = trio.lamp.borrow();
        assert_eq!(lamp.node.machine().counters().lost_events(), 0);
        assert_eq!(lamp.node.counters().stalled, 0);
    }
}

/// A connection ends in the middle: its streams end, and the memory serves the next one.
#[test]
fn memory_of_a_lost_connection_serves_the_next_one() {
    let mut trio = pair(5, public(), None);
    for round in 1..=4 {
        let (name, _) = trio.connect().expect("a connection");
        let phone = Rc::clone(&trio.phone);
        assert!(trio.world.until(Duration::from_secs(20), || read(&phone) > 10_000));
        close(&mut trio, name);
        let lamp = Rc::clone(&trio.lamp);
        assert!(trio.world.until(Duration::from_secs(5), || ended(&lamp) == round));
        assert!(path(&trio.phone, name).is_none());
        let mut phone = trio.phone.borrow_mut();
        let state = phone.app.service.state;
        assert!(matches!(state, Some(StreamState::Ended(_))), "{state:?}");
        let stream = phone.app.service.stream.take().unwrap();
        let now = trio.world.now.as_micros();
        phone.app.iter_mut().find_map(|one| one.streams.release(now, stream).ok()).unwrap();
        phone.app.service = Fetch::default();
    }
}

fn close(trio: &mut Pair, name: ConnectionId) {
    trio.phone.borrow_mut().node.machine_mut().close(trio.world.now, name);
}
