//! Registration: the equipment list's entry, and the NAT mapping that leads to it.
//!
//! ```text
//! Waiting ─► Trying ─► Registered
//!    ▲ back-off │          │ unanswered four times, or a hint
//!    └──────────┴──────────┘
//! ```
//!
//! A full registration is sent when a session stands, and again after every n-th keepalive; in
//! between go 28-byte keepalives, every second of which wants an answer. The waiting time between
//! attempts doubles from 5 s to 300 s and is drawn from its upper half (RFC 5626, section 4.5); the
//! keepalive interval is the server's advice, shortened by up to a fifth at random. When three
//! Initiations stay unanswered, a second link over TCP is tried beside UDP.

use core::time::Duration;

use heapless::Deque;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::addr::Endpoint;
use crate::crypto::keys::{Direction, Root};
use crate::link::{Link, Transport};
use crate::session::Session;
use crate::time::{Instant, micros};
use crate::wire::message::Registered;
use crate::wire::{RESUME_LEN, TAG_LEN};

const BACKOFF_BASE: Duration = Duration::from_secs(5);
const BACKOFF_CAP: Duration = Duration::from_secs(300);
/// First wait for an answer; doubles.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How often a registration, keepalive or resumption is sent before its session is given up.
pub(super) const TRIES: u8 = 4;
/// A fresh handshake is due after this time, less up to an eighth.
const FRESH_AFTER: Duration = Duration::from_secs(24 * 3600);
/// After this time a session on the server link enters its next epoch: three flash writes a day for
/// a device that keeps its session. In seconds.
pub(crate) const SERVER_EPOCH: u16 = 8 * 3600;
/// Bounds on the interval that a server may advise.
const INTERVAL: (u16, u16) = (5, 1_800);

/// What brings a session back after a reboot. The root is a secret.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Resumption {
    /// The server's handle for the session.
    pub handle: u32,
    /// The session's root.
    pub root: [u8; 32],
}

impl core::fmt::Debug for Resumption {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Resumption").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// `span` times `fraction` / 65,536, in microseconds.
pub(crate) fn share(span: Duration, fraction: u16) -> u64 {
    let (span, fraction) = (micros(span), u64::from(fraction));
    let (high, low) = (span >> 16, span & 0xffff);
    high.saturating_mul(fraction).saturating_add(low.saturating_mul(fraction) >> 16)
}

/// `span` less [`share`] of it after `now`.
#[inline(never)]
fn after_less(now: Instant, span: Duration, fraction: u16) -> Instant {
    now.after_micros(micros(span).saturating_sub(share(span, fraction)))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Until `Registration::deadline`, then a new attempt.
    Waiting,
    /// A link is being made, or the registration is not answered yet.
    Trying,
    /// On the list.
    Registered,
    /// Left on purpose.
    Left,
}

/// What the registration has to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Nothing,
    Resume,
    Register,
    Keepalive { wants_answer: bool },
    Echo { cookie: [u8; 6] },
    Deregister,
}

/// A session that is being taken up again.
#[derive(Debug)]
pub(super) struct Resuming {
    kept: Resumption,
    nonce: [u8; 16],
}

#[derive(Debug)]
pub(crate) struct Registration {
    pub(super) stage: Stage,
    pub(super) deadline: Option<Instant>,
    pub(super) due: Due,
    /// What carries the registration, or the attempt at it.
    pub(super) over: Transport,
    pub(super) fallback: bool,
    failures: u8,
    /// How often what is due was sent without an answer.
    pub(super) tries: u8,
    /// A Register has left since something else was due: a Registered answers it.
    asked: bool,
    /// Of keepalives, in seconds.
    interval: u16,
    register_every: u8,
    since_register: u8,
    fresh_at: Option<Instant>,
    pub(super) observed: Option<Endpoint>,
    pub(crate) local: Option<Endpoint>,
    pub(super) keepalive_up: [u8; 16],
    pub(super) keepalive_down: [u8; 16],
    /// Counter and tag of what was sent last: a hint must echo them.
    pub(super) last: Option<(u64, [u8; TAG_LEN])>,
    resuming: Option<Resuming>,
    /// Of the fingerprint of the session that the application was told it may keep; 0: none.
    pub(super) announced: u64,
    /// The request that the TCP connection to the server was opened for.
    pub(super) fetching: Option<u32>,
    /// Further requests that it will be used for.
    pub(super) wakes: Deque<u32, 4>,
    /// When that connection is given up.
    pub(super) fetch_until: Option<Instant>,
    /// The fetch has left.
    pub(super) fetch_sent: bool,
    /// What was fetched has arrived.
    pub(super) fetched: bool,
    /// The last full registration had the early key as it is now.
    pub(super) told_key: bool,
    /// When UDP is looked for again while registered over TCP.
    pub(super) datagram_at: Option<Instant>,
}

impl Registration {
    /// One whose first attempt begins at `at`.
    pub(super) const fn new(at: Instant, fallback: bool) -> Self {
        Self {
            stage: Stage::Waiting,
            deadline: Some(at),
            due: Due::Nothing,
            over: Transport::Datagram,
            fallback,
            failures: 0,
            tries: 0,
            asked: false,
            interval: 25,
            register_every: 1,
            since_register: 0,
            fresh_at: None,
            observed: None,
            local: None,
            keepalive_up: [0; 16],
            keepalive_down: [0; 16],
            last: None,
            resuming: None,
            announced: 0,
            fetching: None,
            fetch_until: None,
            fetch_sent: false,
            fetched: false,
            wakes: Deque::new(),
            told_key: false,
            datagram_at: None,
        }
    }

    pub(super) fn restore(&mut self, kept: &Resumption) {
        if self.stage == Stage::Waiting && self.failures == 0 {
            self.resuming = Some(Resuming { kept: kept.clone(), nonce: [0; 16] });
        }
    }

    pub(super) fn resumption<const P: usize, const N: usize>(
        &self,
        link: &Link<P, N>,
    ) -> Option<Resumption> {
        let session = link.session.as_ref()?;
        Some(Resumption { handle: session.peer_index, root: session.root().0 })
    }

    /// Whether a kept session shall be tried first; its nonce is drawn now.
    pub(super) const fn resume(&mut self, nonce: [u8; 16]) -> bool {
        match &mut self.resuming {
            Some(resuming) => {
                resuming.nonce = nonce;
                self.stage = Stage::Trying;
                self.say(Due::Resume);
                true
            }
            None => false,
        }
    }

    /// Whether a registration over datagrams stands, or has been sent and not failed yet.
    pub(super) fn is_over_datagrams(&self) -> bool {
        let said = self.due == Due::Register || self.deadline.is_some();
        let stands = self.stage == Stage::Registered || (self.stage == Stage::Trying && said);
        self.over == Transport::Datagram && stands && !self.is_resuming()
    }

    pub(super) const fn is_resuming(&self) -> bool {
        self.resuming.is_some()
    }

    /// Writes the Resume message but for its first two bytes.
    pub(super) fn write_resume(&self, head: [u8; 2]) -> [u8; RESUME_LEN] {
        let mut out = [0; RESUME_LEN];
        let Some(Resuming { kept, nonce }) = &self.resuming else { return out };
        let mut writer = crate::wire::codec::Writer::new(&mut out);
        writer.put(&head);
        writer.put(&kept.handle.to_be_bytes());
        writer.put(nonce);
        let (body, tag) = out.split_at_mut(RESUME_LEN - TAG_LEN);
        tag.copy_from_slice(&Root(kept.root).resume_tag(body));
        out
    }

    /// The server's answer to a Resume: the session and our index in it.
    pub(super) fn resumed(&mut self, now: Instant, message: &[u8]) -> Option<(u32, Session)> {
        let Resuming { kept, nonce } = self.resuming.as_ref()?;
        let mut reader = crate::wire::codec::Reader(message);
        let body = reader.slice(RESUME_LEN - TAG_LEN)?;
        let tag: [u8; TAG_LEN] = reader.array()?;
        let mut signed = [0; RESUME_LEN - TAG_LEN + 16];
        let mut writer = crate::wire::codec::Writer::new(&mut signed);
        writer.put(body);
        writer.put(nonce);
        let root = Root(kept.root);
        if !reader.0.is_empty() || !crate::crypto::equal(&root.resume_tag(&signed), &tag) {
            return None;
        }
        let mut fields = crate::wire::codec::Reader(body.get(2..)?);
        let index = fields.u32()?;
        let server_nonce: [u8; 16] = fields.array()?;
        let [a, b, c, d, ..] = server_nonce;
        let root = root.resumed(nonce, &server_nonce);
        let handle = u32::from_be_bytes([a, b, c, d]);
        let mut session = Session::new(now, root, Direction::Up, handle);
        session.epoch_time = SERVER_EPOCH;
        self.resuming = None;
        Some((index, session))
    }

    pub(super) fn forget_kept_session(&mut self) {
        self.resuming = None;
    }

    /// A session stands: register over it.
    pub(super) fn session_up(&mut self, now: Instant, over: Transport, root: &Root, jitter: u16) {
        self.keepalive_up = root.keepalive(Direction::Up);
        self.keepalive_down = root.keepalive(Direction::Down);
        self.over = over;
        self.last = None;
        self.fresh_at = Some(after_less(now, FRESH_AFTER, jitter >> 3));
        self.say(Due::Register);
    }

    /// Something new to send.
    pub(super) const fn say(&mut self, due: Due) {
        self.due = due;
        self.tries = 0;
        self.asked = false;
        self.deadline = None;
    }

    /// The socket may be seen elsewhere now: where it is registered, it asks at once.
    pub(super) fn look_around(&mut self) {
        if self.stage == Stage::Registered && self.over == Transport::Datagram {
            self.say(Due::Keepalive { wants_answer: true });
        }
    }

    /// It has left. Says when to look again.
    pub(super) fn sent(&mut self, now: Instant, jitter: u16) {
        self.tries = self.tries.saturating_add(1);
        let due = core::mem::replace(&mut self.due, Due::Nothing);
        self.asked |= due == Due::Register;
        self.deadline = match due {
            Due::Keepalive { wants_answer: false } => {
                self.tries = 0;
                Some(self.rested(now, jitter))
            }
            Due::Deregister | Due::Nothing => None,
            Due::Resume | Due::Register | Due::Keepalive { .. } | Due::Echo { .. } => Some(
                now.after(ANSWER_WAIT.saturating_mul(1 << self.tries.saturating_sub(1).min(4))),
            ),
        };
    }

    /// The server has answered a registration, or advises another interval by itself. Then what is due
    /// or not answered yet is so still.
    pub(super) fn registered(&mut self, now: Instant, answer: &Registered, jitter: u16) {
        self.stage = Stage::Registered;
        self.failures = 0;
        self.interval = answer.interval.clamp(INTERVAL.0, INTERVAL.1);
        self.register_every = answer.register_every.max(1);
        self.observed = Some(answer.observed);
        if self.asked {
            self.since_register = 0;
        }
        if self.asked || (self.due == Due::Nothing && self.tries == 0) {
            self.answered(now, jitter);
        }
    }

    /// The server has answered; the next keepalive is due after the interval.
    pub(super) fn answered(&mut self, now: Instant, jitter: u16) {
        self.due = Due::Nothing;
        self.tries = 0;
        self.asked = false;
        self.deadline = Some(self.rested(now, jitter));
    }

    /// The advised interval of keepalives.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval.into())
    }

    /// When the next keepalive is due, from `now` on.
    fn rested(&self, now: Instant, jitter: u16) -> Instant {
        after_less(now, self.interval(), jitter / 5)
    }

    /// The keepalive or registration whose turn it is.
    pub(super) fn next_due(&mut self) {
        let count = self.since_register.saturating_add(1);
        let due = if self.tries > 0 || count < self.register_every {
            self.since_register = self.since_register.saturating_add(u8::from(self.tries == 0));
            Due::Keepalive { wants_answer: self.tries > 0 || count.is_multiple_of(2) }
        } else {
            Due::Register
        };
        let (tries, asked) = (self.tries, self.asked);
        self.say(due);
        (self.tries, self.asked) = (tries, asked);
    }

    /// A fresh handshake came to nothing: try again after a while.
    pub(super) fn fresh_later(&mut self, now: Instant) {
        self.fresh_at = Some(now.after(BACKOFF_CAP));
    }

    /// Whether the session is so old that a fresh handshake is due; asks once.
    pub(super) fn take_fresh(&mut self, now: Instant) -> bool {
        self.fresh_at.take_if(|at| now >= *at).is_some()
    }

    /// What was not answered is due once more.
    pub(super) const fn again(&mut self, due: Due) {
        self.due = due;
        self.deadline = None;
    }

    /// A TCP connection is opened to fetch `request`, or (`None`) the one for it is gone.
    pub(super) fn fetch(&mut self, request: Option<u32>, until: Option<Instant>) {
        if request.is_none() {
            self.wakes.clear();
        }
        self.fetching = request;
        self.fetch_until = until;
        self.fetch_sent = false;
        self.fetched = false;
    }

    /// Another request shall be fetched after the one under way.
    pub(super) fn fetch_later(&mut self, request: u32) {
        if !self.wakes.iter().any(|waiting| *waiting == request) {
            let _full = self.wakes.push_back(request);
        }
    }

    /// UDP does not work here: look again later.
    pub(super) fn retry_datagram(&mut self, now: Instant, jitter: u16) {
        self.datagram_at = Some(after_less(now, BACKOFF_CAP, jitter >> 1));
    }

    /// An attempt has failed: wait, then try again.
    pub(super) fn back_off(&mut self, now: Instant, jitter: u16) {
        let doubled = BACKOFF_BASE.saturating_mul(1 << self.failures.min(8)).min(BACKOFF_CAP);
        self.failures = self.failures.saturating_add(1);
        self.stage = Stage::Waiting;
        self.due = Due::Nothing;
        self.tries = 0;
        self.deadline = Some(after_less(now, doubled, jitter >> 1));
    }
}
