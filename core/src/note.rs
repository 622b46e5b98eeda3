//! Log lines of the core, at debug level: through `log`, `defmt`, both or neither.
//!
//! Nothing here is above debug: a line may hold an address, and a flood of garbage must not become a
//! flood of log lines on a device that logs by default (threat T40).

/// Logs one value that implements `Debug` (and `defmt::Format`).
macro_rules! note {
    ($what:literal, $value:expr) => {{
        let _value = &$value;
        #[cfg(feature = "log")]
        log::debug!(concat!("genkan ", $what, ": {:?}"), _value);
        #[cfg(feature = "defmt")]
        defmt::debug!("genkan {=str}: {:?}", $what, _value);
    }};
}
