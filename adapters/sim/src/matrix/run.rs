//! One meeting of two ends.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::Instant;
use genkan_core::nat::Sighting;
use genkan_core::punch::{
    Action, Burst, Coordinator, Detector, End, Hopeless, Limits, Moment, Party, Plan,
};

use super::host::{Host, server};
use crate::nat::{Flow, NatConfig};
use crate::rng::Rng;

/// What a run takes place in.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The issuer's NAT.
    pub issuer: NatConfig,
    /// The acceptor's NAT.
    pub acceptor: NatConfig,
    /// What the two ends can do.
    pub limits: [Limits; 2],
    /// One-way delay of each of the three ways.
    pub delay: Duration,
    /// How much longer the ways between each of the two ends and the server take.
    pub farther: [Duration; 2],
    /// Routers between the two ends' boxes.
    pub routers: u8,
    /// Up to this much longer, drawn for each packet.
    pub jitter: Duration,
    /// The chance of a packet's getting lost.
    pub loss: f64,
    /// How old the profiles are.
    pub age: Duration,
    /// Whether the server has a second address.
    pub second_address: bool,
    /// Whether an end asks its box for a port, where the box gives out ports on request.
    pub leases: bool,
    /// How often each end has been measured before, and how long before one another.
    pub history: (u8, Duration),
}

impl Lab {
    /// 25 ms one way, eight routers, no loss, profiles ten seconds old and made by one measurement, a server with two
    /// addresses, ports that are asked for.
    #[must_use]
    pub const fn new(issuer: NatConfig, acceptor: NatConfig) -> Self {
        Self {
            issuer,
            acceptor,
            limits: [Limits::LARGE, Limits::LARGE],
            delay: Duration::from_millis(25),
            farther: [Duration::ZERO; 2],
            routers: 8,
            jitter: Duration::ZERO,
            loss: 0.0,
            age: Duration::from_secs(10),
            second_address: true,
            leases: true,
            history: (0, Duration::from_secs(300)),
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The plan, or why there is none.
    pub plan: Result<Plan, Hopeless>,
    /// From the request until both ends have heard each other; `None`: they have not.
    pub took: Option<Duration>,
    /// Packets to the peer and detection packets until then, of both ends.
    pub packets: u32,
    /// Mappings at the issuer's and the acceptor's NAT that the attempt has made.
    pub mappings: [usize; 2],
}

/// Lets the two ends try to meet.
#[must_use]
pub fn meet(lab: &Lab, seed: u64) -> Outcome {
    Run::new(lab, seed).go()
}

enum Event {
    Request,
    Instruct(usize, Burst),
    Detected(usize, u8, Moment, Sighting),
    Peer { to: usize, from: SocketAddr, at: SocketAddr, answer: bool },
    Tick(usize),
    Heard,
    Coordinate,
}

struct Run<'l> {
    lab: &'l Lab,
    rng: Rng,
    hosts: [Host; 2],
    coordinator: Option<Coordinator>,
    events: BTreeMap<(Duration, u64), Event>,
    count: u64,
    now: Duration,
    packets: u32,
}

impl<'l> Run<'l> {
    fn new(lab: &'l Lab, seed: u64) -> Self {
        let rng = Rng::new(seed);
        let hosts = [
            Host::new(lab.issuer.clone(), 1, lab.limits[0], &rng),
            Host::new(lab.acceptor.clone(), 2, lab.limits[1], &rng),
        ];
        Self {
            lab,
            rng: rng.fork("network"),
            hosts,
            coordinator: None,
            events: BTreeMap::new(),
            count: 0,
            now: Duration::from_secs(5),
            packets: 0,
        }
    }

    fn instant(&self) -> Instant {
        super::host::instant(self.now)
    }

    fn later(&mut self, delay: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now + delay, self.count), event);
    }

    fn flight(&mut self) -> Duration {
        self.lab.delay + self.rng.up_to(self.lab.jitter)
    }

    fn lost(&mut self) -> bool {
        self.rng.chance(self.lab.loss)
    }

    fn go(mut self) -> Outcome {
        let (times, apart) = self.lab.history;
        for left in (0..=times).rev() {
            for host in &mut self.hosts {
                host.register(self.now, self.lab);
            }
            self.now += if left > 0 { apart } else { self.lab.age };
        }
        let start = self.now;
        let before = [self.hosts[0].nat.len(), self.hosts[1].nat.len()];
        self.later(self.lab.delay + self.lab.farther[0], Event::Request);
        let mut plan = Err(Hopeless::Budget);
        let mut took = None;
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            if at > start + Duration::from_secs(30) {
                break;
            }
            if let Event::Request = event {
                match self.begin() {
                    Ok(made) => plan = Ok(made),
                    Err(why) => {
                        plan = Err(why);
                        break;
                    }
                }
            } else {
                self.handle(event);
            }
            if self.hosts.iter().all(|host| host.attempt.found().is_some()) {
                took = Some(at - start);
                break;
            }
        }
        let made = |i: usize| self.hosts[i].nat.len().saturating_sub(before[i]);
        Outcome { plan, took, packets: self.packets, mappings: [made(0), made(1)] }
    }

    fn begin(&mut self) -> Result<Plan, Hopeless> {
        let party = |i: usize| Party {
            observed: self.hosts[i].observed.into(),
            profile: self.hosts[i].profile,
            age: self.lab.age + self.lab.delay,
            limits: self.lab.limits[i],
            detector: Detector::Server,
        };
        let coordinator = Coordinator::new(self.instant(), party(0), party(1))?;
        let plan = *coordinator.plan();
        self.coordinator = Some(coordinator);
        self.instruct();
        Ok(plan)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Request => {}
            Event::Instruct(end, burst) => {
                self.hosts[end].attempt.handle_burst(burst);
                self.act(end);
            }
            Event::Detected(end, round, moment, sighting) => {
                let now = self.instant();
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.handle_detection(now, ENDS[end], round, moment, &sighting);
                }
                self.instruct();
            }
            Event::Heard => {
                let now = self.instant();
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.handle_heard(now);
                }
            }
            Event::Coordinate => {
                let now = self.instant();
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.handle_timeout(now);
                }
                self.instruct();
            }
            Event::Tick(end) => self.act(end),
            Event::Peer { to, from, at, answer } => {
                let now = self.instant();
                let host = &mut self.hosts[to];
                let Ok(inside) = host.nat.inbound(self.now, Flow::Udp, from, at) else { return };
                let socket = host.locals.iter().position(|&local| local == inside.port());
                if let Some(socket) = socket.and_then(|socket| u8::try_from(socket).ok()) {
                    let first = host.attempt.found().is_none();
                    host.attempt.handle_heard(now, socket, from.port(), answer);
                    if first {
                        let delay = self.signal(to);
                        self.later(delay, Event::Heard);
                    }
                    self.act(to);
                }
            }
        }
    }

    /// Over the link between an end and the server, which repeats what is lost.
    fn signal(&mut self, end: usize) -> Duration {
        let mut delay = self.flight() + self.lab.farther[end];
        while self.lost() {
            delay += Duration::from_millis(100);
        }
        delay
    }

    /// Bursts to the ends.
    fn instruct(&mut self) {
        for (i, end) in ENDS.into_iter().enumerate() {
            let burst = self.coordinator.as_mut().and_then(|c| c.poll_burst(end));
            let Some(burst) = burst else { continue };
            let delay = self.signal(i);
            self.later(delay, Event::Instruct(i, burst));
        }
        let now = self.instant();
        if let Some(at) = self.coordinator.as_ref().and_then(Coordinator::poll_timeout) {
            self.later(at.since(now), Event::Coordinate);
        }
    }

    fn act(&mut self, end: usize) {
        let now = self.instant();
        let peer = self.hosts[1 - end].observed.ip();
        // Packets of one burst leave 100 µs apart: that is what foreign mappings get.
        let mut gap = Duration::ZERO;
        while let Some(action) = self.hosts[end].attempt.poll(now) {
            match action {
                Action::Open { first, count } => {
                    let local = self.hosts[end].open(first, count);
                    self.hosts[end].attempt.handle_opened(local);
                }
                Action::Detect { socket, server: to, round, moment, local } => {
                    self.packets += 1;
                    let sent = self.hosts[end].out(self.now + gap, socket, server(to));
                    gap += Duration::from_micros(100);
                    let (delay, lost) = (self.flight() + self.lab.farther[end] + gap, self.lost());
                    if let (Some(observed), false) = (sent, lost) {
                        let sighting =
                            Sighting { socket, local, server: to, observed: observed.into() };
                        self.later(delay, Event::Detected(end, round, moment, sighting));
                    }
                }
                Action::Send { socket, port, answer, hops } => {
                    self.packets += 1;
                    let at = SocketAddr::new(peer, port);
                    let own = self.hosts[end].nat.config().hops;
                    let passes = |routers: u8| hops == 0 || hops > routers;
                    let sent = passes(own).then(|| self.hosts[end].out(self.now + gap, socket, at));
                    gap += Duration::from_micros(100);
                    let arrives = passes(own.saturating_add(self.lab.routers));
                    let (delay, lost) = (self.flight() + gap, self.lost() || !arrives);
                    if let (Some(from), false) = (sent.flatten(), lost) {
                        self.later(delay, Event::Peer { to: 1 - end, from, at, answer });
                    }
                }
            }
        }
        if let Some(at) = self.hosts[end].attempt.poll_timeout(now) {
            self.later(at.since(now).max(Duration::from_micros(1)), Event::Tick(end));
        }
    }
}

const ENDS: [End; 2] = [End::Issuer, End::Acceptor];
