//! The equipment list: one slot for each equipment that has a session with the server.
//!
//! A datagram finds its slot by the handle in it, without hashing. Requests look an id up through
//! chains that run through the slots themselves (each slot also holds the head of one chain), under
//! a keyed hash, because ids are chosen by others (threat T8). A slot keeps one root; transport keys
//! are derived when a transport message comes, which is rare, and the two keepalive keys are kept,
//! because keepalives are not.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::crypto::keys::{Direction, Root};
use crate::crypto::mac;
use crate::id::EquipmentId;
use crate::limit::Bucket;
use crate::session::window::Window;
use crate::session::{Header, LAST_COUNTER};
use crate::wire::Kind;
use crate::wire::message::Role;

const NONE: u32 = u32::MAX;
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

/// An address in 18 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place([u8; 18]);

impl Place {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self(mac::address_bytes(address))
    }

    pub(super) fn address(self) -> SocketAddr {
        let [ip @ .., high, low] = self.0;
        let ip = IpAddr::V6(Ipv6Addr::from(ip)).to_canonical();
        SocketAddr::new(ip, u16::from_be_bytes([high, low]))
    }
}

/// Memory for one equipment on a server's list.
#[derive(Debug)]
pub struct ClientSlot {
    pub(super) id: EquipmentId,
    root: Root,
    pub(super) keepalive_up: [u8; 16],
    pub(super) keepalive_down: [u8; 16],
    pub(super) early_key: [u8; 16],
    counter: u64,
    pub(super) window: Window<1>,
    /// Strangers' requests to this acceptor; for an issuer, its own requests.
    pub(super) strangers: Bucket,
    /// Requests of paired issuers.
    pub(super) paired: Bucket,
    pub(super) peer_index: u32,
    /// When the entry ends, in seconds of the machine's time.
    pub(super) expires: u32,
    chain: u32,
    next: u32,
    /// Where the equipment was seen; meaningless while `has_place` is false.
    pub(super) place: Place,
    pub(super) has_place: bool,
    /// The stream that a registration over TCP came by.
    pub(super) stream: Option<u16>,
    /// The registration over TCP is the latest one.
    pub(super) over_stream: bool,
    pub(super) usage: Use,
    pub(super) role: Role,
    pub(super) epoch: u8,
    generation: u8,
    offered: u8,
    pub(super) capabilities: u8,
    pub(super) has_early_key: bool,
    pub(super) registered: bool,
}

// Ten million devices fit into 2.1 GB.
const _: () = assert!(size_of::<ClientSlot>() <= 216);

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
        chain: NONE,
        next: NONE,
        place: Place([0; 18]),
        has_place: false,
        stream: None,
        over_stream: false,
        usage: Use::Free,
        role: Role::Acceptor,
        epoch: 0,
        generation: 0,
        offered: 0,
        capabilities: 0,
        has_early_key: false,
        registered: false,
    };

    /// Where datagrams for this equipment go.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.has_place.then(|| self.place.address())
    }

    /// Takes a confirmed session over.
    pub(super) fn install(&mut self, root: &Root, peer_index: u32, generation: u8, at: SocketAddr) {
        self.keepalive_up = root.keepalive(Direction::Up);
        self.keepalive_down = root.keepalive(Direction::Down);
        self.root = root.clone();
        self.counter = 0;
        self.window = Window::EMPTY;
        self.epoch = 0;
        self.peer_index = peer_index;
        self.generation = generation;
        self.place = Place::new(at);
        self.has_place = true;
        self.usage = Use::Live;
    }

    pub(super) const fn root(&self) -> &Root {
        &self.root
    }

    pub(super) const fn generation(&self) -> u8 {
        self.generation
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

/// What the table keeps beside its slots.
#[derive(Debug)]
pub(super) struct Index {
    key: [u8; 16],
    free: u32,
    pub(super) live: u32,
    pub(super) registered: u32,
}

impl Index {
    /// Strings all slots on the free list.
    pub(super) fn new(key: [u8; 16], slots: &mut [ClientSlot]) -> Self {
        let mut free = NONE;
        for (at, slot) in slots.iter_mut().enumerate().take(MAX_CLIENTS).rev() {
            *slot = ClientSlot::EMPTY;
            slot.next = free;
            free = u32::try_from(at).unwrap_or(NONE);
        }
        Self { key, free, live: 0, registered: 0 }
    }

    fn bucket(&self, slots: &[ClientSlot], id: &EquipmentId, role: Role) -> usize {
        let hash = mac::hash(&self.key, &[&[role as u8], &id.0]);
        let len = u64::try_from(slots.len().min(MAX_CLIENTS)).unwrap_or(1).max(1);
        usize::try_from(hash.checked_rem(len).unwrap_or(0)).unwrap_or(0)
    }

    /// The slot of an equipment in a role.
    pub(super) fn find(&self, slots: &[ClientSlot], id: &EquipmentId, role: Role) -> Option<usize> {
        let mut at = slots.get(self.bucket(slots, id, role))?.chain;
        // A chain is never longer than the table; the bound keeps a bug from becoming a hang.
        for _ in 0..slots.len() {
            let slot = slots.get(usize::try_from(at).ok()?)?;
            if slot.id == *id && slot.role == role {
                return usize::try_from(at).ok();
            }
            at = slot.next;
        }
        None
    }

    /// Takes a free slot for an equipment.
    pub(super) fn insert(
        &mut self,
        slots: &mut [ClientSlot],
        id: &EquipmentId,
        role: Role,
    ) -> Option<usize> {
        let bucket = self.bucket(slots, id, role);
        let at = usize::try_from(self.free).ok()?;
        let head = slots.get(bucket)?.chain;
        let slot = slots.get_mut(at)?;
        let after = slot.next;
        let (chain, generation) = (slot.chain, slot.generation);
        *slot = ClientSlot {
            id: *id,
            role,
            usage: Use::Reserved,
            next: head,
            chain,
            generation,
            offered: generation,
            ..ClientSlot::EMPTY
        };
        slots.get_mut(bucket)?.chain = self.free;
        self.free = after;
        self.live = self.live.saturating_add(1);
        Some(at)
    }

    /// A handle for a new session of a slot; the one that stands keeps its own.
    pub(super) fn offer(&self, slots: &mut [ClientSlot], at: usize) -> Option<u32> {
        let slot = slots.get_mut(at)?;
        slot.offered = slot.offered.wrapping_add(1);
        if slot.usage == Use::Live && slot.offered == slot.generation {
            slot.offered = slot.offered.wrapping_add(1);
        }
        Some(handle(at, slot.offered))
    }

    /// Gives a slot back.
    pub(super) fn remove(&mut self, slots: &mut [ClientSlot], at: usize) {
        let Some(slot) = slots.get(at) else { return };
        if slot.usage == Use::Free {
            return;
        }
        let (id, role, after, generation) = (slot.id, slot.role, slot.next, slot.offered);
        if slot.registered {
            self.registered = self.registered.saturating_sub(1);
        }
        let bucket = self.bucket(slots, &id, role);
        let Ok(this) = u32::try_from(at) else { return };
        let head = slots.get(bucket).map_or(NONE, |slot| slot.chain);
        if head == this {
            if let Some(slot) = slots.get_mut(bucket) {
                slot.chain = after;
            }
        } else {
            let mut link = head;
            for _ in 0..slots.len() {
                let Some(before) = usize::try_from(link).ok().and_then(|at| slots.get_mut(at))
                else {
                    break;
                };
                if before.next == this {
                    before.next = after;
                    break;
                }
                link = before.next;
            }
        }
        if let Some(slot) = slots.get_mut(at) {
            let chain = slot.chain;
            *slot = ClientSlot { chain, generation, next: self.free, ..ClientSlot::EMPTY };
        }
        self.free = this;
        self.live = self.live.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    #[test]
    fn the_list_agrees_with_a_map_over_ten_thousand_insertions_and_removals() {
        let mut slots: Vec<_> = (0..64).map(|_| ClientSlot::EMPTY).collect();
        let mut index = Index::new([1; 16], &mut slots);
        let mut model = BTreeMap::new();
        let mut state = 1u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let id = EquipmentId([(state >> 33) as u8 % 100; 32]);
            let role = if state >> 60 & 1 == 0 { Role::Acceptor } else { Role::Issuer };
            let known = index.find(&slots, &id, role);
            assert_eq!(known, model.get(&(id, role as u8)).copied());
            match known {
                Some(at) => {
                    index.remove(&mut slots, at);
                    model.remove(&(id, role as u8));
                }
                None => match index.insert(&mut slots, &id, role) {
                    Some(at) => assert!(model.insert((id, role as u8), at).is_none()),
                    None => assert_eq!(model.len(), 64),
                },
            }
            assert_eq!(index.live as usize, model.len());
        }
        for ((id, role), at) in model {
            let role = if role == 0 { Role::Acceptor } else { Role::Issuer };
            assert_eq!(index.find(&slots, &id, role), Some(at));
        }
    }

    #[test]
    fn a_handle_of_an_earlier_use_of_a_slot_is_not_its_present_one() {
        let mut slots = [ClientSlot::EMPTY];
        let mut index = Index::new([1; 16], &mut slots);
        let mut seen = Vec::new();
        for n in 0..5 {
            let at = index.insert(&mut slots, &EquipmentId([n; 32]), Role::Acceptor).unwrap();
            let offered = index.offer(&mut slots, at).unwrap();
            assert!(!seen.contains(&offered));
            seen.push(offered);
            let (at, generation) = parts(offered);
            let place = "192.0.2.1:1".parse().unwrap();
            slots[at].install(&Root([n; 32]), 0, generation, place);
            index.remove(&mut slots, at);
        }
    }
}
