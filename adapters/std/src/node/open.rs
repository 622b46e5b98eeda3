//! What starting a node is made of, whatever its role.

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use crate::driver::{Control, Engine, Journal, Nudge, Parts, Role};
use crate::event::{Events, Trace};
use crate::files::{FileError, StateDir};
use crate::lease::LeaseMode;
use crate::net::{Bind, Net};

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A socket could not be opened, or no thread be made.
    #[error("the node cannot start: {0}")]
    Io(#[from] io::Error),
    /// One of a server's further UDP sockets could not be opened.
    #[error("cannot listen on {address} as well: {error}")]
    OtherEnd {
        /// Where it was to be.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// Its state cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What it was told makes no sense to the machine.
    #[error("the node cannot start: {0}")]
    Config(String),
}

/// A node's sockets and the ways to its thread, before there is a machine.
pub(super) struct Groundwork<E> {
    net: Net,
    pub(super) nudge: Arc<Nudge>,
    pub(super) events: Events<E>,
    pub(super) bound: SocketAddr,
}

impl<E: Clone + Send + 'static> Groundwork<E> {
    pub(super) fn new(net: Net) -> io::Result<Self> {
        let nudge = Arc::new(Nudge::new(net.waker()?));
        let bound = net.local()?;
        Ok(Self { net, nudge, events: Events::new(), bound })
    }

    /// Starts the thread.
    pub(super) fn run<R: Role<Event = E>>(
        self,
        name: &str,
        role: R,
        trace: Trace,
        (listen, local, lease): (Bind, Option<SocketAddr>, LeaseMode),
    ) -> io::Result<Engine<R>> {
        let control = Arc::new(Control::new(self.nudge));
        let journal = Journal::new(self.events, trace);
        Engine::start(name, Parts { role, net: self.net, control, journal, listen, local, lease })
    }
}

/// The address from which this machine would send to `remote`. Nothing is sent.
pub(super) fn own_address(bound: SocketAddr, remote: SocketAddr) -> Option<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return Some(genkan_core::canonical(bound));
    }
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => core::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => core::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    Some(genkan_core::canonical(SocketAddr::new(ip, bound.port())))
}

/// A value of the state that can be done without: trouble with it becomes a text.
pub(super) fn optional<T>(
    state: Option<&Arc<StateDir>>,
    trouble: &mut Vec<String>,
    read: impl FnOnce(&StateDir) -> Result<Option<T>, FileError>,
) -> Option<T> {
    let read = read(state?);
    read.unwrap_or_else(|error| {
        trouble.push(format!("ignored: {error}"));
        None
    })
}
