//! Each rule can be seen to break: worlds with one machine that does what none may do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod first;
mod healing;
mod holes;
mod rest;
mod second;
mod table;
mod third;

use core::any::Any;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{Instant, SocketId, StreamId, StreamState};

use super::build::Swarm;
use super::checks::PAYLOAD;
use super::{ACT, Failure, HEADER, Report, Settings, Source, outcome};
use crate::fleet::AcceptorApp;
use crate::net::HostId;
use crate::node::{Io, Node};

/// What a rogue does after its machine was called: told the last datagram's source and bytes.
type Deed = Box<dyn FnMut(&mut dyn Node, &mut Io, Option<(SocketAddr, &[u8])>)>;

/// A machine in the hands of somebody else.
struct Rogue {
    inner: Box<dyn Node>,
    /// What it does with what its machine has done.
    deed: Deed,
    /// Which datagrams its machine does not see, and what source it is told.
    front: fn(SocketAddr, &[u8]) -> Option<SocketAddr>,
    /// What it says in place of the time at which its machine wants to be called.
    next: fn(Option<Instant>) -> Option<Instant>,
    last: Option<(SocketAddr, Vec<u8>)>,
}

impl Node for Rogue {
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        self.last = Some((remote, bytes.to_vec()));
        if let Some(remote) = (self.front)(remote, bytes) {
            self.inner.datagram(io, socket, remote, bytes);
        }
    }

    fn stream(&mut self, io: &mut Io, stream: StreamId, bytes: &mut [u8]) -> usize {
        self.inner.stream(io, stream, bytes)
    }

    fn stream_state(&mut self, io: &mut Io, stream: StreamId, state: StreamState) {
        self.inner.stream_state(io, stream, state);
    }

    fn accept(&mut self, io: &mut Io, listener: SocketId, remote: SocketAddr) -> Option<StreamId> {
        self.inner.accept(io, listener, remote)
    }

    fn bound(&mut self, io: &mut Io, socket: SocketId, local: Option<SocketAddr>) {
        self.inner.bound(io, socket, local);
    }

    fn timeout(&mut self, io: &mut Io) {
        self.inner.timeout(io);
    }

    fn drain(&mut self, io: &mut Io) -> Option<Instant> {
        let next = self.inner.drain(io);
        let last = self.last.take();
        (self.deed)(&mut *self.inner, io, last.as_ref().map(|(from, bytes)| (*from, &bytes[..])));
        (self.next)(next)
    }

    fn machine(&self) -> &dyn Any {
        self.inner.machine()
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        self.inner.machine_mut()
    }

    fn app(&self) -> &dyn Any {
        self.inner.app()
    }

    fn app_mut(&mut self) -> &mut dyn Any {
        self.inner.app_mut()
    }

    fn both_mut(&mut self) -> Option<(&mut dyn Any, &mut dyn Any)> {
        self.inner.both_mut()
    }
}

/// Who turns rogue.
#[derive(Clone, Copy)]
enum Who {
    Server,
    Lamp,
}

const REQUEST: [u8; ACT] = act(5, 0);
const SAY: [u8; ACT] = act(13, 9);
const HANG_UP: [u8; ACT] = act(20, 0);
const BAD_REQUEST: [u8; ACT] = act(22, 2);

/// An act of the phone's, which is the second of the two devices, some 40 s after the one before.
const fn act(kind: u8, level: u8) -> [u8; ACT] {
    let mut record = [0; ACT];
    (record[0], record[1], record[3], record[4]) = (kind, 1, level, 34);
    record
}

/// A quiet world: one lamp and one phone in the public internet, the door open by password where
/// `way` is 1. After a while the phone asks, says something, and asks with a wrong password.
struct Plan {
    settings: Settings,
    header: [u8; HEADER],
    acts: Vec<u8>,
}

impl Plan {
    fn new(way: u8) -> Self {
        let settings = Settings { duration: Duration::from_secs(300), ..Settings::default() };
        let mut header = [0; HEADER];
        header[7] = 5;
        header[59] = way;
        Self { settings, header, acts: [REQUEST, SAY, BAD_REQUEST].concat() }
    }

    fn swarm(&self) -> Swarm {
        let swarm = Swarm::new(&self.settings, &self.header, true);
        assert_eq!((swarm.acceptors.len(), swarm.issuers.len()), (1, 1));
        swarm
    }

    fn live(&self, swarm: &mut Swarm) -> Result<Report, Box<Failure>> {
        outcome(swarm, &self.settings, &mut Source::bytes(&self.acts))
    }
}

fn host(swarm: &Swarm, who: Who) -> HostId {
    match who {
        Who::Server => swarm.fleet.server,
        Who::Lamp => swarm.acceptors[0].host,
    }
}

fn rogue(swarm: &mut Swarm, who: Who, change: impl FnOnce(&mut Rogue)) {
    let host = host(swarm, who);
    rogue_host(swarm, host, change);
}

fn rogue_host(swarm: &mut Swarm, host: HostId, change: impl FnOnce(&mut Rogue)) {
    let slot = &mut swarm.fleet.world.slots[host.0];
    let inner = slot.node.take().unwrap();
    let (deed, front): (Deed, _) = (Box::new(|_, _, _| ()), |remote, _: &[u8]| Some(remote));
    let mut rogue = Rogue { inner, deed, front, next: |next| next, last: None };
    change(&mut rogue);
    slot.node = Some(Box::new(rogue));
}

fn corrupt(
    swarm: &mut Swarm,
    who: Who,
    deed: impl FnMut(&mut dyn Node, &mut Io, Option<(SocketAddr, &[u8])>) + 'static,
) {
    rogue(swarm, who, |rogue| rogue.deed = Box::new(deed));
}

/// As [`corrupt`], of any host.
fn corrupt_host(
    swarm: &mut Swarm,
    host: HostId,
    deed: impl FnMut(&mut dyn Node, &mut Io, Option<(SocketAddr, &[u8])>) + 'static,
) {
    rogue_host(swarm, host, |rogue| rogue.deed = Box::new(deed));
}

/// As [`corrupt`], of what the machine is shown.
fn blind(swarm: &mut Swarm, who: Who, front: fn(SocketAddr, &[u8]) -> Option<SocketAddr>) {
    rogue(swarm, who, |rogue| rogue.front = front);
}

/// The lamp's application.
fn app(node: &mut dyn Node) -> &mut AcceptorApp {
    node.app_mut().downcast_mut().unwrap()
}

fn is(bytes: &[u8], kind: Kind) -> bool {
    Kind::of(bytes) == Ok(kind)
}

fn broken(rule: &str, plan: &Plan, swarm: &mut Swarm) -> String {
    let failure = plan.live(swarm).expect_err(rule);
    assert_eq!(failure.rule, rule, "{failure}");
    failure.what.clone()
}

/// Whether it is the first time.
fn once() -> impl FnMut() -> bool {
    let mut done = false;
    move || !core::mem::replace(&mut done, true)
}

const STRANGER: &str = "203.0.113.77:5000";
