//! The timeline: what the processes told, laid beside each other and put into plain words.
//!
//! Every message between an equipment and the server, or between the two equipments, is told once:
//! by the equipment that sent it, or received it from the server. All processes stamp their events
//! with the same wall clock, in microseconds, so sorting merges them.

use core::time::Duration;
use std::collections::HashSet;

use serde_json::Value;

use super::children::Who;

/// One line of the timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Microseconds since 1970.
    pub(crate) at: u64,
    pub(crate) what: What,
}

/// What a line tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// A message on its way.
    Message(Message),
    /// What it came to.
    Milestone { who: Who, text: String },
}

/// A message on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) from: Who,
    pub(crate) to: Who,
    /// In plain words.
    pub(crate) text: &'static str,
    /// `UDP` or `TCP`.
    pub(crate) over: String,
    /// Its length; `None` for the packets that open a TCP connection.
    pub(crate) bytes: Option<u64>,
    /// Whether the connection had to wait for it.
    pub(crate) link: bool,
}

/// The events of all processes, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    entries: Vec<Entry>,
    /// Which bodies, told apart only by their order, were seen: (from, to).
    seen: HashSet<(Who, Who)>,
    /// The user's request went ahead with the first message of the key exchange.
    ahead: bool,
    /// Application data as the user's side saw it, in its own order: when, and whether it was sent.
    data: Vec<(u64, bool)>,
}

/// Longer encrypted messages than this carry a sealed offer (288 bytes) within.
const WITH_OFFER: u64 = 300;

impl Timeline {
    /// Takes a process's event; those that are not for a timeline are ignored.
    pub(crate) fn add(&mut self, who: Who, event: &Value) {
        let Some(at) = event["at"].as_u64() else { return };
        let what = match event["event"].as_str() {
            Some("message") => self.message(who, event).map(What::Message),
            Some("stream") => call(who, event).map(What::Message),
            _ => milestone(event).map(|text| What::Milestone { who, text }),
        };
        if let Some(what) = what {
            self.entries.push(Entry { at, what });
        }
    }

    fn message(&mut self, who: Who, event: &Value) -> Option<Message> {
        let other = other_end(who, event)?;
        let kind = event["kind"].as_str()?;
        if kind == "issuer-transport" || kind == "acceptor-transport" {
            if who == Who::User {
                self.data.push((event["at"].as_u64()?, event["action"] == "sent"));
            }
            return None;
        }
        let (from, to) = match event["action"].as_str()? {
            "sent" => (who, other),
            // Between the equipments, the sender tells it.
            "received" if other == Who::Server => (other, who),
            _ => return None,
        };
        let bytes = event["bytes"].as_u64()?;
        let (text, link) = self.words(kind, from, to, bytes);
        let over = event["over"].as_str()?.to_uppercase();
        Some(Message { from, to, text, over, bytes: Some(bytes), link })
    }

    /// What a message is, for somebody who has never heard of the protocol, and whether the
    /// connection waits for it. Encrypted bodies look alike from outside; who sends them, in which
    /// order and how long tells them apart.
    fn words(&mut self, kind: &str, from: Who, to: Who, bytes: u64) -> (&'static str, bool) {
        let offer = bytes > WITH_OFFER;
        match kind {
            "certificate-request" => ("who are you? (certificate, please)", true),
            "certificate" => ("certificate, signed by the authority", true),
            "initiation" if offer => {
                self.ahead = true;
                ("key exchange 1/2, with the sealed request", true)
            }
            "initiation" => ("key exchange 1/2", true),
            "response" => ("key exchange 2/2", !self.ahead),
            "cookie" => ("prove your address first", true),
            "keepalive" => ("still here", false),
            "keepalive-answer" => ("still known", false),
            "challenge" => ("new address? prove it", false),
            "echo" => ("proves the new address", false),
            "hint" => ("your session is unknown here", false),
            "resume" | "resumed" => ("takes the old session up again", true),
            "answer" => ("communication request (end-to-end keys 2/2)", true),
            "transport" | "server-transport" => self.body(from, to, offer),
            _ => ("message of an unknown kind", false),
        }
    }

    fn body(&mut self, from: Who, to: Who, offer: bool) -> (&'static str, bool) {
        let first = self.seen.insert((from, to));
        match (from, to) {
            (Who::Appliance, Who::Server) if first => ("registers its id", true),
            (Who::Appliance, Who::Server) => ("accepts the request", false),
            (Who::Server, Who::Appliance) if offer => ("sealed request, passed on", true),
            (Who::Server, Who::Appliance) if first => ("registered; your address as seen", true),
            (Who::Server, Who::Appliance) => ("there is a request for you", true),
            (Who::User, Who::Server) if offer => ("sealed request", true),
            (Who::User, Who::Server) => ("confirms the session", false),
            _ => ("the appliance accepts; its address", false),
        }
    }

    /// How often the user waited for application data, from the first that it sent until `until`.
    pub(crate) fn data_turns(&self, until: u64) -> usize {
        let data: Vec<bool> =
            self.data.iter().filter(|(at, _)| *at <= until).map(|(_, sent)| *sent).collect();
        data.windows(2).filter(|pair| *pair == [true, false]).count()
    }

    /// The entries from `begin` (inclusive) to `end` (exclusive), in the order of time.
    pub(crate) fn between(&self, begin: u64, end: u64) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> =
            self.entries.iter().filter(|entry| (begin..end).contains(&entry.at)).collect();
        entries.sort_by_key(|entry| entry.at);
        entries
    }
}

/// What an event means in plain words; `None` for those that a timeline does not need.
fn milestone(event: &Value) -> Option<String> {
    Some(match event["event"].as_str()? {
        "requested" if event["verdict"] == "accepted" => {
            "opens the seal: password right, accepted".into()
        }
        "requested" if event["verdict"] == "declined" => "declines".into(),
        "connected" => {
            let over = event["path"].as_str().unwrap_or_default().to_uppercase();
            format!("direct path stands, over {over}")
        }
        _ => return None,
    })
}

/// Who is at the other end of a message or call that `who` tells of. The server's own view would
/// tell everything twice.
fn other_end(who: Who, event: &Value) -> Option<Who> {
    match (who, event["with"].as_str()?) {
        (Who::Server, _) => None,
        (_, "server") => Some(Who::Server),
        (Who::User, _) => Some(Who::Appliance),
        (Who::Appliance, _) => Some(Who::User),
    }
}

/// The two packets that open a TCP connection, as the side sees them that opens it.
fn call(who: Who, event: &Value) -> Option<Message> {
    let other = other_end(who, event)?;
    let (from, to, text) = match event["action"].as_str()? {
        "connecting" => (who, other, "opens a TCP connection"),
        "connected" => (other, who, "takes it"),
        _ => return None,
    };
    Some(Message { from, to, text, over: "TCP".to_owned(), bytes: None, link: true })
}

/// What a connection cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) messages: usize,
    pub(crate) bytes: u64,
    /// How many packets had to wait for each other: each is half a round trip on a long line.
    pub(crate) chain: usize,
}

/// Adds up the messages of `entries`.
pub(crate) fn cost(entries: &[&Entry]) -> Cost {
    let mut cost = Cost::default();
    // A message that was sent twice, or over UDP and TCP, still is one link.
    let mut links: HashSet<(Who, Who, &str)> = HashSet::new();
    for entry in entries {
        let What::Message(message) = &entry.what else { continue };
        if let Some(bytes) = message.bytes {
            cost.messages += 1;
            cost.bytes += bytes;
        }
        if message.link {
            links.insert((message.from, message.to, message.text));
        }
    }
    cost.chain = links.len();
    cost
}

/// `1.234 ms`.
pub(crate) fn millis(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(at: u64, action: &str, with: &str, kind: &str, bytes: u64) -> Value {
        json!({ "event": "message", "at": at, "action": action, "with": with, "over": "udp",
            "remote": "127.0.0.1:1", "kind": kind, "bytes": bytes })
    }

    /// A connection as it goes: key exchange with the request in it, notification, dial-back.
    fn connection() -> Timeline {
        let call = |at, action| json!({ "event": "stream", "at": at, "action": action, "with": "peer", "over": "tcp" });
        let mut timeline = Timeline::default();
        let mut add = |who, event: &Value| timeline.add(who, event);
        add(Who::Appliance, &message(60, "sent", "peer", "answer", 102));
        add(Who::User, &message(60, "received", "peer", "answer", 102));
        add(Who::User, &message(10, "sent", "server", "initiation", 476));
        add(Who::Server, &message(11, "received", "equipment", "initiation", 476));
        add(Who::Appliance, &message(20, "received", "server", "server-transport", 331));
        add(Who::Appliance, &json!({ "event": "requested", "at": 30, "verdict": "accepted" }));
        add(Who::Appliance, &call(40, "connecting"));
        add(Who::User, &message(45, "received", "server", "response", 98));
        add(Who::Appliance, &call(50, "connected"));
        add(Who::User, &json!({ "event": "connected", "at": 70, "path": "tcp" }));
        add(Who::User, &message(80, "sent", "peer", "issuer-transport", 90));
        timeline
    }

    #[test]
    fn each_message_is_told_once_and_in_the_order_of_time() {
        let timeline = connection();
        let told: Vec<String> = timeline
            .between(0, 100)
            .iter()
            .map(|entry| match &entry.what {
                What::Message(m) => format!("{} > {}: {}", m.from.name(), m.to.name(), m.text),
                What::Milestone { who, text } => format!("{} {text}", who.name()),
            })
            .collect();
        assert_eq!(
            told,
            [
                "user > server: key exchange 1/2, with the sealed request",
                "server > appliance: sealed request, passed on",
                "appliance opens the seal: password right, accepted",
                "appliance > user: opens a TCP connection",
                "server > user: key exchange 2/2",
                "user > appliance: takes it",
                "appliance > user: communication request (end-to-end keys 2/2)",
                "user direct path stands, over TCP",
            ]
        );
    }

    #[test]
    fn the_cost_counts_the_packets_that_wait_for_each_other_once() {
        let mut timeline = connection();
        // Sent again, because the answer was late.
        timeline.add(Who::User, &message(12, "sent", "server", "initiation", 476));
        let cost = cost(&timeline.between(0, 100));
        assert_eq!(cost, Cost { messages: 5, bytes: 2 * 476 + 331 + 98 + 102, chain: 5 });
    }

    #[test]
    fn data_that_goes_to_and_fro_is_counted_in_turns() {
        let mut timeline = connection();
        for (at, action) in
            [(81, "sent"), (82, "received"), (83, "sent"), (84, "received"), (85, "received")]
        {
            timeline.add(Who::User, &message(at, action, "peer", "issuer-transport", 90));
        }
        assert_eq!(timeline.data_turns(100), 2);
        assert_eq!(timeline.data_turns(83), 1);
    }
}
