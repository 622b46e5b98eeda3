//! NATs that punish what comes in before their equipment has sent there.
//!
//! The one end's bubble gets a hop limit with which it makes its mapping and ends before the peer's NAT;
//! the peer's packets, for which the way is open then, are plain. How many routers stand before the
//! sender's own NAT and behind it nobody knows, so each try has another limit; none is without one,
//! since that could cost the peer its registration.
//! Where the bubbler's NAT punishes, too, the replier sends when the server has seen that the bubble
//! has left: a packet that comes early would spoil both ends' ports for as long as they are tried.

use core::time::Duration;

use super::super::burst::{Bracket, Burst};
use super::super::plan::{End, Method};
use super::Coordinator;
use crate::time::Instant;

/// Hop limits by tries: past a home's router and the one before it; where the two ends are near each
/// other; through a carrier's NAT.
const HOPS: [u8; 3] = [4, 2, 7];
/// For guessing, which has one try: drawn ports are carriers'.
const HOPS_TO_GUESS: u8 = 7;
/// How long a measurement may have displaced the registered socket: twice what Linux remembers.
const DISPLACED: Duration = Duration::from_secs(60);

impl Coordinator {
    /// Whether what comes to this end before it has sent does harm.
    pub(super) const fn punishes(&self, end: End) -> bool {
        self.party(end).profile.punishes
    }

    /// The hop limit of this end's packets to the peer in this try; 0: the usual one.
    pub(super) fn hops(&self, end: End) -> u8 {
        let bubbler = self.plan.bubbler;
        // Where both send at the same time either can hold back; else replies come after the bubble.
        let together = matches!(self.plan.method, Method::Ramp | Method::BothFirst);
        let limited = if self.punishes(bubbler.other()) {
            Some(bubbler)
        } else {
            (together && self.punishes(bubbler)).then_some(bubbler.other())
        };
        match self.plan.method {
            _ if limited != Some(end) => 0,
            Method::Birthday => HOPS_TO_GUESS,
            _ => HOPS.into_iter().cycle().nth(self.tries().into()).unwrap_or(0),
        }
    }

    /// Whether the replier shows a fresh socket first, since nobody knows where its registered one is:
    /// once behind such a NAT, and where the limit of a try before may have been too high.
    pub(super) fn has_to_show(&self, now: Instant) -> bool {
        let replier = self.party(self.plan.bubbler.other());
        let age = replier.age.saturating_add(now.since(self.began));
        let registered =
            matches!(self.plan.method, Method::Direct | Method::First | Method::Bracket);
        let displaced = replier.profile.displaced && age < DISPLACED;
        let spoilt = replier.profile.punishes && self.tries() > 0;
        registered && (displaced || spoilt) && replier.limits.sockets > 0
    }

    /// The port that the replier sends from.
    pub(super) fn replier_s_port(&self) -> u16 {
        let replier = self.plan.bubbler.other();
        self.learned(replier).after.unwrap_or_else(|| self.party(replier).observed.port())
    }

    /// Packets of the replier, from its registered socket or the one that it has shown.
    pub(super) fn reply(&mut self, burst: Burst) {
        let replier = self.plan.bubbler.other();
        // Whoever can open none has shown none, whatever it says.
        let shown = self.learned(replier).after.is_some() && self.party(replier).limits.sockets > 0;
        let burst = if shown { Burst { sockets: 1, keep: true, ..burst } } else { burst };
        self.give(replier, burst);
    }

    /// Both ends' ports are known, or one is and whoever answers may come from any.
    ///
    /// Where nothing is punished, and in the first try where only the replier's NAT does, both send
    /// at once. Else the bubble leaves from a socket of this try: whatever went wrong in the one
    /// before, nothing has been punished for that port yet.
    pub(super) fn begin_direct(&mut self) {
        let (round, bubbler) = (self.round, self.plan.bubbler);
        let to = self.replier_s_port();
        if !self.punishes(bubbler) && (self.tries() == 0 || !self.punishes(bubbler.other())) {
            self.aimed = true;
            self.give(bubbler, Burst::to_port(round, to));
            let back = self.party(bubbler).observed.port();
            self.reply(Burst::to_port(round, back));
        } else if self.party(bubbler).limits.sockets > 0 {
            self.give(bubbler, Burst::from_fresh(round, 1, to, Bracket::After));
        } else {
            self.give(bubbler, Burst { bracket: Bracket::After, ..Burst::to_port(round, to) });
        }
    }

    /// The packet after the bubble has come: so has the bubble left, and from the same port.
    pub(super) fn reply_after_bubble(&mut self) {
        let bubbler = self.plan.bubbler;
        if let Some(port) = self.learned(bubbler).after {
            self.aimed = true;
            self.reply(Burst::to_port(self.round, port));
        }
    }
}
