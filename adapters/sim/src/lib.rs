//! Virtual time, a simulated network and hosts for Genkan's machines.
//!
//! A [`World`] holds hosts, each with one machine, and the network between them. Everything that
//! happens comes from one seed and is written down in a [`Transcript`]; the same seed gives the same
//! run, on any platform. Nothing here reads a clock, opens a socket or starts a thread.
//!
//! Reading order: [`World`] → [`Node`] and [`Io`] → [`Host`] (which keeps a machine to the rules of
//! its interface) → [`Faults`], [`Packet`] and [`Verdict`] → [`TcpConfig`] → [`Nat`] →
//! [`Transcript`].
#![warn(clippy::iter_over_hash_type)]

mod entropy;
mod faults;
// pub mod fleet;
mod host;
mod nat;
mod net;
mod node;
mod packet;
mod queue;
mod rng;
mod send;
mod tcp;
mod transcript;
mod world;

pub use entropy::{EntropyMode, EntropySwitch, SimEntropy};
pub use faults::Faults;
pub use host::{App, Host, Inbound, Log};
pub use nat::{Filtering, Nat, NatConfig};
pub use net::{HostId, NatId, Unroutable};
pub use node::{Io, Node};
pub use packet::{Packet, TcpId, Verdict, Via};
pub use rng::Rng;
pub use send::{Sends, Sent};
pub use tcp::{Reader, TcpConfig};
pub use transcript::{Entry, Fate, Line, Note, Origin, Transcript};
pub use world::{Death, HostSpec, World};
