//! What the oracle says, in words.

use core::fmt;

use super::{Direct, Judgement, Order, Ports, Reason, Side, Verdict};
use crate::nat::{Filtering, Mapping};

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "a NAT has no room for the mappings",
            Self::UdpBlocked => "a box lets no UDP pass",
            Self::NoCommonFamily => "one has only IPv4, the other only IPv6",
        })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen => f.write_str("the port that the server sees"),
            Self::Chosen => f.write_str("the port that the application binds"),
            Self::Counter { foreign: None, .. } => {
                f.write_str("the next port of a counter of its own")
            }
            Self::Counter { .. } => f.write_str("the next port of a counter that others move too"),
            Self::Unseen { all, .. } => {
                write!(f, "the next port of a counter that begins anywhere among {all}")
            }
            Self::Among { all, .. } => write!(f, "any of {all} ports"),
            Self::Unknown => f.write_str("a port of which nothing is known"),
        }
    }
}

impl Judgement {
    /// Why it is so: for each end, or for both, in one or two sentences without a full stop at the end.
    /// `names`: what `a` and `b` are called, as in "the user".
    #[must_use]
    pub fn why(&self, names: [&str; 2]) -> String {
        if let Direct::Impossible(reason) = self.direct {
            return reason.to_string();
        }
        if self.local {
            return "both are in one network".into();
        }
        let Some((a, b)) = self.prediction.sides() else { return String::new() };
        if self.plain {
            let order = match self.order {
                Order::Any => "",
                Order::AFirst | Order::BFirst | Order::ShortHops => "; an early packet does harm",
            };
            let who = match (a.stable, b.stable) {
                (true, true) => "each is seen by the other as the server sees it".into(),
                (false, true) => format!("{} lets in {} from any port", names[1], names[0]),
                (true, false) => format!("{} lets in {} from any port", names[0], names[1]),
                (false, false) => "one lets in anybody, the other any port".into(),
            };
            return who + order;
        }
        let mut parts: Vec<String> = [(names[0], a), (names[1], b)]
            .into_iter()
            .filter(|(_, side)| !side.stable)
            .map(|(name, side)| from(name, side))
            .collect();
        match (lets_in(a), lets_in(b)) {
            (Some(one), Some(other)) if one == other => {
                parts.push(format!("each lets in only {one}"));
            }
            (one, other) => parts.extend(
                [(names[0], one), (names[1], other)]
                    .into_iter()
                    .filter_map(|(name, who)| Some(format!("{name} lets in only {}", who?))),
            ),
        }
        if a.stable && b.stable {
            let doubt = if a.room.plain && b.room.plain {
                "a conflict or an early packet can undo it"
            } else {
                "a NAT may have no room for the mappings"
            };
            parts = vec![doubt.into()];
        }
        parts.join("; ")
    }
}

/// What an end's new mappings are.
fn from(name: &str, side: &Side) -> String {
    let each = match side.mapping {
        Mapping::AddressAndPortDependent => "address and port",
        Mapping::AddressDependent | Mapping::EndpointIndependent => "address",
    };
    let pool = match side.addresses {
        0 | 1 => String::new(),
        addresses => format!(", of one of {addresses} addresses"),
    };
    format!("to every {each} {name} sends from {}{pool}", side.ports)
}

const fn lets_in(side: &Side) -> Option<&'static str> {
    match side.filtering {
        Filtering::EndpointIndependent => None,
        Filtering::AddressDependent => Some("addresses that it sent to"),
        Filtering::AddressAndPortDependent => Some("addresses and ports that it sent to"),
    }
}

/// The three kinds of answers of a table of pairs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Category {
    /// It connects for certain, by plain punching or with prediction.
    Certain,
    /// It connects with a probability between these.
    Bounded(super::Probability),
    /// It cannot connect.
    Impossible,
}

impl Verdict {
    /// In which field of a table of pairs it belongs.
    #[must_use]
    pub const fn category(self) -> Category {
        match self {
            Self::MustConnect => Category::Certain,
            Self::MustNotConnect(_) => Category::Impossible,
            Self::May(p) if p.reached >= 1.0 => Category::Certain,
            Self::May(p) => Category::Bounded(p),
        }
    }
}
