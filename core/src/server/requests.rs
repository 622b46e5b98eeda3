//! Requests on their way from an issuer to an acceptor.
//!
//! ```text
//! Free ─► Waiting ─► Accepted ─► Free      the acceptor comes
//!            │  └───► Refused ─► Free      at the refusal time, whatever the reason was
//! ```
//!
//! Unknown, offline, busy and wrong password look alike to a stranger: whatever happens to a request
//! that is not accepted, its `Refused` leaves at one and the same delay after it came in. A slot
//! lives on for a while after that, so that a repeated request gets the same word again.

use super::calls::Calls;
use crate::addr::Endpoint;
use crate::id::{EquipmentId, StreamId};
use crate::punch::{Coordinator, Hopeless};
use crate::time::{Instant, earliest};
use crate::wire::OFFER_LEN;
use crate::wire::message::Reason;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Free,
    Waiting,
    Accepted,
    Refused,
}

/// What an equipment speaks over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Via {
    /// Datagrams: the slot on the list.
    Client(usize),
    /// A stream.
    Stream(StreamId),
}

/// What becomes of the way through the two ends' NATs.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to move a coordinator to")]
pub(super) enum Meeting {
    /// Not begun: an end cannot, or must not yet know of the other.
    None,
    /// Bursts go out.
    Under(Coordinator),
    /// There is no way, and the issuer is told. With the next round's number, should more be known.
    Hopeless(Hopeless, u8),
    /// Both ends have heard each other, or the acceptor does not come after all.
    Over,
}

impl Meeting {
    pub(super) const fn coordinator(&self) -> Option<&Coordinator> {
        match self {
            Self::Under(coordinator) => Some(coordinator),
            _ => None,
        }
    }

    pub(super) const fn coordinator_mut(&mut self) -> Option<&mut Coordinator> {
        match self {
            Self::Under(coordinator) => Some(coordinator),
            _ => None,
        }
    }
}

/// Memory for one request at a server.
#[derive(Debug)]
pub struct RequestSlot {
    pub(super) stage: Stage,
    pub(super) generation: u16,
    pub(super) issuer: EquipmentId,
    pub(super) from: Via,
    /// The issuer's number.
    pub(super) request: u32,
    pub(super) target: EquipmentId,
    pub(super) address: Endpoint,
    pub(super) paired: bool,
    /// The acceptor has been asked in vain so often.
    pub(super) tries: u8,
    /// The acceptor is asked (again) at this time.
    pub(super) ask_at: Option<Instant>,
    /// Refused at this time unless accepted; then: forgotten at this time.
    pub(super) until: Instant,
    pub(super) reason: Reason,
    pub(super) offer: [u8; OFFER_LEN],
    pub(super) meeting: Meeting,
    pub(super) calls: Calls,
    /// Which of issuer and acceptor has heard the other.
    pub(super) heard: [bool; 2],
    /// For which of them a burst waits in the queue.
    pub(super) queued: [bool; 2],
}

impl RequestSlot {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        stage: Stage::Free,
        generation: 0,
        issuer: EquipmentId([0; 32]),
        from: Via::Client(0),
        request: 0,
        target: EquipmentId([0; 32]),
        address: Endpoint::UNSPECIFIED,
        paired: false,
        tries: 0,
        ask_at: None,
        until: Instant::END,
        reason: Reason::Unspecified,
        offer: [0; OFFER_LEN],
        meeting: Meeting::None,
        calls: Calls::NONE,
        heard: [false; 2],
        queued: [false; 2],
    };

    pub(super) fn free(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::EMPTY };
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Free => None,
            _ => {
                let punch = self.meeting.coordinator().and_then(Coordinator::poll_timeout);
                let asks = earliest(self.ask_at, self.calls.at);
                earliest(earliest(asks, punch), Some(self.until))
            }
        }
    }

    /// The reason as the issuer may know it.
    pub(super) const fn told(&self) -> Reason {
        if self.paired { self.reason } else { Reason::Unspecified }
    }
}

impl Default for RequestSlot {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The server's number for the request in a slot: never 0, which stands for a measurement in
/// detection packets.
pub(super) fn number(slots: &[RequestSlot], index: usize) -> u32 {
    let generation = slots.get(index).map_or(0, |slot| slot.generation);
    let [g, h] = generation.to_be_bytes();
    let [i, j] = u16::try_from(index.saturating_add(1)).unwrap_or(u16::MAX).to_be_bytes();
    u32::from_be_bytes([g, h, i, j])
}

/// The slot that a number names.
pub(super) fn find(slots: &[RequestSlot], number: u32) -> Option<usize> {
    let [g, h, i, j] = number.to_be_bytes();
    let index = usize::from(u16::from_be_bytes([i, j])).checked_sub(1)?;
    let slot = slots.get(index)?;
    (slot.stage != Stage::Free && slot.generation == u16::from_be_bytes([g, h])).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_its_slot_and_is_never_0() {
        let mut slots = [const { RequestSlot::EMPTY }; 3];
        for _ in 0..3 {
            for index in 0..slots.len() {
                slots[index].stage = Stage::Waiting;
                let named = number(&slots, index);
                assert_ne!(named, 0);
                assert_eq!(find(&slots, named), Some(index));
                slots[index].free();
                assert_eq!(find(&slots, named), None);
            }
        }
        assert_eq!(find(&slots, 0), None);
    }

    /// Nearly half of it is the coordinator.
    #[test]
    fn a_request_takes_at_most_800_bytes() {
        assert!(size_of::<RequestSlot>() <= 800, "{}", size_of::<RequestSlot>());
    }
}
