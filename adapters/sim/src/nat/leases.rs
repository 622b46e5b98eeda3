//! Ports forwarded on request: the rules, whichever protocol asks.
//!
//! A lease is an endpoint-independent mapping that anybody may send to, with a lifetime of its own
//! that no traffic prolongs. It is on the first external address, or, in a firewall, on the inside
//! address itself.

use core::net::SocketAddr;
use core::time::Duration;

use super::config::{Blocks, Leases, Mapping, Sharing, Translation};
use super::fixed::Lease;
use super::table::Remote;
use super::{Nat, Proto};

/// The UDP port on which requests come (RFC 6886 section 1.1, RFC 6887 section 19.1).
pub const CONTROL_PORT: u16 = 5_351;

/// Why there is no lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Denied {
    /// Somebody else's, or set up by hand.
    NotAuthorized,
    /// The box has no external address.
    NoNetwork,
    /// As many leases as there may be, or no port is left.
    NoResources,
    /// The client wants this external address and port or none.
    CannotProvide,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) proto: Proto,
    pub(super) inside: SocketAddr,
    /// The external address and port that the client would like. Port 0, address 0: any.
    pub(super) wanted: SocketAddr,
    /// That or none.
    pub(super) strict: bool,
    /// In seconds, above 0.
    pub(super) lifetime: u32,
    pub(super) nonce: Option<[u8; 12]>,
}

impl Nat {
    /// Answers a request of NAT-PMP or PCP that came to [`CONTROL_PORT`] of the box's inside address.
    /// `None`: it does not answer.
    ///
    /// NAT-PMP as RFC 6886, PCP as RFC 6887 with the opcodes MAP and ANNOUNCE and the option
    /// PREFER_FAILURE. Which versions it speaks is in [`NatConfig::leases`](super::NatConfig::leases).
    pub fn port_control(
        &mut self,
        now: Duration,
        from: SocketAddr,
        request: &[u8],
    ) -> Option<Vec<u8>> {
        self.advance(now);
        let leases = self.config.leases.filter(|_| now >= self.closed_until)?;
        match *request.first()? {
            0 if leases.nat_pmp => self.nat_pmp(now, leases, from, request),
            2 if leases.pcp => self.pcp(now, leases, from, request),
            _ if leases.pcp => self.pcp_wrong_version(now, request),
            _ if leases.nat_pmp => self.nat_pmp_wrong_version(now, request),
            _ => None,
        }
    }

    /// Seconds since the box last lost its leases.
    pub(super) fn epoch_seconds(&self, now: Duration) -> u32 {
        let since = self.epoch.unwrap_or(now);
        u32::try_from(now.saturating_sub(since).as_secs()).unwrap_or(u32::MAX)
    }

    /// Gives or renews a lease: its external address, and its lifetime in seconds.
    pub(super) fn grant(
        &mut self,
        now: Duration,
        leases: Leases,
        asked: Asked,
    ) -> Result<(SocketAddr, u32), Denied> {
        let Asked { proto, inside, wanted, strict, nonce, .. } = asked;
        let home = self.home(inside).ok_or(Denied::NoNetwork)?;
        let longest = u32::try_from(leases.longest.as_secs()).unwrap_or(u32::MAX);
        let lifetime = asked.lifetime.min(longest);
        let other = |external: SocketAddr| {
            let address = !wanted.ip().is_unspecified() && wanted.ip() != external.ip();
            strict && (address || wanted.port() != 0 && wanted.port() != external.port())
        };
        if let Some(port) = self.fixed.forwarded_for(proto, inside) {
            let external = SocketAddr::new(home, port);
            return if other(external) {
                Err(Denied::CannotProvide)
            } else {
                Ok((external, lifetime))
            };
        }
        let external = match self.fixed.leased_for(now, proto, inside) {
            Some(external) => {
                let lease = self.fixed.leased_at(now, proto, external);
                if lease.is_some_and(|lease| lease.nonce != nonce) {
                    return Err(Denied::NotAuthorized);
                }
                if other(external) {
                    return Err(Denied::CannotProvide);
                }
                external
            }
            None if self.fixed.count_leases(now) >= leases.most => return Err(Denied::NoResources),
            None => {
                let external = self.lease_port(now, asked).ok_or(Denied::NoResources)?;
                if other(external) {
                    return Err(Denied::CannotProvide);
                }
                external
            }
        };
        let until = now.saturating_add(Duration::from_secs(lifetime.into()));
        self.fixed.lease(proto, external, Lease { inside, until, nonce });
        if !self.config.hold_down.is_zero() {
            let held = until.saturating_add(self.config.hold_down);
            self.held.set(proto, external, held);
        }
        Ok((external, lifetime))
    }

    /// An external address and port for a lease: the one that the inside address has already, or the
    /// wanted one, or any.
    fn lease_port(&mut self, now: Duration, asked: Asked) -> Option<SocketAddr> {
        let Asked { proto, inside, wanted, .. } = asked;
        let home = self.home(inside)?;
        if self.config.translation == Translation::None {
            return Some(inside);
        }
        if self.behaviour(proto, inside).1.mapping == Mapping::EndpointIndependent
            && let Some(entry) =
                self.table.latest_of(proto, inside).and_then(|id| self.table.get(id))
            && entry.external.ip() == home
            && !self.table.shared(proto, entry.external)
        {
            return Some(entry.external);
        }
        let place = self.space_of(inside.ip(), home);
        if !self.spaces.contains_key(&place) && !self.add_block(place) {
            return None;
        }
        self.catch_up(now, place, 0);
        let Self { table, fixed, held, occupied, spaces, rng, config, .. } = self;
        let taken = super::allocate::Taken { table, fixed, held, occupied };
        let spaces = spaces.get(&place)?;
        let free = |port: u16| {
            let at = SocketAddr::new(home, port);
            taken.free((now, proto), at, Remote::ANY, Sharing::Exclusive)
                && spaces.iter().all(|space| {
                    space.ports.index(port).is_none_or(|index| !space.crowd.has(index))
                })
        };
        let allowed = match config.blocks {
            // Home routers lease ports outside the range of their own mappings too.
            Blocks::None => wanted.port() >= 1_024 || config.ports.contains(&wanted.port()),
            _ => spaces.iter().any(|space| space.ports.index(wanted.port()).is_some()),
        };
        if wanted.port() != 0 && allowed && free(wanted.port()) {
            return Some(SocketAddr::new(home, wanted.port()));
        }
        spaces.iter().find_map(|space| {
            let index = space.ports.draw(rng, |_, port| free(port))?;
            Some(SocketAddr::new(home, space.ports.get(index)?))
        })
    }

    /// Ends a lease. One that does not exist is no error.
    pub(super) fn revoke(
        &mut self,
        now: Duration,
        proto: Proto,
        inside: SocketAddr,
        nonce: Option<[u8; 12]>,
    ) -> Result<(), Denied> {
        if self.fixed.forwarded_for(proto, inside).is_some() {
            return Err(Denied::NotAuthorized);
        }
        let Some(external) = self.fixed.leased_for(now, proto, inside) else { return Ok(()) };
        let lease = self.fixed.leased_at(now, proto, external);
        if lease.is_some_and(|lease| lease.nonce != nonce) {
            return Err(Denied::NotAuthorized);
        }
        self.fixed.release(proto, inside);
        if !self.config.hold_down.is_zero() {
            let held = now.saturating_add(self.config.hold_down);
            self.held.set(proto, external, held);
        }
        Ok(())
    }

    /// Ends those leases of an inside host that have this nonce.
    pub(super) fn revoke_all(
        &mut self,
        now: Duration,
        proto: Proto,
        from: SocketAddr,
        nonce: Option<[u8; 12]>,
    ) {
        for lease in self.fixed.leases_of(proto, from.ip()) {
            if lease.nonce == nonce {
                // Only a lease of another nonce is refused.
                let _ = self.revoke(now, proto, lease.inside, nonce);
            }
        }
    }
}
