//! The three roles as running nodes: a machine, its sockets, a thread, and handles to them.

mod acceptor;
mod ends;
mod issuer;
mod limits;
mod open;
mod server;

pub use acceptor::{AcceptorNode, AcceptorOptions};
pub use ends::OtherPort;
pub use issuer::{IssuerNode, IssuerOptions, Pending, ReachError};
pub use limits::raise_open_files;
pub use open::StartError;
pub use server::{ServerNode, ServerOptions};
