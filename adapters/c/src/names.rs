//! Addresses, ids and names as C sees them.

use core::fmt::{self, Write as _};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str;

use genkan_core::{ConnectionId, EquipmentId, ID_TEXT_LEN, Path, StaticKey, StreamId};

use crate::error::{answer, genkan_error};
use crate::pointers::{put, room, shared};

/// Length of an id's text in characters, with the zero at its end.
pub const GENKAN_ID_TEXT_SIZE: usize = 62;
const _: () = assert!(GENKAN_ID_TEXT_SIZE == ID_TEXT_LEN + 1);

/// An IP address and a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct genkan_address {
    /// Network byte order; IPv4 uses the first four bytes, the others are 0.
    pub ip: [u8; 16],
    /// The port as a number.
    pub port: u16,
    /// 4 or 6; 0: no address.
    pub family: u8,
}

/// A TCP connection that the acceptor asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct genkan_stream_id {
    /// Place in the acceptor's table.
    pub index: u16,
    /// How often that place was used: an id of an earlier use is ignored.
    pub generation: u16,
}

/// A connection with an issuer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct genkan_connection_id {
    /// Place in the acceptor's table.
    pub index: u16,
    /// How often that place was used: an id of an earlier use is ignored.
    pub generation: u16,
}

/// What carries something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum genkan_transport {
    /// UDP.
    #[default]
    Datagram = 0,
    /// A TCP connection.
    Stream = 1,
}

/// What carries a connection with an issuer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct genkan_path {
    /// The address at its other end.
    pub remote: genkan_address,
    /// The TCP connection, for GENKAN_TRANSPORT_STREAM.
    pub stream: genkan_stream_id,
    /// The UDP socket, for GENKAN_TRANSPORT_DATAGRAM.
    pub socket: u16,
    /// Which of the two it is.
    pub transport: genkan_transport,
}

impl From<SocketAddr> for genkan_address {
    fn from(address: SocketAddr) -> Self {
        let (ip, family) = match address.ip() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                ([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4)
            }
            IpAddr::V6(v6) => (v6.octets(), 6),
        };
        Self { ip, port: address.port(), family }
    }
}

impl TryFrom<&genkan_address> for SocketAddr {
    type Error = genkan_error;

    fn try_from(address: &genkan_address) -> Result<Self, genkan_error> {
        let [a, b, c, d, ..] = address.ip;
        let ip = match address.family {
            4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            6 => IpAddr::V6(Ipv6Addr::from(address.ip)),
            _ => return Err(genkan_error::BadValue),
        };
        Ok(Self::new(ip, address.port))
    }
}

impl From<StreamId> for genkan_stream_id {
    fn from(StreamId { index, generation }: StreamId) -> Self {
        Self { index, generation }
    }
}

impl From<genkan_stream_id> for StreamId {
    fn from(genkan_stream_id { index, generation }: genkan_stream_id) -> Self {
        Self { index, generation }
    }
}

impl From<ConnectionId> for genkan_connection_id {
    fn from(ConnectionId { index, generation }: ConnectionId) -> Self {
        Self { index, generation }
    }
}

impl From<genkan_connection_id> for ConnectionId {
    fn from(genkan_connection_id { index, generation }: genkan_connection_id) -> Self {
        Self { index, generation }
    }
}

impl From<Path> for genkan_path {
    fn from(path: Path) -> Self {
        let remote = SocketAddr::from(path.remote()).into();
        match path {
            Path::Datagram { socket, .. } => Self { remote, socket: socket.0, ..Self::default() },
            Path::Stream { stream, .. } => Self {
                remote,
                stream: stream.into(),
                transport: genkan_transport::Stream,
                ..Self::default()
            },
        }
    }
}

/// The id, which is the public key, of a secret key of 32 bytes. Keep it beside the secret: on a
/// Cortex-M3 it takes 1.7 million instructions.
///
/// # Safety
/// `secret` and `id` are null or point to 32 bytes each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_id_from_secret(secret: *const u8, id: *mut u8) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let secret = unsafe { shared::<[u8; 32]>(secret.cast()) }?;
        // SAFETY: the caller's promise.
        unsafe { put(id.cast(), *StaticKey::from_secret(*secret).public()) }
    })
}

/// Writes an id as text of GENKAN_ID_TEXT_SIZE characters with the zero at its end.
///
/// # Safety
/// `id` is null or points to 32 bytes; `text` is null or points to `capacity` characters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_id_to_text(
    id: *const u8,
    text: *mut core::ffi::c_char,
    capacity: usize,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let id = unsafe { shared(id.cast()) }?;
        crate::pointers::check(text)?;
        // SAFETY: the caller's promise; a character is a byte.
        let room = unsafe { room(text.cast(), capacity) }?;
        let room = room.get_mut(..GENKAN_ID_TEXT_SIZE).ok_or(genkan_error::BufferTooSmall)?;
        room.fill(0);
        write!(Cut::new(room), "{}", EquipmentId(*id)).map_err(|_| genkan_error::BufferTooSmall)
    })
}

/// Reads an id from its text, which ends with a zero.
///
/// # Safety
/// `text` is null or points to a text that ends with a zero; `id` is null or points to 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_id_from_text(
    text: *const core::ffi::c_char,
    id: *mut u8,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let text = unsafe { text_of(text) }?;
        let parsed = text.parse::<EquipmentId>().map_err(|_| genkan_error::BadValue)?;
        // SAFETY: the caller's promise.
        unsafe { put(id.cast(), parsed.0) }
    })
}

/// A text of C's.
///
/// # Safety
/// `text` is null or points to a text that ends with a zero and that nobody changes during the call.
pub(crate) unsafe fn text_of<'a>(text: *const core::ffi::c_char) -> Result<&'a str, genkan_error> {
    crate::pointers::check(text)?;
    // SAFETY: not null, as was just checked; the rest is the caller's promise.
    let text = unsafe { core::ffi::CStr::from_ptr(text) };
    str::from_utf8(text.to_bytes()).map_err(|_| genkan_error::BadValue)
}

/// Takes text until it is full.
pub(crate) struct Cut<'b> {
    room: &'b mut [u8],
    written: usize,
}

impl<'b> Cut<'b> {
    pub(crate) const fn new(room: &'b mut [u8]) -> Self {
        Self { room, written: 0 }
    }

    /// How many bytes there are of it.
    #[cfg(feature = "log")]
    pub(crate) const fn written(&self) -> usize {
        self.written
    }
}

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.room.get_mut(self.written..).unwrap_or_default();
        let taken = room.len().min(text.len());
        let (Some(to), Some(from)) = (room.get_mut(..taken), text.as_bytes().get(..taken)) else {
            return Err(fmt::Error);
        };
        to.copy_from_slice(from);
        self.written = self.written.saturating_add(taken);
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
