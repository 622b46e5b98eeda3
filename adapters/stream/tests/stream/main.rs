//! Streams between two ends over a link that loses, repeats, delays and dies, all in virtual time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod garbage;
mod lab;
mod lifecycle;
mod storage;
mod table;
mod transfer;
