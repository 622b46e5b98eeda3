//! World runs: a server, appliances, phones and attackers behind drawn edges, for hours of virtual
//! time, with everything that goes wrong in a network, and what must hold meanwhile and afterwards.
//!
//! [`run`] makes one world from a [`Source`] and lets its time pass. From a record of
//! [`HEADER`] bytes come the members, their edges and which classes of faults this world has
//! (a *swarm*: each class is on or off in each world, so that some worlds have few and much of them);
//! from each record of [`ACT`] bytes one thing that happens: a request, a payload, a fault, an attack.
//! When the faults are over everything is mended, and the world must come to rest as new.
//! [`campaign`] runs many.
//!
//! # What is checked after every event
//!
//! The checks look at what was sent, what a machine was shown and what it wanted in answer. They know
//! who really made which bytes and who holds which key. Whether a datagram was discarded they are told by
//! the machine, and hold its word against what it holds before and after ([`genkan_core::inspect`]):
//! what nobody made must be discarded, what was discarded as a repetition must have changed nothing, and
//! what a session's counter protects must have changed something when it was taken. (Not looked at: a
//! call in which a timer was due as well, and what came over TCP, which no attacker of these worlds can
//! write into.) They remember what can still count, for half an hour to an hour, and not the whole run.
//!
//! | rule | how |
//! |---|---|
//! | I-1 | an acceptor's address on the list changes only while the server handles bytes that the acceptor's host made, from the address that its packets come out at, after the server has answered to that address |
//! | I-2 | bytes of a session that were taken once, by the machine's word or by its state, are discarded when they come again, and change nothing; what opens a session and was taken once ends no session and changes nothing on the list when it comes again |
//! | I-3 | a notification or wake-up is sealed to the acceptor that the offer in it is for, goes to its address on the list, and names an address that the request came from |
//! | I-4 | to a source from which nothing authentic has come the server sends no more packets and no more bytes than came from there |
//! | I-5 | nothing is sent in answer to what was discarded, but a server's Cookie, Challenge and Hint to where it came from; a server answers nothing that only servers send, and equipment nothing that only equipment sends |
//! | I-6 | an acceptor accepts, and dials, only for an offer whose password, key or open door the drawn settings allow; once for each offer, to the address in its notification |
//! | I-7 | no password information, early key or payload stands on the wire in clear |
//! | I-8 | each Initiation of an issuer, and one in four of an acceptor, is sealed to the true server's key by its sender's own; an acceptor is asked only by bytes of the true server |
//! | I-9 | an end sends at most 448 packets to punch in ten seconds of one attempt (128, a phone's guesses, eight answers on each of eight paths), 248 of them in a second |
//! | I-10 | a burst that the server tells an end names the address at which the packets of the other end of a request between them come out, an issuer's only when it has shown that it is paired or was accepted; an end punches towards such an address only, an acceptor only after it has accepted, and sends all else that is for its peer to where the peer was heard; all other datagrams of a device go to the server's ends |
//! | I-11 | the ports in a burst were seen of the peer, or told by it, or lie no further beyond those of the last minute than a counter gets (guesses at drawn ports: at most 1,024); an end punches towards ports that it was told, and where it was heard |
//! | I-12 | a device sends to public addresses only, by a classifier of the checks' own |
//! | I-13 | issuer and acceptor are connected only when both hold one root, and each the other's id; payloads arrive unchanged and once, and while TCP carries them in order, and none is missing then when the other end's farewell comes, or ten minutes later on a connection that stands |
//! | I-14 | counters under one session's handle only go up, and no ephemeral key is in two of the last 1,024 messages that had one, over all reboots |
//! | I-15 | bytes that nobody made (injected, damaged) are discarded, and change nothing that a machine holds but rate limits and counts of discards; requests for a certificate, certificates and hints may be anybody's, but the only certificate that a device ever holds is the one that the authority made |
//! | I-16 | acceptors always have a deadline, and servers and issuers as long as they hold anything; none is further off than what the machine holds allows: 1 s with somebody on a server's list, 10 s while a connection opens or closes, 10 s with a request, 15 s with a connection, 60 s with an issuer's idle session, 75 s with a server's TCP connection, 300 s for an acceptor otherwise |
//! | I-17 | one call makes at most 48 outputs, one datagram at most 8 datagrams; beside them 32 of a burst |
//! | I-18 | the server's list is never longer than its table; nobody falls off it who was heard within the time that entries live, nor by what somebody else says; nobody is turned away while there is room |
//! | I-20 | an acceptor writes to flash at most four times a day, and more by what it was shown: once for each handshake that the server has answered, once for two password tries that the server has passed on, and in each life once for each certificate there is and twice for the first tries |
//! | I-21 | refusals to strangers have one length and one reason, and come no earlier than the refusal delay |
//! | I-24 | one source gives one hash ([`campaign`] repeats a share of the seeds) |
//! | I-25 | nothing panics |
//!
//! Not yet: I-19 (one protection level), I-22 and I-23 (no
//! journal: the server's list is lost in a restart). Not drawn: a server or device that is evil and
//! has keys, key rotation, more than one server, a server that ends in order or in a newer version, a
//! clock that stands still, a device that changes its network, other addresses for the server's name. A
//! flood is of at most 64 datagrams from some of 65,536 sources; a neighbour speaks to the first of
//! a device's addresses, which is the IPv4 one where it has one.
//!
//! # What is checked afterwards
//!
//! "T" is the keepalive's interval that the world's server advises, 10 to 25 s.
//!
//! | rule | how |
//! |---|---|
//! | L-1 | an acceptor that was registered as far as it knew is on the list within T (at least 20 s: it may be giving something up) and five round trips; any other within the longest back-off and an attempt, 330 s, and over UDP in another 330 s; where the list had no room for all, 3 T + 540 s later: those who were switched off are on it for 3 T and 10 s, by a clock that may have been set back 200 s, and an attempt in that time is in vain |
//! | L-2 | on lines without loss: requests end as they must within 11 s, connected where the issuer can be reached, refused for a wrong password and an unknown target |
//! | L-2, 30 % loss | in one of four worlds: who asks again and again is told something each time within 11 s; how many are connected within 30 s is in the [`Report`] |
//! | L-4 | after a restart of all boxes, and again after a change of all addresses, every acceptor can be waked within T and two round trips |
//! | L-5 | has a test of its own (`tests/tests/power_cut.rs`) |
//!
//! Every request during the run has come to an end, every connection that stands after the mending
//! carries a word each way (L-2), and after everybody has hung up no stream, connection or issuer's timer
//! is left.
//!
//! Left out are acceptors for which the server's list has no room (they are switched off for good when
//! the faults end), and boxes lose with the faults what nobody can live with: limits on mappings, other
//! users, penalties for what comes uninvited, and ports that are given to two at once. A clock that was
//! set back makes its device wait for so much longer. An issuer counts as one that can be reached when
//! it is in the open, when a hole must come about (in worlds whose server has a second port: both
//! can punch, each behind one box at most that keeps a socket's port for all destinations and takes no
//! offence, and the issuer asks over datagrams), when calls over TCP must meet (IPv4, where the two do
//! not punch: such boxes again), when its box forwards its ports (and, for an acceptor in its house, sends packets
//! back that are for itself), or when it shares the acceptor's house behind a box that translates
//! nothing; and an acceptor without IPv6 does not reach one that has asked over IPv6. Calls must not
//! meet where both boxes let nobody in from another port than was called, and one of them has another
//! port for each destination.

mod acts;
mod asking;
mod attacks;
mod build;
mod campaign;
mod checks;
mod describe;
mod edges;
mod heal;
mod houses;
mod mischief;
#[cfg(test)]
mod planted;
mod replay;
mod source;
mod words;

use core::cell::Cell;
use core::fmt;
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::panic::catch_unwind;

pub use acts::Act;
use build::Swarm;
pub use campaign::{Campaign, Progress, campaign};
pub use describe::describe;
use replay::OnProgress;
pub use replay::{Keep, Replay, replay};
pub use source::{Source, record};

/// Bytes of a [`Source`] that say what a world is like.
pub const HEADER: usize = 160;
/// Bytes of a [`Source`] for one act.
pub const ACT: usize = 16;

/// What worlds a run may draw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How long things go wrong. Mending takes about ten minutes more.
    pub duration: Duration,
    /// The longest pause between two acts; half of it on average.
    pub pause: Duration,
    /// The fewest and the most acceptors, 1 to 8.
    pub acceptors: (u8, u8),
    /// The fewest and the most issuers, 1 to 8; an evil one may come on top.
    pub issuers: (u8, u8),
    /// Whether there are faults and attacks at all.
    pub faults: bool,
    /// How many of the transcript's last lines a [`Failure`] has.
    pub lines: usize,
}

impl Default for Settings {
    /// An hour, an act every 150 s or so, 1 to 8 acceptors, 1 or 2 issuers, faults, 80 lines.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(3_600),
            pause: Duration::from_secs(300),
            acceptors: (1, 8),
            issuers: (1, 2),
            faults: true,
            lines: 80,
        }
    }
}

/// What a run came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The virtual time that passed, mending included.
    pub simulated: Duration,
    /// The hash of all that happened: equal for equal runs.
    pub hash: u64,
    /// Packets that were sent.
    pub packets: u64,
    /// Calls of machines after which everything was checked.
    pub calls: u64,
    /// How often each [`Act`] was done, in the order of [`Act::ALL`].
    pub acts: [u32; Act::ALL.len()],
    /// Requests that issuers made.
    pub requests: u32,
    /// Connections that stood at their issuer.
    pub connected: u32,
    /// Punched paths that came to carry one, from the start, in place of TCP or of one that was lost.
    pub punched: u32,
    /// Payloads that arrived.
    pub payloads: u32,
    /// Worlds in which somebody who asked for 30 s over a line that loses 30 % was not, and was,
    /// connected.
    pub lossy: [u32; 2],
    /// How often an acceptor has written to flash; of all, the one that did most.
    pub writes: u32,
}

impl Report {
    /// Adds another run's numbers (of `writes` the larger one counts); the hashes are combined by
    /// addition.
    pub fn add(&mut self, other: &Self) {
        self.simulated += other.simulated;
        self.hash = self.hash.wrapping_add(other.hash);
        self.packets += other.packets;
        self.calls += other.calls;
        self.acts.iter_mut().zip(other.acts).for_each(|(sum, more)| *sum += more);
        self.requests += other.requests;
        self.connected += other.connected;
        self.punched += other.punched;
        self.payloads += other.payloads;
        self.lossy.iter_mut().zip(other.lossy).for_each(|(sum, more)| *sum += more);
        self.writes = self.writes.max(other.writes);
    }
}

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which: "I-1" to "I-25", "L-1" to "L-5".
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
    /// When, since the world's start.
    pub at: Duration,
    /// What happened last.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "{} broken at t={:.3}: {}", self.rule, self.at.as_secs_f64(), self.what)
    }
}

impl core::error::Error for Failure {}

/// What a check has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) what: String,
}

impl Broken {
    pub(crate) fn new(rule: &'static str, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

/// Makes a world from `source` and lets its time pass.
///
/// # Errors
/// [`Failure`]: a rule was broken, or something panicked (I-25). The run is then done again with
/// its transcript kept, to show what happened last.
pub fn run(settings: &Settings, source: &Source<'_>) -> Result<Report, Box<Failure>> {
    watched(settings, source, &|| None)
}

/// As [`run`], looked at by what `looker` makes for each time that the world is made. Where that
/// tells it to stop, what comes back means nothing.
fn watched(
    settings: &Settings,
    source: &Source<'_>,
    looker: &dyn Fn() -> Option<OnProgress>,
) -> Result<Report, Box<Failure>> {
    let failed = match attempt(settings, source.clone(), false, looker()) {
        Ok(report) => return Ok(report),
        Err(failed) => failed,
    };
    match attempt(settings, source.clone(), true, looker()) {
        Err(again) if (again.rule, again.at) == (failed.rule, failed.at) => Err(again),
        _ => {
            let what =
                format!("not the same when run again; at first {}: {}", failed.rule, failed.what);
            Err(Box::new(Failure { rule: "I-24", what, ..*failed }))
        }
    }
}

fn attempt(
    settings: &Settings,
    mut source: Source<'_>,
    keep: bool,
    on_progress: Option<OnProgress>,
) -> Result<Report, Box<Failure>> {
    let mut swarm = Swarm::new(settings, &source.padded(), keep);
    swarm.on_progress = on_progress;
    outcome(&mut swarm, settings, &mut source)
}

thread_local! {
    static LIVES: Cell<bool> = const { Cell::new(false) };
}

/// Whether a world lives on this thread now. What panics then is caught and told as a broken I-25; a
/// program's panic hook may be silent about it.
#[must_use]
pub fn lives_here() -> bool {
    LIVES.get()
}

fn outcome(
    swarm: &mut Swarm,
    settings: &Settings,
    source: &mut Source<'_>,
) -> Result<Report, Box<Failure>> {
    LIVES.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| swarm.live(settings, source)));
    LIVES.set(false);
    let broken = match outcome {
        Ok(Ok(())) => return Ok(swarm.report()),
        Ok(Err(broken)) => broken,
        Err(panic) => Broken::new("I-25", message(&*panic)),
    };
    let Broken { rule, what } = broken;
    let lines = swarm.fleet.world.transcript().lines();
    let lines = &lines[lines.len().saturating_sub(settings.lines)..];
    let lines = lines.iter().map(ToString::to_string).collect();
    Err(Box::new(Failure { rule, what, at: swarm.fleet.world.now(), lines }))
}

/// What a panic said.
fn message(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
