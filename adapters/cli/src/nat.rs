//! What a NAT is like, and why two of them cannot be punched: in words and as fields of events.

use core::cell::RefCell;

use genkan_core::nat::{Allocation, Filtering, Mapping, NatProfile};
use genkan_core::punch::{End, Hopeless, Method, Plan};
use serde_json::json;

use crate::events::Event;

/// A profile in words.
pub(crate) fn words(profile: &NatProfile) -> String {
    let mapping = match profile.mapping {
        Mapping::Unknown => "not measured",
        Mapping::EndpointIndependent => "one port for all destinations",
        Mapping::PortIndependent => "one port for all ports of a destination",
        Mapping::AddressDependent => "another port for each address",
        Mapping::AddressAndPortDependent => "another port for each destination",
    };
    let ports = match profile.allocation {
        Allocation::Unknown => String::new(),
        Allocation::Preserving => ", kept as it is inside".into(),
        Allocation::PreservingFirst => ", the first kept as it is inside".into(),
        Allocation::Sequential(step) => format!(", counted by {:+}", step.get()),
        Allocation::Random => match profile.span.size().filter(|&size| size <= 1 << 15) {
            Some(size) => format!(", drawn from about {size}"),
            None => ", drawn".into(),
        },
    };
    let filtering = match profile.filtering {
        Filtering::Unknown => "",
        Filtering::EndpointIndependent => "; lets in everybody",
        Filtering::PortIndependent => "; lets in any port of who was sent something",
        Filtering::AddressDependent => "; lets in who was sent something, from any port",
        Filtering::AddressAndPortDependent => "; lets in only ports that were sent something",
    };
    format!("{mapping}{ports}{filtering}")
}

/// Adds a profile to an event.
pub(crate) fn with(event: Event, profile: &NatProfile) -> Event {
    let mapping = match profile.mapping {
        Mapping::Unknown => "unknown",
        Mapping::EndpointIndependent => "endpoint-independent",
        Mapping::PortIndependent => "port-independent",
        Mapping::AddressDependent => "address-dependent",
        Mapping::AddressAndPortDependent => "address-and-port-dependent",
    };
    let filtering = match profile.filtering {
        Filtering::Unknown => "unknown",
        Filtering::EndpointIndependent => "endpoint-independent",
        Filtering::PortIndependent => "port-independent",
        Filtering::AddressDependent => "address-dependent",
        Filtering::AddressAndPortDependent => "address-and-port-dependent",
    };
    let (ports, step) = match profile.allocation {
        Allocation::Unknown => ("unknown", None),
        Allocation::Preserving => ("preserving", None),
        Allocation::PreservingFirst => ("preserving-first", None),
        Allocation::Sequential(step) => ("sequential", Some(step.get())),
        Allocation::Random => ("random", None),
    };
    let span = profile.span;
    let seen = (span.seen > 0).then(|| json!([span.low, span.high, span.seen]));
    event
        .with("mapping", mapping)
        .with("filtering", filtering)
        .with("ports", ports)
        .with("step", step)
        .with("span", seen)
        .with("steady_address", profile.steady_address)
        .with("consistent", profile.consistent)
        .with("drifted", profile.drifted)
        .with("punishes", profile.punishes)
        .with("foreign", profile.foreign)
}

/// Why there is no way, in words.
pub(crate) const fn why_text(why: Hopeless) -> &'static str {
    match why {
        Hopeless::BothUnpredictable => "neither NAT's port can be foreseen",
        Hopeless::Families => "one end has IPv4, the other IPv6",
        Hopeless::Budget => "a port would have to be guessed, and --max-guesses allows none",
        _ => "the two NATs leave no way",
    }
}

/// Why there is no way, in an event.
pub(crate) const fn why(why: Hopeless) -> &'static str {
    match why {
        Hopeless::BothUnpredictable => "both-unpredictable",
        Hopeless::Families => "families",
        Hopeless::Budget => "budget",
        _ => "other",
    }
}

/// Adds to an event how two ends are to meet, or why they cannot.
pub(crate) fn with_plan(event: Event, plan: &Result<Plan, Hopeless>) -> Event {
    let plan = match plan {
        Ok(plan) => plan,
        Err(reason) => return event.with("why", why(*reason)),
    };
    let bubbler = match plan.bubbler {
        End::Issuer => "issuer",
        End::Acceptor => "acceptor",
    };
    event
        .with("method", method(plan.method))
        .with("bubbler", bubbler)
        .with("bubbles", plan.bubbles)
        .with("replies", plan.replies)
        .with("expected", plan.expected)
}

const fn method(method: Method) -> &'static str {
    match method {
        Method::Direct => "direct",
        Method::First => "first",
        Method::BothFirst => "both-first",
        Method::Bracket => "bracket",
        Method::Ramp => "ramp",
        Method::Birthday => "birthday",
    }
}

/// What a person was told of the NAT last: the same is not told again.
#[derive(Debug, Default)]
pub(crate) struct Told(RefCell<String>);

impl Told {
    /// The profile in words, if they are other words than the last time.
    pub(crate) fn news(&self, profile: &NatProfile) -> Option<String> {
        let words = words(profile);
        let last = self.0.replace(words.clone());
        (last != words).then_some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genkan_core::nat::{ServerEnd, Sighting};

    /// Of a socket at port `local`, which the NAT gives these ports towards the main and other port.
    fn measured(ports: [(u8, u16, ServerEnd, u16); 4]) -> NatProfile {
        let sighting = |(socket, local, server, port)| Sighting {
            socket,
            local,
            server,
            observed: ([198, 51, 100, 1], port).into(),
        };
        NatProfile::measure(&ports.map(sighting))
    }

    #[test]
    fn a_profile_is_told_in_words_and_only_when_they_change() {
        use ServerEnd::{Main, OtherPort};
        let counter = [
            (0, 40_000, Main, 61_000),
            (0, 40_000, OtherPort, 61_002),
            (1, 40_002, Main, 61_004),
            (1, 40_002, OtherPort, 61_006),
        ];
        let mut profile = measured(counter);
        profile.set_filtering(Some(false), None);
        let told = Told::default();
        assert_eq!(
            told.news(&profile).unwrap(),
            "another port for each destination, counted by +2; lets in only ports that were sent \
             something"
        );
        assert_eq!(told.news(&profile), None);
        let kept = counter.map(|(socket, local, server, _)| (socket, local, server, local));
        let words = told.news(&measured(kept)).unwrap();
        assert_eq!(words, "one port for all ports of a destination, kept as it is inside");
        assert_eq!(told.news(&NatProfile::default()).unwrap(), "not measured");
    }

    #[test]
    fn fields_of_an_event_say_the_same() {
        use ServerEnd::{Main, OtherPort};
        let profile = measured([
            (0, 40_000, Main, 61_000),
            (0, 40_000, OtherPort, 60_993),
            (1, 40_002, Main, 60_986),
            (1, 40_002, OtherPort, 60_979),
        ]);
        let event = with(Event::new("nat"), &profile).into_value();
        assert_eq!(event["mapping"], "address-and-port-dependent");
        assert_eq!((&event["ports"], &event["step"]), (&json!("sequential"), &json!(-7)));
        assert_eq!(event["span"], json!([60_979, 61_000, 4]));
        assert_eq!(event["filtering"], "unknown");
    }
}
