//! Packets of one session on their way between its streams and the machine.

use genkan_core::{
    Acceptor, AcceptorSlot, Channel, CloseCause, ConnectionId, ConnectionInfo, Entropy, Instant,
    Issuer, IssuerSlot, MAX_FRAME, Machine, Path, SendError,
};
use genkan_stream::INNER_MTU;

use super::link::Link;
use crate::driver::Desk;

/// Packets that one session may send in one turn.
const PACKETS: usize = 64;

/// A machine with connections: an issuer or an acceptor.
pub(crate) trait Peer: Machine {
    /// Its place in the inner network.
    const PLACE: genkan_stream::Role;

    /// Seals a payload into `out`: its length there, and where it goes.
    fn seal(
        &mut self,
        now: Instant,
        name: ConnectionId,
        payload: (Channel, &[u8]),
        out: &mut [u8],
    ) -> Result<(usize, Path), SendError>;

    fn close(&mut self, now: Instant, name: ConnectionId);

    fn info(&self, name: ConnectionId) -> Option<ConnectionInfo>;
}

macro_rules! peer {
    ($machine:ident, $slot:ty, $place:ident) => {
        impl<S: AsRef<[$slot]> + AsMut<[$slot]>, E: Entropy> Peer for $machine<S, E> {
            const PLACE: genkan_stream::Role = genkan_stream::Role::$place;

            fn seal(
                &mut self,
                now: Instant,
                name: ConnectionId,
                (channel, bytes): (Channel, &[u8]),
                out: &mut [u8],
            ) -> Result<(usize, Path), SendError> {
                let mut payload = self.send(now, name, channel, bytes)?;
                let path = payload.path();
                let length = payload.encode(out).map_err(|_| SendError::TooLong)?;
                // Committed before it is sent: a datagram that the kernel drops is lost on the way.
                payload.commit();
                Ok((length, path))
            }

            fn close(&mut self, now: Instant, name: ConnectionId) {
                self.close(now, name);
            }

            fn info(&self, name: ConnectionId) -> Option<ConnectionInfo> {
                self.connection(name)
            }
        }
    };
}

peer!(Acceptor, AcceptorSlot, Acceptor);
peer!(Issuer, IssuerSlot, Issuer);

/// What a pump left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// Nothing until this time, if any.
    Idle(Option<Instant>),
    /// More, which goes on in the next turn.
    More,
    /// More, for which the path has no room yet.
    Starved,
    /// The streams are done and the session is to be closed.
    Close,
}

/// Sends what a session has to send.
pub(super) fn pump<M: Peer, E>(
    link: &Link,
    machine: &mut M,
    now: Instant,
    desk: &mut Desk<'_, E>,
) -> Left {
    let mut inner = link.lock();
    if inner.closed.is_some() {
        return Left::Idle(None);
    }
    if let Some(info) = machine.info(link.id) {
        inner.path = info.path;
    }
    if inner.closing.is_some_and(|until| until <= now || inner.is_done()) {
        return Left::Close;
    }
    let mut packet = [0; INNER_MTU];
    let mut sealed = [0; MAX_FRAME];
    for _ in 0..PACKETS {
        if !desk.has_room(&inner.path) {
            link.notify();
            return Left::Starved;
        }
        let datagram = inner.outbox.pop_front();
        let payload = match &datagram {
            Some(datagram) => (Channel::Datagram, &datagram[..]),
            None => match inner.stack.poll_packet(now.as_micros(), &mut packet) {
                Some(length) => (Channel::Stream, packet.get(..length).unwrap_or_default()),
                None => {
                    let timeout =
                        inner.stack.poll_timeout(now.as_micros()).map(Instant::from_micros);
                    let ours = [timeout, inner.closing];
                    link.notify();
                    return Left::Idle(ours.into_iter().flatten().min());
                }
            },
        };
        match machine.seal(now, link.id, payload, &mut sealed) {
            Ok((length, path)) => {
                let taken = desk.send(now, &path, sealed.get(..length).unwrap_or_default());
                let traffic = &mut inner.traffic;
                traffic.packets_sent += u64::from(taken);
                traffic.bytes_sent += if taken { payload.1.len() as u64 } else { 0 };
                traffic.dropped += u64::from(!taken);
            }
            Err(SendError::UnknownConnection) => {
                drop(inner);
                link.lost(CloseCause::PathLost);
                return Left::Idle(None);
            }
            Err(_) => inner.traffic.dropped += 1,
        }
    }
    link.notify();
    Left::More
}
