//! What the way from one host to another does: lines, paths of their own, partitions, and lines of
//! limited rate with the queues before them.

use core::time::Duration;

use super::{HostId, Net, Owner};
use crate::faults::Faults;
use crate::numbered::Thing;

/// The lines of one host.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub(super) network: usize,
    pub(super) up: Faults,
    pub(super) down: Faults,
}

impl Thing for Lines {
    const WHAT: &str = "host";
}

/// Something that packets pass one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Pipe {
    Up(HostId),
    Down(HostId),
    Pair(HostId, HostId),
}

impl Net {
    pub(crate) fn lines_mut(&mut self, host: HostId) -> (&mut Faults, &mut Faults) {
        let lines = &mut self.lines[host.0];
        (&mut lines.up, &mut lines.down)
    }

    pub(crate) fn set_path(&mut self, from: HostId, to: HostId, faults: Faults) {
        self.paths.insert((from, to), faults);
    }

    pub(crate) fn cut(&mut self, from: HostId, to: HostId) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn mend(&mut self, from: HostId, to: HostId) {
        self.cuts.remove(&(from, to));
    }

    pub(crate) fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// Whose line a packet comes down: its receiver's, or the first host's behind a box that has no
    /// mapping for it. So a box is as far away as what is behind it.
    pub(crate) fn end_of_line(&self, owner: Option<Owner>) -> Option<HostId> {
        match owner? {
            Owner::Host(host) => Some(host),
            Owner::Nat(nat) | Owner::Gateway(nat) => {
                self.fronts.get(&self.nats[nat.0].inner).copied()
            }
        }
    }

    /// What the way from one host to another does. `to` may be unknown (an address that nobody has,
    /// or a box with nobody behind it); then only the sender's line counts.
    pub(crate) fn path(&self, from: HostId, to: Option<HostId>) -> Faults {
        let lines = &self.lines[from.0];
        let Some(to) = to else { return lines.up.clone() };
        if let Some(path) = self.paths.get(&(from, to)) {
            return path.clone();
        }
        let other = &self.lines[to.0];
        if self.is_local(from, to) {
            return Faults::lan();
        }
        lines.up.then(&other.down)
    }

    /// What the way back to a sender does; as [`Net::path`] when the receiver is unknown.
    pub(crate) fn path_back(&self, from: Option<HostId>, to: HostId) -> Faults {
        match from {
            Some(from) => self.path(from, Some(to)),
            None => self.lines[to.0].down.clone(),
        }
    }

    fn is_local(&self, from: HostId, to: HostId) -> bool {
        let network = self.lines[from.0].network;
        network != 0 && network == self.lines[to.0].network
    }

    /// Lets so many bytes onto the way from one host to another. How long they wait for and take on
    /// lines of limited rate; `None`: a queue is full.
    pub(crate) fn enqueue(
        &mut self,
        now: Duration,
        from: HostId,
        to: Option<HostId>,
        bytes: usize,
    ) -> Option<Duration> {
        if let Some(to) = to {
            if let Some(path) = self.paths.get(&(from, to)) {
                let rate = (path.rate, path.queue);
                return self.pass(Pipe::Pair(from, to), now, rate, bytes);
            }
            if self.is_local(from, to) {
                return Some(Duration::ZERO);
            }
        }
        let up = &self.lines[from.0].up;
        let (latency, rate) = (up.latency, (up.rate, up.queue));
        let sent = self.pass(Pipe::Up(from), now, rate, bytes)?;
        let Some(to) = to else { return Some(sent) };
        let down = &self.lines[to.0].down;
        let rate = (down.rate, down.queue);
        let there = now.saturating_add(sent).saturating_add(latency);
        Some(sent.saturating_add(self.pass(Pipe::Down(to), there, rate, bytes)?))
    }

    fn pass(
        &mut self,
        pipe: Pipe,
        now: Duration,
        (rate, queue): (Option<u64>, usize),
        bytes: usize,
    ) -> Option<Duration> {
        let Some(rate) = rate else { return Some(Duration::ZERO) };
        let takes = |bytes: usize| {
            let secs = bytes as f64 / rate.max(1) as f64;
            Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX)
        };
        let free = self.busy.entry(pipe).or_default();
        let waits = free.saturating_sub(now);
        if !waits.is_zero() && waits.saturating_add(takes(bytes)) > takes(queue) {
            return None;
        }
        *free = now.saturating_add(waits).saturating_add(takes(bytes));
        Some(*free - now)
    }
}
