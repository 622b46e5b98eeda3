//! What Genkan's tests over the real machines share.
//!
//! ```text
//! world      a fleet in the simulator that remembers every session key and list entry
//! story      what happened, decrypted: who sent what to whom, when, under which key
//! punch      two ends that are to meet through their NATs, and what it takes them
//! home       a lamp behind a box that forgets, and what is known of the box
//! scene      server, appliance and phone for the threat tests, and what rest is
//! evil       equipment that keeps to no rule; a server without a network
//! booth      crafted equipment that lets the server see its NAT
//! device     a device on that server's list, and a stream's frames
//! appliance  an appliance in the hands of a hostile server
//! claims     the claims' elements, scenarios, negative twins and table
//! ```
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a support crate for tests: what cannot be ends the test"
)]

pub mod appliance;
pub mod booth;
pub mod claims;
pub mod device;
pub mod evil;
pub mod home;
pub mod punch;
pub mod scene;
pub mod story;
pub mod world;
