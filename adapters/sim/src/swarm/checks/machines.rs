//! I-16, I-17, I-20: when machines want to be called, and how much they do.

use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::Instant;
use genkan_core::inspect::Inspect;
use genkan_core::wire::Kind;

use super::flash::Flash;
use super::roster::{Role, Roster};
use super::{Broken, Seen, Verdict, roots};
use crate::fleet::{FleetAcceptor, FleetIssuer, FleetServer};
use crate::net::HostId;
use crate::node::Effect;

/// Outputs of one call, and datagrams in answer to one.
const OUTPUTS: usize = 48;
const ANSWERS: usize = 8;
/// In answer to a detection packet: two instructions for each of sixteen requests, and a report.
const MEETINGS: usize = 33;
/// Beside them: what leaves at once of a burst that the server asks for, or for which sockets were
/// opened.
const BURST: usize = 32;

/// A server sweeps a part of its list every second.
const SWEEP: Duration = Duration::from_secs(1);
/// What a request may take, and how long a server remembers one that is done.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a connection may take to be opened or closed: as long as an attempt to punch.
const PASSING: Duration = Duration::from_secs(10);
/// A connection that stands is kept alive this often at least.
const ALIVE: Duration = Duration::from_secs(15);
/// How long an issuer keeps an idle session with its server.
const WARM: Duration = Duration::from_secs(60);
/// How long a server's TCP connection lives without a word: three intervals.
const STREAM: Duration = Duration::from_secs(75);
/// An acceptor's longest back-off, and how often it looks for UDP again at least.
const BACKOFF: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(in crate::swarm) struct Machines {
    /// The most that one acceptor has written to flash.
    pub(in crate::swarm) writes: u32,
    flash: Flash,
    /// The latest that each host's clock has said in this life: a clock that jumps back moves no
    /// deadline.
    latest: BTreeMap<HostId, Instant>,
}

impl Machines {
    pub(super) fn restarted(&mut self, host: HostId) {
        self.flash.restarted(host);
        self.latest.remove(&host);
    }

    /// `tries`: how many offers with a password the server has passed on to this host.
    pub(super) fn check(&mut self, roster: &Roster, seen: &Seen<'_>, tries: u32) -> Verdict {
        let name = || roster.member(seen.call.host).map_or("the server", |member| &member.name);
        let latest = self.latest.entry(seen.call.host).or_insert(seen.call.now);
        *latest = seen.call.now.max(*latest);
        deadline(seen, *latest)
            .map_err(|what| Broken::new("I-16", format!("{} {what}", name())))?;
        bounded(seen).map_err(|what| Broken::new("I-17", format!("{} makes {what}", name())))?;
        let wrote =
            self.flash.check(seen, tries).map(|writes| self.writes = self.writes.max(writes));
        wrote.map_err(|what| Broken::new("I-20", format!("{} {what}", name())))
    }
}

/// I-16.
fn deadline(seen: &Seen<'_>, latest: Instant) -> Result<(), String> {
    let Some((longest, why)) = longest(seen) else { return Ok(()) };
    let Some(next) = seen.call.next else { return Err(format!("{why}, and waits for nothing")) };
    let wait = next.since(latest);
    if wait > longest { Err(format!("{why}, and waits for {wait:?}")) } else { Ok(()) }
}

/// How long a machine may wait in the state that it is in; `None`: for ever.
fn longest(seen: &Seen<'_>) -> Option<(Duration, &'static str)> {
    let machine = seen.node.machine();
    let (pending, always) = match seen.role {
        Role::Server => (machine.downcast_ref::<FleetServer>()?.pending(), None),
        Role::Acceptor => {
            let always = (BACKOFF, "is to be reached");
            (machine.downcast_ref::<FleetAcceptor>()?.pending(), Some(always))
        }
        Role::Issuer => {
            let mut sessions = false;
            roots(seen.role, seen.node, &mut |_| sessions = true);
            let always = sessions.then_some((WARM, "has a session"));
            (machine.downcast_ref::<FleetIssuer>()?.pending(), always)
        }
    };
    let reasons = [
        (pending.clients, SWEEP, "has somebody on its list"),
        (pending.passing, PASSING, "opens or closes a connection"),
        (pending.requests, REQUEST, "has a request"),
        (pending.open, ALIVE, "is connected"),
        (pending.streams, STREAM, "has streams"),
    ];
    let reason = reasons.into_iter().find(|&(count, ..)| count > 0);
    reason.map(|(_, longest, why)| (longest, why)).or(always)
}

/// I-17.
fn bounded(seen: &Seen<'_>) -> Result<(), String> {
    let notes = |effect: &&Effect| !matches!(effect, Effect::Note(_));
    let is_punch =
        |bytes: &[u8]| matches!(Kind::of(bytes), Ok(Kind::IssuerPunch | Kind::AcceptorPunch));
    let punches = seen.datagrams().filter(|(_, bytes)| is_punch(bytes)).count();
    let outputs = seen.call.effects.iter().filter(notes).count() - punches;
    let by_datagram = seen.input.is_some_and(|input| input.over.is_none()) && !seen.call.was_due;
    let answers = if by_datagram { seen.datagrams().count() - punches } else { 0 };
    // The end of a measurement begins all of its equipment's meetings anew.
    let detects = seen.input.is_some_and(|input| input.kind == Some(Kind::Detect));
    let most = if detects { MEETINGS } else { ANSWERS };
    if outputs > OUTPUTS || answers > most || punches > BURST {
        return Err(format!(
            "{outputs} outputs in one call, {answers} datagrams, {punches} punches"
        ));
    }
    Ok(())
}
