//! Seeing what happened in a run.
//!
//! - [`pcapng`] turns what passed the interfaces into a file for Wireshark; the dissector in
//!   `adapters/wireshark` shows Genkan's messages in it;
//! - [`svg`] draws a transcript as a sequence diagram;
//! - [`open`] names what is inside sealed messages, when the world logs keys
//!   ([`World::log_keys`](crate::World::log_keys)).
//!
//! All of it works on what a run has left behind and changes nothing in it.

pub mod open;
mod packets;
pub mod pcapng;
pub mod svg;
#[cfg(test)]
mod tests;
