//! TCP connections between namespaces.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use crate::netns::Namespace;
use crate::scenario::{Inside, Remote, Seen};

type Ends = (Inside, Remote);

/// The listeners of the remotes, and both ends of each connection.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    listeners: BTreeMap<Remote, TcpListener>,
    open: BTreeMap<Ends, (TcpStream, TcpStream)>,
}

impl Streams {
    /// An inside host connects: what the remote sees.
    #[expect(clippy::expect_used, reason = "a port of a namespace of our own")]
    pub(crate) fn connect(
        &mut self,
        internet: &Namespace,
        host: &Namespace,
        ends: Ends,
        longest: Duration,
    ) -> Seen {
        let (inside, remote) = ends;
        let listener = self.listeners.entry(remote).or_insert_with(|| {
            let listener = internet.within(|| TcpListener::bind(remote.address()));
            let listener = listener.expect("the port is free");
            listener.set_nonblocking(true).expect("a socket can be set not to block");
            listener
        });
        let near = match connect(host, inside.address(), remote.address(), longest) {
            Ok(near) => near,
            Err(seen) => return seen,
        };
        let start = Instant::now();
        while start.elapsed() < longest {
            if let Ok((far, source)) = listener.accept() {
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let _ = (near.set_nonblocking(false), far.set_nonblocking(false));
                self.open.insert(ends, (near, far));
                return Seen::From(source);
            }
            sleep(Duration::from_micros(500));
        }
        Seen::Nothing
    }

    /// A byte goes out: what the remote sees.
    pub(crate) fn up(&self, ends: Ends, longest: Duration) -> Seen {
        let (near, far) = &self.open[&ends];
        pass(near, far, longest).unwrap_or_else(|| far.peer_addr().map_or(Seen::Reset, Seen::From))
    }

    /// A byte goes in: what the inside host sees.
    pub(crate) fn down(&self, ends: Ends, longest: Duration) -> Seen {
        let (near, far) = &self.open[&ends];
        pass(far, near, longest).unwrap_or(Seen::At(ends.0))
    }
}

/// A remote tries to connect inwards.
pub(crate) fn knock(internet: &Namespace, from: Remote, to: SocketAddr, longest: Duration) -> Seen {
    match connect(internet, from.address(), to, longest) {
        Ok(stream) => stream.local_addr().map_or(Seen::Nothing, Seen::From),
        Err(seen) => seen,
    }
}

#[expect(clippy::expect_used, reason = "a port of a namespace of our own")]
fn connect(
    namespace: &Namespace,
    from: SocketAddr,
    to: SocketAddr,
    longest: Duration,
) -> Result<TcpStream, Seen> {
    namespace.within(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        socket.bind(&from.into()).expect("the port is free");
        match socket.connect_timeout(&to.into(), longest) {
            Ok(()) => Ok(socket.into()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Err(Seen::Reset),
            Err(_) => Err(Seen::Nothing),
        }
    })
}

/// Whether one byte passes; `None` when it does.
fn pass(mut from: &TcpStream, mut to: &TcpStream, longest: Duration) -> Option<Seen> {
    if from.write_all(b"x").is_err() {
        return Some(Seen::Reset);
    }
    let _ = to.set_read_timeout(Some(longest));
    match to.read(&mut [0]) {
        Ok(1) => None,
        Ok(_) => Some(Seen::Reset),
        // Nothing came: was the sender told why?
        Err(_) => match from.take_error() {
            Ok(None) => Some(Seen::Nothing),
            _ => Some(Seen::Reset),
        },
    }
}
