//! An end whose coordinator and peer say anything.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::*;
use crate::nat::{Count, Forecast};
use crate::punch::attempt::{AT_ONCE, MAX_ANSWERS, MAX_BURSTS, MAX_PATHS, PACE};
use crate::punch::{Action, Attempt, Bracket, Budget, Burst, Found, Moment};
use crate::time::Instant;

fn forecast(dice: &mut Dice) -> Forecast {
    let step = i32::from(dice.byte() % 64) + 1;
    let differential = Differential::new(if dice.flag() { step } else { -step }).unwrap();
    let (a, b) = (dice.port(), dice.port());
    let split = Count::Split { number: dice.small(), part: dice.byte(), rest: dice.byte() };
    let foreign = if dice.flag() { Count::Poisson { mean: dice.port().into() } } else { split };
    match dice.below(6) {
        0 => Forecast::Port(a),
        1 => Forecast::Counter { last: a, differential, nth: dice.small(), foreign },
        2 => Forecast::Run { first: a, differential },
        3 => Forecast::Around { before: a, after: b, differential },
        4 => Forecast::Between { low: a, high: b },
        _ => Forecast::Among { low: a, high: b, margin: dice.small() },
    }
}

fn burst(dice: &mut Dice) -> Burst {
    let sockets = if dice.below(4) == 0 { dice.byte() } else { dice.byte() % 5 };
    let count = if dice.below(4) == 0 { dice.port() } else { dice.small() };
    let brackets = [Bracket::None, Bracket::Announce, Bracket::After, Bracket::SameSocket];
    let at = usize::try_from(dice.below(5)).unwrap();
    let bracket = brackets.get(at).copied().unwrap_or(Bracket::FreshSockets);
    let (keep, once) = (dice.below(3) == 0, dice.below(4) == 0);
    Burst {
        round: dice.byte(),
        sockets,
        keep,
        ports: forecast(dice),
        count,
        bracket,
        once,
        hops: 0,
    }
}

/// An attempt and what it may do.
struct Watched {
    attempt: Attempt,
    budget: Budget,
    /// Sockets that were ever opened.
    open: BTreeSet<u8>,
    /// The last burst's ports.
    ports: Vec<u16>,
    sent: Vec<Instant>,
    answers: u16,
    heard: bool,
}

impl Watched {
    fn new(budget: Budget) -> Self {
        Self {
            attempt: Attempt::new(budget),
            budget,
            open: BTreeSet::from([0]),
            ports: Vec::new(),
            sent: Vec::new(),
            answers: 0,
            heard: false,
        }
    }

    /// Everything that is to be done now; how much that was.
    fn drain(&mut self, now: Instant) -> usize {
        let mut done = 0;
        while let Some(action) = self.attempt.poll(now) {
            done += 1;
            assert!(done <= 3 * usize::from(u8::MAX), "it does not end");
            match action {
                Action::Open { first, count } => {
                    assert!(first > 0 && count > 0);
                    let last = first.checked_add(count - 1).expect("numbers of sockets");
                    assert!(last <= self.budget.sockets, "{last} of {:?}", self.budget);
                    self.open.extend(first..=last);
                    assert!(!self.heard, "opened after the path was found");
                }
                Action::Detect { socket, .. } => assert!(self.open.contains(&socket), "{socket}"),
                Action::Send { answer: true, .. } => self.answers += 1,
                Action::Send { socket, port, answer: false, .. } => {
                    assert!(!self.heard, "a guess after the path was found");
                    assert!(self.open.contains(&socket), "{socket} of {:?}", self.open);
                    assert!(self.ports.contains(&port), "{port}");
                    self.sent.push(now);
                }
            }
        }
        let due = self.attempt.poll_timeout(now);
        assert!(due.is_none_or(|at| at > now), "nothing to do, and yet due");
        done
    }

    /// The budget, and at most so many packets in any stretch of time.
    fn judge(&self) {
        assert!(self.sent.len() <= usize::from(self.budget.packets));
        let most = u16::from(MAX_ANSWERS) * u16::from(MAX_PATHS);
        assert!(self.answers <= most, "{} answers", self.answers);
        let at_once = usize::try_from(AT_ONCE).unwrap();
        for (earlier, later) in self.sent.iter().zip(self.sent.iter().skip(at_once)) {
            assert!(later.since(*earlier) >= PACE, "{at_once} and one more at once");
        }
        let mean = self.sent.first().zip(self.sent.last()).map(|(first, last)| last.since(*first));
        let whole = PACE * u32::try_from(self.sent.len().saturating_sub(at_once)).unwrap();
        assert!(mean.is_none_or(|time| time >= whole), "faster than the pace in the long run");
    }
}

#[test]
fn no_order_of_events_breaks_a_budget_or_a_pace() {
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let (packets, sockets) = (dice.small() * dice.small() / 4, dice.byte());
        let mut watched = Watched::new(Budget { packets, sockets });
        let mut now = Instant::from_millis(1_000);
        for _ in 0..60 {
            match dice.below(10) {
                0..4 => {
                    let burst = burst(&mut dice);
                    let before = std::format!("{:?}", watched.attempt);
                    watched.attempt.handle_burst(burst);
                    if before != std::format!("{:?}", watched.attempt) {
                        watched.ports = burst.ports.ports().take(burst.count.into()).collect();
                    }
                }
                4 | 5 => watched.attempt.handle_opened(dice.port()),
                6 if dice.below(8) == 0 => {
                    let (socket, port) = (dice.byte(), dice.port());
                    watched.attempt.handle_heard(now, socket, port, dice.flag());
                    watched.heard |= port != 0;
                }
                _ => {
                    // To the deadline, or short of it: then nothing is to be done.
                    let due = watched.attempt.poll_timeout(now);
                    let target = now.after(Duration::from_millis(dice.below(400)));
                    if due.is_some_and(|at| at > target) {
                        assert_eq!(watched.attempt.clone().poll(target), None, "before its time");
                    }
                    now = if dice.flag() { due.unwrap_or(target).max(now) } else { target };
                }
            }
            watched.drain(now);
        }
        // Left alone, it ends, and does something each time that it asked to be called.
        for _ in 0..3_000 {
            let Some(at) = watched.attempt.poll_timeout(now) else { break };
            now = at;
            watched.drain(now);
        }
        assert_eq!(watched.attempt.poll_timeout(now), None, "seed {seed}: it never ends");
        watched.judge();
    }
}

/// A server that hurries: each burst alone keeps to what may leave at once.
#[test]
fn many_bursts_share_one_allowance() {
    let mut watched = Watched::new(Budget { packets: 1_024, sockets: 4 });
    let now = Instant::from_millis(1);
    let ports = Forecast::Between { low: 1_000, high: 60_000 };
    watched.ports = ports.ports().collect();
    for round in 0..100 {
        watched.attempt.handle_burst(Burst::from_registered(round, ports, 1_024));
        watched.drain(now);
    }
    assert_eq!(watched.sent.len(), usize::try_from(AT_ONCE).unwrap());
    watched.judge();
}

/// A server that has an end open sockets again and again runs into the number of bursts.
#[test]
fn bursts_are_counted() {
    let mut attempt = Attempt::new(Budget { packets: 9, sockets: 4 });
    let mut opened = 0_u8;
    for round in 0..200 {
        attempt.handle_burst(Burst::from_fresh(round, 1, 4_000, Bracket::None));
        let action = attempt.poll(Instant::START);
        opened += u8::from(matches!(action, Some(Action::Open { .. })));
        attempt.handle_opened(0);
    }
    assert_eq!(opened, MAX_BURSTS);
}

/// Else the answer about the sockets before would be taken for the one about these.
#[test]
fn nothing_is_opened_while_an_answer_is_owed() {
    let now = Instant::START;
    let mut attempt = Attempt::new(Budget { packets: 9, sockets: 4 });
    attempt.handle_burst(Burst::from_fresh(0, 1, 4_000, Bracket::None));
    assert!(matches!(attempt.poll(now), Some(Action::Open { count: 1, .. })));
    attempt.handle_burst(Burst::from_fresh(1, 2, 4_000, Bracket::None));
    assert_eq!((attempt.poll(now), attempt.poll_timeout(now)), (None, None));
    attempt.handle_opened(4_600);
    assert!(matches!(attempt.poll(now), Some(Action::Open { count: 2, .. })));
}

#[test]
fn a_burst_of_kept_sockets_waits_until_they_are_open_and_needs_some() {
    let now = Instant::from_millis(1);
    let kept = Burst { keep: true, ..Burst::from_fresh(0, 9, 4_000, Bracket::FreshSockets) };
    let mut attempt = Attempt::new(Budget { packets: 9, sockets: 12 });
    attempt.handle_burst(kept);
    assert_eq!(attempt.poll(now), None, "there are none to keep");
    attempt.handle_burst(Burst::from_fresh(0, 2, 5_000, Bracket::None));
    assert_eq!(attempt.poll(now), Some(Action::Open { first: 7, count: 2 }));
    attempt.handle_burst(kept);
    assert_eq!(attempt.poll(now), None, "they are not open yet");
    attempt.handle_opened(33_000);
    // Two were opened, and none for detection packets.
    let send = |socket| Action::Send { socket, port: 4_000, answer: false, hops: 0 };
    assert_eq!([(); 3].map(|()| attempt.poll(now)), [Some(send(7)), Some(send(8)), None]);
}

/// The sum of sockets is not what fits into a byte.
#[test]
fn sockets_that_do_not_fit_into_a_byte_are_refused() {
    let mut attempt = Attempt::new(Budget { packets: 9, sockets: u8::MAX });
    attempt.handle_burst(Burst::from_fresh(0, 254, 4_000, Bracket::FreshSockets));
    assert_eq!(attempt.poll(Instant::START), None);
}

/// A peer that is heard from ever other ports and never hears is not answered for ever.
#[test]
fn answers_to_a_peer_that_moves_about_end() {
    let mut watched = Watched::new(Budget { packets: 9, sockets: 4 });
    let mut now = Instant::from_millis(1);
    for n in 0..1_000_u16 {
        watched.attempt.handle_heard(now, 0, 1 + n % 100, false);
        watched.heard = true;
        watched.drain(now);
        now = now.after(Duration::from_millis(20));
    }
    watched.judge();
    assert!(watched.answers >= u16::from(MAX_PATHS));
    // An honest one is answered on the path of its last try.
    let mut attempt = Attempt::new(Budget { packets: 9, sockets: 4 });
    for round in 1..=5 {
        attempt.handle_heard(now, 0, round, false);
        assert_eq!(attempt.found(), Some(Found { socket: 0, port: round }));
    }
}

#[test]
fn each_repeat_of_a_burst_is_called_for_and_then_no_more() {
    let mut attempt = Attempt::new(Budget { packets: 100, sockets: 4 });
    let mut now = Instant::from_millis(1);
    attempt.handle_burst(Burst::to_port(0, 4_000));
    let mut times = Vec::new();
    while let Some(at) = attempt.poll_timeout(now) {
        assert!(at >= now);
        now = at;
        assert!(attempt.poll(now).is_some(), "called for nothing");
        times.push(now.as_micros() / 1_000);
        while attempt.poll(now).is_some() {}
    }
    assert_eq!(times, [1, 151, 451, 1_051]);
    // What sends nothing is not repeated.
    for empty in [Forecast::Port(0), Forecast::Between { low: 5, high: 6 }] {
        attempt.handle_burst(Burst::from_registered(0, empty, 5));
        assert_eq!(attempt.poll(now), None);
        assert_eq!(attempt.poll_timeout(now), None);
    }
}

#[test]
fn detection_packets_leave_once_even_when_the_budget_ends_in_between() {
    for packets in 0..4 {
        let mut attempt = Attempt::new(Budget { packets, sockets: 4 });
        attempt.handle_burst(Burst::from_fresh(0, 1, 4_000, Bracket::FreshSockets));
        let mut now = Instant::from_millis(1);
        let (mut before, mut after) = (0, 0);
        while let Some(at) = attempt.poll_timeout(now) {
            now = at;
            while let Some(action) = attempt.poll(now) {
                match action {
                    Action::Open { .. } => attempt.handle_opened(33_000),
                    Action::Detect { moment: Moment::Before, .. } => before += 1,
                    Action::Detect { moment: Moment::After, .. } => after += 1,
                    _ => {}
                }
            }
        }
        assert_eq!((before, after), (1, 1), "{packets}");
    }
}
