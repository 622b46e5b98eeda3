//! What a stack may do to a node.

use core::cell::RefCell;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::rc::Rc;

use genkan_core::punch::Ability;
use genkan_core::wire::{CERTIFICATE_REQUEST_LEN, Kind};
use genkan_core::{ConnectionId, Instant, Path, ServerEvent};
use genkan_nal::{Counters, Node, Options};
use genkan_sim::nat::presets;
use genkan_sim::{Nat, NatConfig, Rng};
use genkan_turn::REQUESTS;

use crate::host::{Host, Sink, Trio};
use crate::machines::{acceptor, issuer, issuer_config, server, server_config};
use crate::memory::{Memory, Moods, Net};
use crate::services::{LONG, echo, fetch};

const SECOND: Duration = Duration::from_secs(1);
/// Seconds since 1970 when these worlds begin.
const START: u64 = 1_767_225_600;
const SERVER: SocketAddr =
    SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 1)), 4_600);

const OTHER_PORT: u16 = 4_601;

struct World {
    net: Rc<RefCell<Net>>,
    now: Instant,
    trio: Trio<Memory>,
    measured: Rc<RefCell<usize>>,
}

/// How a world differs from the plain one.
#[derive(Clone, Copy)]
struct Setting {
    seed: u64,
    moods: Moods,
    punch: Option<Ability>,
    nat: Option<fn() -> NatConfig>,
    /// Sockets that the lamp's stack has.
    sockets: usize,
    /// The phone's stack cannot listen.
    dials_only: bool,
    options: Options,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            seed: 1,
            moods: Moods::default(),
            punch: None,
            nat: None,
            sockets: 32,
            dials_only: false,
            options: Options::equipment(5),
        }
    }
}

impl World {
    fn new(setting: Setting) -> Self {
        let now = Instant::from_millis(1_000);
        let net = Net::new(setting.seed);
        net.borrow_mut().moods = setting.moods;
        let stack = |number: u8, sockets| {
            let (inside, outside) = ([10, number, 0, 2], [198, 51, 100, number]);
            match setting.nat {
                None => Memory::new(&net, outside.into(), sockets),
                Some(config) => {
                    let rng = Rng::new(setting.seed ^ u64::from(number));
                    let nat = Nat::new(&[outside.into()], config(), rng);
                    Memory::new(&net, inside.into(), sockets).behind(outside.into(), nat)
                }
            }
        };
        let measured = Rc::new(RefCell::new(0));
        let count = Rc::clone(&measured);
        let sink: Sink = Box::new(move |_, _, event| {
            *count.borrow_mut() += usize::from(matches!(event, ServerEvent::Measured { .. }));
        });
        let config = issuer_config(START, SERVER, setting.punch);
        let (phone, options) = (issuer(now, config), Options::equipment(6));
        let phone = match setting.dials_only {
            true => Node::dialling(phone, options),
            false => Node::new(phone, options),
        };
        let lamp = acceptor(now, START, SERVER, setting.punch);
        let trio = Trio {
            server: Host {
                node: Node::new(
                    server(now, server_config(START, Some(OTHER_PORT))),
                    Options::server(SERVER.port(), Some(OTHER_PORT)),
                ),
                stack: Memory::new(&net, SERVER.ip(), 32),
                app: sink,
            },
            lamp: Host {
                node: Node::new(lamp, setting.options),
                stack: stack(1, setting.sockets),
                app: echo(now),
            },
            phone: Host { node: phone, stack: stack(2, 32), app: fetch(now) },
        };
        let mut world = Self { net, now, trio, measured };
        assert!(world.until(SECOND * 60, |trio| trio.registered()));
        world
    }

    fn until(&mut self, longest: Duration, done: impl Fn(&Trio<Memory>) -> bool) -> bool {
        let end = self.now.after(longest);
        while self.now < end {
            self.net.borrow_mut().now = Duration::from_micros(self.now.as_micros());
            let wake = self.trio.turn(self.now);
            if done(&self.trio) {
                return true;
            }
            self.now = wake.max(self.now.after(Duration::from_micros(1))).min(end);
        }
        false
    }

    fn pass(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    fn connect(&mut self) -> (ConnectionId, Path) {
        let name = self.trio.ask(self.now);
        assert!(self.until(SECOND * 30, |trio| trio.path(name).is_some()), "no connection");
        (name, self.trio.path(name).unwrap())
    }

    /// Waits until the connection has this kind of path.
    fn settles(&mut self, name: ConnectionId, datagrams: bool) -> bool {
        let is = |path| matches!(path, Some(Path::Datagram { .. })) == datagrams;
        self.until(SECOND * 30, |trio| is(trio.path(name)))
    }

    /// Waits until everything has gone there and back.
    fn carry(&mut self) {
        let done = |trio: &Trio<Memory>| trio.read() == LONG && trio.lamp.app.service.ended == 1;
        let carried = self.until(SECOND * 600, done);
        assert!(carried, "{} of {LONG} bytes", self.trio.read());
    }

    fn lamp(&self) -> Counters {
        *self.trio.lamp.node.counters()
    }
}

#[test]
fn registers_and_dials_back_and_gives_every_socket_back() {
    let mut world = World::new(Setting::default());
    let idle = *world.trio.lamp.stack.open.borrow();
    for _ in 0..4 {
        let (name, path) = world.connect();
        assert!(matches!(path, Path::Stream { .. }), "{path:?}");
        world.trio.phone.node.machine_mut().close(world.now, name);
        world.pass(SECOND * 3);
        assert_eq!(*world.trio.lamp.stack.open.borrow(), idle);
    }
    assert_eq!(world.trio.lamp.app.service.closed, 4);
    assert_eq!(world.lamp(), Counters::default());
}

/// The phone's stack cannot listen: there is no dial-back, and both ends' NATs are in the way.
#[test]
fn punches_through_two_nats() {
    let nat: fn() -> NatConfig = presets::linux_masquerade;
    let (punch, nat) = (Some(Ability::SMALL), Some(nat));
    let mut world = World::new(Setting { punch, nat, dials_only: true, ..Setting::default() });
    let (_, path) = world.connect();
    assert!(matches!(path, Path::Datagram { .. }), "{path:?}");
    let measured = Rc::clone(&world.measured);
    assert!(world.until(SECOND, |_| *measured.borrow() >= 2));
    world.carry();
    // The fresh sockets of measuring and of the attempt are closed again.
    world.pass(SECOND * 20);
    assert!(world.trio.lamp.stack.open.borrow().0 <= 3);
    assert_eq!(world.lamp(), Counters::default());
}

/// Behind boxes that punish early packets the bubbles would need a hop limit.
#[test]
fn a_bubble_that_needs_a_hop_limit_is_not_sent() {
    let nat: fn() -> NatConfig = presets::linux_masquerade_no_wan_drop;
    let (punch, nat) = (Some(Ability::SMALL), Some(nat));
    let mut world = World::new(Setting { punch, nat, ..Setting::default() });
    let (name, _) = world.connect();
    world.carry();
    assert!(!world.settles(name, true), "the dial-back's path remains");
    let phone = *world.trio.phone.node.counters();
    assert!(world.lamp().unlimited + phone.unlimited > 0);
    // Nobody has lost the registration by it.
    world.connect();
}

#[test]
fn streams_pass_whatever_the_stack_does() {
    for (seed, vague) in [(1, false), (2, true), (3, false), (4, true)] {
        let moods = Moods { blocked: 0.2, partial: true, vague, ..Moods::default() };
        for punch in [None, Some(Ability::SMALL)] {
            let mut world = World::new(Setting { seed, moods, punch, ..Setting::default() });
            let (name, _) = world.connect();
            let settles = world.settles(name, punch.is_some());
            assert!(settles, "{seed}: {:?}", world.trio.path(name));
            world.net.borrow_mut().moods.loss = 0.05;
            world.carry();
            let net = world.net.borrow();
            assert!(net.blocked > 50, "{}", net.blocked);
            assert!(punch.is_some() || net.parts > 100, "{}", net.parts);
            let machine = world.trio.lamp.node.machine();
            assert_eq!(machine.counters().lost_events(), 0);
        }
    }
}

/// A turn reads everything that is there, however small the pieces are that the stack gives.
#[test]
fn a_turn_reads_until_nothing_comes() {
    let took = |pieces| {
        let moods = Moods { pieces, ..Moods::default() };
        let mut world = World::new(Setting { moods, ..Setting::default() });
        world.connect();
        let begun = world.now;
        world.carry();
        world.now.since(begun)
    };
    let (whole, pieces) = (took(false), took(true));
    assert!(pieces < whole * 2, "{pieces:?} instead of {whole:?}");
}

/// A port that is taken costs another try.
#[test]
fn ports_that_are_taken_are_passed_over() {
    let moods = Moods { taken: 0.3, ..Moods::default() };
    let punch = Some(Ability::SMALL);
    let mut world = World::new(Setting { seed: 5, moods, punch, ..Setting::default() });
    let (name, _) = world.connect();
    assert!(world.settles(name, true));
    assert!(*world.measured.borrow() > 0, "fresh sockets were found");
    assert!(world.lamp().unbound + world.trio.phone.node.counters().unbound > 0);
    world.carry();
}

/// What the stack has no room for waits in the machine and leaves as soon as there is some, long
/// before a timer would repeat it.
#[test]
fn what_would_block_is_not_lost() {
    let mut world = World::new(Setting::default());
    world.net.borrow_mut().moods.blocked = 1.0;
    let name = world.trio.ask(world.now);
    world.pass(Duration::from_millis(100));
    assert!(world.net.borrow().blocked > 5);
    world.net.borrow_mut().moods.blocked = 0.0;
    assert!(world.until(Duration::from_millis(100), |trio| trio.path(name).is_some()));
}

/// One socket of each kind: no measuring, no fresh ports, but a dial-back.
#[test]
fn sockets_that_run_out_are_done_without() {
    let punch = Some(Ability::SMALL);
    let nat: fn() -> NatConfig = || presets::linux_snat_sequential(40_000..=40_999);
    let setting = Setting { punch, nat: Some(nat), sockets: 2, ..Setting::default() };
    let mut world = World::new(setting);
    let (_, path) = world.connect();
    assert!(matches!(path, Path::Stream { .. }), "{path:?}");
    world.carry();
    assert!(world.lamp().exhausted > 0);
    assert_eq!(world.trio.lamp.stack.open.borrow().0, 2);
}

/// A stack that has no socket yet is asked again.
#[test]
fn a_stack_that_comes_up_late_is_waited_for() {
    let moods = Moods { taken: 0.9, ..Moods::default() };
    let world = World::new(Setting { seed: 6, moods, ..Setting::default() });
    assert!(world.lamp().unbound > 0 || world.trio.server.node.counters().unbound > 0);
}

/// An application that is told of packets has turns then only, and what waits has its own.
#[test]
fn the_interval_is_the_application_s_choice() {
    let far = Options { interval: SECOND * 3_600, ..Options::equipment(5) };
    let mut world = World::new(Setting { options: far, ..Setting::default() });
    let wake = |world: &mut World| world.trio.lamp.turn(world.now).since(world.now);
    world.pass(SECOND);
    assert!(wake(&mut world) > SECOND, "{:?}", wake(&mut world));
    assert!(world.trio.phone.turn(world.now).since(world.now) <= Duration::from_millis(10));
    world.net.borrow_mut().moods.blocked = 1.0;
    world.pass(SECOND * 30);
    assert!(wake(&mut world) <= Duration::from_millis(10), "{:?}", wake(&mut world));
}

/// The stack's queue is long, and each datagram may be a handshake: a turn takes a few, and asks for
/// another one at once.
#[test]
fn what_waits_is_taken_in_turns() {
    let mut world = World::new(Setting::default());
    let mut request = [0; CERTIFICATE_REQUEST_LEN];
    request[0] = Kind::CertificateRequest as u8;
    let senders = [10, 11, 12, 13].map(|host| SocketAddr::new([192, 0, 2, host].into(), 7));
    let (now, few) = (world.now, usize::from(REQUESTS / 2));
    for from in senders {
        world.net.borrow_mut().flood(from, SERVER, &request, 64);
    }
    for turns in 1..=256 / few {
        assert!(world.trio.server.turn(now) <= now, "there is more");
        assert_eq!(world.net.borrow().waiting(SERVER), 256 - turns * few);
    }
    assert!(world.trio.server.turn(now) > now);
    for from in senders {
        assert_eq!(world.net.borrow().waiting(from), 64, "answers");
    }
    // What is thrown away at a look, a turn takes more of; who is registered stays so.
    for _ in 0..300 {
        world.pass(SECOND);
        let port = world.trio.lamp.node.port();
        let lamp = SocketAddr::new([198, 51, 100, 1].into(), port);
        world.net.borrow_mut().flood(SERVER, lamp, &[0xff; 40], 1_000);
        assert!(world.trio.lamp.turn(world.now) <= world.now);
        assert!(world.net.borrow().waiting(lamp) >= 744);
    }
    assert_eq!(world.trio.lamp.app.service.registered, 1);
    world.connect();
    world.carry();
}

/// As the crate's head says.
#[test]
fn a_node_takes_the_memory_that_is_told() {
    let size = |places: usize| 1_500 + 2_600 * places;
    let sizes = [size_of::<Node<(), Memory, 1, 0>>(), size_of::<Node<(), Memory, 1, 2>>()];
    assert!(sizes[0] < size(0) && sizes[1] < size(2), "{sizes:?}");
}
