//! What is due to leave a server.

use super::clients::{ClientSlot, Use};
use super::leases::{filter_probe, probe};
use super::punch::Sighted;
use super::requests::{RequestSlot, find as find_request};
use super::streams::{Due, find};
use super::{State, View};
use crate::addr::Endpoint;
use crate::id::{SocketId, StreamId};
use crate::machine::FRAME_PREFIX;
use crate::nat::ServerEnd;
use crate::punch::End;
use crate::transmit::{DatagramHead, FrameHead};
use crate::wire::codec::{Writer, body_len, write_body};
use crate::wire::message::{ConnectNotify, Plan, Refused, Registered, Role, ToEquipment, Wake};
use crate::wire::punch::FROM_MAIN;
use crate::wire::{
    COOKIE_LEN, KEEPALIVE_LEN, Kind, RESPONSE_LEN, RESUME_LEN, TAG_LEN, TRANSPORT_HEADER,
    TRANSPORT_OVERHEAD,
};

/// An answer that is complete but for its destination.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    Certificate([u8; 8]),
    Response([u8; RESPONSE_LEN]),
    Cookie([u8; COOKIE_LEN]),
    Resumed([u8; RESUME_LEN]),
    Short([u8; KEEPALIVE_LEN]),
}

/// A datagram that waits: our number for the request first, which is void when that is gone, then the
/// equipment's slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Out {
    Reply(Endpoint, Reply),
    Registered(usize),
    Goodbye(usize),
    Notify(u32, usize),
    Wake(u32, usize),
    Plan(u32, usize),
    Refused(u32, usize),
    Hopeless(u32, usize),
    /// A burst for this end.
    Punch(u32, End, usize),
    /// What this end is to do to meet the other one over TCP.
    Call(u32, End, usize),
    /// From the other end of the server's.
    Probe(usize, ServerEnd),
    /// A probe to this port of the address, in the session of this generation.
    Knock(usize, u8, u16),
    /// With or without the wish to see the NAT now.
    Measure(usize, bool),
    /// The report on a measurement.
    Seen(usize),
    /// The report on a burst's detection packet.
    Sighted(usize, Sighted),
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

    const fn registered(&self, observed: Endpoint, interval: u16) -> ToEquipment<'static> {
        ToEquipment::Registered(Registered {
            observed,
            interval,
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
            Out::Reply(..) | Out::Probe(..) | Out::Knock(..) => return None,
            Out::Registered(at) => {
                self.state.registered(self.clients.get(at)?.address()?, self.advice(at))
            }
            Out::Goodbye(_) => ToEquipment::Goodbye,
            Out::Notify(request, _) => self.notify(find_request(self.requests, request)?)?,
            Out::Wake(request, _) => ToEquipment::Wake(Wake { request }),
            Out::Plan(request, _) => self.plan(find_request(self.requests, request)?)?,
            Out::Refused(request, _) => self.refused(find_request(self.requests, request)?)?,
            Out::Hopeless(request, _) => self.hopeless(find_request(self.requests, request)?)?,
            Out::Punch(request, end, _) => {
                self.burst(find_request(self.requests, request)?, end)?
            }
            Out::Call(request, end, _) => {
                self.call_for(find_request(self.requests, request)?, end)?
            }
            Out::Measure(at, now) => ToEquipment::Measure(self.ends(at, now)?),
            Out::Seen(at) => ToEquipment::Seen(self.report(at)?),
            Out::Sighted(_, sighted) => ToEquipment::Seen(sighted.seen()),
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
        let unknown = Endpoint::UNSPECIFIED;
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
            | Out::Refused(_, at)
            | Out::Hopeless(_, at)
            | Out::Punch(_, _, at)
            | Out::Call(_, _, at)
            | Out::Probe(at, _)
            | Out::Knock(at, ..)
            | Out::Measure(at, _)
            | Out::Seen(at)
            | Out::Sighted(at, _) => at,
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
                        socket: socket(out),
                        remote: remote.into(),
                        len,
                        hop_limit: None,
                    });
                }
                // Its request or equipment is gone meanwhile.
                None => self.leave(),
            }
        }
    }

    /// The first datagram in the queue has left, or is void.
    fn leave(&mut self) {
        if let Some(Out::Punch(request, end, _)) = self.state.out.pop_front() {
            self.burst_left(request, end);
        }
    }

    /// Address and length of a datagram under a session.
    fn addressed(&self, out: Out) -> Option<(Endpoint, usize)> {
        let client = self.clients.get(Self::slot_of(out))?;
        // Slots may have been used anew since this was queued: nothing goes to another equipment.
        let meant = match out {
            Out::Reply(..) => false,
            Out::Registered(_) | Out::Goodbye(_) => client.registered,
            Out::Sighted(_, sighted) => client.generation() == sighted.generation,
            Out::Knock(_, generation, _) => client.generation() == generation,
            Out::Probe(..) | Out::Measure(..) | Out::Seen(_) => client.ability().is_some(),
            Out::Notify(request, _)
            | Out::Wake(request, _)
            | Out::Punch(request, End::Acceptor, _)
            | Out::Call(request, End::Acceptor, _) => {
                client.role == Role::Acceptor && client.id == self.request(request)?.target
            }
            Out::Plan(request, _)
            | Out::Refused(request, _)
            | Out::Hopeless(request, _)
            | Out::Punch(request, End::Issuer, _)
            | Out::Call(request, End::Issuer, _) => {
                client.role == Role::Issuer && client.id == self.request(request)?.issuer
            }
        };
        if client.usage != Use::Live || !meant {
            return None;
        }
        let len = match out {
            Out::Probe(..) | Out::Knock(..) => KEEPALIVE_LEN,
            _ => transport_len(&self.body(out)?),
        };
        let mut address = client.address()?;
        match out {
            Out::Knock(_, _, port) => address = address.at_port(port),
            // What a port was leased for is to be seen there.
            Out::Probe(..) if client.leased != 0 => address = address.at_port(client.leased),
            _ => {}
        }
        Some((address, len))
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

    fn request(&self, number: u32) -> Option<&RequestSlot> {
        self.requests.get(find_request(self.requests, number)?)
    }

    fn frame_body(&self, stream: StreamId, due: Due) -> Option<ToEquipment<'_>> {
        // A request slot may have been used anew since: nothing goes to another equipment.
        let id = self.streams.get(usize::from(stream.index))?.id;
        let meant = match due {
            Due::Notify(request) | Due::Call(request, End::Acceptor) => {
                self.request(request)?.target == id
            }
            Due::Plan(request) | Due::Refused(request) | Due::Call(request, End::Issuer) => {
                self.request(request)?.issuer == id
            }
            _ => true,
        };
        if !meant {
            return None;
        }
        match due {
            Due::Notify(request) => self.notify(find_request(self.requests, request)?),
            Due::Plan(request) => self.plan(find_request(self.requests, request)?),
            Due::Refused(request) => self.refused(find_request(self.requests, request)?),
            Due::Call(request, end) => self.call_for(find_request(self.requests, request)?, end),
            Due::Registered => {
                let remote = self.streams.get(usize::from(stream.index))?.remote?;
                Some(self.state.registered(remote, self.state.config.interval))
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
            Out::Probe(at, end) => {
                if let Some(client) = self.clients.get(at) {
                    copy(&probe(client, end, &self.state.lease_key), out);
                }
            }
            Out::Knock(at, _, port) => {
                if let Some(client) = self.clients.get(at) {
                    copy(&filter_probe(client, FROM_MAIN, port.into()), out);
                }
            }
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
            Ticket::Datagram => self.leave(),
            Ticket::Frame(stream) => {
                if let Some(slot) = find(self.streams, stream) {
                    slot.due.pop_front();
                }
            }
        }
    }
}

/// Which of the server's sockets a datagram leaves from.
const fn socket(out: Out) -> SocketId {
    match out {
        Out::Probe(_, ServerEnd::OtherPort) => SocketId::OTHER_PORT,
        Out::Probe(_, ServerEnd::OtherAddress) => SocketId::OTHER_ADDRESS,
        _ => SocketId::MAIN,
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
