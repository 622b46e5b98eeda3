//! How long a mapping, or a hole in its filter, lives.
//!
//! Each packet that refreshes sets the time of death anew, from the stage that the traffic is in: a
//! UDP flow that was not answered, one that was, a TCP handshake, an established connection, a
//! closing one. What a change of the settings or of the load means for lifetimes is felt with the
//! next such packet, as with a real timer.

use core::time::Duration;

use super::config::Lifetimes;
use super::{Flow, Proto};

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Out,
    In,
}

/// The rules in force for a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'c> {
    pub(super) lifetimes: &'c Lifetimes,
    /// Lifetimes are divided by this: 1 unless the box is loaded.
    pub(super) divisor: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    since: Duration,
    used: Duration,
    until: Duration,
    sent: bool,
    answered: bool,
    /// The second stage: a UDP stream, an established connection.
    second: bool,
    fins: [bool; 2],
    closing: bool,
}

impl Life {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            since: now,
            used: now,
            until: now,
            sent: false,
            answered: false,
            second: false,
            fins: [false; 2],
            closing: false,
        }
    }

    /// When it was refreshed last.
    pub(super) const fn used(&self) -> Duration {
        self.used
    }

    /// When it ends unless refreshed.
    pub(super) const fn until(&self) -> Duration {
        self.until
    }

    pub(super) fn ended(&self, now: Duration) -> bool {
        now >= self.until
    }

    pub(super) const fn closing(&self) -> bool {
        self.closing
    }

    /// A mapping with several connections lives as long as its longest.
    pub(super) const fn live_until(&mut self, until: Duration) {
        self.until = until;
    }

    /// A packet passes. `refresh`: whether it counts as a sign of life.
    pub(super) fn pass(
        &mut self,
        rules: Rules<'_>,
        now: Duration,
        way: Way,
        flow: Flow,
        refresh: bool,
    ) {
        let answered_before = self.answered;
        match way {
            Way::Out => self.sent = true,
            Way::In => self.answered = true,
        }
        if flow.proto() == Proto::Udp {
            let after = rules.lifetimes.udp_stream_after;
            self.second |= if after.is_zero() {
                self.answered
            } else {
                // As Linux does: the answer itself is not yet traffic of an answered flow.
                answered_before && now > self.since + after
            };
        } else {
            self.pass_tcp(way, flow);
        }
        if refresh {
            self.used = now;
        }
        self.until = rules.end(self.used, self.lifetime(rules.lifetimes, flow.proto()));
    }

    /// Counts as a sign of life without being traffic.
    pub(super) fn touch(&mut self, rules: Rules<'_>, now: Duration, proto: Proto) {
        self.used = now;
        self.until = rules.end(now, self.lifetime(rules.lifetimes, proto));
    }

    fn pass_tcp(&mut self, way: Way, flow: Flow) {
        match flow {
            Flow::Syn if self.closing => {
                (self.second, self.fins, self.closing) = (false, [false; 2], false);
            }
            Flow::Segment => self.second |= self.sent && self.answered,
            Flow::Fin => {
                self.fins[usize::from(way == Way::In)] = true;
                self.closing |= self.fins == [true; 2];
            }
            Flow::Rst => self.closing = true,
            Flow::Udp | Flow::Syn | Flow::SynAck => {}
        }
    }

    const fn lifetime(&self, lifetimes: &Lifetimes, proto: Proto) -> Duration {
        match (proto, self.second && !self.closing) {
            (Proto::Udp, false) => lifetimes.udp_initial,
            (Proto::Udp, true) => lifetimes.udp_replied,
            (Proto::Tcp, false) => lifetimes.tcp_transitory,
            (Proto::Tcp, true) => lifetimes.tcp_established,
        }
    }
}

impl Rules<'_> {
    fn end(self, used: Duration, lifetime: Duration) -> Duration {
        let end = used.saturating_add(lifetime / self.divisor.max(1));
        let (nanos, sweep) = (end.as_nanos(), self.lifetimes.sweep.as_nanos());
        if sweep == 0 || nanos.is_multiple_of(sweep) {
            return end;
        }
        let wait = sweep - nanos % sweep;
        end.saturating_add(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }
}
