//! The way into a node and out of it again: call, drain, carry out, set the alarm.

use core::net::SocketAddr;

use genkan_core::{Command, Instant, SocketId};

use super::record::Parcel;
use super::{Event, World};
use crate::net::HostId;
use crate::node::{Effect, Io, Node};
use crate::watch::Called;

impl World {
    /// Calls the node on a host, drains it, and carries out what it wants. `None`: the host is off.
    pub(crate) fn enter<R>(
        &mut self,
        host: HostId,
        act: impl FnOnce(&mut dyn Node, &mut Io) -> R,
    ) -> Option<R> {
        let result = self.call(host, act);
        self.flush(host);
        result
    }

    /// As [`World::enter`], but what the node wants is left to [`World::flush`].
    pub(crate) fn call<R>(
        &mut self,
        host: HostId,
        act: impl FnOnce(&mut dyn Node, &mut Io) -> R,
    ) -> Option<R> {
        let slot = &mut self.slots[host.0];
        let mut node = slot.node.take()?;
        let now = slot.instant(self.now);
        let was_due = slot.io.announced.is_some_and(|at| at <= now);
        slot.io.set_now(now);
        let result = act(&mut *node, &mut slot.io);
        let next = node.drain(&mut slot.io);
        if let Some(book) = &mut self.key_book {
            book.ask(self.now, host, &*node);
        }
        if let Some(watch) = self.watch.as_mut() {
            let effects = &slot.io.effects;
            let call = Called { at: self.now, host, now, effects, next, was_due };
            watch.called(call, &*node);
        }
        slot.node = Some(node);
        if next != slot.io.announced {
            slot.io.announced = next;
            self.set_alarm(host);
        }
        Some(result)
    }

    /// Carries out what a node wants.
    pub(crate) fn flush(&mut self, host: HostId) {
        for effect in core::mem::take(&mut self.slots[host.0].io.effects) {
            match effect {
                Effect::Datagram { socket, remote, hop_limit, bytes } => {
                    self.leave(host, socket, remote, Parcel { bytes, hop_limit });
                }
                Effect::Write { stream, bytes } => self.write(host, stream, bytes),
                Effect::Note(text) => self.note(host, text),
                Effect::Bind { socket, port } => self.bind_for(host, socket, port),
                Effect::Unbind { socket } => self.close_udp(host, socket),
                Effect::ConnectFrom { stream, port, remote } => {
                    self.connect(host, stream, Some(port), remote);
                }
                Effect::Command(command) => self.command(host, command),
            }
        }
    }

    /// A datagram leaves a host, at once or when its turn has come ([`World::set_send_gap`]).
    fn leave(&mut self, host: HostId, socket: SocketId, remote: SocketAddr, parcel: Parcel) {
        let slot = &mut self.slots[host.0];
        let wait = slot.free_at.saturating_sub(self.now);
        if !slot.send_gap.is_zero() {
            slot.free_at = slot.free_at.max(self.now) + slot.send_gap;
        }
        if wait.is_zero() {
            return self.send_datagram(host, socket, remote, parcel);
        }
        let life = slot.life;
        self.schedule(wait, Event::Leaves { host, life, socket, remote, parcel });
    }

    fn command(&mut self, host: HostId, command: Command) {
        match command {
            Command::Connect { stream, remote } => self.connect(host, stream, None, remote),
            Command::ConnectFrom { stream, beside, remote } => {
                self.connect_beside(host, stream, beside, remote);
            }
            Command::Shutdown { stream } => self.shutdown(host, stream),
            Command::Listen { socket } => self.listen(host, socket),
            Command::Unlisten { socket } => {
                self.slots[host.0].listeners.retain(|_, listener| *listener != socket);
            }
            Command::Bind { first, count } => self.bind_fresh(host, first, count),
            Command::Unbind { first, count } => self.unbind_fresh(host, first, count),
            other => self.note(host, format!("not known to the simulator: {other:?}")),
        }
    }

    /// Puts the wake-up that a node wants into the event queue, and makes older ones void.
    pub(crate) fn set_alarm(&mut self, host: HostId) {
        let slot = &mut self.slots[host.0];
        slot.wake += 1;
        let (wake, life) = (slot.wake, slot.life);
        let Some(at) = slot.io.announced.and_then(|at| slot.moment(at)) else { return };
        let wait = at.saturating_sub(self.now);
        let late = slot.io.rng.up_to(slot.late);
        let early = slot.io.rng.chance(slot.early).then(|| slot.io.rng.up_to(wait));
        self.schedule(wait.saturating_add(late), Event::Wake { host, wake });
        if let Some(wait) = early {
            self.schedule(wait, Event::Early { host, life });
        }
    }

    pub(crate) fn wake(&mut self, host: HostId, wake: u64) {
        let slot = &self.slots[host.0];
        if slot.wake == wake && !slot.paused {
            self.ring(host);
        }
    }

    /// A call for no reason, which must do no harm.
    pub(crate) fn wake_early(&mut self, host: HostId, life: u32) {
        let slot = &self.slots[host.0];
        if slot.life == life && !slot.paused {
            self.enter(host, |node, io| node.timeout(io));
        }
    }

    /// Calls the node's timeout; its alarm counts as spent.
    pub(crate) fn ring(&mut self, host: HostId) {
        let before = self.slots[host.0].wake;
        self.enter(host, |node, io| node.timeout(io));
        let slot = &self.slots[host.0];
        let due = slot.io.announced.is_some_and(|at| at <= slot.instant(self.now));
        if slot.wake == before && due && slot.node.is_some() {
            // The node wants the same time again, which has come: it would never be called.
            assert!(slot.io.announced.is_none_or(|at| at == Instant::END), "{}: stuck", slot.name);
        }
    }
}
