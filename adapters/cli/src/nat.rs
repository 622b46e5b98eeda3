//! What a NAT is like, and why two of them cannot be punched: in words and as fields of events.

use core::cell::{Cell, RefCell};
use core::net::SocketAddr;
use std::net::UdpSocket;

use genkan_core::Path;
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
    let filtering = filter(profile).map(|text| format!("; {text}")).unwrap_or_default();
    format!("{mapping}{ports}{filtering}{}", lifetime(profile))
}

/// How long it keeps a mapping that is silent, as far as that is known.
fn lifetime(profile: &NatProfile) -> String {
    match (profile.lifetime.at_least(), profile.lifetime.at_most()) {
        (0, 0) => String::new(),
        (0, most) => format!("; forgets in less than {most} s"),
        (least, 0) => format!("; remembers for {least} s or more"),
        (least, most) => format!("; remembers for {least} to {most} s"),
    }
}

/// Whom it lets in.
const fn filter(profile: &NatProfile) -> Option<&'static str> {
    match profile.filtering {
        Filtering::Unknown => None,
        Filtering::EndpointIndependent => Some("lets in everybody"),
        Filtering::PortIndependent => Some("lets in any port of who was sent something"),
        Filtering::AddressDependent => Some("lets in who was sent something, from any port"),
        Filtering::AddressAndPortDependent => Some("lets in only ports that were sent something"),
    }
}

/// The same where no NAT is seen: only a firewall is left.
fn words_without(profile: &NatProfile) -> String {
    let none = "none: the server sees an address of this machine";
    match profile.filtering {
        Filtering::AddressDependent | Filtering::AddressAndPortDependent => {
            format!("{none}; a firewall {}", filter(profile).unwrap_or_default())
        }
        _ => none.into(),
    }
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
    let known = |seconds: u16| (seconds > 0).then_some(seconds);
    let seen = (span.seen > 0).then(|| json!([span.low, span.high, span.seen]));
    event
        .with("mapping", mapping)
        .with("filtering", filtering)
        .with("ports", ports)
        .with("step", step)
        .with("span", seen)
        .with("steady_address", profile.steady_address)
        .with("consistent", profile.consistent)
        .with("confidence", profile.confidence)
        .with("drifted", profile.drifted)
        .with("lives_at_least", known(profile.lifetime.at_least()))
        .with("lives_less_than", known(profile.lifetime.at_most()))
        .with("punishes", profile.punishes)
        .with("foreign", profile.foreign)
}

/// Why there is no way, in words.
pub(crate) const fn why_text(why: Hopeless) -> &'static str {
    match why {
        Hopeless::BothUnpredictable => "neither NAT's port can be foreseen",
        Hopeless::Families => "one end has IPv4, the other IPv6",
        Hopeless::Budget => {
            "a port would have to be guessed, and the end that would guess may not do it often enough \
             (--max-guesses there)"
        }
        Hopeless::Sockets => {
            "an end can open too few sockets to find its port out (its limit of open files, or a \
             small device)"
        }
        _ => "the two NATs leave no way",
    }
}

/// Why there is no way, in an event.
pub(crate) const fn why(why: Hopeless) -> &'static str {
    match why {
        Hopeless::BothUnpredictable => "both-unpredictable",
        Hopeless::Families => "families",
        Hopeless::Budget => "budget",
        Hopeless::Sockets => "sockets",
        _ => "other",
    }
}

/// How two ends are to meet, or why they cannot, in words.
pub(crate) fn plan_words(plan: &Result<Plan, Hopeless>) -> String {
    let plan = match plan {
        Ok(plan) => plan,
        Err(why) => return format!("no way, {}", why_text(*why)),
    };
    let (bubbler, replier) = match plan.bubbler {
        End::Issuer => ("the user", "the appliance"),
        End::Acceptor => ("the appliance", "the user"),
    };
    let how = match plan.method {
        Method::Direct => "each sends to the port that is seen here".into(),
        Method::First => format!("{bubbler} sends from a fresh port, which its NAT keeps"),
        Method::BothFirst => "each sends from a fresh port, which its NAT keeps".into(),
        Method::Bracket => format!(
            "{bubbler} sends between two packets to here, and {replier} to the ports between theirs"
        ),
        Method::Ramp => {
            format!("{bubbler} sends to a port that the NAT of {replier} will count up to")
        }
        Method::Birthday => format!(
            "{bubbler} sends from {} ports, and {replier} guesses up to {} times",
            plan.bubbles, plan.replies
        ),
    };
    format!("{how}; about {} packets", plan.expected)
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

/// What is known of this end's NAT, and what a person was told of it last: the same is not told again.
#[derive(Debug, Default)]
pub(crate) struct Told {
    words: RefCell<String>,
    /// The server sees an address of this machine.
    own: Cell<bool>,
}

impl Told {
    /// The server sees this end at `observed`.
    pub(crate) fn seen_as(&self, observed: SocketAddr) {
        // Only an own address can be bound to.
        self.own.set(UdpSocket::bind((observed.ip(), 0)).is_ok());
    }

    /// The profile in words, if they are other words than the last time.
    pub(crate) fn news(&self, profile: &NatProfile) -> Option<String> {
        // A machine that is its own NAT may change its ports.
        let kept = matches!(profile.allocation, Allocation::Preserving | Allocation::Unknown);
        self.own.set(self.own.get() && kept);
        let words = if self.own.get() { words_without(profile) } else { words(profile) };
        let last = self.words.replace(words.clone());
        (last != words).then_some(words)
    }

    /// Adds a profile to an event.
    pub(crate) fn with(&self, event: Event, profile: &NatProfile) -> Event {
        with(event.with("translated", !self.own.get()), profile)
    }

    /// What carries a connection, for a person.
    pub(crate) fn carrier(&self, path: &Path) -> &'static str {
        match path {
            Path::Datagram { .. } if self.own.get() => "UDP",
            Path::Datagram { .. } => "UDP (a punched hole)",
            Path::Stream { .. } => "TCP",
        }
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
        profile.lifetime.died(30);
        assert!(told.news(&profile).unwrap().ends_with("; forgets in less than 30 s"));
        profile.lifetime = genkan_core::nat::Lifetime::default();
        profile.lifetime.lived(60);
        assert!(told.news(&profile).unwrap().ends_with("; remembers for 60 s or more"));
        profile.lifetime.died(120);
        assert!(told.news(&profile).unwrap().ends_with("; remembers for 60 to 120 s"));
        let kept = counter.map(|(socket, local, server, _)| (socket, local, server, local));
        let words = told.news(&measured(kept)).unwrap();
        assert_eq!(words, "one port for all ports of a destination, kept as it is inside");
        assert_eq!(told.news(&NatProfile::default()).unwrap(), "not measured");
    }

    #[test]
    fn where_the_server_sees_an_own_address_there_is_no_nat_and_no_hole() {
        let remote = SocketAddr::from(([198, 51, 100, 1], 1));
        let path = Path::Datagram { socket: genkan_core::SocketId::MAIN, remote: remote.into() };
        let told = Told::default();
        told.seen_as(([127, 0, 0, 1], 7).into());
        let mut profile = NatProfile::default();
        let none = "none: the server sees an address of this machine";
        assert_eq!(told.news(&profile).unwrap(), none);
        assert_eq!(told.carrier(&path), "UDP");
        let event = |told: &Told| told.with(Event::new("nat"), &profile).into_value();
        assert_eq!(event(&told)["translated"], false);
        told.seen_as(([192, 0, 2, 1], 7).into());
        assert_eq!(event(&told)["translated"], true);
        assert_eq!(told.carrier(&path), "UDP (a punched hole)");
        told.seen_as(([127, 0, 0, 1], 7).into());
        profile.set_filtering(Some(false), None);
        let firewall = format!("{none}; a firewall lets in only ports that were sent something");
        assert_eq!(told.news(&profile).unwrap(), firewall);
        // Ports that are changed are a NAT's doing, whatever the address.
        profile.allocation = Allocation::Random;
        assert!(!told.news(&profile).unwrap().contains("none"));
    }

    #[test]
    fn a_plan_is_told_in_words() {
        let plan = Plan {
            method: Method::Birthday,
            bubbler: End::Acceptor,
            bubbles: 255,
            replies: 256,
            expected: 400,
        };
        assert_eq!(
            plan_words(&Ok(plan)),
            "the appliance sends from 255 ports, and the user guesses up to 256 times; about 400 \
             packets"
        );
        let none = plan_words(&Err(Hopeless::Sockets));
        assert!(none.starts_with("no way, ") && none.contains("sockets"), "{none}");
    }

    #[test]
    fn fields_of_an_event_say_the_same() {
        use ServerEnd::{Main, OtherPort};
        let mut profile = measured([
            (0, 40_000, Main, 61_000),
            (0, 40_000, OtherPort, 60_993),
            (1, 40_002, Main, 60_986),
            (1, 40_002, OtherPort, 60_979),
        ]);
        profile.lifetime.died(30);
        let event = with(Event::new("nat"), &profile).into_value();
        assert_eq!(event["confidence"], 1);
        assert_eq!(
            (&event["lives_at_least"], &event["lives_less_than"]),
            (&json!(null), &json!(30))
        );
        assert_eq!(event["mapping"], "address-and-port-dependent");
        assert_eq!((&event["ports"], &event["step"]), (&json!("sequential"), &json!(-7)));
        assert_eq!(event["span"], json!([60_979, 61_000, 4]));
        assert_eq!(event["filtering"], "unknown");
    }
}
