//! The claims of both documents, on recorded runs of the real machines: those of the request document
//! here, those of the punch document in their own room.
//!
//! ```text
//! scenario   plays one scenario for each behaviour and gives a Run
//! run        a Run, and the packets in it that the claims speak of
//! elements   sentences of the claims as checks, with ways to spoil a run for each
//! lists      which elements each claim has
//! sabotage   what the negative twins do to what travels
//! twins      each behaviour with one element taken away, and what fails then
//! table      the two tables of the project, and the printed one
//! punch      the same for the punch document
//! ```

pub mod elements;
pub mod lists;
pub mod punch;
pub mod run;
pub mod sabotage;
pub mod scenario;
pub mod table;
pub mod twins;
