//! An end's part of hole punching: it carries out the bursts that it is given, within a budget of
//! its own, and answers what it hears.
//!
//! An attempt is told bursts, opened sockets and authentic packets of the peer, and polled for
//! [`Action`]s. All packets go to the one address that the server observed; the attempt names ports
//! only. A burst leaves back to back, since the time between its packets is what foreign mappings
//! get; what goes beyond it is paced. Packets that are repeated make no new mappings. The first
//! authentic packet ends the sending of guesses: the path is found, and an answer goes back the
//! way that it came.

use core::time::Duration;

use heapless::Deque;

use super::action::{Action, Budget, Found};
use super::burst::{Bracket, Burst, Moment};
use crate::limit::{Bucket, Rate};
use crate::nat::{Candidates, Forecast, ServerEnd};
use crate::time::{Instant, earliest};

/// Packets that may leave at once, of all bursts together.
pub(super) const AT_ONCE: u32 = 32;
/// Guesses that may: fewer, since those that leave before a hit is heard of are for nothing.
pub(super) const GUESSES_AT_ONCE: u32 = 16;
/// Between packets beyond them. With those that leave at once 192 in any second: a router shall get at
/// most 200 new mappings, and detection packets and a measurement have the other eight.
pub(super) const PACE: Duration = Duration::from_micros(6_250);
/// The two as one limit; that of guesses is part of it.
pub(crate) const RATE: Rate = Rate { period: PACE, burst: AT_ONCE };
const GUESSES: Rate = Rate { period: PACE, burst: GUESSES_AT_ONCE };
/// From a burst's end until it is repeated; doubles.
const REPEAT: Duration = Duration::from_millis(150);
/// How often it is repeated.
const REPEATS: u8 = 3;
/// Answers that wait to leave.
const ANSWERS: usize = 4;
/// Answers on one path.
pub(super) const MAX_ANSWERS: u8 = 8;
/// Paths that are answered on one after the other: a peer that does not hear us goes on from other
/// sockets with each try.
pub(super) const MAX_PATHS: u8 = 8;
/// Bursts of one attempt. A coordinator gives ten, two in each of its tries.
pub(super) const MAX_BURSTS: u8 = 32;

/// Where in a burst an attempt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Open,
    /// Until [`Attempt::handle_opened`].
    Opening,
    Announce,
    Before,
    Packets,
    After,
    Rest,
}

/// One end's attempt to meet its peer.
#[derive(Clone, Debug)]
pub struct Attempt {
    budget: Budget,
    /// The instruction that was taken last, and whether it is still carried out.
    last: Option<Burst>,
    under_way: bool,
    step: Step,
    candidates: Candidates,
    /// The port that packets go to at present, and the socket that is next, counted from 0.
    target: Option<u16>,
    socket: u8,
    /// How many ports the burst has left.
    ports_left: u16,
    repeats: u8,
    /// The number of the first fresh socket, less one. A try leaves those of the try before open
    /// where the budget allows it: what was sent to them may still be on its way.
    base: u8,
    /// Fresh sockets that are open for packets, and the first one's port.
    open: u8,
    /// Whether two more are, for detection packets alone.
    extra: bool,
    /// Whether [`Attempt::handle_opened`] is waited for; from the beginning, where it is owed to the
    /// attempt before.
    pub(crate) opening: bool,
    local: u16,
    bursts_left: u8,
    /// The bursts share one allowance, so that a server cannot hurry an end with many of them.
    pace: Bucket,
    not_before: Option<Instant>,
    answers: Deque<Found, ANSWERS>,
    answered: u8,
    found: Option<Found>,
    /// How many paths may be found yet.
    paths_left: u8,
    /// The peer has not shown yet that it hears us: the answer is repeated then.
    answer_again: Option<Instant>,
    /// It has shown it.
    confirmed: bool,
}

impl Attempt {
    /// An attempt that waits for its first burst.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self {
            budget,
            last: None,
            under_way: false,
            step: Step::Rest,
            candidates: Forecast::Port(0).ports(),
            target: None,
            socket: 0,
            ports_left: 0,
            repeats: 0,
            base: 0,
            open: 0,
            extra: false,
            opening: false,
            local: 0,
            bursts_left: MAX_BURSTS,
            pace: Bucket::EMPTY,
            not_before: None,
            answers: Deque::new(),
            answered: 0,
            found: None,
            paths_left: MAX_PATHS,
            answer_again: None,
            confirmed: false,
        }
    }

    /// The fresh socket of this number is in use for something else: the first ones that are opened
    /// are others, where the budget allows it.
    #[must_use]
    pub const fn beside(mut self, socket: u8) -> Self {
        let half = self.budget.sockets >> 1;
        self.base = if socket > half { half } else { 0 };
        self
    }

    /// The sockets of [`Action::Open`] could not be opened: the burst comes to nothing.
    pub fn handle_not_opened(&mut self) {
        if core::mem::take(&mut self.opening) {
            (self.open, self.extra) = (0, false);
            if self.step == Step::Opening {
                (self.under_way, self.step) = (false, Step::Rest);
                // The same instruction is worth another try.
                self.last = None;
            }
        }
    }

    /// The path, once there is one.
    #[must_use]
    pub const fn found(&self) -> Option<Found> {
        self.found
    }

    /// The coordinator's next instruction; it replaces what is under way. Without effect once the
    /// path is found, when it is the one that was taken last (which may have been lost on its way, so
    /// it is given more than once), when it wants more sockets than the budget has or such as were
    /// never opened, and beyond 32 instructions.
    pub fn handle_burst(&mut self, burst: Burst) {
        let Some(sockets) = burst.sockets.checked_add(burst.bracket.extra_sockets()) else {
            return;
        };
        let nothing_to_keep = burst.keep && self.open == 0;
        let is_known = self.last == Some(burst);
        if self.found.is_some() || is_known || sockets > self.budget.sockets || nothing_to_keep {
            return;
        }
        let Some(bursts_left) = self.bursts_left.checked_sub(1) else { return };
        self.bursts_left = bursts_left;
        self.step = match burst.keep {
            false if sockets > 0 => Step::Open,
            true if self.opening => Step::Opening,
            _ => Step::Announce,
        };
        self.repeats = if burst.once { 0 } else { REPEATS };
        self.not_before = Some(self.pace.available_at(rate(&burst)));
        (self.last, self.under_way) = (Some(burst), true);
        self.rewind(&burst);
    }

    /// The sockets of [`Action::Open`] are open, the first one at this port (0: not known).
    pub fn handle_opened(&mut self, local: u16) {
        if !self.opening {
            return;
        }
        self.opening = false;
        self.local = local;
        if self.step == Step::Opening {
            self.step = Step::Announce;
        }
    }

    /// An authentic packet of the peer came from this port of its address to this socket. When it
    /// was no answer, or the first thing that was heard, an answer is due; it is repeated until an
    /// answer of the peer shows that it hears us. Port 0 cannot be answered and is passed over.
    pub fn handle_heard(&mut self, now: Instant, socket: u8, port: u16, answer: bool) {
        if port == 0 {
            return;
        }
        let heard = Found { socket, port };
        let first = self.found.is_none();
        // A peer that does not hear us goes on from other sockets; it is heard there then.
        let elsewhere = !answer && !self.confirmed && self.found != Some(heard);
        if first || elsewhere {
            // A peer that is ever elsewhere is not answered for ever.
            let Some(paths_left) = self.paths_left.checked_sub(1) else { return };
            self.paths_left = paths_left;
            self.found = Some(heard);
            self.answered = 0;
        }
        self.under_way = false;
        if answer {
            self.confirmed = true;
            self.answer_again = None;
        } else if !self.confirmed && self.answered < MAX_ANSWERS {
            self.answer_again = Some(now.after(REPEAT));
        }
        if !answer || first {
            self.answer(heard);
        }
    }

    /// The peer has answered, and what our answers say has not reached it by its own word: they go on.
    pub fn insist(&mut self, now: Instant) {
        self.confirmed = false;
        if self.answered < MAX_ANSWERS {
            self.answer_again.get_or_insert_with(|| now.after(REPEAT));
        }
    }

    fn answer(&mut self, to: Found) {
        let waits = self.answers.iter().any(|waiting| *waiting == to);
        if !waits && self.answered < MAX_ANSWERS {
            self.answered = self.answered.saturating_add(1);
            let _ = self.answers.push_back(to);
        }
    }

    /// When [`Attempt::poll`] will have something to do, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let answer = (!self.answers.is_empty()).then_some(now);
        let answer_owed = match self.step {
            Step::Opening => true,
            Step::Open => self.opening,
            _ => false,
        };
        let waits = self.under_way && !answer_owed;
        let burst = waits.then(|| self.not_before.unwrap_or(now));
        earliest(earliest(answer, burst), self.answer_again).map(|at| at.max(now))
    }

    /// What to do at once.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        if let (Some(at), Some(found)) = (self.answer_again, self.found)
            && at <= now
        {
            self.answer(found);
            self.answer_again = (self.answered < MAX_ANSWERS).then(|| now.after(REPEAT));
        }
        if let Some(Found { socket, port }) = self.answers.pop_front() {
            return Some(Action::Send { socket, port, answer: true, hops: 0 });
        }
        let burst = self.last.filter(|_| self.under_way)?;
        if self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        loop {
            match self.step {
                // The answer that is still to come is about the sockets of a burst before.
                Step::Open if self.opening => return None,
                Step::Open => {
                    let extra = burst.bracket.extra_sockets();
                    let count = burst.sockets.saturating_add(extra);
                    (self.step, self.opening) = (Step::Opening, true);
                    (self.open, self.extra) = (burst.sockets, extra > 0);
                    let half = self.budget.sockets >> 1;
                    self.base = if self.base == 0 && count <= half { half } else { 0 };
                    return Some(Action::Open { first: self.base.saturating_add(1), count });
                }
                Step::Opening => return None,
                Step::Announce => {
                    self.step = Step::Before;
                    if let Some(action) = self.detect(&burst, Moment::Announce) {
                        return Some(action);
                    }
                }
                Step::Before => {
                    self.step = Step::Packets;
                    if let Some(action) = self.detect(&burst, Moment::Before) {
                        return Some(action);
                    }
                }
                Step::Packets => match self.packet(now, &burst) {
                    Some(action) => return Some(action),
                    None => self.step = Step::After,
                },
                Step::After => {
                    self.rest(now, &burst);
                    if let Some(action) = self.detect(&burst, Moment::After) {
                        return Some(action);
                    }
                }
                Step::Rest if !self.under_way => return None,
                Step::Rest => match self.not_before {
                    Some(at) if at > now => return None,
                    _ => self.step = Step::Packets,
                },
            }
        }
    }

    /// The next packet of the burst: each port from each socket.
    fn packet(&mut self, now: Instant, burst: &Burst) -> Option<Action> {
        if self.target.is_none() {
            let ports_left = self.ports_left.checked_sub(1)?;
            self.target = Some(self.candidates.next()?);
            self.ports_left = ports_left;
        }
        let port = self.target?;
        self.budget.packets = self.budget.packets.checked_sub(1)?;
        let fresh = burst.sockets > 0;
        let socket = if fresh { self.number(self.socket) } else { 0 };
        self.socket = self.socket.saturating_add(1);
        if self.socket >= self.sockets(burst) {
            (self.socket, self.target) = (0, None);
        }
        // There is a token: this was called when it was to come.
        let _taken = self.pace.take(now, RATE);
        self.not_before = Some(self.pace.available_at(rate(burst))).filter(|&at| at > now);
        Some(Action::Send { socket, port, answer: false, hops: burst.hops })
    }

    /// The burst has left; it is repeated after a pause, if there was anything and may be again.
    fn rest(&mut self, now: Instant, burst: &Burst) {
        self.step = Step::Rest;
        let doubled = u32::from(REPEATS.saturating_sub(self.repeats));
        let last = self.repeats == 0;
        self.repeats = self.repeats.saturating_sub(1);
        if last || self.ports_left == burst.count || self.budget.packets == 0 {
            self.under_way = false;
            return;
        }
        let pause = REPEAT.saturating_mul(1_u32.checked_shl(doubled).unwrap_or(1));
        self.not_before = Some(now.after(pause));
        self.rewind(burst);
    }

    /// How many sockets the burst's packets leave from.
    fn sockets(&self, burst: &Burst) -> u8 {
        burst.sockets.min(self.open)
    }

    /// The number of the fresh socket at this place.
    const fn number(&self, place: u8) -> u8 {
        self.base.saturating_add(place).saturating_add(1)
    }

    fn rewind(&mut self, burst: &Burst) {
        self.candidates = burst.ports.ports();
        self.ports_left = burst.count;
        (self.socket, self.target) = (0, None);
    }

    fn detect(&self, burst: &Burst, moment: Moment) -> Option<Action> {
        // Repeated packets are not bracketed again: they make no new mappings.
        let first_time = burst.once || self.repeats >= REPEATS.saturating_sub(1);
        if !burst.bracket.has(moment) || !first_time {
            return None;
        }
        let own = |place| if burst.sockets == 0 { 0 } else { self.number(place) };
        let last = own(self.sockets(burst).saturating_sub(1));
        if moment != Moment::Announce && burst.bracket.extra_sockets() > 0 && !self.extra {
            return None;
        }
        let extra = self.number(self.open);
        let (socket, server) = match (moment, burst.bracket) {
            (Moment::Announce, _) => (0, ServerEnd::Main),
            (Moment::Before, Bracket::FreshSockets) => (extra, ServerEnd::Main),
            (Moment::After, Bracket::FreshSockets) => (extra.saturating_add(1), ServerEnd::Main),
            (Moment::Before, _) => (own(0), ServerEnd::Main),
            // Where the server has one address only, its other port.
            (Moment::After, Bracket::SameSocket) => (last, ServerEnd::OtherAddress),
            (Moment::After, _) => (last, ServerEnd::Main),
        };
        Some(Action::Detect { socket, server, round: burst.round, moment, local: self.local })
    }
}

/// How fast a burst's packets may leave.
const fn rate(burst: &Burst) -> Rate {
    if burst.once { GUESSES } else { RATE }
}
