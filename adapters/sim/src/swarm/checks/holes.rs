//! I-9 to I-11: what is sent to punch holes goes to the one address that the server sees the peer at,
//! to ports that can be the peer's, and is not much.
//!
//! Two are held to it. The *server* may tell an end a burst only for a request between that end and the
//! peer (an issuer's only where it has shown that it is paired or was accepted), to the address at
//! which the peer's packets come out, and to ports that were seen there, that the peer told, or that
//! a counter can have reached since. The *end* may send to nothing but the ports of the bursts that it was
//! told lately, and to where the peer's own packets have come from; an acceptor only after it has
//! accepted. What is guessed at drawn ports has a number only.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use genkan_core::punch::Burst;
use genkan_core::wire::Kind;
use genkan_core::wire::message::Punch;

use super::lately::Lately;
use super::requests::Requests;
use super::roster::{Role, Roster};
use super::sessions::Sessions;
use super::{Broken, Seen, Verdict};
use crate::net::HostId;
use crate::packet::{Packet, Via};

/// How long an end may carry a burst out: an attempt takes 10 s, and its orders may wait in a host
/// that stands still.
const ORDER: Duration = Duration::from_secs(150);
/// Packets to the peer in one attempt: 128 and the guesses of a phone, and eight answers on each of
/// eight paths.
const BUDGET: usize = 128 + 256 + 64;
/// How long one attempt takes at most.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Packets in one second: those that leave at once, one each 6.25 ms, and answers.
const SECOND: usize = 32 + 160 + 16;
/// How far a counter of any step gets between its being seen and its being aimed at.
const REACH: u16 = 64 * 128;
/// How long ago a port was seen that is aimed at from.
const FRESH: Duration = Duration::from_secs(60);
/// Guesses of one burst.
const GUESSES: u16 = 1_024;

/// What a device was told to send.
#[derive(Debug)]
struct Order {
    at: Duration,
    /// The request, by the number that the device knows it by.
    request: u32,
    ip: IpAddr,
    ports: BTreeSet<u16>,
}

/// Where a device's packets come out.
#[derive(Debug, Default)]
struct Exits {
    /// Addresses at which the server sees it.
    ips: Lately<(HostId, IpAddr), ()>,
    /// Ports of such packets, and ports that it told its sockets are bound to.
    ports: Lately<(HostId, u16), ()>,
    /// The ports of such packets lately, with their times.
    fresh: BTreeMap<HostId, VecDeque<(Duration, u16)>>,
}

impl Exits {
    fn has(&self, host: HostId, ip: IpAddr) -> bool {
        self.ips.contains(&(host, ip))
    }

    fn add(&mut self, at: Duration, host: HostId, port: u16) {
        self.ports.hold((host, port), ());
        let fresh = self.fresh.entry(host).or_default();
        fresh.push_back((at, port));
        while fresh.front().is_some_and(|&(seen, _)| seen + FRESH < at) {
            fresh.pop_front();
        }
    }

    /// Whether this port is, or was, or may soon be one of its own.
    fn reaches(&self, host: HostId, port: u16) -> bool {
        let fresh = || self.fresh.get(&host).into_iter().flatten().map(|&(_, port)| port);
        let hull = fresh().min().zip(fresh().max());
        self.ports.contains(&(host, port))
            || hull.is_some_and(|(low, high)| {
                // A counter that goes round begins at the other end of its range, wherever that is.
                let round = low < REACH || high > u16::MAX - REACH;
                round || (low - REACH..=high + REACH).contains(&port)
            })
    }
}

#[derive(Debug, Default)]
pub(super) struct Holes {
    exits: Exits,
    orders: BTreeMap<HostId, VecDeque<Order>>,
    /// Whose connection with whom has stood lately.
    joined: Lately<(HostId, HostId), ()>,
    /// Where each device has heard its peers from.
    heard: Lately<(HostId, SocketAddr), ()>,
    /// When each device has sent to punch, by the number in its checks and the request that it was
    /// told of last: a connection gets another attempt with each request.
    sent: BTreeMap<(HostId, u32, u32), VecDeque<Duration>>,
}

impl Holes {
    pub(super) fn restarted(&mut self, host: HostId) {
        self.orders.remove(&host);
        self.sent.retain(|&(owner, ..), _| owner != host);
    }

    pub(super) fn turn(&mut self) {
        self.exits.ips.turn();
        self.exits.ports.turn();
        self.heard.turn();
        self.joined.turn();
        self.sent.clear();
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let orders: usize = self.orders.values().map(VecDeque::len).sum();
        let sent: usize = self.sent.values().map(VecDeque::len).sum();
        let fresh: usize = self.exits.fresh.values().map(VecDeque::len).sum();
        let exits = self.exits.ips.len() + self.exits.ports.len() + fresh;
        orders + sent + self.heard.len() + exits
    }

    /// A device's packet has left its network.
    pub(super) fn came_out(&mut self, roster: &Roster, host: HostId, packet: &Packet) {
        let place = (host, packet.source.ip());
        let to_server = roster.ends.contains(&packet.destination);
        // A connection can stand for long with nothing to say to the server.
        if packet.via != Via::Udp || !(to_server || self.exits.ips.contains(&place)) {
            return;
        }
        self.exits.ips.hold(place, ());
        if to_server {
            self.exits.add(packet.at, host, packet.source.port());
        }
        if packet.kind() == Some(Kind::Detect)
            && let Some(local) = packet.bytes.get(19..).and_then(|rest| rest.first_chunk())
        {
            self.exits.ports.hold((host, u16::from_be_bytes(*local)), ());
        }
    }

    pub(super) fn check(
        &mut self,
        roster: &Roster,
        seen: &Seen<'_>,
        requests: &mut Requests,
        sessions: &Sessions,
    ) -> Verdict {
        let at = seen.call.at;
        for &(_, with) in sessions.open_at(seen.call.host) {
            self.joined.hold((seen.call.host, with), ());
        }
        for (to, punch) in core::mem::take(&mut requests.bursts) {
            let role = roster.role(to).unwrap_or(Role::Server);
            self.ordered(roster, at, (to, role), &punch, requests)
                .map_err(|(rule, what)| Broken::new(rule, format!("the server: {what}")))?;
        }
        let Some(member) = roster.member(seen.call.host) else { return Ok(()) };
        self.hears(seen);
        for (to, bytes) in seen.datagrams() {
            let Ok(kind) = Kind::of(bytes) else { continue };
            self.goes(roster, seen, (kind, to, bytes), requests)
                .map_err(|(rule, what)| Broken::new(rule, format!("{}: {what}", member.name)))?;
        }
        Ok(())
    }

    /// The server tells a device a burst.
    fn ordered(
        &mut self,
        roster: &Roster,
        at: Duration,
        (to, role): (HostId, Role),
        punch: &Punch,
        requests: &Requests,
    ) -> Result<(), (&'static str, String)> {
        let ip = punch.peer.ip();
        let exits = &self.exits;
        let such = |peer| exits.has(peer, ip);
        // Whose connection stands may get another path for it; the server may know it for longer.
        let stands = || {
            roster
                .members
                .iter()
                .map(|member| member.host)
                .find(|&with| self.joined.contains(&(to, with)) && such(with))
        };
        let Some(peer) = requests.asks.partner(to, role, such).or_else(stands) else {
            return Err((
                "I-10",
                format!("sends {to:?} to {ip}, where nobody is whom it may meet"),
            ));
        };
        let Burst { ports, count, once, .. } = punch.burst;
        let ports: BTreeSet<u16> = ports.ports().take(count.into()).collect();
        if once && count > GUESSES {
            return Err(("I-11", format!("{count} guesses")));
        }
        let wild = ports.iter().find(|&&port| !once && !exits.reaches(peer, port));
        if let Some(port) = wild {
            return Err(("I-11", format!("sends {to:?} to port {port} of {ip}")));
        }
        let orders = self.orders.entry(to).or_default();
        orders.retain(|order| order.at + ORDER >= at);
        orders.push_back(Order { at, request: punch.request, ip, ports });
        Ok(())
    }

    /// What a device is shown of its peers.
    fn hears(&mut self, seen: &Seen<'_>) {
        let Some(input) = seen.input.filter(|input| input.over.is_none()) else { return };
        let of_peer = input.kind.is_some_and(is_of_peer);
        let author = input.author.filter(|&author| self.exits.has(author, input.source.ip()));
        if of_peer && author.is_some() {
            self.heard.hold((seen.call.host, input.source), ());
        }
    }

    /// A device sends a datagram.
    fn goes(
        &mut self,
        roster: &Roster,
        seen: &Seen<'_>,
        (kind, to, bytes): (Kind, SocketAddr, &[u8]),
        requests: &Requests,
    ) -> Result<(), (&'static str, String)> {
        let (host, at) = (seen.call.host, seen.call.at);
        if !is_of_peer(kind) {
            let known = roster.ends.contains(&to);
            return known.then_some(()).ok_or_else(|| ("I-10", format!("{kind:?} goes to {to}")));
        }
        let heard = self.heard.contains(&(host, to));
        if kind != own_punch(seen.role) {
            return heard
                .then_some(())
                .ok_or_else(|| ("I-10", format!("{kind:?} goes to {to}, unheard")));
        }
        let exits = &self.exits;
        let such = |peer| exits.has(peer, to.ip());
        let stands = roster
            .members
            .iter()
            .any(|member| self.joined.contains(&(host, member.host)) && such(member.host));
        if seen.role == Role::Acceptor && !stands && !requests.asks.admits(host, such) {
            return Err(("I-10", format!("{kind:?} goes to {to}, whom nobody has admitted")));
        }
        let mut orders = self.orders.get(&host).into_iter().flatten();
        let recent = |order: &&Order| order.at + ORDER >= at;
        if !heard && !orders.clone().filter(recent).any(|order| order.ip == to.ip()) {
            return Err((
                "I-10",
                format!("{kind:?} goes to {to}, which is not the peer's address"),
            ));
        }
        if !heard && !orders.any(|order| order.ip == to.ip() && order.ports.contains(&to.port())) {
            return Err(("I-11", format!("{kind:?} goes to {to}, whose port was not told")));
        }
        let orders = self.orders.get(&host).into_iter().flatten().rev();
        let last = { orders }.find(|order| order.ip == to.ip()).map_or(0, |order| order.request);
        self.counts(at, (host, last), bytes)
    }

    /// I-9: a packet more.
    fn counts(
        &mut self,
        at: Duration,
        (host, request): (HostId, u32),
        bytes: &[u8],
    ) -> Result<(), (&'static str, String)> {
        let index = bytes.get(2..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        let sent = self.sent.entry((host, u32::from_be_bytes(index), request)).or_default();
        sent.push_back(at);
        while sent.front().is_some_and(|&first| first + ATTEMPT < at) {
            sent.pop_front();
        }
        let within = sent.iter().filter(|&&one| one + Duration::from_secs(1) > at).count();
        if sent.len() > BUDGET || within > SECOND {
            let what = format!("{} packets to the peer, {within} in a second", sent.len());
            return Err(("I-9", what));
        }
        Ok(())
    }
}

/// Whether only issuers and acceptors send it to each other.
const fn is_of_peer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Answer
            | Kind::IssuerTransport
            | Kind::AcceptorTransport
            | Kind::IssuerPunch
            | Kind::AcceptorPunch
    )
}

/// What a device of this role punches with.
const fn own_punch(role: Role) -> Kind {
    match role {
        Role::Acceptor => Kind::AcceptorPunch,
        Role::Issuer | Role::Server => Kind::IssuerPunch,
    }
}
