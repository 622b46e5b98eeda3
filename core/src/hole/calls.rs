//! One connection's calls over TCP: where no hole comes about, both ends call each other at the same
//! time, so that each call opens its own NAT for the other one (RFC 9293, section 3.5).
//!
//! ```text
//! idle ─► a connection to the server, with one Detect ─► ready ─► call ─► connected
//!                                                                 ▲  │ refused
//!                                                                 └──┘
//! ```
//!
//! The connection to the server stands as long as calls are made from its port: what a NAT has mapped
//! it to is where the peer calls. A call that comes too early may be answered with a reset, so it is
//! made again until the peer's has opened the way.

use core::time::Duration;

use crate::id::StreamId;
use crate::machine::StreamState;
use crate::time::Instant;

/// How long showing may take, and then calling: each may prolong the wait for the peer to this.
pub(crate) const CALLS: Duration = Duration::from_secs(5);
/// Shortest pause before a refused call is made again, in microseconds; up to as much again is drawn,
/// so that two ends that refuse each other do not go on in step.
const AGAIN: u64 = 65_536;

/// How far the connection to the server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sight {
    Opening = 1,
    /// The Detect is due.
    Open,
    Shown,
    /// The server has ended it. It is not made again: the server could have ports called in turn.
    Over,
}

/// What a connection slot has for calls over TCP.
#[derive(Debug)]
pub(crate) struct Calling {
    sight: Option<(StreamId, Sight)>,
    call: Option<StreamId>,
    /// The call was refused: when it is made again.
    again: Option<Instant>,
}

#[cfg(feature = "inspect")]
impl Calling {
    /// For [`Inspect`](crate::inspect::Inspect).
    pub(crate) fn inspect(&self, see: &mut dyn FnMut(u64)) {
        let sight = self.sight.map_or(0, |(stream, sight)| name(stream) << 3 | sight as u64);
        see(sight);
        see(self.call.map_or(0, name));
        see(crate::inspect::time(self.again));
    }
}

#[cfg(feature = "inspect")]
fn name(stream: StreamId) -> u64 {
    u64::from(stream.index) << 16 | u64::from(stream.generation)
}

/// When a call that was refused at `now` is made again; `jitter` is drawn.
pub(crate) fn again(now: Instant, jitter: u16) -> Instant {
    now.after(Duration::from_micros(AGAIN.saturating_add(jitter.into())))
}

impl Calling {
    pub(crate) const NONE: Self = Self { sight: None, call: None, again: None };

    /// Whether nothing is under way, nor was.
    pub(crate) const fn is_idle(&self) -> bool {
        self.sight.is_none() && self.call.is_none()
    }

    /// Whether the server may have seen where it comes from, and nobody was called yet.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.sight, Some((_, Sight::Shown))) && self.call.is_none() && self.again.is_none()
    }

    /// Whether a stream is one of these.
    pub(crate) fn has(&self, stream: StreamId) -> bool {
        self.call == Some(stream) || self.sight.is_some_and(|(ours, _)| ours == stream)
    }

    /// When a call is made again.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.again
    }

    /// A connection to the server is opened under this name.
    pub(crate) const fn show(&mut self, stream: StreamId) {
        self.sight = Some((stream, Sight::Opening));
    }

    /// The peer is called under this name; from the port of which connection.
    pub(crate) fn call(&mut self, stream: StreamId) -> Option<StreamId> {
        let (beside, _) = self.sight?;
        (self.call, self.again) = (Some(stream), None);
        Some(beside)
    }

    /// Whether the Detect is due on this stream.
    pub(crate) fn is_due(&self, stream: StreamId) -> bool {
        self.sight == Some((stream, Sight::Open))
    }

    /// The Detect has left.
    pub(crate) const fn shown(&mut self) {
        if let Some((_, sight)) = &mut self.sight {
            *sight = Sight::Shown;
        }
    }

    /// One of its streams has changed its state: whether the peer is reached by it.
    pub(crate) fn heard(&mut self, stream: StreamId, state: StreamState, again: Instant) -> bool {
        let up = state == StreamState::Connected;
        if let Some((_, sight)) = self.sight.as_mut().filter(|(ours, _)| *ours == stream) {
            *sight = Sight::Open;
            if !up {
                // From another port the peer would not be met.
                (*sight, self.again) = (Sight::Over, None);
            }
            return false;
        }
        self.call = None;
        let stands = self.sight.is_some_and(|(_, sight)| sight != Sight::Over);
        self.again = Some(again).filter(|_| !up && stands);
        up
    }

    /// There was no room for the call: it is made then.
    pub(crate) const fn put_off(&mut self, at: Instant) {
        self.again = Some(at);
    }

    /// Whether it is time to call again.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        self.again.take_if(|at| now >= *at).is_some()
    }

    /// No more of it: the streams that are to be closed.
    pub(crate) fn end(&mut self) -> [Option<StreamId>; 2] {
        self.again = None;
        let sight = self.sight.take().filter(|(_, sight)| *sight != Sight::Over);
        [sight.map(|(stream, _)| stream), self.call.take()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGHT: StreamId = StreamId { index: 0, generation: 1 };
    const CALL: StreamId = StreamId { index: 0, generation: 2 };

    #[test]
    fn a_connection_that_the_server_has_ended_is_not_made_again_for_the_same_request() {
        let now = Instant::from_millis(1);
        let mut calling = Calling::NONE;
        calling.show(SIGHT);
        assert!(!calling.heard(SIGHT, StreamState::Connected, now));
        calling.shown();
        assert!(calling.is_ready());
        assert_eq!(calling.call(CALL), Some(SIGHT));
        calling.heard(SIGHT, StreamState::Closed, now);
        calling.heard(CALL, StreamState::Closed, now);
        assert!(!calling.is_idle() && !calling.is_ready());
        assert_eq!(calling.deadline(), None);
        assert_eq!(calling.end(), [None, None]);
    }
}
