//! The claims of the punch document, on recorded meetings of the real machines through real NATs.
//!
//! ```text
//! scenario   plays the scenes: which NATs, which detector, roles exchanged
//! run        a Meeting, and the packets in it that the claims speak of
//! packets    what those are on the wire
//! elements   sentences of the claims as checks, with ways to spoil a meeting for each
//! lists      which elements each claim has, and in which scenes it is shown
//! depends    which claim depends on which
//! twins      scenes with one thing taken away, and what fails then
//! sabotage   how it is taken away
//! ```
//!
//! The claims' words are those of the source document: bubble, reply, range detection packet, port
//! differential. What they are on the wire: a bubble or reply is a `Punch` check; a range detection
//! packet is a `Detect` of a burst; a differential detection packet is a `Detect` of a measurement;
//! detection port information is `Seen`; target port information and range information are the ports of
//! a burst that the server sends, or of the `Range` that an equipment sends; a port assigning packet
//! is the replier's first packet, which makes its NAT assign the port that the replies leave from.

pub mod depends;
pub mod elements;
pub mod lists;
pub mod packets;
pub mod run;
pub mod sabotage;
pub mod scenario;
pub mod twins;
