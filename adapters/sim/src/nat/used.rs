//! Which ports cannot be given out, one bit each, so that looking through a full range costs little.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::Proto;
use super::ports::Ports;

/// Ports of one address; what lies beyond the end is not among them.
type Bits = [u64];

/// Sets of ports, one for each transport and external address.
#[derive(Debug, Default)]
pub(super) struct UsedPorts(BTreeMap<(Proto, IpAddr), Vec<u64>>);

impl UsedPorts {
    pub(super) fn of(&self, proto: Proto, address: IpAddr) -> &Bits {
        self.0.get(&(proto, address)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn insert(&mut self, proto: Proto, at: SocketAddr) {
        let words = self.0.entry((proto, at.ip())).or_default();
        let (word, bit) = place(at.port());
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words[word] |= bit;
    }

    pub(super) fn remove(&mut self, proto: Proto, at: SocketAddr) {
        let (word, bit) = place(at.port());
        let Some(words) = self.0.get_mut(&(proto, at.ip())) else { return };
        if let Some(word) = words.get_mut(word) {
            *word &= !bit;
        }
        while words.pop_if(|word| *word == 0).is_some() {}
        if words.is_empty() {
            self.0.remove(&(proto, at.ip()));
        }
    }
}

const fn place(port: u16) -> (usize, u64) {
    (port as usize / 64, 1 << (port % 64))
}

/// Whether a port is in any of the sets.
pub(super) fn has<const N: usize>(sets: [&Bits; N], port: u16) -> bool {
    let (word, bit) = place(port);
    sets.iter().any(|set| set.get(word).is_some_and(|word| word & bit != 0))
}

/// Whether all these ports are in one of the sets or another.
pub(super) fn fill<const N: usize>(sets: [&Bits; N], ports: &Ports) -> bool {
    match ports {
        Ports::Range { len: 0, .. } => true,
        Ports::Range { first, len } => {
            let (first, end) = (u32::from(*first), u32::from(*first) + len);
            (first / 64..end.div_ceil(64)).all(|word| {
                let (from, to) = (first.max(64 * word), end.min(64 * (word + 1)));
                let wanted = u64::MAX >> (64 - (to - from)) << (from % 64);
                let word = word as usize;
                let used = sets.iter().fold(0, |all, set| all | set.get(word).unwrap_or(&0));
                used & wanted == wanted
            })
        }
        Ports::List(list) => list.iter().all(|&port| has(sets, port)),
    }
}

/// Ports that are held down for a while.
#[derive(Debug, Default)]
pub(super) struct Held {
    until: BTreeMap<(Proto, SocketAddr), Duration>,
    ends: BTreeSet<(Duration, Proto, SocketAddr)>,
    bits: UsedPorts,
}

impl Held {
    /// A port is held until then, even if it was held longer before.
    pub(super) fn set(&mut self, proto: Proto, at: SocketAddr, until: Duration) {
        if let Some(before) = self.until.insert((proto, at), until) {
            self.ends.remove(&(before, proto, at));
        }
        self.ends.insert((until, proto, at));
        self.bits.insert(proto, at);
    }

    /// As [`Held::set`], unless it is held longer already.
    pub(super) fn extend(&mut self, proto: Proto, at: SocketAddr, until: Duration) {
        if self.until.get(&(proto, at)).is_none_or(|&before| before < until) {
            self.set(proto, at, until);
        }
    }

    /// Lets go of what is over.
    pub(super) fn expire(&mut self, now: Duration) {
        while let Some(&(end, proto, at)) = self.ends.first()
            && end <= now
        {
            self.ends.pop_first();
            self.until.remove(&(proto, at));
            self.bits.remove(proto, at);
        }
    }

    pub(super) fn holds(&self, proto: Proto, at: SocketAddr) -> bool {
        self.until.contains_key(&(proto, at))
    }

    pub(super) fn of(&self, proto: Proto, address: IpAddr) -> &Bits {
        self.bits.of(proto, address)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_fills_a_range_or_list_only_with_every_port_of_it() {
        let address = IpAddr::from([192, 0, 2, 1]);
        for (first, last) in
            [(0, 0), (63, 64), (100, 130), (64, 127), (65_000, 65_535), (1, 65_535)]
        {
            let mut used = UsedPorts::default();
            let ports = Ports::range(&(first..=last));
            let list = Ports::List((first..=last).collect());
            (first..=last).for_each(|port| used.insert(Proto::Udp, (address, port).into()));
            assert!(
                [&ports, &list].into_iter().all(|all| fill([used.of(Proto::Udp, address)], all))
            );
            for missing in [first, last, first + (last - first) / 2] {
                used.remove(Proto::Udp, (address, missing).into());
                let bits = used.of(Proto::Udp, address);
                assert!(!fill([bits], &ports) && !fill([bits], &list) && !has([bits], missing));
                let mut other = UsedPorts::default();
                other.insert(Proto::Udp, (address, missing).into());
                let one = other.of(Proto::Udp, address);
                assert!(fill([bits, one], &ports) && fill([one, bits], &list));
                used.insert(Proto::Udp, (address, missing).into());
            }
            (first..=last).for_each(|port| used.remove(Proto::Udp, (address, port).into()));
            assert!(used.0.is_empty());
        }
    }
}
