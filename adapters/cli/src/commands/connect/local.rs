//! `--listen`: local clients, each joined to a stream of its own.

use core::net::SocketAddr;
use core::time::Duration;
use std::net::{TcpListener, TcpStream};
use std::thread;

use genkan_std::splice;

use super::door::Door;
use crate::args::HostPort;
use crate::exit::Failure;

/// How long a client waits while the connection to the appliance is being made.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to rest when the system has no file descriptors left.
const REST: Duration = Duration::from_millis(100);

/// Takes the port.
pub(super) fn bind(at: &HostPort) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error| Failure::other(format!("cannot listen on {at}: {error}"));
    let addresses = at.resolve()?;
    let listener = TcpListener::bind(addresses.as_slice()).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if !address.ip().is_loopback() {
        tracing::warn!("others on the network can use {address} too");
    }
    Ok((listener, address))
}

/// Takes clients on a thread of its own, until the process ends.
pub(super) fn start(listener: TcpListener, door: &Door) -> Result<(), Failure> {
    let door = door.clone();
    let taken = thread::Builder::new().name("listen".into()).spawn(move || {
        for client in listener.incoming() {
            let client = match client {
                Ok(client) => client,
                Err(error) => {
                    tracing::warn!("a client was not accepted: {error}");
                    thread::sleep(REST);
                    continue;
                }
            };
            let door = door.clone();
            let joined =
                thread::Builder::new().name("client".into()).spawn(move || join(&client, &door));
            if let Err(error) = joined {
                tracing::warn!("a client was dropped: {error}");
            }
        }
    });
    taken.map(drop).map_err(|error| Failure::other(format!("cannot start a thread: {error}")))
}

fn join(client: &TcpStream, door: &Door) {
    // Nothing depends on it.
    let _ = client.set_nodelay(true);
    let stream = match door.stream(PATIENCE) {
        Ok(stream) => stream,
        Err(failure) => {
            tracing::warn!("a client was turned away: {failure}");
            return;
        }
    };
    match splice(client, &stream) {
        Ok(moved) => tracing::info!(
            "a client is done: {} bytes sent, {} bytes received",
            moved.sent,
            moved.received
        ),
        Err(error) => tracing::info!("a client broke off: {error}"),
    }
}
