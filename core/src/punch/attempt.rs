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

use super::burst::{Bracket, Burst, Moment};
use crate::nat::{Candidates, Forecast, ServerEnd};
use crate::time::{Instant, earliest};

/// Packets that may leave at once.
const AT_ONCE: u16 = 32;
/// Between packets beyond them.
const PACE: Duration = Duration::from_millis(5);
/// From a burst's end until it is repeated; doubles.
const REPEAT: Duration = Duration::from_millis(150);
/// How often it is repeated.
const REPEATS: u8 = 3;
/// Answers that wait to leave.
const ANSWERS: usize = 4;
/// Answers in all.
const MAX_ANSWERS: u8 = 8;

/// What an end is willing to send in one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Budget {
    /// Packets to the peer, answers not counted.
    pub packets: u16,
    /// Fresh sockets that may be open at once.
    pub sockets: u8,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// Close what sockets have these numbers and open new ones, bound to consecutive ports where
    /// that can be. Report the first one's port with [`Attempt::handle_opened`].
    Open {
        /// The first one's number, at least 1.
        first: u8,
        /// How many.
        count: u8,
    },
    /// A detection packet to the server.
    Detect {
        /// From this socket; 0 is the registered one.
        socket: u8,
        /// To this end.
        server: ServerEnd,
        /// The burst's round.
        round: u8,
        /// When in it.
        moment: Moment,
        /// The port that the socket it is about is bound to; 0: not known.
        local: u16,
    },
    /// A packet to the peer.
    Send {
        /// From this socket; 0 is the registered one.
        socket: u8,
        /// To this port.
        port: u16,
        /// The peer was heard on this path: it need not answer.
        answer: bool,
    },
}

/// A path to the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Found {
    /// Our socket; 0 is the registered one.
    pub socket: u8,
    /// The peer's port.
    pub port: u16,
}

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
    burst: Option<Burst>,
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
    local: u16,
    /// Packets of the run that leaves without a pause.
    run: u16,
    not_before: Option<Instant>,
    answers: Deque<Found, ANSWERS>,
    answered: u8,
    found: Option<Found>,
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
            burst: None,
            step: Step::Rest,
            candidates: Forecast::Port(0).ports(),
            target: None,
            socket: 0,
            ports_left: 0,
            repeats: 0,
            base: 0,
            open: 0,
            local: 0,
            run: 0,
            not_before: None,
            answers: Deque::new(),
            answered: 0,
            found: None,
            answer_again: None,
            confirmed: false,
        }
    }

    /// The path, once there is one.
    #[must_use]
    pub const fn found(&self) -> Option<Found> {
        self.found
    }

    /// The coordinator's next instruction; it replaces what is under way. Without effect once the
    /// path is found, and when it wants more sockets than the budget has.
    pub fn handle_burst(&mut self, burst: Burst) {
        let sockets = burst.sockets.saturating_add(burst.bracket.extra_sockets());
        if self.found.is_some() || sockets > self.budget.sockets {
            return;
        }
        self.step = if burst.sockets > 0 && !burst.keep { Step::Open } else { Step::Announce };
        self.repeats = if burst.once { 0 } else { REPEATS };
        self.run = 0;
        self.not_before = None;
        self.burst = Some(burst);
        self.rewind(&burst);
    }

    /// The sockets of [`Action::Open`] are open, the first one at this port (0: not known).
    pub fn handle_opened(&mut self, local: u16) {
        if self.step == Step::Opening {
            self.local = local;
            self.step = Step::Announce;
        }
    }

    /// An authentic packet of the peer came from this port of its address to this socket. When it
    /// was no answer, or the first thing that was heard, an answer is due; it is repeated until an
    /// answer of the peer shows that it hears us.
    pub fn handle_heard(&mut self, now: Instant, socket: u8, port: u16, answer: bool) {
        let heard = Found { socket, port };
        let first = self.found.is_none();
        // A peer that does not hear us goes on from other sockets; it is heard there then.
        let elsewhere = !answer && !self.confirmed && self.found != Some(heard);
        if first || elsewhere {
            self.found = Some(heard);
            self.answered = 0;
        }
        self.burst = None;
        if answer {
            self.confirmed = true;
            self.answer_again = None;
        } else if !self.confirmed {
            self.answer_again = Some(now.after(REPEAT));
        }
        if !answer || first {
            self.answer(heard);
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
        let waits = self.burst.is_some() && self.step != Step::Opening;
        let burst = waits.then(|| self.not_before.unwrap_or(now));
        earliest(earliest(answer, burst), self.answer_again)
    }

    /// What to do at once.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        if let (Some(at), Some(found)) = (self.answer_again, self.found)
            && at <= now
        {
            self.answer_again = (self.answered < MAX_ANSWERS).then(|| now.after(REPEAT));
            self.answer(found);
        }
        if let Some(Found { socket, port }) = self.answers.pop_front() {
            return Some(Action::Send { socket, port, answer: true });
        }
        let burst = self.burst?;
        if self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        loop {
            match self.step {
                Step::Open => {
                    self.step = Step::Opening;
                    self.open = burst.sockets;
                    let count = burst.sockets.saturating_add(burst.bracket.extra_sockets());
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
                Step::Rest => match self.not_before {
                    Some(at) if at > now => return None,
                    Some(_) => {
                        self.not_before = None;
                        self.step = Step::Packets;
                    }
                    None => {
                        self.burst = None;
                        return None;
                    }
                },
            }
        }
    }

    /// The next packet of the burst: each port from each socket.
    fn packet(&mut self, now: Instant, burst: &Burst) -> Option<Action> {
        if self.target.is_none() {
            self.ports_left = self.ports_left.checked_sub(1)?;
            self.target = Some(self.candidates.next()?);
        }
        let port = self.target?;
        self.budget.packets = self.budget.packets.checked_sub(1)?;
        let fresh = burst.sockets > 0;
        let socket = if fresh { self.number(self.socket) } else { 0 };
        self.socket = self.socket.saturating_add(1);
        if !fresh || self.socket >= self.open {
            (self.socket, self.target) = (0, None);
        }
        self.run = self.run.saturating_add(1);
        self.not_before = (self.run >= AT_ONCE).then(|| now.after(PACE));
        Some(Action::Send { socket, port, answer: false })
    }

    /// The burst has left; it is repeated after a pause.
    fn rest(&mut self, now: Instant, burst: &Burst) {
        self.step = Step::Rest;
        self.not_before = None;
        let Some(left) = self.repeats.checked_sub(1) else { return };
        let doubled = u32::from(REPEATS.saturating_sub(self.repeats));
        self.repeats = left;
        let pause = REPEAT.saturating_mul(1_u32.checked_shl(doubled).unwrap_or(1));
        self.not_before = Some(now.after(pause));
        self.rewind(burst);
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
        let last = self.number(self.open.saturating_sub(1));
        let extra = self.number(self.open);
        let (socket, server) = match (moment, burst.bracket) {
            (Moment::Announce, _) => (0, ServerEnd::Main),
            (Moment::Before, Bracket::FreshSockets) => (extra, ServerEnd::Main),
            (Moment::After, Bracket::FreshSockets) => (extra.saturating_add(1), ServerEnd::Main),
            (Moment::Before, _) => (self.number(0), ServerEnd::Main),
            (Moment::After, Bracket::SameSocket) => (last, ServerEnd::OtherPort),
            (Moment::After, _) => (last, ServerEnd::Main),
        };
        Some(Action::Detect { socket, server, round: burst.round, moment, local: self.local })
    }
}
