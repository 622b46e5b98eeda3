//! I-3, I-6, I-8, I-21: the way of a request, from the issuer's offer to the acceptor's dial.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use genkan_core::inspect::{Body, LoggedRoot, open, open_initiation, open_offer};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{
    ConnectRequest, Punch, Reason, ToEquipment, ToServer, Verdict as Decision,
};
use genkan_core::{AcceptorEvent, Command, ConnectionId, FRAME_PREFIX, Instant};

use super::asks::{Ask, Asks};
use super::lately::Lately;
use super::roster::{Member, Role, Roster};
use super::{Broken, Seen, Verdict, digest, messages, print, roots};
use crate::fleet::{AcceptorApp, FleetServer};
use crate::net::HostId;
use crate::node::Effect;
use crate::swarm::build::{PASSWORD, REFUSAL};

/// How long an acceptor may take from accepting to dialling: it waits that long for its flash.
const DIAL: Duration = Duration::from_secs(6);
/// How long it may then go on calling: a dial, and twice as long as one more.
const CALLS: Duration = Duration::from_secs(15);
/// How long a server may go on waking for one request.
const WAKING: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(in crate::swarm) struct Requests {
    pub(super) asks: Asks,
    /// Whose session a root is.
    holders: Lately<LoggedRoot, HostId>,
    /// Under which root the server's last message to each address was.
    lately: Lately<SocketAddr, LoggedRoot>,
    /// Initiations that were looked into.
    opened: Lately<u64, ()>,
    /// How many of each acceptor's events were looked at.
    told: BTreeMap<HostId, usize>,
    /// Where each acceptor may dial, and until when.
    dials: BTreeMap<HostId, Vec<(SocketAddr, Duration)>>,
    /// Whom each acceptor may call, and until when.
    calls: BTreeMap<HostId, Vec<(IpAddr, Duration)>>,
    /// Bursts that the server has told since they were looked at, and to whom.
    pub(super) bursts: Vec<(HostId, Punch)>,
    /// How long refusals are, by the bytes that the issuer's number takes.
    refused: BTreeMap<u32, usize>,
}

impl Requests {
    pub(super) fn restarted(&mut self, host: HostId) {
        self.told.remove(&host);
        self.dials.remove(&host);
        self.calls.remove(&host);
        self.asks.restarted(host);
    }

    pub(super) fn turn(&mut self) {
        self.asks.turn();
        self.holders.turn();
        self.lately.turn();
        self.opened.turn();
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let dials: usize = self.dials.values().map(Vec::len).sum();
        let dials = dials + self.calls.values().map(Vec::len).sum::<usize>();
        let sessions = self.holders.len() + self.lately.len() + self.opened.len();
        self.asks.entries() + dials + sessions
    }

    /// How many password tries the server has passed on to an acceptor.
    pub(super) fn tries(&self, acceptor: HostId) -> u32 {
        self.asks.tries(acceptor)
    }

    /// `open`: the connections that stand at this host, and with whom.
    pub(super) fn check(
        &mut self,
        roster: &Roster,
        seen: &Seen<'_>,
        open: &[(ConnectionId, HostId)],
    ) -> Verdict {
        match seen.role {
            Role::Server => self.server(roster, seen),
            Role::Issuer | Role::Acceptor => {
                let Some(member) = roster.member(seen.call.host) else { return Ok(()) };
                self.sends(roster, member, seen)?;
                if seen.role == Role::Acceptor {
                    self.acceptor(roster, member, seen, open)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// I-8, and what a device's messages carry.
    fn sends(&mut self, roster: &Roster, member: &Member, seen: &Seen<'_>) -> Verdict {
        for message in messages(seen) {
            match Kind::of(message) {
                Ok(Kind::Initiation) => self.initiation(roster, member, seen, message)?,
                Ok(Kind::Transport) => self.transport(roster, member, seen, message),
                _ => {}
            }
        }
        Ok(())
    }

    fn initiation(
        &mut self,
        roster: &Roster,
        member: &Member,
        seen: &Seen<'_>,
        message: &[u8],
    ) -> Verdict {
        let print = print(message);
        // To look into one costs two scalar multiplications: an acceptor's, which carries nothing, is
        // opened one time in four.
        let skipped = member.role == Role::Acceptor && !print.is_multiple_of(4);
        if skipped || self.opened.insert(print, ()).is_some() {
            return Ok(());
        }
        let Some(key) = &roster.server_key else { return Ok(()) };
        let mut out = [0; 1024];
        match open_initiation(key, message, &mut out) {
            Some((id, hello)) if id == member.id => {
                if let Some(connect) = hello.early {
                    self.asks_for(roster, member, &connect, (print, seen.call.at));
                }
                Ok(())
            }
            other => {
                let whose = other.map(|(id, _)| id);
                let what = format!(
                    "{}'s Initiation is sealed to another key, or {whose:?}'s",
                    member.name
                );
                Err(Broken::new("I-8", what))
            }
        }
    }

    fn transport(&mut self, roster: &Roster, member: &Member, seen: &Seen<'_>, message: &[u8]) {
        let mut found = Vec::new();
        roots(seen.role, seen.node, &mut |root| found.push(root));
        for root in &found {
            self.holders.insert(*root, member.host);
        }
        if member.role != Role::Issuer {
            return;
        }
        let mut scratch = [0; genkan_core::MAX_DATAGRAM];
        for root in found {
            let bytes = &mut scratch[..message.len()];
            bytes.copy_from_slice(message);
            if let Some(Body::ToServer(body)) = open(&root, bytes) {
                if let ToServer::Connect(connect) = body {
                    let carrier = (print(message), seen.call.at);
                    self.asks_for(roster, member, &connect, carrier);
                }
                return;
            }
        }
    }

    fn asks_for(
        &mut self,
        roster: &Roster,
        issuer: &Member,
        connect: &ConnectRequest<'_>,
        (print, made): (u64, Duration),
    ) {
        let offer = digest(connect.offer);
        self.asks.carry(print, offer, || {
            let target = roster.holder(&connect.target);
            let (allowed, tries) = target.map_or((false, false), |target| {
                let password =
                    open_offer(&target.key, connect.offer).and_then(|(_, offer)| offer.password);
                let door = target.door;
                let free = door.open || (door.paired && issuer.paired);
                let tries = !free && door.password && password.is_some();
                (free || (tries && password == Some(PASSWORD)), tries)
            });
            Ask {
                made,
                issuer: issuer.host,
                target: target.map(|target| target.host),
                number: connect.request,
                offer,
                tagged: connect.early_tag.is_some(),
                allowed,
                tries,
                tried: false,
                delivered: None,
                from: BTreeSet::new(),
                passed: BTreeSet::new(),
                accepted: false,
                met: false,
            }
        });
    }

    /// I-3, I-21.
    fn server(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        self.deliver(seen);
        let Some(server) = seen.node.machine().downcast_ref::<FleetServer>() else { return Ok(()) };
        let mut known = Vec::new();
        for effect in seen.call.effects {
            let (to, message) = match effect {
                Effect::Datagram { remote, bytes, .. } => (Some(*remote), &bytes[..]),
                Effect::Write { bytes, .. } => {
                    (None, bytes.get(FRAME_PREFIX..).unwrap_or_default())
                }
                _ => continue,
            };
            if Kind::of(message) != Ok(Kind::ServerTransport) {
                continue;
            }
            if known.is_empty() {
                roots(Role::Server, seen.node, &mut |root| known.push(root));
            }
            // Most of what goes to an address is under the root of what went there last.
            let last = to.and_then(|to| self.lately.get(&to));
            if let Some(at) = last.and_then(|last| known.iter().position(|root| root == last)) {
                known.swap(0, at);
            }
            let mut scratch = [0; genkan_core::MAX_DATAGRAM];
            for root in &known {
                let bytes = &mut scratch[..message.len()];
                bytes.copy_from_slice(message);
                let Some(Body::ToEquipment(body)) = open(root, bytes) else { continue };
                if let Some(to) = to {
                    self.lately.insert(to, *root);
                }
                let holder = self.holders.get(root).copied();
                let member = holder.and_then(|holder| roster.member(holder));
                let listed = member.and_then(|member| server.location(&member.id));
                let letter = Letter { holder, to, listed, len: message.len() };
                self.letter(seen, &letter, body)?;
                break;
            }
        }
        Ok(())
    }

    fn deliver(&mut self, seen: &Seen<'_>) {
        let Some(input) = seen.input else { return };
        let now = seen.call.now;
        if input.over.is_none() {
            if let Some(ask) = self.asks.carried(input.print) {
                ask.delivered.get_or_insert(now);
                ask.from.insert(input.source.ip());
            }
        } else if let Some((_, other)) = input.over {
            // Which of the connection's bytes it is cannot be seen: any of its own requests.
            for ask in self.asks.latest_first().take(16).filter(|ask| ask.issuer == other) {
                ask.delivered.get_or_insert(now);
                ask.from.insert(input.source.ip());
            }
        }
    }

    fn letter(&mut self, seen: &Seen<'_>, letter: &Letter, body: ToEquipment<'_>) -> Verdict {
        let broken = |what: String| Err(Broken::new("I-3", what));
        let Letter { holder, to, listed, len } = *letter;
        let elsewhere = to.is_some() && to != listed;
        match body {
            ToEquipment::Notify(notify) => {
                let offer = digest(notify.offer);
                let Some(ask) = self.asks.pass(offer) else {
                    return broken("a notification with an offer that nobody made".into());
                };
                if holder.is_none() || ask.target != holder || elsewhere {
                    return broken(format!(
                        "a notification for {:?} goes to {holder:?} at {to:?}, listed at {listed:?}",
                        ask.target
                    ));
                }
                if !ask.from.contains(&notify.issuer.ip()) {
                    return broken(format!("{} has asked from {:?}", notify.issuer, ask.from));
                }
                ask.passed.insert(notify.issuer.into());
            }
            ToEquipment::Wake(_) => {
                let now = seen.call.now;
                let waits = |ask: &Ask| {
                    let recent = |at: Instant| now.since(at) <= WAKING;
                    ask.target == holder && ask.delivered.is_some_and(recent)
                };
                if holder.is_none() || elsewhere || self.asks.latest(waits).is_none() {
                    return broken(format!("{holder:?} at {to:?} is waked, listed at {listed:?}"));
                }
            }
            ToEquipment::Punch(punch) => {
                let Some(holder) = holder else {
                    return broken(format!("a burst for {holder:?} goes to {to:?}"));
                };
                self.bursts.push((holder, punch));
            }
            ToEquipment::Refused(refused) => {
                let own = |ask: &Ask| Some(ask.issuer) == holder && ask.number == refused.request;
                let Some(ask) = self.asks.latest(own).filter(|ask| !ask.tagged) else {
                    return Ok(());
                };
                let early = ask.delivered.is_none_or(|at| seen.call.now.since(at) < REFUSAL);
                let digits = (refused.request | 1).ilog2() / 7;
                let length = *self.refused.entry(digits).or_insert(len);
                if early || refused.reason != Reason::Unspecified || length != len {
                    let what = format!(
                        "a stranger is told {:?} in {len} B, early: {early}",
                        refused.reason
                    );
                    return Err(Broken::new("I-21", what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// I-6.
    fn acceptor(
        &mut self,
        roster: &Roster,
        member: &Member,
        seen: &Seen<'_>,
        open: &[(ConnectionId, HostId)],
    ) -> Verdict {
        let Some(app) = seen.node.app().downcast_ref::<AcceptorApp>() else { return Ok(()) };
        let told = self.told.entry(member.host).or_default();
        let events = app.log.events.get(*told..).unwrap_or_default();
        *told = app.log.events.len();
        for (_, event) in events {
            let AcceptorEvent::Requested { issuer, address, verdict } = event else { continue };
            if seen.input.is_none_or(|input| input.author != Some(roster.server)) {
                let what =
                    format!("{} is asked by something that is not the server's", member.name);
                return Err(Broken::new("I-8", what));
            }
            if *verdict == Decision::Accepted {
                let issuer = issuer.and_then(|id| roster.holder(&id)).map(|issuer| issuer.host);
                // Whose connection stands may ask for another path for it.
                let stands = open.iter().any(|&(_, with)| Some(with) == issuer);
                let good = |ask: &Ask| {
                    let who = Some(ask.issuer) == issuer && ask.target == Some(member.host);
                    let may = ask.allowed || stands;
                    who && may && !ask.accepted && ask.passed.contains(address)
                };
                let Some(ask) = self.asks.latest(good) else {
                    let what = format!("{} accepts {issuer:?} at {address}", member.name);
                    return Err(Broken::new("I-6", what));
                };
                (ask.accepted, ask.met) = (true, true);
                let dials = self.dials.entry(member.host).or_default();
                dials.retain(|&(_, until)| seen.call.at <= until);
                dials.push((*address, seen.call.at + DIAL));
                let calls = self.calls.entry(member.host).or_default();
                calls.retain(|&(_, until)| seen.call.at <= until);
                calls.push((address.ip(), seen.call.at + DIAL + CALLS));
            }
        }
        for effect in seen.call.effects {
            if let Effect::Command(Command::ConnectFrom { remote, .. }) = effect {
                let calls = self.calls.entry(member.host).or_default();
                let may = |&(ip, until)| ip == remote.ip() && seen.call.at <= until;
                if !calls.iter().any(may) {
                    return Err(Broken::new("I-6", format!("{} calls {remote}", member.name)));
                }
            }
            let Effect::Command(Command::Connect { remote, .. }) = effect else { continue };
            if roster.addresses.contains(remote) {
                continue;
            }
            let dials = self.dials.entry(member.host).or_default();
            let at = seen.call.at;
            let good = dials.iter().position(|&(address, until)| address == *remote && at <= until);
            let Some(good) = good else {
                let what = format!("{} dials {remote}: {dials:?}", member.name);
                return Err(Broken::new("I-6", what));
            };
            dials.remove(good);
        }
        Ok(())
    }
}

/// A message of the server's to a session.
#[derive(Clone, Copy)]
struct Letter {
    /// Whose session it is.
    holder: Option<HostId>,
    /// Where it goes, as a datagram.
    to: Option<SocketAddr>,
    /// Where the holder is on the list.
    listed: Option<SocketAddr>,
    len: usize,
}
