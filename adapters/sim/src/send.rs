//! How an application's data leaves: sealed by the machine, carried by the host.

use genkan_core::{
    Acceptor, AcceptorSlot, Channel, ConnectionId, Entropy, Instant, Issuer, IssuerSlot,
    MAX_DATAGRAM, Machine, Path, Payload, SendError,
};

use crate::checks::{THOROUGH, check_encode, check_prefix, encode};
use crate::node::Io;

/// Payloads for a stream on which more than this is queued are dropped: the inner transport must
/// see the congestion.
const STREAM_QUEUE: usize = 32 * 1_024;

/// A machine that carries application data: acceptor and issuer.
pub trait Sends: Machine {
    /// The role's own `send`.
    ///
    /// # Errors
    /// [`SendError`].
    fn payload<'a>(
        &'a mut self,
        now: Instant,
        connection: ConnectionId,
        channel: Channel,
        bytes: &'a [u8],
    ) -> Result<Payload<'a>, SendError>;
}

impl<S: AsRef<[AcceptorSlot]> + AsMut<[AcceptorSlot]>, E: Entropy> Sends for Acceptor<S, E> {
    fn payload<'a>(
        &'a mut self,
        now: Instant,
        connection: ConnectionId,
        channel: Channel,
        bytes: &'a [u8],
    ) -> Result<Payload<'a>, SendError> {
        self.send(now, connection, channel, bytes)
    }
}

impl<S: AsRef<[IssuerSlot]> + AsMut<[IssuerSlot]>, E: Entropy> Sends for Issuer<S, E> {
    fn payload<'a>(
        &'a mut self,
        now: Instant,
        connection: ConnectionId,
        channel: Channel,
        bytes: &'a [u8],
    ) -> Result<Payload<'a>, SendError> {
        self.send(now, connection, channel, bytes)
    }
}

/// What became of a payload at its own host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// It is on its way.
    Away,
    /// Its stream had too much queued.
    Dropped,
}

impl Io {
    /// Sends application data over a connection, on whatever path that has.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send<M: Sends>(
        &mut self,
        machine: &mut M,
        connection: ConnectionId,
        channel: Channel,
        bytes: &[u8],
    ) -> Result<Sent, SendError> {
        let thorough = self.rng.chance(THOROUGH);
        let mut payload = machine.payload(self.now, connection, channel, bytes)?;
        let (path, len) = (payload.path(), payload.len());
        if let Path::Stream { stream, .. } = path
            && (self.queued(stream) + len > STREAM_QUEUE || self.room(stream) < len)
        {
            return Ok(Sent::Dropped);
        }
        if thorough {
            check_encode(self.name(), len, |buf| payload.encode(buf));
        }
        let message = encode(self.name(), len, |buf| payload.encode(buf));
        payload.commit();
        match path {
            Path::Datagram { socket, remote } => {
                assert!(len <= MAX_DATAGRAM, "{}: a payload of {len} bytes", self.name());
                self.send_datagram(socket, remote.into(), None, message);
            }
            Path::Stream { stream, .. } => {
                check_prefix(self.name(), &message);
                assert!(self.write(stream, message), "{}: there was room", self.name());
            }
        }
        Ok(Sent::Away)
    }
}
