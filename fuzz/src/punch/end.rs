//! One end, and what it may do.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use genkan_core::Instant;
use genkan_core::punch::{Action, Attempt, Budget, Burst, Moment};

use crate::watch::story;

/// Packets that leave at once at most, and the pace of the others.
const AT_ONCE: usize = 32;
const PACE: Duration = Duration::from_micros(6_250);
/// Answers of one attempt: eight on each of eight paths.
const MOST_ANSWERS: usize = 64;
/// Detection packets that wait to be delivered.
const MOST_SEEN: usize = 64;

pub(crate) struct Watched {
    attempt: Attempt,
    budget: Budget,
    open: BTreeSet<u8>,
    ports: BTreeSet<u16>,
    /// The hop limit of its packets; answers have none.
    hops: u8,
    sent: Vec<Instant>,
    answers: usize,
    heard: bool,
}

impl Watched {
    pub(crate) fn new(packets: u16, sockets: u8) -> Self {
        let budget = Budget { packets, sockets };
        Self {
            attempt: Attempt::new(budget),
            budget,
            open: BTreeSet::from([0]),
            ports: BTreeSet::new(),
            hops: 0,
            sent: Vec::new(),
            answers: 0,
            heard: false,
        }
    }

    /// A burst that is not taken leaves the one before under way, so that the ports of both count.
    pub(crate) fn instruct(&mut self, burst: Burst) {
        let before = format!("{:?}", self.attempt);
        self.attempt.handle_burst(burst);
        if before != format!("{:?}", self.attempt) {
            self.ports = burst.ports.ports().take(burst.count.into()).collect();
            self.hops = burst.hops;
        }
    }

    pub(crate) fn opened(&mut self, local: u16) {
        self.attempt.handle_opened(local);
    }

    pub(crate) fn heard(&mut self, now: Instant, socket: u8, port: u16, answer: bool) {
        self.attempt.handle_heard(now, socket, port, answer);
        self.heard |= port != 0;
        assert_eq!(self.attempt.found().is_some(), self.heard);
    }

    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.attempt.poll_timeout(now)
    }

    /// Everything that is to be done now.
    pub(crate) fn drain(&mut self, now: Instant, seen: &mut VecDeque<(u8, Moment, u16)>) {
        let due = self.due(now);
        let mut done = 0;
        while let Some(action) = self.attempt.poll(now) {
            assert!(due.is_some_and(|at| at <= now), "before its time: {action:?}");
            done += 1;
            story(|| format!("{now:?} {action:?}"));
            assert!(done <= 64, "no end of actions");
            match action {
                Action::Open { first, count } => {
                    assert!(!self.heard && first > 0 && count > 0);
                    let last = first.checked_add(count - 1).expect("numbers of sockets");
                    assert!(last <= self.budget.sockets, "{last} of {:?}", self.budget);
                    self.open.extend(first..=last);
                }
                Action::Detect { socket, round, moment, local, .. } => {
                    assert!(!self.heard && self.open.contains(&socket), "{socket}");
                    if seen.len() < MOST_SEEN {
                        seen.push_back((round, moment, local));
                    }
                }
                Action::Send { answer: true, port, hops, .. } => {
                    assert!(self.heard && port != 0 && hops == 0);
                    self.answers += 1;
                }
                Action::Send { answer: false, socket, port, hops } => {
                    assert_eq!(hops, self.hops, "its hop limit");
                    assert!(!self.heard, "a guess after the peer was heard");
                    assert!(self.open.contains(&socket), "{socket}");
                    assert!(port != 0 && self.ports.contains(&port), "{port}");
                    self.sent.push(now);
                }
            }
        }
        assert!(self.due(now).is_none_or(|at| at > now), "nothing to do, and yet due");
    }

    /// The budget (I-9), and the pace over any stretch of time.
    pub(crate) fn judge(&self) {
        assert!(self.sent.len() <= usize::from(self.budget.packets), "more than the budget");
        assert!(self.answers <= MOST_ANSWERS, "{} answers", self.answers);
        for (number, at) in self.sent.iter().enumerate().skip(AT_ONCE) {
            let before = self.sent[number - AT_ONCE];
            assert!(at.since(before) >= PACE, "more than {AT_ONCE} at once");
        }
        if let (Some(first), Some(last)) = (self.sent.first(), self.sent.last()) {
            let paced = u32::try_from(self.sent.len().saturating_sub(AT_ONCE)).expect("few");
            assert!(last.since(*first) >= PACE * paced, "faster than the pace");
        }
    }
}
