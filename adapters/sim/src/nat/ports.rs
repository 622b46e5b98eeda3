//! Sets of external ports, and how one is picked from them.

use core::ops::RangeInclusive;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::config::Blocks;
use crate::rng::Rng;

/// Ports in an order in which a counter walks through them. Cheap to copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ports {
    Range { first: u16, len: u32 },
    List(Arc<[u16]>),
}

impl Ports {
    pub(super) fn range(ports: &RangeInclusive<u16>) -> Self {
        let (first, last) = (*ports.start(), *ports.end());
        let len = if last < first { 0 } else { u32::from(last - first) + 1 };
        Self::Range { first, len }
    }

    pub(super) fn len(&self) -> u32 {
        match self {
            Self::Range { len, .. } => *len,
            Self::List(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<u16> {
        match self {
            Self::Range { first, len } if index < *len => {
                u16::try_from(u32::from(*first) + index).ok()
            }
            Self::Range { .. } => None,
            Self::List(list) => list.get(index as usize).copied(),
        }
    }

    /// A drawn place.
    pub(super) fn anywhere(&self, rng: &mut Rng) -> u32 {
        u32::try_from(rng.below(self.len().into())).unwrap_or(0)
    }

    /// The place of `port`. Lists are in rising order.
    pub(super) fn index(&self, port: u16) -> Option<u32> {
        match self {
            Self::Range { first, len } => {
                port.checked_sub(*first).map(u32::from).filter(|index| index < len)
            }
            Self::List(list) => list.binary_search(&port).ok().and_then(|i| u32::try_from(i).ok()),
        }
    }

    /// The part in which Linux looks for a port for this inside port: 1 to 511, 600 to 1023, or
    /// from 1024 on. A list stays as it is.
    pub(super) fn class_of(&self, inside: u16) -> Self {
        let (low, high) = match inside {
            0..512 => (1, 511),
            512..1_024 => (600, 1_023),
            _ => (1_024, u16::MAX),
        };
        match *self {
            Self::Range { first, len } => {
                let last = u32::from(first) + len;
                let (from, to) = (first.max(low), last.min(u32::from(high) + 1));
                Self::Range { first: from, len: to.saturating_sub(u32::from(from)) }
            }
            Self::List(_) => self.clone(),
        }
    }

    /// Walks from `at` in steps until `free`, and leaves `at` where the next walk begins. With `skip`
    /// false only the first port (of the right parity) is looked at. With `skip`, when it has come round
    /// to where it was, it goes on port by port, so that it sees all of them.
    pub(super) fn walk(
        &self,
        at: &mut u32,
        (step, skip): (i16, bool),
        parity: Option<u16>,
        mut free: impl FnMut(u32, u16) -> bool,
    ) -> Option<u32> {
        let len = self.len();
        if len == 0 {
            return None;
        }
        let moved = |index: u32, by: i64| {
            u32::try_from((i64::from(index) + by).rem_euclid(i64::from(len))).unwrap_or(0)
        };
        let one = i64::from(step.signum());
        let right = |port: u16| parity.is_none_or(|parity| port & 1 == parity);
        let near = |index: u32| {
            let all = (0..i64::from(len)).map(|by| moved(index, one * by));
            all.into_iter().find(|&index| self.get(index).is_some_and(right))
        };
        let mut good = |index| self.get(index).is_some_and(|port| right(port) && free(index, port));
        let first = near(*at % len);
        for _ in 0..len {
            let index = near(*at % len);
            *at = moved(index.unwrap_or(*at), step.into());
            let index = index?;
            if good(index) {
                return Some(index);
            }
            if !skip {
                return None;
            }
            if near(*at) == first {
                break;
            }
        }
        let found =
            (0..i64::from(len)).map(|by| moved(*at, one * by)).find(|&index| good(index))?;
        *at = moved(found, step.into());
        Some(found)
    }

    /// Draws until `free`; when hardly any are, picks one of them.
    pub(super) fn draw(
        &self,
        rng: &mut Rng,
        mut free: impl FnMut(u32, u16) -> bool,
    ) -> Option<u32> {
        let len = self.len();
        let mut good = |index: u32| self.get(index).is_some_and(|port| free(index, port));
        for _ in 0..256 {
            let index = self.anywhere(rng);
            if good(index) {
                return Some(index);
            }
        }
        let left: Vec<u32> = (0..len).filter(|&index| good(index)).collect();
        left.get(rng.index(left.len())).copied()
    }

    /// From a drawn port on, one after the other. When `tries` have failed and there are more ports,
    /// the search starts anew with half as many tries, down to below 16: Linux's way.
    pub(super) fn draw_start(
        &self,
        rng: &mut Rng,
        tries: u32,
        mut free: impl FnMut(u32, u16) -> bool,
    ) -> Option<u32> {
        let len = self.len();
        let mut tries = tries.min(len);
        while tries > 0 {
            let start = self.anywhere(rng);
            let found = (0..tries)
                .map(|i| (start + i) % len)
                .find(|&index| self.get(index).is_some_and(|port| free(index, port)));
            if found.is_some() || tries >= len || tries < 16 {
                return found;
            }
            tries /= 2;
        }
        None
    }
}

/// The parts of the ports of one external address that no inside host has yet.
#[derive(Debug)]
pub(super) struct Unassigned {
    ports: RangeInclusive<u16>,
    blocks: Blocks,
    /// First ports of blocks, values of masked bits, port-set ids, or single ports.
    left: Vec<u16>,
    /// First ports of pieces of blocks, and their size.
    pieces: (Vec<u16>, u16),
}

impl Unassigned {
    pub(super) fn new(ports: RangeInclusive<u16>, blocks: Blocks) -> Self {
        let left = match blocks {
            Blocks::None => Vec::new(),
            Blocks::Contiguous { size, .. } => {
                let size = size.max(1);
                let room = usize::from(size) - 1;
                ports
                    .clone()
                    .step_by(size.into())
                    .filter(|&first| usize::from(first) + room <= usize::from(*ports.end()))
                    .collect()
            }
            Blocks::Masked { .. } | Blocks::PortSet { .. } => sets(&ports, blocks),
            Blocks::Scattered { .. } => ports.clone().collect(),
        };
        Self { ports, blocks, left, pieces: (Vec::new(), 0) }
    }

    /// The ports of one more block, drawn from what is left.
    pub(super) fn take(&mut self, rng: &mut Rng) -> Option<Ports> {
        if let Blocks::Scattered { size } = self.blocks {
            let size = usize::from(size);
            if size > self.left.len() {
                return None;
            }
            let mut list: Vec<u16> = (0..size)
                .map(|_| {
                    let index = rng.index(self.left.len());
                    self.left.swap_remove(index)
                })
                .collect();
            list.sort_unstable();
            return Some(Ports::List(list.into()));
        }
        if self.left.is_empty() {
            return None;
        }
        let index = rng.index(self.left.len());
        let drawn = self.left.swap_remove(index);
        Some(match self.blocks {
            Blocks::None | Blocks::Scattered { .. } => Ports::range(&self.ports),
            Blocks::Contiguous { size, .. } => {
                Ports::Range { first: drawn, len: size.max(1).into() }
            }
            Blocks::Masked { mask } => self.filtered(|port| port & mask == drawn),
            Blocks::PortSet { a, k } => self.filtered(|port| port_set(port, a, k) == Some(drawn)),
        })
    }

    /// A piece of `size` ports of a block that is shared out in such pieces.
    pub(super) fn take_piece(&mut self, rng: &mut Rng, size: u16) -> Option<Ports> {
        let size = size.max(1);
        if matches!(self.blocks, Blocks::Contiguous { size: block, .. } if size > block.max(1)) {
            return None;
        }
        if self.pieces.0.is_empty() || self.pieces.1 != size {
            let block = self.take(rng)?;
            let whole = (0..block.len()).step_by(size.into());
            let firsts = whole.filter(|at| at + u32::from(size) <= block.len());
            self.pieces = (firsts.filter_map(|at| block.get(at)).collect(), size);
        }
        let index = rng.index(self.pieces.0.len());
        let first = (index < self.pieces.0.len()).then(|| self.pieces.0.swap_remove(index))?;
        Some(Ports::Range { first, len: size.into() })
    }

    fn filtered(&self, wanted: impl Fn(u16) -> bool) -> Ports {
        Ports::List(self.ports.clone().filter(|&port| wanted(port)).collect())
    }

    /// A block comes back.
    pub(super) fn give_back(&mut self, ports: &Ports) {
        match self.blocks {
            Blocks::None => {}
            Blocks::Scattered { .. } => {
                self.left.extend((0..ports.len()).filter_map(|index| ports.get(index)));
            }
            Blocks::Contiguous { size, .. } if ports.len() == u32::from(size.max(1)) => {
                self.left.extend(ports.get(0));
            }
            Blocks::Contiguous { .. } => self.pieces.0.extend(ports.get(0)),
            Blocks::Masked { mask } => self.left.extend(ports.get(0).map(|port| port & mask)),
            Blocks::PortSet { a, k } => {
                let id = ports.get(0).map(|port| set_of(port, a, k));
                self.left.extend(id);
            }
        }
    }
}

/// The values of masked bits, or port-set ids, that some of these ports have.
pub(super) fn sets(ports: &RangeInclusive<u16>, blocks: Blocks) -> Vec<u16> {
    let number = |port| match blocks {
        Blocks::Masked { mask } => Some(port & mask),
        Blocks::PortSet { a, k } => port_set(port, a, k),
        Blocks::None | Blocks::Contiguous { .. } | Blocks::Scattered { .. } => None,
    };
    ports.clone().filter_map(number).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The port-set id of a port: the `k` bits after the `a` offset bits (RFC 7597 section 5.1).
const fn set_of(port: u16, a: u8, k: u8) -> u16 {
    let a = if a > 15 { 15 } else { a };
    let k = if k < 1 {
        1
    } else if k > 16 - a {
        16 - a
    } else {
        k
    };
    let rest = 16 - a - k;
    ((port as u32 >> rest) & ((1 << k) - 1)) as u16
}

/// The set that a port belongs to. With offset bits, ports whose offset is 0 belong to none: among
/// them are the well-known ones.
pub(crate) fn port_set(port: u16, a: u8, k: u8) -> Option<u16> {
    let a = a.min(15);
    (a == 0 || port >> (16 - a) != 0).then(|| set_of(port, a, k))
}
