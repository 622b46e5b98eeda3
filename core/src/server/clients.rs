//! The equipment list: one slot for each equipment that has a session with the server.
//!
//! A datagram finds its slot by the handle in it, without hashing; requests look an id up (`index.rs`).
//! A slot keeps one root; transport keys are derived when a transport message comes, which is rare,
//! and the two keepalive keys are kept, because keepalives are not.

use crate::addr::Endpoint;
use crate::crypto::keys::{Direction, Root};
use crate::id::EquipmentId;
use crate::limit::Bucket;
use crate::nat::{Lifetime, Mapping, NatProfile};
use crate::punch::Ability;
use crate::session::window::Window;
use crate::session::{Header, LAST_COUNTER};
use crate::wire::Kind;
use crate::wire::message::Role;

pub(super) const NONE: u32 = u32::MAX;
/// Slots that a server can have: handles hold 24 bits of index.
pub const MAX_CLIENTS: usize = 1 << 24;

/// What a slot is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    Free,
    /// Handed out in a Response that was not confirmed yet.
    Reserved,
    Live,
}

/// Whether an equipment's NAT was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    Never,
    /// Not since the equipment was seen at another address.
    Moved,
    /// The equipment was asked to show it.
    Asked,
    /// Probes have gone out, too, and nothing has come since that the equipment was asked for.
    Probed,
}

/// Memory for one equipment on a server's list.
#[derive(Debug)]
pub struct ClientSlot {
    pub(super) id: EquipmentId,
    pub(super) root: Root,
    pub(super) keepalive_up: [u8; 16],
    pub(super) keepalive_down: [u8; 16],
    pub(super) early_key: [u8; 16],
    pub(super) counter: u64,
    pub(super) window: Window<1>,
    /// Strangers' requests to this acceptor; for an issuer, its own requests.
    pub(super) strangers: Bucket,
    /// Requests of paired issuers; for an issuer, what it says of its requests.
    pub(super) paired: Bucket,
    pub(super) peer_index: u32,
    /// When the entry ends, in seconds of the machine's time.
    pub(super) expires: u32,
    /// [`capability`](crate::wire::message::capability) bits.
    pub(super) capabilities: u32,
    /// When its NAT was asked for last, in milliseconds of the machine's time, which wrap.
    pub(super) asked_at: u32,
    /// When its profile was made, in the same.
    pub(super) measured_at: u32,
    /// What its NAT is like ([`NatProfile::to_bytes`]).
    pub(super) profile: [u8; 12],
    pub(super) look: Look,
    /// The external port that its box has opened for it, by its own word; 0: none.
    pub(super) leased: u16,
    /// How often leased ports were probed in this session.
    pub(super) probings: u8,
    /// When that was last, in units of 70 minutes, which wrap.
    pub(super) probed_at: u8,
    /// A probe to the leased port has arrived, by proof.
    pub(super) leads: bool,
    /// Measurements in a row in which none has.
    pub(super) missed: u8,
    pub(super) chain: u32,
    pub(super) next: u32,
    /// Where the equipment was seen; meaningless while `has_place` is false.
    pub(super) place: Endpoint,
    pub(super) has_place: bool,
    /// The stream that a registration over TCP came by.
    pub(super) stream: Option<u16>,
    /// The registration over TCP is the latest one.
    pub(super) over_stream: bool,
    pub(super) usage: Use,
    pub(super) role: Role,
    pub(super) epoch: u8,
    pub(super) generation: u8,
    pub(super) offered: u8,
    pub(super) has_early_key: bool,
    pub(super) registered: bool,
}

// Ten million devices fit into 2.3 GB.
const _: () = assert!(size_of::<ClientSlot>() <= 232);

impl ClientSlot {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        id: EquipmentId([0; 32]),
        root: Root([0; 32]),
        keepalive_up: [0; 16],
        keepalive_down: [0; 16],
        early_key: [0; 16],
        counter: 0,
        window: Window::EMPTY,
        strangers: Bucket::EMPTY,
        paired: Bucket::EMPTY,
        peer_index: 0,
        expires: 0,
        capabilities: 0,
        asked_at: 0,
        probings: 0,
        probed_at: 0,
        measured_at: 0,
        profile: [0; 12],
        look: Look::Never,
        leased: 0,
        leads: false,
        missed: 0,
        chain: NONE,
        next: NONE,
        place: Endpoint::UNSPECIFIED,
        has_place: false,
        stream: None,
        over_stream: false,
        usage: Use::Free,
        role: Role::Acceptor,
        epoch: 0,
        generation: 0,
        offered: 0,
        has_early_key: false,
        registered: false,
    };

    /// Where datagrams for this equipment go.
    pub(super) fn address(&self) -> Option<Endpoint> {
        self.has_place.then_some(self.place)
    }

    /// Takes a confirmed session over.
    pub(super) fn install(&mut self, root: &Root, peer_index: u32, generation: u8, at: Endpoint) {
        self.keepalive_up = root.keepalive(Direction::Up);
        self.keepalive_down = root.keepalive(Direction::Down);
        self.root = root.clone();
        self.counter = 0;
        self.window = Window::EMPTY;
        self.epoch = 0;
        self.peer_index = peer_index;
        self.generation = generation;
        self.move_to(at);
        // It says anew in each session what it has leased.
        self.set_leased(0);
        self.probings = 0;
        self.has_place = true;
        self.usage = Use::Live;
        if self.role == Role::Issuer {
            // It says anew in each session what it can do.
            self.capabilities = 0;
        }
    }

    /// The equipment is seen at another address: its NAT may be another one, and is another one
    /// where the host address has changed.
    pub(super) fn move_to(&mut self, place: Endpoint) {
        let (before, after) = (self.place, place);
        // Which port of another address leads here nobody has seen.
        if !before.shares_ip(after) {
            self.doubt_lease();
        }
        if self.look != Look::Never && !before.shares_ip(after) {
            self.look = Look::Moved;
            self.profile = [0; 12];
        } else if self.look == Look::Asked && before != after {
            self.look = Look::Moved;
        }
        self.place = place;
    }

    pub(super) fn profile(&self) -> NatProfile {
        NatProfile::from_bytes(&self.profile)
    }

    /// [`NatProfile::lifetime`] and [`NatProfile::mapping`], which are looked at more often.
    pub(super) fn lifetime(&self) -> Lifetime {
        NatProfile::lifetime_of(&self.profile)
    }

    pub(super) fn mapping(&self) -> Mapping {
        NatProfile::mapping_of(&self.profile)
    }

    pub(super) fn set_profile(&mut self, profile: &NatProfile) {
        self.profile = profile.to_bytes();
    }

    /// How it punches, if it does and has a session over datagrams that counts.
    pub(super) fn ability(&self) -> Option<Ability> {
        let reached = self.usage == Use::Live && self.has_place && !self.over_stream;
        let known = self.role == Role::Issuer || self.registered;
        Ability::from_bits(self.capabilities).filter(|_| reached && known)
    }

    pub(super) const fn root(&self) -> &Root {
        &self.root
    }

    pub(super) const fn generation(&self) -> u8 {
        self.generation
    }

    /// The counter of the next message that is sealed for the equipment.
    pub(super) const fn next_counter(&self) -> u64 {
        self.counter
    }

    /// Opens a transport message from the equipment.
    pub(super) fn open<'d>(
        &mut self,
        header: Header,
        message: &'d mut [u8],
    ) -> Result<&'d mut [u8], crate::Discard> {
        if !self.window.is_fresh(header.counter) {
            return Err(crate::Discard::Replayed);
        }
        let next = header.epoch == self.epoch.wrapping_add(1);
        if header.epoch != self.epoch && !next {
            return Err(crate::Discard::Unauthentic);
        }
        let ratcheted = if next { Some(self.root.ratchet()) } else { None };
        let root = ratcheted.as_ref().unwrap_or(&self.root);
        let body = header
            .open(&root.transport(Direction::Up), message)
            .ok_or(crate::Discard::Unauthentic)?;
        if let Some(root) = ratcheted {
            self.root = root;
            self.epoch = header.epoch;
        }
        self.window.accept(header.counter);
        Ok(body)
    }

    /// Takes the counter of a message that is authenticated in another way; whether it was fresh.
    pub(super) fn take(&mut self, counter: u64) -> bool {
        let fresh = self.window.is_fresh(counter);
        if fresh {
            self.window.accept(counter);
        }
        fresh
    }

    /// Seals the body that stands in `out` between header and tag.
    pub(super) fn seal(&mut self, out: &mut [u8]) {
        if self.counter > LAST_COUNTER {
            return out.fill(0);
        }
        let header = Header {
            kind: Kind::ServerTransport,
            epoch: self.epoch,
            receiver: self.peer_index,
            counter: self.counter,
        };
        self.counter = self.counter.saturating_add(1);
        header.seal(&self.root.transport(Direction::Down), out);
    }
}

impl Default for ClientSlot {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Handles: 8 bits generation, 24 bits slot.
pub(super) const fn handle(index: usize, generation: u8) -> u32 {
    let [_, a, b, c] = index_bytes(index);
    u32::from_be_bytes([generation, a, b, c])
}

const fn index_bytes(index: usize) -> [u8; 4] {
    // Tables are cut to MAX_CLIENTS, so the upper bits are zero.
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_CLIENTS slots")]
    let index = index as u32;
    index.to_be_bytes()
}

/// The slot and generation that a handle names.
pub(super) const fn parts(handle: u32) -> (usize, u8) {
    let [generation, a, b, c] = handle.to_be_bytes();
    (u32::from_be_bytes([0, a, b, c]) as usize, generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leased_port_leads_nowhere_at_another_address() {
        let at = |ip, port| Endpoint::from(([192, 0, 2, ip], port));
        let place = at(1, 4_600);
        let mut slot = ClientSlot { has_place: true, place, ..ClientSlot::EMPTY };
        slot.set_leased(50_000);
        slot.leads = true;
        slot.move_to(at(1, 4_700));
        assert_eq!(slot.reached_at(), Some(at(1, 50_000)));
        slot.move_to(at(2, 4_700));
        assert_eq!(slot.reached_at(), Some(at(2, 4_700)));
    }

    #[test]
    fn what_followed_from_a_lease_ends_with_it() {
        let at = |ip| Endpoint::from(([192, 0, 2, ip], 4_600));
        let ends: [&dyn Fn(&mut ClientSlot); 4] = [
            &|slot| _ = slot.set_leased(0),
            &|slot| _ = slot.set_leased(50_001),
            &|slot| slot.move_to(at(2)),
            &|slot| slot.install(&Root([7; 32]), 1, 1, at(1)),
        ];
        for end in ends {
            let mut slot = ClientSlot { has_place: true, place: at(1), ..ClientSlot::EMPTY };
            slot.set_leased(50_000);
            slot.leads = true;
            let mut profile = NatProfile { last: 9, ..slot.profile() };
            super::super::leases::open(&mut profile, true);
            slot.set_profile(&profile);
            end(&mut slot);
            assert_eq!(slot.profile(), NatProfile { last: 9, ..NatProfile::default() });
            assert!(!slot.leads);
        }
    }
}
