//! What was learned of a NAT.

use core::time::Duration;

use heapless::Vec;

use super::differential::Differential;
use super::forecast::Forecast;
use super::lifetime::Lifetime;
use super::sighting::{MAX_SIGHTINGS, Sighting};

/// Which packets of one socket share an external port (RFC 4787 section 4.1), as far as was seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Mapping {
    /// Not measured.
    #[default]
    Unknown = 0,
    /// All.
    EndpointIndependent = 1,
    /// Those to one address, whatever the port; other addresses were not tried. Endpoint-independent
    /// or address-dependent.
    PortIndependent = 2,
    /// Those to one address.
    AddressDependent = 3,
    /// Those to one address and port ("symmetric").
    AddressAndPortDependent = 4,
}

/// Whom a NAT lets in (RFC 4787 section 5), as far as was seen; a lost probe looks like a filtered one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Filtering {
    /// Not measured.
    #[default]
    Unknown = 0,
    /// Anybody.
    EndpointIndependent = 1,
    /// Any port of an address that was sent to; other addresses were not tried.
    PortIndependent = 2,
    /// Any port of an address that was sent to, and nobody else.
    AddressDependent = 3,
    /// Only addresses and ports that were sent to.
    AddressAndPortDependent = 4,
}

/// How a NAT gives out ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Allocation {
    /// Not measured, or too little seen.
    #[default]
    Unknown,
    /// The port that the socket is bound to.
    Preserving,
    /// The port that the socket is bound to, for its first destination only.
    PreservingFirst,
    /// A counter with this step.
    Sequential(Differential),
    /// Drawn; from where, [`NatProfile::span`] says.
    Random,
}

/// Between which ports those lie that were seen and not preserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Span {
    /// The lowest; 0 when none was seen.
    pub low: u16,
    /// The highest.
    pub high: u16,
    /// How many were seen, up to 255.
    pub seen: u8,
}

impl Span {
    fn add(&mut self, port: u16) {
        self.low = if self.seen == 0 { port } else { self.low.min(port) };
        self.high = self.high.max(port);
        self.seen = self.seen.saturating_add(1);
    }

    fn join(&mut self, other: Self) {
        if other.seen > 0 {
            let seen = self.seen.saturating_add(other.seen);
            self.add(other.low);
            self.add(other.high);
            self.seen = seen;
        }
    }

    /// How many ports the set has from which these were drawn, as `n` draws let one expect:
    /// what they span, and the mean gap once more at each end. `None` with fewer than two.
    #[must_use]
    pub fn size(self) -> Option<u32> {
        let gaps = u32::from(self.seen).checked_sub(1).filter(|&gaps| gaps > 0)?;
        let width = u32::from(self.high).saturating_sub(self.low.into()).saturating_add(1);
        Some(width.saturating_add(width.saturating_mul(2).checked_div(gaps)?))
    }

    /// Where the next port is looked for. A set that may have more than half of all ports is taken
    /// for all that NATs give out.
    #[must_use]
    pub fn forecast(self) -> Forecast {
        match self.size() {
            Some(size) if size <= 1 << 15 => {
                let gaps = u32::from(self.seen).saturating_sub(1).max(1);
                let width = u32::from(self.high).saturating_sub(self.low.into());
                // Beyond three mean gaps lies a port with a chance of e^-3.
                let margin = width.saturating_mul(3).checked_div(gaps).unwrap_or(0);
                let margin = u16::try_from(margin).unwrap_or(u16::MAX);
                Forecast::Among { low: self.low, high: self.high, margin }
            }
            _ => Forecast::Among { low: 1_024, high: u16::MAX, margin: 0 },
        }
    }
}

/// What is known of a NAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct NatProfile {
    /// Which packets share a port.
    pub mapping: Mapping,
    /// Whom it lets in.
    pub filtering: Filtering,
    /// How it gives out ports.
    pub allocation: Allocation,
    /// One external address was seen for all packets.
    pub steady_address: bool,
    /// Everything that was seen fits what the profile says; otherwise it says what most of it does.
    pub consistent: bool,
    /// The profile said something else before, and was measured anew; or its lifetime was.
    pub drifted: bool,
    /// What comes in before the equipment has sent there does harm: the NAT takes the packet for its
    /// own, so that the equipment gets another port towards that sender (Linux without a rule that
    /// drops it), or shuts out the sender or the port for a while.
    pub punishes: bool,
    /// The measurement itself has moved the registered socket to another port, which it may have towards
    /// new destinations, too, for as long as the NAT remembers (Linux: 30 s; `find_appropriate_src`).
    pub displaced: bool,
    /// Ports that were seen and not preserved, accumulated.
    pub span: Span,
    /// Foreign mappings a second, up to 255; what is not known counts as 0.
    pub foreign: u8,
    /// The last port that a counter gave out; 0: none.
    pub last: u16,
    /// How many measurements in a row have said the same of mapping and allocation, up to 7; 0: none
    /// has said anything.
    pub confidence: u8,
    /// How long it keeps a mapping that is silent, accumulated.
    pub lifetime: Lifetime,
}

/// The most that [`NatProfile::confidence`] says.
pub const MAX_CONFIDENCE: u8 = 7;

impl NatProfile {
    /// What sightings of one measurement say, in the order in which the packets were sent. Only the
    /// first [`MAX_SIGHTINGS`] are looked at.
    #[must_use]
    pub fn measure(sightings: &[Sighting]) -> Self {
        let seen = sightings.get(..MAX_SIGHTINGS.min(sightings.len())).unwrap_or(&[]);
        let mut profile = Self { consistent: true, ..Self::default() };
        let Some(first) = seen.first() else { return profile };
        profile.steady_address = seen.iter().all(|s| s.observed.shares_ip(first.observed));
        profile.displaced = is_occupied(first, seen);
        profile.punishes = profile.displaced;
        let mut kept = Vec::<Sighting, MAX_SIGHTINGS>::new();
        // What a probe has got for the registered socket says nothing of mappings without one.
        let spoilt = |s: &Sighting| s.socket == first.socket && s.port() != first.port();
        for one in seen.iter().filter(|s| !(profile.punishes && spoilt(s))) {
            let _room = kept.push(*one);
        }
        profile.judge_mapping(&kept);
        profile.judge_allocation(&kept);
        profile.confidence = u8::from(!profile.is_empty());
        profile
    }

    /// Whether it says nothing of mapping and allocation.
    fn is_empty(&self) -> bool {
        self.mapping == Mapping::Unknown && self.allocation == Allocation::Unknown
    }

    /// Takes over from the profile `before` what one measurement does not tell: whether it agrees,
    /// how many have, and how long a mapping lives.
    pub(crate) fn follow(&mut self, before: &Self) {
        let same = (before.mapping, before.allocation) == (self.mapping, self.allocation);
        self.drifted = before.mapping != Mapping::Unknown && !same;
        if same {
            self.confidence = self.confidence.saturating_add(before.confidence);
            self.confidence = self.confidence.min(MAX_CONFIDENCE);
        }
        self.lifetime = before.lifetime;
    }

    /// What packets say that the server sent to the registered address from its other port and from
    /// its other address, before anything was sent there: whether they arrived, `None` where none
    /// was sent.
    pub const fn set_filtering(&mut self, other_port: Option<bool>, other_address: Option<bool>) {
        self.filtering = match (other_port, other_address) {
            (_, Some(true)) => Filtering::EndpointIndependent,
            (Some(true), Some(false)) => Filtering::AddressDependent,
            (Some(true), None) => Filtering::PortIndependent,
            (Some(false), _) => Filtering::AddressAndPortDependent,
            (None, _) => Filtering::Unknown,
        };
    }

    /// The registered socket has a port that the NAT has opened on request, and that was seen to lead
    /// to it: one for all destinations, whatever the NAT does with others.
    pub const fn set_leased(&mut self) {
        self.mapping = Mapping::EndpointIndependent;
        self.displaced = false;
        self.punishes = false;
    }

    fn judge_mapping(&mut self, seen: &[Sighting]) {
        let [ports, addresses] = compare(seen, None);
        self.consistent &= ports.agree() && addresses.agree();
        self.mapping = match (ports.same(), addresses.same()) {
            (Some(false), _) | (None, Some(false)) => Mapping::AddressAndPortDependent,
            (Some(true), Some(false)) => Mapping::AddressDependent,
            (_, Some(true)) => Mapping::EndpointIndependent,
            (Some(true), None) => Mapping::PortIndependent,
            (None, None) => Mapping::Unknown,
        };
    }

    fn judge_allocation(&mut self, seen: &[Sighting]) {
        // The ports of new mappings, in order: what a socket had already is no new one.
        let mut fresh = Vec::<u16, MAX_SIGHTINGS>::new();
        let (mut firsts, mut later) = (Votes::default(), Votes::default());
        for (at, one) in seen.iter().enumerate() {
            let (mut votes, mut is_fresh) = (&mut firsts, true);
            for before in seen.iter().take(at).filter(|before| before.socket == one.socket) {
                votes = &mut later;
                is_fresh &= before.port() != one.port();
            }
            if !is_fresh {
                continue;
            }
            votes.add(one.is_preserved());
            let _ = fresh.push(one.port());
            if !one.is_preserved() {
                self.span.add(one.port());
            }
        }
        self.allocation = if firsts.mostly() {
            self.consistent &= firsts.agree() && later.agree();
            if later.no > 0 { Allocation::PreservingFirst } else { Allocation::Preserving }
        } else {
            self.last = fresh.last().copied().unwrap_or(0);
            self.judge_order(&fresh)
        };
    }

    /// The first sighting is the registration's and may be old: the others count more.
    fn judge_order(&mut self, fresh: &[u16]) -> Allocation {
        let recent = fresh.get(1..).unwrap_or(&[]);
        let found = [recent, fresh].into_iter().find_map(Differential::of);
        match found {
            Some((differential, all)) => {
                self.consistent &= all;
                Allocation::Sequential(differential)
            }
            None if fresh.len() > 3 => Allocation::Random,
            None => Allocation::Unknown,
        }
    }

    /// Takes over what a newer measurement says, `apart` after this one was made, and keeps what
    /// accumulates. One that says nothing, since its packets were lost, changes nothing.
    pub fn renew(&mut self, newer: &Self, apart: Duration) {
        if newer.is_empty() {
            return;
        }
        let before = *self;
        *self = *newer;
        self.follow(&before);
        if newer.filtering == Filtering::Unknown {
            // No probe was sent: there was nothing to punish either.
            self.filtering = before.filtering;
            self.punishes |= before.punishes;
        }
        if !self.drifted {
            self.span.join(before.span);
            self.foreign = newer.foreign.max(before.foreign);
        }
        if let (Allocation::Sequential(step), false) = (newer.allocation, self.drifted) {
            self.foreign = rate(step, before.last, newer, apart).unwrap_or(before.foreign);
        }
    }

    /// A mapping was silent for between `shortest` and `longest` seconds, and the next packet came
    /// from the same port, or from another one. That proves nothing of a NAT that gives the same
    /// port again; and the same port proves nothing where packets to other destinations keep a
    /// mapping alive, too. Says whether anything was learned.
    pub fn silent(&mut self, shortest: u32, longest: u32, same_port: bool) -> bool {
        let drawn = matches!(self.allocation, Allocation::Sequential(_) | Allocation::Random);
        let alone = self.mapping == Mapping::AddressAndPortDependent;
        let before = self.lifetime;
        let contradicted = match same_port {
            true if drawn && alone => self.lifetime.lived(shortest),
            false if drawn => self.lifetime.died(longest),
            _ => false,
        };
        self.drifted |= contradicted;
        self.lifetime != before
    }

    /// Whether the port towards another destination is the one that the server sees, from a socket
    /// that it has seen.
    #[must_use]
    pub const fn is_port_known(&self) -> bool {
        matches!(self.mapping, Mapping::EndpointIndependent | Mapping::PortIndependent)
            || matches!(self.allocation, Allocation::Preserving)
    }
}

/// Foreign mappings a second between two sightings of one counter; `None` where it may have gone
/// round, and where the time is too short to tell.
fn rate(step: Differential, before: u16, newer: &NatProfile, apart: Duration) -> Option<u8> {
    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(120);
    if before == 0 || newer.last == 0 || !(SHORTEST..=LONGEST).contains(&apart) {
        return None;
    }
    let steps = u64::try_from(step.steps(before, newer.last)?).ok()?;
    let foreign = steps.saturating_sub(newer.span.seen.into());
    let a_second =
        foreign.saturating_mul(1_000).checked_div(u64::try_from(apart.as_millis()).ok()?)?;
    Some(u8::try_from(a_second).unwrap_or(u8::MAX))
}

/// How often one socket, `without` this one, had one port towards two ends of the server on one
/// address, and how often towards two addresses.
fn compare(seen: &[Sighting], without: Option<u8>) -> [Votes; 2] {
    let (mut ports, mut addresses) = (Votes::default(), Votes::default());
    for (at, one) in seen.iter().enumerate().filter(|(_, one)| Some(one.socket) != without) {
        for other in seen.iter().take(at) {
            if one.socket != other.socket || one.server == other.server {
                continue;
            }
            let near = one.server.shares_address(other.server);
            let votes = if near { &mut ports } else { &mut addresses };
            votes.add(one.port() == other.port());
        }
    }
    [ports, addresses]
}

/// Whether only the registered socket has another port towards the server's other port: a probe has
/// come from there before it sent, and has occupied the one that it had. (Another address is another
/// matter: the equipment, or its NAT, has got that meanwhile.)
fn is_occupied(registered: &Sighting, seen: &[Sighting]) -> bool {
    let mut moved = false;
    for other in seen.iter().filter(|other| other.socket == registered.socket) {
        if other.server != registered.server && registered.server.shares_address(other.server) {
            moved = other.port() != registered.port();
            if !moved || !other.observed.shares_ip(registered.observed) {
                return false;
            }
        }
    }
    let [near, far] = compare(seen, Some(registered.socket));
    moved && near.no == 0 && (near.yes > 0 || far.yes > 0)
}

/// How often something was so, and how often not.
#[derive(Clone, Copy, Default)]
struct Votes {
    yes: u8,
    no: u8,
}

impl Votes {
    fn add(&mut self, yes: bool) {
        let votes = if yes { &mut self.yes } else { &mut self.no };
        *votes = votes.saturating_add(1);
    }

    /// What most say; with as many on either side, the harder case.
    fn same(self) -> Option<bool> {
        (self.yes > 0 || self.no > 0).then_some(self.yes > self.no)
    }

    fn agree(self) -> bool {
        self.yes == 0 || self.no == 0
    }

    /// At least two thirds say so.
    fn mostly(self) -> bool {
        self.yes > 0 && self.yes >= self.no.saturating_mul(2)
    }
}
