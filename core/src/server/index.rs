//! From an id to its slot on the equipment list.
//!
//! Ids are found through chains that run through the slots themselves (each slot also holds the head
//! of one chain), under a keyed hash, because ids are chosen by others (threat T8).

use super::clients::{ClientSlot, MAX_CLIENTS, NONE, Use, handle};
use crate::crypto::mac;
use crate::id::EquipmentId;
use crate::wire::message::Role;

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
    use super::super::clients::parts;
    use super::*;
    use crate::crypto::keys::Root;
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
