//! An equipment's part in measuring its NAT: five packets from three sockets to the server's ends.
//!
//! ```text
//! Idle ─► Binding ─► Sending ─► Waiting ─► Idle, or Watching ─► Idle
//!   Measure   sockets     all sent    a second later           watch.rs
//! ```
//!
//! The server says when, computes the profile for itself and reports what it saw; the equipment
//! computes the same with the same code, for its application and, where its own detector is the one
//! that counts, for its ranges.

use core::time::Duration;

use heapless::Vec;

use super::names::{MEASURING, MEASURING_COUNT};
use super::watch::Watch;
use super::words::Words;
use crate::addr::{AddressPolicy, Endpoint};
use crate::id::SocketId;
use crate::limit::{Bucket, Rate};
use crate::machine::{Command, Discard};
use crate::nat::{MEASURE_PACKETS, NatProfile, Probe, ServerEnd, Sighting, measurement};
use crate::time::Instant;
use crate::wire::message::{Measure, Seen};
use crate::wire::punch::{Detect, FROM_MAIN, FROM_OTHER_ADDRESS, FROM_OTHER_PORT, MEASUREMENT};

/// How long the sockets of a measurement stay open after its last packet: the report comes within a
/// round trip.
const OPEN: Duration = Duration::from_secs(1);
/// Measurements that a server may ask for.
const ASKED: Rate = Rate::new(6, 10_000);
/// How long the caller may take to open them.
const BIND: Duration = Duration::from_secs(5);
/// How long a NAT may remember that the registered socket has sent to another end of the server: a
/// probe from there that gets in meanwhile tells nothing of its filter. A server that was restarted
/// does not know.
const FILTER_MEMORY: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Idle,
    Binding,
    /// The packet that is next, counted from 0.
    Sending(u8),
    Waiting,
    /// The first socket is kept.
    Watching,
}

/// What an equipment knows of its NAT and of the server's other ends.
#[derive(Debug)]
pub(crate) struct Gauge {
    pub(super) stage: Stage,
    pub(super) until: Option<Instant>,
    ends: Option<Measure>,
    /// Which filter probes have come: bits of [`Detect::status`].
    pub(super) probes: u8,
    /// The port that the first fresh socket is bound to; 0: there are none.
    pub(super) local: u16,
    /// Until when the NAT may let the server's other port in, because of a packet of ours.
    opened_until: Option<Instant>,
    asked: Bucket,
    pub(super) watch: Watch,
    /// Where the server saw the registered socket when the profile was made.
    pub(super) seen_at: Option<Endpoint>,
    pub(crate) profile: Option<NatProfile>,
}

impl Gauge {
    /// `watches`: after a measurement it finds out how long the NAT keeps a mapping.
    pub(crate) const fn new(watches: bool) -> Self {
        Self {
            stage: Stage::Idle,
            until: None,
            ends: None,
            probes: 0,
            local: 0,
            opened_until: None,
            asked: Bucket::EMPTY,
            watch: Watch::new(watches),
            seen_at: None,
            profile: None,
        }
    }

    /// Whether the server has shown that it lets equipment punch.
    pub(crate) const fn is_invited(&self) -> bool {
        self.ends.is_some()
    }

    /// Whether a server that has shown its ends has one on another address.
    pub(super) fn has_second(&self) -> Option<bool> {
        self.ends.map(|ends| ends.other_address.is_some())
    }

    /// The session with the server is another one: whether its server does the same, it will say.
    pub(crate) const fn forget_server(&mut self) {
        self.ends = None;
        self.probes = 0;
    }

    /// What was sent from the registered socket's port has not opened another one, which it has now.
    pub(crate) const fn forget_opened(&mut self) {
        self.opened_until = None;
    }

    /// Whether the server has shown its ends, and no measurement is under way.
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.is_invited() && matches!(self.stage, Stage::Idle | Stage::Watching)
    }

    /// Where an end of the server is, whose main end is at `main`. Without a second address its port
    /// is all that differs.
    pub(crate) fn address(&self, main: Endpoint, end: ServerEnd) -> Endpoint {
        let Some(ends) = self.ends else { return main };
        match (end, ends.other_address) {
            (ServerEnd::Main, _) => main,
            (ServerEnd::OtherAddress, Some(address)) => address,
            _ => main.at_port(ends.other_port),
        }
    }

    /// A probe has come from this end of the server, with this counter field. The profile, when it
    /// has completed it.
    pub(crate) fn probed(
        &mut self,
        now: Instant,
        status: u8,
        counter: u64,
        words: &mut Words,
    ) -> Option<NatProfile> {
        match status {
            FROM_MAIN if self.answered(now, counter, words) => return self.profile,
            1 if self.opened_until.is_some_and(|until| now < until) => {}
            1 => self.probes |= FROM_OTHER_PORT,
            2 => self.probes |= FROM_OTHER_ADDRESS,
            _ => {}
        }
        None
    }

    /// The server, whose main end is at `main`, tells its other ends, and wants a measurement or not.
    /// Nothing is sent to an end that the device's policy denies (threat T12): another port of the
    /// main address must be an unprivileged one, like the main one's; another address must be
    /// permitted, and of the same family.
    pub(crate) fn invited(
        &mut self,
        now: Instant,
        main: Endpoint,
        policy: AddressPolicy,
        measure: &Measure,
    ) -> Result<Option<Command>, Discard> {
        if measure.other_port < 1_024 && !(policy.low_ports && measure.other_port != 0) {
            return Err(Discard::ForbiddenAddress);
        }
        let fits = |end: &Endpoint| end.is_ipv4() == main.is_ipv4() && policy.permits(*end);
        let other_address = measure.other_address.filter(fits);
        self.ends = Some(Measure { other_address, ..*measure });
        if measure.now && self.stage == Stage::Watching {
            // The server asks again.
            return Ok(self.stop_watch());
        }
        if !measure.now || self.stage != Stage::Idle || !self.asked.take(now, ASKED) {
            return Ok(None);
        }
        self.watch.port = 0;
        self.stage = Stage::Binding;
        self.until = Some(now.after(BIND));
        Ok(Some(Command::Bind { first: MEASURING, count: MEASURING_COUNT }))
    }

    /// The caller has opened the two sockets, or could not: the registered one tells something too.
    pub(crate) fn bound(&mut self, first: SocketId, local: Option<Endpoint>) {
        if self.stage == Stage::Binding && first == MEASURING {
            self.local = match local {
                Some(local) => local.port(),
                None => 0,
            };
            self.stage = Stage::Sending(0);
            self.until = None;
        }
    }

    fn plan(&self) -> &'static [Probe; MEASURE_PACKETS - 1] {
        measurement(self.has_second() == Some(true))
    }

    /// The port that a socket of the measurement is bound to; 0: not known.
    fn local_of(&self, socket: u8, main: u16) -> u16 {
        match (socket, self.local) {
            (0, _) => main,
            (_, 0) => 0,
            (socket, local) => local.saturating_add(socket.saturating_sub(1).into()),
        }
    }

    /// The packet that is next: from which socket, to which end, and what it says but for handle and
    /// counter. `main`: the port that the registered socket is bound to, 0 = not known.
    pub(crate) fn next(&self, main: u16) -> Option<(SocketId, ServerEnd, Detect)> {
        let Stage::Sending(next) = self.stage else { return self.next_kept(self.local) };
        let probe = *self.plan().get(usize::from(next))?;
        let socket = match probe.socket.checked_sub(1) {
            None => SocketId::MAIN,
            Some(place) => SocketId(MEASURING.0.saturating_add(place.into())),
        };
        let detect = Detect {
            status: self.probes,
            handle: 0,
            counter: 0,
            request: MEASUREMENT,
            round: 0,
            which: next.saturating_add(1),
            socket: probe.socket,
            local: self.local_of(probe.socket, main),
        };
        Some((socket, probe.server, detect))
    }

    /// The packet that was next has left.
    pub(crate) fn sent(&mut self, now: Instant) {
        let Stage::Sending(next) = self.stage else { return self.sent_kept(now) };
        if self.plan().get(usize::from(next)).is_some_and(|probe| probe.socket == 0) {
            self.opened_until = Some(now.after(FILTER_MEMORY));
        }
        let next = next.saturating_add(1);
        // Without fresh sockets the registered one's packet is all there is.
        let all = if self.local == 0 { 1 } else { self.plan().len() };
        if usize::from(next) < all {
            self.stage = Stage::Sending(next);
        } else {
            self.stage = Stage::Waiting;
            self.until = Some(now.after(OPEN));
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Closes the sockets when it is time. A caller that never answered gets no second question.
    pub(crate) fn expire(&mut self, now: Instant, words: &mut Words) -> Option<Command> {
        self.until.take_if(|at| now >= *at)?;
        match self.stage {
            Stage::Watching => {
                self.ask(now, words);
                return None;
            }
            Stage::Waiting => {
                if let Some(command) = self.begin_watch(now, words) {
                    self.probes = 0;
                    return Some(command);
                }
            }
            _ => {}
        }
        self.stage = Stage::Idle;
        // The next measurement may be behind another NAT.
        self.probes = 0;
        Some(Command::Unbind { first: MEASURING, count: MEASURING_COUNT })
    }

    /// The server reports where the packets came from; `registered` is where it sees the registered
    /// socket. The profile, when it tells anything new.
    pub(crate) fn seen(
        &mut self,
        seen: &Seen,
        registered: Endpoint,
        main: u16,
        words: &mut Words,
        leased: bool,
    ) -> Option<NatProfile> {
        let first =
            Sighting { socket: 0, local: main, server: ServerEnd::Main, observed: registered };
        let mut sightings: Vec<Sighting, MEASURE_PACKETS> = Vec::new();
        let _room = sightings.push(first);
        for (place, probe) in (1_u8..).zip(self.plan()) {
            let Some((_, observed)) = seen.packets.iter().find(|(which, _)| *which == place) else {
                continue;
            };
            let same = observed.shares_ip(registered);
            if (probe.socket, probe.server, same) == (1, ServerEnd::Main, true) {
                self.watch.port = observed.port();
            }
            let _room = sightings.push(Sighting {
                socket: probe.socket,
                local: self.local_of(probe.socket, main),
                server: probe.server,
                observed: *observed,
            });
        }
        let mut profile = NatProfile::measure(&sightings);
        let other = |bit: u8| self.probes & bit != 0;
        let second = self.has_second() == Some(true);
        let address = second.then(|| other(FROM_OTHER_ADDRESS));
        profile.set_filtering(Some(other(FROM_OTHER_PORT)), address);
        if leased && address.unwrap_or_else(|| other(FROM_OTHER_PORT)) {
            profile.set_leased();
        }
        self.settle(&mut profile, registered);
        let known = self.profile.replace(profile);
        self.tell_lifetime(words);
        let known = known.map(|known| NatProfile { confidence: profile.confidence, ..known });
        (known != Some(profile)).then_some(profile)
    }

    /// Joins what was known to a new profile. Behind another address it is of no use, and that a
    /// mapping lives long is doubtful when the registered socket has lost its own since.
    fn settle(&mut self, profile: &mut NatProfile, registered: Endpoint) {
        let before = self.seen_at.replace(registered);
        if before.is_some_and(|before| !before.shares_ip(registered)) {
            self.profile = None;
            self.watch.rest_until = None;
        }
        if let Some(known) = &mut self.profile {
            if before != Some(registered) {
                known.lifetime = known.lifetime.no_longer();
            }
            profile.follow(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant::from_millis(1_000_000);
    const PUBLIC: AddressPolicy =
        AddressPolicy { loopback: false, private: false, low_ports: false };

    fn main() -> Endpoint {
        "203.0.113.1:3478".parse().unwrap()
    }

    /// One measurement; the status of its first packet.
    fn run(gauge: &mut Gauge, now: Instant, ends: &Measure) -> u8 {
        let bind = gauge.invited(now, main(), PUBLIC, ends);
        assert!(matches!(bind, Ok(Some(Command::Bind { .. }))));
        gauge.bound(MEASURING, Some("10.0.0.2:40000".parse().unwrap()));
        let (_, _, first) = gauge.next(4_600).unwrap();
        while gauge.next(4_600).is_some() {
            gauge.sent(now);
        }
        assert!(gauge.expire(now.after(OPEN), &mut Words::new()).is_some());
        first.status
    }

    /// A device that has moved house in one session: what the old NAT let in says nothing of the new.
    #[test]
    fn probes_are_of_one_measurement() {
        let mut gauge = Gauge::new(false);
        let ends = Measure { other_port: 3_479, other_address: None, now: true };
        gauge.probed(AT, 1, 0, &mut Words::new());
        assert_eq!(run(&mut gauge, AT, &ends), FROM_OTHER_PORT);
        assert_eq!(run(&mut gauge, AT.after(Duration::from_secs(3_600)), &ends), 0);
    }

    /// Whatever the server says (T12).
    #[test]
    fn no_detection_packet_goes_to_a_denied_address() {
        let mut gauge = Gauge::new(false);
        let mut told = |other_port, other: &str| {
            let other_address = Some(other.parse().unwrap());
            let ends = Measure { other_port, other_address, now: true };
            let _told = gauge.invited(AT, main(), PUBLIC, &ends);
            for end in [ServerEnd::OtherPort, ServerEnd::OtherAddress] {
                let to = gauge.address(main(), end);
                assert!(PUBLIC.permits(to) && to.is_ipv4(), "{to}");
            }
        };
        for port in [0, 53, 1_023, 1_024] {
            for other in ["127.0.0.1:1900", "10.0.0.1:5000", "198.51.100.9:53", "[2001:db8::1]:99"]
            {
                told(port, other);
            }
            told(port, "198.51.100.9:3478");
        }
    }

    #[test]
    fn a_server_that_asks_for_ever_is_answered_six_times_at_once() {
        let mut gauge = Gauge::new(false);
        let ends = Measure { other_port: 3_479, other_address: None, now: true };
        for _ in 0..6 {
            run(&mut gauge, AT, &ends);
        }
        assert_eq!(gauge.invited(AT.after(OPEN), main(), PUBLIC, &ends), Ok(None));
    }
}
