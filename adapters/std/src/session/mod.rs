//! Sessions as an application sees them.
//!
//! A [`Session`] is one end-to-end connection, on either side. Over it run any number of byte
//! [`Stream`]s, which read and write like a TCP socket, and datagrams for those who want no more.
//!
//! The TCP inside the session's datagrams (`genkan-stream`) is shared, behind one lock per session,
//! between the node's loop, which moves packets, and the application's threads, which move bytes.
//! Nothing lies between: a writer waits when the peer does not read, all the way through. Threads of
//! the application never touch a socket, the loop never waits for the application.

mod errors;
mod link;
mod listener;
mod pump;
mod sessions;
mod splice;
mod stream;

use core::fmt;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use genkan_core::{CloseCause, ConnectionId, EquipmentId, MAX_PAYLOAD, Path};

pub use link::Traffic;
pub(crate) use link::{Link, Owner};
pub(crate) use listener::Ports;
pub use listener::StreamListener;
pub(crate) use pump::Peer;
pub(crate) use sessions::Sessions;
pub use splice::{Spliced, splice};
pub use stream::Stream;

use errors::closed;

/// How many outgoing datagrams of the application wait at most.
const OUTBOX: usize = 64;
/// How long [`Session::close`] lets streams finish.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// One connection between an issuer and an acceptor; clones are the same one.
///
/// At the issuer the connection is closed when the last clone and the last of its streams are
/// dropped. At the acceptor it stays until the issuer closes it, or [`Session::close`] is called.
#[derive(Clone)]
pub struct Session {
    owner: Arc<Owner>,
}

impl Session {
    pub(crate) const fn new(owner: Arc<Owner>) -> Self {
        Self { owner }
    }

    fn link(&self) -> &Arc<Link> {
        self.owner.link()
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> EquipmentId {
        self.link().peer
    }

    /// The connection's name in events.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.link().id
    }

    /// What carries it; what carried it last, when it is closed.
    #[must_use]
    pub fn path(&self) -> Path {
        self.link().lock().path
    }

    /// What has gone over it.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.link().lock().traffic
    }

    /// Why it is closed; `None` while it stands.
    #[must_use]
    pub fn closed(&self) -> Option<CloseCause> {
        self.link().lock().closed
    }

    /// Opens a stream to one of the peer's ports and waits until the peer has accepted or refused it.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) when nobody listens there,
    /// [`TimedOut`](io::ErrorKind::TimedOut), and whatever says that the session is closed.
    pub fn open(&self, port: u16) -> io::Result<Stream> {
        Stream::open(&self.owner, port)
    }

    /// Sends a datagram. It may be lost, as datagrams are.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when it is longer than
    /// [`MAX_PAYLOAD`], [`WouldBlock`](io::ErrorKind::WouldBlock) when too many wait to leave, and
    /// whatever says that the session is closed.
    pub fn send_datagram(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > MAX_PAYLOAD {
            let text = format!("a datagram holds at most {MAX_PAYLOAD} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut inner = self.link().lock();
        if let Some(cause) = inner.closed {
            return Err(closed(cause));
        }
        if inner.outbox.len() >= OUTBOX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        inner.outbox.push_back(bytes.to_vec());
        drop(inner);
        self.link().touch();
        Ok(())
    }

    /// The next datagram from the peer; waits for it, for at most `timeout` where there is one.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut), and whatever says that the session is closed.
    pub fn recv_datagram(&self, timeout: Option<Duration>) -> io::Result<Vec<u8>> {
        self.link().wait(timeout, |inner| {
            if let Some(datagram) = inner.inbox.pop_front() {
                return Some(Ok(datagram));
            }
            inner.closed.map(|cause| Err(closed(cause)))
        })
    }

    /// Closes the session: waits up to five seconds for streams that both ends have finished, or
    /// that were dropped here, to deliver what they hold; then the peer is told. Streams that are
    /// held and open use that time up: finish or drop them before.
    pub fn close(&self) {
        self.close_within(CLOSE_GRACE);
    }

    /// As [`Session::close`] with another time; zero cuts everything off.
    pub fn close_within(&self, grace: Duration) {
        self.link().begin_close(grace);
        self.link().wait_closed(grace.saturating_add(CLOSE_GRACE));
    }

    /// Waits until the session is closed, for at most `timeout` where there is one; says why.
    #[must_use]
    pub fn wait_closed(&self, timeout: Option<Duration>) -> Option<CloseCause> {
        self.link().wait(timeout, |inner| inner.closed.map(Ok)).ok()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).field("peer", &self.peer()).finish()
    }
}
