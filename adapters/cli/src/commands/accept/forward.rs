//! Joining the users' streams to the service.

use core::net::SocketAddr;
use core::time::Duration;
use std::net::TcpStream;
use std::{io, thread};

use genkan_std::{Stream, StreamListener, splice};

use crate::exit::Failure;
use crate::logs::tag;

/// How long the service may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes streams on a thread of its own, and joins each to a new connection on another. Their
/// number is bounded by the node: so many connections of so many streams.
pub(super) fn start(listener: StreamListener, service: Vec<SocketAddr>) -> Result<(), Failure> {
    let taken = thread::Builder::new().name("forward".into()).spawn(move || {
        // It ends with the node.
        while let Ok(stream) = listener.accept() {
            let service = service.clone();
            let joined =
                thread::Builder::new().name("stream".into()).spawn(move || join(&stream, &service));
            if let Err(error) = joined {
                // The stream went with the thread that could not be made.
                tracing::warn!("a stream was dropped: {error}");
            }
        }
    });
    taken.map(drop).map_err(|error| Failure::other(format!("cannot start a thread: {error}")))
}

fn join(stream: &Stream, service: &[SocketAddr]) {
    let who = tag(&stream.peer());
    let socket = match dial(service) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!("the service does not accept a connection for {who}: {error}");
            stream.abort();
            return;
        }
    };
    match splice(&socket, stream) {
        Ok(moved) => tracing::info!(
            "a stream of {who} ended: {} bytes to the user, {} bytes from there",
            moved.sent,
            moved.received
        ),
        Err(error) => tracing::info!("a stream of {who} broke off: {error}"),
    }
}

/// The first address that accepts.
fn dial(service: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in service {
        match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
