//! What an equipment may do to punch holes, whatever a hostile server and a hostile peer say.
//!
//! The server's instructions are looked at as they are given: the first one that is taken for a
//! request names the peer. Each packet to a peer must belong to such an attempt, which is told by the
//! offer's punch key in its tag, and must go where the equipment's policy allows; attempts keep to
//! their budgets (threats T14 to T18).

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeSet;

use genkan_core::inspect;
use genkan_core::punch::Ability;
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Measure, ToEquipment};
use genkan_core::{AddressPolicy, Instant, SocketId};
use genkan_tests::evil::{sa, siphash};

use crate::far::SERVER;

/// How long an attempt lasts.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Packets to the peer that are no guesses.
const PACKETS: u32 = 128;
/// Those that may leave at once.
const AT_ONCE: u32 = 32;
/// Answers: eight on each of eight paths.
const ANSWERS: u32 = 64;

/// The server's number for a request, and what is in the offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Offered {
    pub(crate) request: u32,
    pub(crate) key: [u8; 16],
    pub(crate) index: u32,
}

#[derive(Debug)]
struct Attempt {
    request: u32,
    peer: IpAddr,
    began: Instant,
    /// Something has happened that may have ended it.
    doubtful: bool,
    sent: u32,
    answers: u32,
    at: Instant,
    together: u32,
}

/// What the server's words are for the equipment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Noted {
    /// They begin an attempt, if they are taken.
    Begun,
    /// They must not be taken.
    Forbidden,
    /// They may be taken.
    Other,
}

#[derive(Debug)]
pub(crate) struct Holes {
    pub(crate) on: bool,
    ability: Ability,
    policy: AddressPolicy,
    offers: Vec<Offered>,
    attempts: Vec<Attempt>,
    /// The ends that the server has told.
    ends: BTreeSet<SocketAddr>,
}

/// Where a peer may be said to be, and may be.
pub(crate) fn place(byte: u8) -> SocketAddr {
    let places = [
        "198.51.100.20:40000",
        "198.51.100.21:40000",
        "192.168.1.1:40000",
        "127.0.0.1:40000",
        "[2001:db8::20]:40000",
        "[::ffff:198.51.100.20]:40000",
        "0.0.0.0:40000",
        "203.0.113.1:4600",
    ];
    sa(places[usize::from(byte) % places.len()])
}

impl Holes {
    pub(crate) fn new(on: bool, ability: Ability, policy: AddressPolicy) -> Self {
        let (offers, attempts, ends) = Default::default();
        Self { on, ability, policy, offers, attempts, ends }
    }

    /// Whether the equipment may send there.
    pub(crate) fn permits(&self, remote: SocketAddr) -> bool {
        self.policy.permits(remote)
    }

    pub(crate) const fn sockets(&self) -> u8 {
        self.ability.limits.sockets
    }

    /// The equipment has rebooted.
    pub(crate) fn forget(&mut self) {
        self.attempts.clear();
        self.ends.clear();
    }

    /// An offer was made, or has reached the equipment.
    pub(crate) fn offered(&mut self, offer: Offered) {
        if !self.offers.contains(&offer) {
            self.offers.push(offer);
        }
    }

    /// The offer that is `back` from the newest.
    pub(crate) fn offer(&self, back: usize) -> Option<Offered> {
        let count = self.offers.len();
        self.offers.get(count.checked_sub(1 + back % count.max(1))?).copied()
    }

    /// Some attempt may be at its end: a new one may have another peer.
    pub(crate) fn doubt(&mut self) {
        self.attempts.iter_mut().for_each(|attempt| attempt.doubtful = true);
    }

    /// The server is about to say this.
    pub(crate) fn said(&mut self, now: Instant, body: &[u8]) -> Noted {
        match inspect::body::<ToEquipment<'_>>(body) {
            Some(ToEquipment::Measure(measure)) => self.told_ends(&measure),
            Some(ToEquipment::Punch(punch)) => self.told_peer(now, punch.request, punch.peer.ip()),
            _ => Noted::Other,
        }
    }

    /// Ends that may not be sent to are none (threat T12).
    fn told_ends(&mut self, measure: &Measure) -> Noted {
        let port = measure.other_port;
        if port < 1_024 && !(self.policy.low_ports && port != 0) {
            return Noted::Forbidden;
        }
        self.ends.insert(SocketAddr::new(sa(SERVER).ip(), port));
        let address = measure.other_address.map(SocketAddr::from);
        self.ends.extend(address.filter(|end| self.policy.permits(*end)));
        Noted::Other
    }

    fn told_peer(&mut self, now: Instant, request: u32, peer: IpAddr) -> Noted {
        let same = self.offers.iter().filter(|offer| offer.request == request).count();
        if same == 0 || !self.policy.permits(SocketAddr::new(peer, u16::MAX)) {
            return Noted::Forbidden;
        }
        let mut all = self.attempts.iter();
        let stands = all.rfind(|attempt| {
            let over = now >= attempt.began.after(ATTEMPT);
            attempt.request == request && !attempt.doubtful && !over
        });
        if let Some(attempt) = stands.filter(|attempt| same == 1 || attempt.peer == peer) {
            return if attempt.peer == peer { Noted::Other } else { Noted::Forbidden };
        }
        let (doubtful, sent, answers, together) = (false, 0, 0, 0);
        let (began, at) = (now, now);
        let attempt = Attempt { request, peer, began, doubtful, sent, answers, at, together };
        self.attempts.push(attempt);
        Noted::Begun
    }

    /// The attempt that has just begun was not taken.
    pub(crate) fn refused(&mut self) {
        self.attempts.pop();
    }

    /// Whether anybody may be heard from there under this offer, which a server may have passed on under
    /// several numbers.
    pub(crate) fn leads_to(&self, offer: &Offered, ip: IpAddr) -> bool {
        let same = |one: &Offered| (one.key, one.index) == (offer.key, offer.index);
        let to = |attempt: &Attempt| {
            let mut of_it = self.offers.iter().filter(|one| one.request == attempt.request);
            attempt.peer == ip && of_it.any(same)
        };
        self.attempts.iter().any(to)
    }

    /// A datagram that leaves; whether it is a peer's.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        to: SocketAddr,
        bytes: &[u8],
        from: SocketId,
    ) -> bool {
        let kind = Kind::of(bytes).expect("a message of this version");
        let peers = [Kind::Answer, Kind::IssuerTransport, Kind::AcceptorTransport];
        let checks = [Kind::IssuerPunch, Kind::AcceptorPunch];
        if !peers.contains(&kind) && !checks.contains(&kind) {
            let end = kind == Kind::Detect && self.ends.contains(&to);
            assert!(end || to == sa(SERVER), "{kind:?} to {to}");
            return false;
        }
        assert!(self.policy.permits(to), "{kind:?} to {to} under {:?}", self.policy);
        let budget = PACKETS + u32::from(self.ability.limits.guesses);
        let offers = &self.offers;
        let fits = |attempt: &&mut Attempt| {
            let mut of_it = offers.iter().filter(|offer| offer.request == attempt.request);
            attempt.peer == to.ip() && of_it.any(|offer| is_under(offer, kind, bytes))
        };
        let found = self.attempts.iter_mut().rfind(fits);
        let attempt = found.unwrap_or_else(|| panic!("{kind:?} to {to} from {from:?}"));
        match kind {
            Kind::IssuerPunch | Kind::AcceptorPunch if bytes[1] == 0 => {
                attempt.sent += 1;
                assert!(attempt.sent <= budget, "{} packets of {budget}", attempt.sent);
                attempt.together = if attempt.at == now { attempt.together + 1 } else { 1 };
                attempt.at = now;
                assert!(attempt.together <= AT_ONCE, "{} at once", attempt.together);
            }
            Kind::IssuerTransport | Kind::AcceptorTransport => {}
            _ => {
                attempt.answers += 1;
                assert!(attempt.answers <= ANSWERS, "{} answers", attempt.answers);
            }
        }
        true
    }
}

/// Whether a packet belongs to this offer; of a session's messages that cannot be seen.
fn is_under(offer: &Offered, kind: Kind, bytes: &[u8]) -> bool {
    match kind {
        Kind::IssuerPunch | Kind::AcceptorPunch => {
            inspect::open_punch(&offer.key, bytes).is_some_and(|check| check.index == offer.index)
        }
        Kind::Answer => siphash(&offer.key, &[&bytes[22..54]]) == bytes[6..22],
        _ => true,
    }
}
