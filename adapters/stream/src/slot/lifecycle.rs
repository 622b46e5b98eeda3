//! How a slot's stream stands, and how it ends.

use smoltcp::socket::tcp::State;
use smoltcp::time::Duration;
use smoltcp::wire::TcpControl;

use super::{Cause, Phase, Slot, Turn};
use crate::error::{EndReason, StreamState};

impl Slot<'_> {
    /// Draws the consequences of a socket's change of state.
    pub(crate) fn settle(&mut self, before: State, cause: Cause, turn: &Turn) {
        if self.socket().state() == State::Listen {
            // Not taken, or given up by the peer during the handshake.
            self.socket_mut().close();
        }
        let state = self.socket().state();
        if let Cause::Segment(segment) = cause
            && matches!(before, State::Listen | State::SynSent)
            && segment.control == TcpControl::Syn
        {
            self.first_sequence = segment.sequence;
        }
        let synchronized = matches!(state, State::Established | State::CloseWait);
        if synchronized && before != state {
            let user_timeout = Duration::from_micros(turn.config.user_timeout);
            self.socket_mut().set_timeout(Some(user_timeout));
            if self.phase == Phase::Incoming {
                self.phase = Phase::Backlog { order: turn.order };
            }
        }
        if synchronized && self.finish_wanted {
            self.socket_mut().close();
        }
        self.peer_finished |=
            matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        if state == State::TimeWait && before != State::TimeWait {
            self.time_wait_since = turn.now;
            self.end(EndReason::Finished);
        }
        if state == State::Closed && before != State::Closed {
            self.end(reason(before, cause));
        }
        self.vacate();
    }

    fn end(&mut self, reason: EndReason) {
        self.ended = self.ended.or(Some(reason));
    }

    /// Leaves the phases without a holder as soon as nothing is left to do in them.
    fn vacate(&mut self) {
        if let Phase::Lingering { .. } = self.phase {
            // Nobody will read it; the peer must not stall on a full window.
            while self.socket_mut().recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0) > 0 {}
        }
        let (state, quiet) = (self.socket().state(), self.socket().remote_endpoint().is_none());
        let over = state == State::TimeWait || (state == State::Closed && quiet);
        if over && matches!(self.phase, Phase::Incoming | Phase::Lingering { .. }) {
            self.phase = Phase::Vacant;
        }
    }

    /// How the stream of this slot stands.
    pub(crate) fn state(&self) -> StreamState {
        if let Some(reason) = self.ended {
            return StreamState::Ended(reason);
        }
        match self.socket().state() {
            State::Established if self.finish_wanted => StreamState::LocalFinished,
            State::Established => StreamState::Open,
            State::FinWait1 | State::FinWait2 => StreamState::LocalFinished,
            State::CloseWait => StreamState::PeerFinished,
            State::LastAck | State::Closing | State::TimeWait => StreamState::BothFinished,
            State::Closed | State::Listen | State::SynSent | State::SynReceived => {
                StreamState::Opening
            }
        }
    }

    /// Whether a handle of this generation names the stream.
    pub(crate) fn is_held_by(&self, generation: u32) -> bool {
        self.phase == Phase::Owned && self.generation == generation
    }

    /// Whether the peer's end of stream has arrived.
    pub(crate) fn peer_finished(&self) -> bool {
        self.peer_finished
    }

    pub(crate) fn finish_wanted(&self) -> bool {
        self.finish_wanted
    }

    /// Finishes this end's direction, at once or as soon as the handshake is over.
    pub(crate) fn finish(&mut self) {
        self.finish_wanted = true;
        if self.socket().may_send() {
            self.socket_mut().close();
        }
    }

    /// Frees the handle; what is queued is still delivered until `until`.
    pub(crate) fn release(&mut self, until: u64) {
        self.generation = self.generation.wrapping_add(1);
        self.phase = Phase::Lingering { until };
        self.finish();
        self.vacate();
    }

    /// Ends the stream; a reset leaves with the next packets.
    pub(crate) fn abort(&mut self) {
        if self.socket().state() != State::TimeWait {
            self.socket_mut().abort();
        }
    }

    /// Ends the stream as seen from here, whatever its phase.
    pub(crate) fn fail(&mut self, reason: EndReason) {
        let state = self.socket().state();
        if state != State::Closed && state != State::TimeWait {
            self.abort();
            self.end(reason);
        }
    }
}

/// Why a socket that was in `before` is closed now.
fn reason(before: State, cause: Cause) -> EndReason {
    match (cause, before) {
        (_, State::TimeWait) => EndReason::Finished,
        (Cause::Timer, _) => EndReason::TimedOut,
        (Cause::Segment(segment), _) if segment.control != TcpControl::Rst => EndReason::Finished,
        (Cause::Segment(_), State::SynSent) => EndReason::Refused,
        (Cause::Segment(_), _) => EndReason::Reset,
    }
}
