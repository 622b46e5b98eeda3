//! Pointers from C become references here, and nowhere else: null and misaligned ones are refused.

use core::slice;

use crate::error::genkan_error;

/// What `pointer` points to, to be changed.
///
/// # Safety
/// `pointer` is null, or points to a value of this type that nobody else uses during the call.
pub(crate) unsafe fn exclusive<'a, T>(pointer: *mut T) -> Result<&'a mut T, genkan_error> {
    check(pointer)?;
    // SAFETY: not null and aligned, as was just checked; the rest is the caller's promise.
    unsafe { pointer.as_mut() }.ok_or(genkan_error::Null)
}

/// What `pointer` points to, to be read.
///
/// # Safety
/// `pointer` is null, or points to a value of this type that nobody changes during the call.
pub(crate) unsafe fn shared<'a, T>(pointer: *const T) -> Result<&'a T, genkan_error> {
    check(pointer)?;
    // SAFETY: not null and aligned, as was just checked; the rest is the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(genkan_error::Null)
}

/// `count` values to be read. Null is none, where `count` is 0.
///
/// # Safety
/// `pointer` is null, or points to `count` values that nobody changes during the call.
pub(crate) unsafe fn many<'a, T>(pointer: *const T, count: usize) -> Result<&'a [T], genkan_error> {
    if count == 0 {
        return Ok(&[]);
    }
    check(pointer)?;
    fits::<T>(count)?;
    // SAFETY: not null, aligned and no longer than a value may be, as was just checked; the rest is
    // the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// `count` bytes to be changed. Null is none, where `count` is 0.
///
/// # Safety
/// `pointer` is null, or points to `count` bytes that nobody else uses during the call.
pub(crate) unsafe fn room<'a>(
    pointer: *mut u8,
    count: usize,
) -> Result<&'a mut [u8], genkan_error> {
    if count == 0 {
        return Ok(&mut []);
    }
    check(pointer)?;
    fits::<u8>(count)?;
    // SAFETY: not null and no longer than a value may be, as was just checked; the rest is the
    // caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, count) })
}

/// Writes a result. What was there is neither read nor dropped.
///
/// # Safety
/// `pointer` is null, or points to memory for a value of this type that nobody else uses during the
/// call.
pub(crate) unsafe fn put<T: Copy>(pointer: *mut T, value: T) -> Result<(), genkan_error> {
    check(pointer)?;
    // SAFETY: not null and aligned, as was just checked; the rest is the caller's promise.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Refuses null and what is not aligned.
pub(crate) fn check<T>(pointer: *const T) -> Result<(), genkan_error> {
    if pointer.is_null() {
        Err(genkan_error::Null)
    } else if !pointer.is_aligned() {
        Err(genkan_error::Misaligned)
    } else {
        Ok(())
    }
}

/// Refuses lengths that no object has.
fn fits<T>(count: usize) -> Result<(), genkan_error> {
    let bytes = count.checked_mul(size_of::<T>()).and_then(|bytes| isize::try_from(bytes).ok());
    bytes.map(|_| ()).ok_or(genkan_error::BadValue)
}
