//! One slot for each TCP connection to the server.
//!
//! A connection has 5 s for its handshake, 10 s for its first request and 30 s of idleness, and may
//! send 64 KiB in all unless it carries a registration; 32 may come from one address (threat T29).

use heapless::Deque;

use crate::addr::Endpoint;
use crate::id::{EquipmentId, StreamId};
use crate::limit::Bucket;
use crate::punch::End;
use crate::session::Session;
use crate::time::Instant;
use crate::wire::message::Role;
use crate::wire::{KEEPALIVE_LEN, RESPONSE_LEN};

/// What waits to be written to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Certificate([u8; 8]),
    Response([u8; RESPONSE_LEN]),
    Registered,
    Answer([u8; KEEPALIVE_LEN]),
    /// Our number for the request, as for datagrams.
    Notify(u32),
    Plan(u32),
    Refused(u32),
    Call(u32, End),
}

/// Memory for one TCP connection to a server.
#[derive(Debug)]
pub struct StreamSlot {
    pub(super) generation: u16,
    pub(super) remote: Option<Endpoint>,
    pub(super) until: Instant,
    pub(super) received: u32,
    pub(super) session: Option<Session>,
    pub(super) id: EquipmentId,
    pub(super) role: Role,
    /// The slot on the list, when a registration came over this stream.
    pub(super) client: Option<usize>,
    /// An issuer's [`capability`](crate::wire::message::capability) bits.
    pub(super) capabilities: u32,
    pub(super) keepalive_up: [u8; 16],
    pub(super) keepalive_down: [u8; 16],
    pub(super) requests: Bucket,
    pub(super) due: Deque<Due, 4>,
}

impl StreamSlot {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        generation: 0,
        remote: None,
        until: Instant::END,
        received: 0,
        session: None,
        id: EquipmentId([0; 32]),
        role: Role::Issuer,
        client: None,
        capabilities: 0,
        keepalive_up: [0; 16],
        keepalive_down: [0; 16],
        requests: Bucket::EMPTY,
        due: Deque::new(),
    };

    pub(super) fn free(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::EMPTY };
    }
}

impl Default for StreamSlot {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The slot that an id names.
pub(super) fn find(slots: &mut [StreamSlot], id: StreamId) -> Option<&mut StreamSlot> {
    let slot = slots.get_mut(usize::from(id.index))?;
    (slot.generation == id.generation && slot.remote.is_some()).then_some(slot)
}
