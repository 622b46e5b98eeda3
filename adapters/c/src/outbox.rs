//! What leaves: look, then write or drop. What was only looked at stays queued.

use genkan_core::{Instant, Machine as _, Transmit};

use crate::acceptor::genkan_acceptor;
use crate::error::{answer, genkan_error};
use crate::names::{genkan_address, genkan_stream_id};
use crate::pointers::{check, exclusive, put, room, shared};

/// A datagram that waits to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct genkan_datagram {
    /// Where to.
    pub remote: genkan_address,
    /// Exact length in bytes.
    pub length: u16,
    /// The socket to send from.
    pub socket: u16,
    /// TTL or hop limit to set on this datagram, where the socket can; 0: the usual one.
    pub hop_limit: u8,
}

/// The next datagram to send, or GENKAN_ERROR_NOTHING. It stays queued until genkan_write_datagram or
/// genkan_drop_datagram: a caller whose stack has no room asks again later.
///
/// # Safety
/// `acceptor` is null or valid; `head` is null or points to memory for the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_next_datagram(
    acceptor: *mut genkan_acceptor,
    now: u64,
    head: *mut genkan_datagram,
) -> genkan_error {
    answer(|| {
        check(head)?;
        // SAFETY: the caller's promise.
        let machine = &mut unsafe { exclusive(acceptor) }?.machine;
        let transmit = machine.poll_transmit(Instant::from_micros(now));
        let next = head_of(&transmit.ok_or(genkan_error::Nothing)?);
        // SAFETY: the caller's promise.
        unsafe { put(head, next) }
    })
}

/// Writes the datagram that `head` speaks of to the front of `buffer`, and takes it off the queue: it
/// counts as sent. GENKAN_ERROR_STALE: it is not the next one any more, ask again.
///
/// # Safety
/// `acceptor` is null or valid; `head` is null or points to what genkan_next_datagram has written;
/// `buffer` is null or points to `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_write_datagram(
    acceptor: *mut genkan_acceptor,
    now: u64,
    head: *const genkan_datagram,
    buffer: *mut u8,
    capacity: usize,
) -> genkan_error {
    answer(|| {
        check(buffer)?;
        // SAFETY: the caller's promise.
        let (acceptor, head, room) =
            unsafe { (exclusive(acceptor)?, shared(head)?, room(buffer, capacity)?) };
        let transmit = acceptor.machine.poll_transmit(Instant::from_micros(now));
        let mut transmit =
            transmit.filter(|next| head_of(next) == *head).ok_or(genkan_error::Stale)?;
        transmit.encode(room)?;
        transmit.commit();
        Ok(())
    })
}

/// The datagram that `head` speaks of cannot be sent: it is treated as lost on the way.
/// GENKAN_ERROR_STALE: it is not the next one any more.
///
/// # Safety
/// `acceptor` is null or valid; `head` is null or points to what genkan_next_datagram has written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_drop_datagram(
    acceptor: *mut genkan_acceptor,
    now: u64,
    head: *const genkan_datagram,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (acceptor, head) = unsafe { (exclusive(acceptor)?, shared(head)?) };
        let transmit = acceptor.machine.poll_transmit(Instant::from_micros(now));
        transmit.filter(|next| head_of(next) == *head).ok_or(genkan_error::Stale)?.abandon();
        Ok(())
    })
}

/// Length of the next frame to write to the TCP connection `stream`, or GENKAN_ERROR_NOTHING. It
/// stays queued until genkan_write_frame.
///
/// # Safety
/// `acceptor` is null or valid; `length` is null or points to memory for a length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_next_frame(
    acceptor: *mut genkan_acceptor,
    now: u64,
    stream: genkan_stream_id,
    length: *mut usize,
) -> genkan_error {
    answer(|| {
        check(length)?;
        // SAFETY: the caller's promise.
        let machine = &mut unsafe { exclusive(acceptor) }?.machine;
        let frame = machine.poll_frame(Instant::from_micros(now), stream.into());
        let len = frame.ok_or(genkan_error::Nothing)?.len();
        // SAFETY: the caller's promise.
        unsafe { put(length, len) }
    })
}

/// Writes the next frame for the TCP connection `stream` to the front of `buffer`, tells its length,
/// and takes it off the queue: all of it must go to the connection, in order.
///
/// # Safety
/// `acceptor` is null or valid; `buffer` is null or points to `capacity` bytes; `length` is null or
/// points to memory for a length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_write_frame(
    acceptor: *mut genkan_acceptor,
    now: u64,
    stream: genkan_stream_id,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> genkan_error {
    answer(|| {
        check(buffer)?;
        check(length)?;
        // SAFETY: the caller's promise.
        let (acceptor, room) = unsafe { (exclusive(acceptor)?, room(buffer, capacity)?) };
        let frame = acceptor.machine.poll_frame(Instant::from_micros(now), stream.into());
        let mut frame = frame.ok_or(genkan_error::Nothing)?;
        // SAFETY: the caller's promise.
        unsafe { put(length, frame.len()) }?;
        frame.encode(room)?;
        frame.commit();
        Ok(())
    })
}

fn head_of<M: genkan_core::Outbox>(transmit: &Transmit<'_, M>) -> genkan_datagram {
    genkan_datagram {
        remote: transmit.remote().into(),
        length: u16::try_from(transmit.len()).unwrap_or(u16::MAX),
        socket: transmit.socket().0,
        hop_limit: transmit.hop_limit().unwrap_or(0),
    }
}
