//! Target `server`: equipment with real keys and no manners, and strangers without keys.
//!
//! ```text
//! offset  len  field
//!      0    1  slots in each table, less 1 (modulo 8)
//!      1    1  bits: 0 = always wake, 1 = no clock, 2 = cookies from the second handshake on
//!      2    1  keepalive interval in 5 s (1..)
//!      3    1  TCP connections for each address (1..8)
//!      4    1  bits: 0 a second port, and acts with bit 7 set are about punching; 1 a second
//!              address, too
//!      5    3  unused
//!      8       records of 12 bytes, see `Act`
//! ```
//!
//! Equipment speaks from two addresses of its own each; strangers from others, or in its name. What
//! was ever sent is kept, so that it can be sent again, changed or not, from anywhere.

mod punch;
mod seeds;
mod talk;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use genkan_core::inspect::{self, Body, LoggedRoot};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Role, ToEquipment};
use genkan_core::{
    Delivery, EquipmentId, Machine, Rate, Received, ServerEvent, SocketId, StreamState, Wakeup,
};
use genkan_tests::device::register;
use genkan_tests::evil::{Desk, Evil, hmac, sa, siphash};

use crate::record::{Record, mar, split};
use crate::speech;
use crate::trial::{ACTS, Act, garbage};
use crate::watch::{Out, Watch, nothing_lost, story};
pub(crate) use seeds::seeds;

/// How many hold keys; the first half as acceptors by habit.
pub(crate) const EQUIPMENT: usize = 4;

/// What nobody without a key may change.
#[derive(PartialEq, Debug)]
struct Seen {
    places: [Option<SocketAddr>; EQUIPMENT],
    registered: u32,
    clients: u32,
    wakeup: Option<Wakeup>,
    /// All that the server shows of itself to tests.
    inside: Vec<u64>,
}

/// One who holds a key.
pub(crate) struct Member {
    pub(crate) evil: Evil,
    /// Where it has spoken from.
    spoke: BTreeSet<SocketAddr>,
    /// It waits for a Response: on a stream, or (`None`) over datagrams.
    waits: Option<Option<genkan_core::StreamId>>,
    /// Its session is on this stream.
    stream: Option<genkan_core::StreamId>,
    /// The cookie of the last challenge.
    cookie: Option<[u8; 6]>,
    /// Of the session that stands, and of the one that is being made.
    role: Role,
    next_role: Role,
    /// The most sockets that it has announced.
    sockets: u8,
    burst: Option<punch::Told>,
    /// Ports that it has named as leased, and addresses at which it has said what a probe carried.
    named: BTreeSet<u16>,
    proven: BTreeSet<SocketAddr>,
}

/// A message that was made by somebody who holds a key.
struct Sent {
    bytes: Vec<u8>,
    /// The server has taken it.
    taken: bool,
}

struct Siege {
    desk: Desk,
    watch: Watch,
    members: Vec<Member>,
    sent: Vec<Sent>,
    /// The server's numbers for requests, as they were heard.
    requests: Vec<u32>,
    asked: Vec<punch::Asked>,
    /// Who was let in, and by whom.
    accepted: BTreeSet<(EquipmentId, EquipmentId)>,
    /// What probes have carried, and where to.
    probes: Vec<(SocketAddr, [u8; 6])>,
    head: Record<8>,
    boots: u64,
}

fn desk(head: &Record<8>, boots: u64) -> Desk {
    Desk::seeded(boots, 1 + head.below(0, 8), |config| {
        config.delivery = if head.flag(1, 0) { Delivery::Stream } else { Delivery::Auto };
        config.wall_clock = if head.flag(1, 1) { 0 } else { config.wall_clock };
        if head.flag(1, 2) {
            config.handshakes = Rate::new(1, 10_000);
        }
        if head.flag(4, 0) {
            config.other_port = Some(4_601);
            config.other_address = head.flag(4, 1).then(|| sa("203.0.113.2:4600"));
        }
        config.interval = 5 * (1 + u16::from(head.byte(2)));
        config.streams_per_address = 1 + head.below(3, 8);
    })
}

/// Where member `who` is, in one of two places.
fn home(who: usize, place: u8) -> SocketAddr {
    let host = 10 + u8::try_from(who).unwrap_or(0);
    SocketAddr::from(([198, 51, 100, host], 5_000 + u16::from(place & 1)))
}

/// An address to send from in anybody's name: the first two are nobody's.
fn anywhere(byte: u8) -> (SocketAddr, bool) {
    match byte % 8 {
        0 => (sa("192.0.2.66:6666"), true),
        1 => (sa("[2001:db8::66]:6666"), true),
        2 => (sa("[::ffff:198.51.100.10]:5000"), false),
        other => (home(usize::from(other) % EQUIPMENT, byte >> 3), false),
    }
}

/// Runs one input.
pub fn server(data: &[u8]) {
    let (head, acts) = split::<8, 12>(data, ACTS);
    let desk = desk(&head, 1);
    let watch = Watch::new(desk.now, true);
    let member = |number: usize| Member {
        evil: Evil::new(2 + u8::try_from(number).unwrap_or(0), desk.key.public()),
        spoke: BTreeSet::new(),
        waits: None,
        stream: None,
        cookie: None,
        role: Role::Issuer,
        next_role: Role::Issuer,
        sockets: 0,
        burst: None,
        named: BTreeSet::new(),
        proven: BTreeSet::new(),
    };
    let members = (0..EQUIPMENT).map(member).collect();
    let (sent, requests, asked, accepted, probes) = Default::default();
    let boots = 1;
    let mut siege =
        Siege { desk, watch, members, sent, requests, asked, accepted, probes, head, boots };
    for act in acts {
        siege.act(&act);
        siege.check();
    }
    siege.rest();
}

impl Siege {
    fn act(&mut self, act: &Act) {
        story(|| format!("{act:?}"));
        let who = act.below(1, EQUIPMENT);
        if self.head.flag(4, 0) && act.flag(0, 7) {
            return self.punching(who, act);
        }
        match act.byte(0) % 16 {
            0 | 1 => self.hello(who, act),
            2..=5 => self.say(who, act),
            6 => self.keepalive(who, act),
            7 | 8 => self.again(act),
            9 => self.nonsense(act),
            10 => self.pass(act.time(2), act.flag(3, 0)),
            11 => self.accept(act),
            12 => self.pour(act),
            13 => self.close(act),
            14 => self.resume(who, act),
            _ => self.reboot(act),
        }
    }

    fn seen(&self) -> Seen {
        let server = &self.desk.server;
        let mut inside = Vec::new();
        inspect::Inspect::inspect(server, &mut |word| inside.push(word));
        let place = |number: usize| server.location(&self.members.get(number)?.evil.id());
        Seen {
            places: core::array::from_fn(place),
            registered: server.registered(),
            clients: server.clients(),
            wakeup: server.poll_timeout(),
            inside,
        }
    }

    /// What holds at any time.
    fn check(&self) {
        let slots = 1 + self.head.below(0, 8);
        let server = &self.desk.server;
        let clients = server.clients() as usize;
        assert!(clients <= slots, "{clients} clients in {slots} slots");
        assert!(server.registered() <= server.clients());
        assert!(self.watch.streams.len() <= slots, "more streams than slots");
        let places = self.members.iter().filter_map(|member| {
            let place = server.location(&member.evil.id())?;
            Some((place, member.spoke.contains(&place)))
        });
        let mut listed = 0;
        for (place, own) in places {
            assert!(own, "{place} is on the list, where its equipment never was");
            listed += 1;
        }
        assert!(listed <= server.registered(), "{listed} are listed");
        nothing_lost(server.counters());
    }

    /// Gives a datagram to the server. `member` has just made it; otherwise it is anybody's.
    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> (bool, Out<ServerEvent>) {
        self.datagram_on(SocketId::MAIN, from, bytes)
    }

    fn datagram_on(
        &mut self,
        end: SocketId,
        from: SocketAddr,
        bytes: &[u8],
    ) -> (bool, Out<ServerEvent>) {
        let mut message = bytes.to_vec();
        let server = &mut self.desk.server;
        let received = server.handle_datagram(self.watch.now, end, from, &mut message);
        assert!(!matches!(received, Received::Payload { .. }), "a server has no payload");
        let taken = received == Received::Control;
        let out = self.watch.drain(&mut self.desk.server);
        self.hear(&out);
        (taken, out)
    }

    /// Somebody without a key sends what was sent before, changed or not.
    fn again(&mut self, act: &Act) {
        let count = self.sent.len();
        let Some(old) = count.checked_sub(1 + act.below(2, count.max(1))) else { return };
        let Sent { mut bytes, taken } =
            Sent { bytes: self.sent[old].bytes.clone(), taken: self.sent[old].taken };
        let whole = bytes.len();
        let changed = mar(&mut bytes, act.byte(3), act.word(4), act.byte(6));
        let (from, stranger) = anywhere(act.byte(7));
        let kind = Kind::of(&bytes);
        // The second MAC of an Initiation proves an address, not the message.
        let mac2_only = kind == Ok(Kind::Initiation)
            && bytes.len() == whole
            && bytes[..whole - 16] == self.sent[old].bytes[..whole - 16];
        if changed && !mac2_only {
            return self.unauthentic(from, &bytes);
        }
        let before = self.seen();
        let (now_taken, out) = self.datagram(from, &bytes);
        if taken && kind != Ok(Kind::Initiation) && kind != Ok(Kind::Resume) {
            assert!(!now_taken, "{kind:?} was taken twice");
            assert_eq!(self.seen(), before, "a repeated {kind:?} has changed something");
        }
        // A challenge reaches the device however it travels here: its first echo, caught on the way,
        // is right wherever it comes from. Who passes both on is where the device is.
        let relayed = kind == Ok(Kind::Echo) && !taken;
        if stranger && !relayed {
            bounded(from, &bytes, &out);
            assert_eq!(self.seen().places, before.places, "{kind:?} has moved somebody");
        }
        self.sent[old].taken |= now_taken;
    }

    /// Bytes that nobody with a key has made: they change nothing, and bring back no more than they
    /// are.
    fn unauthentic(&mut self, from: SocketAddr, bytes: &[u8]) {
        let before = self.seen();
        let (taken, out) = self.datagram(from, bytes);
        let kind = Kind::of(bytes);
        assert_eq!(self.seen(), before, "{kind:?} of a stranger has changed something");
        assert!(!taken || kind == Ok(Kind::CertificateRequest), "{kind:?} of a stranger was taken");
        assert!(out.events.is_empty() && out.commands.is_empty() && out.frames.is_empty());
        bounded(from, bytes, &out);
        if kind.is_ok_and(Kind::is_downward) {
            assert!(out.is_silent(), "{kind:?} was answered");
        }
    }

    fn nonsense(&mut self, act: &Act) {
        let bytes = garbage(act, &[1, 6, 28, 30, 34, 38, 50, 98, 166, 210, 260, 1_232]);
        self.unauthentic(anywhere(act.byte(3) >> 1).0, &bytes);
    }

    fn pass(&mut self, time: Duration, late: bool) {
        let mut outs = Vec::new();
        self.watch.pass(&mut self.desk.server, time, late, |_, _, out| outs.push(out));
        outs.iter().for_each(|out| self.hear(out));
    }

    fn accept(&mut self, act: &Act) {
        let from = if act.flag(2, 0) { anywhere(act.byte(3)).0 } else { home(act.below(1, 4), 0) };
        let now = self.watch.now;
        if let Some(stream) = self.desk.server.handle_accept(now, SocketId::LISTENER, from) {
            self.watch.accepted(stream, genkan_core::canonical(from));
        }
        let out = self.watch.drain(&mut self.desk.server);
        assert!(out.is_silent(), "a connection alone brings {out:?}");
    }

    /// Bytes on a stream that are no member's word.
    fn pour(&mut self, act: &Act) {
        let Some(stream) = self.watch.stream(act.below(2, 8)) else { return };
        let mut bytes = match self.sent.len() {
            count if count > 0 && act.flag(1, 0) => {
                self.sent[count - 1 - act.below(3, count)].bytes.clone()
            }
            _ => act.tail(4).to_vec(),
        };
        mar(&mut bytes, act.byte(8), act.word(9), act.byte(11));
        let bytes = if act.flag(1, 1) { bytes } else { framed(&bytes) };
        self.on_stream(stream, &bytes);
    }

    fn close(&mut self, act: &Act) {
        let Some(mut stream) = self.watch.stream(act.below(2, 8)) else { return };
        if act.flag(3, 0) {
            // One that was never there, or is not there any more.
            stream.generation = stream.generation.wrapping_sub(1 + u16::from(act.byte(4)));
            self.desk.server.handle_stream_state(self.watch.now, stream, StreamState::Closed);
        } else {
            let state = if act.flag(3, 1) { StreamState::Connected } else { StreamState::Closed };
            self.watch.state(&mut self.desk.server, stream, state);
        }
        self.watch.drain(&mut self.desk.server);
    }

    fn reboot(&mut self, act: &Act) {
        if act.flag(2, 0) {
            for _ in 0..100 {
                let more = self.desk.server.dismiss(self.watch.now);
                let out = self.watch.drain(&mut self.desk.server);
                self.hear(&out);
                if !more {
                    break;
                }
            }
        }
        if act.flag(2, 1) {
            self.boots += 1;
            self.desk = desk(&self.head, self.boots);
            self.watch = Watch::new(self.desk.now, true);
            self.sent.iter_mut().for_each(|sent| sent.taken = false);
            self.members.iter_mut().for_each(|member| {
                (member.stream, member.burst) = (None, None);
            });
        }
    }

    /// Nobody says anything any more: nothing is left over, and there is room for the next.
    fn rest(&mut self) {
        let interval = 5 * (1 + u64::from(self.head.byte(2)));
        self.pass(Duration::from_secs(3 * interval + 600), false);
        let server = &self.desk.server;
        assert_eq!((server.clients(), server.registered()), (0, 0), "somebody is left over");
        assert_eq!(server.poll_timeout(), None, "a deadline for nothing");
        assert!(self.watch.streams.is_empty(), "streams are left over");
        self.desk.now = self.watch.now;
        if !self.head.flag(1, 2) {
            let honest = genkan_tests::device::device(&mut self.desk, 40, sa("198.51.100.40:4600"));
            assert_eq!(self.desk.server.registered(), 1, "{}", honest.id());
        }
    }
}

/// Nobody gets more than he has given (threat T9).
fn bounded(from: SocketAddr, bytes: &[u8], out: &Out<ServerEvent>) {
    let from = genkan_core::canonical(from);
    let back: Vec<usize> = out.datagrams.iter().map(|(_, bytes, _)| bytes.len()).collect();
    let own = out.datagrams.iter().filter(|(to, ..)| *to == from);
    let total: usize = own.map(|(_, bytes, _)| bytes.len()).sum();
    assert!(total <= bytes.len(), "{} bytes brought {back:?}", bytes.len());
    assert!(back.len() <= 3, "one datagram brought {back:?}");
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes()[..], bytes].concat()
}
