//! Log lines, through the firmware's `genkan_log`.

use core::ffi::c_char;
use core::fmt::Write as _;

use crate::names::Cut;

/// Longest line in bytes; what is longer is cut.
const LINE: usize = 160;

unsafe extern "C" {
    /// Brought by the firmware where the library is built with the feature `log`: takes a line of
    /// `length` characters without a zero at the end. `level` is from 1, an error, to 5, a trace. It
    /// must not call this library.
    fn genkan_log(level: u32, line: *const c_char, length: usize);
}

struct Firmware;

impl log::Log for Firmware {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut room = [0; LINE];
        let mut line = Cut::new(&mut room);
        // A line that is too long is cut.
        let _ = line.write_fmt(*record.args());
        let length = line.written();
        // SAFETY: pointer and length are those of a buffer that lives until the call is over.
        unsafe { genkan_log(record.level() as u32, room.as_ptr().cast(), length) };
    }

    fn flush(&self) {}
}

/// Lets lines go to the firmware. Harmless when done before.
pub(crate) fn install() {
    #[cfg(target_has_atomic = "ptr")]
    let installed = log::set_logger(&Firmware);
    // SAFETY: this target has one core, and firmware makes its acceptor from one place.
    #[cfg(not(target_has_atomic = "ptr"))]
    let installed = unsafe { log::set_logger_racy(&Firmware) };
    if installed.is_ok() {
        #[cfg(target_has_atomic = "ptr")]
        log::set_max_level(log::LevelFilter::Debug);
        // SAFETY: as above.
        #[cfg(not(target_has_atomic = "ptr"))]
        unsafe {
            log::set_max_level_racy(log::LevelFilter::Debug);
        }
    }
}
