//! What the application is told, and how it speaks.

use core::fmt;

use genkan_core::{
    Acceptor, AcceptorEvent, AcceptorSlot, Channel, ConnectionId, ConnectionInfo, Entropy, Instant,
    Issuer, IssuerEvent, IssuerSlot, MAX_FRAME, Machine, Path, Payload, SendError,
};

use crate::sockets::{Stack, Unplaced};

/// The application of a machine, as the adapter's `Node::poll` sees it. With byte streams, `Sessions`
/// is one.
pub trait App<M: Machine> {
    /// The machine tells something.
    fn event(&mut self, now: Instant, machine: &mut M, event: M::Event);

    /// A payload arrived over a connection.
    fn payload(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        channel: Channel,
        plaintext: &mut [u8],
    ) {
        let _ = (now, connection, channel, plaintext);
    }

    /// There may be room to send. Called at least once in each turn, and again as long as it sends
    /// something. Returns when it wants to be called at the latest; [`Instant::END`]: only when
    /// something happens.
    fn pump(&mut self, now: Instant, outlet: &mut Outlet<'_, '_, M>) -> Instant {
        let _ = (now, outlet);
        Instant::END
    }
}

/// A closure that takes the events suffices for a server.
impl<M: Machine, F: FnMut(Instant, &mut M, M::Event)> App<M> for F {
    fn event(&mut self, now: Instant, machine: &mut M, event: M::Event) {
        self(now, machine, event);
    }
}

/// A machine with connections: [`Issuer`] or [`Acceptor`].
pub trait Peer: Machine {
    /// As the machine's own `send`.
    ///
    /// # Errors
    /// [`SendError`].
    fn send<'a>(
        &'a mut self,
        now: Instant,
        connection: ConnectionId,
        channel: Channel,
        bytes: &'a [u8],
    ) -> Result<Payload<'a>, SendError>;

    /// Closes a connection.
    fn close(&mut self, now: Instant, connection: ConnectionId);

    /// Who is at the other end of a connection that stands, and what carries it.
    fn connection(&self, connection: ConnectionId) -> Option<ConnectionInfo>;

    /// What an event says about a connection.
    fn change(event: &Self::Event) -> Option<Change>;
}

/// A connection begins or ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Change {
    /// It stands.
    Connected(ConnectionId),
    /// It is no more.
    Closed(ConnectionId),
}

macro_rules! peer {
    ($machine:ident, $slot:ty, $event:ident) => {
        impl<S: AsRef<[$slot]> + AsMut<[$slot]>, E: Entropy> Peer for $machine<S, E> {
            fn send<'a>(
                &'a mut self,
                now: Instant,
                connection: ConnectionId,
                channel: Channel,
                bytes: &'a [u8],
            ) -> Result<Payload<'a>, SendError> {
                self.send(now, connection, channel, bytes)
            }

            fn close(&mut self, now: Instant, connection: ConnectionId) {
                self.close(now, connection);
            }

            fn connection(&self, connection: ConnectionId) -> Option<ConnectionInfo> {
                self.connection(connection)
            }

            fn change(event: &$event) -> Option<Change> {
                match event {
                    $event::Connected { connection, .. } => Some(Change::Connected(*connection)),
                    $event::Closed { connection, .. } => Some(Change::Closed(*connection)),
                    _ => None,
                }
            }
        }
    };
}

peer!(Acceptor, AcceptorSlot, AcceptorEvent);
peer!(Issuer, IssuerSlot, IssuerEvent);

/// Why [`Outlet::send`] did not send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unsent {
    /// The socket has no room: try again in the next [`App::pump`].
    Full,
    /// The machine refuses.
    Refused(SendError),
}

/// The way out for payloads, while [`App::pump`] runs.
pub struct Outlet<'o, 's, M> {
    /// The machine.
    pub machine: &'o mut M,
    // Any stack's, so that applications need not name it.
    pub(crate) stack: &'o mut (dyn Stack + 's),
    pub(crate) now: Instant,
    pub(crate) sent: bool,
}

impl<M> fmt::Debug for Outlet<'_, '_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl<M> defmt::Format for Outlet<'_, '_, M> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Outlet");
    }
}

impl<M: Peer> Outlet<'_, '_, M> {
    /// Whether a payload of any length could be sent on a connection's path now.
    pub fn has_room(&mut self, connection: ConnectionId) -> bool {
        match self.machine.connection(connection).map(|info| info.path) {
            Some(Path::Datagram { socket, .. }) => self.stack.has_datagram_room(socket),
            Some(Path::Stream { stream, .. }) => self.stack.has_payload_room(stream, MAX_FRAME),
            None => false,
        }
    }

    /// Sends a payload on a connection, sealed straight into the socket's ring where it has one. On a datagram path it
    /// may be lost on the way, as any datagram.
    ///
    /// # Errors
    /// [`Unsent`]: the caller still holds the bytes.
    pub fn send(
        &mut self,
        connection: ConnectionId,
        channel: Channel,
        bytes: &[u8],
    ) -> Result<(), Unsent> {
        let mut payload =
            self.machine.send(self.now, connection, channel, bytes).map_err(Unsent::Refused)?;
        let length = payload.len();
        let path = payload.path();
        let encode = &mut |room: &mut [u8]| payload.encode(room).is_ok();
        let placed = match path {
            Path::Datagram { socket, remote } => {
                self.stack.send_datagram(socket, remote.into(), None, length, encode)
            }
            Path::Stream { stream, .. } => {
                let fits = self.stack.has_payload_room(stream, length);
                let written = fits && self.stack.write(stream, length, encode);
                written.then_some(()).ok_or(Unplaced::Full)
            }
        };
        if placed == Err(Unplaced::Full) {
            return Err(Unsent::Full);
        }
        payload.commit();
        self.sent = true;
        Ok(())
    }
}
