//! The other threads' side of a loop: asking it for something, waking it, stopping it.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use genkan_core::Instant;

use super::Role;
use super::run::Loop;

/// Wakes the loop, at most once for each of its turns.
#[derive(Debug)]
pub(crate) struct Nudge {
    waker: mio::Waker,
    raised: AtomicBool,
}

impl Nudge {
    pub(crate) const fn new(waker: mio::Waker) -> Self {
        Self { waker, raised: AtomicBool::new(false) }
    }

    pub(crate) fn wake(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            // The loop that cannot be woken has ended; its sessions say so.
            let _ = self.waker.wake();
        }
    }

    /// The loop is awake. Whatever was done before a later [`Nudge::wake`] found the flag raised is
    /// visible after this.
    pub(super) fn clear(&self) {
        self.raised.swap(false, Ordering::AcqRel);
    }
}

/// What all handles of a node share.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) nudge: Arc<Nudge>,
    stop: Mutex<Option<Duration>>,
    turns: AtomicU64,
}

impl Control {
    pub(crate) const fn new(nudge: Arc<Nudge>) -> Self {
        Self { nudge, stop: Mutex::new(None), turns: AtomicU64::new(0) }
    }

    pub(super) fn stop_wanted(&self) -> Option<Duration> {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }
}

/// Something to be done on the loop's thread.
pub(super) type Job<R> = Box<dyn FnOnce(&mut R, Instant) + Send>;

/// The node has stopped, so it can do nothing any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> Self {
        Self::new(io::ErrorKind::NotConnected, stopped)
    }
}

/// A running loop. Dropping it stops the loop at once; the other ends are told.
pub(crate) struct Engine<R: Role> {
    jobs: Sender<Job<R>>,
    control: Arc<Control>,
    thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl<R: Role> Engine<R> {
    /// Runs a loop on a thread of its own. Setting up happens on that thread's first turn.
    pub(crate) fn start(name: &str, parts: super::run::Parts<R>) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let control = Arc::clone(&parts.control);
        let node = Loop::new(parts, inbox);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(|| node.run())?;
        Ok(Self { jobs, control, thread: Mutex::new(Some(thread)) })
    }

    /// Has something done and does not wait for it.
    pub(crate) fn post(&self, job: impl FnOnce(&mut R, Instant) + Send + 'static) {
        // Without a loop there is nobody to do it for.
        if self.jobs.send(Box::new(job)).is_ok() {
            self.control.nudge.wake();
        }
    }

    /// Has something done and waits for the outcome. Never called on the loop's own thread.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut R, Instant) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, outcome) = mpsc::sync_channel(1);
        self.post(move |role, now| {
            // Nobody waits for it any more.
            let _ = answer.send(job(role, now));
        });
        outcome.recv().map_err(|_| Stopped)
    }

    /// How often the loop has turned.
    pub(crate) fn turns(&self) -> u64 {
        self.control.turns.load(Ordering::Relaxed)
    }

    /// Stops the loop, with up to `grace` for streams to finish, and waits for its end.
    pub(crate) fn stop(&self, grace: Duration) -> io::Result<()> {
        *self.control.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(grace);
        self.control.nudge.wake();
        self.join()
    }

    /// Waits for the loop's end.
    pub(crate) fn join(&self) -> io::Result<()> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = thread.map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or_else(|_| Err(io::Error::other("the node's thread panicked")))
    }

    /// Whether the loop runs.
    pub(crate) fn is_running(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl<R: Role> Drop for Engine<R> {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `stop` before.
        let _ = self.stop(Duration::ZERO);
    }
}

impl<R: Role> fmt::Debug for Engine<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("turns", &self.turns()).finish_non_exhaustive()
    }
}
