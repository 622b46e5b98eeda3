//! Two ends and a bad link between them, in virtual time.
//!
//! Every fault is drawn from a seeded generator, so a failing run repeats exactly. The lab also
//! holds the stacks to their contract: a drain ends, and after a drain the next wake-up lies in the
//! future.

use std::collections::BTreeMap;

use genkan_stream::{Config, INNER_MTU, Place, Received, Role, Slot, StreamHandle, StreamStack};

pub(crate) type Stack = StreamStack<'static, Vec<Slot<'static>>>;

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const PORT: u16 = 80;

/// xorshift64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }
}

/// What the link does, in permille of the packets and in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) delay: u64,
    pub(crate) jitter: u64,
    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
    pub(crate) dead: bool,
}

impl Link {
    pub(crate) const CLEAN: Self =
        Self { delay: 20 * MS, jitter: 0, loss: 0, duplicates: 0, dead: false };
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Issuer,
    Acceptor,
}

pub(crate) struct Lab {
    pub(crate) now: u64,
    pub(crate) issuer: Stack,
    pub(crate) acceptor: Stack,
    pub(crate) link: Link,
    pub(crate) dice: Dice,
    /// Every packet that left, for tests that damage real ones.
    pub(crate) last_packet: Vec<u8>,
    pub(crate) steps: u64,
    flying: BTreeMap<(u64, u64), (Side, Vec<u8>)>,
    launched: u64,
}

pub(crate) fn stack(role: Role, slots: usize, buffer: usize, config: Config) -> Stack {
    let slot = |_| {
        let place = Box::leak(Box::new(Place::EMPTY));
        Slot::new(place, vec![0; buffer].leak(), vec![0; buffer].leak()).unwrap()
    };
    let slots = (0..slots).map(slot).collect();
    StreamStack::new(role, slots, config, 0x5eed ^ role.address().to_bits() as u64, 0)
}

impl Lab {
    pub(crate) fn new(slots: usize, buffer: usize, link: Link) -> Self {
        Self::with(slots, buffer, link, Config::default())
    }

    pub(crate) fn with(slots: usize, buffer: usize, link: Link, config: Config) -> Self {
        Self {
            now: 0,
            issuer: stack(Role::Issuer, slots, buffer, config),
            acceptor: stack(Role::Acceptor, slots, buffer, config),
            link,
            dice: Dice(0x9e37_79b9_7f4a_7c15),
            last_packet: Vec::new(),
            steps: 0,
            flying: BTreeMap::new(),
            launched: 0,
        }
    }

    pub(crate) fn end(&mut self, side: Side) -> &mut Stack {
        match side {
            Side::Issuer => &mut self.issuer,
            Side::Acceptor => &mut self.acceptor,
        }
    }

    fn launch(&mut self, to: Side, packet: &[u8]) {
        let at = self.now + self.link.delay + self.dice.below(self.link.jitter);
        self.launched += 1;
        self.flying.insert((at, self.launched), (to, packet.to_vec()));
    }

    fn drain(&mut self, from: Side) {
        let to = if from == Side::Issuer { Side::Acceptor } else { Side::Issuer };
        let mut packet = [0; INNER_MTU];
        let now = self.now;
        for burst in 0.. {
            assert!(burst < 10_000, "a drain does not end");
            let Some(len) = self.end(from).poll_packet(now, &mut packet) else {
                break;
            };
            self.last_packet = packet[..len].to_vec();
            if self.link.dead || self.dice.below(1000) < self.link.loss {
                continue;
            }
            self.launch(to, &packet[..len]);
            if self.dice.below(1000) < self.link.duplicates {
                self.launch(to, &packet[..len]);
            }
        }
        if let Some(due) = self.end(from).poll_timeout(now) {
            assert!(due > now, "a drained stack wants to be polled at once");
        }
    }

    pub(crate) fn drain_both(&mut self) {
        self.drain(Side::Issuer);
        self.drain(Side::Acceptor);
    }

    /// Drains both ends and moves to the next event; false when nothing will ever happen.
    pub(crate) fn step(&mut self, limit: u64) -> bool {
        self.steps += 1;
        self.drain_both();
        let now = self.now;
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        let timers = [self.issuer.poll_timeout(now), self.acceptor.poll_timeout(now)];
        let Some(next) = timers.into_iter().chain([arrival]).flatten().min() else {
            self.now = limit;
            return false;
        };
        if next > limit {
            self.now = limit;
            return false;
        }
        self.now = next;
        while let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= self.now
        {
            let (to, packet) = entry.remove();
            let now = self.now;
            assert_eq!(self.end(to).handle_packet(now, &packet), Received::Accepted);
        }
        self.drain_both();
        true
    }

    /// Runs until `done`, for at most `span` microseconds, and says whether it was reached.
    pub(crate) fn run(&mut self, span: u64, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let limit = self.now + span;
        loop {
            if done(self) {
                self.drain_both();
                return true;
            }
            if !self.step(limit) {
                return done(self);
            }
        }
    }

    pub(crate) fn idle(&mut self, span: u64) {
        self.run(span, |_| false);
    }

    /// Opens one stream from the issuer to the acceptor.
    pub(crate) fn open(&mut self) -> (StreamHandle, StreamHandle) {
        self.acceptor.listen(PORT).unwrap();
        let near = self.issuer.connect(self.now, PORT).unwrap();
        let mut far = None;
        assert!(self.run(200 * SECOND, |lab| {
            far = far.or_else(|| lab.acceptor.accept());
            far.is_some() && lab.issuer.may_send(near)
        }));
        (near, far.unwrap())
    }
}

/// Bytes whose every position is recognisable.
pub(crate) fn pattern(len: usize, salt: u64) -> Vec<u8> {
    let mut dice = Dice(salt | 1);
    (0..len).map(|_| dice.roll() as u8).collect()
}

/// One direction of a transfer.
pub(crate) struct Flow {
    pub(crate) from: Side,
    pub(crate) source: StreamHandle,
    pub(crate) sink: StreamHandle,
    pub(crate) data: Vec<u8>,
    pub(crate) sent: usize,
    pub(crate) got: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) reading: bool,
}

impl Flow {
    pub(crate) fn new(from: Side, source: StreamHandle, sink: StreamHandle, data: Vec<u8>) -> Self {
        Self { from, source, sink, data, sent: 0, got: Vec::new(), ended: false, reading: true }
    }

    /// Sends and receives what is possible now; true when the sink has read the end.
    pub(crate) fn pump(&mut self, lab: &mut Lab) -> bool {
        let to = if self.from == Side::Issuer { Side::Acceptor } else { Side::Issuer };
        let source = lab.end(self.from);
        if self.sent < self.data.len() {
            self.sent += source.send(self.source, &self.data[self.sent..]).unwrap();
            if self.sent == self.data.len() {
                source.finish(self.source).unwrap();
            }
        }
        let mut room = [0; 3000];
        while self.reading && !self.ended {
            match lab.end(to).recv(self.sink, &mut room) {
                Ok(0) => break,
                Ok(len) => self.got.extend_from_slice(&room[..len]),
                Err(genkan_stream::StreamError::Finished) => self.ended = true,
                Err(error) => panic!("{error} after {} bytes at {}", self.got.len(), lab.now),
            }
        }
        self.ended
    }

    pub(crate) fn check(&self) {
        assert!(self.got == self.data, "{} of {} bytes arrived", self.got.len(), self.data.len());
    }
}

/// Both directions of the stream between `near` (issuer) and `far` (acceptor).
pub(crate) fn both_ways(near: StreamHandle, far: StreamHandle, len: usize) -> [Flow; 2] {
    [
        Flow::new(Side::Issuer, near, far, pattern(len, 11)),
        Flow::new(Side::Acceptor, far, near, pattern(len, 23)),
    ]
}

/// Pumps all flows until all have ended, and checks their bytes; the time that it took.
pub(crate) fn transfer(lab: &mut Lab, flows: &mut [Flow], span: u64) -> u64 {
    let start = lab.now;
    let done = lab.run(span, |lab| {
        let left = flows.iter_mut().filter_map(|flow| (!flow.pump(lab)).then_some(())).count();
        left == 0
    });
    for flow in flows.iter() {
        flow.check();
    }
    assert!(done, "the transfer did not end in {} s", span / SECOND);
    lab.now - start
}
