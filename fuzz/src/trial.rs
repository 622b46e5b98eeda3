//! A machine of equipment's whose server is hostile: what the targets `acceptor` and `issuer` share.
//!
//! A [`Stage`] is the machine, its caller, and the server's ends of its two links. A [`Trial`] is a
//! target's whole scenario; its acts all have one shape and, as far as both targets have them, one
//! number.

use core::fmt::Debug;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{Instant, Machine, Received, SocketId, StreamId, StreamState};
use genkan_sim::{EntropyMode, EntropySwitch};
use genkan_tests::evil::sa;

use crate::far::{Far, SERVER, certificate};
use crate::holes::{Holes, Noted};
use crate::record::{Record, mar};
use crate::watch::{Out, Watch};

/// No input holds more acts.
pub(crate) const ACTS: usize = 48;

pub(crate) type Act = Record<12>;

/// The machine among those who speak to it.
pub(crate) struct Stage<M> {
    pub(crate) machine: M,
    pub(crate) switch: EntropySwitch,
    pub(crate) watch: Watch,
    /// The server's end of the link over datagrams.
    pub(crate) far: Far,
    /// The server's end of the link over a stream.
    pub(crate) near: Far,
    /// What the machine has said to its server and was not answered, and on which stream.
    pub(crate) unanswered: Vec<(Option<StreamId>, Vec<u8>)>,
    /// Datagrams that it was sent.
    sent: Vec<Vec<u8>>,
    pub(crate) holes: Holes,
}

impl<M> Stage<M> {
    /// A machine that has just booted.
    pub(crate) fn new(now: Instant, (machine, switch): (M, EntropySwitch), holes: Holes) -> Self {
        let far = Far::new(&certificate());
        let near = far.beside();
        let (unanswered, sent) = Default::default();
        let watch = Watch::new(now, false);
        Self { machine, switch, watch, far, near, unanswered, sent, holes }
    }

    /// Another machine, which has what is in flash, takes the place of this one. What was sent to the
    /// one before is nothing to it, but may be repeated.
    pub(crate) fn reboot(&mut self, (machine, switch): (M, EntropySwitch)) {
        (self.machine, self.switch) = (machine, switch);
        self.watch = Watch::new(self.watch.now, false);
        self.unanswered.clear();
        self.holes.forget();
    }

    /// A datagram that may be repeated.
    pub(crate) fn keep(&mut self, bytes: Vec<u8>) {
        self.sent.push(bytes);
    }

    /// The stream to the server, when the act wants it and it is there.
    fn link(&self, act: &Act) -> Option<StreamId> {
        let mut streams = self.watch.streams.iter();
        let up = streams.find(|(_, pipe)| pipe.up && pipe.remote == sa(SERVER));
        up.map(|(stream, _)| *stream).filter(|_| act.flag(1, 7))
    }

    /// The server's end of a link.
    pub(crate) const fn end(&mut self, stream: Option<StreamId>) -> &mut Far {
        if stream.is_some() { &mut self.near } else { &mut self.far }
    }

    /// The `back`th datagram from the newest.
    fn old(&self, back: &Act) -> Option<Vec<u8>> {
        let count = self.sent.len();
        let old = count.checked_sub(1 + back.below(1, count.max(1)))?;
        self.sent.get(old).cloned()
    }
}

/// A target's scenario.
pub(crate) trait Trial {
    type Machine: Machine<Event: Debug>;
    /// What nobody without a key may change.
    type Seen: PartialEq + Debug;

    fn stage(&mut self) -> &mut Stage<Self::Machine>;
    fn seen(&self) -> Self::Seen;
    /// Looks at all that came out, and keeps what will be needed.
    fn hear(&mut self, out: &Out<<Self::Machine as Machine>::Event>);
    /// The server's word on `message`, as the flag says.
    fn answer(far: &mut Far, message: &[u8], flag: bool) -> Option<Vec<u8>>;
    /// How many bytes at the front of such a message nobody authenticates; `None`: a changed one may
    /// be believed.
    fn open_head(kind: Option<Kind>) -> Option<usize>;
    /// The server's turn while time passes.
    fn served(&mut self);

    /// The acts that mean the same for both targets.
    fn common(&mut self, act: &Act) {
        match act.byte(0) % 16 {
            0 | 1 => self.serve(act.flag(1, 0), act),
            5 => self.short(act),
            8 => self.stream_state(act),
            12 => self.pass(act.time(1), act.flag(2, 0), act.flag(2, 1)),
            14 => self.stage().switch.set(match act.byte(1) % 4 {
                0 | 1 => EntropyMode::Seeded,
                2 => EntropyMode::Constant(act.byte(2)),
                _ => EntropyMode::Failing,
            }),
            _ => self.pour(act),
        }
    }

    fn drained(&mut self) -> Out<<Self::Machine as Machine>::Event> {
        let stage = self.stage();
        let out = stage.watch.drain(&mut stage.machine);
        self.hear(&out);
        out
    }

    /// A datagram; whether it was taken, and what came of it.
    fn datagram(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
    ) -> (bool, Out<<Self::Machine as Machine>::Event>) {
        let mut message = bytes.to_vec();
        let Stage { machine, watch, .. } = self.stage();
        let received = machine.handle_datagram(watch.now, SocketId::MAIN, from, &mut message);
        let taken = !matches!(received, Received::Discarded(_));
        (taken, self.drained())
    }

    /// Bytes on a stream.
    fn feed(&mut self, stream: StreamId, bytes: &[u8]) {
        let stage = self.stage();
        let outs = stage.watch.feed(&mut stage.machine, stream, bytes);
        outs.iter().for_each(|out| self.hear(out));
    }

    /// A message on a stream.
    fn frame(&mut self, stream: StreamId, bytes: &[u8]) {
        self.feed(stream, &[&(bytes.len() as u16).to_be_bytes()[..], bytes].concat());
    }

    /// The server's message, over the link `stream`; where the act says so, after a changed copy.
    /// Whether it was taken, of a datagram.
    fn deliver(&mut self, stream: Option<StreamId>, bytes: &[u8], act: &Act) -> bool {
        if let Some(stream) = stream {
            self.frame(stream, bytes);
            return false;
        }
        let mut copy = bytes.to_vec();
        if act.flag(11, 0) && mar(&mut copy, act.byte(11) >> 1, act.word(9), act.byte(10)) {
            self.unauthentic(sa(SERVER), &copy, bytes);
        }
        let (taken, _) = self.datagram(sa(SERVER), bytes);
        self.stage().keep(bytes.to_vec());
        taken
    }

    /// The server answers what it was asked.
    fn serve(&mut self, flag: bool, act: &Act) {
        for (stream, message) in core::mem::take(&mut self.stage().unanswered) {
            if let Some(answer) = Self::answer(self.stage().end(stream), &message, flag) {
                self.deliver(stream, &answer, act);
            }
        }
    }

    /// The server says something in its session. What it says of holes counts over datagrams alone:
    /// that is noted, and what must not be taken of it is not.
    fn server_says(&mut self, body: &[u8], act: &Act) {
        let stage = self.stage();
        let (now, stream) = (stage.watch.now, stage.link(act));
        let noted = stream.is_none().then(|| stage.holes.said(now, body));
        let bytes = stage.end(stream).says(body);
        let taken = self.deliver(stream, &bytes, act);
        match noted {
            Some(Noted::Forbidden) => assert!(!taken, "forbidden, and taken: {body:02x?}"),
            Some(Noted::Begun) if !taken => self.stage().holes.refused(),
            _ => {}
        }
    }

    /// The server says one of the short things: keepalives' answers, challenges, hints, cookies.
    fn short(&mut self, act: &Act) {
        let stage = self.stage();
        let stream = stage.link(act);
        let last = stage.unanswered.last().map(|(_, message)| message.clone()).unwrap_or_default();
        let far = stage.end(stream);
        let (status, counter) = (act.byte(7) & 3, u64::from(act.long(3)));
        let bytes = match act.byte(2) % 4 {
            0 => Some(far.short(Kind::KeepaliveAnswer, status, counter)),
            1 => Some(far.short(Kind::Challenge, status, counter << 16)),
            2 => Far::hint(&last),
            _ => far.cookie(&last),
        };
        if let Some(bytes) = bytes {
            self.deliver(stream, &bytes, act);
        }
    }

    /// A datagram once more, changed or from elsewhere. Unchanged it changes nothing and is not
    /// answered, when `once` says so of whether it was taken and of its kind.
    fn again(&mut self, act: &Act, from: SocketAddr, once: impl Fn(bool, Option<Kind>) -> bool) {
        let Some(like) = self.stage().old(act) else { return };
        let mut bytes = like.clone();
        if mar(&mut bytes, act.byte(2), act.word(3), act.byte(5)) {
            return self.unauthentic(from, &bytes, &like);
        }
        let before = self.seen();
        let (taken, out) = self.datagram(from, &bytes);
        let kind = Kind::of(&bytes).ok();
        // A probe comes from any of the server's ends; what is said of it is the tag's.
        let probe = kind == Some(Kind::FilterProbe);
        assert!(from == sa(SERVER) || probe || !taken, "{kind:?} from nowhere was taken");
        if once(taken, kind) {
            assert!(!taken && out.is_silent(), "{kind:?} was taken twice: {out:?}");
            assert_eq!(self.seen(), before, "a repeated {kind:?} has changed something");
        }
    }

    /// A message that no key was used for. `like` is what it was made from.
    fn unauthentic(&mut self, from: SocketAddr, bytes: &[u8], like: &[u8]) {
        let Some(head) = Self::open_head(Kind::of(like).ok()) else { return };
        if bytes.len() == like.len() && bytes[head..] == like[head..] && bytes[0] == like[0] {
            return;
        }
        let before = self.seen();
        let (taken, out) = self.datagram(from, bytes);
        let kind = Kind::of(bytes);
        assert!(!taken, "{kind:?} without a key was taken");
        assert!(out.is_silent(), "{kind:?} without a key brings {out:?}");
        assert_eq!(self.seen(), before, "{kind:?} without a key has changed something");
    }

    /// The network says something about a stream, or about one that is no more.
    fn stream_state(&mut self, act: &Act) {
        let stage = self.stage();
        let Some(mut stream) = stage.watch.stream(act.below(1, 4)) else { return };
        let state = if act.flag(2, 0) { StreamState::Closed } else { StreamState::Connected };
        if act.flag(2, 1) {
            stream.generation = stream.generation.wrapping_sub(1);
            stage.machine.handle_stream_state(stage.watch.now, stream, state);
        } else {
            stage.watch.state(&mut stage.machine, stream, state);
        }
        self.drained();
    }

    fn pass(&mut self, time: Duration, late: bool, served: bool) {
        let end = self.stage().watch.now.after(time);
        loop {
            let Stage { machine, watch, .. } = self.stage();
            let next = machine.poll_timeout().map(|wakeup| wakeup.at).filter(|at| *at <= end);
            let step = next.map_or(end, |at| if late { end } else { at }).since(watch.now);
            let mut outs = Vec::new();
            watch.pass(machine, step, late, |_, _, out| outs.push(out));
            outs.iter().for_each(|out| self.hear(out));
            if served {
                self.served();
            }
            if next.is_none() || (late && self.stage().watch.now >= end) {
                break;
            }
        }
    }

    /// Any bytes on a stream.
    fn pour(&mut self, act: &Act) {
        let stream = self.stage().watch.stream(act.below(1, 4));
        if let Some(stream) = stream {
            self.feed(stream, act.tail(2));
        }
    }
}

/// A datagram that nobody has made, of one of these lengths; mostly it begins as one of each kind does.
pub(crate) fn garbage(act: &Act, lengths: &[usize]) -> Vec<u8> {
    let kind = Kind::ALL[act.below(1, Kind::ALL.len())];
    let mut bytes = vec![act.byte(11); lengths[act.below(2, lengths.len())]];
    bytes.iter_mut().zip(act.tail(4)).for_each(|(to, from)| *to = *from);
    if !act.flag(3, 0) {
        bytes[0] = kind as u8;
    }
    bytes
}

/// Where fuzzing begins: each of `lives` under each head. Four bytes more follow what is told of an
/// act: before every third message goes a changed copy.
pub(crate) fn seeds(heads: &[&[u8]], lives: &[&[[u8; 8]]]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for head in heads {
        for life in lives {
            let mut seed = head.to_vec();
            seed.resize(8, 0);
            for (number, act) in (0..).zip(*life) {
                seed.extend(act);
                seed.extend([0, 20 + number, 3, if number % 3 == 0 { 3 } else { 0 }]);
            }
            seeds.push(seed);
        }
    }
    seeds
}
