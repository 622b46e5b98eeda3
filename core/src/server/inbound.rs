//! What arrives at a server in datagrams.

use super::clients::{self, Use};
use super::outbound::{Out, Reply};
use super::requests::Via;
use super::{ServerEvent, View};
use crate::addr::Endpoint;
use crate::crypto::keys::Direction;
use crate::crypto::mac;
use crate::id::SocketId;
use crate::link::Transport;
use crate::machine::Discard;
use crate::nat::ServerEnd;
use crate::session::Header;
use crate::session::keepalive::{ADDRESS_UNCHANGED, Keepalive, WANTS_ANSWER};
use crate::wire::codec::{Writer, read_body};
use crate::wire::message::{Register, Role, ToServer};
use crate::wire::{KEEPALIVE_LEN, Kind, RESUME_LEN, TAG_LEN, TRANSPORT_OVERHEAD};

impl View<'_> {
    /// A datagram from `remote`. Only the main socket takes more than detection packets.
    pub(super) fn datagram(
        &mut self,
        socket: SocketId,
        remote: Endpoint,
        message: &mut [u8],
    ) -> Result<(), Discard> {
        self.renew_secret();
        let end = self.state.config.end(socket).ok_or(Discard::Unexpected)?;
        if end != ServerEnd::Main {
            return match Kind::of(message)? {
                Kind::Detect => self.detect(end, remote, message),
                _ => Err(Discard::Unexpected),
            };
        }
        match Kind::of(message)? {
            kind @ (Kind::Keepalive | Kind::Echo) => self.keepalive(kind, remote, message),
            Kind::Transport => self.transport(remote, message),
            Kind::Initiation => self.initiation(remote, message),
            Kind::CertificateRequest => self.certificate_request(remote, message),
            Kind::Resume => self.resume(remote, message),
            Kind::Detect => self.detect(ServerEnd::Main, remote, message),
            kind if kind.is_downward() => Err(Discard::WrongDirection),
            _ => Err(Discard::UnknownKind),
        }
    }

    /// The live slot that a handle names.
    pub(super) fn live(&self, handle: u32) -> Option<usize> {
        let (at, generation) = clients::parts(handle);
        let slot = self.clients.get(at)?;
        (slot.usage == Use::Live && slot.has_place && slot.generation() == generation).then_some(at)
    }

    /// The path that nearly every datagram takes: 28 bytes in, at most 28 out.
    fn keepalive(&mut self, kind: Kind, remote: Endpoint, message: &[u8]) -> Result<(), Discard> {
        let (keepalive, tag) = Keepalive::parse(kind, message).ok_or(Discard::Malformed)?;
        let Some(at) = self.live(keepalive.handle) else {
            // The first word in a new session may not be a keepalive, so nothing is pending here.
            return self.hint(remote, message);
        };
        let slot = self.clients.get(at).ok_or(Discard::UnknownSession)?;
        if !crate::crypto::equal(&keepalive.tag(&slot.keepalive_up), &tag) {
            return self.hint(remote, message);
        }
        if !slot.window.is_fresh(keepalive.counter) {
            return Err(Discard::Replayed);
        }
        let place = remote;
        let moved = place != slot.place;
        if moved {
            let cookie = challenge(&self.state.secrets, 0, remote, keepalive.handle);
            let previous = challenge(&self.state.secrets, 1, remote, keepalive.handle);
            let proven = keepalive.cookie.is_some_and(|echo| echo == cookie || echo == previous);
            if !proven {
                // The counter stays fresh: whoever relayed this copy has gained nothing (T2).
                return self.challenge(at, remote, cookie);
            }
            if slot.place.ip() == remote.ip() {
                self.hear_after_silence(at, false, false);
            }
            let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
            slot.move_to(place);
            let (id, counts) = (slot.id, slot.registered && !slot.over_stream);
            if counts {
                let over = Transport::Datagram;
                self.state.event(ServerEvent::Registered { id, address: remote.into(), over });
            }
        } else {
            let next = slot.window.is_next(keepalive.counter);
            self.hear_after_silence(at, true, next);
        }
        let expires = self.lifetime(at);
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        slot.window.accept(keepalive.counter);
        slot.expires = expires;
        if keepalive.status & WANTS_ANSWER != 0 {
            let answer = Keepalive {
                kind: Kind::KeepaliveAnswer,
                status: if moved { 0 } else { ADDRESS_UNCHANGED },
                handle: slot.peer_index,
                counter: keepalive.counter,
                cookie: None,
            };
            let bytes = short(&answer, &slot.keepalive_down);
            self.state.send(Out::Reply(remote, Reply::Short(bytes)));
        }
        self.speaks(at);
        Ok(())
    }

    /// Asks a session that speaks from a new address to echo a cookie from there.
    fn challenge(&mut self, at: usize, remote: Endpoint, cookie: [u8; 6]) -> Result<(), Discard> {
        let slot = self.clients.get(at).ok_or(Discard::UnknownSession)?;
        let [a, b, c, d, e, f] = cookie;
        let challenge = Keepalive {
            kind: Kind::Challenge,
            status: 0,
            handle: slot.peer_index,
            counter: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            cookie: None,
        };
        let bytes = short(&challenge, &slot.keepalive_down);
        self.source_allowed(remote)?;
        self.state.send(Out::Reply(remote, Reply::Short(bytes)));
        Err(Discard::Unexpected)
    }

    /// Tells the sender that its session is not known here, with nothing but its own bytes.
    pub(super) fn hint(&mut self, remote: Endpoint, message: &[u8]) -> Result<(), Discard> {
        let counter = match Kind::of(message)? {
            Kind::Transport => message.get(8..14),
            _ => message.get(6..12),
        };
        let (Some(handle), Some(counter)) = (message.get(2..6), counter) else {
            return Err(Discard::Malformed);
        };
        let tag = message.last_chunk::<TAG_LEN>().ok_or(Discard::Malformed)?;
        self.source_allowed(remote)?;
        let mut hint = [0; KEEPALIVE_LEN];
        let mut writer = Writer::new(&mut hint);
        writer.put(&[Kind::Hint as u8, 0]);
        writer.put(handle);
        writer.put(counter);
        writer.put(tag);
        self.state.send(Out::Reply(remote, Reply::Short(hint)));
        Err(Discard::UnknownSession)
    }

    fn transport(&mut self, remote: Endpoint, message: &mut [u8]) -> Result<(), Discard> {
        let header = Header::parse(Kind::Transport, message).ok_or(Discard::Malformed)?;
        if let Some(pending) = self.pending_at(header.receiver) {
            if pending.remote != remote {
                return Err(Discard::Unauthentic);
            }
            // Only an authentic message lets the new session take over.
            let (at, body) = self.first_word(header, message)?;
            return self.said(at, remote, body);
        }
        let Some(at) = self.live(header.receiver) else {
            return self.hint(remote, message);
        };
        let place = remote;
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        let moved = slot.place != place;
        let window = slot.window;
        let body = match slot.open(header, message) {
            Ok(body) => body,
            Err(reason) => return self.unopened(reason, remote, message),
        };
        if moved {
            // Authentic, but from a new address: it must prove that first. The counter stays fresh.
            slot.window = window;
            let cookie = challenge(&self.state.secrets, 0, remote, header.receiver);
            return self.challenge(at, remote, cookie);
        }
        self.speaks(at);
        self.said(at, remote, body)
    }

    /// A transport message that its handle's session cannot open: the handle may have been given to
    /// another equipment since (a server that has restarted gives them out from the start again).
    fn unopened(
        &mut self,
        reason: Discard,
        remote: Endpoint,
        message: &[u8],
    ) -> Result<(), Discard> {
        match reason {
            Discard::Unauthentic => self.hint(remote, message),
            reason => Err(reason),
        }
    }

    /// The first transport message of a handshake.
    fn first_word<'d>(
        &mut self,
        header: Header,
        message: &'d mut [u8],
    ) -> Result<(usize, &'d [u8]), Discard> {
        let pending = self.pending_at(header.receiver).ok_or(Discard::UnknownSession)?;
        let key = pending.root.transport(Direction::Up);
        if header.epoch != 0 {
            return Err(Discard::Unauthentic);
        }
        let body = header.open(&key, message).ok_or(Discard::Unauthentic)?;
        let at = self.promote(header.receiver).ok_or(Discard::UnknownSession)?;
        if let Some(slot) = self.clients.get_mut(at) {
            slot.window.accept(header.counter);
        }
        self.tell_late(at);
        Ok((at, body))
    }

    fn said(&mut self, at: usize, remote: Endpoint, body: &[u8]) -> Result<(), Discard> {
        let body = read_body::<ToServer<'_>>(body).ok_or(Discard::Malformed)?;
        let expires = self.lifetime(at);
        if let Some(slot) = self.clients.get_mut(at) {
            slot.expires = expires;
        }
        self.start_sweep();
        self.client_says(at, remote, &body)
    }

    fn client_says(
        &mut self,
        at: usize,
        remote: Endpoint,
        body: &ToServer<'_>,
    ) -> Result<(), Discard> {
        let slot = self.clients.get(at).ok_or(Discard::UnknownSession)?;
        let (id, role) = (slot.id, slot.role);
        match body {
            ToServer::Confirm => Ok(()),
            ToServer::Register(register) => {
                self.register(at, remote, register, Transport::Datagram)?;
                self.state.send(Out::Registered(at));
                self.look(at, register.local.port());
                Ok(())
            }
            ToServer::Deregister => {
                self.forget(at);
                Ok(())
            }
            ToServer::Connect(request) if role == Role::Issuer => {
                self.connect(Via::Client(at), &id, remote, request)?;
                if let Some(index) = self.request_of(&id, request.request) {
                    self.meet(index);
                }
                Ok(())
            }
            ToServer::Reply(reply) if role == Role::Acceptor => {
                self.acceptor_says(&id, reply.request, reply.verdict)
            }
            ToServer::Can(bits) if role == Role::Issuer => self.issuer_can(at, *bits),
            ToServer::Heard(heard) => self.heard(at, heard.request),
            ToServer::Range(range) => self.claimed(at, range),
            ToServer::Life(life) => self.life(at, life),
            ToServer::Leased(port) => self.leases(at, *port),
            ToServer::Reached(proof) => self.reached(at, proof),
            ToServer::Can(_) | ToServer::Connect(_) | ToServer::Reply(_) | ToServer::Fetch(_) => {
                Err(Discard::Unexpected)
            }
        }
    }

    /// An acceptor registers: stores its id and the address that it was observed at.
    pub(super) fn register(
        &mut self,
        at: usize,
        remote: Endpoint,
        register: &Register,
        over: Transport,
    ) -> Result<(), Discard> {
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        // The session proves the key that the id is; a registration for another id is refused (T1).
        if register.id != slot.id || slot.role != Role::Acceptor {
            return Err(Discard::Unauthentic);
        }
        let new = !slot.registered;
        slot.registered = true;
        let changed = slot.over_stream != (over == Transport::Stream);
        slot.over_stream = over == Transport::Stream;
        slot.capabilities = register.capabilities;
        slot.has_early_key = register.early_key.is_some();
        slot.early_key = register.early_key.unwrap_or_default();
        let expires = self.lifetime(at);
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        slot.expires = expires;
        let id = slot.id;
        if new {
            self.state.index.registered = self.state.index.registered.saturating_add(1);
        }
        if new || changed {
            self.state.event(ServerEvent::Registered { id, address: remote.into(), over });
        }
        self.start_sweep();
        Ok(())
    }

    /// Takes an equipment off the list.
    pub(super) fn forget(&mut self, at: usize) {
        let Some(slot) = self.clients.get(at) else { return };
        let (id, registered) = (slot.id, slot.registered);
        self.state.index.remove(self.clients, at);
        // The slot may be another equipment's soon: no old handshake may take that one's place (T1).
        self.state.pending.retain(|pending| clients::parts(pending.handle).0 != at);
        if registered {
            self.state.event(ServerEvent::Left { id });
        }
    }
}

/// The cookie that proves an address to a session.
fn challenge(secrets: &[[u8; 16]; 2], which: usize, remote: Endpoint, handle: u32) -> [u8; 6] {
    let secret = secrets.get(which).copied().unwrap_or_default();
    let tag = mac::tag(&secret, &[b"challenge", &handle.to_be_bytes(), &remote.bytes()]);
    let [a, b, c, d, e, f, ..] = tag;
    [a, b, c, d, e, f]
}

/// A 28-byte message under `key`.
pub(super) fn short(message: &Keepalive, key: &[u8; 16]) -> [u8; KEEPALIVE_LEN] {
    let mut bytes = [0; KEEPALIVE_LEN];
    message.write(&message.tag(key), &mut bytes);
    bytes
}

const _: () = assert!(KEEPALIVE_LEN <= TRANSPORT_OVERHEAD && KEEPALIVE_LEN <= RESUME_LEN);
