//! What Genkan's tests over the real machines share.
//!
//! ```text
//! world      a fleet in the simulator that remembers every session key and list entry
//! story      what happened, decrypted: who sent what to whom, when, under which key
//! claims     the claims' elements, scenarios, negative twins and table
//! ```
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a support crate for tests: what cannot be ends the test"
)]

pub mod claims;
pub mod story;
pub mod world;
