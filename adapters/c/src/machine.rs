//! The acceptor's loop: what has happened goes in, what is to be done comes out.

use core::net::SocketAddr;

use genkan_core::{Instant, Machine as _, Received, SocketId, StreamState, Wakeup};

use crate::acceptor::genkan_acceptor;
use crate::command::genkan_command;
use crate::error::{answer, genkan_error};
use crate::names::{genkan_address, genkan_connection_id, genkan_stream_id};
use crate::pointers::{check, exclusive, put, room, shared};
use crate::tell::{
    genkan_channel, genkan_discard, genkan_event, genkan_received, genkan_received_kind,
};

/// Longest datagram in bytes, in and out.
pub const GENKAN_MAX_DATAGRAM: usize = 1232;
/// Longest frame on a TCP connection in bytes, in and out.
pub const GENKAN_MAX_FRAME: usize = 1234;
/// Longest payload of genkan_send in bytes.
pub const GENKAN_MAX_PAYLOAD: usize = 1201;
/// The UDP socket that the firmware opens before anything else, on any port.
pub const GENKAN_SOCKET_MAIN: u16 = 0;

const _: () = assert!(GENKAN_MAX_DATAGRAM == genkan_core::MAX_DATAGRAM);
const _: () = assert!(GENKAN_MAX_FRAME == genkan_core::MAX_FRAME);
const _: () = assert!(GENKAN_MAX_PAYLOAD == genkan_core::MAX_PAYLOAD);
const _: () = assert!(GENKAN_SOCKET_MAIN == SocketId::MAIN.0);

/// A datagram of `length` bytes arrived on `socket` from `remote`. It is decrypted in place; a
/// payload is part of it.
///
/// # Safety
/// `acceptor` is null or valid; `remote` is null or points to an address; `datagram` is null or
/// points to `length` bytes; `received` is null or points to memory for the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_handle_datagram(
    acceptor: *mut genkan_acceptor,
    now: u64,
    socket: u16,
    remote: *const genkan_address,
    datagram: *mut u8,
    length: usize,
    received: *mut genkan_received,
) -> genkan_error {
    answer(|| {
        check(received)?;
        // SAFETY: the caller's promise.
        let (acceptor, remote, datagram) =
            unsafe { (exclusive(acceptor)?, shared(remote)?, room(datagram, length)?) };
        let (now, remote) = (Instant::from_micros(now), remote.try_into()?);
        let result = acceptor.machine.handle_datagram(now, SocketId(socket), remote, datagram);
        // SAFETY: the caller's promise.
        unsafe { put(received, result.into()) }
    })
}

/// `length` bytes stand at the front of the TCP connection `stream`. At most one frame is handled;
/// call again with the rest until `consumed` is 0, then wait for more bytes. A buffer of
/// GENKAN_MAX_FRAME bytes always suffices. The bytes are decrypted in place; a payload is part of
/// them.
///
/// # Safety
/// `acceptor` is null or valid; `bytes` is null or points to `length` bytes; `consumed` and
/// `received` are null or point to memory for the results.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_handle_stream(
    acceptor: *mut genkan_acceptor,
    now: u64,
    stream: genkan_stream_id,
    bytes: *mut u8,
    length: usize,
    consumed: *mut usize,
    received: *mut genkan_received,
) -> genkan_error {
    answer(|| {
        check(consumed)?;
        check(received)?;
        // SAFETY: the caller's promise.
        let (acceptor, bytes) = unsafe { (exclusive(acceptor)?, room(bytes, length)?) };
        let input = acceptor.machine.handle_stream(Instant::from_micros(now), stream.into(), bytes);
        // SAFETY: the caller's promise.
        unsafe {
            put(consumed, input.consumed)?;
            put(received, input.received.into())
        }
    })
}

/// The TCP connection `stream` stands: frames may be written.
///
/// # Safety
/// `acceptor` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_handle_connected(
    acceptor: *mut genkan_acceptor,
    now: u64,
    stream: genkan_stream_id,
) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| unsafe { stream_state(acceptor, now, stream, StreamState::Connected) })
}

/// The TCP connection `stream` could not be made, was reset, or ended. It is forgotten.
///
/// # Safety
/// `acceptor` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_handle_closed(
    acceptor: *mut genkan_acceptor,
    now: u64,
    stream: genkan_stream_id,
) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| unsafe { stream_state(acceptor, now, stream, StreamState::Closed) })
}

/// # Safety
/// `acceptor` is null or valid.
unsafe fn stream_state(
    acceptor: *mut genkan_acceptor,
    now: u64,
    stream: genkan_stream_id,
    state: StreamState,
) -> Result<(), genkan_error> {
    // SAFETY: the caller's promise.
    let acceptor = unsafe { exclusive(acceptor) }?;
    acceptor.machine.handle_stream_state(Instant::from_micros(now), stream.into(), state);
    Ok(())
}

/// The listener `socket` accepted a TCP connection from `remote`, which gets a name.
/// GENKAN_ERROR_NOTHING: the acceptor will not have it, close it at once.
///
/// # Safety
/// `acceptor` is null or valid; `remote` is null or points to an address; `stream` is null or points
/// to memory for a name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_handle_accept(
    acceptor: *mut genkan_acceptor,
    now: u64,
    socket: u16,
    remote: *const genkan_address,
    stream: *mut genkan_stream_id,
) -> genkan_error {
    answer(|| {
        check(stream)?;
        // SAFETY: the caller's promise.
        let (acceptor, remote) = unsafe { (exclusive(acceptor)?, shared(remote)?) };
        let (now, remote) = (Instant::from_micros(now), remote.try_into()?);
        let name = acceptor.machine.handle_accept(now, SocketId(socket), remote);
        let name = name.ok_or(genkan_error::Nothing)?;
        // SAFETY: the caller's promise.
        unsafe { put(stream, name.into()) }
    })
}

/// The answer to the commands Listen and Bind: the local address that the listener or first socket is
/// bound to; NULL when it could not be opened.
///
/// # Safety
/// `acceptor` is null or valid; `local` is null or points to an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_handle_bound(
    acceptor: *mut genkan_acceptor,
    now: u64,
    socket: u16,
    local: *const genkan_address,
) -> genkan_error {
    answer(|| {
        let local = if local.is_null() {
            None
        } else {
            // SAFETY: the caller's promise.
            Some(SocketAddr::try_from(unsafe { shared(local) }?)?)
        };
        // SAFETY: the caller's promise.
        let acceptor = unsafe { exclusive(acceptor) }?;
        acceptor.machine.handle_bound(Instant::from_micros(now), SocketId(socket), local);
        Ok(())
    })
}

/// Time has passed. Harmless when called early.
///
/// # Safety
/// `acceptor` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_handle_timeout(
    acceptor: *mut genkan_acceptor,
    now: u64,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        unsafe { exclusive(acceptor) }?.machine.handle_timeout(Instant::from_micros(now));
        Ok(())
    })
}

/// The next socket operation to carry out, or GENKAN_ERROR_NOTHING.
///
/// # Safety
/// `acceptor` is null or valid; `command` is null or points to memory for a command.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_poll_command(
    acceptor: *mut genkan_acceptor,
    command: *mut genkan_command,
) -> genkan_error {
    answer(|| {
        check(command)?;
        // SAFETY: the caller's promise.
        let machine = &mut unsafe { exclusive(acceptor) }?.machine;
        let next = core::iter::from_fn(|| machine.poll_command()).find_map(genkan_command::of);
        // SAFETY: the caller's promise.
        unsafe { put(command, next.ok_or(genkan_error::Nothing)?) }
    })
}

/// What the application should know next, or GENKAN_ERROR_NOTHING.
///
/// # Safety
/// `acceptor` is null or valid; `event` is null or points to memory for an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_poll_event(
    acceptor: *mut genkan_acceptor,
    event: *mut genkan_event,
) -> genkan_error {
    answer(|| {
        check(event)?;
        // SAFETY: the caller's promise.
        let machine = &mut unsafe { exclusive(acceptor) }?.machine;
        let next = core::iter::from_fn(|| machine.poll_event()).find_map(genkan_event::of);
        // SAFETY: the caller's promise.
        unsafe { put(event, next.ok_or(genkan_error::Nothing)?) }
    })
}

/// When to call genkan_handle_timeout at the latest; GENKAN_ERROR_NOTHING: only something that
/// happens can change anything.
///
/// # Safety
/// `acceptor` is null or valid; `at` is null or points to memory for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_poll_timeout(
    acceptor: *const genkan_acceptor,
    at: *mut u64,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let wakeup = unsafe { shared(acceptor) }?.machine.poll_timeout();
        let Wakeup { at: when, .. } = wakeup.ok_or(genkan_error::Nothing)?;
        // SAFETY: the caller's promise.
        unsafe { put(at, when.as_micros()) }
    })
}

impl From<Received<'_>> for genkan_received {
    fn from(received: Received<'_>) -> Self {
        let none = Self {
            payload: core::ptr::null_mut(),
            length: 0,
            connection: genkan_connection_id::default(),
            kind: genkan_received_kind::Control,
            channel: genkan_channel::Datagram,
            reason: genkan_discard::Malformed,
        };
        match received {
            Received::Control => none,
            Received::Payload { connection, channel, plaintext } => Self {
                payload: plaintext.as_mut_ptr(),
                length: plaintext.len(),
                connection: connection.into(),
                kind: genkan_received_kind::Payload,
                channel: channel.into(),
                ..none
            },
            Received::Discarded(reason) => Self {
                kind: genkan_received_kind::Discarded,
                reason: genkan_discard::of(reason),
                ..none
            },
        }
    }
}
