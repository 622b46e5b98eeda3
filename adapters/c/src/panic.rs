//! The end, and what is said on the way: symbols that the firmware brings.
//!
//! The acceptor never panics by itself. What is left are the cryptographic crates' own assertions and
//! broken memory; the firmware notes file and line and starts anew.

use core::ffi::c_char;
use core::panic::PanicInfo;

unsafe extern "C" {
    /// Brought by the firmware: the library can not go on. `file`, of `length` characters without a
    /// zero at the end, and `line` say where. It must not return.
    fn genkan_panicked(file: *const c_char, length: usize, line: u32) -> !;
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |place| (place.file(), place.line()));
    // SAFETY: pointer and length are those of a text that lives as long as the program.
    unsafe { genkan_panicked(file.as_ptr().cast(), file.len(), line) }
}
