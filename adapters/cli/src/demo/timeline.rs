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
    pub(crate) bytes: u64,
}

/// The events of all processes, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    entries: Vec<Entry>,
    /// Which bodies, told apart only by their order, were seen: (from, to).
    seen: HashSet<(Who, Who)>,
}

/// Longer encrypted messages than this carry a sealed offer (288 bytes) within.
const WITH_OFFER: u64 = 300;

impl Timeline {
    /// Takes a process's event; those that are not for a timeline are ignored.
    pub(crate) fn add(&mut self, who: Who, event: &Value) {
        let Some(at) = event["at"].as_u64() else { return };
        let what = if event["event"] == "message" {
            self.message(who, event).map(What::Message)
        } else {
            milestone(event).map(|text| What::Milestone { who, text })
        };
        if let Some(what) = what {
            self.entries.push(Entry { at, what });
        }
    }

    fn message(&mut self, who: Who, event: &Value) -> Option<Message> {
        let other = match (who, event["with"].as_str()?) {
            (Who::Server, _) => return None,
            (_, "server") => Who::Server,
            (Who::User, _) => Who::Appliance,
            (Who::Appliance, _) => Who::User,
        };
        let (from, to) = match event["action"].as_str()? {
            "sent" => (who, other),
            // Between the equipments, the sender tells it.
            "received" if other == Who::Server => (other, who),
            _ => return None,
        };
        let bytes = event["bytes"].as_u64()?;
        let text = self.words(event["kind"].as_str()?, from, to, bytes)?;
        let over = event["over"].as_str()?.to_uppercase();
        Some(Message { from, to, text, over, bytes })
    }

    /// What a message is, for somebody who has never heard of the protocol. Encrypted bodies look
    /// alike from outside; who sends them, in which order and how long tells them apart.
    fn words(&mut self, kind: &str, from: Who, to: Who, bytes: u64) -> Option<&'static str> {
        let offer = bytes > WITH_OFFER;
        Some(match kind {
            "certificate-request" => "who are you? (asks for the certificate)",
            "certificate" => "certificate, signed by the authority",
            "initiation" if offer => "key exchange 1/2, with the connection request sealed in it",
            "initiation" => "key exchange 1/2",
            "response" => "key exchange 2/2",
            "cookie" => "prove your address first",
            "keepalive" => "still here",
            "keepalive-answer" => "still known",
            "challenge" => "new address? prove it",
            "echo" => "proves the new address",
            "hint" => "your session is unknown here",
            "resume" | "resumed" => "takes the old session up again",
            "answer" => "communication request: end-to-end key exchange 2/2",
            "issuer-transport" | "acceptor-transport" => return None,
            "transport" | "server-transport" => {
                let first = self.seen.insert((from, to));
                match (from, to) {
                    (Who::Appliance, Who::Server) if first => "registers its id",
                    (Who::Appliance, Who::Server) => "accepts the request",
                    (Who::Server, Who::Appliance) if offer => "connection request, passed on sealed",
                    (Who::Server, Who::Appliance) if first => "registered, with the address seen",
                    (Who::Server, Who::Appliance) => "there is a request for you",
                    (Who::User, Who::Server) if offer => "connection request, sealed for the appliance",
                    (Who::User, Who::Server) => "confirms the session",
                    _ => "the appliance accepts, and its address",
                }
            }
            _ => "message of an unknown kind",
        })
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
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    Some(match event["event"].as_str()? {
        "requested" if event["verdict"] == "accepted" => "password is right, request accepted".into(),
        "connected" if text("path") == "stream" => "direct path stands, over TCP".into(),
        "connected" => format!("direct path stands, over {}", text("path").to_uppercase()),
        "connecting" => "dials back to the user, over TCP".into(),
        _ => return None,
    })
}

/// What a connection cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) messages: usize,
    pub(crate) bytes: u64,
    /// How often the user had to wait for somebody's answer.
    pub(crate) round_trips: usize,
}

/// Adds up the messages of `entries`.
pub(crate) fn cost(entries: &[&Entry]) -> Cost {
    let mut cost = Cost::default();
    let mut waiting = false;
    for entry in entries {
        let What::Message(message) = &entry.what else { continue };
        cost.messages += 1;
        cost.bytes += message.bytes;
        if message.from == Who::User {
            waiting = true;
        } else if message.to == Who::User && waiting {
            waiting = false;
            cost.round_trips += 1;
        }
    }
    cost
}

/// `1.234 ms`, aligned for a column.
pub(crate) fn millis(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

/// The same of a duration.
pub(crate) fn millis_of(duration: Duration) -> String {
    millis(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
