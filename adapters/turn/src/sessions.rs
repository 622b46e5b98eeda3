//! Byte streams inside connections: what most appliances want.
//!
//! [`Sessions`] is an [`App`] that keeps one [`StreamStack`] for each connection, moves its packets,
//! and calls the application's [`Service`] whenever there may be something to read or room to write.
//! A connection's streams end with it; its stack then serves the next one.

use core::fmt;

use genkan_core::{Channel, ConnectionId, Instant, SendError};
use genkan_stream::{Config, INNER_MTU, MIN_BUFFER, Place, Role, Slot, StreamStack};
use heapless::Vec;

use crate::app::{App, Change, Outlet, Peer, Unsent};

/// Packets of one connection in a row; then it is the next one's turn.
const PACKETS: usize = 8;

/// One connection's streams: at most `STREAMS` at once.
pub type Streams<'a, const STREAMS: usize> = StreamStack<'a, Vec<Slot<'a>, STREAMS>>;

/// Memory for the streams of `SESSIONS` connections, `STREAMS` each, with so many bytes for each
/// direction of a stream. All zeros, so that a `static` of it takes no flash.
#[derive(Debug)]
pub struct StreamStorage<
    'a,
    const SESSIONS: usize,
    const STREAMS: usize,
    const BYTES: usize = 2_048,
> {
    sessions: [[Room<'a, BYTES>; STREAMS]; SESSIONS],
}

#[derive(Debug)]
struct Room<'a, const BYTES: usize> {
    place: Lazy<Place<'a>>,
    buffers: [[u8; BYTES]; 2],
}

/// Made when it is used; all zeros before. An `Option` of such a thing is not.
#[derive(Debug)]
#[repr(u8)]
enum Lazy<T> {
    Vacant = 0,
    Made(T) = 1,
}

impl<const SESSIONS: usize, const STREAMS: usize, const BYTES: usize>
    StreamStorage<'_, SESSIONS, STREAMS, BYTES>
{
    /// Unused memory.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(BYTES >= MIN_BUFFER, "a stream needs a longer buffer") };
        Self { sessions: [const { [const { Room::EMPTY }; STREAMS] }; SESSIONS] }
    }
}

#[cfg(feature = "defmt")]
impl<const SESSIONS: usize, const STREAMS: usize, const BYTES: usize> defmt::Format
    for StreamStorage<'_, SESSIONS, STREAMS, BYTES>
{
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=usize} x {=usize} streams of {=usize} bytes", SESSIONS, STREAMS, BYTES);
    }
}

impl<'a, const BYTES: usize> Room<'a, BYTES> {
    const EMPTY: Self = Self { place: Lazy::Vacant, buffers: [[0; BYTES]; 2] };

    fn slot(&'a mut self) -> Option<Slot<'a>> {
        self.place = Lazy::Made(Place::EMPTY);
        let [receive, transmit] = &mut self.buffers;
        match &mut self.place {
            Lazy::Made(place) => Slot::new(place, receive, transmit).ok(),
            Lazy::Vacant => None,
        }
    }
}

impl<const SESSIONS: usize, const STREAMS: usize, const BYTES: usize> Default
    for StreamStorage<'_, SESSIONS, STREAMS, BYTES>
{
    fn default() -> Self {
        Self::new()
    }
}

/// What the application does.
pub trait Service<M: Peer, const STREAMS: usize> {
    /// The machine tells something.
    fn event(&mut self, now: Instant, machine: &mut M, event: M::Event);

    /// Something may have happened to this session's streams: accept, read, write and release them.
    /// Called in each turn, also for a session without a connection, whose streams have ended. A
    /// stream's handle is only good for its own session: keep it by [`Session::index`].
    fn serve(&mut self, now: Instant, session: &mut Session<'_, STREAMS>);

    /// A datagram of the peer's own arrived.
    fn datagram(&mut self, now: Instant, connection: ConnectionId, bytes: &mut [u8]) {
        let _ = (now, connection, bytes);
    }

    /// As [`App::pump`], for datagrams of the application's own and for its deadlines.
    fn pump(&mut self, now: Instant, outlet: &mut Outlet<'_, '_, M>) -> Instant {
        let _ = (now, outlet);
        Instant::END
    }
}

/// The streams of one connection.
#[derive(Debug)]
pub struct Session<'a, const STREAMS: usize> {
    /// The streams.
    pub streams: Streams<'a, STREAMS>,
    index: usize,
    connection: Option<ConnectionId>,
}

impl<'a, const STREAMS: usize> Session<'a, STREAMS> {
    #[inline(never)]
    fn new<const BYTES: usize>(
        role: Role,
        rooms: &'a mut [Room<'a, BYTES>; STREAMS],
        seed: u64,
        now: Instant,
        index: usize,
    ) -> Self {
        let mut slots = Vec::new();
        for slot in rooms.iter_mut().filter_map(Room::slot) {
            // There are just as many places.
            let _ = slots.push(slot);
        }
        let streams = Streams::new(role, slots, Config::default(), seed, now.as_micros());
        Self { streams, index, connection: None }
    }

    /// Its place among the sessions, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The connection, while it stands.
    #[must_use]
    pub const fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    /// Ends all streams and throws away what they would still say.
    fn lose(&mut self, now: Instant, packet: &mut [u8; INNER_MTU]) {
        self.connection = None;
        self.streams.session_lost();
        // One reset for each stream.
        for _ in 0..=STREAMS {
            if self.streams.poll_packet(now.as_micros(), packet).is_none() {
                break;
            }
        }
    }
}

#[cfg(feature = "defmt")]
impl<const STREAMS: usize> defmt::Format for Session<'_, STREAMS> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Session {=usize} of {}", self.index, self.connection);
    }
}

/// The streams of all connections, and the service that they are for. It takes as many sessions as
/// the machine has slots for connections; a connection beyond that can only exchange datagrams.
pub struct Sessions<'a, V, const SESSIONS: usize, const STREAMS: usize> {
    /// The application.
    pub service: V,
    sessions: Vec<Session<'a, STREAMS>, SESSIONS>,
    packet: [u8; INNER_MTU],
}

impl<'a, V, const SESSIONS: usize, const STREAMS: usize> Sessions<'a, V, SESSIONS, STREAMS> {
    /// Sessions without connections. `seed` draws inner sequence numbers and ports and need not be
    /// secret.
    #[inline(always)] // It is not on the stack twice then, on its way to a static.
    pub fn new<const BYTES: usize>(
        role: Role,
        storage: &'a mut StreamStorage<'a, SESSIONS, STREAMS, BYTES>,
        seed: u64,
        now: Instant,
        service: V,
    ) -> Self {
        let mut made = Self { service, sessions: Vec::new(), packet: [0; INNER_MTU] };
        for (index, rooms) in storage.sessions.iter_mut().enumerate() {
            let seed = seed.wrapping_add(index as u64);
            // There are just as many places.
            let _ = made.sessions.push(Session::new(role, rooms, seed, now, index));
        }
        made
    }

    /// Lets peers open streams to a port; at most eight ports.
    ///
    /// # Errors
    /// [`ListenError`](genkan_stream::ListenError).
    pub fn listen(&mut self, port: u16) -> Result<(), genkan_stream::ListenError> {
        self.sessions.iter_mut().try_for_each(|session| session.streams.listen(port))
    }

    /// The sessions, with and without connections.
    pub fn iter(&self) -> impl Iterator<Item = &Session<'a, STREAMS>> {
        self.sessions.iter()
    }

    /// The sessions, with and without connections.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session<'a, STREAMS>> {
        self.sessions.iter_mut()
    }

    /// The session of a connection.
    pub fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut Session<'a, STREAMS>> {
        self.sessions.iter_mut().find(|session| session.connection == Some(connection))
    }

    fn change(&mut self, now: Instant, change: Change) {
        match change {
            Change::Connected(connection) => {
                let free = self.sessions.iter_mut().find(|session| session.connection.is_none());
                if let Some(session) = free {
                    session.connection = Some(connection);
                }
            }
            Change::Closed(connection) => {
                let packet = &mut self.packet;
                let mut sessions = self.sessions.iter_mut();
                if let Some(session) = sessions.find(|one| one.connection == Some(connection)) {
                    session.lose(now, packet);
                }
            }
        }
    }
}

impl<M, V, const SESSIONS: usize, const STREAMS: usize> App<M>
    for Sessions<'_, V, SESSIONS, STREAMS>
where
    M: Peer,
    V: Service<M, STREAMS>,
{
    fn event(&mut self, now: Instant, machine: &mut M, event: M::Event) {
        if let Some(change) = M::change(&event) {
            self.change(now, change);
        }
        self.service.event(now, machine, event);
    }

    fn payload(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        channel: Channel,
        plaintext: &mut [u8],
    ) {
        match (channel, self.get_mut(connection)) {
            (Channel::Datagram, _) => self.service.datagram(now, connection, plaintext),
            (Channel::Stream, Some(session)) => {
                session.streams.handle_packet(now.as_micros(), plaintext);
            }
            // No session is left for it.
            (Channel::Stream, None) => {}
        }
    }

    #[inline(never)]
    fn pump(&mut self, now: Instant, outlet: &mut Outlet<'_, '_, M>) -> Instant {
        let mut wake = self.service.pump(now, outlet);
        for session in &mut self.sessions {
            self.service.serve(now, session);
            wake = wake.min(push(now, session, &mut self.packet, outlet));
        }
        wake
    }
}

/// Sends what a session has to send; when it has more.
#[inline(never)]
fn push<M: Peer, const STREAMS: usize>(
    now: Instant,
    session: &mut Session<'_, STREAMS>,
    packet: &mut [u8; INNER_MTU],
    outlet: &mut Outlet<'_, '_, M>,
) -> Instant {
    let Some(connection) = session.connection else { return Instant::END };
    for _ in 0..PACKETS {
        if !outlet.has_room(connection) {
            // There is when packets have left, which is a turn of its own.
            return Instant::END;
        }
        let Some(length) = session.streams.poll_packet(now.as_micros(), packet) else { break };
        let bytes = packet.get(..length).unwrap_or_default();
        match outlet.send(connection, Channel::Stream, bytes) {
            Err(Unsent::Refused(SendError::UnknownConnection)) => session.lose(now, packet),
            // A packet that is not taken is lost; the TCP that it belongs to repeats it.
            Ok(()) | Err(Unsent::Full | Unsent::Refused(_)) => {}
        }
    }
    session.streams.poll_timeout(now.as_micros()).map_or(Instant::END, Instant::from_micros)
}

impl<V, const SESSIONS: usize, const STREAMS: usize> fmt::Debug
    for Sessions<'_, V, SESSIONS, STREAMS>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.sessions).finish()
    }
}

#[cfg(feature = "defmt")]
impl<V, const SESSIONS: usize, const STREAMS: usize> defmt::Format
    for Sessions<'_, V, SESSIONS, STREAMS>
{
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", self.sessions.as_slice());
    }
}
