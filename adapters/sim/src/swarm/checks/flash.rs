//! I-20: how often acceptors write to flash, held against what they were shown.
//!
//! An acceptor asks for a write when a certificate is new to it, when a session over datagrams has a
//! new root, and for password tries: the count goes up in blocks of four and comes down once when a
//! session that came in by password is confirmed. So in one life it needs at most one write for each
//! certificate that there is, one for each handshake that the server has answered, four a day for
//! roots that go on by themselves, and, of the password tries that the server has passed on, one for
//! each two. A reboot loses what was written ahead, and may have torn what was written last.

use std::collections::{BTreeMap, BTreeSet};

use genkan_core::FRAME_PREFIX;
use genkan_core::wire::Kind;

use super::roster::Role;
use super::{Seen, digest};
use crate::fleet::AcceptorApp;
use crate::net::HostId;
use crate::node::Effect;

/// Writes in a day for roots that go on by themselves.
const DAILY: u32 = 4;

/// Why an acceptor may write.
#[derive(Clone, Copy, Debug, Default)]
struct Causes {
    /// How often it has booted again.
    boots: u32,
    /// How many handshakes the server has answered.
    answers: u32,
}

#[derive(Debug, Default)]
pub(super) struct Flash {
    causes: BTreeMap<HostId, Causes>,
    /// The certificates that the server has shown.
    certificates: BTreeSet<u64>,
}

impl Flash {
    pub(super) fn restarted(&mut self, host: HostId) {
        self.causes.entry(host).or_default().boots += 1;
    }

    /// How often it has written so far. `tries`: how many offers with a password the server has
    /// passed on to this acceptor.
    pub(super) fn check(&mut self, seen: &Seen<'_>, tries: u32) -> Result<u32, String> {
        if seen.role == Role::Server {
            self.server(seen);
            return Ok(0);
        }
        let Some(app) = seen.node.app().downcast_ref::<AcceptorApp>() else { return Ok(0) };
        let causes = self.causes.entry(seen.call.host).or_default();
        if let Some(input) = seen.input
            && let Some(Kind::Response | Kind::Resumed) = input.kind
            && input.author.is_some()
            && !input.again
        {
            causes.answers += 1;
        }
        let days = u32::try_from(seen.call.at.as_secs() / 86_400).unwrap_or(u32::MAX - 1) + 1;
        let certificates = u32::try_from(self.certificates.len()).unwrap_or(u32::MAX);
        let lives = causes.boots + 1;
        let allowed = DAILY * days + causes.answers + lives * (certificates + 2) + tries / 2;
        let writes = app.flash.writes;
        if writes <= allowed {
            return Ok(writes);
        }
        Err(format!("has written {writes} times, not {allowed}, after {tries} tries: {causes:?}"))
    }

    fn server(&mut self, seen: &Seen<'_>) {
        for effect in seen.call.effects {
            let message = match effect {
                Effect::Datagram { bytes, .. } => &bytes[..],
                Effect::Write { bytes, .. } => bytes.get(FRAME_PREFIX..).unwrap_or_default(),
                _ => continue,
            };
            // After kind, flags and nonce.
            if let (Ok(Kind::Certificate), Some(bytes)) = (Kind::of(message), message.get(10..)) {
                self.certificates.insert(digest(bytes));
            }
        }
    }
}
