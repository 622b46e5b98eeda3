//! What stands in each message, field by field in its order, and the numbers of variants.

use super::super::message as m;
use super::{Body, Sink, Source};
use crate::nat::{Count, Forecast, PortRange};
use crate::punch::{Bracket, Burst, Hopeless};

/// Structures: the fields in their order.
macro_rules! structs {
    ($($type:ty { $($field:ident),+ })*) => { $(
        impl<'a> Body<'a> for $type {
            fn write(&self, to: &mut Sink<'_>) {
                $(self.$field.write(to);)+
            }

            fn read(from: &mut Source<'a>) -> Self {
                Self { $($field: Body::read(from)),+ }
            }
        }
    )* };
}

/// Enumerations: the variant's number, then what is in it.
macro_rules! enums {
    ($($type:ty {
        0 $first:ident { $($f:tt: $v:ident),* }
        $($number:literal $variant:ident { $($field:tt: $value:ident),* })+
    })*) => { $(
        impl<'a> Body<'a> for $type {
            fn write(&self, to: &mut Sink<'_>) {
                match self {
                    Self::$first { $($f: $v),* } => {
                        to.byte(0);
                        $($v.write(to);)*
                    }
                    $(Self::$variant { $($field: $value),* } => {
                        to.byte($number);
                        $($value.write(to);)*
                    })+
                }
            }

            fn read(from: &mut Source<'a>) -> Self {
                match from.byte() {
                    $($number => Self::$variant { $($field: Body::read(from)),* },)+
                    number => {
                        if number != 0 {
                            from.fail();
                        }
                        Self::$first { $($f: Body::read(from)),* }
                    }
                }
            }
        }
    )* };
}

structs! {
    m::Hello<'a> { role, time, early }
    m::Welcome { observed, time, early_taken }
    m::Register { id, local, capabilities, early_key }
    m::Measure { other_port, other_address, now }
    m::Seen { request, round, packets }
    m::Punch { request, peer, burst }
    m::Hopeless { request, why }
    m::Heard { request }
    m::Range { request, round, range }
    m::Registered { observed, interval, register_every }
    m::ConnectRequest<'a> { request, target, issuer, early_tag, offer }
    m::ConnectNotify<'a> { request, issuer, paired, offer }
    m::Wake { request }
    m::Fetch { request }
    m::NotifyReply { request, verdict }
    m::Plan { request, acceptor, accepted }
    m::Refused { request, reason }
    m::Offer { index, password, punch_key, counter, time, candidates }
    m::WholeOffer { offer, renewal }
    m::Life { port, lifetime }
    m::Accept { early_key }
    PortRange { before, after, differential, bubbles }
    Burst { round, sockets, keep, ports, count, bracket, once, hops }
}

enums! {
    m::Role { 0 Acceptor {} 1 Issuer {} }
    m::ToServer<'a> {
        0 Confirm {}
        1 Register { 0: body }
        2 Deregister {}
        3 Connect { 0: body }
        4 Reply { 0: body }
        5 Fetch { 0: body }
        6 Can { 0: body }
        7 Heard { 0: body }
        8 Range { 0: body }
        9 Life { 0: body }
        10 Leased { 0: port }
    }
    m::ToEquipment<'a> {
        0 Registered { 0: body }
        1 Notify { 0: body }
        2 Wake { 0: body }
        3 Plan { 0: body }
        4 Refused { 0: body }
        5 Goodbye {}
        6 Measure { 0: body }
        7 Seen { 0: body }
        8 Punch { 0: body }
        9 Hopeless { 0: body }
    }
    m::Verdict { 0 Accepted {} 1 Declined { 0: reason } }
    m::Reason {
        0 Unspecified {}
        1 Unknown {}
        2 Offline {}
        3 Busy {}
        4 NotAllowed {}
        5 WrongPassword {}
        6 ForbiddenAddress {}
        7 BadOffer {}
        8 Unreachable {}
    }
    m::PeerMessage { 0 Alive {} 1 Probe {} 2 Close {} 3 EarlyKey { 0: key } }
    Hopeless { 0 BothUnpredictable {} 1 Families {} 2 Budget {} 3 Sockets {} }
    Bracket { 0 None {} 1 Announce {} 2 After {} 3 SameSocket {} 4 FreshSockets {} }
    Count {
        0 Poisson { mean: mean }
        1 Split { number: number, part: part, rest: rest }
    }
    Forecast {
        0 Port { 0: port }
        1 Counter { last: last, differential: differential, nth: nth, foreign: foreign }
        2 Run { first: first, differential: differential }
        3 Around { before: before, after: after, differential: differential }
        4 Between { low: low, high: high }
        5 Among { low: low, high: high, margin: margin }
    }
}
