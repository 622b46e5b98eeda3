// Where README.md links to files, the documentation links to items: of two definitions the first counts.
//! [`NatConfig`]: NatConfig
//! [`NatSpec`]: NatSpec
//! [`oracle::judge`]: oracle::judge
//! [`swarm`]: swarm
#![doc = include_str!("../README.md")]
//!
//! # In code
//!
//! A [`World`] holds hosts, each with one machine, and the network between them. Everything that
//! happens comes from one seed and is written down in a [`Transcript`]; the same seed gives the same
//! run, on any platform. Nothing here reads a clock or opens a socket; only [`swarm::campaign`] starts
//! threads, each with worlds of its own.
//!
//! ```
//! use core::time::Duration;
//!
//! use genkan_sim::fleet::Fleet;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut fleet = Fleet::new(7);
//! fleet.watch(); // its story names what is inside sealed messages
//! let lamp = fleet.acceptor("lamp", |config| config.admission.open = true);
//! let phone = fleet.issuer("phone", |_| ());
//! assert!(fleet.wait_registered(lamp, Duration::from_secs(30)));
//!
//! let connection = fleet.request(phone, lamp);
//! assert!(fleet.wait_connected(phone, connection, Duration::from_secs(1)));
//! fleet.world.run_for(Duration::from_millis(20)); // what confirms it is on its way
//!
//! fleet.say(phone, connection, b"on")?;
//! fleet.world.run_for(Duration::from_millis(20));
//! assert_eq!(fleet.heard(lamp), [b"on"]);
//! print!("{}", fleet.story()); // t=4.510 lamp → server Register 71 B, and so on
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`World`] → [`Node`] and [`Io`] → [`Host`] (which keeps a machine to the rules of
//! its interface) → [`Faults`], [`Packet`] and [`Verdict`] → [`TcpConfig`] → [`Nat`] →
//! [`NatSpec`] → [`capture`] → [`Transcript`] → [`fleet`] → [`see`] → [`oracle`] → [`swarm`].
//!
//! Time in the world is a [`Duration`](core::time::Duration) since its start. Each host's clock
//! shows another [`Instant`](genkan_core::Instant); [`World::instant_at`] translates.
#![warn(clippy::iter_over_hash_type)]

pub mod capture;
mod checks;
mod digest;
mod entropy;
mod faults;
pub mod fleet;
mod host;
mod leaser;
pub mod matrix;
pub mod nat;
mod net;
mod node;
mod numbered;
pub mod oracle;
mod packet;
mod queue;
mod rng;
pub mod see;
mod send;
pub mod swarm;
mod tcp;
mod transcript;
mod watch;
mod world;

pub use entropy::{EntropyMode, EntropySwitch, SimEntropy};
pub use faults::{Faults, LineFault};
pub use host::{App, Host, Inbound, Log};
pub use nat::{Filtering, Flow, Mapping, Nat, NatConfig, NatFault, Proto, Refusal, Turned};
pub use net::{HostId, NatId, NatSpec, Unroutable};
pub use node::{Io, Node, Quote};
pub use packet::{Packet, TcpId, Verdict, Via, drop_nth};
pub use rng::Rng;
pub use send::{Sends, Sent};
pub use tcp::{Reader, TcpConfig};
pub use transcript::{Entry, Fate, Line, Named, Note, Origin, Transcript};
pub use world::{Death, HostSpec, World};
