//! What the connection slots of both kinds of equipment have for holes.

use super::names::{number, socket};
use super::{Hole, Opening, names};
use crate::addr::Endpoint;
use crate::id::SocketId;
use crate::machine::{Command, Discard};
use crate::time::Instant;

/// One connection's way through the NATs.
#[derive(Debug)]
pub(crate) struct Way {
    /// While it is looked for.
    pub(crate) hole: Option<Hole>,
    /// Sockets of this slot's numbers were opened.
    pub(super) bound: bool,
    /// The request whose attempt is over; 0: none. There is one attempt for each.
    done: u32,
    /// What became of the sockets that begin with this one is yet to be said, to whichever hole.
    owed: Option<SocketId>,
}

impl Way {
    pub(crate) const NONE: Self = Self { hole: None, bound: false, done: 0, owed: None };

    /// What is left of it when its slot is emptied.
    pub(crate) const fn freed(&self) -> Self {
        Self { owed: self.owed, ..Self::NONE }
    }

    /// Looks for a way to `peer` from now on.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        peer: Endpoint,
        of: &Opening,
    ) -> Result<(), Discard> {
        let hole = Hole::open(now, peer, of).ok_or(Discard::ForbiddenAddress)?;
        self.hole = Some(hole.owed(self.owed));
        Ok(())
    }

    /// Lets the hole go, and leaves the sockets to the next one.
    pub(crate) fn forget(&mut self) {
        if let Some(hole) = self.hole.take() {
            self.owed = hole.opening;
        }
    }

    /// Lets the hole go, and the sockets but this one.
    pub(crate) fn close(
        &mut self,
        slot: usize,
        keep: Option<SocketId>,
        command: &mut dyn FnMut(Command),
    ) {
        self.done = self.hole.as_ref().map_or(self.done, Hole::request);
        self.forget();
        if !self.bound {
            return;
        }
        let base = names::base(slot);
        let kept = keep.and_then(|socket| number(base, socket)).unwrap_or(0);
        self.bound = kept > 0;
        let mut unbind = |first: u8, count: u8| {
            if count > 0 {
                command(Command::Unbind { first: socket(base, first), count });
            }
        };
        match kept.checked_sub(1) {
            None => unbind(1, u8::MAX),
            Some(before) => {
                unbind(1, before);
                unbind(kept.saturating_add(1), u8::MAX.saturating_sub(kept));
            }
        }
    }

    /// Sockets were opened, or could not be.
    pub(super) fn opened(&mut self, socket: SocketId, local: Option<Endpoint>) {
        self.owed.take_if(|owed| *owed == socket);
        if let Some(hole) = &mut self.hole {
            hole.bound(socket, local);
        }
    }

    /// Whether the attempt for this request is over.
    pub(crate) const fn is_done(&self, request: u32) -> bool {
        self.done == request
    }

    /// Whether datagrams from there may be the peer's: the hole leads there.
    pub(crate) fn leads_to(&self, remote: Endpoint) -> bool {
        self.hole.as_ref().is_some_and(|hole| hole.leads_to(remote))
    }

    /// When the hole has something due.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.hole.as_ref().map(|hole| hole.deadline(now))
    }
}
