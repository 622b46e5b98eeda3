//! The simulated Linux NATs beside the kernel's own.
//!
//! A [`Lab`] is a small internet made of network namespaces, with NATs that the running kernel
//! implements. A scenario is a list of [`Step`]s: who sends what, where to, when. [`Side::compare`]
//! takes the list through the kernel and through [`genkan_sim::Nat`] together, step by step and with
//! the same clock, and compares what can be seen from outside and inside after each.
//!
//! Reading order: [`Step`] and [`Seen`] → [`Model`] → [`Rules`] → [`Namespace`] and [`Lab`] →
//! [`Side`] → [`punch`]. NATs that no kernel has are in [`tun`], and
//! the command's own processes behind either in [`direct`].
#![cfg(target_os = "linux")]

mod compare;
pub mod direct;
mod kernel;
mod lab;
mod model;
mod netns;
pub mod port_box;
pub mod presets;
pub mod punch;
mod raw;
mod rules;
pub mod scenario;
mod sockets;
mod tcp;
pub mod tun;

pub use compare::{Difference, Outcome, Ports, same};
pub use kernel::Side;
pub use lab::{Lab, SiteSpec, Timeouts};
pub use model::Model;
pub use netns::Namespace;
pub use rules::Rules;
pub use scenario::{Inside, Remote, Seen, Step, wait};
