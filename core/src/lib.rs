//! Genkan's core: three protocol roles as pure state machines.
//!
//! Genkan lets a phone, a laptop or another appliance reach a home appliance behind a NAT, directly
//! and end to end encrypted. The appliance ([`Acceptor`]) registers with a rendezvous [`Server`] and
//! keeps its NAT mapping alive; an [`Issuer`] asks the server for it; the server passes the request
//! on; the appliance checks who asks and dials back.
//!
//! ```text
//! acceptor                         server                        issuer
//!    |-- CertificateRequest -------->|                              |
//!    |<-- Certificate ---------------|    (cached afterwards)       |
//!    |-- Initiation ---------------->|                              |
//!    |<-- Response ------------------|                              |
//!    |-- Register, then keepalives ->|<-- Initiation + ConnectRequest
//!    |<-- ConnectNotify -------------|--- Response ---------------->|
//!    |   opens the sealed offer, checks password or pairing         |
//!    |================ TCP dial-back: Answer ======================>|
//!    |<=============== application data, end to end ===============>|
//! ```
//!
//! # What this crate is
//!
//! `no_std`, no allocation, no unsafe code, no clock, no I/O, no randomness of its own, and no panics.
//! A machine is told what happened and asked what to do; time, entropy and memory are handed in.
//! Adapters bind it to std sockets (`genkan-std`), to a simulated network (`genkan-sim`), and to
//! whatever a microcontroller has. The same code runs in all of them.
//!
//! # Reading order
//!
//! 1. [`Machine`]: the interface of all three roles, and the order in which to drain it;
//! 2. [`Transmit`]: how bytes get out without being copied twice;
//! 3. [`wire`]: the table of messages;
//! 4. `link/`: how an equipment gets a session with the server;
//! 5. `server/`, `acceptor/`, `issuer/`: one head comment each says what its rooms are for;
//! 6. [`nat`] and [`punch`]: how ports are foreseen and how two ends meet there;
//! 7. `core/docs/PROTOCOL.md`, the normative description, `core/docs/DESIGN.md`, the reasons, and
//!    `core/docs/NAT.md`, prediction.
//!
//! # The loop
//!
//! All a caller has to do, here for one UDP socket (a complete one with TCP is in `genkan-std`):
//!
//! ```no_run
//! use genkan_core::{Instant, Machine, Received, SocketId, MAX_DATAGRAM};
//! use std::{io, net::UdpSocket};
//!
//! fn run<M: Machine>(node: &mut M, udp: &UdpSocket, start: std::time::Instant) -> io::Result<()> {
//!     let mut buf = [0; MAX_DATAGRAM];
//!     loop {
//!         let now = Instant::from_micros(start.elapsed().as_micros() as u64);
//!         node.handle_timeout(now);
//!         while let Some(_command) = node.poll_command() { /* open or close TCP connections */ }
//!         while let Some(mut transmit) = node.poll_transmit(now) {
//!             let Ok(len) = transmit.encode(&mut buf) else { transmit.abandon(); continue };
//!             // A send error is a lost datagram, never a failed connection.
//!             match udp.send_to(&buf[..len], transmit.remote()) {
//!                 Ok(_) => transmit.commit(),
//!                 Err(_) => transmit.abandon(),
//!             }
//!         }
//!         while let Some(_event) = node.poll_event() { /* tell the application */ }
//!         let wait = node.poll_timeout().map(|wakeup| wakeup.at.since(now));
//!         udp.set_read_timeout(wait.map(|wait| wait.max(core::time::Duration::from_millis(1))))?;
//!         if let Ok((len, from)) = udp.recv_from(&mut buf) {
//!             let now = Instant::from_micros(start.elapsed().as_micros() as u64);
//!             match node.handle_datagram(now, SocketId::MAIN, from, &mut buf[..len]) {
//!                 Received::Payload { .. } => { /* the peer's bytes, decrypted */ }
//!                 Received::Control | Received::Discarded(_) => {}
//!             }
//!         }
//!     }
//! }
//! ```
//!
//! # Rules that hold everywhere
//!
//! * Network garbage is never an error: it is [`Received::Discarded`] with a reason and a counter
//!   ([`Counters`]). An `Err` means that the caller misused a call or a table is full.
//! * Nothing that fails authentication changes any state but counters and rate limits, with one
//!   exception: a hint proves only that its sender has seen our message, and starts a handshake.
//! * Every half-open thing has a deadline. Every table has a size that the caller chose.
//! * `now` may jump: it is clamped to the latest time seen.
//!
//! # Features
//!
//! `punch` (default): equipment measures its NAT, punches holes, calls over TCP where there are none, and
//! finds out how long its NAT keeps a mapping. Without it an issuer or acceptor is smaller, registers, and meets others over TCP alone;
//! servers and what they know of others' NATs stay the same, and so does the interface: what asks for
//! punching is without effect ([`AcceptorConfig::punch`], [`IssuerConfig::punch`], leased ports), and so
//! is what asks for calls over TCP ([`AcceptorConfig::simultaneous_open`]).
//!
//! `log` and `defmt` say what the machines tell and discard, at debug level, and `defmt` makes every
//! public type format itself; both may be on. `inspect` lets tests and
//! dissectors read session roots out of the machines; firmware never enables it.
#![no_std]
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]

#[macro_use]
mod note;

mod acceptor;
mod addr;
mod counters;
mod crypto;
mod entropy;
mod error;
mod frame;
#[cfg(feature = "punch")]
mod hole;
#[cfg(not(feature = "punch"))]
#[path = "hole/none.rs"]
mod hole;
mod id;
#[cfg(feature = "inspect")]
pub mod inspect;
mod issuer;
mod limit;
mod link;
mod machine;
pub mod nat;
mod peer;
pub mod punch;
mod server;
mod session;
mod time;
mod transmit;
pub mod wire;

pub use acceptor::ConnectionSlot as AcceptorSlot;
pub use acceptor::{Acceptor, AcceptorConfig, AcceptorEvent, AdmissionPolicy, Resumption};
pub use addr::{AddressClass, AddressPolicy, Endpoint, canonical};
pub use counters::Counters;
pub use crypto::StaticKey;
pub use crypto::keys::PasswordRecord;
pub use entropy::{Entropy, EntropyError};
pub use error::*;
pub use id::{ConnectionId, EquipmentId, ID_PREFIX, ID_TEXT_LEN, ParseIdError, SocketId, StreamId};
pub use issuer::ConnectionSlot as IssuerSlot;
pub use issuer::{FailCause, Issuer, IssuerConfig, IssuerEvent, RequestTransport, Target};
pub use limit::Rate;
pub use link::{Anchors, Identity, ServerAddress, Transport};
pub use machine::*;
pub use peer::payload::{MAX_PAYLOAD, Payload};
pub use peer::slots::ConnectionInfo;
pub use peer::{CloseCause, Path};
pub use server::{
    ClientSlot, Delivery, MAX_CLIENTS, RequestSlot, Server, ServerConfig, ServerError, ServerEvent,
    StreamSlot,
};
pub use time::Instant;
pub use transmit::{Frame, Outbox, Transmit};
