//! Payloads: what is said on a connection arrives unchanged, once, in order, and all of it.
//!
//! A connection is known by the root of its session, which its two ends share. While TCP carries it,
//! nothing is lost, so a payload is lost for certain when one that was said after it arrives, when the
//! other end's farewell arrives, or when [`OVERDUE`] has passed and the connection still stands. Where
//! the connection breaks otherwise, what was under way may go with it. Once datagrams carry it, or have
//! carried it, payloads may be lost and overtake each other as datagrams do; none comes twice.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use genkan_core::inspect::LoggedRoot;
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

/// A connection.
#[derive(Debug, Default)]
struct Line {
    /// The issuer's stands first; what it says then is kept until the acceptor's does.
    ends: Vec<End>,
    /// What was said to an end that does not stand yet.
    early: VecDeque<(u32, Duration)>,
    /// The TCP connection on which it began; `None`: datagrams carried it from the start.
    tcp: Option<TcpId>,
    /// Datagrams carry it, or did.
    loose: bool,
}

#[derive(Debug, Default)]
pub(in crate::swarm) struct Lines {
    lines: BTreeMap<LoggedRoot, Line>,
    /// Which line a connection is.
    names: BTreeMap<(HostId, ConnectionId), LoggedRoot>,
    now: Duration,
}

impl Lines {
    /// Whether this can be the line that begins to stand at a host: that end does not stand yet. How
    /// well: it is rather one whose other end stands, and which the same carries; a punched path may
    /// have taken the place of TCP before a word came over that.
    pub(super) fn fits(&self, host: HostId, root: &LoggedRoot, tcp: Option<TcpId>) -> Option<u8> {
        let Some(line) = self.lines.get(root) else { return Some(0) };
        let well = if line.tcp == tcp { 2 } else { u8::from(tcp.is_none()) };
        (well > 0 && line.ends.iter().all(|end| end.host != host)).then_some(well)
    }

    /// A connection stands at a host.
    pub(super) fn stands(
        &mut self,
        root: LoggedRoot,
        (host, connection): (HostId, ConnectionId),
        tcp: Option<TcpId>,
    ) {
        let line = self.lines.entry(root).or_insert_with(|| Line { tcp, ..Line::default() });
        let coming = core::mem::take(&mut line.early);
        line.ends.push(End { host, connection, coming });
        line.loose |= tcp.is_none();
        self.names.insert((host, connection), root);
    }

    /// From now on datagrams carry it.
    pub(super) fn loosens(&mut self, host: HostId, connection: ConnectionId) {
        let root = self.names.get(&(host, connection));
        if let Some(line) = root.and_then(|root| self.lines.get_mut(root)) {
            line.loose = true;
        }
    }

    /// A payload leaves.
    pub(in crate::swarm) fn says(&mut self, number: u32, host: HostId, connection: ConnectionId) {
        let root = self.names.get(&(host, connection));
        let Some(line) = root.and_then(|root| self.lines.get_mut(root)) else { return };
        let other = line.ends.iter_mut().find(|end| end.host != host);
        let coming = other.map_or(&mut line.early, |end| &mut end.coming);
        coming.push_back((number, self.now));
    }

    /// It did not.
    pub(super) fn unsays(&mut self, number: u32) {
        for line in self.lines.values_mut() {
            let ends = line.ends.iter_mut().map(|end| &mut end.coming);
            ends.chain([&mut line.early]).for_each(|coming| coming.retain(|said| said.0 != number));
        }
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
        let root = self.names.get(&(host, payload.connection));
        let line = root.and_then(|root| self.lines.get_mut(root));
        let loose = line.as_ref().is_some_and(|line| line.loose);
        let end = line.and_then(|line| line.ends.iter_mut().find(|end| end.host == host));
        let at = end.as_ref().and_then(|end| end.coming.iter().position(|said| said.0 == number));
        match (end, at) {
            (Some(end), Some(at)) if at == 0 || loose => {
                end.coming.remove(at);
                Ok(())
            }
            (Some(_), Some(before)) => {
                broken(format!("{before} payloads before number {number} were lost"))
            }
            _ => broken(format!("payload {number}, which nobody sent there, or twice")),
        }
    }

    /// A connection has ended at a host.
    pub(super) fn ended(
        &mut self,
        host: HostId,
        connection: ConnectionId,
        cause: CloseCause,
    ) -> Verdict {
        let Some(root) = self.names.remove(&(host, connection)) else { return Ok(()) };
        let Some(line) = self.lines.get_mut(&root) else { return Ok(()) };
        line.early.clear();
        let at = line.ends.iter().position(|end| end.host == host);
        let lost = at.map_or(0, |at| line.ends.remove(at).coming.len());
        let loose = line.loose;
        if line.ends.is_empty() {
            self.lines.remove(&root);
        }
        if cause == CloseCause::Peer && lost > 0 && !loose {
            return broken(format!("a farewell arrives, and {lost} payloads before it were lost"));
        }
        Ok(())
    }

    /// A host has lost its memory, and its ends of connections with it. What it had said is on its
    /// way: that may still arrive, until the other end notices.
    pub(super) fn restarted(&mut self, host: HostId) {
        self.names.retain(|&(owner, _), _| owner != host);
        for line in self.lines.values_mut() {
            line.ends.retain(|end| end.host != host);
        }
        self.lines.retain(|_, line| !line.ends.is_empty());
    }

    /// Forgets what was said to ends that never stood, and what datagrams have lost.
    pub(super) fn turn(&mut self) {
        let now = self.now;
        let recent = |said: &(u32, Duration)| said.1 + OVERDUE >= now;
        for line in self.lines.values_mut() {
            line.early.retain(recent);
            for end in line.ends.iter_mut().filter(|_| line.loose) {
                end.coming.retain(recent);
            }
        }
    }

    /// A host was called: nothing that it should have heard long ago may be missing.
    pub(super) fn look(&mut self, host: HostId, now: Duration) -> Verdict {
        self.now = now;
        let firm = self.lines.values().filter(|line| !line.loose);
        let mut ends = firm.flat_map(|line| &line.ends).filter(|end| end.host == host);
        let overdue = |end: &&End| end.coming.front().is_some_and(|said| said.1 + OVERDUE < now);
        match ends.find(overdue).and_then(|end| end.coming.front()) {
            Some((number, at)) => {
                broken(format!("payload {number}, said at {at:?}, never arrived"))
            }
            None => Ok(()),
        }
    }

    /// The connections that stand at both ends, from each end: who, and the connection's name there.
    /// What datagrams have lost on them is forgotten.
    pub(in crate::swarm) fn whole(&mut self) -> Vec<(HostId, ConnectionId)> {
        let mut whole = Vec::new();
        for line in self.lines.values_mut().filter(|line| line.ends.len() == 2) {
            for end in &mut line.ends {
                if line.loose {
                    end.coming.clear();
                }
                whole.push((end.host, end.connection));
            }
        }
        whole
    }

    /// A payload that is still on its way over a connection that stands at both ends: to whom, and
    /// its number.
    pub(in crate::swarm) fn coming(&self) -> Option<(HostId, u32)> {
        let whole = self.lines.values().filter(|line| line.ends.len() == 2);
        let mut ends = whole.flat_map(|line| &line.ends);
        ends.find_map(|end| end.coming.front().map(|&(number, _)| (end.host, number)))
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let ends = self.lines.values().flat_map(|line| &line.ends);
        let coming: usize = ends.map(|end| 1 + end.coming.len()).sum();
        let early: usize = self.lines.values().map(|line| line.early.len()).sum();
        coming + early + self.names.len()
    }
}

fn broken<T>(what: String) -> Result<T, Broken> {
    Err(Broken::new("I-13", what))
}
