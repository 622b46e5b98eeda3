//! The operating system's stack, through `std-embedded-nal`, on the loopback and in real time.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use genkan_core::punch::Ability;
use genkan_core::{Path, Target};
use genkan_nal::{Node, Options};
use genkan_std::{
    Bind, Clock, IssuerNode, IssuerOptions, OtherPort, ServerNode, ServerOptions, Session,
};
use std_embedded_nal::Stack;

use crate::host::{Host, Sink, Trio};
use crate::machines::{acceptor, issuer, issuer_config, lamp_id, server, server_config};
use crate::services::{LONG, echo, fetch};

const PATIENCE: Duration = Duration::from_secs(30);

fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A port that nobody has a moment before; the next one, too.
fn free_port() -> u16 {
    let free = |port| std::net::UdpSocket::bind(("::", port)).is_ok();
    let try_one = || {
        let port = std::net::TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
        (port < u16::MAX && free(port) && free(port + 1)).then_some(port)
    };
    (0..100).find_map(|_| try_one()).unwrap()
}

/// Without listeners: connections that `std-embedded-nal` 0.4 has accepted block when they are read.
fn trio(clock: &Clock) -> Trio<Stack> {
    let (now, wall, port) = (clock.now(), wall(), free_port());
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let (seed, punch) = (u32::from(port), Some(Ability::SMALL));
    let sink: Sink = Box::new(|_, _, _| {});
    let config = server_config(wall, Some(port + 1));
    let options = Options { listening: false, ..Options::server(port, Some(port + 1)) };
    let phone = issuer(now, issuer_config(wall, at, punch));
    Trio {
        server: Host {
            node: Node::dialling(server(now, config), options),
            stack: Stack,
            app: sink,
        },
        lamp: Host {
            node: Node::dialling(acceptor(now, wall, at, punch), Options::equipment(seed)),
            stack: Stack,
            app: echo(now),
        },
        phone: Host {
            node: Node::dialling(phone, Options::equipment(!seed)),
            stack: Stack,
            app: fetch(now),
        },
    }
}

fn until(clock: &Clock, trio: &mut Trio<Stack>, done: impl Fn(&Trio<Stack>) -> bool) -> bool {
    let end = clock.now().after(PATIENCE);
    while clock.now() < end {
        let wake = trio.turn(clock.now());
        if done(trio) {
            return true;
        }
        // Much sooner than asked for: three machines wait for each other here.
        thread::sleep(wake.since(clock.now()).min(Duration::from_micros(200)));
    }
    false
}

#[test]
fn three_machines_over_the_operating_system_s_stack() {
    let clock = Clock::default();
    let mut trio = trio(&clock);
    assert!(until(&clock, &mut trio, |trio| trio.registered()));
    let name = trio.ask(clock.now());
    assert!(until(&clock, &mut trio, |trio| trio.path(name).is_some()));
    assert!(matches!(trio.path(name), Some(Path::Datagram { .. })), "{:?}", trio.path(name));
    let done = |trio: &Trio<Stack>| trio.read() == LONG && trio.lamp.app.service.ended == 1;
    assert!(until(&clock, &mut trio, done), "{} of {LONG} bytes", trio.read());
    trio.phone.node.machine_mut().close(clock.now(), name);
    assert!(until(&clock, &mut trio, |trio| trio.lamp.app.service.closed == 1));
}

/// A lamp that runs on a thread until this is dropped.
struct Lamp(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Lamp {
    fn start(server: SocketAddr, punch: Option<Ability>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let run = move || {
            let (clock, mut stack) = (Clock::default(), Stack);
            let machine = acceptor(clock.now(), wall(), server, punch);
            let options = Options::equipment(u32::from(server.port()));
            let mut node = Node::<_, Stack, 5, 2>::dialling(machine, options);
            let mut app = echo(clock.now());
            while !flag.load(Ordering::Relaxed) {
                let wake = node.poll(clock.now(), &mut stack, &mut app);
                thread::sleep(wake.since(clock.now()));
            }
        };
        Self(over, Some(thread::spawn(run)))
    }
}

impl Drop for Lamp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.take().map(thread::JoinHandle::join);
    }
}

/// Waits until the lamp is registered.
fn connect(issuer: &IssuerNode) -> Session {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        match issuer.connect(&Target::new(lamp_id())) {
            Ok(session) => return session,
            Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_lamp_on_embedded_nal_and_hosts_of_the_usual_kind() {
    for punch in [None, Some(Ability::SMALL)] {
        let loopback = || Bind::At(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut options = ServerOptions::new(server_config(wall(), None), loopback());
        (options.clients, options.other_port) = (8, OtherPort::Next);
        let server = ServerNode::start(options).unwrap();
        let at = server.local_addr();
        let _lamp = Lamp::start(at, punch);
        let mut options = IssuerOptions::new(issuer_config(wall(), at, punch));
        (options.bind, options.listen) = (loopback(), loopback());
        let issuer = IssuerNode::start(options).unwrap();
        let session = connect(&issuer);
        let mut stream = session.open(80).unwrap();
        let sent: Vec<u8> = (0..LONG).map(|at| (at % 251) as u8).collect();
        let mut read = vec![0; LONG];
        thread::scope(|scope| {
            scope.spawn(|| (&stream).write_all(&sent).unwrap());
            (&stream).read_exact(&mut read).unwrap();
        });
        assert_eq!(read, sent);
        stream.flush().unwrap();
        let end = std::time::Instant::now() + PATIENCE;
        while matches!(session.path(), Path::Datagram { .. }) != punch.is_some() {
            assert!(std::time::Instant::now() < end, "{:?}", session.path());
            thread::sleep(Duration::from_millis(5));
        }
    }
}
