//! The loop's table of sessions.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use genkan_core::{Channel, CloseCause, ConnectionId, EquipmentId, Instant, Path};
use genkan_stream::{HOST_BUFFER, OwnedStack, Role};

use super::Session;
use super::link::{Link, Owner};
use super::listener::Ports;
use super::pump::{Left, Peer, pump};
use super::stream::Stream;
use crate::driver::{Desk, Nudge};

struct Entry {
    link: Arc<Link>,
    owner: Weak<Owner>,
    /// Keeps the session without a handle, at an acceptor.
    _kept: Option<Arc<Owner>>,
    left: Left,
    listening: Listening,
}

/// The ports that a session's streams know to be listened on.
#[derive(Default)]
struct Listening {
    version: u64,
    ports: Vec<u16>,
}

impl Listening {
    fn update(&mut self, stack: &mut OwnedStack, ports: &Ports) {
        let version = ports.version();
        if version == self.version {
            return;
        }
        for port in &self.ports {
            stack.unlisten(*port);
        }
        self.ports = ports.numbers();
        for port in &self.ports {
            // There are never more ports than a stack takes.
            let _ = stack.listen(*port);
        }
        self.version = version;
    }
}

/// All sessions of a node.
pub(crate) struct Sessions {
    table: BTreeMap<ConnectionId, Entry>,
    role: Role,
    /// How many streams each may carry at once.
    streams: u16,
    nudge: Arc<Nudge>,
    pub(crate) ports: Ports,
}

impl Sessions {
    pub(crate) const fn new(role: Role, streams: u16, nudge: Arc<Nudge>, ports: Ports) -> Self {
        Self { table: BTreeMap::new(), role, streams, nudge, ports }
    }

    /// A connection stands.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        name: ConnectionId,
        peer: EquipmentId,
        path: Path,
    ) -> Session {
        let mut seed = [0; 8];
        // It need not be secret, only differ; the clock differs too.
        let _ = getrandom::fill(&mut seed);
        let seed = u64::from_ne_bytes(seed) ^ now.as_micros();
        let stack = OwnedStack::with_slots(self.role, 1, HOST_BUFFER, seed, now.as_micros());
        let link =
            Arc::new(Link::new((name, peer), path, stack, self.streams, Arc::clone(&self.nudge)));
        let owner = Arc::new(Owner::new(Arc::clone(&link), self.role == Role::Issuer));
        let kept = (self.role == Role::Acceptor).then(|| Arc::clone(&owner));
        let weak = Arc::downgrade(&owner);
        let left = Left::More;
        let entry = Entry { link, owner: weak, _kept: kept, left, listening: Listening::default() };
        if let Some(former) = self.table.insert(name, entry) {
            former.link.lost(CloseCause::PathLost);
        }
        Session::new(owner)
    }

    /// A connection goes another way: what had no room on the old one may have on the new one.
    pub(crate) fn moved(&mut self, name: ConnectionId, path: Path) {
        let Some(entry) = self.table.get_mut(&name) else { return };
        entry.link.lock().path = path;
        if entry.left == Left::Starved {
            entry.left = Left::More;
        }
    }

    /// A connection has ended.
    pub(crate) fn close(&mut self, name: ConnectionId, cause: CloseCause) {
        if let Some(entry) = self.table.remove(&name) {
            entry.link.lost(cause);
        }
    }

    pub(crate) fn get(&self, name: ConnectionId) -> Option<Session> {
        self.table.get(&name)?.owner.upgrade().map(Session::new)
    }

    pub(crate) fn all(&self) -> Vec<Session> {
        self.table.values().filter_map(|entry| entry.owner.upgrade()).map(Session::new).collect()
    }

    pub(crate) fn names(&self) -> Vec<ConnectionId> {
        self.table.keys().copied().collect()
    }

    /// A payload arrived.
    pub(crate) fn payload(
        &mut self,
        now: Instant,
        name: ConnectionId,
        channel: Channel,
        plaintext: &[u8],
    ) {
        let Some(entry) = self.table.get_mut(&name) else { return };
        let mut inner = entry.link.lock();
        entry.listening.update(&mut inner.stack, &self.ports);
        inner.traffic.packets_received += 1;
        inner.traffic.bytes_received += plaintext.len() as u64;
        match channel {
            Channel::Datagram => inner.datagram(plaintext),
            Channel::Stream => {
                inner.make_room();
                inner.stack.handle_packet(now.as_micros(), plaintext);
            }
        }
        if !matches!(entry.left, Left::Starved) {
            entry.left = Left::More;
        }
    }

    /// Sends what is due; sessions whose streams are done are closed where that was asked for.
    pub(crate) fn pump<M: Peer, E>(
        &mut self,
        machine: &mut M,
        now: Instant,
        desk: &mut Desk<'_, E>,
    ) {
        for entry in self.table.values_mut() {
            let due = match entry.left {
                Left::Idle(at) => at.is_some_and(|at| at <= now),
                Left::More | Left::Starved => true,
                Left::Close => false,
            };
            if !entry.link.take_dirty() && !due {
                continue;
            }
            if entry.left == Left::Close {
                continue;
            }
            accept(entry, &self.ports);
            entry.left = pump(&entry.link, machine, now, desk);
            if entry.left == Left::Close {
                machine.close(now, entry.link.id);
            }
        }
    }

    /// Whether something goes on at once.
    pub(crate) fn has_more(&self) -> bool {
        let mut entries = self.table.values();
        entries.any(|entry| entry.left == Left::More || entry.link.is_dirty())
    }

    /// When [`Sessions::pump`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let times = self.table.values().filter_map(|entry| match entry.left {
            Left::Idle(at) => at,
            _ => None,
        });
        times.min()
    }

    /// All sessions are to end when their streams have.
    pub(crate) fn finish(&self, grace: Duration) {
        for entry in self.table.values() {
            entry.link.begin_close(grace);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The loop has ended.
    pub(crate) fn lost(&mut self) {
        for entry in core::mem::take(&mut self.table).into_values() {
            entry.link.lost(CloseCause::Local);
        }
        self.ports.end();
    }
}

/// Hands streams that the peer has opened to whoever listens.
fn accept(entry: &Entry, ports: &Ports) {
    loop {
        let mut inner = entry.link.lock();
        let Some(handle) = inner.stack.accept() else { return };
        let Some(port) = inner.stack.local_port(handle) else {
            // It has ended before it was taken.
            let _ = inner.stack.abort(handle);
            continue;
        };
        drop(inner);
        let Some(owner) = entry.owner.upgrade() else {
            let _ = entry.link.lock().stack.abort(handle);
            continue;
        };
        if let Err(stream) = ports.offer(Stream::new(owner, handle, port)) {
            stream.abort();
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.table.keys()).finish()
    }
}
