//! How long a mapping, or a hole in its filter, lives.
//!
//! Each packet that refreshes sets the time of death anew, from the stage that the traffic is in: a
//! UDP flow that was not answered, one that was, the state of a TCP connection. What a change of the
//! settings or of the load means for lifetimes is felt with the next such packet, as with a real
//! timer. A packet that does not refresh can change the stage all the same, and the time then counts
//! from the last one that did; only a stage with a shorter time begins with the packet itself.

use core::time::Duration;

use super::lifetimes::{Lifetimes, TcpLifetimes};
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
    /// A TCP segment that is out of place does not pass.
    pub(super) strict: bool,
}

/// Where a TCP connection stands, as far as a box can see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    New,
    SynSent,
    /// A SYN from each side.
    Crossed,
    SynReceived,
    Established,
    /// A FIN, from there.
    FinWait(Way),
    CloseWait(Way),
    LastAck,
    TimeWait,
    Closed,
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    since: Duration,
    used: Duration,
    until: Duration,
    sent: bool,
    answered: bool,
    /// More than one packet has passed.
    again: bool,
    /// Before the last packet there had been one each way.
    mutual: bool,
    /// UDP's last stage.
    stream: bool,
    tcp: State,
}

impl Life {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            since: now,
            used: now,
            until: now,
            sent: false,
            answered: false,
            again: false,
            mutual: false,
            stream: false,
            tcp: State::New,
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

    /// A packet comes; whether it passes. `refresh`: whether it counts as a sign of life.
    pub(super) fn pass(
        &mut self,
        rules: Rules<'_>,
        now: Duration,
        way: Way,
        flow: Flow,
        refresh: bool,
    ) -> bool {
        if rules.strict && self.strays(way, flow) {
            if self.tcp == State::TimeWait && flow == Flow::Syn {
                self.tcp = State::Refused;
                self.until = self.until.min(rules.end(self.used, rules.lifetimes.tcp.refused));
            }
            return false;
        }
        let stage = (self.tcp, self.stream);
        match flow.proto() {
            Proto::Udp => self.pass_udp(rules.lifetimes, now, way),
            Proto::Tcp => self.pass_tcp(now, way, flow, (refresh, rules.strict)),
        }
        let before = self.until;
        if refresh {
            self.used = now;
        }
        let lifetime = self.lifetime(rules.lifetimes, flow.proto());
        self.until = rules.end(self.used, lifetime);
        if stage != (self.tcp, self.stream) {
            self.until = self.until.max(rules.end(now, lifetime).min(before));
        }
        true
    }

    /// Whether a segment is out of place: `sIV` in Linux's `tcp_conntracks`, for a connection that began
    /// inside; and an RST before any answer. A SYN from outside after both FINs ends the connection.
    const fn strays(&self, way: Way, flow: Flow) -> bool {
        use State as S;
        match (way, flow) {
            (Way::Out, Flow::SynAck) => !matches!(self.tcp, S::SynReceived | S::Crossed),
            (Way::In, Flow::Syn) => !matches!(self.tcp, S::SynSent | S::Crossed),
            (Way::Out, Flow::Segment) | (_, Flow::Fin) => {
                matches!(self.tcp, S::SynSent | S::Crossed)
            }
            (Way::Out, Flow::Rst) => !self.answered,
            _ => false,
        }
    }

    /// Counts as a sign of life without being traffic.
    pub(super) fn touch(&mut self, rules: Rules<'_>, now: Duration, proto: Proto) {
        self.used = now;
        let end = rules.end(now, self.lifetime(rules.lifetimes, proto));
        self.until = self.until.max(end);
    }

    /// A mapping with several connections lives as that one does. `used`: which was just used.
    pub(super) const fn follow(&mut self, longest: &Self) {
        *self = Self { used: self.used, since: self.since, ..*longest };
    }

    /// It was used, whatever that means for how long it lives.
    pub(super) const fn use_at(&mut self, now: Duration) {
        self.used = now;
    }

    fn pass_udp(&mut self, lifetimes: &Lifetimes, now: Duration, way: Way) {
        let answered_before = self.answered;
        self.again |= self.sent || self.answered;
        self.count(way);
        let after = lifetimes.udp_stream_after;
        self.stream |= if lifetimes.udp_single.is_some() {
            answered_before && way == Way::Out
        } else if after.is_zero() {
            self.answered
        } else {
            // As Linux does: the answer itself is not yet traffic of an answered flow.
            answered_before && now > self.since.saturating_add(after)
        };
    }

    const fn count(&mut self, way: Way) {
        match way {
            Way::Out => self.sent = true,
            Way::In => self.answered = true,
        }
    }

    /// The states of Linux's `tcp_conntracks`, but that a FIN which is sent again does not count as the
    /// other side's.
    fn pass_tcp(&mut self, now: Duration, way: Way, flow: Flow, (refresh, strict): (bool, bool)) {
        use State as S;
        let answered_before = self.answered;
        let ended = matches!(self.tcp, S::LastAck | S::TimeWait | S::Closed | S::Refused);
        let opens = matches!(flow, Flow::Syn | Flow::SynAck);
        // What comes in without being a sign of life begins nothing.
        if opens && ended && (refresh || way == Way::Out) {
            *self = Self { used: self.used, until: self.until, ..Self::new(now) };
        }
        self.mutual |= self.sent && self.answered;
        self.count(way);
        // The strict know who has begun: the inside.
        let crosses = if strict { way == Way::In } else { self.sent && self.answered };
        self.tcp = match (flow, self.tcp) {
            (Flow::Rst, _) if answered_before => S::Closed,
            (Flow::Rst, _) => S::Refused,
            (Flow::Syn, S::New) => S::SynSent,
            (Flow::Syn, S::SynSent) if crosses => S::Crossed,
            (Flow::Segment, S::Crossed) if strict => S::Crossed,
            (Flow::Segment, S::SynReceived) if strict && way == Way::In => S::SynReceived,
            (Flow::SynAck, S::New | S::SynSent | S::Crossed) => S::SynReceived,
            (Flow::Segment, S::New | S::Crossed | S::SynReceived) => S::Established,
            (Flow::Segment, S::FinWait(from)) => S::CloseWait(from),
            (Flow::Segment, S::LastAck) => S::TimeWait,
            (Flow::Fin, S::SynReceived | S::Established) => S::FinWait(way),
            (Flow::Fin, S::FinWait(from) | S::CloseWait(from)) if from != way => S::LastAck,
            (_, as_it_was) => as_it_was,
        };
    }

    fn lifetime(&self, lifetimes: &Lifetimes, proto: Proto) -> Duration {
        match (proto, self.stream, lifetimes.udp_single) {
            (Proto::Tcp, ..) => self.tcp_lifetime(&lifetimes.tcp),
            (Proto::Udp, true, _) => lifetimes.udp_replied,
            (Proto::Udp, false, Some(single)) if self.again => single,
            (Proto::Udp, false, _) => lifetimes.udp_initial,
        }
    }

    const fn tcp_lifetime(&self, tcp: &TcpLifetimes) -> Duration {
        match self.tcp {
            State::New | State::SynSent | State::Crossed => tcp.syn_sent,
            State::SynReceived => tcp.syn_received,
            State::Established if self.mutual => tcp.established,
            State::Established => tcp.unacknowledged,
            State::FinWait(_) => tcp.fin_wait,
            State::CloseWait(_) => tcp.close_wait,
            State::LastAck => tcp.last_ack,
            State::TimeWait => tcp.time_wait,
            State::Closed => tcp.closed,
            State::Refused => tcp.refused,
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
