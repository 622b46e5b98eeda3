//! Names for what is inside sealed messages.
//!
//! A world that logs keys asks each machine for its session roots after every call, as a TLS library
//! writes a key log. With them an [`Opener`] opens the transport messages of a transcript:
//!
//! ```text
//! t=0.120 phone → server Initiation with ConnectRequest 582 B
//! t=0.140 server → lamp ConnectNotify 347 B
//! ```
//!
//! Not asked for, it costs nothing.

use core::time::Duration;
use std::collections::BTreeSet;

use genkan_core::StaticKey;
use genkan_core::inspect::{Body, LoggedRoot, open, open_initiation};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Call, PeerMessage, ToEquipment, ToServer, Verdict};

use crate::net::HostId;
use crate::node::Node;
use crate::transcript::{Entry, Line, Transcript};
use crate::world::World;

/// The channel byte of the application's datagrams.
const DATAGRAMS: u8 = 1;

/// A machine has a session root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Since when, by the world's time.
    pub at: Duration,
    /// On which host.
    pub host: HostId,
    /// The root.
    pub root: LoggedRoot,
}

/// The keys that a world has logged.
#[derive(Debug, Default)]
pub(crate) struct KeyBook {
    keys: Vec<Key>,
    known: BTreeSet<(HostId, LoggedRoot)>,
}

impl KeyBook {
    /// Asks what runs on a host.
    pub(crate) fn ask(&mut self, at: Duration, host: HostId, node: &dyn Node) {
        node.roots(&mut |root| {
            if self.known.insert((host, root)) {
                self.keys.push(Key { at, host, root });
            }
        });
    }
}

impl World {
    /// From now on the world remembers the session roots of all machines. Those of sessions that
    /// have ended before are not known.
    pub fn log_keys(&mut self) {
        let book = self.key_book.get_or_insert_default();
        for (number, slot) in self.slots.iter().enumerate() {
            if let Some(node) = &slot.node {
                book.ask(self.now, HostId(number), &**node);
            }
        }
    }

    /// The session roots that the machines have had, in the order in which they were first seen.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        self.key_book.as_ref().map_or(&[], |book| &book.keys)
    }
}

/// Opens messages with the keys of a run.
#[derive(Clone, Debug, Default)]
pub struct Opener {
    roots: Vec<LoggedRoot>,
    server: Option<StaticKey>,
}

impl Opener {
    /// With these session roots.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = LoggedRoot>) -> Self {
        let roots: BTreeSet<LoggedRoot> = roots.into_iter().collect();
        Self { roots: roots.into_iter().collect(), server: None }
    }

    /// And with the server's static key, to see requests inside Initiations.
    #[must_use]
    pub fn with_server(mut self, server: StaticKey) -> Self {
        self.server = Some(server);
        self
    }

    /// The roots under which a message opens, each with the message opened in `work`.
    pub fn open<R>(
        &self,
        message: &[u8],
        mut read: impl FnMut(LoggedRoot, &Body<'_>) -> R,
    ) -> Vec<R> {
        let mut work = Vec::new();
        let opened = |root: &LoggedRoot| {
            work.clear();
            work.extend(message);
            open(root, &mut work).map(|body| read(*root, &body))
        };
        self.roots.iter().filter_map(opened).collect()
    }

    /// What a packet is, by what is inside it. `None`: it is not sealed, or under no known key.
    #[must_use]
    pub fn name(&self, entry: &Entry) -> Option<String> {
        let message = entry.message();
        match entry.kind? {
            Kind::Initiation => {
                let mut plain = [0; 1024];
                let (_, hello) = open_initiation(self.server.as_ref()?, message, &mut plain)?;
                hello.early.map(|_| "Initiation with ConnectRequest".into())
            }
            Kind::Transport
            | Kind::ServerTransport
            | Kind::IssuerTransport
            | Kind::AcceptorTransport => self.open(message, |_, body| name(body)).pop(),
            _ => None,
        }
    }

    /// A transcript's lines, with the names of what is inside.
    #[must_use]
    pub fn story(&self, transcript: &Transcript) -> String {
        let line = |line: &Line| match line {
            Line::Packet(entry) => match self.name(entry) {
                Some(name) => format!("{}\n", entry.named(&name)),
                None => format!("{entry}\n"),
            },
            Line::Note(note) => format!("{note}\n"),
        };
        transcript.lines().iter().map(line).collect()
    }
}

fn name(body: &Body<'_>) -> String {
    match body {
        Body::ToServer(body) => match body {
            ToServer::Confirm => "Confirm".into(),
            ToServer::Register(_) => "Register".into(),
            ToServer::Deregister => "Deregister".into(),
            ToServer::Connect(_) => "ConnectRequest".into(),
            ToServer::Fetch(_) => "Fetch".into(),
            ToServer::Can(_) => "Can".into(),
            ToServer::Heard(_) => "Heard".into(),
            ToServer::Range(_) => "Range".into(),
            ToServer::Life(_) => "Life".into(),
            ToServer::Leased(port) => format!("Leased: {port}"),
            ToServer::Reached(_) => "Reached".into(),
            ToServer::Reply(reply) => match reply.verdict {
                Verdict::Accepted => "NotifyReply: accepted".into(),
                Verdict::Declined(why) => format!("NotifyReply: declined, {why:?}"),
            },
        },
        Body::ToEquipment(body) => match body {
            ToEquipment::Registered(_) => "Registered".into(),
            ToEquipment::Notify(_) => "ConnectNotify".into(),
            ToEquipment::Wake(_) => "Wake".into(),
            ToEquipment::Plan(plan) if plan.accepted => "Plan: accepted".into(),
            ToEquipment::Plan(_) => "Plan".into(),
            ToEquipment::Refused(refused) => format!("Refused: {:?}", refused.reason),
            ToEquipment::Goodbye => "Goodbye".into(),
            ToEquipment::Measure(_) => "Measure".into(),
            ToEquipment::Seen(_) => "Seen".into(),
            ToEquipment::Punch(_) => "Punch".into(),
            ToEquipment::Hopeless(hopeless) => format!("Hopeless: {:?}", hopeless.why),
            ToEquipment::Call(Call { peer: None, .. }) => "Call: show yourself".into(),
            ToEquipment::Call(_) => "Call".into(),
        },
        Body::Peer(PeerMessage::EarlyKey(_)) => "EarlyKey".into(),
        Body::Peer(message) => format!("{message:?}"),
        Body::Payload(DATAGRAMS, _) => "Payload".into(),
        Body::Payload(..) => "StreamPacket".into(),
    }
}
