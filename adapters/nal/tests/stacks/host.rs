//! Three machines, each with a node and a stack of its own.

use embedded_nal::TcpFullStack;
use genkan_core::{ConnectionId, Instant, Machine, Path, ServerEvent, Target};
use genkan_nal::{App, Nal, Node};

use crate::machines::{TestAcceptor, TestIssuer, TestServer, lamp_id};
use crate::services::{LampApp, PhoneApp};

pub(crate) struct Host<M, S: Nal, A, const UDP: usize, const TCP: usize> {
    pub(crate) node: Node<M, S, UDP, TCP>,
    pub(crate) stack: S,
    pub(crate) app: A,
}

impl<M: Machine, S: Nal, A: App<M>, const UDP: usize, const TCP: usize> Host<M, S, A, UDP, TCP> {
    pub(crate) fn turn(&mut self, now: Instant) -> Instant {
        self.node.poll(now, &mut self.stack, &mut self.app)
    }
}

pub(crate) type Sink = Box<dyn FnMut(Instant, &mut TestServer, ServerEvent)>;

pub(crate) struct Trio<S: Nal + TcpFullStack> {
    pub(crate) server: Host<TestServer, S, Sink, 2, 6>,
    pub(crate) lamp: Host<TestAcceptor, S, LampApp, 5, 2>,
    pub(crate) phone: Host<TestIssuer, S, PhoneApp, 8, 3>,
}

impl<S: Nal + TcpFullStack> Trio<S> {
    /// A turn for each; when the next one is due.
    pub(crate) fn turn(&mut self, now: Instant) -> Instant {
        self.server.turn(now).min(self.lamp.turn(now)).min(self.phone.turn(now))
    }

    pub(crate) fn ask(&mut self, now: Instant) -> ConnectionId {
        self.phone.node.machine_mut().request(now, &Target::new(lamp_id())).unwrap()
    }

    pub(crate) fn path(&self, name: ConnectionId) -> Option<Path> {
        self.phone.node.machine().connection(name).map(|info| info.path)
    }

    pub(crate) fn registered(&self) -> bool {
        self.lamp.app.service.registered > 0
    }

    pub(crate) fn read(&self) -> usize {
        self.phone.app.service.read
    }
}
