//! What an adapter's sockets do for a turn.
//!
//! Sockets stand in tables of fixed length, where a place may be vacant: a turn goes through the places
//! and the machine's names find them. None of these calls may block.

use core::net::SocketAddr;

use genkan_core::{SocketId, StreamId, StreamState};

/// Writes a message to the front of a room of its length; false when it does not fit.
pub type Encode<'e> = dyn FnMut(&mut [u8]) -> bool + 'e;

/// Why a datagram was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unplaced {
    /// Not now: it stays where it is.
    Full,
    /// It could never leave: the network has lost it.
    Lost,
}

/// First of the ports that are drawn, and how many there are (RFC 6335, section 6).
const DRAWN: (u16, u16) = (49_152, 16_384);

/// Draws the first of `count` consecutive ports, which may be free. The seed goes on.
pub fn draw_ports(seed: &mut u32, count: u16) -> u16 {
    let (first, span) = DRAWN;
    // Knuth's generator: ports need to differ, not to be secret.
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let [high, low, ..] = seed.to_be_bytes();
    first + u16::from_be_bytes([high, low]) % span.saturating_sub(count).max(1)
}

/// The machine's UDP sockets.
pub trait Udp {
    /// How many places the table has.
    fn ports(&self) -> usize;

    /// The next datagram that has come to the socket at this place.
    fn receive(&mut self, index: usize) -> Option<(SocketId, SocketAddr, &mut [u8])>;

    /// Sends a datagram of `length` bytes.
    ///
    /// # Errors
    /// [`Unplaced`].
    fn send_datagram(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        hops: Option<u8>,
        length: usize,
        encode: &mut Encode<'_>,
    ) -> Result<(), Unplaced>;

    /// Whether a datagram of any length could leave now, as far as that is known.
    fn has_datagram_room(&self, socket: SocketId) -> bool;

    /// Opens `count` sockets on consecutive ports: the first one's address, or `None` when not all of
    /// them could be opened.
    fn bind(&mut self, first: SocketId, count: u8) -> Option<SocketAddr>;

    /// Closes sockets; names without one are passed over.
    fn unbind(&mut self, first: SocketId, count: u8);
}

/// The machine's TCP connections.
pub trait Tcp {
    /// How many places the table has.
    fn wires(&self) -> usize;

    /// The machine's name for the connection at this place, while frames may be read and written.
    fn open(&self, index: usize) -> Option<StreamId>;

    /// Has `handle` look at the bytes at the front of what has come, and removes as many as it
    /// returns; whether those were any. `handle` may be called again with more of the same bytes.
    fn read(&mut self, index: usize, handle: &mut dyn FnMut(&mut [u8]) -> usize) -> bool;

    /// Writes a frame of `length` bytes, whole or not at all.
    fn write(&mut self, stream: StreamId, length: usize, encode: &mut Encode<'_>) -> bool;

    /// Whether a payload that takes `length` bytes could be written now.
    fn has_payload_room(&self, stream: StreamId, length: usize) -> bool;

    /// Begins a connection; false when that cannot be.
    fn connect(&mut self, stream: StreamId, remote: SocketAddr) -> bool;

    /// As [`Tcp::connect`], from the local address and port of the connection `beside`, which stands:
    /// the other end calls at the same time, and the two calls become one connection (RFC 9293,
    /// section 3.5). False, too, where the stack cannot let two connections have one port.
    fn connect_from(&mut self, _stream: StreamId, _beside: StreamId, _remote: SocketAddr) -> bool {
        false
    }

    /// Lets a connection end in order.
    fn leave(&mut self, stream: StreamId);

    /// Begins to listen: the local address, or `None` when that cannot be.
    fn listen(&mut self) -> Option<SocketAddr>;

    /// Listens no more.
    fn unlisten(&mut self);

    /// What has become of the connection at this place, all of whose frames have been read.
    fn change(&mut self, index: usize) -> Option<TcpChange>;

    /// The machine takes the caller at this place.
    fn adopt(&mut self, index: usize, stream: StreamId);

    /// The machine does not want the caller at this place.
    fn refuse(&mut self, index: usize);

    /// All changes have been told: what is free may listen.
    fn attend(&mut self);
}

/// Both.
pub trait Stack: Udp + Tcp {}

impl<T: Udp + Tcp> Stack for T {}

/// What the machine must know of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TcpChange {
    /// It stands, or is no more.
    State(StreamId, StreamState),
    /// It has come in from there.
    Caller(#[cfg_attr(feature = "defmt", defmt(Debug2Format))] SocketAddr),
}
