//! What the loop and the application share of one session.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time;

use genkan_core::{CloseCause, ConnectionId, EquipmentId, Instant, Path};
use genkan_stream::{HOST_BUFFER, OwnedStack, StreamHandle, StreamState};

use crate::clock::Clock;
use crate::driver::Nudge;

/// How many incoming datagrams wait for the application at most; further ones are dropped.
const INBOX: usize = 256;

/// How much has gone over a session, in payloads and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Payloads sent.
    pub packets_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Payloads received.
    pub packets_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// Payloads dropped on this side, in or out, because somebody was too slow.
    pub dropped: u64,
}

pub(super) struct Inner {
    pub(super) stack: OwnedStack,
    /// Streams that the application holds.
    pub(super) held: Vec<StreamHandle>,
    /// The most streams at once.
    most: u16,
    pub(super) inbox: VecDeque<Vec<u8>>,
    pub(super) outbox: VecDeque<Vec<u8>>,
    pub(super) path: Path,
    pub(super) closed: Option<CloseCause>,
    /// The session is to be closed when its streams are done, at this time at the latest.
    pub(super) closing: Option<Instant>,
    pub(super) traffic: Traffic,
}

impl Inner {
    /// Makes sure that there is room for one more stream, within the limit.
    pub(super) fn make_room(&mut self) {
        self.stack.make_room(self.most, HOST_BUFFER);
    }

    /// Whether closing now would lose nothing: every stream has ended.
    pub(super) fn is_done(&self) -> bool {
        let over = |handle: &&StreamHandle| {
            matches!(self.stack.state(**handle), Ok(StreamState::Ended(_)) | Err(_))
        };
        let ended = self.held.iter().filter(over).count();
        self.stack.vacant_slots() + ended >= self.stack.slots() && self.outbox.is_empty()
    }

    pub(super) fn datagram(&mut self, bytes: &[u8]) {
        if self.inbox.len() < INBOX {
            self.inbox.push_back(bytes.to_vec());
        } else {
            self.traffic.dropped += 1;
        }
    }
}

/// One session.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) peer: EquipmentId,
    clock: Clock,
    nudge: Arc<Nudge>,
    /// The application has done something that the loop must look at.
    dirty: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Link {
    pub(super) fn new(
        name: (ConnectionId, EquipmentId),
        path: Path,
        stack: OwnedStack,
        most: u16,
        nudge: Arc<Nudge>,
    ) -> Self {
        let inner = Inner {
            stack,
            held: Vec::new(),
            most,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            path,
            closed: None,
            closing: None,
            traffic: Traffic::default(),
        };
        Self {
            id: name.0,
            peer: name.1,
            clock: Clock::new(),
            nudge,
            dirty: AtomicBool::new(true),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.micros()
    }

    /// Has the loop look at the session.
    pub(super) fn touch(&self) {
        self.dirty.store(true, Ordering::Release);
        self.nudge.wake();
    }

    /// Whether the application has done something since the last time.
    pub(super) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Tries until `attempt` gives something or time is up.
    pub(super) fn wait<T>(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut Inner) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let deadline = timeout.and_then(|timeout| time::Instant::now().checked_add(timeout));
        let mut inner = self.lock();
        loop {
            if let Some(outcome) = attempt(&mut inner) {
                return outcome;
            }
            inner = match deadline {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(time::Instant::now());
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    let waited = self.changed.wait_timeout(inner, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Asks for the end: in order, but within `grace`.
    pub(crate) fn begin_close(&self, grace: Duration) {
        let until = self.clock.now().after(grace);
        let mut inner = self.lock();
        inner.closing = Some(inner.closing.map_or(until, |earlier| earlier.min(until)));
        drop(inner);
        self.touch();
    }

    pub(super) fn wait_closed(&self, timeout: Duration) {
        // Whether it came in time is no matter to anybody: the loop goes on without us.
        let _ = self.wait(Some(timeout), |inner| inner.closed.map(Ok));
    }

    /// The session is gone.
    pub(super) fn lost(&self, cause: CloseCause) {
        let mut inner = self.lock();
        inner.closed.get_or_insert(cause);
        inner.stack.session_lost();
        inner.outbox.clear();
        drop(inner);
        self.notify();
    }

    /// The application lets go of a stream.
    pub(super) fn release(&self, handle: StreamHandle) {
        let now = self.now();
        let mut inner = self.lock();
        inner.held.retain(|held| *held != handle);
        // A stale handle needs no release.
        let _ = inner.stack.release(now, handle);
        drop(inner);
        self.touch();
    }
}

/// How long a session whose last handle was dropped may take to deliver what its streams hold.
const ORPHAN_GRACE: Duration = Duration::from_secs(10);

/// Keeps a session alive: its handles and streams hold this.
pub(crate) struct Owner {
    link: Arc<Link>,
    /// Nobody but the handles' holders wants the session.
    closes: bool,
}

impl Owner {
    pub(super) const fn new(link: Arc<Link>, closes: bool) -> Self {
        Self { link, closes }
    }

    pub(super) const fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.closes {
            self.link.begin_close(ORPHAN_GRACE);
        }
    }
}
