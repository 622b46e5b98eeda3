//! The way in: whose a packet is, whether the filter lets it pass, and what becomes of it if not.

use core::net::SocketAddr;
use core::time::Duration;

use super::config::{Filtering, Sharing, Unsolicited};
use super::life::Way;
use super::table::Remote;
use super::{Flow, Id, Nat, Proto, Refusal, rules};

impl Nat {
    /// Translates the destination of a packet on its way in.
    ///
    /// # Errors
    /// [`Refusal`]: it does not pass.
    pub fn inbound(
        &mut self,
        now: Duration,
        flow: Flow,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Refusal> {
        let proto = flow.proto();
        self.begin(now, proto)?;
        if self.blocked_remotes.holds(now, &from.ip())
            || self.blocked_ports.holds(now, &(proto, to))
        {
            return Err(Refusal::Filtered);
        }
        if let Some(inside) = self.fixed_in(proto, to) {
            return Ok(inside);
        }
        let Some(id) = self.entrance(proto, from, to) else {
            return Err(self.punish(now, flow, from, to, Refusal::NoMapping));
        };
        let rules = rules(&self.config, &self.table);
        if !self.lets_in(id, from) {
            if self.config.refresh.rejected {
                self.table.refresh(id, rules, now);
            }
            return Err(self.punish(now, flow, from, to, Refusal::Filtered));
        }
        let refresh = self.config.refresh.inbound;
        if !self.table.pass(id, rules, now, Way::In, (flow, refresh), from) {
            return Err(self.punish(now, flow, from, to, Refusal::Filtered));
        }
        self.table.get(id).map(|entry| entry.inside).ok_or(Refusal::NoMapping)
    }

    /// Whether a packet from `from` to `to` would be let in at the latest time that the box was told;
    /// changes nothing. A TCP SYN that was refused with [`Refusal::Reset`] is answered with an RST
    /// unless this says yes after the delay.
    #[must_use]
    pub fn admits(&self, proto: Proto, from: SocketAddr, to: SocketAddr) -> bool {
        self.fixed_in(proto, to).is_some()
            || self.entrance(proto, from, to).is_some_and(|id| self.lets_in(id, from))
    }

    /// Whose `to` is, as far as a packet from `from` is concerned, whether it would be let in or not.
    #[must_use]
    pub fn owner(&self, proto: Proto, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        self.fixed_in(proto, to)
            .or_else(|| Some(self.table.get(self.entrance(proto, from, to)?)?.inside))
    }

    /// An ICMP error from outside about a packet that went out, by the quoted packet's addresses as
    /// they were outside: the inside address that it is for, when there is a mapping and something was
    /// sent to `destination` lately. It refreshes nothing (RFC 7857 section 7.1), and ends the mapping
    /// only where the settings say so.
    pub fn icmp_error(
        &mut self,
        now: Duration,
        proto: Proto,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Option<SocketAddr> {
        self.advance(now);
        if now < self.closed_until {
            return None;
        }
        if let Some(inside) = self.fixed_in(proto, source) {
            return Some(inside);
        }
        let id = self.table.covering(proto, source, destination)?;
        let entry = self.table.get(id).filter(|entry| entry.knows(now, destination))?;
        let inside = entry.inside;
        if self.config.icmp_ends_mapping
            && let Some(entry) = self.table.remove(id)
        {
            self.bury(now, &entry);
        }
        Some(inside)
    }

    pub(super) fn fixed_in(&self, proto: Proto, to: SocketAddr) -> Option<SocketAddr> {
        if let Some(inside) = self.fixed.forwarded_at(proto, self.entry(to))
            && self.home(inside) == Some(to.ip())
        {
            return Some(inside);
        }
        self.fixed.leased_at(self.clock, proto, to).map(|lease| lease.inside)
    }

    fn lets_in(&self, id: Id, from: SocketAddr) -> bool {
        self.table.get(id).is_some_and(|entry| {
            let filtering = self.behaviour(entry.proto, entry.inside).1.filtering;
            entry.admits(self.clock, filtering, from)
        })
    }

    /// The mapping at `to` that a packet from `from` meets: where several share the port, one that is
    /// for `from`, else the latest that lets it in, else the latest.
    fn entrance(&self, proto: Proto, from: SocketAddr, to: SocketAddr) -> Option<Id> {
        let latest = self.table.latest_at(proto, to)?;
        let entry = self.table.get(latest)?;
        let behaviour = self.behaviour(proto, entry.inside).1;
        if behaviour.allocation.sharing == Sharing::Overloading || !self.table.shared(proto, to) {
            return Some(latest);
        }
        if let Some(id) = self.table.covering(proto, to, from)
            && self.lets_in(id, from)
        {
            return Some(id);
        }
        if behaviour.filtering != Filtering::AddressDependent || self.lets_in(latest, from) {
            return Some(latest);
        }
        let near = self.table.within(proto, to, Remote(Some(from.ip()), None));
        near.filter(|&id| self.lets_in(id, from)).max().or(Some(latest))
    }

    /// What becomes of a packet that is not let in, and of what comes after it.
    fn punish(
        &mut self,
        now: Duration,
        flow: Flow,
        from: SocketAddr,
        to: SocketAddr,
        refusal: Refusal,
    ) -> Refusal {
        let proto = flow.proto();
        match self.config.unsolicited {
            Unsolicited::Drop => refusal,
            Unsolicited::Icmp => Refusal::Icmp,
            Unsolicited::Reset(delay) if flow == Flow::Syn => Refusal::Reset(delay),
            Unsolicited::Reset(_) => refusal,
            unsolicited @ (Unsolicited::Occupy | Unsolicited::Reject) => {
                // TCP occupies nothing: with its RST the kernel forgets the flow.
                if unsolicited == Unsolicited::Occupy && flow == Flow::Udp {
                    let until = now.saturating_add(self.config.lifetimes.udp_initial);
                    self.occupied.set(now, (proto, to, from), until);
                }
                closed_port(flow, refusal)
            }
            Unsolicited::BlockRemote(time) => {
                self.blocked_remotes.set(now, from.ip(), now.saturating_add(time));
                refusal
            }
            Unsolicited::BlockPort(time) => {
                self.blocked_ports.set(now, (proto, to), now.saturating_add(time));
                refusal
            }
        }
    }
}

/// What a box with a stack of its own says to a packet for a port that is not open there.
pub(super) const fn closed_port(flow: Flow, silent: Refusal) -> Refusal {
    match flow {
        Flow::Udp => Refusal::Icmp,
        Flow::Syn | Flow::SynAck | Flow::Segment | Flow::Fin => Refusal::Reset(Duration::ZERO),
        Flow::Rst => silent,
    }
}
