//! Machines on smoltcp's stacks, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod net;
mod packet;
mod registers;
mod sockets;
mod streams;
mod world;
