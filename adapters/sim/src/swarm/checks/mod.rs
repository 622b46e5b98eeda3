//! The checks that are made after every event, and what they know.
//!
//! They see what the world sees ([`Watch`]), and know what no machine does: which host made which
//! bytes, who holds which key, and which door opens to whom. Each part keeps the state of a few of
//! the rules in the [module's list](super).

mod answers;
mod asks;
mod flash;
mod holes;
mod keys;
mod lately;
mod lines;
mod list;
mod machines;
mod requests;
mod roster;
mod sessions;
mod state;
mod wire;

use core::cell::RefCell;
use core::net::SocketAddr;
use core::time::Duration;
use std::rc::Rc;

use genkan_core::FRAME_PREFIX;
use genkan_core::inspect::{KeyLog, LoggedRoot};
use genkan_core::wire::Kind;

use super::Broken;
use crate::digest::Digest;
use crate::fleet::{FleetAcceptor, FleetIssuer, FleetServer};
use crate::net::HostId;
use crate::node::{Effect, Node};
use crate::packet::{Packet, TcpId, Via};
use crate::transcript::Origin;
use crate::watch::{Arrival, Called, Watch};
use lately::{Lately, WINDOW};
pub(super) use roster::{Door, Role, Roster};
pub(super) use wire::PAYLOAD;

/// What a check says.
pub(super) type Verdict = Result<(), Broken>;

/// Who made some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Author {
    pub(super) host: HostId,
    /// A machine has taken them.
    pub(super) taken: bool,
}

/// What a machine is being shown.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) host: HostId,
    pub(super) source: SocketAddr,
    pub(super) over: Option<(TcpId, HostId)>,
    pub(super) kind: Option<Kind>,
    pub(super) len: usize,
    /// The bytes' [`print`].
    pub(super) print: u64,
    /// Which host made them; over TCP the host at the other end.
    pub(super) author: Option<HostId>,
    /// They were taken before.
    pub(super) again: bool,
    /// Of a datagram that nobody made, or that opens a session and comes again: what the machine was
    /// like before.
    pub(super) before: Option<state::State>,
    /// Of a datagram whose effect can be told from what the machine holds: what it held before.
    pub(super) held: Option<u64>,
}

/// One call of a machine, for the checks.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) call: Called<'a>,
    pub(super) role: Role,
    pub(super) node: &'a dyn Node,
    /// What it was shown, when that is why it was called.
    pub(super) input: Option<&'a Input>,
    /// The machine says that it threw it away.
    pub(super) discarded: bool,
    /// Whether the call has changed what the machine holds, where that tells something.
    pub(super) changed: Option<bool>,
}

impl Seen<'_> {
    /// Whether the machine has taken what it was shown: by its word, or because it has changed. (Who
    /// speaks from a new address is challenged first: the message counts later, though it may have
    /// brought the session into its next epoch.)
    pub(super) fn is_taken(&self) -> bool {
        let challenge = |bytes: &[u8]| Kind::of(bytes) == Ok(Kind::Challenge);
        let changed = self.changed == Some(true);
        !self.discarded || (changed && !self.datagrams().any(|(_, bytes)| challenge(bytes)))
    }

    /// What the machine sends as datagrams: where to, and what.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.call.effects.iter().filter_map(|effect| match effect {
            Effect::Datagram { remote, bytes, .. } => Some((*remote, &bytes[..])),
            _ => None,
        })
    }
}

/// All checks of one world.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(super) roster: Roster,
    authors: Lately<u64, Author>,
    pub(super) calls: u64,
    pub(super) wire: wire::Wire,
    pub(super) sessions: sessions::Sessions,
    pub(super) requests: requests::Requests,
    pub(super) list: list::List,
    answers: answers::Answers,
    keys: keys::Keys,
    holes: holes::Holes,
    pub(super) machines: machines::Machines,
    /// When they last forgot what is old.
    turned: Duration,
    input: Option<Input>,
    broken: Option<Broken>,
}

impl Checks {
    pub(super) fn new(roster: Roster, clients: usize, interval: u16) -> Self {
        Self {
            roster,
            authors: Lately::default(),
            calls: 0,
            wire: wire::Wire::default(),
            sessions: sessions::Sessions::default(),
            requests: requests::Requests::default(),
            list: list::List::new(clients, interval),
            answers: answers::Answers::default(),
            keys: keys::Keys::default(),
            holes: holes::Holes::default(),
            machines: machines::Machines::default(),
            turned: Duration::ZERO,
            input: None,
            broken: None,
        }
    }

    /// What was found since the last time.
    pub(super) fn verdict(&mut self) -> Verdict {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// A host is about to lose what it has in memory.
    pub(super) fn restarted(&mut self, host: HostId) {
        self.sessions.restarted(host);
        self.requests.restarted(host);
        self.holes.restarted(host);
        self.machines.restarted(host);
        if host == self.roster.server {
            self.list.restarted();
            self.answers.restarted();
        }
    }

    fn note(&mut self, verdict: Verdict) {
        if let (None, Err(broken)) = (&self.broken, verdict) {
            self.broken = Some(broken);
        }
    }

    /// Forgets what is older than everything that can still happen with it.
    fn turn(&mut self, now: Duration) {
        if now >= self.turned + WINDOW {
            self.turned = now;
            self.authors.turn();
            self.sessions.turn();
            self.requests.turn();
            self.list.turn();
            self.answers.turn();
            self.keys.turn();
            self.holes.turn();
        }
    }

    /// How much is remembered.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let lists = self.sessions.entries() + self.requests.entries() + self.list.entries();
        self.authors.len()
            + lists
            + self.answers.entries()
            + self.keys.entries()
            + self.holes.entries()
    }

    fn check(&mut self, seen: &Seen<'_>) -> Verdict {
        self.turn(seen.call.at);
        state::check(&self.roster, seen)?;
        let tries = self.requests.tries(seen.call.host);
        self.machines.check(&self.roster, seen, tries)?;
        self.keys.check(seen)?;
        let open = self.sessions.open_at(seen.call.host);
        self.requests.check(&self.roster, seen, open)?;
        self.holes.check(&self.roster, seen, &mut self.requests, &self.sessions)?;
        self.sessions.check(&self.roster, seen)?;
        self.answers.check(&self.roster, seen)?;
        self.list.check(&self.roster, seen)
    }
}

/// The [`Watch`] of a world that has [`Checks`].
#[derive(Debug)]
pub(super) struct Watcher(pub(super) Rc<RefCell<Checks>>);

impl Watch for Watcher {
    fn sent(&mut self, packet: &Packet, origin: Origin) {
        let checks = &mut *self.0.borrow_mut();
        let Some(host) = packet.from else { return };
        if origin != Origin::Sender {
            return;
        }
        if let Via::Udp | Via::Tcp(_) = packet.via {
            let print = print(packet.message());
            checks.authors.hold(print, Author { host, taken: false });
        }
        let verdict = checks.wire.sent(&checks.roster, host, packet);
        checks.list.came_out(host, packet.source);
        checks.holes.came_out(&checks.roster, host, packet);
        checks.note(verdict);
    }

    fn arrives(&mut self, arrival: Arrival<'_>, node: &dyn Node) {
        let checks = &mut *self.0.borrow_mut();
        let Arrival { host, source, over, bytes } = arrival;
        let Some(role) = checks.roster.role(host) else { return };
        let print = print(bytes);
        let author = checks.authors.get(&print).filter(|_| over.is_none());
        let again = author.is_some_and(|author| author.taken);
        let author = over.map(|(_, other)| other).or_else(|| author.map(|author| author.host));
        let (kind, len) = (Kind::of(bytes).ok().filter(|_| over.is_none()), bytes.len());
        let compared = author.is_none() || (again && kind.is_some_and(state::opens));
        let before = compared.then(|| state::State::of(role, node, &checks.roster));
        let tells = again || author.is_none() || kind.is_some_and(state::counts);
        let held = (tells && over.is_none()).then(|| state::held(role, node));
        checks.input =
            Some(Input { host, source, over, kind, len, print, author, again, before, held });
    }

    fn called(&mut self, call: Called<'_>, node: &dyn Node) {
        let checks = &mut *self.0.borrow_mut();
        let input = checks.input.take().filter(|input| input.host == call.host);
        let Some(role) = checks.roster.role(call.host) else { return };
        checks.calls += 1;
        let discarded = call
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Note(text) if text.starts_with("discarded")));
        let mut seen = Seen { call, role, node, input: input.as_ref(), discarded, changed: None };
        seen.changed = state::changed(&seen);
        let (verdict, taken) = (checks.check(&seen), seen.is_taken());
        checks.note(verdict);
        if let Some(input) = input
            && taken
            && let Some(author) = checks.authors.get_mut(&input.print)
        {
            author.taken = true;
        }
    }
}

/// A message's name: equal for equal messages, whatever stands in the places that receivers ignore
/// (the flags of handshake messages) or that are not the author's word (an Initiation's second MAC).
pub(super) fn print(message: &[u8]) -> u64 {
    let mut digest = Digest::new();
    let kind = Kind::of(message).ok();
    let end = match kind {
        Some(Kind::Initiation) => message.len().saturating_sub(16),
        _ => message.len(),
    };
    let sealed = kind.is_none_or(|kind| {
        matches!(
            kind,
            Kind::Keepalive
                | Kind::KeepaliveAnswer
                | Kind::Echo
                | Kind::Challenge
                | Kind::Hint
                | Kind::Transport
                | Kind::ServerTransport
                | Kind::IssuerTransport
                | Kind::AcceptorTransport
                | Kind::Detect
                | Kind::FilterProbe
                | Kind::IssuerPunch
                | Kind::AcceptorPunch
        )
    });
    if sealed || end < 2 {
        digest.bytes(message);
    } else {
        digest.bytes(&message[..1]);
        digest.bytes(&message[2..end]);
    }
    digest.value()
}

/// One number for some bytes.
fn digest(bytes: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.bytes(bytes);
    digest.value()
}

/// Calls `log` with the roots of a machine's sessions.
pub(super) fn roots(role: Role, node: &dyn Node, log: &mut dyn FnMut(LoggedRoot)) {
    let machine = node.machine();
    match role {
        Role::Server => {
            if let Some(server) = machine.downcast_ref::<FleetServer>() {
                server.roots(log);
            }
        }
        Role::Acceptor => {
            if let Some(acceptor) = machine.downcast_ref::<FleetAcceptor>() {
                acceptor.roots(log);
            }
        }
        Role::Issuer => {
            if let Some(issuer) = machine.downcast_ref::<FleetIssuer>() {
                issuer.roots(log);
            }
        }
    }
}

/// All messages that a machine sends, over UDP and TCP.
fn messages<'a>(seen: &Seen<'a>) -> impl Iterator<Item = &'a [u8]> {
    seen.call.effects.iter().filter_map(|effect| match effect {
        Effect::Datagram { bytes, .. } => Some(&bytes[..]),
        Effect::Write { bytes, .. } => bytes.get(FRAME_PREFIX..),
        _ => None,
    })
}
