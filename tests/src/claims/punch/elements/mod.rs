//! The elements of the punch claims. Those that concern either end have a pair of one form: the bubbler's
//! bubble and the replier's port assigning packet are both packets whose port has to be found.

pub mod assign;
pub mod bubble;
pub mod differential;
pub mod range;
pub mod report;
pub mod roles;
pub mod spoil;
pub mod target;

use super::run::Meeting;
pub use crate::claims::elements::Spoil;
use crate::claims::elements::{self, Tells};
use crate::story::Story;

/// An element of a punch claim.
pub type Element = elements::Element<Meeting>;

impl Tells for Meeting {
    fn story(&mut self) -> &mut Story {
        &mut self.story
    }
}
