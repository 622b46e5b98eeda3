//! A byte stream that reads and writes like a TCP socket.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use genkan_core::EquipmentId;
use genkan_stream::{StreamError, StreamHandle, StreamState};

use super::Session;
use super::errors;
use super::link::{Link, Owner};

/// One byte stream of a session. Clones are the same stream: give one to the thread that reads and
/// one to the thread that writes. When the last is dropped, what was written is still delivered.
///
/// [`Write::write`] waits while the peer does not read, [`Read::read`] until something arrives;
/// both as long as the timeouts allow. [`Read::read`] gives 0 at the end of the stream.
#[derive(Clone)]
pub struct Stream {
    shared: Arc<Shared>,
}

struct Shared {
    owner: Arc<Owner>,
    handle: StreamHandle,
    port: u16,
    /// Timeouts in microseconds; 0 = none.
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
    read_shut: AtomicBool,
}

impl Stream {
    pub(super) fn new(owner: Arc<Owner>, handle: StreamHandle, port: u16) -> Self {
        owner.link().lock().held.push(handle);
        let (read_timeout, write_timeout) = (AtomicU64::new(0), AtomicU64::new(0));
        let read_shut = AtomicBool::new(false);
        let shared = Shared { owner, handle, port, read_timeout, write_timeout, read_shut };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn open(owner: &Arc<Owner>, port: u16) -> io::Result<Self> {
        let link = owner.link();
        let now = link.now();
        let mut inner = link.lock();
        if let Some(cause) = inner.closed {
            return Err(errors::closed(cause));
        }
        inner.make_room();
        let handle = inner.stack.connect(now, port).map_err(errors::connect)?;
        drop(inner);
        let stream = Self::new(Arc::clone(owner), handle, port);
        link.touch();
        link.wait(None, |inner| match inner.stack.state(handle) {
            Ok(StreamState::Opening) => None,
            Ok(StreamState::Ended(reason)) => Some(Err(errors::ended(reason))),
            Ok(_) => Some(Ok(())),
            Err(error) => Some(Err(errors::stream(error))),
        })?;
        Ok(stream)
    }

    fn link(&self) -> &Arc<Link> {
        self.shared.owner.link()
    }

    /// The port that was asked for: the peer's where it was opened here, ours where the peer did.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> EquipmentId {
        self.link().peer
    }

    /// The session that it belongs to.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::new(Arc::clone(&self.shared.owner))
    }

    /// How long a read waits at most; `None`, the default, is for ever. For all clones.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.shared.read_timeout.store(to_micros(timeout), Ordering::Relaxed);
    }

    /// How long a write waits at most; `None`, the default, is for ever. For all clones.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.shared.write_timeout.store(to_micros(timeout), Ordering::Relaxed);
    }

    /// Ends one direction or both. Ending the writing one is how the peer reads the end of the
    /// stream, after everything that was written; the other direction stays open.
    ///
    /// # Errors
    /// When the stream is gone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.shared.read_shut.store(true, Ordering::Relaxed);
        }
        if how != Shutdown::Read {
            self.link().lock().stack.finish(self.shared.handle).map_err(errors::stream)?;
        }
        self.link().notify();
        self.link().touch();
        Ok(())
    }

    /// Breaks the stream off: what is under way is lost, and the peer sees a reset. For all clones.
    pub fn abort(&self) {
        let mut inner = self.link().lock();
        inner.held.retain(|held| *held != self.shared.handle);
        // A stream that is gone already needs no abort.
        let _ = inner.stack.abort(self.shared.handle);
        drop(inner);
        self.link().notify();
        self.link().touch();
    }

    /// Waits until the peer's side has acknowledged everything that was written.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut), or why the stream ended before.
    pub fn wait_delivered(&self, timeout: Option<Duration>) -> io::Result<()> {
        let handle = self.shared.handle;
        self.link().wait(timeout, |inner| match inner.stack.state(handle) {
            Ok(StreamState::Ended(genkan_stream::EndReason::Finished)) => Some(Ok(())),
            Ok(StreamState::Ended(reason)) => Some(Err(errors::ended(reason))),
            Ok(_) if inner.stack.unacknowledged(handle) == 0 => Some(Ok(())),
            Ok(_) => None,
            Err(error) => Some(Err(errors::stream(error))),
        })
    }

    fn receive(&self, room: &mut [u8]) -> io::Result<usize> {
        if room.is_empty() {
            return Ok(0);
        }
        let shared = &self.shared;
        let timeout = from_micros(shared.read_timeout.load(Ordering::Relaxed));
        let count = self.link().wait(timeout, |inner| {
            if shared.read_shut.load(Ordering::Relaxed) {
                return Some(Ok(0));
            }
            match inner.stack.recv(shared.handle, room) {
                Ok(0) => None,
                Ok(count) => Some(Ok(count)),
                Err(StreamError::Finished) => Some(Ok(0)),
                Err(error) => Some(Err(errors::stream(error))),
            }
        })?;
        if count > 0 {
            // There is room for the peer again, and it must be told.
            self.link().touch();
        }
        Ok(count)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let timeout = from_micros(self.shared.write_timeout.load(Ordering::Relaxed));
        let handle = self.shared.handle;
        let count = self.link().wait(timeout, |inner| match inner.stack.send(handle, bytes) {
            Ok(0) => None,
            Ok(count) => Some(Ok(count)),
            Err(error) => Some(Err(errors::stream(error))),
        })?;
        self.link().touch();
        Ok(count)
    }
}

fn to_micros(timeout: Option<Duration>) -> u64 {
    timeout.map_or(0, |timeout| u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX).max(1))
}

fn from_micros(micros: u64) -> Option<Duration> {
    (micros > 0).then(|| Duration::from_micros(micros))
}

impl Read for &Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.receive(room)
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    /// Does nothing: what was written leaves as soon as it can.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.receive(room)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    /// Does nothing: what was written leaves as soon as it can.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.owner.link().release(self.handle);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("peer", &self.peer()).field("port", &self.port()).finish()
    }
}
