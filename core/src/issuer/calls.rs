//! Meeting an acceptor over TCP that can neither dial back nor be reached through a hole: what the
//! server says of it, and what becomes of its streams.
//!
//! A call has a place among the dial-backs, and is one once it stands: the acceptor's communication
//! request comes over it.

use super::outbound::Ticket;
use super::request::{ConnectionSlot, Stage};
use super::{State, View};
use crate::addr::Endpoint;
use crate::entropy::Draw;
use crate::hole::{CALLS, again};
use crate::id::StreamId;
use crate::machine::{Command, Discard, FRAME_PREFIX, StreamState};
use crate::session::Session;
use crate::transmit::FrameHead;
use crate::wire::DETECT_LEN;
use crate::wire::message::{Call, capability};
use crate::wire::punch::Detect;

/// Names of streams above are those that show the server where they come from.
const SIGHTS: u16 = 1 << 15;

impl State {
    /// Whether it calls acceptors over TCP from a port that the server has seen.
    pub(super) const fn calls(&self) -> bool {
        cfg!(feature = "punch") && self.calls
    }

    /// What it can do, for the server; 0: nothing.
    pub(super) fn ability_bits(&self) -> u32 {
        let punches = self.puncher.ability().map_or(0, crate::punch::Ability::to_bits);
        punches | if self.calls() { capability::CALL } else { 0 }
    }
}

impl View<'_> {
    /// The server's word for a request that waits.
    pub(super) fn called(&mut self, call: &Call) -> Result<(), Discard> {
        if !self.state.calls() {
            return Err(Discard::Unexpected);
        }
        let waits =
            |slot: &ConnectionSlot| slot.stage == Stage::Asking && slot.request == call.request;
        let index = self.slots.iter().position(waits).ok_or(Discard::Unexpected)?;
        let slot = self.slots.get_mut(index).ok_or(Discard::Unexpected)?;
        match call.peer {
            None if slot.calling.is_idle() => {
                let generation = self.state.stream_generation.wrapping_add(1);
                self.state.stream_generation = generation;
                let index = u16::try_from(index).unwrap_or(0) | SIGHTS;
                let stream = StreamId { index, generation };
                slot.calling.show(stream);
                let remote = self.state.equipment.server.stream;
                self.state.command(Command::Connect { stream, remote });
            }
            Some(peer) if slot.calling.is_ready() => {
                if !self.state.puncher.policy.permits(peer) {
                    return Err(Discard::ForbiddenAddress);
                }
                slot.called = Some(peer);
                self.call(index, peer);
            }
            _ => {} // It is said more than once.
        }
        Ok(())
    }

    /// Calls the acceptor, where there is a place among the dial-backs, or later.
    fn call(&mut self, index: usize, peer: Endpoint) {
        let now = self.state.now;
        let stream = self.inbound(peer, now.after(CALLS));
        let slot = self.slots.get_mut(index);
        let Some(stream) = stream else {
            return slot.map_or((), |slot| slot.calling.put_off(again(now, 0)));
        };
        if let Some(beside) = slot.and_then(|slot| slot.calling.call(stream)) {
            self.state.command(Command::ConnectFrom { stream, beside, remote: peer.into() });
        }
    }

    /// Calls again who was called too early.
    pub(super) fn expire_calls(&mut self) {
        for index in 0..self.slots.len() {
            let now = self.state.now;
            if self.state.is_nearly_full() {
                self.state.rest_at = Some(now.after(crate::machine::REST));
                break;
            }
            let Some(slot) = self.slots.get_mut(index) else { continue };
            if slot.calling.take_due(now)
                && let Some(peer) = slot.called
            {
                self.call(index, peer);
            }
        }
    }

    /// Whether a stream that has changed its state is one of these, and no dial-back.
    pub(super) fn call_state(&mut self, stream: StreamId, state: StreamState) -> bool {
        let found = self.slots.iter().position(|slot| slot.calling.has(stream));
        let Some(index) = found else { return false };
        let mut rng = Draw { source: self.entropy, hedge: &mut self.state.hedge };
        let again = again(self.state.now, rng.jitter());
        let Some(slot) = self.slots.get_mut(index) else { return true };
        if slot.calling.heard(stream, state, again) {
            self.stop_calls(index);
        } else if self.inbound_index(stream).is_some() {
            self.forget_inbound(stream);
        }
        true
    }

    /// Calls nobody for a slot any more.
    pub(super) fn stop_calls(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let [sight, call] = slot.calling.end();
        // A call may have made room for a dial-back meanwhile.
        let call = call.filter(|&call| self.inbound_index(call).is_some());
        if let Some(call) = call {
            self.forget_inbound(call);
        }
        for stream in [sight, call].into_iter().flatten() {
            self.state.command(Command::Shutdown { stream });
        }
    }

    /// What shows the server where a connection comes from.
    pub(super) fn next_sight(&self, stream: StreamId) -> Option<FrameHead<Ticket>> {
        let index = self.slots.iter().position(|slot| slot.calling.is_due(stream))?;
        let over_stream = self.state.stream.session.as_ref();
        // Without a session it cannot be said whose connection this is; the server ends it, then.
        let session = self.state.datagram.session.as_ref().or(over_stream)?;
        if session.exhausted() {
            return None;
        }
        let len = DETECT_LEN.saturating_add(FRAME_PREFIX);
        Some(FrameHead { ticket: Ticket::Sight(index), stream, len })
    }

    /// Writes it, under the session that the server hears the request over.
    pub(super) fn encode_sight(&mut self, index: usize, out: &mut [u8]) {
        let state = &mut *self.state;
        let [over_datagrams, over_stream] = state.keys_up;
        let (link, key) = match &mut state.datagram.session {
            Some(session) => (Some(session), over_datagrams),
            None => (state.stream.session.as_mut(), over_stream),
        };
        let counter = link.and_then(Session::next_counter);
        if let (Some(slot), Some(counter)) = (self.slots.get(index), counter) {
            Detect::sight(slot.request, counter).write(&key, crate::frame::prefix(out));
        }
    }
}
