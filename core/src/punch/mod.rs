//! Hole punching: who sends what from where, so that the two ends meet.
//!
//! Both ends do the same kind of thing, a [`Burst`]: from some sockets to some ports of the peer's
//! observed address, with range detection packets to the server before and after. A bubble and a
//! reply are the same packet; which is which, only the order of events says. The server, which
//! alone sees both ends, is the [`Coordinator`]: it chooses a [`Method`] and the roles from the two
//! profiles ([`plan()`]), and hands out bursts round by round as it learns ports. An end is an
//! [`Attempt`], which carries bursts out within its own budget, answers what it hears, and finds the
//! path.
//!
//! ```text
//! burst.rs        one instruction for one end
//! plan.rs         from two profiles to method and roles, or to "no way"
//! ramp.rs         the bursts for two ends that both have to be foreseen
//! learned.rs      what the server has seen of one end in one try
//! coordinator.rs  the server's part: rounds, ranges, retries
//! ability.rs      what an end can do, and whose detector works for it
//! action.rs       what an end's part asks for
//! attempt.rs      an end's part: sockets, pacing, budget, answers
//! ```
//!
//! Nothing here knows wire formats, keys or clocks. `core/docs/NAT.md` explains why it works.

mod ability;
mod action;
mod attempt;
mod burst;
mod coordinator;
mod learned;
mod plan;
mod ramp;
#[cfg(test)]
mod tests;

pub use self::ability::{Ability, Detector};
pub use self::action::{Action, Budget, Found};
pub use self::attempt::Attempt;
#[cfg(feature = "punch")]
pub(crate) use self::attempt::RATE;
pub use self::burst::{Bracket, Burst, Moment};
pub use self::coordinator::{Coordinator, ROUNDS};
pub use self::plan::{End, Hopeless, Limits, Method, Party, Plan, plan};
