//! What arrives at a server on TCP connections.

use core::time::Duration;

use super::clients::Use;
use super::handshake::certificate_nonce;
use super::inbound::short;
use super::requests::Via;
use super::streams::{Due, find};
use super::{ServerEvent, View};
use crate::addr::Endpoint;
use crate::crypto::keys::Direction;
use crate::crypto::mac;
use crate::id::StreamId;
use crate::link::Transport;
use crate::machine::{Command, Discard};
use crate::session::keepalive::{ADDRESS_UNCHANGED, Keepalive, WANTS_ANSWER};
use crate::session::{Header, Session};
use crate::wire::Kind;
use crate::wire::codec::read_body;
use crate::wire::message::{Register, Role, ToServer};

/// How long a connection may take to its first handshake message, and from there to its session.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection with a session may take to its first request.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(30);
/// How many bytes a connection may send that carries no registration.
const BYTES: u32 = 64 * 1024;

impl View<'_> {
    /// Somebody connects.
    pub(super) fn accept(&mut self, remote: Endpoint) -> Option<StreamId> {
        let same = self.streams.iter().filter(|slot| {
            slot.remote.is_some_and(|other| mac::source(other) == mac::source(remote))
        });
        if same.count() >= self.state.config.streams_per_address {
            self.state.counters.discard(Discard::RateLimited);
            return None;
        }
        let Some(index) = self.streams.iter().position(|slot| slot.remote.is_none()) else {
            self.state.counters.discard(Discard::TableFull);
            return None;
        };
        let until = self.state.now.after(HANDSHAKE);
        let slot = self.streams.get_mut(index)?;
        slot.remote = Some(remote);
        slot.until = until;
        let generation = slot.generation;
        self.state.stream_at = crate::time::earliest(self.state.stream_at, Some(until));
        Some(StreamId { index: u16::try_from(index).ok()?, generation })
    }

    /// A frame on a stream.
    pub(super) fn frame(&mut self, stream: StreamId, message: &mut [u8]) -> Result<(), Discard> {
        let kind = Kind::of(message)?;
        let now = self.state.now;
        let slot = find(self.streams, stream).ok_or(Discard::UnknownSession)?;
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
        slot.received = slot.received.saturating_add(len);
        if slot.received > BYTES && slot.client.is_none() {
            return Err(Discard::RateLimited);
        }
        let remote = slot.remote.ok_or(Discard::UnknownSession)?;
        match kind {
            // The first frame or none: asking again and again would hold the connection open (T29).
            Kind::CertificateRequest if slot.received == len => {
                let nonce = certificate_nonce(message)?;
                slot.until = now.after(HANDSHAKE);
                push(slot, Due::Certificate(nonce))
            }
            Kind::Initiation => self.stream_initiation(stream, remote, message),
            Kind::Transport => self.stream_transport(stream, remote, message),
            Kind::Keepalive => self.stream_keepalive(stream, message),
            Kind::Detect if slot.received == len => self.sighted(stream, remote, message),
            Kind::CertificateRequest | Kind::Detect => Err(Discard::Unexpected),
            kind if kind.is_downward() => Err(Discard::WrongDirection),
            _ => Err(Discard::UnknownKind),
        }
    }

    fn stream_initiation(
        &mut self,
        stream: StreamId,
        remote: Endpoint,
        message: &[u8],
    ) -> Result<(), Discard> {
        let (answered, who, role) = self.stream_handshake(remote, message)?;
        let now = self.state.now;
        let slot = find(self.streams, stream).ok_or(Discard::UnknownSession)?;
        if slot.session.is_some() {
            // A new handshake on the same connection: nobody of ours does that.
            return Err(Discard::Unexpected);
        }
        slot.keepalive_up = answered.root.keepalive(Direction::Up);
        slot.keepalive_down = answered.root.keepalive(Direction::Down);
        slot.session = Some(Session::new(now, answered.root, Direction::Down, answered.peer_index));
        slot.id = who;
        slot.role = role;
        slot.until = now.after(REQUEST);
        push(slot, Due::Response(answered.response))
    }

    fn stream_transport(
        &mut self,
        stream: StreamId,
        remote: Endpoint,
        message: &mut [u8],
    ) -> Result<(), Discard> {
        let header = Header::parse(Kind::Transport, message).ok_or(Discard::Malformed)?;
        let now = self.state.now;
        let slot = find(self.streams, stream).ok_or(Discard::UnknownSession)?;
        let session = slot.session.as_mut().ok_or(Discard::UnknownSession)?;
        let body = session.open(now, header, message)?;
        let body = read_body::<ToServer<'_>>(body).ok_or(Discard::Malformed)?;
        if !matches!(body, ToServer::Confirm | ToServer::Can(_)) {
            slot.until = now.after(IDLE);
        }
        let (id, role) = (slot.id, slot.role);
        match (body, role) {
            (ToServer::Confirm, _) => Ok(()),
            (ToServer::Connect(request), Role::Issuer) => {
                self.connect(Via::Stream(stream), &id, remote, &request)
            }
            (ToServer::Can(bits), Role::Issuer) => self.stream_can(stream, bits),
            (ToServer::Register(register), Role::Acceptor) => {
                self.stream_register(stream, remote, &register)
            }
            (ToServer::Deregister, Role::Acceptor) => {
                self.stream_unregister(stream);
                Ok(())
            }
            (ToServer::Reply(reply), Role::Acceptor) => {
                self.acceptor_says(&id, reply.request, reply.verdict)
            }
            (ToServer::Fetch(fetch), Role::Acceptor) => self.fetch(stream, &id, fetch.request),
            _ => Err(Discard::Unexpected),
        }
    }

    /// A registration over TCP, where UDP is blocked.
    fn stream_register(
        &mut self,
        stream: StreamId,
        remote: Endpoint,
        register: &Register,
    ) -> Result<(), Discard> {
        let slot = find(self.streams, stream).ok_or(Discard::UnknownSession)?;
        let id = slot.id;
        let known = self.state.index.find(self.clients, &id, Role::Acceptor);
        let at = match known {
            Some(at) => at,
            None => {
                self.state.index.insert(self.clients, &id, Role::Acceptor).ok_or_else(|| {
                    self.state.event(ServerEvent::Full);
                    Discard::TableFull
                })?
            }
        };
        let client = self.clients.get_mut(at).ok_or(Discard::TableFull)?;
        client.usage = Use::Live;
        client.stream = Some(stream.index);
        self.register(at, remote, register, Transport::Stream)?;
        let life = Duration::from_secs(u64::from(self.state.config.interval)).saturating_mul(3);
        let until = self.state.now.after(life.max(IDLE));
        let slot = find(self.streams, stream).ok_or(Discard::UnknownSession)?;
        slot.client = Some(at);
        slot.until = until;
        push(slot, Due::Registered)
    }

    fn stream_keepalive(&mut self, stream: StreamId, message: &[u8]) -> Result<(), Discard> {
        let (keepalive, tag) =
            Keepalive::parse(Kind::Keepalive, message).ok_or(Discard::Malformed)?;
        let life = Duration::from_secs(u64::from(self.state.config.interval)).saturating_mul(3);
        let until = self.state.now.after(life.max(IDLE));
        let slot = find(self.streams, stream).ok_or(Discard::UnknownSession)?;
        let at = slot.client.ok_or(Discard::Unexpected)?;
        let id = slot.id;
        let session = slot.session.as_ref().ok_or(Discard::UnknownSession)?;
        if !crate::crypto::equal(&keepalive.tag(&slot.keepalive_up), &tag) {
            return Err(Discard::Unauthentic);
        }
        // The list may have let the equipment go, and the slot may be another's (the stream ends then).
        let client = self.clients.get(at).ok_or(Discard::Unexpected)?;
        if client.id != id || client.stream != Some(stream.index) {
            return Err(Discard::Unexpected);
        }
        slot.until = until;
        if keepalive.status & WANTS_ANSWER != 0 {
            let answer = Keepalive {
                kind: Kind::KeepaliveAnswer,
                status: ADDRESS_UNCHANGED,
                handle: session.peer_index,
                counter: keepalive.counter,
                cookie: None,
            };
            let bytes = short(&answer, &slot.keepalive_down);
            push(slot, Due::Answer(bytes))?;
        }
        let expires = self.lifetime(at);
        if let Some(client) = self.clients.get_mut(at) {
            client.expires = expires;
        }
        Ok(())
    }

    /// A woken acceptor fetches the second connection request.
    fn fetch(
        &mut self,
        stream: StreamId,
        id: &crate::EquipmentId,
        request: u32,
    ) -> Result<(), Discard> {
        let index = super::requests::find(self.requests, request).ok_or(Discard::Unexpected)?;
        let slot = self.requests.get(index).ok_or(Discard::Unexpected)?;
        if slot.target != *id || slot.stage != super::requests::Stage::Waiting {
            return Err(Discard::Unexpected);
        }
        // It stays due for another wake-up until it is answered: this connection may break.
        let slot = find(self.streams, stream).ok_or(Discard::UnknownSession)?;
        push(slot, Due::Notify(request))
    }

    fn stream_unregister(&mut self, stream: StreamId) {
        let Some(at) = find(self.streams, stream).and_then(|slot| slot.client.take()) else {
            return;
        };
        let Some(client) = self.clients.get_mut(at) else { return };
        if client.stream == Some(stream.index) {
            client.stream = None;
            // A registration over datagrams stays.
            if !client.has_place {
                self.forget(at);
            }
        }
    }

    /// A stream is gone.
    pub(super) fn stream_closed(&mut self, stream: StreamId) {
        self.stream_unregister(stream);
        if let Some(slot) = find(self.streams, stream) {
            slot.free();
        }
    }

    /// Closes a stream from our side.
    pub(super) fn close_stream(&mut self, stream: StreamId) {
        if find(self.streams, stream).is_some() {
            self.state.command(Command::Shutdown { stream });
            self.stream_closed(stream);
        }
    }
}

/// Queues a message on a stream.
pub(super) fn push(slot: &mut super::StreamSlot, due: Due) -> Result<(), Discard> {
    slot.due.push_back(due).map_err(|_| Discard::RateLimited)
}
