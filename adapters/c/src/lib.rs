//! Genkan's acceptor for firmware written in C.
//!
//! The static library `libgenkan_c.a` and the header `include/genkan.h` give a C program the whole of
//! [`genkan_core::Acceptor`] and, for byte streams, of [`genkan_stream::StreamStack`]: no allocation,
//! no threads, no I/O of their own, all state in memory that the firmware gives. `README.md` says what
//! the firmware author provides; `example/` is a whole appliance.
//!
//! ```text
//! acceptor.rs   made, asked, changed, wiped
//! config.rs     what it is told at start; the firmware's source of randomness
//! machine.rs    the loop: what has happened, and what is to be done and known
//! outbox.rs     the loop: datagrams and frames to send
//! command.rs    socket operations that it wants
//! tell.rs       events and what else it tells
//! send.rs       application data, counters
//! streams.rs    byte streams over a connection
//! stream.rs     one of them
//! names.rs      addresses, ids
//! error.rs      what calls answer
//! pointers.rs   from C's pointers to references
//! panic.rs, log.rs   what the firmware brings
//! ```
//!
//! Unsafe code is here because C hands over pointers. It follows one pattern: each function takes
//! them through `pointers.rs`, which refuses null and misaligned ones, and does the rest with
//! references. Numbers that C hands in are integers and checked; no Rust enumeration or `bool` is
//! ever read from C's memory.
#![no_std]

#[cfg(not(target_os = "none"))]
extern crate std;

mod acceptor;
mod command;
mod config;
mod error;
#[cfg(feature = "log")]
mod log;
mod machine;
mod names;
mod outbox;
#[cfg(all(target_os = "none", feature = "panic-handler"))]
mod panic;
mod pointers;
mod send;
mod stream;
mod streams;
mod tell;

pub use acceptor::*;
pub use command::*;
pub use config::*;
pub use error::genkan_error;
pub use machine::*;
pub use names::*;
pub use outbox::*;
pub use send::*;
pub use stream::*;
pub use streams::*;
pub use tell::*;

/// The library's version as text, for example "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn genkan_version() -> *const core::ffi::c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
