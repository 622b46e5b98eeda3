//! Application data, and what was counted.

use genkan_core::{Channel, Instant};

use crate::acceptor::genkan_acceptor;
use crate::error::{answer, genkan_error};
use crate::names::{genkan_connection_id, genkan_path};
use crate::pointers::{check, exclusive, many, put, room, shared};
use crate::tell::genkan_channel;

/// How much was discarded, and what was lost because the firmware did not drain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct genkan_counters {
    /// Datagrams and frames that were discarded, by genkan_discard.
    pub discarded: [u32; 12],
    /// Events and commands that were lost because the firmware did not poll them.
    pub lost_events: u32,
}

/// Seals `length` bytes of application data for a connection into `buffer` and tells how many bytes
/// that are and what path they go: as a datagram from `path.socket` to `path.remote`, or to the TCP
/// connection `path.stream`, whole and in order. `channel` is a genkan_channel. A buffer of
/// GENKAN_MAX_FRAME bytes always suffices. On TCP, drop payloads when more than 32 KiB wait already:
/// the streams inside see the congestion then.
///
/// # Safety
/// `acceptor` is null or valid; `bytes` is null or points to `length` bytes, `buffer` to `capacity`
/// others; `sealed` and `path` are null or point to memory for the results.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_send(
    acceptor: *mut genkan_acceptor,
    now: u64,
    connection: genkan_connection_id,
    channel: u8,
    bytes: *const u8,
    length: usize,
    buffer: *mut u8,
    capacity: usize,
    sealed: *mut usize,
    path: *mut genkan_path,
) -> genkan_error {
    answer(|| {
        const DATAGRAM: u8 = genkan_channel::Datagram as u8;
        const STREAM: u8 = genkan_channel::Stream as u8;
        let channel = match channel {
            DATAGRAM => Channel::Datagram,
            STREAM => Channel::Stream,
            _ => return Err(genkan_error::BadValue),
        };
        check(buffer)?;
        check(path)?;
        // SAFETY: the caller's promise.
        let (acceptor, bytes, room) =
            unsafe { (exclusive(acceptor)?, many(bytes, length)?, room(buffer, capacity)?) };
        let now = Instant::from_micros(now);
        let mut payload = acceptor.machine.send(now, connection.into(), channel, bytes)?;
        // SAFETY: the caller's promise.
        unsafe {
            put(sealed, payload.len())?;
            put(path, payload.path().into())?;
        }
        payload.encode(room)?;
        payload.commit();
        Ok(())
    })
}

/// Closes a connection; the peer is told.
///
/// # Safety
/// `acceptor` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_close(
    acceptor: *mut genkan_acceptor,
    now: u64,
    connection: genkan_connection_id,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let acceptor = unsafe { exclusive(acceptor) }?;
        acceptor.machine.close(Instant::from_micros(now), connection.into());
        Ok(())
    })
}

/// What was counted since the acceptor was made.
///
/// # Safety
/// `acceptor` is null or valid; `counters` is null or points to memory for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_counters_of(
    acceptor: *const genkan_acceptor,
    counters: *mut genkan_counters,
) -> genkan_error {
    use genkan_core::Discard as D;
    answer(|| {
        // SAFETY: the caller's promise.
        let counted = unsafe { shared(acceptor) }?.machine.counters();
        // In the order of genkan_discard.
        let reasons = [
            D::Malformed,
            D::UnknownKind,
            D::WrongDirection,
            D::UnknownSession,
            D::Unauthentic,
            D::Replayed,
            D::RateLimited,
            D::TableFull,
            D::Unexpected,
            D::NoEntropy,
            D::BadCertificate,
            D::ForbiddenAddress,
        ];
        let discarded = reasons.map(|reason| counted.discarded(reason));
        let lost_events = counted.lost_events();
        // SAFETY: the caller's promise.
        unsafe { put(counters, genkan_counters { discarded, lost_events }) }
    })
}
