//! Meeting an issuer over TCP where it cannot be dialled and no hole comes about: what the server says
//! of it, and what becomes of its streams.
//!
//! It goes on beside the dial-back and a hole, for a request that was admitted, and ends with the first
//! of them that stands. On a call that has met the issuer's the first bytes are the communication
//! request, as on a dial-back.

use super::connection::{ConnectionSlot, Stage};
use super::outbound::Ticket;
use super::{State, View};
use crate::hole::{CALLS, again};
use crate::id::StreamId;
use crate::link::Transport;
use crate::machine::{Command, Discard, FRAME_PREFIX, StreamState};
use crate::peer::Path;
use crate::session::Session;
use crate::transmit::FrameHead;
use crate::wire::DETECT_LEN;
use crate::wire::message::Call;
use crate::wire::punch::Detect;

/// Names of streams above are those of calls.
const CALL_STREAMS: u16 = 1 << 15;

impl State {
    /// Whether it calls issuers over TCP from a port that the server has seen.
    pub(super) const fn calls(&self) -> bool {
        cfg!(feature = "punch") && self.calls
    }

    /// A name for another stream of a slot, beside its dial-back.
    fn next_stream(&mut self, slot: usize) -> StreamId {
        self.stream_generation = self.stream_generation.wrapping_add(1);
        let index = u16::try_from(slot).unwrap_or(0) | CALL_STREAMS;
        StreamId { index, generation: self.stream_generation }
    }
}

impl View<'_> {
    /// The server's word for a request that was admitted; for any other it is passed over.
    pub(super) fn called(&mut self, call: &Call) -> Result<(), Discard> {
        if !self.state.calls() {
            return Err(Discard::Unexpected);
        }
        let now = self.state.now;
        let waits =
            |slot: &ConnectionSlot| slot.stage == Stage::Dialling && slot.is_for(call.request);
        let index = self.slots.iter().position(waits).ok_or(Discard::Unexpected)?;
        let stream = self.state.next_stream(index);
        let slot = self.slots.get_mut(index).ok_or(Discard::Unexpected)?;
        match call.peer {
            None if slot.calling.is_idle() => {
                slot.calling.show(stream);
                let remote = self.state.equipment.server.stream;
                self.state.command(Command::Connect { stream, remote });
            }
            Some(peer) if slot.calling.is_ready() => {
                // The one that was notified.
                let same = slot.address.is_some_and(|address| address.shares_ip(peer));
                if !same || !self.state.addresses.permits(peer) {
                    return Err(Discard::ForbiddenAddress);
                }
                slot.called = peer.port();
                self.call(index, stream);
            }
            _ => return Ok(()), // It is said more than once.
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.until = slot.until.max(Some(now.after(CALLS)));
        }
        Ok(())
    }

    fn call(&mut self, index: usize, stream: StreamId) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if let (Some(address), Some(beside)) = (slot.address, slot.calling.call(stream)) {
            let remote = address.at_port(slot.called).into();
            self.state.command(Command::ConnectFrom { stream, beside, remote });
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
            if self.slots.get_mut(index).is_some_and(|slot| slot.calling.take_due(now)) {
                let stream = self.state.next_stream(index);
                self.call(index, stream);
            }
        }
    }

    /// Whether a stream that has changed its state is one of these. One that has met the issuer's is the
    /// slot's dial-back from now on.
    pub(super) fn call_state(&mut self, stream: StreamId, state: StreamState) -> bool {
        let found = self.slots.iter().position(|slot| slot.calling.has(stream));
        let Some(index) = found else { return false };
        let again = again(self.state.now, self.draw().jitter());
        let Some(slot) = self.slots.get_mut(index) else { return true };
        if !slot.calling.heard(stream, state, again) {
            return true;
        }
        slot.address = slot.address.map(|address| address.at_port(slot.called));
        if let (Stage::Dialling, Some(remote), Some(peer)) =
            (slot.stage, slot.address, &mut slot.peer)
        {
            peer.path = Path::Stream { stream, remote };
        }
        if let Some(stream) = slot.stream.replace(stream) {
            self.state.command(Command::Shutdown { stream });
        }
        false
    }

    /// Calls nobody for a slot any more.
    pub(super) fn stop_calls(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        for stream in slot.calling.end().into_iter().flatten() {
            self.state.command(Command::Shutdown { stream });
        }
    }

    /// The session that the registration goes over.
    fn registered_session(&mut self) -> Option<&mut Session> {
        let link = match self.state.registration.over {
            Transport::Datagram => &mut self.state.datagram,
            Transport::Stream => &mut self.state.stream,
        };
        link.session.as_mut()
    }

    /// What shows the server where a connection comes from. Without a session it cannot be said whose
    /// connection it is; the server ends it, then.
    pub(super) fn next_sight(&mut self, stream: StreamId) -> Option<FrameHead<Ticket>> {
        let index = self.slots.iter().position(|slot| slot.calling.is_due(stream))?;
        if self.registered_session()?.exhausted() {
            return None;
        }
        let len = DETECT_LEN.saturating_add(FRAME_PREFIX);
        Some(FrameHead { ticket: Ticket::Sight(index), stream, len })
    }

    pub(super) fn encode_sight(&mut self, index: usize, out: &mut [u8]) {
        let key = self.state.registration.keepalive_up;
        let counter = self.registered_session().and_then(Session::next_counter);
        if let (Some(slot), Some(counter)) = (self.slots.get(index), counter) {
            Detect::sight(slot.request, counter).write(&key, crate::frame::prefix(out));
        }
    }
}
