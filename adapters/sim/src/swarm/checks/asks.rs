//! The requests that issuers have made lately.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use genkan_core::Instant;

use super::lately::{Lately, WINDOW};
use super::roster::Role;
use crate::net::HostId;

/// A request, as its issuer made it.
#[derive(Debug)]
pub(super) struct Ask {
    /// When, since the world's start.
    pub(super) made: Duration,
    pub(super) issuer: HostId,
    pub(super) target: Option<HostId>,
    /// The issuer's number for it.
    pub(super) number: u32,
    pub(super) offer: u64,
    pub(super) tagged: bool,
    /// Whether the target's door opens to it.
    pub(super) allowed: bool,
    /// It has a password that the target will try.
    pub(super) tries: bool,
    /// The server has passed it on in this life of the target.
    pub(super) tried: bool,
    /// When it first reached the server, by the server's clock.
    pub(super) delivered: Option<Instant>,
    /// The addresses that it came from.
    pub(super) from: BTreeSet<IpAddr>,
    /// The addresses that the server passed it on with.
    pub(super) passed: BTreeSet<SocketAddr>,
    /// It was accepted in this life of the acceptor.
    pub(super) accepted: bool,
    /// It was at some time, whatever the acceptor remembers.
    pub(super) met: bool,
}

/// The requests of the last [`WINDOW`]: none of them lives longer than a minute, even where the server
/// stands still for two.
#[derive(Debug, Default)]
pub(super) struct Asks {
    asks: VecDeque<Ask>,
    /// How many were forgotten.
    gone: u64,
    /// Which messages carry which request, by their prints.
    carries: Lately<u64, u64>,
    /// How many password tries the server has passed on to each acceptor.
    tries: BTreeMap<HostId, u32>,
}

impl Asks {
    /// The request with this offer, which `print` carries too; `ask` makes it where it is new.
    pub(super) fn carry(&mut self, print: u64, offer: u64, ask: impl FnOnce() -> Ask) {
        let known = self.asks.iter().rposition(|ask| ask.offer == offer);
        let index = known.unwrap_or(self.asks.len());
        self.carries.insert(print, self.gone + index as u64);
        if known.is_some() {
            return;
        }
        let ask = ask();
        while self.asks.front().is_some_and(|old| old.made + WINDOW < ask.made) {
            self.asks.pop_front();
            self.gone += 1;
        }
        self.asks.push_back(ask);
    }

    /// The request that a message carries.
    pub(super) fn carried(&mut self, print: u64) -> Option<&mut Ask> {
        let index = self.carries.get(&print)?.checked_sub(self.gone)?;
        self.asks.get_mut(usize::try_from(index).ok()?)
    }

    /// The latest one that is such.
    pub(super) fn latest(&mut self, such: impl Fn(&Ask) -> bool) -> Option<&mut Ask> {
        self.asks.iter_mut().rev().find(|ask| such(ask))
    }

    /// From the latest on.
    pub(super) fn latest_first(&mut self) -> impl Iterator<Item = &mut Ask> {
        self.asks.iter_mut().rev()
    }

    /// Whom a device may meet, of those that are such: an acceptor any who has asked for it, an issuer
    /// the one whom it has asked for, where that one knows it or has accepted it.
    pub(super) fn partner(
        &self,
        host: HostId,
        role: Role,
        such: impl Fn(HostId) -> bool,
    ) -> Option<HostId> {
        let other = |ask: &Ask| match role {
            Role::Issuer if ask.issuer == host && (ask.tagged || ask.met) => ask.target,
            Role::Acceptor if ask.target == Some(host) => Some(ask.issuer),
            _ => None,
        };
        self.asks.iter().rev().filter_map(other).find(|&partner| such(partner))
    }

    /// Whether an acceptor has accepted somebody who is such.
    pub(super) fn admits(&self, host: HostId, such: impl Fn(HostId) -> bool) -> bool {
        self.asks.iter().any(|ask| ask.target == Some(host) && ask.accepted && such(ask.issuer))
    }

    /// The server passes the request with this offer on.
    pub(super) fn pass(&mut self, offer: u64) -> Option<&mut Ask> {
        let ask = self.asks.iter_mut().rev().find(|ask| ask.offer == offer)?;
        if let Some(target) = ask.target.filter(|_| ask.tries && !ask.tried) {
            ask.tried = true;
            *self.tries.entry(target).or_default() += 1;
        }
        Some(ask)
    }

    /// How many password tries the server has passed on to an acceptor.
    pub(super) fn tries(&self, acceptor: HostId) -> u32 {
        self.tries.get(&acceptor).copied().unwrap_or(0)
    }

    /// An acceptor forgets what it has said to which offer.
    pub(super) fn restarted(&mut self, host: HostId) {
        for ask in self.asks.iter_mut().filter(|ask| ask.target == Some(host)) {
            (ask.accepted, ask.tried) = (false, false);
        }
    }

    pub(super) fn turn(&mut self) {
        self.carries.turn();
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.asks.len() + self.carries.len()
    }
}
