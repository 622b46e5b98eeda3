//! What is due to leave a server, and what time brings.

use core::net::SocketAddr;
use core::time::Duration;

use super::clients::{ClientSlot, Use};
use super::handshake::SECRET_LIFE;
use super::streams::{Due, find};
use super::{MOMENT, State, View};
use crate::crypto::keys::half;
use crate::id::{SocketId, StreamId};
use crate::machine::FRAME_PREFIX;
use crate::transmit::{DatagramHead, FrameHead};
use crate::wire::codec::{Writer, body_len, write_body};
use crate::wire::message::{ConnectNotify, Plan, Refused, Registered, Role, ToEquipment, Wake};
use crate::wire::{
    COOKIE_LEN, KEEPALIVE_LEN, Kind, RESPONSE_LEN, RESUME_LEN, TAG_LEN, TRANSPORT_HEADER,
    TRANSPORT_OVERHEAD,
};

/// How often a part of the equipment list is swept for entries that have ended.
const SWEEP: Duration = Duration::from_secs(1);
/// In how many sweeps the whole list is gone through.
const SWEEPS: usize = 32;

/// An answer that is complete but for its destination.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    Certificate([u8; 8]),
    Response([u8; RESPONSE_LEN]),
    Cookie([u8; COOKIE_LEN]),
    Resumed([u8; RESUME_LEN]),
    Short([u8; KEEPALIVE_LEN]),
}

/// A datagram that waits: request slot first, then equipment slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Out {
    Reply(SocketAddr, Reply),
    Registered(usize),
    Goodbye(usize),
    Notify(usize, usize),
    Wake(usize, usize),
    Plan(usize, usize),
    Refused(usize, usize),
}

/// Which queued message a descriptor stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// The first datagram in the queue.
    Datagram,
    /// The first frame in a stream's queue.
    Frame(StreamId),
}

impl State {
    fn reply_len(&self, reply: &Reply) -> usize {
        match reply {
            Reply::Certificate(_) => self.config.certificate.len().saturating_add(10),
            Reply::Response(bytes) => bytes.len(),
            Reply::Cookie(bytes) => bytes.len(),
            Reply::Resumed(bytes) => bytes.len(),
            Reply::Short(bytes) => bytes.len(),
        }
    }

    fn write_certificate(&self, nonce: [u8; 8], out: &mut [u8]) {
        let mut writer = Writer::new(out);
        writer.put(&[Kind::Certificate as u8, 0]);
        writer.put(&nonce);
        writer.put(&self.config.certificate);
    }

    fn registered(&self, observed: SocketAddr) -> ToEquipment<'static> {
        ToEquipment::Registered(Registered {
            observed,
            interval: self.config.interval,
            register_every: self.config.register_every,
        })
    }
}

fn transport_len(body: &ToEquipment<'_>) -> usize {
    body_len(body).saturating_add(TRANSPORT_OVERHEAD)
}

impl View<'_> {
    /// The body of a datagram or frame that goes under a session's keys.
    fn body(&self, out: Out) -> Option<ToEquipment<'_>> {
        Some(match out {
            Out::Reply(..) => return None,
            Out::Registered(at) => self.state.registered(self.clients.get(at)?.address()?),
            Out::Goodbye(_) => ToEquipment::Goodbye,
            Out::Notify(index, _) => self.notify(index)?,
            Out::Wake(index, _) => ToEquipment::Wake(Wake { request: self.number(index) }),
            Out::Plan(index, _) => self.plan(index)?,
            Out::Refused(index, _) => self.refused(index)?,
        })
    }

    fn notify(&self, index: usize) -> Option<ToEquipment<'_>> {
        let slot = self.requests.get(index)?;
        Some(ToEquipment::Notify(ConnectNotify {
            request: self.number(index),
            issuer: slot.address,
            paired: slot.paired,
            offer: &slot.offer,
        }))
    }

    fn plan(&self, index: usize) -> Option<ToEquipment<'_>> {
        let slot = self.requests.get(index)?;
        let at = self.state.index.find(self.clients, &slot.target, Role::Acceptor);
        let client = at.and_then(|at| self.clients.get(at));
        let acceptor = client.and_then(|client| {
            client.address().or_else(|| {
                self.streams.get(usize::from(client.stream?)).and_then(|stream| stream.remote)
            })
        });
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        Some(ToEquipment::Plan(Plan {
            request: slot.request,
            acceptor: acceptor.unwrap_or(unknown),
            accepted: slot.stage == super::requests::Stage::Accepted,
        }))
    }

    fn refused(&self, index: usize) -> Option<ToEquipment<'_>> {
        let slot = self.requests.get(index)?;
        Some(ToEquipment::Refused(Refused { request: slot.request, reason: slot.told() }))
    }

    /// The slot on the list whose session a queued datagram goes under.
    const fn slot_of(out: Out) -> usize {
        match out {
            Out::Reply(..) => usize::MAX,
            Out::Registered(at)
            | Out::Goodbye(at)
            | Out::Notify(_, at)
            | Out::Wake(_, at)
            | Out::Plan(_, at)
            | Out::Refused(_, at) => at,
        }
    }

    pub(super) fn next_datagram(&mut self) -> Option<DatagramHead<Ticket>> {
        loop {
            let out = *self.state.out.front()?;
            let found = match out {
                Out::Reply(remote, reply) => Some((remote, self.state.reply_len(&reply))),
                _ => self.addressed(out),
            };
            match found {
                Some((remote, len)) => {
                    return Some(DatagramHead {
                        ticket: Ticket::Datagram,
                        socket: SocketId::MAIN,
                        remote,
                        len,
                        hop_limit: None,
                    });
                }
                // Its request or equipment is gone meanwhile.
                None => {
                    self.state.out.pop_front();
                }
            }
        }
    }

    /// Address and length of a datagram under a session.
    fn addressed(&self, out: Out) -> Option<(SocketAddr, usize)> {
        let client = self.clients.get(Self::slot_of(out))?;
        // Slots may have been used anew since this was queued: nothing goes to another equipment.
        let meant = match out {
            Out::Reply(..) => false,
            Out::Registered(_) | Out::Goodbye(_) => client.registered,
            Out::Notify(index, _) | Out::Wake(index, _) => {
                let slot = self.requests.get(index)?;
                client.role == Role::Acceptor && client.id == slot.target
            }
            Out::Plan(index, _) | Out::Refused(index, _) => {
                let slot = self.requests.get(index)?;
                client.role == Role::Issuer && client.id == slot.issuer
            }
        };
        if client.usage != Use::Live || !meant {
            return None;
        }
        Some((client.address()?, transport_len(&self.body(out)?)))
    }

    pub(super) fn next_frame(&mut self, stream: StreamId) -> Option<FrameHead<Ticket>> {
        loop {
            let due = *find(self.streams, stream)?.due.front()?;
            let len = match due {
                Due::Certificate(_) => Some(self.state.config.certificate.len().saturating_add(10)),
                Due::Response(bytes) => Some(bytes.len()),
                Due::Answer(bytes) => Some(bytes.len()),
                _ => self.frame_body(stream, due).map(|body| transport_len(&body)),
            };
            if let Some(len) = len {
                let len = len.saturating_add(FRAME_PREFIX);
                return Some(FrameHead { ticket: Ticket::Frame(stream), stream, len });
            }
            // Its request is gone meanwhile.
            find(self.streams, stream)?.due.pop_front();
        }
    }

    fn frame_body(&self, stream: StreamId, due: Due) -> Option<ToEquipment<'_>> {
        // A request slot may have been used anew since: nothing goes to another equipment.
        let id = self.streams.get(usize::from(stream.index))?.id;
        let meant = match due {
            Due::Notify(index) => self.requests.get(index)?.target == id,
            Due::Plan(index) | Due::Refused(index) => self.requests.get(index)?.issuer == id,
            _ => true,
        };
        if !meant {
            return None;
        }
        match due {
            Due::Notify(index) => self.notify(index),
            Due::Plan(index) => self.plan(index),
            Due::Refused(index) => self.refused(index),
            Due::Registered => {
                let remote = self.streams.get(usize::from(stream.index))?.remote?;
                Some(self.state.registered(remote))
            }
            Due::Certificate(_) | Due::Response(_) | Due::Answer(_) => None,
        }
    }

    pub(super) fn encode(&mut self, ticket: Ticket, out: &mut [u8]) {
        match ticket {
            Ticket::Datagram => self.encode_datagram(out),
            Ticket::Frame(stream) => self.encode_frame(stream, crate::frame::prefix(out)),
        }
    }

    fn encode_datagram(&mut self, out: &mut [u8]) {
        let Some(&front) = self.state.out.front() else { return };
        match front {
            Out::Reply(_, Reply::Certificate(nonce)) => self.state.write_certificate(nonce, out),
            Out::Reply(_, Reply::Response(bytes)) => copy(&bytes, out),
            Out::Reply(_, Reply::Cookie(bytes)) => copy(&bytes, out),
            Out::Reply(_, Reply::Resumed(bytes)) => copy(&bytes, out),
            Out::Reply(_, Reply::Short(bytes)) => copy(&bytes, out),
            _ => {
                if let Some(body) = self.body(front) {
                    place_body(&body, out);
                }
                if let Some(client) = self.clients.get_mut(Self::slot_of(front)) {
                    ClientSlot::seal(client, out);
                }
            }
        }
    }

    fn encode_frame(&mut self, stream: StreamId, out: &mut [u8]) {
        let Some(due) = find(self.streams, stream).and_then(|slot| slot.due.front().copied())
        else {
            return;
        };
        match due {
            Due::Certificate(nonce) => self.state.write_certificate(nonce, out),
            Due::Response(bytes) => copy(&bytes, out),
            Due::Answer(bytes) => copy(&bytes, out),
            _ => {
                if let Some(body) = self.frame_body(stream, due) {
                    place_body(&body, out);
                }
                let now = self.state.now;
                if let Some(session) =
                    find(self.streams, stream).and_then(|slot| slot.session.as_mut())
                {
                    session.seal(now, Kind::ServerTransport, out);
                }
            }
        }
    }

    pub(super) fn commit(&mut self, ticket: Ticket) {
        match ticket {
            Ticket::Datagram => {
                self.state.out.pop_front();
            }
            Ticket::Frame(stream) => {
                if let Some(slot) = find(self.streams, stream) {
                    slot.due.pop_front();
                }
            }
        }
    }

    pub(super) fn start_sweep(&mut self) {
        if self.state.sweep_at.is_none() {
            self.state.sweep_at = Some(self.state.now.after(SWEEP));
        }
    }

    pub(super) fn timeout(&mut self) {
        let now = self.state.now;
        self.expire_requests();
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
            let ended = self
                .clients
                .get(at)
                .is_some_and(|slot| slot.usage != Use::Free && self.state.is_past(slot.expires));
            if ended {
                self.forget(at);
            }
            at = at.saturating_add(1);
        }
        self.state.sweep_from = at;
        let more = self.state.index.live > 0 || !self.state.pending.is_empty();
        self.state.sweep_at = more.then(|| self.state.now.after(SWEEP));
    }
}

fn copy(bytes: &[u8], out: &mut [u8]) {
    let mut writer = Writer::new(out);
    writer.put(bytes);
}

/// Writes a body between header and tag.
fn place_body(body: &ToEquipment<'_>, out: &mut [u8]) {
    let end = out.len().saturating_sub(TAG_LEN);
    if let Some(place) = out.get_mut(TRANSPORT_HEADER..end) {
        let _written = write_body(body, place);
    }
}
