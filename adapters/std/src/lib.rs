//! Genkan on `std`: the three roles as nodes that run, and what they need from an operating system.
//!
//! [`ServerNode`], [`AcceptorNode`] and [`IssuerNode`] each run one machine of `genkan-core` on a
//! thread of its own, over non-blocking sockets. An issuer's [`connect`](IssuerNode::connect) gives a
//! [`Session`]; over it, any number of [`Stream`]s read and write like TCP sockets, with back-pressure
//! and half-close, while the path under them may be UDP or TCP. What happens, step by step, comes as
//! [`Events`].
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use std::path::Path;
//!
//! use genkan_core::{Anchors, Identity, IssuerConfig, ServerAddress, Target};
//! use genkan_std::{IssuerNode, IssuerOptions, files};
//!
//! let key = files::load_or_create_key(Path::new("issuer.key"))?;
//! let mut anchors = Anchors::default();
//! let _ = anchors.authorities.push(files::parse_authority("gk-authority-1…")?);
//! let server = ServerAddress::both("192.0.2.1:4242".parse()?);
//! let config = IssuerConfig::new(Identity { key, boots: 0 }, server, anchors);
//!
//! let issuer = IssuerNode::start(IssuerOptions::new(config))?;
//! let session = issuer.connect(&Target::new("gk1…".parse()?))?;
//! let mut stream = session.open(80)?;
//! stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
//! stream.shutdown(std::net::Shutdown::Write)?;
//! let mut page = String::new();
//! stream.read_to_string(&mut page)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `driver/mod.rs` (the loop), `session/mod.rs` (streams), `net/mod.rs` (sockets),
//! `node/` (the roles), [`files`] (keys and state).

mod clock;
mod driver;
mod entropy;
mod event;
pub mod files;
mod lease;
mod net;
mod node;
mod session;

pub use clock::Clock;
pub use driver::Stopped;
pub use entropy::OsEntropy;
pub use event::{Action, Carrier, EVENT_QUEUE, Events, Happening, Stamped, Step, Trace};
pub use files::{FileError, StateDir};
pub use lease::{LeaseMode, LeaseNews};
pub use net::Bind;
pub use node::*;
pub use session::{Session, Spliced, Stream, StreamListener, Traffic, splice};
