//! I-15, and whether a machine's word about what it was shown is true: what machines hold before and
//! after.

use core::net::SocketAddr;

use genkan_core::inspect::Inspect;
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
    )
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
    let Some(input) = seen.input.filter(|input| input.over.is_none()) else { return Ok(()) };
    let name = || roster.member(seen.call.host).map_or("the server", |member| &member.name);
    if input.author.is_none() {
        return unauthentic(roster, seen, input)
            .map_err(|what| Broken::new("I-15", format!("{}: {what}", name())));
    }
    // A hint is obeyed by whoever sent what it quotes.
    let Some(kind) = input.kind.filter(|&kind| kind != Kind::Hint) else { return Ok(()) };
    let what = match (seen.discarded, seen.changed) {
        (true, Some(true)) if input.again => "discarded once more, yet has changed it",
        (false, Some(false)) if counts(kind) && !input.again => "taken, yet has changed nothing",
        _ => return Ok(()),
    };
    Err(Broken::new("I-2", format!("{kind:?} is, {} says, {what}", name())))
}

/// I-15: bytes that nobody made.
fn unauthentic(roster: &Roster, seen: &Seen<'_>, input: &Input) -> Result<(), String> {
    let kind = input.kind;
    // A hint is obeyed by whoever sent what it quotes; a certificate proves itself.
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
