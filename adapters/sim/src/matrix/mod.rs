//! How often two ends meet: the planner, the coordinator and both ends' attempts of the core, with
//! two NATs between them and nothing else, so that thousands of runs take a second.
//!
//! There are no keys and no machines here, and the links to the server lose nothing for good: what
//! is measured is prediction. World runs and the tests of the whole path do the rest.

mod cell;
pub mod heat;
mod host;
mod kinds;
pub mod peers;
mod run;
mod table;

pub use self::cell::{Cell, Progress, cells};
pub use self::kinds::{KINDS, Kind, RFC6081};
pub use self::run::{Lab, Outcome, meet};
pub use self::table::{Conditions, Pairs, Table, table};
