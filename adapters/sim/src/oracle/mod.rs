//! What two ends can reach: an oracle for hole punching.
//!
//! # The theory
//!
//! An end behind a NAT is seen from outside at an address that the NAT made for it. Whether a packet
//! gets in depends on two independent properties (RFC 4787): the *mapping*, which decides whether the
//! address that a server observes is also the one that the peer will see (section 4.1), and the
//! *filter*, which decides who may send to it (section 5). Both are opened by outbound packets only,
//! so each end has to send to the other first (RFC 5128 section 3.3, RFC 8445 section 7).
//!
//! **Plain punching** sends to the address that the server observed, and answers what arrives. When
//! both mappings are endpoint-independent, each filter is opened for just the address that the other
//! one sends from, and it works whatever the filters are. When one mapping depends on the
//! destination, its packets come from a port that nobody has seen: the other end's filter lets them
//! in when it does not look at ports. When both do, one of them has to let in everybody.
//!
//! **Prediction** closes the gap where one port, or both, must be known before it has been seen.
//! What can be known is how the NAT gives out ports (RFC 6081 sections 3.1 and 6): the port that the
//! application binds (preserving), the next of a counter, one of a block, anything. Then:
//!
//! - A *counter* is observed by a mapping towards a server before and after the one that matters.
//!   Other users' mappings come between as a Poisson process, with bursts. The two observations give
//!   their number, not their order, and the best `m` guesses are the likeliest places.
//! - Of `N` *random* ports, `n` mappings and `m` probes meet with probability
//!   1 − C(N−n, m)/C(N, m), which no strategy exceeds.
//! - When *both* have address-and-port-dependent mappings, a packet of each has to be sent to the
//!   port from which the other one will be sent. Of `n·m` pairs each succeeds with the product of
//!   both chances at most, so two random ones never meet in practice: n·m/N².
//!
//! A **chain** of boxes maps and filters as its strictest box does, and shows the ports of the
//! outermost one that does not keep them (RFC 5128 section 3.5; [`Side`]). A port that is *forwarded*
//! or leased (RFC 6886, RFC 6887) takes its box out of the chain. A stateful *firewall* without
//! translation (RFC 6092) is an endpoint-independent mapping with a filter. Ends behind the *same*
//! box reach each other's outside addresses only when it turns packets round (RFC 4787 REQ-9), and
//! their inside addresses when they tell each other those ([`Judgement::local`]).
//!
//! Boxes that *punish* uninvited packets do not change what is possible, but who has to send first
//! ([`Order`]).
//!
//! # Assumptions
//!
//! - Packets go only to addresses that the server has seen of the other end, and to other ports of
//!   those; an address out of a pool that nobody has seen is not aimed at.
//! - Mappings live as long as the attempt (RFC 4787 REQ-5; outbound packets refresh them, REQ-6,
//!   RFC 7857 section 7), nothing is lost for good, and boxes do not restart meanwhile.
//! - Probers know how the NATs work, but not their chance. Different boxes' chances are independent.
//! - Nobody but the two ends and the box's other users ([`NatConfig::foreign`]) uses a box, and each
//!   end comes to it with fresh sockets, bound to ports from 32768 to 60999 where it does not say
//!   otherwise.
//! - What is less likely than 10⁻⁹ does not happen: that a box's other users need that many more ports
//!   than they do on average.
//! - A bubble with few hops can be made: the way between the two ends' boxes has a router.
//!
//! [`NatConfig::foreign`]: crate::nat::NatConfig::foreign
//!
//! # Use
//!
//! ```
//! use genkan_sim::nat::{Filtering, Mapping, NatConfig};
//! use genkan_sim::oracle::{Budget, Conditions, End, Gate, Verdict, judge};
//!
//! let gate = |id, mapping| {
//!     Gate::new(id, NatConfig::new(mapping, Filtering::AddressAndPortDependent))
//! };
//! let phone = End::behind([gate(1, Mapping::EndpointIndependent)]);
//! let lamp = End::behind([gate(2, Mapping::AddressAndPortDependent)]);
//!
//! let judgement = judge(&phone, &lamp);
//! assert!(!judgement.plain);
//! let Verdict::May(p) = judgement.verdict(Budget::default(), Conditions::default()) else {
//!     unreachable!("neither certain nor impossible");
//! };
//! assert_eq!(p.reached, 1.0); // a counter that nobody else moves
//! ```

mod budget;
mod chance;
mod end;
mod plain;
mod ports;
mod prediction;
mod room;
mod side;
mod words;

pub use budget::{Budget, Conditions};
pub use chance::{Probability, likeliest};
pub use end::{End, Gate};
pub use plain::Order;
pub use ports::{Avoiding, Ports};
pub use prediction::Prediction;
pub use room::Room;
pub use side::Side;
pub use words::Category;

use crate::nat::{Hairpin, Proto};
use end::{Meeting, trim};
use prediction::Way;
use side::variants;

/// Whether any protocol over UDP can connect two ends directly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direct {
    /// Some can, if only by luck.
    Possible,
    /// None can.
    Impossible(Reason),
}

/// Why two ends cannot be connected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// A box may not have a second mapping, and the one towards the server does not serve.
    NoRoom,
    /// A box lets no UDP pass.
    UdpBlocked,
    /// One has only IPv4, the other only IPv6.
    NoCommonFamily,
}

/// What must be, and what may be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// Every attempt that does plain punching connects.
    MustConnect,
    /// None does, whatever it does.
    MustNotConnect(Reason),
    /// It depends on the strategy and on chance. [`Probability::ALWAYS`]: certain if the
    /// [`Order`] is kept.
    May(Probability),
}

/// What the oracle says about two ends.
#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    /// Whether there can be a direct connection over UDP.
    pub direct: Direct,
    /// Both are in one network and reach the server: a protocol in which they tell each other their
    /// own addresses (RFC 8445 host candidates) connects for certain.
    pub local: bool,
    /// Plain punching connects for certain, if the order is kept.
    pub plain: bool,
    /// Who has to send first.
    pub order: Order,
    /// What guessing ports can do.
    pub prediction: Prediction,
    /// `b` can open a TCP connection to `a` for certain: that is public, or forwards a port. When `a` is the one
    /// who asks and `b` the appliance, this is the appliance's dialling back.
    pub dial_back: bool,
}

impl Judgement {
    /// What an attempt with this budget must or may come to.
    #[must_use]
    pub fn verdict(&self, budget: Budget, conditions: Conditions) -> Verdict {
        match self.direct {
            Direct::Impossible(reason) => Verdict::MustNotConnect(reason),
            Direct::Possible if self.plain && self.order == Order::Any => Verdict::MustConnect,
            Direct::Possible => Verdict::May(self.prediction.bound(budget, conditions)),
        }
    }
}

/// What can be between `a` and `b`. Symmetric but for [`Judgement::dial_back`] and the names in
/// [`Order`].
#[must_use]
pub fn judge(a: &End, b: &End) -> Judgement {
    let families = [(&a.v4, &b.v4), (&a.v6, &b.v6)];
    let common = families.into_iter().filter_map(|(a, b)| a.as_ref().zip(b.as_ref()));
    let mut judgements: Vec<Judgement> = common.map(|(a, b)| judge_family(a, b)).collect();
    // The best family first: there the rest of the answer comes from.
    judgements.sort_by_key(|judgement| {
        (judgement.direct != Direct::Possible, !judgement.plain, judgement.order != Order::Any)
    });
    let mut judgements = judgements.into_iter();
    let Some(mut best) = judgements.next() else { return nothing_in_common() };
    for other in judgements {
        best.local |= other.local;
        best.dial_back |= other.dial_back;
        best.prediction.ways.extend(other.prediction.ways);
    }
    best
}

const fn nothing_in_common() -> Judgement {
    Judgement {
        direct: Direct::Impossible(Reason::NoCommonFamily),
        local: false,
        plain: false,
        order: Order::Any,
        prediction: Prediction { ways: Vec::new() },
        dial_back: false,
    }
}

fn judge_family(a: &[Gate], b: &[Gate]) -> Judgement {
    // The server is beyond all of their boxes, the other end only beyond some.
    let (to_server_a, to_server_b) = (variants(a, b, Proto::Udp), variants(b, a, Proto::Udp));
    let rooms = || to_server_a.iter().chain(&to_server_b).map(|side| side.room);
    let udp = a.iter().chain(b).all(|gate| gate.config.udp);
    let served = udp && rooms().all(|room| room.sure > 0);
    let roomy = served && rooms().all(|room| room.plain);
    let answers_call = dials(b, a);

    let (a, b, meeting) = trim(a, b);
    let (sides_a, sides_b) = (variants(a, b, Proto::Udp), variants(b, a, Proto::Udp));
    let pairs = || sides_a.iter().flat_map(|a| sides_b.iter().map(move |b| (a, b)));
    let order = pairs().map(|(a, b)| plain::order(a, b)).reduce(stricter).unwrap_or(Order::Any);
    let certain = roomy && pairs().all(|(a, b)| plain::helps(order, meeting, a, b));
    let plain = certain && pairs().all(|sides| plain::turns(meeting, (a, b), sides));
    let hairpin = a.last().map_or(Hairpin::None, |gate| plain::hairpin(gate, gate.forwarded));
    // With the inside source, the answer to a SYN would come from another address.
    let returns = meeting == Meeting::Apart || hairpin == Hairpin::ExternalSource;
    let local = meeting == Meeting::Neighbours;
    let direct = direct(a, b, (&sides_a, &sides_b), local);
    let known = match direct {
        Direct::Impossible(_) => Some(Probability::NEVER),
        Direct::Possible if plain || (local && served) => Some(Probability::ALWAYS),
        // Behind one box, inside addresses might be found out, which is not a matter of ports, and
        // what one end does the other can see.
        Direct::Possible if meeting != Meeting::Apart || !served => Some(Probability::UNKNOWN),
        Direct::Possible => None,
    };
    let dial_back = returns
        && answers_call
        && sides_a.iter().all(|side| side.open)
        && a.iter().chain(b).all(|gate| gate.config.tcp);
    let way = Way { a: sides_a, b: sides_b, known, certain };
    let local = local && served;
    Judgement { direct, local, plain, order, prediction: Prediction { ways: vec![way] }, dial_back }
}

/// Whether an end has room for a TCP connection besides its mapping towards the server.
fn dials(from: &[Gate], to: &[Gate]) -> bool {
    let room = |proto| variants(from, to, proto).into_iter().map(|side| side.room.sure).min();
    room(Proto::Udp) >= Some(1) && room(Proto::Tcp) >= Some(2)
}

fn direct(a: &[Gate], b: &[Gate], sides: (&[Side], &[Side]), local: bool) -> Direct {
    let full = |sides: &[Side]| sides.iter().all(|side| !side.room.possible);
    if local {
        // Nothing between them but a network of their own.
        Direct::Possible
    } else if a.iter().chain(b).any(|gate| !gate.config.udp) {
        Direct::Impossible(Reason::UdpBlocked)
    } else if full(sides.0) || full(sides.1) {
        Direct::Impossible(Reason::NoRoom)
    } else {
        Direct::Possible
    }
}

/// The order that serves both.
fn stricter(one: Order, other: Order) -> Order {
    match (one, other) {
        (Order::Any, order) | (order, Order::Any) => order,
        (one, other) if one == other => one,
        _ => Order::ShortHops,
    }
}
