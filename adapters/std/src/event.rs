//! What a node tells its application: the machine's events and, where wanted, every step on the wire.
//!
//! Events carry the time twice: by the node's clock, for intervals, and by the wall clock, so that the
//! timelines of several processes can be laid beside each other. They wait in a queue of fixed length;
//! when the application does not fetch them, the oldest are dropped and counted. Nothing in the node
//! ever waits for its application.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{self, SystemTime};

use genkan_core::wire::Kind;
use genkan_core::{Instant, SocketId};

use crate::lease::LeaseNews;

/// How many events wait for the application at most.
pub const EVENT_QUEUE: usize = 1_024;

/// An event with the time when it happened.
#[derive(Clone, Debug)]
pub struct Stamped<E> {
    /// By the node's [`Clock`](crate::Clock).
    pub at: Instant,
    /// By the wall clock.
    pub wall: SystemTime,
    /// What happened.
    pub event: Happening<E>,
}

/// What happened in a node whose machine has events of type `E`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Happening<E> {
    /// The machine says so.
    Machine(E),
    /// Something went over the wire, or tried to. Only with [`Trace::Control`] or [`Trace::All`].
    Step(Step),
    /// Something is wrong on this machine that the node can live with: state that could not be
    /// written, no file descriptors left, and the like. For a log.
    Trouble(String),
    /// News of the port that the box before this machine was asked for.
    Lease(LeaseNews),
    /// So many NATs were measured, and no packet has come in at a server's second port: a firewall
    /// may be in the way. Told once; without that port's packets nothing is learned of a NAT.
    Unheard {
        /// The port as equipment is told it.
        port: u16,
        /// How many.
        measurements: u8,
    },
}

/// Which steps on the wire become events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trace {
    /// None.
    #[default]
    Off,
    /// All but application data.
    Control,
    /// All.
    All,
}

impl Trace {
    pub(crate) const fn wants(self, kind: Option<Kind>) -> bool {
        match self {
            Self::Off => false,
            Self::All => true,
            Self::Control => !matches!(kind, Some(Kind::IssuerTransport | Kind::AcceptorTransport)),
        }
    }
}

/// One step on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Over what.
    pub carrier: Carrier,
    /// The other side's address.
    pub remote: SocketAddr,
    /// What was done.
    pub action: Action,
}

/// UDP or TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Carrier {
    /// A UDP datagram, at this socket of ours.
    Datagram(SocketId),
    /// A TCP connection.
    Stream,
}

/// What was done in a [`Step`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// A message left; for TCP it may still wait in a queue.
    Sent {
        /// What it is; `None` where it is of no known kind.
        kind: Option<Kind>,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A message could not be sent and counts as lost.
    Lost {
        /// What it is.
        kind: Option<Kind>,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A message arrived.
    Received {
        /// What it is; `None` where it is of no known kind.
        kind: Option<Kind>,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A TCP connection to the other side is being made.
    Connecting,
    /// It stands.
    Connected,
    /// It could not be made, or not in time.
    ConnectFailed,
    /// The other side made a TCP connection to us.
    Accepted,
    /// The TCP connection is closed.
    Closed,
}

/// The queue between a node and its application; clones are the same queue.
#[derive(Debug)]
pub struct Events<E> {
    shared: Arc<Shared<E>>,
}

impl<E> Clone for Events<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[derive(Debug)]
struct Shared<E> {
    queue: Mutex<Queue<E>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Queue<E> {
    waiting: VecDeque<Stamped<E>>,
    dropped: u64,
    ended: bool,
}

impl<E> Events<E> {
    pub(crate) fn new() -> Self {
        let queue = Queue { waiting: VecDeque::new(), dropped: 0, ended: false };
        Self { shared: Arc::new(Shared { queue: Mutex::new(queue), arrived: Condvar::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<E>> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, at: Instant, event: Happening<E>) {
        let mut queue = self.lock();
        if queue.waiting.len() >= EVENT_QUEUE {
            queue.waiting.pop_front();
            queue.dropped += 1;
        }
        queue.waiting.push_back(Stamped { at, wall: SystemTime::now(), event });
        drop(queue);
        self.shared.arrived.notify_one();
    }

    /// No more events will come.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.shared.arrived.notify_all();
    }

    /// The next event, if one waits.
    #[must_use]
    pub fn try_next(&self) -> Option<Stamped<E>> {
        self.lock().waiting.pop_front()
    }

    /// The next event; waits for it as long as the node runs. `None`: the node has ended.
    #[must_use]
    pub fn next(&self) -> Option<Stamped<E>> {
        let mut queue = self.lock();
        loop {
            if let Some(event) = queue.waiting.pop_front() {
                return Some(event);
            }
            if queue.ended {
                return None;
            }
            queue = self.shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next event; waits for it for at most `timeout`. `None`: none came, or the node has ended.
    #[must_use]
    pub fn next_within(&self, timeout: Duration) -> Option<Stamped<E>> {
        let deadline = time::Instant::now() + timeout;
        let mut queue = self.lock();
        loop {
            if let Some(event) = queue.waiting.pop_front() {
                return Some(event);
            }
            let left = deadline.saturating_duration_since(time::Instant::now());
            if queue.ended || left.is_zero() {
                return None;
            }
            let waited = self.shared.arrived.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many events were dropped because nobody fetched them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Whether the node has ended; what waits can still be fetched.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.lock().ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_application_loses_the_oldest_events_and_learns_how_many() {
        let events = Events::new();
        for number in 0..EVENT_QUEUE + 10 {
            events.push(Instant::START, Happening::Machine(number));
        }
        assert_eq!(events.dropped(), 10);
        assert!(matches!(events.try_next().unwrap().event, Happening::Machine(10)));
    }

    #[test]
    fn waiting_ends_with_an_event_a_timeout_or_the_node() {
        let events = Events::<u8>::new();
        assert!(events.next_within(Duration::from_millis(5)).is_none());
        let other = events.clone();
        let waiter = std::thread::spawn(move || (other.next(), other.next()));
        events.push(Instant::START, Happening::Machine(1));
        std::thread::sleep(Duration::from_millis(20));
        events.end();
        let (first, second) = waiter.join().unwrap();
        assert!(first.is_some() && second.is_none());
    }
}
