//! After the faults: everything is mended, and the world must come to rest as new.

use core::time::Duration;

use genkan_core::{AcceptorEvent, Machine, TimerKind, Transport};

use super::build::Swarm;
use super::checks::Verdict;
use super::houses::Place;
use super::{Broken, edges};
use crate::entropy::EntropyMode;
use crate::fleet::{AcceptorApp, FleetAcceptor, FleetIssuer, FleetServer};
use crate::nat::{NatConfig, Proto, Sharing, Unsolicited};
use crate::net::{Hop, HostId, NatId};
use crate::tcp::Reader;
use crate::world::Death;

/// The longest back-off.
const BACKOFF: Duration = Duration::from_secs(300);
/// A whole attempt after it, one fallback to TCP included.
const ATTEMPT: Duration = Duration::from_secs(30);
/// A word that was under way when the faults ended may be given up first (15 s, four tries), and then
/// comes the first back-off (5 s).
const GIVEN_UP: Duration = Duration::from_secs(20);
/// By how much a clock can have been set back, which keeps a device waiting for so much longer.
const SET_BACK: Duration = Duration::from_secs(200);
/// The server's line when nothing is wrong.
const SERVER_LATENCY: Duration = Duration::from_millis(10);

impl Swarm {
    /// Mends everything, waits, and looks.
    pub(super) fn heal(&mut self) -> Verdict {
        self.mend();
        let crowded = self.switch_off_surplus();
        self.all_listed(crowded)?;
        // What was open has ended or stands by now; requests have ended long ago.
        let end = self.fleet.world.now() + Duration::from_secs(60);
        self.run_until(end)?;
        self.all_told()?;
        self.words()?;
        for phone in self.phones() {
            self.hang_up(phone);
        }
        let end = self.fleet.world.now() + Duration::from_secs(5);
        self.run_until(end)?;
        self.all_over_datagrams()?;
        self.moved_and_back("a restart of its box", |swarm, place| match place.nats.last() {
            Some(&nat) => swarm.fleet.world.nat_mut(nat).reboot(),
            None => swarm.readdress(place),
        })?;
        self.moved_and_back("a change of address", Self::readdress)?;
        self.good_requests()?;
        self.bad_requests()?;
        self.lossy_requests()?;
        self.rest()
    }

    fn mend(&mut self) {
        while let Some((_, undo)) = self.undo.pop_first() {
            self.undo(undo);
        }
        let places: Vec<_> = self.acceptors.iter().chain(&self.issuers).cloned().collect();
        for place in &places {
            self.fleet.world.set_line(place.host, &edges::clean(&place.line));
            self.fleet.entropy(place.host).set(EntropyMode::Seeded);
        }
        for nat in (0..self.fleet.world.net.nats()).map(NatId) {
            self.mend_box(nat);
        }
        let server = self.fleet.server;
        self.fleet.world.set_line(server, &edges::clean(&crate::faults::Faults::default()));
        for host in places.iter().map(|place| place.host).chain([server]) {
            self.fleet.world.set_reader(host, Reader::Fast);
        }
    }

    /// A box that is full of others, locked by too many flows or by what came uninvited, gives a port
    /// to two at once, or lets a mapping go for an ICMP error (a dead path's would take the
    /// registration's with them), is no place to be reached at.
    fn mend_box(&mut self, nat: NatId) {
        let nat = self.fleet.world.nat_mut(nat);
        let config = nat.config_mut();
        if let Some(others) = &mut config.foreign {
            // No more of them; the last ones stay their time.
            (others.rate, others.bursts) = (0.0, 0.0);
        }
        config.limits = NatConfig::default().limits;
        config.icmp_ends_mapping = false;
        if let Unsolicited::BlockRemote(_) | Unsolicited::BlockPort(_) = config.unsolicited {
            config.unsolicited = Unsolicited::Drop;
        }
        let overloads = config.behaviour.allocation.sharing == Sharing::Overloading;
        if overloads {
            config.behaviour.allocation.sharing = Sharing::Exclusive;
            nat.reboot();
        }
    }

    /// Where the server's list has no room for everybody, those for whom it has none are switched off
    /// for good: for the others everything must hold. Says whether that was so.
    fn switch_off_surplus(&mut self) -> bool {
        let room = self.clients.saturating_sub(self.phones().len());
        let surplus = self.acceptors.split_off(room.clamp(1, self.acceptors.len()));
        for place in &surplus {
            self.checks.borrow_mut().restarted(place.host);
            self.fleet.world.kill(place.host, Death::Silent);
        }
        !surplus.is_empty()
    }

    pub(super) fn phones(&self) -> Vec<HostId> {
        self.issuers.iter().map(|place| place.host).chain(self.evil).collect()
    }

    fn lamps(&self) -> Vec<HostId> {
        self.acceptors.iter().map(|place| place.host).collect()
    }

    /// L-1: within a period where the device was registered, as far as it knew; within the longest
    /// back-off and an attempt where it was not.
    fn all_listed(&mut self, crowded: bool) -> Verdict {
        let mended = self.fleet.world.now();
        let mut bounds: Vec<(Duration, HostId)> =
            self.acceptors.iter().map(|place| (self.bound(place, crowded), place.host)).collect();
        bounds.sort_unstable();
        for (longest, lamp) in bounds {
            let left = (mended + longest).saturating_sub(self.fleet.world.now());
            if !self.wait(left, |swarm| swarm.is_well(lamp))? {
                let name = self.fleet.world.name(lamp);
                let what = format!("{name} not on the list {longest:?} after the mending");
                return Err(Broken::new("L-1", what));
            }
        }
        Ok(())
    }

    /// On the list, and waiting for no longer than a period: a device whose clock was set back can still
    /// be on it and say nothing until it is not.
    fn is_well(&self, lamp: HostId) -> bool {
        let (world, soon) = (&self.fleet.world, self.fleet.world.now() + self.interval);
        let knows = self.believes(lamp).is_some();
        let wakes = world.next_wake(lamp).is_some_and(|at| at <= soon);
        self.fleet.is_registered(lamp) && knows && wakes
    }

    /// Over what an acceptor is registered, as far as it knows.
    fn believes(&self, lamp: HostId) -> Option<Transport> {
        let log = &self.fleet.world.app::<AcceptorApp>(lamp).log;
        let told = log.events.iter().rev().find_map(|(_, event)| match event {
            AcceptorEvent::Registered { over, .. } => Some(Some(*over)),
            AcceptorEvent::RegistrationLost => Some(None),
            _ => None,
        });
        told.flatten()
    }

    fn bound(&self, place: &Place, crowded: bool) -> Duration {
        let world = &self.fleet.world;
        let (waits, mut bound) = if self.believes(place.host) == Some(Transport::Datagram) {
            // A keepalive and its answer, and a handshake when the server has forgotten it.
            (self.interval, self.interval.max(GIVEN_UP) + 5 * round_trip(place))
        } else {
            (BACKOFF, BACKOFF + ATTEMPT)
        };
        if crowded {
            // Those who were switched off are on the list for their time, and an attempt meanwhile is
            // in vain.
            bound += self.interval * 3 + Duration::from_secs(10) + SET_BACK + BACKOFF + ATTEMPT;
        }
        let due = world.next_wake(place.host).unwrap_or_default();
        bound + due.saturating_sub(world.now() + waits).min(SET_BACK)
    }

    /// L-1: who had to register over TCP looks for UDP again within five minutes.
    fn all_over_datagrams(&mut self) -> Verdict {
        let lamps = self.lamps();
        let back = |swarm: &mut Self| {
            let checks = swarm.checks.borrow();
            lamps.iter().all(|&lamp| !checks.list.over_stream(lamp))
        };
        if self.wait(BACKOFF + ATTEMPT, back)? {
            return Ok(());
        }
        Err(Broken::new("L-1", "somebody is registered over TCP although UDP works again"))
    }

    /// L-2, of what was asked while things went wrong.
    fn all_told(&self) -> Verdict {
        let checks = self.checks.borrow();
        for &(phone, request) in &self.made {
            if checks.sessions.outcome(phone, request).is_none() {
                let name = self.fleet.world.name(phone);
                let what = format!("{name} was told nothing about {request:?}");
                return Err(Broken::new("L-2", what));
            }
        }
        Ok(())
    }

    /// L-4: every acceptor is moved at once; the server's word arrives again within a period and two
    /// round trips.
    fn moved_and_back(&mut self, how: &str, mut shift: impl FnMut(&mut Self, &Place)) -> Verdict {
        let places = self.acceptors.clone();
        for (number, place) in places.iter().enumerate() {
            // A NAT that several are behind is moved once.
            let translated = place.nats.last().is_some_and(|&nat| self.translates(nat));
            let before = |other: &Place| other.nats.last() == place.nats.last();
            if !translated || !places[..number].iter().any(before) {
                shift(self, place);
            }
        }
        let moved = self.fleet.world.now();
        for place in &places {
            let longest = self.interval + 2 * round_trip(place);
            let left = (moved + longest).saturating_sub(self.fleet.world.now());
            if !self.wait(left, |swarm| swarm.is_wakeable(place))? {
                let name = self.fleet.world.name(place.host);
                let what = format!("{name} not wakeable {longest:?} after {how}");
                return Err(Broken::new("L-4", what));
            }
        }
        Ok(())
    }

    /// Whether a datagram of the server's to the listed address would arrive at the device.
    fn is_wakeable(&self, place: &Place) -> bool {
        let (id, world) = (self.fleet.id(place.host), &self.fleet.world);
        let machine: &FleetServer = world.machine(self.fleet.server);
        let Some(listed) = machine.location(&id) else { return false };
        let hop = Hop::at(0, self.server_for(listed.is_ipv6()), listed);
        world.host_at(Proto::Udp, hop) == Some(place.host) && world.net.admits(Proto::Udp, hop)
    }

    /// Nothing is left but the registrations.
    fn rest(&mut self) -> Verdict {
        for phone in self.phones() {
            self.hang_up(phone);
        }
        let end = self.fleet.world.now() + Duration::from_secs(150);
        self.run_until(end)?;
        let lamps = self.acceptors.iter().map(|place| place.host);
        let hosts: Vec<HostId> = lamps.chain(self.phones()).chain([self.fleet.server]).collect();
        let count = |swarm: &mut Self| hosts.iter().map(|&host| swarm.streams(host)).sum::<usize>();
        if count(self) > 0 {
            // Registered over TCP for now: UDP is looked for again within five minutes.
            let end = self.fleet.world.now() + Duration::from_secs(310);
            self.run_until(end)?;
        }
        let left = count(self);
        if left > 0 {
            return Err(Broken::new("L-2", format!("{left} ends of streams are left over")));
        }
        let mut devices = hosts.into_iter().filter(|&host| host != self.fleet.server);
        let open = |swarm: &Self, host| swarm.fleet.world.open_sockets(host) > 1;
        if let Some(host) = devices.find(|&host| open(self, host)) {
            // A measurement has two for a second; the next one is hours away.
            let end = self.fleet.world.now() + Duration::from_secs(5);
            self.run_until(end)?;
            if !open(self, host) {
                return self.rest();
            }
            let world = &self.fleet.world;
            let (name, open) = (world.name(host), world.open_sockets(host));
            return Err(Broken::new("L-2", format!("{name} has {open} UDP sockets at rest")));
        }
        for phone in self.phones() {
            let wakeup = self.fleet.world.machine::<FleetIssuer>(phone).poll_timeout();
            if wakeup.is_some() {
                let name = self.fleet.world.name(phone);
                return Err(Broken::new("L-2", format!("{name} still waits: {wakeup:?}")));
            }
        }
        let server: &FleetServer = self.fleet.world.machine(self.fleet.server);
        let listed = (server.clients() as usize, server.registered() as usize);
        if listed != (self.acceptors.len(), self.acceptors.len()) {
            return Err(Broken::new("L-2", format!("{listed:?} on the list at rest")));
        }
        for lamp in self.lamps() {
            let wakeup = self.fleet.world.machine::<FleetAcceptor>(lamp).poll_timeout();
            if wakeup.map(|wakeup| wakeup.reason) != Some(TimerKind::Registration) {
                let name = self.fleet.world.name(lamp);
                return Err(Broken::new("L-2", format!("{name} waits for {wakeup:?} at rest")));
            }
        }
        Ok(())
    }
}

/// To the server and back, over mended lines.
fn round_trip(place: &Place) -> Duration {
    2 * (place.line.latency + SERVER_LATENCY)
}
