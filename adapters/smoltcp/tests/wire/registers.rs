//! Registration, requests and dial-backs.

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use genkan_core::punch::Ability;
use genkan_core::{
    AcceptorEvent, Channel, ConnectionId, EquipmentId, Instant, IssuerEvent, Path, ServerEvent,
    StaticKey, Target,
};
use genkan_sim::NatConfig;
use genkan_sim::nat::presets;
use genkan_smoltcp::{App, Counters, Options, Outlet, Peer, Storage};
use smoltcp::iface::SocketSet;
use smoltcp::socket::Socket;
use smoltcp::socket::tcp::State;

use crate::world::{
    ACCEPTOR_KEY, Host, OTHER_PORT, SERVER, Site, TestAcceptor, TestIssuer, TestServer, World,
    acceptor, issuer, server, server_address,
};

/// Keeps what it is told, and sends what it is given.
pub(crate) struct Log<E> {
    pub(crate) events: Vec<E>,
    pub(crate) payloads: Vec<(ConnectionId, Vec<u8>)>,
    pub(crate) outbox: Vec<(ConnectionId, Vec<u8>)>,
    pub(crate) full: usize,
    /// To be closed the next time that it may send.
    pub(crate) ends: Vec<ConnectionId>,
}

impl<E> Log<E> {
    pub(crate) const fn new() -> Self {
        Self {
            events: Vec::new(),
            payloads: Vec::new(),
            outbox: Vec::new(),
            full: 0,
            ends: Vec::new(),
        }
    }
}

impl<M: Peer> App<M> for Log<M::Event> {
    fn event(&mut self, _: Instant, _: &mut M, event: M::Event) {
        self.events.push(event);
    }

    fn payload(&mut self, _: Instant, connection: ConnectionId, _: Channel, bytes: &mut [u8]) {
        self.payloads.push((connection, bytes.to_vec()));
    }

    fn pump(&mut self, now: Instant, outlet: &mut Outlet<'_, '_, M>) -> Instant {
        for connection in self.ends.drain(..) {
            outlet.machine.close(now, connection);
        }
        while let Some((connection, bytes)) = self.outbox.first() {
            if outlet.send(*connection, Channel::Datagram, bytes).is_err() {
                self.full += 1;
                break;
            }
            self.outbox.remove(0);
        }
        Instant::END
    }
}

pub(crate) type Shared<M, A, const U: usize, const T: usize> = Rc<RefCell<Host<M, A, U, T>>>;
pub(crate) type Sink = Box<dyn FnMut(Instant, &mut TestServer, ServerEvent)>;
pub(crate) type Lamp<A = Log<AcceptorEvent>, const W: usize = 2> = Shared<TestAcceptor, A, 5, W>;
pub(crate) type Phone<B = Log<IssuerEvent>, const V: usize = 3> = Shared<TestIssuer, B, 8, V>;

/// A server, a lamp with `W` TCP sockets and a phone with `V`.
pub(crate) struct Trio<
    A = Log<AcceptorEvent>,
    B = Log<IssuerEvent>,
    const W: usize = 2,
    const V: usize = 3,
> {
    pub(crate) world: World,
    pub(crate) lamp: Lamp<A, W>,
    pub(crate) phone: Phone<B, V>,
    pub(crate) heard: Rc<RefCell<Vec<ServerEvent>>>,
}

/// Rings of the usual sizes.
pub(crate) fn trio(seed: u64, sites: (Site, Site), punch: Option<Ability>) -> Trio {
    let (lamp, phone) =
        ((<Storage<5, 2>>::new(), Log::new()), (<Storage<8, 3>>::new(), Log::new()));
    let mut trio = three(World::new(seed), sites, [punch; 2], lamp, phone);
    assert!(trio.registered());
    trio
}

/// A world with a server, and an acceptor and an issuer with these rings.
pub(crate) fn three<A, B, const W: usize, const V: usize, const U: usize, const T: usize>(
    mut world: World,
    (lamp, phone): (Site, Site),
    punch: [Option<Ability>; 2],
    (lamp_rings, lamp_app): (Storage<5, W, U, T>, A),
    (phone_rings, phone_app): (Storage<8, V>, B),
) -> Trio<A, B, W, V>
where
    A: App<TestAcceptor> + 'static,
    B: App<TestIssuer> + 'static,
{
    let machine = server(&mut world);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&heard);
    let sink: Sink = Box::new(move |_, _, event| log.borrow_mut().push(event));
    let options = Options::server(SERVER.port(), Some(OTHER_PORT));
    // The server speaks the family of the lamp.
    let at = server_address(&lamp);
    world.add(Site::public(at.ip()), <Storage<2, 4>>::new(), options, machine, sink);
    let machine = acceptor(&mut world, at, |config| config.punch = punch[0]);
    let lamp = world.add(lamp, lamp_rings, Options::equipment(1), machine, lamp_app);
    let machine = issuer(&mut world, at, |config| {
        config.punch = punch[1];
        // What is looked at are dial-backs and holes; calls come and go beside them, with resets.
        config.simultaneous_open = false;
    });
    let phone = world.add(phone, phone_rings, Options::equipment(2), machine, phone_app);
    Trio { world, lamp, phone, heard }
}

pub(crate) fn lamp_id() -> EquipmentId {
    StaticKey::from_secret(ACCEPTOR_KEY).id()
}

impl<A, B, const W: usize, const V: usize> Trio<A, B, W, V> {
    /// Waits until the lamp is registered once more.
    pub(crate) fn registered(&mut self) -> bool {
        let heard = Rc::clone(&self.heard);
        let is = |event: &ServerEvent| matches!(event, ServerEvent::Registered { .. });
        let count = move || heard.borrow().iter().filter(|event| is(event)).count();
        let before = count();
        self.world.until(Duration::from_secs(120), || count() > before)
    }

    /// Asks for the lamp.
    pub(crate) fn ask(&mut self) -> ConnectionId {
        let target = Target::new(lamp_id());
        let mut phone = self.phone.borrow_mut();
        phone.node.machine_mut().request(self.world.now, &target).unwrap()
    }

    /// Asks for the lamp and waits until the connection stands.
    pub(crate) fn connect(&mut self) -> Option<(ConnectionId, Path)> {
        let name = self.ask();
        let phone = Rc::clone(&self.phone);
        self.world.until(Duration::from_secs(20), || path(&phone, name).is_some());
        path(&self.phone, name).map(|path| (name, path))
    }
}

pub(crate) fn path<B, const V: usize>(phone: &Phone<B, V>, name: ConnectionId) -> Option<Path> {
    phone.borrow().node.machine().connection(name).map(|info| info.path)
}

pub(crate) fn public() -> (Site, Site) {
    (Site::public([198, 51, 100, 1]), Site::public([198, 51, 100, 2]))
}

pub(crate) fn behind(config: fn() -> NatConfig) -> (Site, Site) {
    (Site::behind([192, 0, 2, 1], config()), Site::behind([192, 0, 2, 2], config()))
}

/// Sends a payload from the phone and waits until the lamp has it.
pub(crate) fn arrives<const W: usize, const V: usize>(
    trio: &mut Trio<Log<AcceptorEvent>, Log<IssuerEvent>, W, V>,
    name: ConnectionId,
    bytes: Vec<u8>,
) -> bool {
    trio.phone.borrow_mut().app.outbox.push((name, bytes.clone()));
    let lamp = Rc::clone(&trio.lamp);
    let has = move || lamp.borrow().app.payloads.iter().any(|(_, got)| *got == bytes);
    trio.world.until(Duration::from_secs(10), has)
}

#[test]
fn registers_and_dials_back_over_tcp() {
    let mut trio = trio(1, public(), None);
    let (name, path) = trio.connect().expect("a connection");
    assert!(matches!(path, Path::Stream { .. }));
    assert!(arrives(&mut trio, name, b"hello".to_vec()));
    assert_eq!(*trio.lamp.borrow().node.counters(), Counters::default());
    // Closed in order: the pools are empty again, and nobody waits for a timer of TCP's.
    trio.phone.borrow_mut().node.machine_mut().close(trio.world.now, name);
    trio.world.pass(Duration::from_secs(3));
    for host in [tcp_states(&trio.lamp.borrow().sockets), tcp_states(&trio.phone.borrow().sockets)]
    {
        assert!(
            host.iter().all(|state| matches!(state, State::Closed | State::TimeWait)),
            "{host:?}"
        );
    }
    // The next one finds a socket, although one may be in TIME-WAIT.
    for _ in 0..5 {
        let (name, _) = trio.connect().expect("another connection");
        trio.phone.borrow_mut().node.machine_mut().close(trio.world.now, name);
        trio.world.pass(Duration::from_millis(1_500));
    }
}

/// How many UDP sockets are open.
pub(crate) fn open_udp(sockets: &SocketSet<'_>) -> usize {
    let open = |socket: &Socket<'_>| matches!(socket, Socket::Udp(socket) if socket.is_open());
    sockets.iter().filter(|(_, socket)| open(socket)).count()
}

pub(crate) fn tcp_states(sockets: &SocketSet<'_>) -> Vec<State> {
    let states = sockets.iter().filter_map(|(_, socket)| match socket {
        Socket::Tcp(socket) => Some(socket.state()),
        _ => None,
    });
    states.collect()
}

#[test]
fn punches_through_two_nats() {
    let mut trio = trio(2, behind(presets::linux_masquerade), Some(Ability::SMALL));
    let (name, path) = trio.connect().expect("a connection");
    assert!(matches!(path, Path::Datagram { .. }), "{path:?}");
    assert!(arrives(&mut trio, name, vec![7; 1_000]));
    // The server measured both, through fresh sockets on consecutive ports.
    let measured = |event: &ServerEvent| match event {
        ServerEvent::Measured { profile, .. } => Some(*profile),
        _ => None,
    };
    let profiles: Vec<_> = trio.heard.borrow().iter().filter_map(measured).collect();
    assert!(profiles.len() >= 2, "{profiles:?}");
}

#[test]
fn speaks_ipv6() {
    let six = |last: u16| Site::public([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    let guarded =
        |last| Site { nat: Some((six(last).address, presets::rfc6092_firewall())), ..six(last) };
    let guards = (guarded(1), guarded(2));
    for (sites, punch) in [((six(1), six(2)), None), (guards, Some(Ability::SMALL))] {
        let mut trio = trio(3, sites, punch);
        let (name, path) = trio.connect().expect("a connection");
        assert!(!path.remote().is_ipv4());
        assert_eq!(matches!(path, Path::Datagram { .. }), punch.is_some(), "{path:?}");
        assert!(arrives(&mut trio, name, vec![7; 1_000]));
    }
}

/// With UDP blocked the registration goes over TCP, and so does the request.
#[test]
fn registers_over_tcp_where_udp_is_blocked() {
    let no_udp = || NatConfig { udp: false, ..presets::linux_masquerade() };
    let sites = (Site::behind([192, 0, 2, 1], no_udp()), public().1);
    let mut trio = trio(4, sites, None);
    let (name, path) = trio.connect().expect("a connection");
    assert!(matches!(path, Path::Stream { .. }));
    assert!(arrives(&mut trio, name, vec![7; 1_000]));
}
