//! The server's part of hole punching: it hands out bursts, learns ports from detection packets, and
//! tries again.
//!
//! A try goes through at most two stages. *Measure*: detection packets, with or without bubbles
//! between them. *Aim*: with the ports that were learned, packets that can meet. Methods whose ports
//! are known begin with the second. A try that was not reported as successful within [`PATIENCE`]
//! is followed by the next, with fresh sockets and fresh ports, up to [`ROUNDS`].

mod birthday;
mod early;
mod footing;
#[cfg(feature = "inspect")]
mod inspect;
mod punish;

use core::time::Duration;

use super::ability::Detector;
use super::burst::{Bracket, Burst, Moment};
use super::learned::Learned;
use super::plan::{End, Hopeless, Kind, Method, Party, Plan, bracket_for, plan, sockets_to_look};
use super::ramp::WIDEST;
use crate::nat::{Allocation, Differential, Forecast, Mapping, PortRange, Sighting};
use crate::time::{Instant, earliest};

/// How many tries there are.
pub const ROUNDS: u8 = 5;
/// How long a try may take before the next one begins; doubles.
const PATIENCE: Duration = Duration::from_millis(400);
/// How long the second of two detection packets is waited for: they left together.
const STRAGGLER: Duration = Duration::from_millis(40);
/// How long an end that was heard is given to hear the other.
const GRACE: Duration = Duration::from_millis(1_500);

/// The server's side of one attempt.
#[derive(Clone, Debug)]
pub struct Coordinator {
    issuer: Party,
    acceptor: Party,
    plan: Plan,
    round: u8,
    last_round: u8,
    learned: [Learned; 2],
    /// Where the try before saw each end's counter, and when that try began.
    seen: [Option<(u16, Instant)>; 2],
    aimed: bool,
    due: [Option<Burst>; 2],
    began: Instant,
    tried_at: Instant,
    next_try: Option<Instant>,
    straggler: Option<Instant>,
    /// An end was given time in this try.
    graced: bool,
    /// The replier shows the socket that it will reply from first.
    showing: bool,
    /// The direct way has failed: a port is looked for, by turns.
    doubted: bool,
}

impl Coordinator {
    /// Begins with the plan for the two.
    ///
    /// # Errors
    /// [`Hopeless`]: there is none.
    pub fn new(now: Instant, issuer: Party, acceptor: Party) -> Result<Self, Hopeless> {
        Self::from_round(now, issuer, acceptor, 0)
    }

    /// As [`Coordinator::new`], for two of which more is known than when another began: rounds are
    /// counted on from this number, so that what was seen for the other is not taken for ours.
    ///
    /// # Errors
    /// [`Hopeless`]: there is no plan.
    pub fn from_round(
        now: Instant,
        issuer: Party,
        acceptor: Party,
        round: u8,
    ) -> Result<Self, Hopeless> {
        let plan = plan(&issuer, &acceptor)?;
        let mut new = Self {
            issuer,
            acceptor,
            plan,
            round,
            last_round: round.saturating_add(ROUNDS.saturating_sub(1)),
            learned: [Learned::default(); 2],
            seen: [None; 2],
            aimed: false,
            due: [None; 2],
            began: now,
            tried_at: now,
            next_try: None,
            straggler: None,
            graced: false,
            showing: false,
            doubted: false,
        };
        new.begin(now);
        Ok(new)
    }

    /// The number of the round that is under way.
    #[must_use]
    pub const fn round(&self) -> u8 {
        self.round
    }

    /// The number of the first try.
    const fn first_round(&self) -> u8 {
        self.last_round.saturating_sub(ROUNDS.saturating_sub(1))
    }

    /// How many tries there were before this one.
    const fn tries(&self) -> u8 {
        self.round.saturating_sub(self.first_round())
    }

    /// Method and roles.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the next burst for an end is, without taking it.
    #[must_use]
    pub fn due(&self, end: End) -> Option<&Burst> {
        self.due.get(place(end))?.as_ref()
    }

    /// The next burst for an end.
    pub fn poll_burst(&mut self, end: End) -> Option<Burst> {
        self.due.get_mut(place(end))?.take()
    }

    /// When to call [`Coordinator::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.next_try, self.straggler)
    }

    /// A detection packet of this end was seen, authentic and from its observed address (its port
    /// may be any). `sighting.local` is what the end says. The first of each moment counts; whatever
    /// contradicts it later is passed over.
    pub fn handle_detection(
        &mut self,
        now: Instant,
        end: End,
        round: u8,
        moment: Moment,
        sighting: &Sighting,
    ) {
        let same_host = sighting.observed.shares_ip(self.party(end).observed);
        let known = self.learned(end).has(moment);
        if round != self.round || !same_host || known || sighting.port() == 0 {
            return;
        }
        let trip = now.since(self.tried_at);
        let Some(learned) = self.learned.get_mut(place(end)) else { return };
        learned.trip.get_or_insert(trip);
        match moment {
            Moment::Announce => {
                learned.announced = true;
                learned.local = sighting.local;
            }
            Moment::Before => learned.before = Some(sighting.port()),
            Moment::After => {
                learned.after = Some(sighting.port());
                if !learned.announced {
                    learned.local = sighting.local;
                }
            }
        }
        let reported = match self.party(end).detector {
            Detector::Server => Duration::ZERO,
            // There and back once more. What was late is not waited for as long again.
            Detector::Equipment => trip.min(GRACE).saturating_mul(2),
        };
        self.straggler = Some(now.after(STRAGGLER.saturating_add(reported)));
        if self.showing && self.learned(self.plan.bubbler.other()).after.is_some() {
            (self.showing, self.straggler) = (false, None);
            self.bubble(now);
        }
        self.aim(false);
    }

    /// The end has computed its range itself, from the ports that were reported to it (punch claims
    /// 51, 54, 98). It is used within what was observed here.
    pub fn handle_range(&mut self, end: End, round: u8, range: PortRange) {
        if round == self.round
            && let Some(learned) = self.learned.get_mut(place(end))
        {
            learned.claimed = Some(range);
            self.aim(false);
        }
    }

    /// This end has heard its peer: the next try would close the sockets that the path stands on, so
    /// it waits until the peer has had time to hear, too. Once in each try: an end that says so again
    /// and again does not hold up the other.
    pub fn handle_heard(&mut self, now: Instant) {
        if !self.graced {
            self.graced = true;
            self.next_try = self.next_try.map(|at| at.max(now.after(GRACE)));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.straggler.is_some_and(|at| at <= now) {
            self.straggler = None;
            self.aim(true);
        }
        if self.next_try.is_some_and(|at| at <= now) {
            self.round = self.round.saturating_add(1);
            self.begin(now);
        }
    }

    /// More is known of the two than when this began. Where that changes nothing the try goes on;
    /// otherwise the next one begins, and there are as many as for a new attempt.
    ///
    /// # Errors
    /// [`Hopeless`]: there is no plan.
    pub fn renew(&mut self, now: Instant, issuer: Party, acceptor: Party) -> Result<(), Hopeless> {
        let next = self.round.saturating_add(1);
        let unchanged = issuer.is_like(&self.issuer) && acceptor.is_like(&self.acceptor);
        if plan(&issuer, &acceptor)? == self.plan && unchanged {
            (self.issuer, self.acceptor, self.began) = (issuer, acceptor, now);
        } else {
            *self = Self::from_round(now, issuer, acceptor, next)?;
        }
        Ok(())
    }

    /// One of the two.
    #[must_use]
    pub const fn party(&self, end: End) -> &Party {
        match end {
            End::Issuer => &self.issuer,
            End::Acceptor => &self.acceptor,
        }
    }

    fn give(&mut self, end: End, burst: Burst) {
        let hops = self.hops(end);
        if let Some(due) = self.due.get_mut(place(end)) {
            *due = Some(Burst { hops, ..burst });
        }
    }

    fn learned(&self, end: End) -> Learned {
        self.learned.get(place(end)).copied().unwrap_or_default()
    }

    /// The first bursts of a try.
    fn begin(&mut self, now: Instant) {
        let before = core::mem::take(&mut self.learned);
        self.seen = before.map(|learned| Some((learned.after?, self.tried_at)));
        // What nobody has asked for speaks of ports that are gone.
        self.due = [None; 2];
        (self.aimed, self.graced, self.straggler) = (false, false, None);
        let tries = self.tries();
        let patience = PATIENCE.saturating_mul(1_u32.checked_shl(tries.into()).unwrap_or(1));
        self.tried_at = now;
        let more = self.round < self.last_round;
        self.next_try = more.then(|| now.after(patience));
        self.doubt();
        self.showing = self.has_to_show(now);
        if self.showing {
            let show = Burst::only(self.round, Bracket::After);
            self.give(self.plan.bubbler.other(), show);
        } else {
            self.bubble(now);
        }
    }

    /// The first bursts, the replier's socket being known.
    fn bubble(&mut self, now: Instant) {
        let (round, bubbler) = (self.round, self.plan.bubbler);
        let replier = bubbler.other();
        let to = self.replier_s_port();
        match self.plan.method {
            Method::Direct => self.begin_direct(),
            Method::First => self.give(bubbler, Burst::from_fresh(round, 1, to, Bracket::After)),
            Method::BothFirst => {
                for end in [bubbler, replier] {
                    self.give(end, Burst::only(round, Bracket::Announce));
                }
            }
            Method::Bracket => {
                let bracket = bracket_for(&self.party(bubbler).profile);
                self.give(bubbler, Burst::from_fresh(round, 1, to, bracket));
                let early = self.early(bubbler).filter(|_| !self.punishes(bubbler));
                if let Some(replies) = early {
                    self.reply(replies);
                }
            }
            Method::Birthday => self.begin_birthday(now),
            Method::Ramp => {
                for end in [bubbler, replier] {
                    let first = self.look_for_ramp(end);
                    self.give(end, first);
                }
            }
        }
    }

    /// A NAT that was only seen from one address of the server may map each address anew: when the
    /// direct way has failed, its port is looked for; where both may, in turn.
    fn doubt(&mut self) {
        self.doubted |= self.plan.method == Method::Direct && self.tries() > 0;
        if !self.doubted {
            return;
        }
        for end in [End::Acceptor, End::Issuer] {
            let doubtful = self.party(end).profile.mapping == Mapping::PortIndependent;
            let other = Kind::of(&self.party(end.other()).profile);
            let can = self.party(end).limits.sockets >= sockets_to_look(&self.party(end).profile);
            if doubtful
                && can
                && other == Kind::Known
                && (self.tries() & 1 == 1) == (end == End::Acceptor)
            {
                self.plan.method = Method::Bracket;
                self.plan.bubbler = end;
                return;
            }
        }
    }

    /// When enough is learned, the bursts that can meet. `late`: what is missing will not come.
    fn aim(&mut self, late: bool) {
        if self.aimed || self.showing {
            return;
        }
        let (round, bubbler) = (self.round, self.plan.bubbler);
        let replier = bubbler.other();
        let (one, other) = (self.learned(bubbler), self.learned(replier));
        match self.plan.method {
            Method::Direct => self.reply_after_bubble(),
            Method::First if one.local != 0 => {
                self.aimed = true;
                self.reply(Burst::to_port(round, one.local));
            }
            Method::BothFirst if one.local != 0 && other.local != 0 => {
                self.aimed = true;
                for (end, port) in [(bubbler, other.local), (replier, one.local)] {
                    let burst = Burst::from_fresh(round, 1, port, Bracket::None);
                    self.give(end, Burst { keep: true, ..burst });
                }
            }
            Method::Bracket => {
                if let Some(ports) = self.bracketed(bubbler, late) {
                    self.aimed = true;
                    self.reply(Burst::from_registered(round, ports, WIDEST));
                }
            }
            Method::Ramp => self.aim_ramp(late),
            Method::Birthday if late => self.guess(),
            _ => {}
        }
    }

    /// Where the bubble of an end that was bracketed is.
    fn bracketed(&self, end: End, late: bool) -> Option<Forecast> {
        // A step that has not led to the port twice may be a multiple of the true one.
        let differential = step(self.party(end)).filter(|_| self.tries() < 2);
        let learned = self.learned(end);
        // An end that computes its range itself is waited for, a while.
        if self.party(end).detector == Detector::Equipment && learned.claimed.is_none() && !late {
            return None;
        }
        learned.bracketed(differential, late)
    }
}

const fn place(end: End) -> usize {
    match end {
        End::Issuer => 0,
        End::Acceptor => 1,
    }
}

fn step(party: &Party) -> Option<Differential> {
    match party.profile.allocation {
        Allocation::Sequential(step) => Some(step),
        _ => None,
    }
}
