//! Genkan on `std`: the three roles as nodes that run, and what they need from an operating system.
//!
//! [`ServerNode`], [`AcceptorNode`] and [`IssuerNode`] each run one machine of `genkan-core` on a
//! thread of its own, over non-blocking sockets. An issuer's [`connect`](IssuerNode::connect) gives a
//! [`Session`]; over it, any number of [`Stream`]s read and write like TCP sockets, with back-pressure
//! and half-close, while the path under them may be UDP or TCP. What happens, step by step, comes as
//! [`Events`].
//!
//! Reading order: `driver/mod.rs` (the loop), `session/mod.rs` (streams), `net/mod.rs` (sockets),
//! `node/` (the roles), [`files`] (keys and state).

mod clock;
mod driver;
mod entropy;
mod event;
pub mod files;
mod net;
mod node;
mod session;

pub use clock::Clock;
pub use driver::Stopped;
pub use entropy::OsEntropy;
pub use event::{Action, Carrier, EVENT_QUEUE, Events, Happening, Stamped, Step, Trace};
pub use files::{FileError, StateDir};
pub use net::Bind;
pub use node::*;
pub use session::{Session, Spliced, Stream, StreamListener, Traffic, splice};
