//! What happened, in order: for tests to look at, to print, and to compare by one number.
//!
//! Every packet is an [`Entry`] from the moment when it is sent; its fate is filled in later. What
//! machines told their applications stands between them as a [`Note`]. The text form is one line
//! each:
//!
//! ```text
//! t=0.120 issuer → server Initiation 166 B
//! t=0.140 issuer: ServerReached { over: Datagram }
//! ```

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::Kind;

use crate::digest::Digest;
use crate::net::{HostId, Unroutable};
use crate::packet::{Packet, Via, message_of};

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is on its way.
    InFlight,
    /// It reached the receiver's network stack then.
    Delivered(Duration),
    /// The line lost it.
    Lost,
    /// It was longer than the line carries.
    TooLong,
    /// The queue before a line of limited rate was full.
    QueueFull,
    /// Its hop limit was used up on the way.
    Expired,
    /// The line does not carry this protocol.
    Blocked,
    /// A partition was in the way.
    Cut,
    /// A hook dropped it.
    Hooked,
    /// No way led there.
    Unroutable(Unroutable),
    /// The receiver was off, or had no socket there, or its socket buffer was full.
    Unreceived,
}

/// Where a packet's bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The sender's machine; they are as it made them.
    Sender,
    /// The sender's machine; a line or a hook has changed them.
    Altered,
    /// A line or a hook has made a copy.
    Copy,
    /// The test, in the name of the source address.
    Injected,
    /// A router or a NAT, on its own account.
    Network,
}

/// One packet.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// When it was sent, since the world's start.
    pub at: Duration,
    /// The sender's name, or an address where it has none.
    pub from: String,
    /// The receiver's name: a host's, a NAT's (also of one on the way that dropped it), or the
    /// address when nobody has it.
    pub to: String,
    /// How it travels.
    pub via: Via,
    /// Its source as outsiders see it.
    pub source: SocketAddr,
    /// Its destination as the sender knows it.
    pub destination: SocketAddr,
    /// The hop limit that a datagram's sender set.
    pub hop_limit: Option<u8>,
    /// The datagram, or the frame with its prefix; empty for what has no bytes.
    pub bytes: Vec<u8>,
    /// What the message is, when it is one.
    pub kind: Option<Kind>,
    /// Where its bytes come from.
    pub origin: Origin,
    /// What became of it.
    pub fate: Fate,
}

impl Entry {
    /// The message: the datagram, or the frame without its prefix.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        message_of(self.via, &self.bytes)
    }

    /// Whether it arrived.
    #[must_use]
    pub const fn is_delivered(&self) -> bool {
        matches!(self.fate, Fate::Delivered(_))
    }

    /// As its text form, with `name` in place of the message's kind.
    #[must_use]
    pub const fn named<'a>(&'a self, name: &'a str) -> Named<'a> {
        Named(self, name)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, name: Option<&str>) -> fmt::Result {
        write!(f, "t={:.3} {} → {} ", self.at.as_secs_f64(), self.from, self.to)?;
        self.write_what(f, name)
    }

    /// What it is and what became of it.
    fn write_what(&self, f: &mut fmt::Formatter<'_>, name: Option<&str>) -> fmt::Result {
        match self.via {
            Via::Syn(id) => write!(f, "SYN {id}")?,
            Via::SynAck(id) => write!(f, "SYN-ACK {id}")?,
            Via::Fin(id) => write!(f, "FIN {id}")?,
            Via::Rst(id) => write!(f, "RST {id}")?,
            Via::Icmp(error) => write!(f, "ICMP {error}")?,
            Via::Udp | Via::Tcp(_) => {
                match (name, self.kind) {
                    (Some(name), _) => write!(f, "{name} {} B", self.message().len())?,
                    (None, Some(kind)) => write!(f, "{kind:?} {} B", self.message().len())?,
                    (None, None) => write!(f, "{} bytes", self.bytes.len())?,
                }
                if let Via::Tcp(id) = self.via {
                    write!(f, " {id}")?;
                }
                if let Some(hops) = self.hop_limit {
                    write!(f, " hop limit {hops}")?;
                }
            }
        }
        match self.origin {
            Origin::Sender | Origin::Network => {}
            Origin::Altered => f.write_str(" (altered)")?,
            Origin::Copy => f.write_str(" (copy)")?,
            Origin::Injected => f.write_str(" (injected)")?,
        }
        match self.fate {
            Fate::Delivered(_) => Ok(()),
            Fate::InFlight => f.write_str(" (in flight)"),
            Fate::Lost => f.write_str(" (lost)"),
            Fate::TooLong => f.write_str(" (too long)"),
            Fate::QueueFull => f.write_str(" (queue full)"),
            Fate::Expired => f.write_str(" (hop limit)"),
            Fate::Blocked => f.write_str(" (blocked)"),
            Fate::Cut => f.write_str(" (cut)"),
            Fate::Hooked => f.write_str(" (dropped)"),
            Fate::Unroutable(why) => write!(f, " ({why})"),
            Fate::Unreceived => f.write_str(" (not received)"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

/// An [`Entry`] under another name ([`Entry::named`]).
#[derive(Clone, Copy, Debug)]
pub struct Named<'a>(&'a Entry, &'a str);

/// An [`Entry`] without time and hosts, under a name or its own.
pub(crate) struct What<'a>(pub(crate) &'a Entry, pub(crate) Option<&'a str>);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_what(f, self.1)
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, Some(self.1))
    }
}

/// What a machine told its application, or what befell a host.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Note {
    /// When, since the world's start.
    pub at: Duration,
    /// The host's name.
    pub host: String,
    /// The event's debug form.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t={:.3} {}: {}", self.at.as_secs_f64(), self.host, self.text)
    }
}

/// One line of a [`Transcript`].
#[derive(Clone, PartialEq, Debug)]
pub enum Line {
    /// A packet.
    Packet(Entry),
    /// Anything else.
    Note(Note),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(entry) => entry.fmt(f),
            Self::Note(note) => note.fmt(f),
        }
    }
}

/// Everything that happened in a [`World`](crate::World).
#[derive(Debug)]
pub struct Transcript {
    lines: Vec<Line>,
    keep: bool,
    hash: Digest,
    packets: u64,
    /// How often the lines were forgotten.
    era: u32,
}

/// Which packet it was, so that its fate can be filled in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    number: u64,
    /// Its place among the lines, and the era in which that place is good.
    place: Option<(u32, usize)>,
}

impl Transcript {
    pub(crate) const fn new() -> Self {
        Self { lines: Vec::new(), keep: true, hash: Digest::new(), packets: 0, era: 0 }
    }

    /// All lines in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// All packets in the order in which they were sent.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.lines.iter().filter_map(|line| match line {
            Line::Packet(entry) => Some(entry),
            Line::Note(_) => None,
        })
    }

    /// All notes in order.
    pub fn notes(&self) -> impl DoubleEndedIterator<Item = &Note> {
        self.lines.iter().filter_map(|line| match line {
            Line::Note(note) => Some(note),
            Line::Packet(_) => None,
        })
    }

    /// The packets of one kind, from one host to another.
    pub fn sent<'a>(
        &'a self,
        from: &'a str,
        to: &'a str,
        kind: Kind,
    ) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.entries()
            .filter(move |entry| entry.from == from && entry.to == to && entry.kind == Some(kind))
    }

    /// One number over everything that happened, kept or not: equal for equal runs.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// How many packets were sent.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Forgets the lines so far; the hash stays.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.era += 1;
    }

    /// From now on lines are kept, or only hashed.
    pub(crate) const fn set_keep(&mut self, keep: bool) {
        self.keep = keep;
    }

    /// Whether lines are kept now.
    pub(crate) const fn keeps(&self) -> bool {
        self.keep
    }

    /// A packet is sent; `entry` says so where lines are kept.
    pub(crate) fn packet(
        &mut self,
        packet: &Packet,
        origin: Origin,
        fate: Fate,
        entry: Option<Entry>,
    ) -> Mark {
        let number = self.packets;
        self.packets += 1;
        self.hash.time(packet.at);
        let host = |host: Option<HostId>| host.map_or(0, |host| host.0 as u64 + 1);
        self.hash.word(host(packet.from) << 32 | host(packet.to));
        self.hash.via(packet.via);
        self.hash.address(packet.source);
        self.hash.address(packet.destination);
        self.hash.bytes(&packet.bytes);
        self.hash.word(origin as u64);
        self.hash.fate(fate);
        let place = entry.is_some().then_some((self.era, self.lines.len()));
        self.lines.extend(entry.map(Line::Packet));
        Mark { number, place }
    }

    pub(crate) fn note(&mut self, at: Duration, host: &str, text: String) {
        self.hash.time(at);
        self.hash.bytes(host.as_bytes());
        self.hash.bytes(text.as_bytes());
        if self.keep {
            self.lines.push(Line::Note(Note { at, host: host.into(), text }));
        }
    }

    /// A packet's fate is known, and perhaps better than before who got it.
    pub(crate) fn settle(&mut self, mark: Mark, fate: Fate, to: Option<&str>) {
        self.hash.word(mark.number);
        self.hash.fate(fate);
        if let Some(entry) = self.entry_mut(mark) {
            entry.fate = fate;
            if let Some(to) = to {
                entry.to.clear();
                entry.to.push_str(to);
            }
        }
    }

    /// A line has changed a packet's bytes.
    pub(crate) fn alter(&mut self, mark: Mark, bytes: &[u8]) {
        self.hash.bytes(bytes);
        if let Some(entry) = self.entry_mut(mark) {
            entry.origin = Origin::Altered;
            entry.bytes = bytes.to_vec();
        }
    }

    fn entry_mut(&mut self, mark: Mark) -> Option<&mut Entry> {
        let (era, place) = mark.place?;
        match self.lines.get_mut(place)? {
            Line::Packet(entry) if era == self.era => Some(entry),
            _ => None,
        }
    }
}

impl fmt::Display for Transcript {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
