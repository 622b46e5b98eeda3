//! What time brings to a server.

use core::time::Duration;

use super::clients::Use;
use super::handshake::SECRET_LIFE;
use super::outbound::Out;
use super::{MOMENT, View};
use crate::crypto::keys::half;

/// How often a part of the equipment list is swept for entries that have ended.
const SWEEP: Duration = Duration::from_secs(1);
/// In how many sweeps the whole list is gone through.
const SWEEPS: usize = 32;

impl View<'_> {
    pub(super) fn start_sweep(&mut self) {
        if self.state.sweep_at.is_none() {
            self.state.sweep_at = Some(self.state.now.after(SWEEP));
        }
    }

    pub(super) fn timeout(&mut self) {
        let now = self.state.now;
        self.expire_requests();
        self.expire_measurements();
        self.expire_streams();
        if self.state.sweep_at.is_some_and(|at| now >= at) {
            self.sweep();
        }
    }

    /// Queues a goodbye for some of the registered acceptors.
    pub(super) fn dismiss(&mut self) -> bool {
        let len = self.clients.len();
        while self.state.dismissed < len {
            if self.state.out.len() >= self.state.out.capacity() / 2 {
                return true;
            }
            let at = self.state.dismissed;
            self.state.dismissed = at.saturating_add(1);
            if self.clients.get(at).is_some_and(|slot| slot.registered && slot.has_place) {
                self.state.send(Out::Goodbye(at));
            }
        }
        false
    }

    /// Before a secret is used that has been used long enough.
    pub(super) fn renew_secret(&mut self) {
        if self.state.now < self.state.secret_until {
            return;
        }
        if let Ok(fresh) = self.draw().secret() {
            let [current, _] = self.state.secrets;
            self.state.secrets = [half(&fresh), current];
        }
        self.state.secret_until = self.state.now.after(SECRET_LIFE);
    }

    fn expire_streams(&mut self) {
        let now = self.state.now;
        if self.state.stream_at.is_none_or(|at| now < at) {
            return;
        }
        for index in 0..self.streams.len() {
            if self.state.commands.len() >= self.state.commands.capacity() / 2 {
                break;
            }
            let due = self.streams.get(index).is_some_and(|slot| now >= slot.until);
            if due && let Some(stream) = self.stream_id(index) {
                self.close_stream(stream);
            }
        }
        let open = self.streams.iter().filter(|slot| slot.remote.is_some());
        self.state.stream_at = open.map(|slot| slot.until.max(now.after(MOMENT))).min();
    }

    /// Goes through a part of the list and takes off what has ended.
    fn sweep(&mut self) {
        self.drop_stale_pending();
        let len = self.clients.len();
        let part = (len / SWEEPS).max(64).min(len);
        let mut at = self.state.sweep_from;
        for _ in 0..part {
            at = if at >= len { 0 } else { at };
            let now = self.state.millis();
            if let Some(slot) = self.clients.get_mut(at).filter(|slot| slot.usage != Use::Free) {
                slot.age_lease(now);
                if self.state.is_past(slot.expires) {
                    self.forget(at);
                }
            }
            at = at.saturating_add(1);
        }
        self.state.sweep_from = at;
        let more = self.state.index.live > 0 || !self.state.pending.is_empty();
        self.state.sweep_at = more.then(|| self.state.now.after(SWEEP));
    }
}
