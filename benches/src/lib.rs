//! What the benches of Genkan share: machines wired together, and the operations that are measured.
//!
//! ```text
//! world.rs        the three machines, their keys and a generator that repeats itself
//! fleet.rs        a server with many registered devices, and keepalives from them
//! handshake.rs    a server, a device, and the messages between them one at a time
//! connection.rs   an issuer and an acceptor with a session over a stream
//! bodies.rs       one sample of each message body
//! mac.rs          three candidates for the keepalive's tag
//! punch.rs        measuring, planning, foreseeing, meeting
//! ```
//!
//! `benches/` measures time with criterion; `genkan-instructions` counts instructions and holds them
//! against budgets; `genkan-loopback` measures from request to connection over real sockets. README.md
//! has the commands. Nothing here is used outside of benches: what goes wrong panics.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot run should stop")]

pub mod bodies;
pub mod connection;
pub mod fleet;
pub mod handshake;
pub mod mac;
pub mod punch;
pub mod world;
