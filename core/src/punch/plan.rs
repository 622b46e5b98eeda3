//! From two profiles to a method and roles, or to "no way".
//!
//! What counts of an end is how its port towards the peer can be found out ([`Kind`]) and whether
//! its filter looks at ports. The methods, from cheap to dear:
//!
//! | bubbler's port | replier's port | method |
//! |---|---|---|
//! | known | known, or the bubbler's filter looks at addresses only | [`Method::Direct`] |
//! | kept for a socket's first destination | known | [`Method::First`] |
//! | kept for a socket's first destination | the same | [`Method::BothFirst`] |
//! | counted | known | [`Method::Bracket`] |
//! | counted, or kept for the first | counted | [`Method::Ramp`] |
//! | drawn | known, or the bubbler's filter looks at addresses only | [`Method::Birthday`] |
//! | drawn | anything else | none within the budget |
//!
//! Roles follow from it: the bubbler is whose port has to be found, the replier whose port is known;
//! where both have to be found, the bubbler is the end with more sockets (punch claims 19, 33, 50).

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::ability::Detector;
use super::burst::Bracket;
use super::ramp::WIDEST;
use crate::addr::Endpoint;
use crate::nat::{Allocation, Differential, Filtering, Mapping, NatProfile};

/// Which of the two ends of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum End {
    /// Whoever asked.
    Issuer,
    /// Whoever is asked for.
    Acceptor,
}

impl End {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Issuer => Self::Acceptor,
            Self::Acceptor => Self::Issuer,
        }
    }
}

/// What an end can and may do in one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// Fresh sockets that it can open at once.
    pub sockets: u8,
    /// Packets to ports that have to be guessed, beyond the first burst.
    pub guesses: u16,
}

impl Limits {
    /// A microcontroller: four sockets, 128 guesses.
    pub const SMALL: Self = Self { sockets: 4, guesses: 128 };
    /// A phone or laptop: 255 sockets, 256 guesses.
    pub const LARGE: Self = Self { sockets: 255, guesses: 256 };
    /// With the owners' word: 1,024 guesses.
    pub const BIRTHDAY: Self = Self { sockets: 255, guesses: 1_024 };
}

/// One end, as the coordinator knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Party {
    /// The address that the server sees its registered socket at.
    pub observed: Endpoint,
    /// Its NAT.
    pub profile: NatProfile,
    /// How long ago it was measured.
    pub age: Duration,
    /// What it can do.
    pub limits: Limits,
    /// Who computes its ranges.
    pub detector: Detector,
}

impl Party {
    /// Whether its port is found out in the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let way = |party: &Self| {
            let profile = &party.profile;
            let punishes = profile.punishes;
            (Kind::of(profile), is_by_address(profile), bracket_for(profile), punishes)
        };
        self.observed == other.observed && way(self) == way(other)
    }
}

/// How two ends meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Method {
    /// Both send to the port that the server sees.
    Direct,
    /// A fresh socket's first packet keeps its port: the replier is told the port that the bubbler's
    /// socket is bound to.
    First,
    /// The same on both sides.
    BothFirst,
    /// Range detection packets before and after the bubble; replies over the range at the
    /// differential.
    Bracket,
    /// Neither port is known when the packets leave: the bubbler sends from neighbouring ports to
    /// one port that the replier's counter will reach, the replier climbs past it and sends to
    /// each of the bubbler's.
    Ramp,
    /// Many bubbles from drawn ports, many replies to guessed ones.
    Birthday,
}

/// Method and roles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Plan {
    /// How.
    pub method: Method,
    /// Who sends bubbles; the other end replies.
    pub bubbler: End,
    /// Bubbles that leave at once.
    pub bubbles: u8,
    /// Replies in one round: at most so many; for a ramp, so many while the NAT is quiet.
    pub replies: u16,
    /// Packets of both ends that are expected, detection included.
    pub expected: u16,
}

/// Why there is no plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Hopeless {
    /// One port is drawn from too many, and the other is not known either.
    BothUnpredictable,
    /// The ends' addresses are of different families.
    Families,
    /// One port is drawn, and the ends may not guess often enough.
    Budget,
    /// An end cannot open as many sockets as it takes to find its port out.
    Sockets,
}

impl Hopeless {
    /// What two ends are told that fail in both roles: what their owners can change first.
    fn of_two(self, other: Self) -> Self {
        let changed = [Self::Budget, Self::Sockets];
        changed.into_iter().find(|&why| self == why || other == why).unwrap_or(self)
    }
}

/// How an end's port towards the peer can be found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It is the one that the server sees.
    Known,
    /// A fresh socket's own port, for its first destination.
    First,
    /// Bracketed; `None`: the step is not known.
    Counted(Option<Differential>),
    /// Drawn from about so many.
    Drawn(u32),
}

impl Kind {
    pub(super) fn of(profile: &NatProfile) -> Self {
        match profile.allocation {
            _ if profile.is_port_known() => Self::Known,
            // A NAT nobody knows: as most are.
            _ if profile.mapping == Mapping::Unknown => Self::Known,
            Allocation::Preserving => Self::Known,
            Allocation::PreservingFirst => Self::First,
            Allocation::Sequential(step) => Self::Counted(Some(step)),
            Allocation::Unknown => Self::Counted(None),
            Allocation::Random => {
                Self::Drawn(profile.span.size().filter(|&size| size <= 1 << 15).unwrap_or(ALL))
            }
        }
    }
}

/// Ports that a NAT draws from when nothing else is known: all but the well-known ones.
const ALL: u32 = 65_536 - 1_024;

/// Whether the filter lets any port of an address in that was sent to.
pub(super) const fn is_open(profile: &NatProfile) -> bool {
    matches!(
        profile.filtering,
        Filtering::EndpointIndependent | Filtering::PortIndependent | Filtering::AddressDependent
    )
}

/// One mapping for each destination address: bubbles to several ports leave from one port.
pub(super) const fn is_by_address(profile: &NatProfile) -> bool {
    matches!(profile.mapping, Mapping::AddressDependent)
}

/// The cheapest method that has a fair chance.
///
/// # Errors
/// [`Hopeless`]: none has; the pair should be relayed at once.
pub fn plan(issuer: &Party, acceptor: &Party) -> Result<Plan, Hopeless> {
    if issuer.observed.is_ipv4() != acceptor.observed.is_ipv4() {
        return Err(Hopeless::Families);
    }
    let (one, other) = (Kind::of(&issuer.profile), Kind::of(&acceptor.profile));
    let direct = one == Kind::Known && (other == Kind::Known || is_open(&issuer.profile))
        || other == Kind::Known && is_open(&acceptor.profile);
    if direct {
        // The bubbler holds its packet back from a NAT that punishes.
        let holds_back = acceptor.profile.punishes && !issuer.profile.punishes;
        let issuer_s = other != Kind::Known || one == Kind::Known && holds_back;
        let bubbler = if issuer_s { End::Issuer } else { End::Acceptor };
        return Ok(Plan { method: Method::Direct, bubbler, bubbles: 1, replies: 1, expected: 4 });
    }
    let forwards = oriented(End::Issuer, issuer, acceptor);
    let backwards = oriented(End::Acceptor, acceptor, issuer);
    match (forwards, backwards) {
        (Ok(one), Ok(other)) => Ok(if one.expected <= other.expected { one } else { other }),
        (Ok(plan), Err(_)) | (Err(_), Ok(plan)) => Ok(plan),
        (Err(one), Err(other)) => Err(one.of_two(other)),
    }
}

/// The plan with this end as the bubbler.
fn oriented(bubbler: End, one: &Party, other: &Party) -> Result<Plan, Hopeless> {
    let can_look = |party: &Party| party.limits.sockets >= sockets_to_look(&party.profile);
    let plan = |method, bubbles, replies, expected| {
        let able = can_look(one) && (method != Method::BothFirst || can_look(other));
        let plan = Plan { method, bubbler, bubbles, replies, expected };
        able.then_some(plan).ok_or(Hopeless::Sockets)
    };
    match (Kind::of(&one.profile), Kind::of(&other.profile)) {
        (Kind::First, Kind::Known) => plan(Method::First, 1, 1, 5),
        (Kind::First, Kind::First) => plan(Method::BothFirst, 1, 1, 6),
        (Kind::Counted(_), Kind::Known) => plan(Method::Bracket, 1, WIDEST, 6),
        // What comes in past such a filter may come from any port.
        (Kind::Drawn(size), to) if to == Kind::Known || is_open(&one.profile) => {
            birthday(bubbler, size, one, other)
        }
        (Kind::First | Kind::Counted(Some(_)), Kind::Counted(Some(_))) => ramp(bubbler, one, other),
        _ => Err(Hopeless::BothUnpredictable),
    }
}

/// A NAT that maps each destination anew can be bracketed from the bubble's own socket, which keeps
/// its parity; any other only by neighbours.
pub(super) fn bracket_for(profile: &NatProfile) -> Bracket {
    if profile.mapping == Mapping::AddressAndPortDependent {
        Bracket::SameSocket
    } else {
        Bracket::FreshSockets
    }
}

/// How many fresh sockets an end needs so that its port can be found out.
pub(super) fn sockets_to_look(profile: &NatProfile) -> u8 {
    match Kind::of(profile) {
        Kind::First => 1,
        _ => bracket_for(profile).extra_sockets().saturating_add(1),
    }
}

/// Foreign mappings of one NAT, between seeing its counter and using it, that a ramp leaves room for
/// at least.
const LEAST_DRIFT: u8 = 4;

/// Between which numbers of foreign mappings a counter's drift will be, when `mean` are expected: two
/// and a half standard deviations on each side, and at least [`LEAST_DRIFT`] of room.
pub(super) fn drift(mean: u32) -> (u8, u8) {
    let spread = mean.isqrt().saturating_mul(5).div_ceil(2);
    let low = u8::try_from(mean.saturating_sub(spread)).unwrap_or(u8::MAX);
    let high = u8::try_from(mean.saturating_add(spread)).unwrap_or(u8::MAX);
    (low, high.max(low.saturating_add(LEAST_DRIFT)))
}

fn ramp(bubbler: End, one: &Party, other: &Party) -> Result<Plan, Hopeless> {
    let replies = LEAST_DRIFT.saturating_add(1);
    let wanted = match Kind::of(&one.profile) {
        Kind::First => replies,
        _ if is_by_address(&one.profile) => 1,
        _ => replies.saturating_add(LEAST_DRIFT),
    };
    let bubbles = wanted.min(one.limits.sockets);
    let can_look = |party: &Party| party.limits.sockets >= sockets_to_look(&party.profile);
    if !can_look(one) || !can_look(other) {
        return Err(Hopeless::Sockets);
    }
    // Fewer sockets mean more rounds.
    let rounds = wanted.div_ceil(bubbles);
    let packets = u16::from(bubbles).saturating_add(replies.into()).saturating_add(4);
    let expected = packets.saturating_mul(rounds.into());
    Ok(Plan { method: Method::Ramp, bubbler, bubbles, replies: replies.into(), expected })
}

/// So many pairs of a bubble and a guess for each port, where that can be: e^-6 is 1 in 400.
const SURE: u32 = 6;

/// New mappings that one attempt makes at one NAT at most (RFC 8445 appendix B.1 and its kind count on
/// far fewer; home routers have been seen to fall over thousands).
const MOST_MAPPINGS: u16 = 256;

/// Whether both ends' ports are drawn and both can be guessed at: each guess has two chances then. Both
/// need a NAT that makes one mapping for all guesses.
pub(super) fn guess_each_other(one: &NatProfile, other: &NatProfile) -> bool {
    [one, other].into_iter().all(|profile| {
        matches!(Kind::of(profile), Kind::Drawn(_)) && is_open(profile) && is_by_address(profile)
    })
}

/// `n` mappings among `size` ports and `m` guesses: missed by all with a chance of about
/// e^(-n·m/size).
fn birthday(bubbler: End, size: u32, one: &Party, other: &Party) -> Result<Plan, Hopeless> {
    let most = match other.profile.mapping {
        Mapping::AddressAndPortDependent => MOST_MAPPINGS,
        _ => u16::MAX,
    };
    let guesses = other.limits.guesses.min(most);
    let replies = guesses.min(u16::try_from(size).unwrap_or(u16::MAX));
    // As many bubbles as guesses: the fewest packets in all. More where the guesses would not do.
    let enough = size.saturating_mul(SURE).div_ceil(u32::from(replies).max(1));
    let bubbles = u8::try_from(size.isqrt().max(enough)).unwrap_or(u8::MAX).min(one.limits.sockets);
    // Less than one in sixteen is not worth the packets.
    let worth =
        |bubbles: u8| u32::from(bubbles).saturating_mul(replies.into()).saturating_mul(16) >= size;
    if !worth(bubbles) {
        return Err(if worth(u8::MAX) { Hopeless::Sockets } else { Hopeless::Budget });
    }
    let wait = size.checked_div(bubbles.into()).unwrap_or(0).min(replies.into());
    let expected = u16::try_from(wait).unwrap_or(u16::MAX).saturating_add(bubbles.into());
    Ok(Plan { method: Method::Birthday, bubbler, bubbles, replies, expected })
}
