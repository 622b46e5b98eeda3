//! After the faults: everything is mended, and the world must come to rest as new.

use core::time::Duration;

use genkan_core::wire::message::Reason;
use genkan_core::{ConnectionId, IssuerEvent, Machine, Target, TimerKind};

use super::build::{PASSWORD, Swarm};
use super::checks::Verdict;
use super::{Broken, edges};
use crate::entropy::EntropyMode;
use crate::fleet::{FleetAcceptor, FleetIssuer, FleetServer};
use crate::nat::{NatConfig, Proto};
use crate::net::{Hop, HostId};
use crate::tcp::Reader;

/// The longest back-off (300 s) and the handshake after it, one fallback to TCP included.
const BACKOFF: Duration = Duration::from_secs(330);
/// A keepalive's interval and two round trips.
const KEEPALIVE: Duration = Duration::from_secs(26);
/// The longest time that an issuer is left without a word.
const PATIENCE: Duration = Duration::from_secs(11);

impl Swarm {
    /// Mends everything, waits, and looks.
    pub(super) fn heal(&mut self) -> Verdict {
        self.mend();
        self.all_listed(BACKOFF)?;
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
        self.moved_and_back()?;
        self.good_requests()?;
        self.bad_requests()?;
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
            for &nat in &place.nats {
                // A box that is full, or locked by too many flows, is no place to be reached at.
                let config = self.fleet.world.nat_mut(nat).config_mut();
                config.foreign = None;
                config.limits = NatConfig::default().limits;
            }
        }
        let server = self.fleet.server;
        self.fleet.world.set_line(server, &crate::faults::Faults::default());
        for host in places.iter().map(|place| place.host).chain([server]) {
            self.fleet.world.set_reader(host, Reader::Fast);
        }
    }

    fn phones(&self) -> Vec<HostId> {
        self.issuers.iter().map(|place| place.host).chain(self.evil).collect()
    }

    /// L-1.
    fn all_listed(&mut self, longest: Duration) -> Verdict {
        let lamps: Vec<HostId> = self.acceptors.iter().map(|place| place.host).collect();
        let there = |swarm: &mut Self| lamps.iter().all(|&lamp| swarm.fleet.is_registered(lamp));
        if self.wait(longest, there)? {
            return Ok(());
        }
        let missing = lamps.iter().filter(|&&lamp| !self.fleet.is_registered(lamp));
        let names: Vec<&str> = missing.map(|&lamp| self.fleet.world.name(lamp)).collect();
        let what = format!("{} not on the list {longest:?} after the mending", names.join(", "));
        Err(Broken::new("L-1", what))
    }

    /// L-1: who had to register over TCP looks for UDP again within five minutes.
    fn all_over_datagrams(&mut self) -> Verdict {
        let lamps: Vec<HostId> = self.acceptors.iter().map(|place| place.host).collect();
        let back = |swarm: &mut Self| {
            let checks = swarm.checks.borrow();
            lamps.iter().all(|&lamp| !checks.list.over_stream(lamp))
        };
        if self.wait(BACKOFF, back)? {
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

    /// L-4: a NAT restarts, or an address changes; the server's word arrives again in time.
    fn moved_and_back(&mut self) -> Verdict {
        let Some(place) = self.acceptors.first().cloned() else { return Ok(()) };
        let mut moved = vec![place.host];
        if let Some(&nat) = place.nats.last() {
            self.fleet.world.nat_mut(nat).reboot();
            let house = self.acceptors.iter().filter(|other| other.nats.contains(&nat));
            moved = house.map(|other| other.host).collect();
        } else {
            let address = self.fresh_address(false);
            self.fleet.world.renumber_host(place.host, &[address]);
        }
        let back = |swarm: &mut Self| moved.iter().all(|&lamp| swarm.is_wakeable(lamp));
        if self.wait(KEEPALIVE, back)? {
            return Ok(());
        }
        let out = moved.iter().filter(|&&lamp| !self.is_wakeable(lamp));
        let names: Vec<&str> = out.map(|&lamp| self.fleet.world.name(lamp)).collect();
        let what = format!("{} not wakeable {KEEPALIVE:?} after a move", names.join(", "));
        Err(Broken::new("L-4", what))
    }

    /// Whether a datagram of the server's to the listed address would arrive at the device.
    fn is_wakeable(&self, lamp: HostId) -> bool {
        let (id, server) = (self.fleet.id(lamp), self.fleet.server);
        let world = &self.fleet.world;
        let machine: &FleetServer = world.machine(server);
        let Some(listed) = machine.location(&id) else { return false };
        let hop = Hop::at(0, self.fleet.server_address(), listed);
        world.host_at(Proto::Udp, hop) == Some(lamp)
    }

    /// L-2: who has what opens the door is connected where it can be dialled.
    fn good_requests(&mut self) -> Verdict {
        for (number, place) in self.issuers.clone().into_iter().enumerate() {
            let lamp = self.acceptors[number % self.acceptors.len()].host;
            let mut target = self.target(lamp, 0);
            let member = |swarm: &Self, host| {
                swarm.checks.borrow().roster.member(host).is_some_and(|member| member.paired)
            };
            let paired = member(self, place.host);
            if !paired {
                target.early_key = None;
            }
            let door = self.checks.borrow().roster.door(lamp);
            let admitted = door.open || door.password || paired;
            self.cool_down(lamp)?;
            let outcome = self.ask(place.host, &target)?;
            let as_it_must = match outcome {
                Some(IssuerEvent::Connected { .. }) => admitted && place.nats.is_empty(),
                Some(IssuerEvent::Refused { reason, .. }) => {
                    let told = if target.early_key.is_some() {
                        matches!(reason, Reason::Unreachable)
                    } else {
                        reason == Reason::Unspecified && !admitted
                    };
                    told && !(admitted && place.nats.is_empty())
                }
                Some(IssuerEvent::Failed { .. }) => admitted && !place.nats.is_empty(),
                _ => false,
            };
            if !as_it_must {
                return self.wrong(place.host, lamp, outcome);
            }
        }
        Ok(())
    }

    /// Password tries that came to nothing make the next ones wait for up to a minute.
    fn cool_down(&mut self, lamp: HostId) -> Verdict {
        if self.fleet.world.machine::<FleetAcceptor>(lamp).failures() == 0 {
            return Ok(());
        }
        let end = self.fleet.world.now() + Duration::from_secs(61);
        self.run_until(end)
    }

    /// L-2: a wrong password and an unknown target are refused.
    fn bad_requests(&mut self) -> Verdict {
        let Some(phone) = self.issuers.first().map(|place| place.host) else { return Ok(()) };
        let nobody = genkan_core::StaticKey::from_secret([0x55; 32]).id();
        let locked = self.acceptors.iter().map(|place| place.host).find(|&lamp| {
            let door = self.checks.borrow().roster.door(lamp);
            !door.open && !door.paired
        });
        let wrong = locked.map(|lamp| Target {
            password: Some(PASSWORD.map(|byte| !byte)),
            ..Target::new(self.fleet.id(lamp))
        });
        for target in [Some(Target::new(nobody)), wrong].into_iter().flatten() {
            let outcome = self.ask(phone, &target)?;
            let reason = Reason::Unspecified;
            if !matches!(outcome, Some(IssuerEvent::Refused { reason: told, .. }) if told == reason)
            {
                return self.wrong(phone, phone, outcome);
            }
        }
        Ok(())
    }

    fn ask(&mut self, phone: HostId, target: &Target) -> Result<Option<IssuerEvent>, Broken> {
        let Some(request) = self.request(phone, target) else {
            return Err(Broken::new("L-2", "a phone that has nothing open cannot ask"));
        };
        self.wait(PATIENCE, |swarm| swarm.outcome(phone, request).is_some())?;
        let outcome = self.outcome(phone, request);
        self.hang_up(phone);
        Ok(outcome)
    }

    fn outcome(&self, phone: HostId, request: ConnectionId) -> Option<IssuerEvent> {
        self.checks.borrow().sessions.outcome(phone, request)
    }

    fn wrong<T>(
        &self,
        phone: HostId,
        lamp: HostId,
        outcome: Option<IssuerEvent>,
    ) -> Result<T, Broken> {
        let (phone, lamp) = (self.fleet.world.name(phone), self.fleet.world.name(lamp));
        Err(Broken::new("L-2", format!("{phone} asked {lamp} and was told {outcome:?}")))
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
        for lamp in self.acceptors.iter().map(|place| place.host) {
            let wakeup = self.fleet.world.machine::<FleetAcceptor>(lamp).poll_timeout();
            if wakeup.map(|wakeup| wakeup.reason) != Some(TimerKind::Registration) {
                let name = self.fleet.world.name(lamp);
                return Err(Broken::new("L-2", format!("{name} waits for {wakeup:?} at rest")));
            }
        }
        Ok(())
    }
}
