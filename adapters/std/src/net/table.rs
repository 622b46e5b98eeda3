//! The TCP connections of a node, by the machine's names and by the poller's tokens.
//!
//! A connection that the machine has let go stays here until its queue has left; its name may name a
//! new connection meanwhile.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;

use genkan_core::{Instant, StreamId, canonical};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::bind;
use super::stream::{Phase, Wire};
use super::{FIRST_STREAM, TokenNumber};

/// How long a TCP handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Wires {
    registry: Registry,
    wires: BTreeMap<TokenNumber, Wire>,
    names: BTreeMap<StreamId, TokenNumber>,
    next: TokenNumber,
}

impl Wires {
    pub(super) const fn new(registry: Registry) -> Self {
        Self { registry, wires: BTreeMap::new(), names: BTreeMap::new(), next: FIRST_STREAM }
    }

    /// Begins to connect, from the local address of another connection where one is named.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        id: StreamId,
        beside: Option<StreamId>,
        remote: SocketAddr,
    ) -> io::Result<()> {
        let from = beside.map(|other| self.local(other)).transpose()?;
        let socket = bind::stream(from, remote)?;
        let until = now.after(CONNECT_TIMEOUT);
        self.insert(Wire::new(id, canonical(remote), socket, Phase::Connecting(until)))
    }

    /// Where a connection that stands has its own end.
    fn local(&self, id: StreamId) -> io::Result<SocketAddr> {
        let wire = self.named(id).filter(|wire| wire.is_open());
        let wire = wire.ok_or(io::ErrorKind::NotConnected)?;
        // A caller's end may be written in the form of a socket for both families.
        wire.socket.local_addr().map(canonical)
    }

    /// Takes in a connection that was accepted.
    pub(super) fn accept(
        &mut self,
        id: StreamId,
        remote: SocketAddr,
        socket: TcpStream,
    ) -> io::Result<()> {
        self.insert(Wire::new(id, remote, socket, Phase::Open))
    }

    fn insert(&mut self, mut wire: Wire) -> io::Result<()> {
        let token = self.next;
        self.next = self.next.checked_add(1).unwrap_or(FIRST_STREAM);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut wire.socket, Token(token), interest)?;
        self.names.insert(wire.id, token);
        self.wires.insert(token, wire);
        Ok(())
    }

    pub(super) fn token(&self, id: StreamId) -> Option<TokenNumber> {
        self.names.get(&id).copied()
    }

    pub(super) fn get(&self, token: TokenNumber) -> Option<&Wire> {
        self.wires.get(&token)
    }

    pub(super) fn get_mut(&mut self, token: TokenNumber) -> Option<&mut Wire> {
        self.wires.get_mut(&token)
    }

    pub(super) fn named(&self, id: StreamId) -> Option<&Wire> {
        self.get(self.token(id)?)
    }

    pub(super) fn named_mut(&mut self, id: StreamId) -> Option<&mut Wire> {
        let token = self.token(id)?;
        self.get_mut(token)
    }

    /// The machine has let go of a connection: it leaves when its queue has left.
    pub(super) fn leave(&mut self, now: Instant, id: StreamId) -> Option<SocketAddr> {
        let token = self.names.remove(&id)?;
        let wire = self.wires.get_mut(&token)?;
        let remote = wire.remote;
        match wire.phase {
            Phase::Connecting(_) => drop(self.remove(token)),
            _ => wire.leave(now),
        }
        Some(remote)
    }

    /// Closes a connection at once.
    pub(super) fn remove(&mut self, token: TokenNumber) -> Option<Wire> {
        let mut wire = self.wires.remove(&token)?;
        if self.names.get(&wire.id) == Some(&token) {
            self.names.remove(&wire.id);
        }
        // It is closed in any case when it is dropped.
        let _ = self.registry.deregister(&mut wire.socket);
        Some(wire)
    }

    /// Gives the kernel what is queued, and closes what is done with.
    pub(super) fn flush(&mut self, now: Instant) {
        let mut done = Vec::new();
        for (token, wire) in &mut self.wires {
            match wire.phase {
                Phase::Connecting(_) => continue,
                Phase::Open => wire.flush(),
                Phase::Leaving(_) | Phase::Parting(_) => {
                    wire.flush();
                    if wire.part(now) {
                        done.push(*token);
                    }
                }
            }
        }
        for token in done {
            self.remove(token);
        }
    }

    /// Tokens of the connections that a predicate holds for.
    pub(super) fn tokens(&self, wanted: impl Fn(&Wire) -> bool) -> Vec<TokenNumber> {
        let chosen = self.wires.iter().filter(|(_, wire)| wanted(wire));
        chosen.map(|(token, _)| *token).collect()
    }

    /// Names and addresses of those among the connections that stand.
    pub(super) fn open(&self, wanted: impl Fn(&Wire) -> bool) -> Vec<(StreamId, SocketAddr)> {
        let standing = self.wires.values().filter(|wire| wire.is_open() && wanted(wire));
        standing.map(|wire| (wire.id, wire.remote)).collect()
    }

    pub(super) fn is_readable(&self) -> bool {
        self.wires.values().any(|wire| wire.is_open() && wire.readable)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wires.values().filter_map(Wire::deadline).min()
    }

    pub(super) fn is_flushed(&self) -> bool {
        let leaves = |wire: &Wire| matches!(wire.phase, Phase::Leaving(_) | Phase::Parting(_));
        !self.wires.values().any(|wire| leaves(wire) || (wire.queued() > 0 && !wire.ended))
    }

    pub(super) fn len(&self) -> usize {
        self.wires.len()
    }
}
