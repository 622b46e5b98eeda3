//! TCP connections that come in on the listener: dial-backs, once they have shown whose they are.

use core::time::Duration;

use super::request::Stage;
use super::{Inbound, View};
use crate::addr::Endpoint;
use crate::id::StreamId;
use crate::machine::{Command, Discard, StreamState};
use crate::peer::slots::name;
use crate::peer::{CloseCause, Path};
use crate::time::Instant;

/// How long a dial-back may take to show whose it is.
const SHOW: Duration = Duration::from_secs(5);

impl View<'_> {
    /// A place for a dial-back; the oldest that has not shown whose it is makes room, so that silent
    /// connections keep nobody out.
    fn inbound_place(&mut self) -> Option<usize> {
        let places = self.state.inbound.iter().enumerate();
        let unshown = places.filter(|(_, inbound)| inbound.slot.is_none());
        let by_age = |(_, inbound): &(usize, &Inbound)| inbound.remote.map(|_| inbound.until);
        let (at, inbound) = unshown.min_by_key(by_age)?;
        if inbound.remote.is_some() {
            let index = u16::try_from(at).ok()?.checked_add(1)?;
            let stream = StreamId { index, generation: inbound.generation };
            self.state.command(Command::Shutdown { stream });
            // Where it was a call, that is made again.
            self.call_state(stream, StreamState::Closed);
        }
        Some(at)
    }

    /// Somebody dials back.
    pub(super) fn accept(&mut self, remote: Endpoint) -> Option<StreamId> {
        if !self.slots.iter().any(|slot| slot.stage == Stage::Asking) {
            return None;
        }
        self.inbound(remote, self.state.now.after(SHOW))
    }

    /// A connection with `remote`, which has until then to show that it is a dial-back.
    pub(super) fn inbound(&mut self, remote: Endpoint, until: Instant) -> Option<StreamId> {
        let index = self.inbound_place()?;
        let inbound = self.state.inbound.get_mut(index)?;
        inbound.generation = inbound.generation.wrapping_add(1);
        inbound.remote = Some(remote);
        inbound.slot = None;
        inbound.until = until;
        let index = u16::try_from(index).ok()?.checked_add(1)?;
        Some(StreamId { index, generation: inbound.generation })
    }

    pub(super) fn inbound_index(&self, stream: StreamId) -> Option<usize> {
        let index = usize::from(stream.index).checked_sub(1)?;
        let inbound = self.state.inbound.get(index)?;
        (inbound.remote.is_some() && inbound.generation == stream.generation).then_some(index)
    }

    /// The communication request on a TCP connection that came in.
    pub(super) fn dial_back_answer(
        &mut self,
        at: usize,
        stream: StreamId,
        message: &[u8],
    ) -> Result<(), Discard> {
        let inbound = self.state.inbound.get(at).ok_or(Discard::UnknownSession)?;
        let remote = inbound.remote.ok_or(Discard::UnknownSession)?;
        if inbound.slot.is_some() {
            return Err(Discard::Unexpected);
        }
        let index = self.answer(Path::Stream { stream, remote }, message)?;
        if let Some(inbound) = self.state.inbound.get_mut(at) {
            inbound.slot = Some(index);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.stream = Some(stream);
        }
        self.settle();
        Ok(())
    }

    pub(super) fn forget_inbound(&mut self, stream: StreamId) -> Option<usize> {
        let index = self.inbound_index(stream)?;
        let inbound = self.state.inbound.get_mut(index)?;
        inbound.remote = None;
        inbound.slot.take()
    }

    /// The TCP connection of a connection is gone: the end of it, unless a punched path carries it.
    pub(super) fn dial_back_lost(&mut self, index: usize) {
        let connection = name(self.slots, index);
        let Some(slot) = self.slots.get_mut(index) else { return };
        let punched = slot.peer.as_ref().is_some_and(|peer| peer.path.stream().is_none());
        if punched {
            slot.stream = None;
        } else if let Some(tried) = slot.candidate.filter(|one| one.left > 0) {
            // The acceptor closes it when our first word comes over the hole.
            slot.stream = None;
            let path = Path::Datagram { socket: tried.socket, remote: tried.remote };
            self.heard_on(connection, path);
        } else {
            self.end(index, CloseCause::PathLost);
        }
    }
}
