//! What an equipment's NAT is like, learned from what a server sees of its packets; and which port
//! it will give out next.
//!
//! Everything here is a pure function over [`Sighting`]s: this socket sent to that end of the
//! server, which saw that address. The server computes with it from what it observes, equipment
//! from what the server reports back to it; neither trusts the other's result further than its own
//! sightings reach. The words are those of RFC 4787. `core/docs/NAT.md` explains the method.
//!
//! ```text
//! sighting.rs       one packet, as the server saw it
//! measure.rs        which packets to send to learn the most from six
//! differential.rs   the step between ports that are given out one after the other
//! profile.rs        mapping, filtering, allocation: what was learned, and how sure it is
//! lifetime.rs       how long it keeps a mapping that is silent
//! range.rs          the ports between two range detection packets
//! compact.rs        a profile in twelve bytes
//! count.rs          how many foreign mappings came between: weights of a distribution
//! forecast.rs       candidate ports, the likeliest first
//! lease/            a port that the NAT opens on request
//! ```
//!
//! All functions are total: whatever is seen, they end after bounded work with an answer or with
//! "not known".

mod compact;
mod count;
mod differential;
mod forecast;
pub mod lease;
mod lifetime;
mod measure;
mod profile;
mod range;
mod sighting;
#[cfg(test)]
mod tests;

pub use self::count::Count;
pub use self::differential::{Differential, MAX_DIFFERENTIAL};
pub use self::forecast::{Candidates, Forecast, MAX_CANDIDATE_PORTS};
pub use self::lifetime::{LIFETIMES, Lifetime};
pub use self::measure::{MEASURE_PACKETS, Probe, measurement};
pub use self::profile::{Allocation, Filtering, MAX_CONFIDENCE, Mapping, NatProfile, Span};
pub use self::range::PortRange;
pub use self::sighting::{MAX_SIGHTINGS, ServerEnd, Sighting};
