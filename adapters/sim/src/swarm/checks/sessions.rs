//! I-13, and payloads: who is connected to whom, and what arrives.

use std::collections::BTreeMap;

use genkan_core::inspect::LoggedRoot;
use genkan_core::wire::Kind;
use genkan_core::{AcceptorEvent, ConnectionId, EquipmentId, FRAME_PREFIX, IssuerEvent};

use super::roster::{Role, Roster};
use super::{Broken, PAYLOAD, Seen, Verdict, roots};
use crate::fleet::{AcceptorApp, FleetIssuer, IssuerApp};
use crate::host::Inbound;
use crate::net::HostId;
use crate::node::Effect;

#[derive(Debug, Default)]
pub(in crate::swarm) struct Sessions {
    pub(in crate::swarm) connected: u32,
    pub(in crate::swarm) payloads: u32,
    /// Roots under which an acceptor has answered.
    answered: BTreeMap<LoggedRoot, HostId>,
    /// Roots under which an issuer was connected to an acceptor.
    connects: BTreeMap<LoggedRoot, (HostId, HostId)>,
    /// The connections that stand at each host, and with whom.
    open: BTreeMap<HostId, Vec<(ConnectionId, HostId)>>,
    /// What every issuer's request came to last.
    outcomes: BTreeMap<(HostId, ConnectionId), IssuerEvent>,
    /// Payloads under way: from whom to whom.
    said: BTreeMap<u32, (HostId, HostId)>,
    /// How many events and payloads of each host were looked at.
    told: BTreeMap<HostId, (usize, usize)>,
}

impl Sessions {
    pub(super) fn restarted(&mut self, host: HostId) {
        self.told.remove(&host);
        self.open.remove(&host);
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

    /// A payload is about to leave.
    pub(in crate::swarm) fn says(&mut self, number: u32, from: HostId, to: HostId) {
        self.said.insert(number, (from, to));
    }

    /// It did not.
    pub(in crate::swarm) fn unsays(&mut self, number: u32) {
        self.said.remove(&number);
    }

    pub(super) fn check(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        match seen.role {
            Role::Server => Ok(()),
            Role::Acceptor => self.acceptor(roster, seen),
            Role::Issuer => self.issuer(roster, seen),
        }
    }

    fn acceptor(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        let host = seen.call.host;
        let answers = |effect: &Effect| {
            matches!(effect, Effect::Write { bytes, .. }
                if bytes.get(FRAME_PREFIX..).is_some_and(|message| Kind::of(message) == Ok(Kind::Answer)))
        };
        if seen.call.effects.iter().any(answers) {
            roots(seen.role, seen.node, &mut |root| {
                self.answered.insert(root, host);
            });
        }
        let Some(app) = seen.node.app().downcast_ref::<AcceptorApp>() else { return Ok(()) };
        let (events, payloads) = self.told.get(&host).copied().unwrap_or_default();
        for (_, event) in app.log.events.get(events..).unwrap_or_default() {
            match event {
                AcceptorEvent::Connected { connection, peer, .. } => {
                    let issuer = holder(roster, peer)?;
                    self.agree(seen, |sessions, root| {
                        sessions.connects.get(root) == Some(&(issuer, host))
                    })?;
                    self.open.entry(host).or_default().push((*connection, issuer));
                }
                AcceptorEvent::Closed { connection, .. } => self.close(host, *connection),
                _ => {}
            }
        }
        let new = app.log.payloads.get(payloads..).unwrap_or_default();
        new.iter().try_for_each(|payload| self.hears(host, payload))?;
        self.told.insert(host, (app.log.events.len(), app.log.payloads.len()));
        Ok(())
    }

    fn issuer(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        let host = seen.call.host;
        let Some(app) = seen.node.app().downcast_ref::<IssuerApp>() else { return Ok(()) };
        let Some(machine) = seen.node.machine().downcast_ref::<FleetIssuer>() else {
            return Ok(());
        };
        let (events, payloads) = self.told.get(&host).copied().unwrap_or_default();
        for (_, event) in app.log.events.get(events..).unwrap_or_default() {
            match event {
                IssuerEvent::Connected { connection, .. } => {
                    self.connected += 1;
                    self.outcomes.insert((host, *connection), *event);
                    // It may have ended in the same call.
                    if let Some(info) = machine.connection(*connection) {
                        let target = holder(roster, &info.peer)?;
                        self.agree(seen, |sessions, root| {
                            sessions.answered.get(root) == Some(&target)
                        })?;
                        roots(seen.role, seen.node, &mut |root| {
                            if self.answered.get(&root) == Some(&target) {
                                self.connects.insert(root, (host, target));
                            }
                        });
                        self.open.entry(host).or_default().push((*connection, target));
                    }
                }
                IssuerEvent::Refused { connection, .. }
                | IssuerEvent::Failed { connection, .. } => {
                    self.outcomes.insert((host, *connection), *event);
                }
                IssuerEvent::Closed { connection, .. } => {
                    self.outcomes.entry((host, *connection)).or_insert(*event);
                    self.close(host, *connection);
                }
                _ => {}
            }
        }
        let new = app.log.payloads.get(payloads..).unwrap_or_default();
        new.iter().try_for_each(|payload| self.hears(host, payload))?;
        self.told.insert(host, (app.log.events.len(), app.log.payloads.len()));
        Ok(())
    }

    /// I-13: one of the machine's roots is the one that the other end has.
    fn agree(&self, seen: &Seen<'_>, has: impl Fn(&Self, &LoggedRoot) -> bool) -> Verdict {
        let mut agreed = false;
        roots(seen.role, seen.node, &mut |root| agreed |= has(self, &root));
        if agreed {
            return Ok(());
        }
        let what = format!("{:?} is connected under a root that the other end has not", seen.role);
        Err(Broken::new("I-13", what))
    }

    fn close(&mut self, host: HostId, connection: ConnectionId) {
        self.open.entry(host).or_default().retain(|&(open, _)| open != connection);
    }

    /// Payloads arrive as they were sent, at whom they were sent to, once.
    fn hears(&mut self, host: HostId, payload: &Inbound) -> Verdict {
        let text = &payload.bytes;
        let number = text.strip_prefix(PAYLOAD).and_then(|rest| rest.split_first_chunk());
        let said = number.map(|(number, rest)| (u32::from_be_bytes(*number), rest));
        let sound = said.is_some_and(|(number, rest)| {
            let filler = rest.first().copied().unwrap_or(0);
            let whole = rest.len() == usize::from(filler) * 4 && rest.iter().all(|&b| b == filler);
            whole && self.said.remove(&number).is_some_and(|(_, to)| to == host)
        });
        self.payloads += 1;
        if sound {
            return Ok(());
        }
        let what = format!("a payload of {} B that nobody sent there, or twice", text.len());
        Err(Broken::new("I-13", what))
    }
}

fn holder(roster: &Roster, id: &EquipmentId) -> Result<HostId, Broken> {
    let found = roster.holder(id).map(|member| member.host);
    found.ok_or_else(|| Broken::new("I-13", format!("connected to {id:?}, whom nobody knows")))
}
