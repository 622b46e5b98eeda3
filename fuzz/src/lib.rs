//! What the fuzzers of Genkan run: scenarios made of bytes, over the real machines.
//!
//! Each target is a function of bytes that panics when something is wrong, and comes with seeds to
//! begin with. Nothing here knows of a fuzzer: `fuzz/libfuzzer` wraps the targets for libFuzzer,
//! `fuzz/campaign` runs those, and `cargo test -p genkan-fuzz` replays what was found.
//!
//! ```text
//! record       bytes as records of one size: a flipped bit is a changed scenario
//! watch        what is asserted of every machine after every call
//! datagram     every decoder of message bodies
//! stream       a TCP connection's bytes in pieces of any size
//! certificate  issuing, parsing and checking certificates
//! addresses    which addresses an appliance may dial
//! files        key files, certificates, a state directory (in a folder), and the text of ids and keys
//! lease        what asks a NAT for a port
//! punch        two ends and a coordinator that try to meet, and what predicts ports
//! server       a server among equipment with real keys and no manners, and strangers
//! trial        what the next two share: a machine with a hostile server (far)
//! acceptor     an appliance with hostile issuers (caller)
//! issuer       an issuer with hostile acceptors (door)
//! world        two appliances and two phones in the simulated network
//! swarm        the simulator's world runs, from bytes
//! ```
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a support crate for fuzzers: what cannot be ends the run"
)]

mod acceptor;
mod addresses;
mod caller;
mod certificate;
mod datagram;
mod door;
mod far;
mod files;
mod folder;
mod holes;
mod issuer;
mod lease;
mod peer;
mod punch;
mod punching;
mod record;
mod server;
mod sockets;
mod speech;
mod stream;
mod swarm;
mod trial;
mod watch;
mod world;

pub use acceptor::acceptor;
pub use addresses::addresses;
pub use certificate::certificate;
pub use datagram::datagram;
pub use files::files;
pub use issuer::issuer;
pub use lease::lease;
pub use punch::punch;
pub use server::server;
pub use stream::stream;
pub use swarm::swarm;
pub use watch::reached;
pub use world::world;

/// What a fuzzer runs.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The target's name, as in the heads of its file, binary and corpus.
    pub name: &'static str,
    /// Runs one input; panics when something is wrong.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them, the quick ones first.
pub const TARGETS: [Target; 12] = [
    Target { name: "addresses", run: addresses, seeds: addresses::seeds },
    Target { name: "datagram", run: datagram, seeds: datagram::seeds },
    Target { name: "certificate", run: certificate, seeds: certificate::seeds },
    Target { name: "stream", run: stream, seeds: stream::seeds },
    Target { name: "files", run: files, seeds: files::seeds },
    Target { name: "lease", run: lease, seeds: lease::seeds },
    Target { name: "punch", run: punch, seeds: punch::seeds },
    Target { name: "server", run: server, seeds: server::seeds },
    Target { name: "acceptor", run: acceptor, seeds: acceptor::seeds },
    Target { name: "issuer", run: issuer, seeds: issuer::seeds },
    Target { name: "world", run: world, seeds: world::seeds },
    Target { name: "swarm", run: swarm, seeds: swarm::seeds },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
