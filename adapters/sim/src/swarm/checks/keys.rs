//! I-14: no key meets a nonce twice.

use std::collections::{BTreeMap, BTreeSet};

use genkan_core::wire::Kind;
use genkan_core::{FRAME_PREFIX, StreamId};

use super::{Broken, Seen, Verdict, print};
use crate::net::HostId;
use crate::node::Effect;

/// A session as its sender names it: host, life, stream (over TCP), direction, handle.
type Session = (HostId, u32, Option<StreamId>, u8, u32);

#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The counters of each session that were used.
    counters: BTreeSet<(Session, u64)>,
    /// Ephemeral public keys, by their first half, with the message that each was in.
    ephemerals: BTreeMap<[u8; 16], u64>,
    lives: BTreeMap<HostId, u32>,
}

impl Keys {
    pub(super) fn restarted(&mut self, host: HostId) {
        *self.lives.entry(host).or_default() += 1;
    }

    pub(super) fn check(&mut self, seen: &Seen<'_>) -> Verdict {
        let host = seen.call.host;
        for effect in seen.call.effects {
            match effect {
                Effect::Datagram { bytes, .. } => self.message(host, None, bytes)?,
                Effect::Write { stream, bytes } => {
                    let message = bytes.get(FRAME_PREFIX..).unwrap_or_default();
                    self.message(host, Some(*stream), message)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn message(
        &mut self,
        host: HostId,
        stream: Option<StreamId>,
        message: &[u8],
    ) -> Verdict {
        match Kind::of(message).ok() {
            Some(Kind::Initiation) => self.ephemeral(message, 6),
            Some(Kind::Response) => self.ephemeral(message, 10),
            Some(Kind::Answer) => self.ephemeral(message, 22),
            Some(
                kind @ (Kind::Transport
                | Kind::ServerTransport
                | Kind::IssuerTransport
                | Kind::AcceptorTransport),
            ) => self.counter(host, stream, kind, message, number(message, 6, 8)),
            // A keepalive over TCP is not sealed to a counter that the server looks at, but counts.
            Some(kind @ (Kind::Keepalive | Kind::Echo)) => {
                self.counter(host, stream, kind, message, number(message, 6, 6))
            }
            _ => Ok(()),
        }
    }

    fn counter(
        &mut self,
        host: HostId,
        stream: Option<StreamId>,
        kind: Kind,
        message: &[u8],
        counter: u64,
    ) -> Verdict {
        let handle = u32::try_from(number(message, 2, 4)).unwrap_or(0);
        // A session over datagrams outlives a restart under its handle; one over TCP does not.
        let life = stream.map_or(0, |_| self.lives.get(&host).copied().unwrap_or(0));
        let session = (host, life, stream, u8::from(kind.is_downward()), handle);
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

fn number(message: &[u8], at: usize, len: usize) -> u64 {
    let bytes = message.get(at..at + len).unwrap_or_default();
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
