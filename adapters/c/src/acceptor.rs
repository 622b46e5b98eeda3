//! The acceptor in the firmware's memory: made, asked, changed, wiped.
//!
//! The memory holds first what this crate keeps, then one slot for each connection. The constants
//! say how much that is; they hold for the largest of the supported targets of their pointer width
//! and for every feature, and a build for which they did not would not compile.

use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::ptr;
use core::slice;

use genkan_core::{Acceptor, AcceptorConfig, AcceptorSlot, Instant, Resumption, ServerAddress};

use crate::config::{Source, genkan_admission, genkan_config};
use crate::error::{answer, genkan_error};
use crate::names::{genkan_address, genkan_connection_id, genkan_path};
use crate::pointers::{check, exclusive, many, put, room, shared};

/// Bytes that an acceptor takes beside its connections.
#[cfg(target_pointer_width = "64")]
pub const GENKAN_ACCEPTOR_BASE: usize = 6144;
/// Bytes that an acceptor takes beside its connections.
#[cfg(not(target_pointer_width = "64"))]
pub const GENKAN_ACCEPTOR_BASE: usize = 2816;
/// Bytes that an acceptor takes for each connection.
#[cfg(target_pointer_width = "64")]
pub const GENKAN_CONNECTION_SIZE: usize = 1024;
/// Bytes that an acceptor takes for each connection.
#[cfg(not(target_pointer_width = "64"))]
pub const GENKAN_CONNECTION_SIZE: usize = 896;
/// What the address of memory for an acceptor or for streams must be a multiple of.
pub const GENKAN_ALIGN: usize = 16;
/// Longest certificate in bytes.
pub const GENKAN_MAX_CERTIFICATE: usize = 200;

const _: () = assert!(size_of::<genkan_acceptor>() <= GENKAN_ACCEPTOR_BASE);
// Nor is much more taken than is needed, where memory is short.
#[cfg(all(feature = "punch", target_pointer_width = "32"))]
const _: () = assert!(size_of::<genkan_acceptor>() + 256 >= GENKAN_ACCEPTOR_BASE);
const _: () = assert!(size_of::<AcceptorSlot>() <= GENKAN_CONNECTION_SIZE);
const _: () = assert!(align_of::<genkan_acceptor>() <= GENKAN_ALIGN);
const _: () = assert!(align_of::<AcceptorSlot>() <= GENKAN_ALIGN);
const _: () = assert!(GENKAN_ACCEPTOR_BASE.is_multiple_of(GENKAN_ALIGN));
const _: () = assert!(GENKAN_MAX_CERTIFICATE == genkan_core::wire::certificate::MAX_CERTIFICATE);

/// An acceptor.
#[derive(Debug)]
pub struct genkan_acceptor {
    pub(crate) machine: Acceptor<&'static mut [AcceptorSlot], Source>,
    /// Bytes of the memory that it and its connections have.
    taken: usize,
}

/// What brings a session with the server back after a reboot. It is a secret.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct genkan_resumption {
    /// The server's handle for the session.
    pub handle: u32,
    /// The session's root.
    pub root: [u8; 32],
}

/// Makes an acceptor in `memory`, which is the library's until genkan_acceptor_destroy: at least
/// GENKAN_ACCEPTOR_SIZE(connections) bytes at a multiple of GENKAN_ALIGN. It begins to register as
/// soon as it is driven. `now` is in microseconds of a clock that never goes back; the same clock
/// counts in every other call.
///
/// # Safety
/// `memory` is null or points to `size` bytes that nothing else uses until the acceptor is destroyed;
/// `config` is null or points to a configuration whose pointers are as its fields say; `acceptor` is
/// null or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_acceptor_init(
    memory: *mut core::ffi::c_void,
    size: usize,
    connections: u16,
    now: u64,
    config: *const genkan_config,
    acceptor: *mut *mut genkan_acceptor,
) -> genkan_error {
    answer(|| {
        check(memory)?;
        check(acceptor)?;
        if memory.align_offset(GENKAN_ALIGN) != 0 {
            return Err(genkan_error::Misaligned);
        }
        if connections == 0 {
            return Err(genkan_error::BadValue);
        }
        let count = usize::from(connections);
        let needed = count.saturating_mul(GENKAN_CONNECTION_SIZE);
        if size < needed.saturating_add(GENKAN_ACCEPTOR_BASE) {
            return Err(genkan_error::MemoryTooSmall);
        }
        // SAFETY: the caller's promise.
        let config = unsafe { shared(config) }?;
        let entropy = Source::of(config).ok_or(genkan_error::Null)?;
        // SAFETY: the caller's promise.
        let config = unsafe { config.read() }?;
        #[cfg(feature = "log")]
        crate::log::install();
        // SAFETY: the slots' part of the memory: behind the acceptor's, aligned because both are
        // multiples of GENKAN_ALIGN, long enough for `count` of them, and used by nothing else.
        let slots = unsafe {
            let first = memory.byte_add(GENKAN_ACCEPTOR_BASE).cast::<AcceptorSlot>();
            for index in 0..count {
                first.add(index).write(AcceptorSlot::EMPTY);
            }
            slice::from_raw_parts_mut(first, count)
        };
        let place = memory.cast::<genkan_acceptor>();
        // SAFETY: the acceptor's part of the memory, long enough and aligned as was checked above,
        // and what need not be initialised may hold anything.
        make(unsafe { &mut *place.cast() }, Instant::from_micros(now), config, slots, entropy);
        // SAFETY: neither null nor misaligned, as was checked above.
        unsafe { acceptor.write(place) };
        Ok(())
    })
}

/// Makes an acceptor where it is to be: a small stack has no room for it on the way.
#[inline(never)]
fn make(
    place: &mut MaybeUninit<genkan_acceptor>,
    now: Instant,
    config: AcceptorConfig,
    slots: &'static mut [AcceptorSlot],
    entropy: Source,
) {
    let taken = GENKAN_ACCEPTOR_BASE + size_of_val(slots);
    place.write(genkan_acceptor { machine: Acceptor::new(now, config, slots, entropy), taken });
}

/// Wipes an acceptor's secrets and gives its memory back. The pointer is of no use any more.
///
/// # Safety
/// `acceptor` is null or was given by genkan_acceptor_init and not destroyed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_acceptor_destroy(acceptor: *mut genkan_acceptor) -> genkan_error {
    answer(|| {
        check(acceptor)?;
        // SAFETY: a valid acceptor by the caller's promise, which is not used afterwards. It lies at
        // the front of the memory, and nothing refers to the connections' slots behind it any more.
        unsafe {
            let taken = (*acceptor).taken;
            ptr::drop_in_place(acceptor);
            // The slots are only borrowed, and not every secret is of a type that wipes itself.
            // Volatile, or the compiler would leave out what nobody reads.
            for index in 0..taken {
                acceptor.cast::<u8>().add(index).write_volatile(0);
            }
        }
        Ok(())
    })
}

/// The acceptor's id, 32 bytes.
///
/// # Safety
/// `acceptor` is null or valid; `id` is null or points to 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_id(acceptor: *const genkan_acceptor, id: *mut u8) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| unsafe { put(id.cast(), shared(acceptor)?.machine.id().0) })
}

/// Takes a certificate from the cache, checked as if it had just arrived. When it is refused, the
/// acceptor fetches one.
///
/// # Safety
/// `acceptor` is null or valid; `bytes` is null or points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_restore_certificate(
    acceptor: *mut genkan_acceptor,
    bytes: *const u8,
    length: usize,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (acceptor, bytes) = unsafe { (exclusive(acceptor)?, many(bytes, length)?) };
        Ok(acceptor.machine.restore_certificate(bytes)?)
    })
}

/// Writes the certificate that was accepted last, for the cache, and its length, at most
/// GENKAN_MAX_CERTIFICATE.
///
/// # Safety
/// `acceptor` is null or valid; `buffer` is null or points to `capacity` bytes; `length` is null or
/// points to memory for a length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_certificate(
    acceptor: *const genkan_acceptor,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (acceptor, room) = unsafe { (shared(acceptor)?, room(buffer, capacity)?) };
        let certificate = acceptor.machine.certificate();
        // SAFETY: the caller's promise.
        unsafe { put(length, certificate.len()) }?;
        if certificate.is_empty() {
            return Err(genkan_error::Nothing);
        }
        let room = room.get_mut(..certificate.len()).ok_or(genkan_error::BufferTooSmall)?;
        room.copy_from_slice(certificate);
        Ok(())
    })
}

/// Seconds since 1970 that have certainly passed, by authority-signed dates alone: keep it with the
/// certificate.
///
/// # Safety
/// `acceptor` is null or valid; `floor` is null or points to memory for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_floor(
    acceptor: *const genkan_acceptor,
    floor: *mut u64,
) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| unsafe { put(floor, shared(acceptor)?.machine.floor()) })
}

/// Takes up a session that was kept over a reboot; without effect once the acceptor has begun by
/// itself.
///
/// # Safety
/// `acceptor` is null or valid; `resumption` is null or points to one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_restore_session(
    acceptor: *mut genkan_acceptor,
    resumption: *const genkan_resumption,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (acceptor, kept) = unsafe { (exclusive(acceptor)?, shared(resumption)?) };
        acceptor.machine.restore_session(&Resumption { handle: kept.handle, root: kept.root });
        Ok(())
    })
}

/// What to keep so that the session with the server survives a reboot, where only this device can
/// read it. GENKAN_ERROR_NOTHING while there is no session.
///
/// # Safety
/// `acceptor` is null or valid; `resumption` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_resumption_of(
    acceptor: *const genkan_acceptor,
    resumption: *mut genkan_resumption,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let kept = unsafe { shared(acceptor) }?.machine.resumption();
        let kept = kept.ok_or(genkan_error::Nothing)?;
        let kept = genkan_resumption { handle: kept.handle, root: kept.root };
        // SAFETY: the caller's promise.
        unsafe { put(resumption, kept) }
    })
}

/// The number of failed password tries to persist.
///
/// # Safety
/// `acceptor` is null or valid; `failures` is null or points to memory for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_failures(
    acceptor: *const genkan_acceptor,
    failures: *mut u32,
) -> genkan_error {
    // SAFETY: the caller's promise.
    answer(|| unsafe { put(failures, shared(acceptor)?.machine.failures()) })
}

/// `failures`, as read from genkan_failures, is on stable storage.
///
/// # Safety
/// `acceptor` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_handle_persisted(
    acceptor: *mut genkan_acceptor,
    now: u64,
    failures: u32,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let acceptor = unsafe { exclusive(acceptor) }?;
        acceptor.machine.handle_persisted(Instant::from_micros(now), failures);
        Ok(())
    })
}

/// Changes who may connect from now on; connections that stand are not touched. The counted password
/// tries stay, and so does the early key.
///
/// # Safety
/// `acceptor` is null or valid; `admission` is null or points to one whose pointers are as its fields
/// say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_set_admission(
    acceptor: *mut genkan_acceptor,
    admission: *const genkan_admission,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (acceptor, policy) = unsafe { (exclusive(acceptor)?, shared(admission)?.read()?) };
        acceptor.machine.set_admission(policy);
        Ok(())
    })
}

/// Changes the early key, 16 bytes: the server and the paired issuers that are connected are told.
///
/// # Safety
/// `acceptor` is null or valid; `key` is null or points to 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_set_early_key(
    acceptor: *mut genkan_acceptor,
    now: u64,
    key: *const u8,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (acceptor, key) = unsafe { (exclusive(acceptor)?, shared(key.cast())?) };
        acceptor.machine.set_early_key(Instant::from_micros(now), *key);
        Ok(())
    })
}

/// The server is elsewhere from now on, over datagrams and over TCP: the acceptor registers there at once.
/// Certificate and connections stay.
///
/// # Safety
/// `acceptor` is null or valid; `datagram` and `stream` are null or point to addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_set_server_address(
    acceptor: *mut genkan_acceptor,
    now: u64,
    datagram: *const genkan_address,
    stream: *const genkan_address,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let (acceptor, addresses) =
            unsafe { (exclusive(acceptor)?, [shared(datagram)?, shared(stream)?]) };
        let [datagram, stream] = addresses.map(SocketAddr::try_from);
        let server = ServerAddress { datagram: datagram?, stream: stream? };
        acceptor.machine.set_server_address(Instant::from_micros(now), server);
        Ok(())
    })
}

/// Leaves the server's list and stops registering. Connections stay.
///
/// # Safety
/// `acceptor` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_deregister(
    acceptor: *mut genkan_acceptor,
    now: u64,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        unsafe { exclusive(acceptor) }?.machine.deregister(Instant::from_micros(now));
        Ok(())
    })
}

/// Who is at the other end of a connection that stands, 32 bytes, and what carries it.
///
/// # Safety
/// `acceptor` is null or valid; `peer` is null or points to 32 bytes, `path` to memory for a path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn genkan_connection(
    acceptor: *const genkan_acceptor,
    connection: genkan_connection_id,
    peer: *mut u8,
    path: *mut genkan_path,
) -> genkan_error {
    answer(|| {
        // SAFETY: the caller's promise.
        let info = unsafe { shared(acceptor) }?.machine.connection(connection.into());
        let info = info.ok_or(genkan_error::Unknown)?;
        // SAFETY: the caller's promise.
        unsafe {
            put(peer.cast(), info.peer.0)?;
            put(path, info.path.into())
        }
    })
}
