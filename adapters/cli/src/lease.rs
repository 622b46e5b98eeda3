//! What became of the port that the router was asked for, in words and as an event.

use std::time::SystemTime;

use genkan_core::nat::lease::Refused;
use genkan_std::LeaseNews;

use crate::events::Event;

pub(crate) fn told(news: &LeaseNews, wall: SystemTime) -> (String, Event) {
    let event = Event::at("port-mapping", wall);
    match news {
        LeaseNews::Granted(lease) => {
            let address = lease.address.map(|address| address.to_string());
            let words = format!("the router has opened port {} for this end", lease.port);
            (words, event.with("port", lease.port).with("address", address))
        }
        LeaseNews::Refused(why) => {
            let words = format!("the router opens none ({})", why_text(*why));
            (words, event.with("port", None::<u16>).with("why", why_name(*why)))
        }
        _ => {
            let words = "the router's port has run out".to_owned();
            (words, event.with("port", None::<u16>).with("why", "lost"))
        }
    }
}

const fn why_name(why: Refused) -> &'static str {
    match why {
        Refused::NotAuthorized => "not-authorized",
        Refused::NoResources => "no-resources",
        Refused::Unsupported => "unsupported",
        Refused::Between => "nat-between",
        Refused::Other(_) => "other",
    }
}

fn why_text(why: Refused) -> String {
    match why {
        Refused::NotAuthorized => "it may not, or somebody else has it".into(),
        Refused::NoResources => "it has no port or no address left".into(),
        Refused::Unsupported => "it cannot".into(),
        Refused::Between => "another NAT lies between".into(),
        Refused::Other(code) => format!("code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genkan_core::Instant;
    use genkan_core::nat::lease::Lease;
    use std::time::UNIX_EPOCH;

    #[test]
    fn words_and_fields_say_the_same() {
        let lease = Lease { address: None, port: 4_600, until: Instant::START };
        let (words, event) = told(&LeaseNews::Granted(lease), UNIX_EPOCH);
        let event = event.into_value();
        assert!(words.contains("4600") && event["port"] == 4_600, "{words} {event}");
        assert!(event["address"].is_null() && event.get("why").is_none(), "{event}");
        let (words, event) = told(&LeaseNews::Refused(Refused::Between), UNIX_EPOCH);
        let event = event.into_value();
        assert!(words.contains("another NAT") && event["why"] == "nat-between", "{words} {event}");
        assert_eq!(told(&LeaseNews::Lost, UNIX_EPOCH).1.into_value()["why"], "lost");
    }
}
