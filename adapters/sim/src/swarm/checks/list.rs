//! I-1, I-2, I-18: who is on the server's list, at which address, and why.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use genkan_core::wire::Kind;
use genkan_core::{Instant, ServerEvent, Transport};

use super::lately::Lately;
use super::roster::{Role, Roster};
use super::state::counts;
use super::{Broken, Input, Seen, Verdict};
use crate::fleet::FleetServer;
use crate::host::Log;
use crate::net::HostId;

/// How long an answer of the server's proves its receiver's address: two lives of a cookie secret.
const COOKIE_LIFE: Duration = Duration::from_secs(240);
/// What is known of an acceptor's entry.
#[derive(Debug, Default)]
struct Entry {
    address: Option<SocketAddr>,
    /// When the server heard something authentic of it, by the server's clock.
    heard: Option<Instant>,
    over_stream: bool,
    /// The address that it was last on the list with over datagrams: it counts again when a
    /// registration over TCP ends.
    place: Option<SocketAddr>,
    /// Addresses that it has had on the list by proof, lately.
    proven: VecDeque<SocketAddr>,
}

/// How many addresses of an acceptor are remembered.
const ADDRESSES: usize = 16;

impl Entry {
    fn has_proven(&self, address: SocketAddr) -> bool {
        self.place == Some(address) || self.proven.contains(&address)
    }

    fn proves(&mut self, address: SocketAddr, by_datagram: bool) {
        if by_datagram {
            self.place = Some(address);
        }
        self.proven.retain(|&other| other != address);
        if self.proven.len() == ADDRESSES {
            self.proven.pop_front();
        }
        self.proven.push_back(address);
    }
}

#[derive(Debug)]
pub(in crate::swarm) struct List {
    capacity: usize,
    /// How long an entry lives at least after something authentic was heard: three intervals and 10 s,
    /// less a second, since the list counts in seconds.
    life: Duration,
    entries: BTreeMap<HostId, Entry>,
    /// Addresses that each host's packets have come out at.
    exits: Lately<(HostId, SocketAddr), ()>,
    last_exit: Option<(HostId, SocketAddr)>,
    /// When the server last sent something there that only its receiver can answer.
    offered: Lately<SocketAddr, Duration>,
    /// How many of the server's events were looked at.
    told: usize,
    /// How many entries the table had then.
    had: usize,
}

impl List {
    /// A list of so many places, for keepalives every so many seconds.
    pub(super) fn new(capacity: usize, interval: u16) -> Self {
        Self {
            capacity,
            life: Duration::from_secs(u64::from(interval) * 3 + 9),
            entries: BTreeMap::new(),
            exits: Lately::default(),
            last_exit: None,
            offered: Lately::default(),
            told: 0,
            had: 0,
        }
    }

    pub(super) fn turn(&mut self) {
        self.exits.turn();
        self.offered.turn();
        self.last_exit = None;
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let proven: usize = self.entries.values().map(|entry| entry.proven.len()).sum();
        proven + self.exits.len() + self.offered.len()
    }

    /// The server's table has another size.
    #[cfg(test)]
    pub(in crate::swarm) const fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    pub(super) fn restarted(&mut self) {
        self.entries.clear();
        self.offered.clear();
        (self.told, self.had) = (0, 0);
    }

    /// Whether an acceptor's registration came over TCP.
    pub(in crate::swarm) fn over_stream(&self, host: HostId) -> bool {
        self.entries.get(&host).is_some_and(|entry| entry.over_stream)
    }

    /// A host's packet left its network with this source.
    pub(super) fn came_out(&mut self, host: HostId, source: SocketAddr) {
        if self.last_exit != Some((host, source)) {
            self.last_exit = Some((host, source));
            self.exits.insert((host, source), ());
        }
    }

    pub(super) fn check(&mut self, roster: &Roster, seen: &Seen<'_>) -> Verdict {
        taken_once(seen)?;
        if seen.role != Role::Server {
            return Ok(());
        }
        let Some(server) = seen.node.machine().downcast_ref::<FleetServer>() else { return Ok(()) };
        let (clients, registered) = (server.clients() as usize, server.registered() as usize);
        let full = self.read_events(roster, seen);
        // Who has left in the same moment may have gone after somebody was turned away.
        let had = core::mem::replace(&mut self.had, clients);
        self.places(clients, registered, full && clients.max(had) < self.capacity)?;
        let mut listed = 0;
        for member in roster.acceptors() {
            let entry = self.entries.entry(member.host).or_default();
            let address = server.location(&member.id);
            listed += usize::from(address.is_some());
            let before = core::mem::replace(&mut entry.address, address);
            if before != address {
                let change = Change { who: member.host, name: &member.name, before };
                match address {
                    Some(address) => self.moved(seen, change, address)?,
                    None => self.fell_off(seen, change)?,
                }
            }
        }
        if listed > registered {
            let what = format!("{listed} have an address on the list, {registered} are registered");
            return Err(Broken::new("I-18", what));
        }
        if let Some(author) = seen.input.filter(|input| lives(input)).and_then(|input| input.author)
            && seen.is_taken()
            && let Some(entry) = self.entries.get_mut(&author)
        {
            entry.heard = Some(seen.call.now);
        }
        for (to, bytes) in seen.datagrams() {
            if matches!(Kind::of(bytes), Ok(Kind::Response | Kind::Resumed | Kind::Challenge)) {
                self.offered.insert(to, seen.call.at);
            }
        }
        Ok(())
    }

    /// I-18: the table's size is kept to, and nobody is told that it is full when it is not.
    fn places(&self, clients: usize, registered: usize, wrongly: bool) -> Verdict {
        let what = if clients > self.capacity || registered > clients {
            format!("{registered} registered, {clients} entries")
        } else if wrongly {
            format!("somebody was turned away with {clients} entries")
        } else {
            return Ok(());
        };
        Err(Broken::new("I-18", format!("{what} in {} places", self.capacity)))
    }

    /// Whether the server has said that its table is full.
    fn read_events(&mut self, roster: &Roster, seen: &Seen<'_>) -> bool {
        let Some(log) = seen.node.app().downcast_ref::<Log<ServerEvent>>() else { return false };
        let mut full = false;
        for (_, event) in log.events.get(self.told..).unwrap_or_default() {
            full |= *event == ServerEvent::Full;
            if let ServerEvent::Registered { id, over, .. } = event
                && let Some(member) = roster.holder(id)
            {
                let entry = self.entries.entry(member.host).or_default();
                entry.over_stream = *over == Transport::Stream;
            }
        }
        self.told = log.events.len();
        full
    }

    /// I-1: an address is new on the list.
    fn moved(&mut self, seen: &Seen<'_>, change: Change<'_>, address: SocketAddr) -> Verdict {
        let Change { who, name, before } = change;
        let broken = |why: &str| {
            let what = format!("{name} moved from {before:?} to {address}: {why}");
            Err(Broken::new("I-1", what))
        };
        let proven = self.entries.get(&who).is_some_and(|entry| entry.has_proven(address));
        match seen.input {
            Some(Input { over: None, author, .. }) if *author != Some(who) => {
                return broken("by bytes that it did not make");
            }
            Some(Input { over: None, source, .. }) if *source != address && !proven => {
                return broken("by bytes from elsewhere");
            }
            Some(Input { over: Some((_, other)), .. }) if *other != who && !proven => {
                return broken("by somebody else's connection");
            }
            // A connection that carried the registration has ended: the address before it counts.
            None if !proven => return broken("by nothing that it sent"),
            _ => {}
        }
        let by_datagram = seen.input.is_some_and(|input| input.over.is_none());
        if by_datagram {
            if !self.exits.contains(&(who, address)) {
                return broken("where none of its packets came out");
            }
            let recent = |at: &Duration| seen.call.at <= *at + COOKIE_LIFE;
            if !proven && !self.offered.get(&address).is_some_and(recent) {
                return broken("where the server has not asked");
            }
        }
        if let Some(entry) = self.entries.get_mut(&who) {
            entry.proves(address, by_datagram);
        }
        Ok(())
    }

    /// I-18: an entry is gone.
    fn fell_off(&self, seen: &Seen<'_>, change: Change<'_>) -> Verdict {
        let Change { who, name, before } = change;
        let Some(entry) = self.entries.get(&who) else { return Ok(()) };
        let author = seen.input.map(|input| input.author);
        let silent = |at: Instant| seen.call.now.since(at) >= self.life;
        // Time, the end of its own connection or its own word takes somebody off; what others say
        // never does, however full the table is.
        let pushed = author.is_some_and(|author| author != Some(who)) && !seen.call.was_due;
        let fades = entry.over_stream || entry.heard.is_none_or(silent);
        if !pushed && (fades || author == Some(Some(who))) {
            return Ok(());
        }
        let what = format!("{name} at {before:?} fell off the list, heard at {:?}", entry.heard);
        Err(Broken::new("I-18", what))
    }
}

/// Whether it keeps an entry alive: what asks for a session does not, nor does what is said on a
/// second connection. (Entries over TCP live by their connection.)
const fn lives(input: &Input) -> bool {
    let sealed = matches!(input.kind, Some(Kind::Keepalive | Kind::Echo | Kind::Transport));
    sealed && input.over.is_none()
}

struct Change<'a> {
    who: HostId,
    name: &'a str,
    before: Option<SocketAddr>,
}

/// I-2: what a session protects is taken once.
fn taken_once(seen: &Seen<'_>) -> Verdict {
    let Some(input) = seen.input.filter(|input| input.again && seen.is_taken()) else {
        return Ok(());
    };
    match input.kind {
        Some(kind) if counts(kind) => {
            Err(Broken::new("I-2", format!("{kind:?} of {} B was taken twice", input.len)))
        }
        _ => Ok(()),
    }
}
