//! Calls about one byte stream. None of them sends anything by itself: `genkan_streams_poll_packet`
//! does; none blocks.

use crate::error::{answer, genkan_error};
use crate::pointers::{check, many, put, room};
use crate::streams::{genkan_stream_state, genkan_streams, handle, stack};

/// Names one stream of one genkan_streams; stale, and refused as GENKAN_ERROR_UNKNOWN, after it was
/// released or aborted.
pub type genkan_stream_handle = u64;

/// The stream that waits longest among those that the peer opened, and the port that it was opened
/// to; GENKAN_ERROR_NOTHING when none waits.
///
/// # Safety
/// `streams` is null or valid; `stream` and `port` are null or point to memory for the results.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_streams_accept(
    streams: *mut genkan_streams,
    stream: *mut genkan_stream_handle,
    port: *mut u16,
) -> genkan_error {
    answer(|| {
        check(stream)?;
        check(port)?;
        // SAFETY: the caller's promise.
        let stack = unsafe { stack(streams) }?;
        let accepted = stack.accept().ok_or(genkan_error::Nothing)?;
        // SAFETY: the caller's promise.
        unsafe {
            put(stream, accepted.to_bits())?;
            put(port, stack.local_port(accepted).unwrap_or(0))
        }
    })
}

/// Opens a stream to the peer's `port`. Bytes can be sent once it is open; a refusal shows as its
/// state.
///
/// # Safety
/// `streams` is null or valid; `stream` is null or points to memory for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_streams_connect(
    streams: *mut genkan_streams,
    now: u64,
    port: u16,
    stream: *mut genkan_stream_handle,
) -> genkan_error {
    answer(|| {
        check(stream)?;
        // SAFETY: the caller's promise.
        let opened = unsafe { stack(streams) }?.connect(now, port)?;
        // SAFETY: the caller's promise.
        unsafe { put(stream, opened.to_bits()) }
    })
}

/// Queues bytes and tells how many were taken from the front of `bytes`; 0 is back-pressure.
/// GENKAN_ERROR_FINISHED after genkan_stream_finish, GENKAN_ERROR_ENDED when the stream is over.
///
/// # Safety
/// `streams` is null or valid; `bytes` is null or points to `length` bytes; `taken` is null or points
/// to memory for a length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_stream_send(
    streams: *mut genkan_streams,
    stream: genkan_stream_handle,
    bytes: *const u8,
    length: usize,
    taken: *mut usize,
) -> genkan_error {
    answer(|| {
        check(taken)?;
        // SAFETY: the caller's promise.
        let (stack, bytes) = unsafe { (stack(streams)?, many(bytes, length)?) };
        let count = stack.send(handle(stream), bytes)?;
        // SAFETY: the caller's promise.
        unsafe { put(taken, count) }
    })
}

/// Moves bytes that arrived into `buffer` and tells how many; 0 means none now.
/// GENKAN_ERROR_FINISHED when the peer has finished and everything is read, GENKAN_ERROR_ENDED when
/// the stream is over otherwise and everything is read.
///
/// # Safety
/// `streams` is null or valid; `buffer` is null or points to `capacity` bytes; `given` is null or
/// points to memory for a length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_stream_recv(
    streams: *mut genkan_streams,
    stream: genkan_stream_handle,
    buffer: *mut u8,
    capacity: usize,
    given: *mut usize,
) -> genkan_error {
    answer(|| {
        check(given)?;
        // SAFETY: the caller's promise.
        let (stack, room) = unsafe { (stack(streams)?, room(buffer, capacity)?) };
        let count = stack.recv(handle(stream), room)?;
        // SAFETY: the caller's promise.
        unsafe { put(given, count) }
    })
}

/// How a stream stands.
///
/// # Safety
/// `streams` is null or valid; `state` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_stream_state_of(
    streams: *mut genkan_streams,
    stream: genkan_stream_handle,
    state: *mut genkan_stream_state,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let now = unsafe { stack(streams) }?.state(handle(stream))?;
        // SAFETY: the caller's promise.
        unsafe { put(state, now.into()) }
    })
}

/// Finishes this end's direction: the peer reads the end of the stream after all bytes queued so far.
///
/// # Safety
/// `streams` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_stream_finish(
    streams: *mut genkan_streams,
    stream: genkan_stream_handle,
) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| Ok(unsafe { stack(streams) }?.finish(handle(stream))?))
}

/// Gives a stream back in order: queued bytes and the end of the stream are still delivered.
///
/// # Safety
/// `streams` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_stream_release(
    streams: *mut genkan_streams,
    now: u64,
    stream: genkan_stream_handle,
) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| Ok(unsafe { stack(streams) }?.release(now, handle(stream))?))
}

/// Gives a stream back and resets it: what is queued is lost.
///
/// # Safety
/// `streams` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_stream_abort(
    streams: *mut genkan_streams,
    stream: genkan_stream_handle,
) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| Ok(unsafe { stack(streams) }?.abort(handle(stream))?))
}
