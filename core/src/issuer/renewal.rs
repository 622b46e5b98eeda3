//! Another path for a connection that stands: one that is tried, and one that is asked for when the
//! punched one is lost.

use core::time::Duration;

use super::request::{ConnectionSlot, Stage};
use super::{Target, View};
use crate::addr::Endpoint;
use crate::hole::Holed;
use crate::id::SocketId;
use crate::peer::CloseCause;
use crate::time::Instant;
use crate::wire::message::Reason;

/// So many refusals of another path in a row end a connection.
const REFUSALS: u8 = 3;
/// After a refusal an open connection asks again for another path.
const RENEW_AGAIN: Duration = Duration::from_secs(5);
/// A path that is tried with words of the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) socket: SocketId,
    pub(super) remote: Endpoint,
    /// How many words are left, and when the next one is due.
    pub(super) left: u8,
    pub(super) at: Instant,
}

/// Words that a path is tried with, and the time between them.
const KNOCKS: u8 = 4;
pub(super) const KNOCK_AGAIN: Duration = Duration::from_millis(400);

impl ConnectionSlot {
    /// The acceptor hears us on this path: it is tried with words of the session. Only when one comes
    /// back does it carry the connection: a check may be somebody's copy of an earlier one.
    pub(super) fn try_path(&mut self, now: Instant, socket: SocketId, remote: Endpoint) {
        let same = |one: &Candidate| (one.socket, one.remote) == (socket, remote);
        if self.candidate.as_ref().is_none_or(|one| !same(one)) {
            self.candidate = Some(Candidate { socket, remote, left: KNOCKS, at: now });
        }
    }

    /// The word that is due on such a path.
    pub(super) fn knock(&self, now: Instant) -> Option<Candidate> {
        let open = self.stage == Stage::Open && self.peer.is_some();
        self.candidate.filter(|one| open && one.left > 0 && one.at <= now)
    }
}

impl View<'_> {
    /// The punched path of an open connection is lost: asks for another one. The connection's own
    /// key opens the door; a password is not needed again.
    pub(super) fn renew(&mut self, index: usize) {
        let until = self.state.now.after(self.state.deadline);
        let Some(slot) = self.slots.get(index) else { return };
        let target = Target { early_key: slot.early_key, ..Target::new(slot.target) };
        if self.state.puncher.ability().is_some() && self.seal_offer(index, &target).is_ok() {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.way.forget();
            }
            self.reach_server();
        }
        // Without one to send, it is looked at again later.
        if let Some(slot) = self.slots.get_mut(index) {
            slot.initiator = None;
            slot.renewing = Some(until);
        }
    }

    /// It cannot get another path now: it asks again after a while. The acceptor says so itself when
    /// it does not know the connection any more; strangers are told no reasons, and take the third
    /// refusal for that.
    pub(super) fn renew_later(&mut self, index: usize, reason: Reason) {
        let now = self.state.now;
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.refusals = slot.refusals.saturating_add(1);
        if reason == Reason::NotAllowed {
            return self.end(index, CloseCause::Peer);
        }
        if slot.refusals >= REFUSALS {
            return self.end(index, CloseCause::Silent);
        }
        (slot.due, slot.repeat, slot.renewing) = (false, None, Some(now.after(RENEW_AGAIN)));
    }

    /// A connection is heard again, or has another path.
    pub(super) fn renewed(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.refusals = 0;
        if slot.renewing.take().is_some() {
            (slot.due, slot.repeat) = (false, None);
            let socket = slot.path_socket();
            self.close_way(index, socket);
            self.settle();
        }
    }
}
