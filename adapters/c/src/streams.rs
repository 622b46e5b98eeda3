//! Byte streams over a connection: TCP inside its payloads, in the firmware's memory.
//!
//! One `genkan_streams` belongs to one connection. Payloads of the channel Stream go in by
//! `genkan_streams_handle_packet`; what `genkan_streams_poll_packet` gives goes out by `genkan_send`
//! on that channel. The memory holds the stack first, then a slot and a place for each stream, then
//! the streams' buffers.

use core::ffi::c_void;
use core::slice;

use genkan_stream::{
    Config, EndReason, INNER_MTU, Place, Role, Slot, StreamHandle, StreamStack, StreamState,
};

use crate::acceptor::GENKAN_ALIGN;
use crate::error::{answer, genkan_error};
use crate::pointers::{check, exclusive, many, put, room};

/// Bytes that a connection's streams take beside the single streams.
#[cfg(target_pointer_width = "64")]
pub const GENKAN_STREAMS_BASE: usize = 4096;
/// Bytes that a connection's streams take beside the single streams.
#[cfg(not(target_pointer_width = "64"))]
pub const GENKAN_STREAMS_BASE: usize = 1024;
/// Bytes that each stream takes beside its buffers.
#[cfg(target_pointer_width = "64")]
pub const GENKAN_STREAM_BASE: usize = 1536;
/// Bytes that each stream takes beside its buffers.
#[cfg(not(target_pointer_width = "64"))]
pub const GENKAN_STREAM_BASE: usize = 448;
/// Smallest buffer of a stream in one direction, in bytes.
pub const GENKAN_MIN_BUFFER: usize = 256;
/// Longest packet of streams in bytes.
pub const GENKAN_STREAM_PACKET: usize = 1200;

const _: () = assert!(size_of::<genkan_streams>() <= GENKAN_STREAMS_BASE);
const _: () = assert!(size_of::<Slot<'static>>() + SLOT_TO_PLACE <= GENKAN_STREAM_BASE);
const _: () = assert!(align_of::<Place<'static>>() <= GENKAN_ALIGN);
const _: () = assert!(align_of::<genkan_streams>() <= GENKAN_ALIGN);
const _: () = assert!(GENKAN_STREAMS_BASE.is_multiple_of(GENKAN_ALIGN));
const _: () = assert!(GENKAN_MIN_BUFFER == genkan_stream::MIN_BUFFER);
const _: () = assert!(GENKAN_STREAM_PACKET == INNER_MTU);
/// What a stream's place takes, rounded so that places that follow one another are aligned.
const SLOT_TO_PLACE: usize = size_of::<Place<'static>>();

/// The byte streams of one connection.
#[derive(Debug)]
pub struct genkan_streams {
    stack: StreamStack<'static, &'static mut [Slot<'static>]>,
}

/// How a stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_stream_state {
    /// The handshake is under way; nothing can be sent or received yet.
    Opening = 0,
    /// Both directions are open.
    Open = 1,
    /// This end has finished; the peer may still send.
    LocalFinished = 2,
    /// The peer has finished; this end may still send, and read what is left.
    PeerFinished = 3,
    /// Both have finished; the last acknowledgements are under way.
    BothFinished = 4,
    /// Over: both ends finished and everything was delivered.
    Ended = 5,
    /// Over: the peer does not listen on the port, or its table is full.
    Refused = 6,
    /// Over: the peer aborted it.
    Reset = 7,
    /// Over: the peer was silent for too long.
    TimedOut = 8,
    /// Over: the connection under it is gone.
    SessionLost = 9,
}

/// Makes the streams of a connection that has just been told as connected, in `memory`: at least
/// GENKAN_STREAMS_SIZE(streams, buffer) bytes at a multiple of GENKAN_ALIGN, for so many streams at
/// once with buffers of `buffer` bytes, at least GENKAN_MIN_BUFFER, in each direction. `seed` is any
/// number that differs from one connection to the next. The memory may be used again, for the next
/// connection too, by calling this again.
///
/// # Safety
/// `memory` is null or points to `size` bytes that nothing else uses as long as the streams are used;
/// `made` is null or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_streams_init(
    memory: *mut c_void,
    size: usize,
    streams: u16,
    buffer: usize,
    seed: u64,
    now: u64,
    made: *mut *mut genkan_streams,
) -> genkan_error {
    answer(|| {
        check(memory)?;
        check(made)?;
        if memory.align_offset(GENKAN_ALIGN) != 0 {
            return Err(genkan_error::Misaligned);
        }
        if streams == 0 || buffer < GENKAN_MIN_BUFFER {
            return Err(genkan_error::BadValue);
        }
        let count = usize::from(streams);
        let each = buffer.saturating_mul(2).saturating_add(GENKAN_STREAM_BASE);
        if size < each.saturating_mul(count).saturating_add(GENKAN_STREAMS_BASE) {
            return Err(genkan_error::MemoryTooSmall);
        }
        let first = memory.wrapping_byte_add(GENKAN_STREAMS_BASE);
        // SAFETY: behind the stack's part there are `count` times what a stream takes, aligned, as
        // was just checked, and by the caller's promise used by nothing else.
        let slots = unsafe { slots(first, count, buffer) }?;
        let stack = StreamStack::new(Role::Acceptor, slots, Config::default(), seed, now);
        let place = memory.cast::<genkan_streams>();
        // SAFETY: the stack's part of the memory, long enough and aligned as was checked above;
        // `made` is neither null nor misaligned.
        unsafe {
            place.write(genkan_streams { stack });
            made.write(place);
        }
        Ok(())
    })
}

/// Lays out slots, places and buffers.
///
/// # Safety
/// `memory` is a multiple of GENKAN_ALIGN and points to `count` times GENKAN_STREAM_BASE and two
/// buffers, used by nothing else for as long as the slots are.
unsafe fn slots(
    memory: *mut c_void,
    count: usize,
    buffer: usize,
) -> Result<&'static mut [Slot<'static>], genkan_error> {
    let slots = memory.cast::<Slot<'static>>();
    let places = memory.wrapping_byte_add(count.saturating_mul(size_of::<Slot<'static>>()));
    let places = places.cast::<Place<'static>>();
    let buffers = memory.wrapping_byte_add(count.saturating_mul(GENKAN_STREAM_BASE)).cast::<u8>();
    for index in 0..count {
        let at = buffers.wrapping_add(index.saturating_mul(2).saturating_mul(buffer));
        let place = places.wrapping_add(index);
        // SAFETY: the three lie within the memory and do not overlap, because a slot and a place
        // take at most GENKAN_STREAM_BASE; the place is aligned because a slot's size is a multiple
        // of its alignment, which is the place's. Buffers are made of bytes, whatever they hold.
        let slot = unsafe {
            place.write(Place::EMPTY);
            at.write_bytes(0, buffer.saturating_mul(2));
            let receive = slice::from_raw_parts_mut(at, buffer);
            let transmit = slice::from_raw_parts_mut(at.add(buffer), buffer);
            Slot::new(&mut *place, receive, transmit)
        };
        let slot = slot.map_err(|_| genkan_error::BadValue)?;
        // SAFETY: as above.
        unsafe { slots.add(index).write(slot) };
    }
    // SAFETY: `count` slots were written there, and nothing else uses them.
    Ok(unsafe { slice::from_raw_parts_mut(slots, count) })
}
const _: () = assert!(align_of::<Slot<'static>>() == align_of::<Place<'static>>());

/// A payload of the channel Stream arrived. Whatever it contains, this does not fail.
///
/// # Safety
/// `streams` is null or valid; `packet` is null or points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_streams_handle_packet(
    streams: *mut genkan_streams,
    now: u64,
    packet: *const u8,
    length: usize,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (streams, packet) = unsafe { (exclusive(streams)?, many(packet, length)?) };
        // What is dropped is counted there.
        let _ = streams.stack.handle_packet(now, packet);
        Ok(())
    })
}

/// Writes the next packet into `buffer`, of at least GENKAN_STREAM_PACKET bytes, and tells its length;
/// GENKAN_ERROR_NOTHING when there is none now. It counts as sent: when the connection has no room, do
/// not call.
///
/// # Safety
/// `streams` is null or valid; `buffer` is null or points to `capacity` bytes; `length` is null or
/// points to memory for a length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_streams_poll_packet(
    streams: *mut genkan_streams,
    now: u64,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> genkan_error {
    answer(|| {
        check(buffer)?;
        check(length)?;
        // SAFETY: the caller's promise.
        let (streams, room) = unsafe { (exclusive(streams)?, room(buffer, capacity)?) };
        let room = room.first_chunk_mut().ok_or(genkan_error::BufferTooSmall)?;
        let written = streams.stack.poll_packet(now, room).ok_or(genkan_error::Nothing)?;
        // SAFETY: the caller's promise.
        unsafe { put(length, written) }
    })
}

/// When to call genkan_streams_poll_packet again at the latest; GENKAN_ERROR_NOTHING: only a packet or
/// a call can change anything.
///
/// # Safety
/// `streams` is null or valid; `at` is null or points to memory for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_streams_poll_timeout(
    streams: *mut genkan_streams,
    now: u64,
    at: *mut u64,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let when = unsafe { exclusive(streams) }?.stack.poll_timeout(now);
        // SAFETY: the caller's promise.
        unsafe { put(at, when.ok_or(genkan_error::Nothing)?) }
    })
}

/// The connection has ended: every stream ends at once. What had arrived can still be read.
///
/// # Safety
/// `streams` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_streams_session_lost(streams: *mut genkan_streams) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        unsafe { exclusive(streams) }?.stack.session_lost();
        Ok(())
    })
}

/// Lets the peer open streams to `port`; at most 8 ports.
///
/// # Safety
/// `streams` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_streams_listen(
    streams: *mut genkan_streams,
    port: u16,
) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| Ok(unsafe { exclusive(streams) }?.stack.listen(port)?))
}

/// The stack of `streams`, for calls about one stream.
///
/// # Safety
/// `streams` is null or valid.
pub(crate) unsafe fn stack<'a>(
    streams: *mut genkan_streams,
) -> Result<&'a mut StreamStack<'static, &'static mut [Slot<'static>]>, genkan_error> {
    // SAFETY: the caller's promise.
    Ok(&mut unsafe { exclusive(streams) }?.stack)
}

impl From<StreamState> for genkan_stream_state {
    fn from(state: StreamState) -> Self {
        match state {
            StreamState::Opening => Self::Opening,
            StreamState::Open => Self::Open,
            StreamState::LocalFinished => Self::LocalFinished,
            StreamState::PeerFinished => Self::PeerFinished,
            StreamState::BothFinished => Self::BothFinished,
            StreamState::Ended(EndReason::Refused) => Self::Refused,
            StreamState::Ended(EndReason::Reset) => Self::Reset,
            StreamState::Ended(EndReason::TimedOut) => Self::TimedOut,
            StreamState::Ended(EndReason::SessionLost) => Self::SessionLost,
            _ => Self::Ended,
        }
    }
}

/// A stream's handle as C holds it.
pub(crate) const fn handle(bits: u64) -> StreamHandle {
    StreamHandle::from_bits(bits)
}
