//! Payloads: what is said on a connection arrives unchanged, once, in order, and all of it.
//!
//! Every connection of this version is carried by one TCP connection, by which its two ends are found
//! here. That loses nothing while it stands, so a payload is lost for certain when one that was said
//! after it arrives, when the other end's farewell arrives, or when [`OVERDUE`] has passed and the
//! connection still stands. Where the connection breaks otherwise, what was under way may go with it.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use genkan_core::{CloseCause, ConnectionId};

use super::{Broken, PAYLOAD, Verdict};
use crate::host::Inbound;
use crate::net::HostId;
use crate::packet::TcpId;

/// An end that hears nothing closes after 45 s; readers that are slow or stand still, and hosts that
/// pause, do so for up to 131 s each.
const OVERDUE: Duration = Duration::from_secs(600);

/// An end of a connection, its name there, and what is on its way to it: numbers, and when they were
/// said.
#[derive(Debug)]
struct End {
    host: HostId,
    connection: ConnectionId,
    coming: VecDeque<(u32, Duration)>,
}

#[derive(Debug, Default)]
pub(in crate::swarm) struct Lines {
    /// The ends of each connection. The issuer's stands first; what it says then is kept until the
    /// acceptor's does.
    lines: BTreeMap<TcpId, Vec<End>>,
    /// What was said to an end that does not stand yet.
    early: BTreeMap<TcpId, VecDeque<(u32, Duration)>>,
    /// Which line carries a connection.
    names: BTreeMap<(HostId, ConnectionId), TcpId>,
    now: Duration,
}

impl Lines {
    /// A connection stands at a host.
    pub(super) fn stands(&mut self, line: TcpId, host: HostId, connection: ConnectionId) {
        let coming = self.early.remove(&line).unwrap_or_default();
        self.names.insert((host, connection), line);
        self.lines.entry(line).or_default().push(End { host, connection, coming });
    }

    /// A payload leaves.
    pub(in crate::swarm) fn says(&mut self, number: u32, host: HostId, connection: ConnectionId) {
        let Some(line) = self.names.get(&(host, connection)) else { return };
        let ends = self.lines.get_mut(line);
        let other = ends.and_then(|ends| ends.iter_mut().find(|end| end.host != host));
        let coming = match other {
            Some(end) => &mut end.coming,
            None => self.early.entry(*line).or_default(),
        };
        coming.push_back((number, self.now));
    }

    /// It did not.
    pub(super) fn unsays(&mut self, number: u32) {
        let ends = self.lines.values_mut().flatten().map(|end| &mut end.coming);
        ends.chain(self.early.values_mut())
            .for_each(|coming| coming.retain(|said| said.0 != number));
    }

    /// A payload arrives.
    pub(super) fn hears(&mut self, host: HostId, payload: &Inbound) -> Verdict {
        let text = &payload.bytes;
        let number = text.strip_prefix(PAYLOAD).and_then(|rest| rest.split_first_chunk());
        let said = number.map(|(number, rest)| (u32::from_be_bytes(*number), rest));
        let Some((number, _)) = said.filter(|(_, rest)| {
            let filler = rest.first().copied().unwrap_or(0);
            rest.len() == usize::from(filler) * 4 && rest.iter().all(|&byte| byte == filler)
        }) else {
            return broken(format!("a payload of {} B that nobody sent", text.len()));
        };
        let end = self.end(host, payload.connection);
        let at = end.as_ref().and_then(|end| end.coming.iter().position(|said| said.0 == number));
        match (end, at) {
            (Some(end), Some(0)) => {
                end.coming.pop_front();
                Ok(())
            }
            (Some(_), Some(before)) => {
                broken(format!("{before} payloads before number {number} were lost"))
            }
            _ => broken(format!("payload {number}, which nobody sent there, or twice")),
        }
    }

    fn end(&mut self, host: HostId, connection: ConnectionId) -> Option<&mut End> {
        let line = self.names.get(&(host, connection))?;
        self.lines.get_mut(line)?.iter_mut().find(|end| end.host == host)
    }

    /// A connection has ended at a host.
    pub(super) fn ended(
        &mut self,
        host: HostId,
        connection: ConnectionId,
        cause: CloseCause,
    ) -> Verdict {
        let Some(line) = self.names.remove(&(host, connection)) else { return Ok(()) };
        self.early.remove(&line);
        let Some(ends) = self.lines.get_mut(&line) else { return Ok(()) };
        let at = ends.iter().position(|end| end.host == host);
        let lost = at.map_or(0, |at| ends.remove(at).coming.len());
        if ends.is_empty() {
            self.lines.remove(&line);
        }
        if cause == CloseCause::Peer && lost > 0 {
            return broken(format!("a farewell arrives, and {lost} payloads before it were lost"));
        }
        Ok(())
    }

    /// A host has lost its memory, and its ends of connections with it. What it had said is on its
    /// way: that may still arrive, until the other end notices.
    pub(super) fn restarted(&mut self, host: HostId) {
        self.names.retain(|&(owner, _), _| owner != host);
        for ends in self.lines.values_mut() {
            ends.retain(|end| end.host != host);
        }
        self.lines.retain(|_, ends| !ends.is_empty());
    }

    /// Forgets what was said to ends that never stood.
    pub(super) fn turn(&mut self) {
        let now = self.now;
        let recent = |said: &(u32, Duration)| said.1 + OVERDUE >= now;
        self.early.retain(|_, coming| coming.back().is_some_and(recent));
    }

    /// A host was called: nothing that it should have heard long ago may be missing.
    pub(super) fn look(&mut self, host: HostId, now: Duration) -> Verdict {
        self.now = now;
        let mut ends = self.lines.values().flatten().filter(|end| end.host == host);
        let overdue = |end: &&End| end.coming.front().is_some_and(|said| said.1 + OVERDUE < now);
        match ends.find(overdue).and_then(|end| end.coming.front()) {
            Some((number, at)) => {
                broken(format!("payload {number}, said at {at:?}, never arrived"))
            }
            None => Ok(()),
        }
    }

    /// The connections that stand at both ends, from each end: who, and the connection's name there.
    pub(in crate::swarm) fn whole(&self) -> Vec<(HostId, ConnectionId)> {
        let whole = self.lines.values().filter(|ends| ends.len() == 2).flatten();
        whole.map(|end| (end.host, end.connection)).collect()
    }

    /// A payload that is still on its way over a connection that stands at both ends: to whom, and
    /// its number.
    pub(in crate::swarm) fn coming(&self) -> Option<(HostId, u32)> {
        let mut whole = self.lines.values().filter(|ends| ends.len() == 2).flatten();
        whole.find_map(|end| end.coming.front().map(|&(number, _)| (end.host, number)))
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let coming: usize = self.lines.values().flatten().map(|end| 1 + end.coming.len()).sum();
        coming + self.early.len() + self.names.len()
    }
}

fn broken<T>(what: String) -> Result<T, Broken> {
    Err(Broken::new("I-13", what))
}
