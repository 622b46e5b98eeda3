//! Ports of this node that peers may open streams to.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time;

use super::stream::Stream;

/// The ports that are listened on, shared by the loop and the listeners.
#[derive(Clone, Default, Debug)]
pub(crate) struct Ports {
    ports: Arc<Mutex<BTreeMap<u16, Arc<Port>>>>,
    /// Rises with each change, so that a session sees with one look that it is up to date.
    version: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Port {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Stream>,
    closed: bool,
}

impl Port {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let refused = core::mem::take(&mut queue.waiting);
        drop(queue);
        self.arrived.notify_all();
        refused.iter().for_each(Stream::abort);
    }
}

impl Ports {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, Arc<Port>>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn numbers(&self) -> Vec<u16> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Begins to listen on a port.
    pub(crate) fn listen(&self, number: u16) -> io::Result<StreamListener> {
        let mut ports = self.lock();
        if number == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "port 0 is not valid"));
        }
        if ports.contains_key(&number) {
            let text = format!("port {number} is listened on already");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        if ports.len() >= genkan_stream::MAX_LISTENERS {
            let text = format!("at most {} ports can be listened on", genkan_stream::MAX_LISTENERS);
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        let port = Arc::new(Port::default());
        ports.insert(number, Arc::clone(&port));
        self.version.fetch_add(1, Ordering::Release);
        Ok(StreamListener { number, port, ports: self.clone() })
    }

    /// A peer has opened a stream; given back when nobody listens any more.
    pub(super) fn offer(&self, stream: Stream) -> Result<(), Stream> {
        let port = self.lock().get(&stream.port()).cloned();
        let Some(port) = port else { return Err(stream) };
        let mut queue = port.lock();
        if queue.closed {
            return Err(stream);
        }
        queue.waiting.push_back(stream);
        drop(queue);
        port.arrived.notify_one();
        Ok(())
    }

    /// The node has ended.
    pub(crate) fn end(&self) {
        let ports = core::mem::take(&mut *self.lock());
        ports.values().for_each(|port| port.close());
    }
}

/// Takes the streams that peers open to one port. Streams to it are refused when this is dropped;
/// those that were accepted stay.
#[derive(Debug)]
pub struct StreamListener {
    number: u16,
    port: Arc<Port>,
    ports: Ports,
}

impl StreamListener {
    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.number
    }

    /// Waits for the next stream.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) when the node has stopped.
    pub fn accept(&self) -> io::Result<Stream> {
        self.accept_until(None)
    }

    /// As [`StreamListener::accept`], for at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) besides.
    pub fn accept_within(&self, timeout: Duration) -> io::Result<Stream> {
        self.accept_until(time::Instant::now().checked_add(timeout))
    }

    fn accept_until(&self, deadline: Option<time::Instant>) -> io::Result<Stream> {
        let mut queue = self.port.lock();
        loop {
            if let Some(stream) = queue.waiting.pop_front() {
                return Ok(stream);
            }
            if queue.closed {
                return Err(crate::driver::Stopped.into());
            }
            queue = match deadline {
                None => self.port.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(time::Instant::now());
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    let waited = self.port.arrived.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Drop for StreamListener {
    fn drop(&mut self) {
        // A later listener on the same port, after the node's end, is not ours to remove.
        let mut ports = self.ports.lock();
        if ports.get(&self.number).is_some_and(|port| Arc::ptr_eq(port, &self.port)) {
            ports.remove(&self.number);
            self.ports.version.fetch_add(1, Ordering::Release);
        }
        drop(ports);
        self.port.close();
    }
}
