//! The events of `--json`: one object per line, each with `event` (its name) and `at` (microseconds
//! since 1970). Names and fields are stable: new ones may come, none changes its meaning. The
//! README lists them. Events carry full ids, unlike logs: they are the answer to whoever started
//! the command.

use core::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use genkan_core::wire::Kind;
use genkan_core::wire::message::Reason;
use genkan_core::{CloseCause, FailCause, Path, Transport};
use genkan_std::{Action, Carrier, Clock, Happening, Stamped, Step};
use serde_json::{Map, Value};

/// An event under construction.
#[derive(Debug)]
pub(crate) struct Event(Map<String, Value>);

impl Event {
    /// An event that happened now.
    pub(crate) fn new(name: &str) -> Self {
        Self::at(name, SystemTime::now())
    }

    /// An event that happened at `wall`.
    pub(crate) fn at(name: &str, wall: SystemTime) -> Self {
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut fields = Map::new();
        fields.insert("event".into(), name.into());
        fields.insert("at".into(), u64::try_from(since.as_micros()).unwrap_or(u64::MAX).into());
        Self(fields)
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Adds an address, or anything else that has a text form.
    pub(crate) fn text(self, name: &str, value: impl ToString) -> Self {
        self.with(name, value.to_string())
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// When the events of this process happened, so that the timelines of several processes merge
/// without an effect before its cause.
///
/// A message is stamped after it was sent; on a busy machine its receiver may have stamped it by
/// then. What was sent is therefore dated back to the beginning of the node's turn, but never
/// before the event that came before it here: still no later than it left, and no earlier than its
/// cause.
#[derive(Debug)]
pub(crate) struct Times {
    clock: Clock,
    last: SystemTime,
}

impl Times {
    pub(crate) const fn new() -> Self {
        Self { clock: Clock::new(), last: UNIX_EPOCH }
    }

    /// When the next event happened; call it for each one, in their order.
    pub(crate) fn of<E>(&mut self, stamped: &Stamped<E>) -> SystemTime {
        let leaves = matches!(
            &stamped.event,
            Happening::Step(Step { action: Action::Sent { .. } | Action::Connecting, .. })
        );
        let turn = || SystemTime::now().checked_sub(self.clock.now().since(stamped.at));
        let at = match leaves.then(turn).flatten() {
            Some(turn) => turn.max(self.last).min(stamped.wall),
            None => stamped.wall,
        };
        self.last = at;
        at
    }
}

/// A step on the wire as an event. `server`: the server's address, for equipment.
pub(crate) fn step(step: &Step, wall: SystemTime, server: Option<SocketAddr>) -> Event {
    let (name, action, message) = match step.action {
        Action::Sent { kind, bytes } => ("message", "sent", Some((kind, bytes))),
        Action::Lost { kind, bytes } => ("message", "lost", Some((kind, bytes))),
        Action::Received { kind, bytes } => ("message", "received", Some((kind, bytes))),
        Action::Connecting => ("stream", "connecting", None),
        Action::Connected => ("stream", "connected", None),
        Action::ConnectFailed => ("stream", "failed", None),
        Action::Accepted => ("stream", "accepted", None),
        Action::Closed => ("stream", "closed", None),
        _ => ("stream", "other", None),
    };
    let kind = message.and_then(|(kind, _)| kind);
    // The server has other ends, which only these messages go to or come from.
    let other_end = matches!(kind, Some(Kind::Detect | Kind::FilterProbe));
    let with = match server {
        Some(server) if server == step.remote || other_end => "server",
        Some(_) => "peer",
        None => "equipment",
    };
    let event = Event::at(name, wall)
        .with("action", action)
        .with("with", with)
        .with("over", carrier(step.carrier))
        .text("remote", step.remote);
    let event = match message {
        Some((kind, bytes)) => event.with("kind", kind.map(kind_name)).with("bytes", bytes),
        None => event,
    };
    match step.carrier {
        Carrier::Datagram(socket) => event.with("socket", socket.0),
        Carrier::Stream => event,
    }
}

/// `udp` or `tcp`.
pub(crate) const fn carrier(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Datagram(_) => "udp",
        Carrier::Stream => "tcp",
    }
}

/// A message's kind.
const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::CertificateRequest => "certificate-request",
        Kind::Certificate => "certificate",
        Kind::Initiation => "initiation",
        Kind::Response => "response",
        Kind::Cookie => "cookie",
        Kind::Keepalive => "keepalive",
        Kind::KeepaliveAnswer => "keepalive-answer",
        Kind::Echo => "echo",
        Kind::Challenge => "challenge",
        Kind::Hint => "hint",
        Kind::Resume => "resume",
        Kind::Resumed => "resumed",
        Kind::Transport => "transport",
        Kind::ServerTransport => "server-transport",
        Kind::Answer => "answer",
        Kind::IssuerTransport => "issuer-transport",
        Kind::AcceptorTransport => "acceptor-transport",
        Kind::Detect => "detect",
        Kind::FilterProbe => "filter-probe",
        Kind::IssuerPunch => "issuer-punch",
        Kind::AcceptorPunch => "acceptor-punch",
    }
}

/// `udp` or `tcp`, of a session with the server.
pub(crate) const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Datagram => "udp",
        Transport::Stream => "tcp",
    }
}

/// `udp` or `tcp`, of a direct path.
pub(crate) const fn path(path: &Path) -> &'static str {
    match path {
        Path::Datagram { .. } => "udp",
        Path::Stream { .. } => "tcp",
    }
}

/// Adds what carries a connection, and the address at its other end.
pub(crate) fn with_path(event: Event, carrier: &Path) -> Event {
    event.with("path", path(carrier)).text("remote", carrier.remote())
}

/// Why a request came to nothing.
pub(crate) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Unspecified => "not-told",
        Reason::Unknown => "unknown",
        Reason::Offline => "offline",
        Reason::Busy => "busy",
        Reason::NotAllowed => "not-allowed",
        Reason::WrongPassword => "wrong-password",
        Reason::ForbiddenAddress => "forbidden-address",
        Reason::BadOffer => "bad-offer",
        Reason::Unreachable => "unreachable",
    }
}

/// Why a connection ended.
pub(crate) const fn close_cause(cause: CloseCause) -> &'static str {
    match cause {
        CloseCause::Local => "closed-here",
        CloseCause::Peer => "closed-by-peer",
        CloseCause::Silent => "silent",
        CloseCause::PathLost => "path-lost",
        CloseCause::Unconfirmed => "unconfirmed",
        CloseCause::CounterExhausted => "counter-exhausted",
        _ => "other",
    }
}

/// Why a request has failed on its way.
pub(crate) const fn fail_cause(cause: FailCause) -> &'static str {
    match cause {
        FailCause::ServerUnreachable => "server-unreachable",
        FailCause::BadCertificate => "bad-certificate",
        FailCause::NoAnswer => "no-answer",
        FailCause::NotReached => "not-reached",
        FailCause::NoListener => "no-listener",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genkan_core::SocketId;

    #[test]
    fn the_server_s_other_ends_are_the_server_too() {
        let server = SocketAddr::from(([192, 0, 2, 1], 1));
        let other = SocketAddr::from(([192, 0, 2, 1], 2));
        let with = |kind, remote| {
            let carrier = Carrier::Datagram(SocketId(17));
            let action = Action::Received { kind: Some(kind), bytes: 28 };
            let event = step(&Step { carrier, remote, action }, UNIX_EPOCH, Some(server));
            let event = event.into_value();
            assert_eq!(event["socket"], 17);
            event["with"].as_str().unwrap().to_owned()
        };
        assert_eq!(with(Kind::Response, server), "server");
        assert_eq!(with(Kind::FilterProbe, other), "server");
        assert_eq!(with(Kind::Detect, other), "server");
        assert_eq!(with(Kind::AcceptorPunch, other), "peer");
    }

    #[test]
    fn an_event_begins_with_name_and_time() {
        let event = Event::at("ready", UNIX_EPOCH).with("n", 1).text("address", "a:1");
        let text = event.into_value().to_string();
        assert_eq!(text, r#"{"event":"ready","at":0,"n":1,"address":"a:1"}"#);
    }

    #[test]
    fn what_was_sent_is_dated_back_but_never_before_what_caused_it() {
        let (clock, mut times) = (Clock::new(), Times::new());
        let begin = clock.now();
        let stamped = |action| {
            let remote = SocketAddr::from(([127, 0, 0, 1], 1));
            let step = Step { carrier: Carrier::Datagram(SocketId::MAIN), remote, action };
            Stamped::<()> { at: begin, wall: SystemTime::now(), event: Happening::Step(step) }
        };
        let pause = || std::thread::sleep(core::time::Duration::from_millis(20));
        pause();
        let first = stamped(Action::Sent { kind: None, bytes: 1 });
        let sent = times.of(&first);
        let back = first.wall.duration_since(sent).unwrap();
        assert!(back.as_millis() >= 10, "dated back by {back:?}");
        let received = stamped(Action::Received { kind: None, bytes: 1 });
        assert_eq!(times.of(&received), received.wall);
        pause();
        let answer = stamped(Action::Sent { kind: None, bytes: 1 });
        assert_eq!(times.of(&answer), received.wall, "no earlier than its cause");
    }
}
