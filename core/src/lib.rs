//! Genkan's core: server, issuer and acceptor as pure state machines.
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

mod acceptor;
mod addr;
mod counters;
mod crypto;
mod entropy;
mod error;
mod frame;
mod id;
#[cfg(feature = "inspect")]
pub mod inspect;
mod issuer;
mod limit;
mod link;
mod machine;
mod peer;
mod server;
mod session;
mod time;
mod transmit;
pub mod wire;

pub use acceptor::ConnectionSlot as AcceptorSlot;
pub use acceptor::{
    Acceptor, AcceptorConfig, AcceptorEvent, AdmissionPolicy, ConnectionInfo, Resumption,
};
pub use addr::{AddressClass, AddressPolicy, canonical};
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
pub use peer::{CloseCause, Path};
pub use server::{
    ClientSlot, Delivery, MAX_CLIENTS, RequestSlot, Server, ServerConfig, ServerError, ServerEvent,
    StreamSlot,
};
pub use time::Instant;
pub use transmit::{Frame, Outbox, Transmit};
