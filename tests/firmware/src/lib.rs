//! The firmware of `adapters/firmware` in QEMU: an emulated Cortex-M3 with an Ethernet controller
//! stands in a home behind a NAT of the running kernel, beside the real server and a real user.
//!
//! ```text
//! board ─ tap ─┬─ 192.0.2.1 router 203.0.113.1 ─┬─ 203.0.113.10 server
//!              bridge   DHCP, DNS, NAT          └─ 203.0.113.2 router ─ 192.0.2.2 user
//! ```
//!
//! `Home` is all of that, `Board` the emulated machine. What it logs is decoded here; when a test
//! fails, its log, its flash and what was captured on either side of the router are kept.
#![cfg(all(target_os = "linux", feature = "machine"))]

mod board;
mod helpers;
mod home;
mod log;

pub use board::Board;
pub use home::{APPLIANCE, Home, USER};
pub use log::Log;
