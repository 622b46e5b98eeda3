//! Plain punching: each end sends, again and again, to the address that the server has seen of the
//! other, and answers whatever arrives to where it came from.

use super::end::{Gate, Meeting};
use super::side::Side;
use crate::nat::{Filtering, Hairpin};

/// Who has to send first. Only boxes that punish uninvited packets make a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// It does not matter.
    Any,
    /// `a`, before anything from `b` can arrive.
    AFirst,
    /// `b`, before anything from `a` can arrive.
    BFirst,
    /// Both, with a hop limit that takes the packet through the sender's own boxes and not to the
    /// other's (a "low-TTL bubble"); only then packets that arrive.
    ShortHops,
}

/// Whether both come to hear answers from each other.
pub(crate) fn connects(a: &Side, b: &Side) -> bool {
    match (a.stable, b.stable) {
        // Each filter was opened for just the address that the other sends from.
        (true, true) => true,
        // The unstable one's packets come from an unknown port; whoever lets them in answers there.
        (false, true) => admits(b, a),
        (true, false) => admits(a, b),
        // Neither knows an address that the other one sends from. Only what is let in by the mapping
        // towards the server arrives; the answer then comes from a new port again.
        (false, false) => (invites(a, b) && admits(b, a)) || (invites(b, a) && admits(a, b)),
    }
}

fn anybody(side: &Side) -> bool {
    side.filtering == Filtering::EndpointIndependent
}

/// Whether the mapping that the server has seen of `side` lets in a new mapping of `from`.
fn invites(side: &Side, from: &Side) -> bool {
    side.filtering_new == Filtering::EndpointIndependent && admits(side, from)
}

/// Whether `side`, having sent to the address that the server saw of `from`, lets in a new mapping
/// of `from`.
fn admits(side: &Side, from: &Side) -> bool {
    match side.filtering {
        Filtering::EndpointIndependent => true,
        Filtering::AddressDependent => from.addresses == 1,
        Filtering::AddressAndPortDependent => false,
    }
}

pub(crate) fn order(a: &Side, b: &Side) -> Order {
    let (a_first, b_first) = (harmed(a, b), harmed(b, a));
    // A bubble to the port that the server saw is uninvited whenever it comes, unless that port is
    // the one that the other end sends from. Who lets in everybody need not send one.
    let always = |side: &Side, other: &Side| !side.stable && !anybody(other);
    match (a_first, b_first) {
        (false, false) => Order::Any,
        (true, false) if !always(a, b) => Order::AFirst,
        (false, true) if !always(b, a) => Order::BFirst,
        _ => Order::ShortHops,
    }
}

/// Whether harm is done when something from `other` comes to `side` uninvited.
fn harmed(side: &Side, other: &Side) -> bool {
    side.punishes || (side.answers && !anybody(side) && other.fragile)
}

/// Whether keeping an order is sure to prevent harm.
///
/// A bubble that dies on its way brings back an ICMP error, which ends the mapping at boxes that let
/// it. Behind a common box the way between the own boxes and the other's may be too short. And what
/// is sent to an address that the other end does not send from stays uninvited.
pub(crate) fn helps(order: Order, meeting: Meeting, a: &Side, b: &Side) -> bool {
    let sturdy = |side: &Side| side.stable && !side.fragile;
    order != Order::ShortHops || (meeting == Meeting::Apart && sturdy(a) && sturdy(b))
}

/// How a box turns packets round between two ends, when there is a forward to one of them or not.
pub(crate) const fn hairpin(turning: &Gate, forwarded: bool) -> Hairpin {
    match turning.config.hairpin {
        Hairpin::Forwards if forwarded => Hairpin::ExternalSource,
        Hairpin::Forwards => Hairpin::None,
        others => others,
    }
}

/// Whether the two connect through the box that both are behind, by their outside addresses.
/// `sides` are the whole ways out; `a` and `b` their boxes, of which the outermost turns packets
/// round.
pub(crate) fn turns(meeting: Meeting, (a, b): (&[Gate], &[Gate]), sides: (&Side, &Side)) -> bool {
    let Some((turning, within_a)) = a.split_last() else { return connects(sides.0, sides.1) };
    let forwarded = turning.forwarded || b.last().is_some_and(|gate| gate.forwarded);
    match (meeting, hairpin(turning, forwarded)) {
        (Meeting::Apart, _) | (_, Hairpin::ExternalSource) => connects(sides.0, sides.1),
        (_, Hairpin::None | Hairpin::Forwards) => false,
        (_, Hairpin::InternalSource) => {
            // The receiver sees an address inside and answers there, past the box: neither may have
            // a filter further in, and the first packet has to get through the box itself.
            let within_b = &b[..b.len().saturating_sub(1)];
            let lets = |gate: &Gate| {
                gate.forwarded || gate.config.behaviour.filtering == Filtering::EndpointIndependent
            };
            let (one, other) = sides;
            let through =
                (one.stable && other.stable) || invites(one, other) || invites(other, one);
            through && within_a.iter().chain(within_b).all(lets)
        }
    }
}
