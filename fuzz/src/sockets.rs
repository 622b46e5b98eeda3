//! The UDP sockets that a machine has its caller open and close.

use std::collections::{BTreeMap, VecDeque};

use genkan_core::SocketId;

/// Sockets of a measurement.
const MEASURING: u16 = 2;
/// Numbers of one connection slot.
const EACH: u16 = 256;

#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// By number: the first of the command that it belongs to, and whether the machine was told that
    /// it is open.
    bound: BTreeMap<u16, (u16, bool)>,
    /// The first of each command that waits for its answer.
    waiting: VecDeque<SocketId>,
}

impl Sockets {
    pub(crate) fn bind(&mut self, first: SocketId, count: u8) {
        assert!(count > 0 && first >= SocketId::FRESH, "{first:?} {count}");
        for n in 0..count {
            let number = first.0.checked_add(n.into()).expect("a number");
            assert!(self.bound.insert(number, (first.0, false)).is_none(), "{number} is bound");
        }
        self.waiting.push_back(first);
    }

    pub(crate) fn unbind(&mut self, first: SocketId, count: u8) {
        assert!(count > 0 && first >= SocketId::FRESH, "{first:?} {count}");
        let end = u32::from(first.0) + u32::from(count);
        self.bound.retain(|&number, _| number < first.0 || u32::from(number) >= end);
    }

    /// One of the commands that wait for their answer, the oldest first.
    pub(crate) fn answered(&mut self, nth: usize) -> Option<SocketId> {
        let count = self.waiting.len();
        if count == 0 { None } else { self.waiting.remove(nth % count) }
    }

    /// The machine is told something of a number that it may have asked for, or not.
    pub(crate) fn claimed(&mut self, first: SocketId, open: bool) {
        if let Some(at) = self.waiting.iter().position(|waits| *waits == first) {
            self.waiting.remove(at);
            self.told(first, open);
        }
    }

    /// The machine is told whether the sockets from `first` on are open.
    pub(crate) fn told(&mut self, first: SocketId, open: bool) {
        let of_it = |bound: &&mut (u16, bool)| bound.0 == first.0;
        self.bound.values_mut().filter(of_it).for_each(|bound| bound.1 = open);
    }

    /// Whether datagrams may leave from there.
    pub(crate) fn is_open(&self, socket: SocketId) -> bool {
        let known = self.bound.get(&socket.0).is_some_and(|bound| bound.1);
        known || socket == SocketId::MAIN
    }

    /// The `nth` that can receive; 0 is the one that every machine has.
    pub(crate) fn nth(&self, nth: usize) -> SocketId {
        let open = self.bound.iter().filter(|(_, bound)| bound.1);
        let all: Vec<u16> = core::iter::once(0).chain(open.map(|(number, _)| *number)).collect();
        SocketId(all[nth % all.len()])
    }

    /// How many stand in a connection slot.
    pub(crate) fn of_slot(&self, slot: usize) -> usize {
        let base = SocketId::FRESH.0 + MEASURING + EACH * slot as u16;
        self.bound.range(base..base + EACH).count()
    }

    /// No more at once than announced: `most` and the one of the path for each of `slots`, and those
    /// of a measurement.
    pub(crate) fn judge(&self, slots: usize, most: u8) {
        let measuring = self.bound.range(..SocketId::FRESH.0 + MEASURING).count();
        let held: Vec<usize> = (0..slots).map(|slot| self.of_slot(slot)).collect();
        let all = measuring + held.iter().sum::<usize>();
        assert_eq!(all, self.bound.len(), "sockets of no slot: {self:?}");
        assert!(held.iter().all(|held| *held <= usize::from(most) + 1), "{held:?} of {most}");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }
}
