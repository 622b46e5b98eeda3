//! I-14: no key meets a nonce twice.

use std::collections::{BTreeMap, VecDeque};

use genkan_core::inspect::{LoggedRoot, open, open_detection};
use genkan_core::wire::Kind;
use genkan_core::{FRAME_PREFIX, StreamId};

use super::lately::Lately;
use super::{Broken, Seen, Verdict, digest, print, roots};
use crate::net::HostId;
use crate::node::Effect;

/// A session as its sender names it: host, stream (over TCP), direction, handle.
type Session = (HostId, Option<StreamId>, u8, u64);

/// How many roots of each host, and how many ephemeral keys in all, are remembered: what a device
/// with bad luck, or without randomness, makes in some days.
const ROOTS: usize = 64;
const EPHEMERALS: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The last counter of each session: machines count up, and send in that order.
    last: Lately<Session, u64>,
    /// Roots under which a host has sent a first message.
    begun: BTreeMap<HostId, VecDeque<(u8, LoggedRoot)>>,
    /// Ephemeral public keys, by their first half, with the message that each was in.
    ephemerals: BTreeMap<[u8; 16], u64>,
    /// They in the order in which they came.
    order: VecDeque<[u8; 16]>,
}

impl Keys {
    pub(super) fn turn(&mut self) {
        self.last.turn();
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let begun: usize = self.begun.values().map(VecDeque::len).sum();
        self.last.len() + begun + self.ephemerals.len()
    }

    pub(super) fn check(&mut self, seen: &Seen<'_>) -> Verdict {
        for effect in seen.call.effects {
            match effect {
                Effect::Datagram { bytes, .. } => self.message(seen, None, bytes)?,
                Effect::Write { stream, bytes } => {
                    let message = bytes.get(FRAME_PREFIX..).unwrap_or_default();
                    self.message(seen, Some(*stream), message)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn message(&mut self, seen: &Seen<'_>, stream: Option<StreamId>, message: &[u8]) -> Verdict {
        let Ok(kind) = Kind::of(message) else { return Ok(()) };
        let counter = match kind {
            Kind::Initiation => return self.ephemeral(message, 6),
            Kind::Response => return self.ephemeral(message, 10),
            Kind::Answer => return self.ephemeral(message, 22),
            Kind::Transport
            | Kind::ServerTransport
            | Kind::IssuerTransport
            | Kind::AcceptorTransport => number(message, 6, 8),
            Kind::Keepalive | Kind::Echo | Kind::Detect => number(message, 6, 6),
            _ => return Ok(()),
        };
        let mut handle = number(message, 2, 4);
        let (host, direction) = (seen.call.host, message[0] & 0x20);
        if let (Kind::IssuerTransport | Kind::AcceptorTransport, None) = (kind, stream) {
            // Over datagrams two peers may have one handle; the root tells them apart.
            let Some(root) = opens(seen, message) else { return Ok(()) };
            handle = digest(&root.0);
        }
        if kind == Kind::Detect && stream.is_some() {
            // A stream of its own, under no handle, has it: the session's key tells whose it is.
            let mut found = None;
            roots(seen.role, seen.node, &mut |root| {
                found = found.or_else(|| open_detection(&root, message).map(|_| root));
            });
            let Some(root) = found else { return Ok(()) };
            handle = digest(&root.0);
        }
        let stream = stream.filter(|_| kind != Kind::Detect);
        let session = (host, stream, direction, handle);
        // A handle may have had another session before, which had another root. A session's first
        // message burns some counters when it is encoded to be checked.
        if counter < 16
            && !matches!(kind, Kind::Keepalive | Kind::Echo | Kind::Detect)
            && let Some(root) = opens(seen, message)
            && self.begins(host, (direction, root))
        {
            self.last.remove(&session);
        }
        // One more than the last one.
        let next = self.last.hold(session, 0);
        if counter >= *next {
            *next = counter + 1;
            return Ok(());
        }
        let what = format!("{kind:?} under handle {handle:08x} has counter {counter} once more");
        Err(Broken::new("I-14", what))
    }

    /// Whether this is a host's first message under a root.
    fn begins(&mut self, host: HostId, root: (u8, LoggedRoot)) -> bool {
        let begun = self.begun.entry(host).or_default();
        if begun.contains(&root) {
            return false;
        }
        if begun.len() == ROOTS {
            begun.pop_front();
        }
        begun.push_back(root);
        true
    }

    fn ephemeral(&mut self, message: &[u8], at: usize) -> Verdict {
        let Some(key) = message.get(at..).and_then(|key| key.first_chunk()) else { return Ok(()) };
        let print = print(message);
        let before = self.ephemerals.insert(*key, print);
        if before.is_none() {
            self.order.push_back(*key);
            if self.order.len() > EPHEMERALS
                && let Some(oldest) = self.order.pop_front()
            {
                self.ephemerals.remove(&oldest);
            }
        }
        if before.is_none_or(|before| before == print) {
            return Ok(());
        }
        let what = format!("an ephemeral key in two messages of {} B", message.len());
        Err(Broken::new("I-14", what))
    }
}

/// Which of the machine's roots opens a message of its own.
fn opens(seen: &Seen<'_>, message: &[u8]) -> Option<LoggedRoot> {
    let mut found = None;
    roots(seen.role, seen.node, &mut |root| {
        if found.is_none() && open(&root, &mut message.to_vec()).is_some() {
            found = Some(root);
        }
    });
    found
}

fn number(message: &[u8], at: usize, len: usize) -> u64 {
    let bytes = message.get(at..at + len).unwrap_or_default();
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
