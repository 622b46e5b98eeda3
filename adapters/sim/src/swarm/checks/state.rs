//! I-15, and whether a machine's word about what it was shown is true: what machines hold before and
//! after.

use core::net::SocketAddr;

use genkan_core::inspect::{Inspect, LoggedRoot};
use genkan_core::wire::Kind;
use genkan_core::{Instant, Machine};

use super::roster::{Role, Roster};
use super::{Broken, Input, Seen, Verdict, roots};
use crate::digest::Digest;
use crate::fleet::{FleetAcceptor, FleetIssuer, FleetServer};
use crate::node::{Effect, Node};

/// What a machine holds that only authentic input may change, for a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::swarm) struct State {
    entries: (u32, u32),
    addresses: Vec<Option<SocketAddr>>,
    /// Of its sessions.
    roots: Vec<LoggedRoot>,
    /// Over its certificate.
    digest: u64,
    /// When it wants to be called; not a server's, which expects the end of what it has not begun.
    next: Option<Instant>,
}

impl State {
    pub(super) fn of(role: Role, node: &dyn Node, roster: &Roster) -> Self {
        let (mut digest, mut sessions) = (Digest::new(), Vec::new());
        roots(role, node, &mut |root| sessions.push(root));
        let mut state =
            Self { entries: (0, 0), addresses: Vec::new(), roots: sessions, digest: 0, next: None };
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

/// One number over all that a machine holds: another one after a call that has changed it.
pub(super) fn held(role: Role, node: &dyn Node) -> u64 {
    let mut digest = Digest::new();
    let mut see = |word| digest.word(word);
    let machine = node.machine();
    match role {
        Role::Server => {
            if let Some(server) = machine.downcast_ref::<FleetServer>() {
                server.inspect(&mut see);
            }
        }
        Role::Acceptor => {
            if let Some(acceptor) = machine.downcast_ref::<FleetAcceptor>() {
                acceptor.inspect(&mut see);
            }
        }
        Role::Issuer => {
            if let Some(issuer) = machine.downcast_ref::<FleetIssuer>() {
                issuer.inspect(&mut see);
            }
        }
    }
    digest.value()
}

/// Messages that change their receiver whenever it takes them: each has a counter that counts once.
pub(super) const fn counts(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Keepalive
            | Kind::KeepaliveAnswer
            | Kind::Echo
            | Kind::Transport
            | Kind::ServerTransport
            | Kind::IssuerTransport
            | Kind::AcceptorTransport
            | Kind::Detect
    )
}

/// Messages that open a session. One that comes again may be answered again: it has nothing that
/// counts once.
pub(super) const fn opens(kind: Kind) -> bool {
    matches!(kind, Kind::Initiation | Kind::Resume | Kind::Response | Kind::Resumed | Kind::Cookie)
}

/// Whether a call has changed the machine; `None` when that says nothing about what it was shown: a
/// timer was due as well, or a frame could leave at last that had waited for room.
pub(super) fn changed(seen: &Seen<'_>) -> Option<bool> {
    let held_before = seen.input?.held?;
    let frame = |effect: &Effect| matches!(effect, Effect::Write { .. });
    if seen.call.was_due || seen.call.effects.iter().any(frame) {
        return None;
    }
    Some(held(seen.role, seen.node) != held_before)
}

/// I-15, and I-2 of the machine's word.
pub(super) fn check(roster: &Roster, seen: &Seen<'_>) -> Verdict {
    certified(roster, seen)?;
    let Some(input) = seen.input.filter(|input| input.over.is_none()) else { return Ok(()) };
    let name = || roster.member(seen.call.host).map_or("the server", |member| &member.name);
    if input.author.is_none() {
        return unauthentic(roster, seen, input)
            .map_err(|what| Broken::new("I-15", format!("{}: {what}", name())));
    }
    opened_again(roster, seen, input)
        .map_err(|what| Broken::new("I-2", format!("{}: {what}", name())))?;
    // A hint is obeyed by whoever sent what it quotes.
    let Some(kind) = input.kind.filter(|&kind| kind != Kind::Hint) else { return Ok(()) };
    let what = match (seen.discarded, seen.changed) {
        (true, Some(true)) if input.again => "discarded once more, yet has changed it",
        (false, Some(false)) if counts(kind) && !input.again => "taken, yet has changed nothing",
        _ => return Ok(()),
    };
    Err(Broken::new("I-2", format!("{kind:?} is, {} says, {what}", name())))
}

/// I-2: what would open a session and was taken before begins at most something new: every session
/// and the list are as they were.
fn opened_again(roster: &Roster, seen: &Seen<'_>, input: &Input) -> Result<(), String> {
    let before = input.before.as_ref().filter(|_| input.again && !seen.call.was_due);
    let Some(before) = before else { return Ok(()) };
    let after = State::of(seen.role, seen.node, roster);
    let stands = before.roots.iter().all(|root| after.roots.contains(root));
    let listed = (before.entries.1, &before.addresses) == (after.entries.1, &after.addresses);
    if stands && listed {
        return Ok(());
    }
    Err(format!("{:?} that comes again has changed {before:?} to {after:?}", input.kind))
}

/// I-15: a device has no certificate, or the one that the authority made.
fn certified(roster: &Roster, seen: &Seen<'_>) -> Verdict {
    let machine = seen.node.machine();
    let held = match seen.role {
        Role::Server => None,
        Role::Acceptor => machine.downcast_ref().map(FleetAcceptor::certificate),
        Role::Issuer => machine.downcast_ref().map(FleetIssuer::certificate),
    };
    match held {
        Some(held) if !held.is_empty() && held != roster.certificate => {
            let what =
                format!("{:?} holds a certificate that the authority has not made", seen.role);
            Err(Broken::new("I-15", what))
        }
        _ => Ok(()),
    }
}

/// I-15: bytes that nobody made.
fn unauthentic(roster: &Roster, seen: &Seen<'_>, input: &Input) -> Result<(), String> {
    let kind = input.kind;
    // A hint is obeyed by whoever sent what it quotes; a certificate proves itself, see `certified`.
    if matches!(kind, Some(Kind::Hint | Kind::Certificate)) {
        return Ok(());
    }
    // Anybody may ask for a certificate.
    if !seen.discarded && kind != Some(Kind::CertificateRequest) {
        return Err(format!("has taken {kind:?} that nobody made"));
    }
    let Some(before) = input.before.as_ref().filter(|_| !seen.call.was_due) else { return Ok(()) };
    let after = State::of(seen.role, seen.node, roster);
    if *before != after || seen.changed == Some(true) {
        return Err(format!("{kind:?} that nobody made changed {before:?} to {after:?}"));
    }
    Ok(())
}
