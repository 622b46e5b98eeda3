//! I-13, and payloads: who is connected to whom, and what arrives.

use std::collections::BTreeMap;

use genkan_core::inspect::LoggedRoot;
use genkan_core::wire::Kind;
use genkan_core::{
    AcceptorEvent, CloseCause, ConnectionId, EquipmentId, FRAME_PREFIX, IssuerEvent, Path,
};

use super::lately::Lately;
use super::lines::Lines;
use super::roster::{Role, Roster};
use super::{Broken, Seen, Verdict, roots};
use crate::fleet::{AcceptorApp, FleetIssuer, IssuerApp};
use crate::net::HostId;
use crate::node::Effect;
use crate::packet::TcpId;

#[derive(Debug, Default)]
pub(in crate::swarm) struct Sessions {
    pub(in crate::swarm) connected: u32,
    /// Punched paths that came to carry one.
    pub(in crate::swarm) punched: u32,
    pub(in crate::swarm) payloads: u32,
    /// Roots under which an acceptor has answered.
    answered: Lately<LoggedRoot, HostId>,
    /// Roots under which an issuer was connected to an acceptor.
    connects: Lately<LoggedRoot, (HostId, HostId)>,
    /// The connections that stand at each host, and with whom.
    open: BTreeMap<HostId, Vec<(ConnectionId, HostId)>>,
    /// What every issuer's request came to last: the world asks for all of them when it ends.
    outcomes: BTreeMap<(HostId, ConnectionId), IssuerEvent>,
    /// Payloads under way.
    pub(in crate::swarm) lines: Lines,
    /// How many events and payloads of each host were looked at.
    told: BTreeMap<HostId, (usize, usize)>,
}

impl Sessions {
    pub(super) fn restarted(&mut self, host: HostId) {
        self.told.remove(&host);
        self.open.remove(&host);
        self.lines.restarted(host);
        self.outcomes.retain(|&(owner, _), _| owner != host);
    }

    /// The connections that stand at a host.
    pub(in crate::swarm) fn open_at(&self, host: HostId) -> &[(ConnectionId, HostId)] {
        self.open.get(&host).map_or(&[], Vec::as_slice)
    }

    /// What a request came to.
    pub(in crate::swarm) fn outcome(
        &self,
        host: HostId,
        request: ConnectionId,
    ) -> Option<IssuerEvent> {
        self.outcomes.get(&(host, request)).copied()
    }

    /// A payload is about to leave over the connection that stands last between two.
    pub(in crate::swarm) fn says(&mut self, number: u32, from: HostId, to: HostId) {
        let last = self.open_at(from).iter().rev().find(|&&(_, other)| other == to);
        if let Some(&(connection, _)) = last {
            self.lines.says(number, from, connection);
        }
    }

    /// It did not.
    pub(in crate::swarm) fn unsays(&mut self, number: u32) {
        self.lines.unsays(number);
    }

    pub(super) fn turn(&mut self) {
        self.answered.turn();
        self.connects.turn();
        self.lines.turn();
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let open: usize = self.open.values().map(Vec::len).sum();
        self.answered.len()
            + self.connects.len()
            + open
            + self.outcomes.len()
            + self.lines.entries()
    }

    pub(super) fn check(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        match seen.role {
            Role::Server => return Ok(()),
            Role::Acceptor => self.acceptor(roster, seen)?,
            Role::Issuer => self.issuer(roster, seen)?,
        }
        self.lines.look(seen.call.host, seen.call.at)
    }

    fn acceptor(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        let host = seen.call.host;
        let answers = |effect: &Effect| {
            let message = match effect {
                Effect::Write { bytes, .. } => bytes.get(FRAME_PREFIX..).unwrap_or_default(),
                Effect::Datagram { bytes, .. } => bytes,
                _ => return false,
            };
            Kind::of(message) == Ok(Kind::Answer)
        };
        if seen.call.effects.iter().any(answers) {
            roots(seen.role, seen.node, &mut |root| {
                self.answered.insert(root, host);
            });
        }
        let Some(app) = seen.node.app().downcast_ref::<AcceptorApp>() else { return Ok(()) };
        let (events, payloads) = self.told.get(&host).copied().unwrap_or_default();
        let mut ended = Vec::new();
        let new_events = app.log.events.get(events..).unwrap_or_default();
        for (_, event) in new_events {
            match event {
                AcceptorEvent::Connected { connection, peer, path } => {
                    let issuer = holder(roster, peer)?;
                    // Its first word may have been its farewell.
                    let is_end = |(_, event): &(_, AcceptorEvent)| matches!(event, AcceptorEvent::Closed { connection: ended, .. } if ended == connection);
                    if new_events.iter().any(is_end) {
                        continue;
                    }
                    let root = self.agree(seen, path, |sessions, root| {
                        sessions.connects.get(root) == Some(&(issuer, host))
                    })?;
                    self.stands(seen, (*connection, issuer), root, path);
                }
                AcceptorEvent::PathChanged { connection, .. } => {
                    self.lines.loosens(host, *connection);
                }
                AcceptorEvent::Closed { connection, cause } => ended.push((*connection, *cause)),
                _ => {}
            }
        }
        let new = app.log.payloads.get(payloads..).unwrap_or_default();
        self.payloads += u32::try_from(new.len()).unwrap_or(u32::MAX);
        new.iter().try_for_each(|payload| self.lines.hears(host, payload))?;
        self.told.insert(host, (app.log.events.len(), app.log.payloads.len()));
        ended.into_iter().try_for_each(|(connection, cause)| self.close(host, connection, cause))
    }

    fn issuer(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        let host = seen.call.host;
        let Some(app) = seen.node.app().downcast_ref::<IssuerApp>() else { return Ok(()) };
        let Some(machine) = seen.node.machine().downcast_ref::<FleetIssuer>() else {
            return Ok(());
        };
        let (events, payloads) = self.told.get(&host).copied().unwrap_or_default();
        let mut ended = Vec::new();
        for (_, event) in app.log.events.get(events..).unwrap_or_default() {
            match event {
                IssuerEvent::PathChanged { connection, path } => {
                    self.punched += u32::from(path.stream().is_none());
                    self.lines.loosens(host, *connection);
                }
                IssuerEvent::Connected { connection, path } => {
                    self.connected += 1;
                    self.punched += u32::from(path.stream().is_none());
                    self.outcomes.insert((host, *connection), *event);
                    // It may have ended in the same call.
                    if let Some(info) = machine.connection(*connection) {
                        let target = holder(roster, &info.peer)?;
                        let root = self.agree(seen, path, |sessions, root| {
                            sessions.answered.get(root) == Some(&target)
                        })?;
                        roots(seen.role, seen.node, &mut |root| {
                            if self.answered.get(&root) == Some(&target) {
                                self.connects.insert(root, (host, target));
                            }
                        });
                        self.stands(seen, (*connection, target), root, path);
                    }
                }
                IssuerEvent::Refused { connection, .. }
                | IssuerEvent::Failed { connection, .. } => {
                    self.outcomes.insert((host, *connection), *event);
                }
                IssuerEvent::Closed { connection, cause } => {
                    self.outcomes.entry((host, *connection)).or_insert(*event);
                    ended.push((*connection, *cause));
                }
                _ => {}
            }
        }
        let new = app.log.payloads.get(payloads..).unwrap_or_default();
        self.payloads += u32::try_from(new.len()).unwrap_or(u32::MAX);
        new.iter().try_for_each(|payload| self.lines.hears(host, payload))?;
        self.told.insert(host, (app.log.events.len(), app.log.payloads.len()));
        ended.into_iter().try_for_each(|(connection, cause)| self.close(host, connection, cause))
    }

    /// I-13: one of the machine's roots is the one that the other end has; which one that is. A root
    /// that carries a connection already is that one's.
    fn agree(
        &self,
        seen: &Seen<'_>,
        path: &Path,
        has: impl Fn(&Self, &LoggedRoot) -> bool,
    ) -> Result<LoggedRoot, Broken> {
        let (carrier, mut agreed) = (carrier(seen, path), None);
        roots(seen.role, seen.node, &mut |root| {
            let fits = self.lines.fits(seen.call.host, &root, carrier);
            agreed = agreed.max(fits.filter(|_| has(self, &root)).map(|well| (well, root)));
        });
        agreed.map(|(_, root)| root).ok_or_else(|| {
            let what =
                format!("{:?} is connected under a root that the other end has not", seen.role);
            Broken::new("I-13", what)
        })
    }

    /// A connection stands.
    fn stands(
        &mut self,
        seen: &Seen<'_>,
        (connection, with): (ConnectionId, HostId),
        root: LoggedRoot,
        path: &Path,
    ) {
        let host = seen.call.host;
        self.open.entry(host).or_default().push((connection, with));
        self.lines.stands(root, (host, connection), carrier(seen, path));
    }

    fn close(&mut self, host: HostId, connection: ConnectionId, cause: CloseCause) -> Verdict {
        self.open.entry(host).or_default().retain(|&(open, _)| open != connection);
        self.lines.ended(host, connection, cause)
    }
}

/// The TCP connection that carries a connection which stands from this call on: it is what brought
/// the other end's proof.
fn carrier(seen: &Seen<'_>, path: &Path) -> Option<TcpId> {
    path.stream().and(seen.input?.over).map(|(line, _)| line)
}

fn holder(roster: &Roster, id: &EquipmentId) -> Result<HostId, Broken> {
    let found = roster.holder(id).map(|member| member.host);
    found.ok_or_else(|| Broken::new("I-13", format!("connected to {id:?}, whom nobody knows")))
}
