//! Target `punch`: two ends and the server between them try to meet, while packets are lost, late,
//! repeated and forged, and while both ends lie.
//!
//! The bytes are a header and up to [`MOST_ACTS`] records.
//!
//! ```text
//! header, for the issuer from 1 on and for the acceptor from 25 on
//!      0    1  bits: 0, 1 = the issuer, the acceptor has IPv6
//!     +0   12  profile (`NatProfile::from_bytes`)
//!    +12    2  observed port
//!    +14    1  age of the profile
//!    +15    1  sockets that the server counts on
//!    +16    2  guesses that it counts on
//!    +18    2  the end's own budget of packets, up to 1,100
//!    +20    1  its own budget of sockets
//!
//! record
//!      0    1  low half: the act; bit 7: whose
//!      1    1  time that passes before it, see [`pause`]
//!      2    1  a round, a number of sockets, a socket
//!      3    1  a kind; bits 4.. flags; of a burst that is made up: bits 6, 7 its hop limit
//!      4    2  a port
//!      6    2  a port
//!      8    2  a port, a number
//!     10    1  a differential
//!     11    1  bubbles, a share
//! ```
//!
//! Asserted after every act: an end does no more than its budget, its pace and the last burst allow,
//! guesses nothing once it has heard its peer, and asks to be called exactly when it has something to
//! do; a burst of the coordinator's stays within what was observed. In the end everything comes to
//! rest. Along the way records are taken for sightings and ranges too (`predict`).

mod end;
mod predict;
mod seeds;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;

use genkan_core::nat::{
    Allocation, Differential, Forecast, NatProfile, PortRange, ServerEnd, Sighting,
};
use genkan_core::punch::{
    Bracket, Burst, Coordinator, Detector, End, Limits, Method, Moment, Party, ROUNDS, plan,
};
use genkan_core::{Endpoint, Instant};

use crate::record::{Record, split};
use crate::watch::story;
use end::Watched;
pub(crate) use seeds::seeds;

const HEADER: usize = 46;
const RECORD: usize = 12;
const MOST_ACTS: usize = 48;
/// Ports of one range that are tried at most (threat T14).
const WIDEST: u16 = 128;

const ENDS: [End; 2] = [End::Issuer, End::Acceptor];
const MOMENTS: [Moment; 3] = [Moment::Announce, Moment::Before, Moment::After];

type Act = Record<RECORD>;

/// Up to 63 µs, 63 ms, 1.3 s or 13 s.
fn pause(record: &Act) -> Duration {
    let scale = [1, 1_000, 20_000, 200_000];
    let byte = record.byte(1);
    Duration::from_micros(u64::from(byte >> 2) * scale[usize::from(byte & 3)])
}

fn party(header: &Record<HEADER>, number: u8) -> Party {
    let at = if number == 0 { 1 } else { 25 };
    let bytes = *header.tail(at).first_chunk::<12>().expect("twelve bytes");
    let ip = if header.flag(0, number) {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)])
    } else {
        IpAddr::from([192, 0, 2, number])
    };
    Party {
        observed: Endpoint::from((ip, header.word(at + 12))),
        profile: NatProfile::from_bytes(&bytes),
        age: Duration::from_secs(header.byte(at + 14).into()),
        limits: Limits { sockets: header.byte(at + 15), guesses: header.word(at + 16) },
        detector: if header.flag(0, 2 + number) { Detector::Equipment } else { Detector::Server },
    }
}

/// Exchanging the ends exchanges the roles and costs the same.
fn symmetric(parties: &[Party; 2]) {
    match (plan(&parties[0], &parties[1]), plan(&parties[1], &parties[0])) {
        (Ok(here), Ok(there)) => {
            assert_eq!((here.method, here.expected), (there.method, there.expected));
        }
        (here, there) => assert_eq!(here, there),
    }
}

/// What was told of an end's NAT in this try: the port before and the port after.
#[derive(Clone, Copy, Default)]
struct Told {
    before: Option<u16>,
    after: Option<u16>,
}

struct Meeting {
    now: Instant,
    parties: [Party; 2],
    coordinator: Coordinator,
    ends: [Watched; 2],
    /// Bursts and detection packets on their way.
    bursts: [VecDeque<Burst>; 2],
    seen: [VecDeque<(u8, Moment, u16)>; 2],
    round: u8,
    told: [Told; 2],
    given: usize,
}

/// Runs one input.
pub fn punch(data: &[u8]) {
    let (header, acts) = split::<HEADER, RECORD>(data, MOST_ACTS);
    let acts: Vec<Act> = acts.collect();
    predict::predict(&acts);
    let parties = [party(&header, 0), party(&header, 1)];
    symmetric(&parties);
    let now = Instant::from_millis(u64::from(header.byte(0)));
    let Ok(coordinator) = Coordinator::new(now, parties[0], parties[1]) else { return };
    let end = |at: usize| Watched::new(header.word(at + 18) % 1_101, header.byte(at + 20));
    let mut meeting = Meeting {
        now,
        parties,
        coordinator,
        ends: [end(1), end(25)],
        bursts: Default::default(),
        seen: Default::default(),
        round: 0,
        told: Default::default(),
        given: 0,
    };
    meeting.ask();
    for act in &acts {
        meeting.wait(pause(act));
        meeting.act(act);
        meeting.settle();
    }
    meeting.rest();
}

impl Meeting {
    fn act(&mut self, act: &Act) {
        let who = usize::from(act.flag(0, 7));
        let end = ENDS[who];
        story(|| format!("{:?} {end:?} {act:x?}", self.now));
        match act.byte(0) & 15 {
            0 => {}
            1 => {
                if let Some(burst) = self.bursts[who].pop_front() {
                    self.ends[who].instruct(burst);
                }
            }
            2 => _ = self.bursts[who].pop_front(),
            // The newest overtakes the others, and comes once more later.
            3 => {
                if let Some(burst) = self.bursts[who].back().copied() {
                    self.ends[who].instruct(burst);
                }
            }
            4 => {
                if let Some((round, moment, local)) = self.seen[who].pop_front() {
                    self.detect(who, round, moment, local, act.word(4));
                }
            }
            5 => _ = self.seen[who].pop_front(),
            6 => {
                let moment = MOMENTS[act.below(3, 3)];
                self.detect(who, act.byte(2) % 6, moment, act.word(6), act.word(4));
            }
            // From somewhere else.
            7 => {
                let observed = SocketAddr::from(([198, 51, 100, 7], act.word(4)));
                let seen = Sighting {
                    socket: 1,
                    local: 9,
                    server: ServerEnd::Main,
                    observed: observed.into(),
                };
                let moment = MOMENTS[act.below(3, 3)];
                let round = act.byte(2) % 6;
                self.coordinator.handle_detection(self.now, end, round, moment, &seen);
            }
            8 | 9 => self.ends[who].opened(act.word(4)),
            10 => self.ends[who].heard(self.now, act.byte(2), act.word(4), act.flag(3, 7)),
            11 => self.coordinator.handle_heard(self.now),
            12 => self.coordinator.handle_range(end, act.byte(2) % 6, range(act)),
            // A hostile server.
            13 | 14 => self.ends[who].instruct(made_up(act)),
            _ => self.coordinator.handle_timeout(self.now),
        }
    }

    fn detect(&mut self, who: usize, round: u8, moment: Moment, local: u16, port: u16) {
        let observed = SocketAddr::new(self.parties[who].observed.ip(), port);
        let seen =
            Sighting { socket: 1, local, server: ServerEnd::Main, observed: observed.into() };
        self.coordinator.handle_detection(self.now, ENDS[who], round, moment, &seen);
        if round == self.round && port != 0 {
            let told = &mut self.told[who];
            match moment {
                Moment::Announce => {}
                Moment::Before => _ = told.before.get_or_insert(port),
                Moment::After => _ = told.after.get_or_insert(port),
            }
        }
    }

    /// Everything that is due now, at all three.
    fn settle(&mut self) {
        self.ask();
        for (end, seen) in self.ends.iter_mut().zip(&mut self.seen) {
            end.drain(self.now, seen);
        }
        if self.coordinator.poll_timeout().is_some_and(|at| at <= self.now) {
            self.coordinator.handle_timeout(self.now);
            let next = self.coordinator.poll_timeout();
            assert!(next.is_none_or(|at| at > self.now), "due again at once");
            self.ask();
        }
    }

    fn ask(&mut self) {
        for (who, end) in ENDS.into_iter().enumerate() {
            while let Some(burst) = self.coordinator.poll_burst(end) {
                if burst.round != self.round {
                    assert!(burst.round > self.round && burst.round < ROUNDS);
                    self.round = burst.round;
                    self.told = Default::default();
                }
                self.given += 1;
                assert!(self.given <= 4 * usize::from(ROUNDS), "bursts without end");
                story(|| format!("to {who}: {burst:?}"));
                self.judge(who, &burst);
                self.bursts[who].push_back(burst);
            }
        }
    }

    /// Whether the end can do it, and whether it goes where the peer was seen (I-11).
    fn judge(&self, who: usize, burst: &Burst) {
        let limits = self.parties[who].limits;
        let sockets = u16::from(burst.sockets) + u16::from(burst.bracket.extra_sockets());
        assert!(sockets <= limits.sockets.into(), "{burst:?} with {limits:?}");
        let plan = self.coordinator.plan();
        let guesses = if plan.method == Method::Birthday { limits.guesses } else { WIDEST };
        assert!(burst.count <= guesses.max(1), "{burst:?} with {limits:?}");
        if plan.method != Method::Bracket || ENDS[who] == plan.bubbler {
            return;
        }
        let Told { before: Some(before), after: Some(after) } = self.told[1 - who] else { return };
        let step = match self.parties[1 - who].profile.allocation {
            Allocation::Sequential(step) => Some(step),
            _ => None,
        };
        let observed = PortRange::detect(before, after, step, 1);
        let own: Vec<u16> = observed.forecast().ports().collect();
        let (low, high) = observed.hull();
        for port in burst.ports.ports().take(burst.count.into()) {
            let within = (low..=high).contains(&port) || own.contains(&port);
            assert!(within, "{port} of {burst:?} where {observed:?}");
        }
    }

    fn next(&self) -> Option<Instant> {
        let ends = self.ends.iter().filter_map(|end| end.due(self.now));
        ends.chain(self.coordinator.poll_timeout()).min()
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(at) = self.next().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    /// Nobody says anything any more: it ends.
    fn rest(mut self) {
        let began = self.now;
        while let Some(at) = self.next() {
            self.now = self.now.max(at);
            self.settle();
            // Four tries with patience and grace, and a budget of 1,100 packets at 5 ms.
            let dues = [0, 1].map(|who: usize| self.ends[who].due(self.now));
            let took = self.now.since(began);
            assert!(took <= Duration::from_secs(30), "{took:?}: {dues:?} {:?}", self.coordinator);
        }
        self.ends.iter().for_each(Watched::judge);
    }
}

/// A range that somebody claims.
pub(crate) fn range(act: &Act) -> PortRange {
    PortRange {
        before: act.word(4),
        after: act.word(6),
        differential: differential(act),
        bubbles: act.byte(11),
    }
}

fn differential(act: &Act) -> Option<Differential> {
    Differential::new(act.byte(10).cast_signed().into())
}

fn forecast(act: &Act) -> Forecast {
    use genkan_core::nat::Count;
    let step = differential(act).unwrap_or(Differential::ONE);
    let (a, b, c) = (act.word(4), act.word(6), act.word(8));
    let poisson = Count::Poisson { mean: u32::from(b) << (act.byte(11) & 15) };
    let split = Count::Split { number: b, part: act.byte(11), rest: act.byte(2) };
    match act.below(3, 8) {
        0 => Forecast::Port(a),
        1 => Forecast::Counter { last: a, differential: step, nth: c, foreign: poisson },
        2 => Forecast::Counter { last: a, differential: step, nth: c, foreign: split },
        3 => Forecast::Run { first: a, differential: step },
        4 => Forecast::Around { before: a, after: b, differential: step },
        5 => Forecast::Between { low: a, high: b },
        _ => Forecast::Among { low: a, high: b, margin: c },
    }
}

/// A burst that no coordinator gives.
pub(crate) fn made_up(act: &Act) -> Burst {
    let brackets = [
        Bracket::None,
        Bracket::Announce,
        Bracket::After,
        Bracket::SameSocket,
        Bracket::FreshSockets,
    ];
    Burst {
        round: act.byte(10),
        sockets: act.byte(2),
        keep: act.flag(3, 4),
        ports: forecast(act),
        count: act.word(8),
        bracket: brackets[act.below(11, 5)],
        once: act.flag(3, 5),
        hops: [0, 2, 4, u8::MAX][usize::from(act.byte(3) >> 6)],
    }
}
