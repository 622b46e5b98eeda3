//! I-14: no key meets a nonce twice.

use std::collections::{BTreeMap, BTreeSet};

use genkan_core::inspect::{LoggedRoot, open};
use genkan_core::wire::Kind;
use genkan_core::{FRAME_PREFIX, StreamId};

use super::{Broken, Seen, Verdict, print, roots};
use crate::net::HostId;
use crate::node::Effect;

/// A session as its sender names it: host, stream (over TCP), direction, handle, and which of those
/// that have had this name.
type Session = (HostId, Option<StreamId>, u8, u32, u32);

#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The counters of each session that were used.
    counters: BTreeSet<(Session, u64)>,
    /// How many sessions of a host have had a handle.
    sessions: BTreeMap<(HostId, Option<StreamId>, u8, u32), u32>,
    /// Roots under which a host has sent a first message.
    begun: BTreeSet<(HostId, u8, LoggedRoot)>,
    /// Ephemeral public keys, by their first half, with the message that each was in.
    ephemerals: BTreeMap<[u8; 16], u64>,
}

impl Keys {
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
            Kind::Keepalive | Kind::Echo => number(message, 6, 6),
            _ => return Ok(()),
        };
        let handle = u32::try_from(number(message, 2, 4)).unwrap_or(0);
        let (host, direction) = (seen.call.host, message[0] & 0x20);
        let session = self.sessions.entry((host, stream, direction, handle)).or_default();
        // A handle may have had another session before, which had another root. A session's first
        // message burns some counters when it is encoded to be checked.
        if counter < 16
            && !matches!(kind, Kind::Keepalive | Kind::Echo)
            && let Some(root) = opens(seen, message)
        {
            *session += u32::from(self.begun.insert((host, direction, root)));
        }
        let session = (host, stream, direction, handle, *session);
        if self.counters.insert((session, counter)) {
            return Ok(());
        }
        let what = format!("{kind:?} under handle {handle:08x} has counter {counter} once more");
        Err(Broken::new("I-14", what))
    }

    fn ephemeral(&mut self, message: &[u8], at: usize) -> Verdict {
        let Some(key) = message.get(at..).and_then(|key| key.first_chunk()) else { return Ok(()) };
        let print = print(message);
        match self.ephemerals.insert(*key, print) {
            Some(before) if before != print => {
                let what = format!("an ephemeral key in two messages of {} B", message.len());
                Err(Broken::new("I-14", what))
            }
            _ => Ok(()),
        }
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
