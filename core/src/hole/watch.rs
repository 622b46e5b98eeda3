//! How long the NAT keeps a silent mapping: one socket of a measurement, kept for a while.
//!
//! ```text
//! ask ─► probe ─► Detect ─► silence of 30 s ─► ask ─► probe ─► Detect ─► silence of 60 s ─► …
//! ```
//!
//! The server knows the port of the measurement's first fresh socket towards its main end. The
//! equipment asks it, over the registered session, for a probe to that port: what arrives has found
//! the mapping alive. Then it sends a packet from there, so that packets have passed in both
//! directions as with a keepalive, and leaves the socket in silence for the next longer time. Probes
//! that do not arrive mean that the mapping is gone, if one to the registered port arrives: they may
//! not have been asked for, or sent, where the server is out of reach. It ends there, at the longest
//! silence, and when the socket is wanted for something else; hours pass before the next one.

use core::time::Duration;

use super::measure::{Gauge, Stage};
use super::names::{MEASURING, MEASURING_COUNT};
use super::words::Words;
use crate::id::SocketId;
use crate::machine::{Command, REST};
use crate::nat::{Lifetime, ServerEnd};
use crate::time::Instant;
use crate::wire::message::Life;
use crate::wire::punch::{Detect, KEEPS, MEASUREMENT};

/// The silences, in seconds: neighbours in [`LIFETIMES`](crate::nat::LIFETIMES), so that the upper
/// bound's lower neighbour is one that was survived.
const SILENCES: [u8; 4] = [30, 60, 120, 180];
/// The last one, which does not fit into a byte.
const LONGEST: u16 = 300;
/// How long a probe is waited for.
const WAIT: Duration = Duration::from_secs(2);
/// How often a probe is asked for; the last time for one to the registered port.
const ASKS: u8 = 4;
/// Between the beginnings of two of these.
const APART: Duration = Duration::from_secs(6 * 3_600);

/// The watch over one mapping.
#[derive(Debug)]
pub(super) struct Watch {
    /// The application wants it.
    wanted: bool,
    /// The external port of the socket; 0: not known.
    pub(super) port: u16,
    /// How many silences there were.
    silences: u8,
    /// How often a probe was asked for.
    asked: u8,
    /// A packet from the socket is due.
    due: bool,
    /// Not again before then.
    pub(super) rest_until: Option<Instant>,
}

impl Watch {
    pub(super) const fn new(wanted: bool) -> Self {
        Self { wanted, port: 0, silences: 0, asked: 0, due: false, rest_until: None }
    }

    /// The silence of this number, counted from 1, in seconds.
    fn silence(number: u8) -> Option<u16> {
        let place = usize::from(number.checked_sub(1)?);
        match SILENCES.get(place) {
            Some(&seconds) => Some(seconds.into()),
            None => (place == SILENCES.len()).then_some(LONGEST),
        }
    }
}

impl Gauge {
    /// A measurement has ended: its first socket is kept, if something can be learned from it.
    pub(super) fn begin_watch(&mut self, now: Instant, words: &mut Words) -> Option<Command> {
        let harmless = self.profile.is_some_and(|nat| nat.displaced || !nat.punishes);
        let rested = self.watch.rest_until.is_none_or(|until| now >= until);
        let known = self.watch.port != 0 && self.local != 0;
        if !(self.watch.wanted && harmless && rested && known) {
            return None;
        }
        let (port, rest_until) = (self.watch.port, Some(now.after(APART)));
        self.watch = Watch { port, rest_until, ..Watch::new(true) };
        self.stage = Stage::Watching;
        self.ask(now, words);
        let second = SocketId(MEASURING.0.saturating_add(1));
        Some(Command::Unbind { first: second, count: MEASURING_COUNT.saturating_sub(1) })
    }

    /// A silence is over, or a probe has not come in time.
    pub(super) fn ask(&mut self, now: Instant, words: &mut Words) {
        if self.watch.asked >= ASKS {
            return self.end_watch(now, words);
        }
        self.watch.asked = self.watch.asked.saturating_add(1);
        let last = self.watch.asked == ASKS;
        let port = if last { self.registered_port() } else { self.watch.port };
        words.life(Life { port, lifetime: self.lifetime().to_byte() });
        self.until = Some(now.after(WAIT));
    }

    /// A probe has come that was asked for to this port. Says whether that has ended the watch.
    pub(super) fn answered(&mut self, now: Instant, port: u64, words: &mut Words) -> bool {
        let watched = self.stage == Stage::Watching && self.watch.asked > 0 && !self.watch.due;
        let seconds = Watch::silence(self.watch.silences);
        if watched && port == self.watch.port.into() {
            self.learn(|lifetime| seconds.is_some_and(|seconds| lifetime.lived(seconds.into())));
            self.watch.silences = self.watch.silences.saturating_add(1);
            self.watch.asked = 0;
            self.watch.due = Watch::silence(self.watch.silences).is_some();
            self.until = None;
            if self.watch.due {
                return false;
            }
        } else if watched && self.watch.asked == ASKS && port == self.registered_port().into() {
            self.learn(|lifetime| seconds.is_some_and(|seconds| lifetime.died(seconds.into())));
        } else {
            return false;
        }
        self.end_watch(now, words);
        true
    }

    /// The packet from the watched socket that is due.
    pub(super) fn next_kept(&self, local: u16) -> Option<(SocketId, ServerEnd, Detect)> {
        let (status, handle, counter, request, round) = (0, 0, 0, MEASUREMENT, 0);
        let detect =
            Detect { status, handle, counter, request, round, which: KEEPS, socket: 1, local };
        self.watch.due.then_some((MEASURING, ServerEnd::Main, detect))
    }

    /// It has left: the next silence begins.
    pub(super) fn sent_kept(&mut self, now: Instant) {
        if core::mem::take(&mut self.watch.due) {
            let seconds = Watch::silence(self.watch.silences).unwrap_or(LONGEST);
            self.until = Some(now.after(Duration::from_secs(seconds.into())));
        }
    }

    /// Says what was learned, and lets the socket go.
    fn end_watch(&mut self, now: Instant, words: &mut Words) {
        self.tell_lifetime(words);
        self.watch.port = 0;
        self.stage = Stage::Waiting;
        self.until = Some(now.after(REST));
    }

    /// Something else wants the socket. The command that closes it, if there is one.
    pub(crate) fn stop_watch(&mut self) -> Option<Command> {
        if self.stage != Stage::Watching {
            return None;
        }
        self.stage = Stage::Idle;
        self.until = None;
        self.watch = Watch { rest_until: self.watch.rest_until, ..Watch::new(self.watch.wanted) };
        Some(Command::Unbind { first: MEASURING, count: MEASURING_COUNT })
    }

    /// Tells the server what is known.
    pub(super) fn tell_lifetime(&self, words: &mut Words) {
        let lifetime = self.lifetime();
        if lifetime != Lifetime::default() {
            words.life(Life { port: 0, lifetime: lifetime.to_byte() });
        }
    }

    fn registered_port(&self) -> u16 {
        self.seen_at.map_or(0, |at| at.port())
    }

    fn lifetime(&self) -> Lifetime {
        self.profile.map_or_else(Lifetime::default, |nat| nat.lifetime)
    }

    fn learn(&mut self, word: impl FnOnce(&mut Lifetime) -> bool) {
        if let Some(nat) = &mut self.profile {
            nat.drifted |= word(&mut nat.lifetime);
        }
    }
}
