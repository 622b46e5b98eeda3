//! I-15, I-16, I-17, I-20: what machines hold, when they want to be called, and how much they do.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::wire::Kind;
use genkan_core::{AcceptorEvent, Instant, Machine};

use super::roster::{Role, Roster};
use super::{Broken, Input, Seen, Verdict, roots};
use crate::digest::Digest;
use crate::fleet::{AcceptorApp, FleetAcceptor, FleetIssuer, FleetServer};
use crate::net::HostId;
use crate::node::{Effect, Node};

/// No machine waits longer than this: a day's session, and the longest back-off.
const LONGEST: Duration = Duration::from_secs(26 * 3_600);
/// Outputs of one call, and datagrams in answer to one.
const OUTPUTS: usize = 48;
const ANSWERS: usize = 8;
/// Writes to flash in a day without anything special.
const WRITES: u32 = 4;

/// What a machine holds that only authentic input may change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::swarm) struct State {
    entries: (u32, u32),
    addresses: Vec<Option<SocketAddr>>,
    /// Over the roots of its sessions and its certificate.
    digest: u64,
    /// When it wants to be called; not a server's, which expects the end of what it has not begun.
    next: Option<Instant>,
}

impl State {
    pub(super) fn of(role: Role, node: &dyn Node, roster: &Roster) -> Self {
        let mut digest = Digest::new();
        roots(role, node, &mut |root| digest.bytes(&root.0));
        let mut state = Self { entries: (0, 0), addresses: Vec::new(), digest: 0, next: None };
        let machine = node.machine();
        if let Some(server) = machine.downcast_ref::<FleetServer>() {
            state.entries = (server.clients(), server.registered());
            state.addresses =
                roster.acceptors().map(|member| server.location(&member.id)).collect();
        } else if let Some(acceptor) = machine.downcast_ref::<FleetAcceptor>() {
            digest.bytes(acceptor.certificate());
            state.next = acceptor.poll_timeout().map(|wakeup| wakeup.at);
        } else if let Some(issuer) = machine.downcast_ref::<FleetIssuer>() {
            digest.bytes(issuer.certificate());
            state.next = issuer.poll_timeout().map(|wakeup| wakeup.at);
        }
        state.digest = digest.value();
        state
    }
}

/// Why an acceptor may write.
#[derive(Debug, Default)]
struct Flash {
    /// Handshakes and reboots so far.
    causes: u32,
    /// Password tries so far.
    tries: u32,
    /// How many of the application's events were looked at.
    told: usize,
}

#[derive(Debug, Default)]
pub(in crate::swarm) struct Machines {
    /// The most that one acceptor has written.
    pub(in crate::swarm) writes: u32,
    flash: BTreeMap<HostId, Flash>,
}

impl Machines {
    pub(super) fn restarted(&mut self, host: HostId) {
        let flash = self.flash.entry(host).or_default();
        flash.causes += 1;
        flash.told = 0;
    }

    pub(super) fn check(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        let name = || roster.member(seen.call.host).map_or("the server", |member| &member.name);
        unauthentic(roster, seen)
            .map_err(|what| Broken::new("I-15", format!("{}: {what}", name())))?;
        deadline(seen).map_err(|what| Broken::new("I-16", format!("{} {what}", name())))?;
        bounded(seen).map_err(|what| Broken::new("I-17", format!("{} makes {what}", name())))?;
        self.wrote(seen).map_err(|what| Broken::new("I-20", format!("{} {what}", name())))
    }

    /// I-20.
    fn wrote(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let Some(app) = seen.node.app().downcast_ref::<AcceptorApp>() else { return Ok(()) };
        let flash = self.flash.entry(seen.call.host).or_default();
        let shakes = |input: &Input| {
            // Over TCP no more is known than that something came.
            let kind =
                matches!(input.kind, Some(Kind::Response | Kind::Resumed | Kind::Certificate));
            kind || input.over.is_some()
        };
        flash.causes += u32::from(seen.input.is_some_and(shakes) && !seen.discarded);
        let events = app.log.events.get(flash.told..).unwrap_or_default();
        let tries = events.iter().filter(|(_, event)| *event == AcceptorEvent::Persist).count();
        flash.tries += u32::try_from(tries).unwrap_or(0);
        flash.told = app.log.events.len();
        let days = u32::try_from(seen.call.at.as_secs() / 86_400).unwrap_or(u32::MAX) + 1;
        let allowed = WRITES * days + 2 * flash.causes + flash.tries;
        let writes = app.flash.writes;
        self.writes = self.writes.max(writes);
        if writes > allowed {
            Err(format!("has written {writes} times, not {allowed}"))
        } else {
            Ok(())
        }
    }
}

/// I-15: bytes that nobody made.
fn unauthentic(roster: &Roster, seen: &Seen<'_>) -> Result<(), String> {
    let Some(input) = seen.input else { return Ok(()) };
    let Some(before) = &input.before else { return Ok(()) };
    // A hint is obeyed by whoever sent what it quotes; a certificate proves itself.
    if seen.call.was_due || matches!(input.kind, Some(Kind::Hint | Kind::Certificate)) {
        return Ok(());
    }
    let after = State::of(seen.role, seen.node, roster);
    if *before == after {
        return Ok(());
    }
    Err(format!("{:?} that nobody made changed {before:?} to {after:?}", input.kind))
}

/// I-16.
fn deadline(seen: &Seen<'_>) -> Result<(), String> {
    if let Some(next) = seen.call.next {
        let wait = next.since(seen.call.now);
        return if next != Instant::END && wait > LONGEST {
            Err(format!("wants to be called in {wait:?}"))
        } else {
            Ok(())
        };
    }
    let mut holds = seen.role == Role::Acceptor;
    roots(seen.role, seen.node, &mut |_| holds = true);
    if let Some(server) = seen.node.machine().downcast_ref::<FleetServer>() {
        holds |= server.clients() > 0;
    }
    if holds { Err("holds something and waits for nothing".into()) } else { Ok(()) }
}

/// I-17.
fn bounded(seen: &Seen<'_>) -> Result<(), String> {
    let notes = |effect: &&Effect| !matches!(effect, Effect::Note(_));
    let outputs = seen.call.effects.iter().filter(notes).count();
    let by_datagram = seen.input.is_some_and(|input| input.over.is_none()) && !seen.call.was_due;
    let answers = if by_datagram { seen.datagrams().count() } else { 0 };
    if outputs > OUTPUTS || answers > ANSWERS {
        return Err(format!("{outputs} outputs in one call, {answers} datagrams"));
    }
    Ok(())
}
