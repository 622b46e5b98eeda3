//! Machines on two stacks: a network in memory, where everything that a stack may do is provoked, in
//! virtual time; and the operating system's, on its loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod faults;
mod host;
mod loopback;
mod machines;
mod memory;
mod services;
