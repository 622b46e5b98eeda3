//! Target `acceptor`: an appliance whose server is hostile, with issuers that keep to no rule.
//!
//! ```text
//! offset  len  field
//!      0    1  connection slots, less 1 (modulo 4)
//!      1    1  bits: 0 open, 1 password, 2 two are paired, 3 early key, 4 no TCP, 5 certificate each
//!              time, 6 no clock, 7 no certificate yet
//!      2    1  bits: private and loopback addresses, low ports
//!      3    1  failed password tries, as they were persisted
//!      4    4  unused
//!      8       records of 12 bytes, see `Act`
//! ```

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::wire::message::{
    ConnectNotify, PeerMessage, Plan, Reason, Refused, Registered, ToEquipment, Wake,
};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, AddressPolicy, AdmissionPolicy, Channel,
    Command, ConnectionId, EquipmentId, Identity, Instant, Machine, PasswordRecord, Received,
    Resumption, ServerAddress, SocketId, StreamId, StreamState, canonical,
};
use genkan_sim::{EntropyMode, EntropySwitch, SimEntropy};
use genkan_tests::evil::{Desk, WALL, body, sa};

use crate::caller::{CALLERS, Caller};
use crate::far::{Far, OBSERVED, SERVER, certificate};
use crate::record::{Record, mar, split};
use crate::speech::key;
use crate::watch::{Out, Watch, nothing_lost, story};

const ACTS: usize = 48;
const EARLY_KEY: [u8; 16] = [8; 16];
/// The password information that opens the door.
pub(crate) const PASSWORD: [u8; 32] = [6; 32];

type Act = Record<12>;
/// The machine.
pub(crate) type Lamp = Acceptor<Vec<AcceptorSlot>, SimEntropy>;

/// An appliance with nothing in its memory.
pub(crate) fn lamp(
    now: Instant,
    slots: usize,
    adjust: impl FnOnce(&mut AcceptorConfig),
) -> (Lamp, EntropySwitch) {
    let identity = Identity { key: key(2), boots: 0 };
    let mut config =
        AcceptorConfig::new(identity, ServerAddress::both(sa(SERVER)), Desk::anchors());
    config.spread = Duration::ZERO;
    adjust(&mut config);
    let entropy = SimEntropy::seeded(4 + config.identity.boots);
    let switch = entropy.switch();
    let table = core::iter::repeat_with(|| AcceptorSlot::EMPTY).take(slots).collect();
    (Acceptor::new(now, config, table, entropy), switch)
}

/// What it keeps over a reboot.
#[derive(Default)]
struct Flash {
    boots: u64,
    certificate: Vec<u8>,
    floor: u64,
    resumption: Option<Resumption>,
    failures: u32,
}

/// What nobody without a key may change.
#[derive(PartialEq, Debug)]
struct Seen {
    wakeup: Option<genkan_core::Wakeup>,
    certificate: Vec<u8>,
    floor: u64,
    failures: u32,
    session: Option<Resumption>,
}

/// A request that the server has passed on.
struct Offered {
    address: SocketAddr,
    /// Whoever made it may come in.
    welcome: bool,
}

struct Trial {
    head: Record<8>,
    machine: Lamp,
    switch: EntropySwitch,
    watch: Watch,
    flash: Flash,
    policy: AdmissionPolicy,
    addresses: AddressPolicy,
    /// The server's ends of the two links.
    far: Far,
    near: Far,
    callers: Vec<Caller>,
    offered: Vec<Offered>,
    /// What it has said to its server and was not answered, and on which stream.
    unanswered: Vec<(Option<StreamId>, Vec<u8>)>,
    /// Datagrams that it was sent.
    sent: Vec<Vec<u8>>,
    connections: Vec<ConnectionId>,
    left: bool,
    lost: u32,
}

fn policy(head: &Record<8>) -> AdmissionPolicy {
    let mut policy = AdmissionPolicy {
        open: head.flag(1, 0),
        password: head.flag(1, 1).then(|| PasswordRecord::new([5; 16], &PASSWORD)),
        early_key: head.flag(1, 3).then_some(EARLY_KEY),
        ..AdmissionPolicy::default()
    };
    if head.flag(1, 2) {
        policy.paired.extend((0..2).map(Caller::id_of));
    }
    policy
}

fn boot(head: &Record<8>, now: Instant, flash: &Flash) -> (Lamp, EntropySwitch) {
    let (mut machine, switch) = lamp(now, 1 + head.below(0, 4), |config| {
        config.identity.boots = flash.boots;
        config.admission = policy(head);
        config.admission.failures = flash.failures;
        config.addresses = addresses(head);
        config.stream_fallback = !head.flag(1, 4);
        config.fetch_certificate_each = head.flag(1, 5);
        config.wall_clock = (!head.flag(1, 6)).then_some(WALL);
        config.anchors.floor = config.anchors.floor.max(flash.floor);
    });
    // A certificate that is not accepted is fetched.
    let _ = machine.restore_certificate(&flash.certificate);
    if let Some(resumption) = &flash.resumption {
        machine.restore_session(resumption);
    }
    (machine, switch)
}

fn addresses(head: &Record<8>) -> AddressPolicy {
    AddressPolicy {
        private: head.flag(2, 0),
        loopback: head.flag(2, 1),
        low_ports: head.flag(2, 2),
    }
}

/// Where a caller may claim to be.
fn claimed(byte: u8) -> SocketAddr {
    let places = [
        "198.51.100.20:40000",
        "198.51.100.21:40000",
        "127.0.0.1:40000",
        "192.168.1.1:40000",
        "198.51.100.20:22",
        "[2001:db8::20]:40000",
        "[::ffff:10.0.0.1]:40000",
        "224.0.0.1:40000",
        "0.0.0.0:40000",
        "198.51.100.20:0",
        "[64:ff9b::7f00:1]:40000",
        "[fe80::1]:40000",
    ];
    sa(places[usize::from(byte) % places.len()])
}

/// Runs one input.
pub fn acceptor(data: &[u8]) {
    let (head, acts) = split::<8, 12>(data, ACTS);
    let now = Instant::from_millis(5_000_000);
    let mut flash = Flash { failures: u32::from(head.byte(3)), ..Flash::default() };
    if !head.flag(1, 7) {
        flash.certificate = certificate();
    }
    let (machine, switch) = boot(&head, now, &flash);
    let far = Far::new(&certificate());
    let near = far.beside();
    let (offered, unanswered, sent, connections) = Default::default();
    let mut trial = Trial {
        machine,
        switch,
        flash,
        far,
        near,
        offered,
        unanswered,
        sent,
        connections,
        watch: Watch::new(now, false),
        policy: policy(&head),
        addresses: addresses(&head),
        callers: (0..CALLERS).map(Caller::new).collect(),
        left: false,
        lost: 0,
        head,
    };
    trial.pass(Duration::ZERO, false, false);
    for act in acts {
        trial.act(&act);
        nothing_lost(trial.machine.counters());
    }
    trial.rest();
}

impl Trial {
    fn act(&mut self, act: &Act) {
        story(|| format!("{act:?}"));
        match act.byte(0) % 16 {
            0 | 1 => self.serve(act.flag(1, 0), act),
            2 | 3 => self.notify(act),
            4 => self.say(act),
            5 => self.short(act),
            6 => self.again(act),
            7 => self.garbage(act),
            8 => self.stream_state(act),
            9 | 10 => self.call(act),
            11 => self.application(act),
            12 => self.pass(act.time(1), act.flag(2, 0), act.flag(2, 1)),
            13 => self.reboot(),
            14 => self.switch.set(match act.byte(1) % 4 {
                0 | 1 => EntropyMode::Seeded,
                2 => EntropyMode::Constant(act.byte(2)),
                _ => EntropyMode::Failing,
            }),
            _ => self.pour(act),
        }
    }

    fn seen(&self) -> Seen {
        let machine = &self.machine;
        Seen {
            wakeup: machine.poll_timeout(),
            certificate: machine.certificate().to_vec(),
            floor: machine.floor(),
            failures: machine.failures(),
            session: machine.resumption(),
        }
    }

    /// Looks at all that came out, and keeps what will be needed.
    fn hear(&mut self, out: &Out<AcceptorEvent>) {
        for (to, bytes) in &out.datagrams {
            assert_eq!(*to, sa(SERVER), "a datagram to somebody else");
            self.unanswered.push((None, bytes.clone()));
        }
        for command in &out.commands {
            if let Command::Connect { remote, .. } = command
                && *remote != sa(SERVER)
            {
                self.dials(*remote);
            }
        }
        for (stream, bytes) in &out.frames {
            if self.watch.streams.get(stream).is_none_or(|pipe| pipe.remote == sa(SERVER)) {
                self.unanswered.push((Some(*stream), bytes.clone()));
            } else {
                self.callers.iter_mut().for_each(|caller| caller.hears(*stream, bytes));
            }
        }
        out.events.iter().for_each(|event| self.told(event));
    }

    /// It dials nobody but who was let in, and no address that it may not dial (threats T11, T12).
    fn dials(&self, remote: SocketAddr) {
        assert!(self.addresses.permits(remote), "dials {remote} under {:?}", self.addresses);
        let of = |offered: &&Offered| canonical(offered.address) == remote;
        let known: Vec<&Offered> = self.offered.iter().filter(of).collect();
        assert!(!known.is_empty(), "dials {remote}, which nobody has named");
        assert!(
            known.iter().any(|offered| offered.welcome),
            "dials {remote} for nobody it lets in"
        );
    }

    fn told(&mut self, event: &AcceptorEvent) {
        match event {
            AcceptorEvent::RegistrationLost => self.lost += 1,
            AcceptorEvent::Certificate => {
                self.flash.certificate = self.machine.certificate().to_vec();
                self.flash.floor = self.machine.floor();
                assert_eq!(self.flash.certificate, certificate(), "nobody has issued another");
            }
            AcceptorEvent::Resumable => self.flash.resumption = self.machine.resumption(),
            AcceptorEvent::Connected { connection, peer, path } => {
                let stream = path.stream().expect("an acceptor dials");
                let spoken = |caller: &Caller| caller.id() == *peer && caller.has_spoken(stream);
                assert!(self.callers.iter().any(spoken), "connected to {peer}, who said nothing");
                self.connections.push(*connection);
            }
            _ => {}
        }
    }

    fn outs(&mut self, outs: Vec<Out<AcceptorEvent>>) {
        outs.iter().for_each(|out| self.hear(out));
    }

    /// A datagram; what was made of it.
    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> (bool, Out<AcceptorEvent>) {
        let mut message = bytes.to_vec();
        let now = self.watch.now;
        let received = self.machine.handle_datagram(now, SocketId::MAIN, from, &mut message);
        let taken = !matches!(received, Received::Discarded(_));
        let out = self.watch.drain(&mut self.machine);
        self.hear(&out);
        (taken, out)
    }

    /// The server's message, over the link `stream`; where the act says so, after a changed copy.
    fn deliver(&mut self, stream: Option<StreamId>, bytes: &[u8], act: &Act) {
        match stream {
            None => {
                if act.flag(11, 0) {
                    let mut copy = bytes.to_vec();
                    if mar(&mut copy, act.byte(11) >> 1, act.word(9), act.byte(10)) {
                        self.unauthentic(sa(SERVER), &copy, bytes);
                    }
                }
                self.datagram(sa(SERVER), bytes);
                self.sent.push(bytes.to_vec());
            }
            Some(stream) => {
                let frame = [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
                let outs = self.watch.feed(&mut self.machine, stream, &frame);
                self.outs(outs);
            }
        }
    }

    /// A message that no key was used for. `like` is what it was made from.
    fn unauthentic(&mut self, from: SocketAddr, bytes: &[u8], like: &[u8]) {
        // The fields before a handshake's Noise message are not authenticated: who can change them
        // could as well lose the message.
        let head = match Kind::of(like) {
            Ok(Kind::Response) => 6,
            Ok(Kind::Certificate | Kind::Hint | Kind::Cookie | Kind::Resumed) => 2,
            _ => 0,
        };
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

    /// The server answers what it was asked.
    fn serve(&mut self, plain: bool, act: &Act) {
        for (stream, message) in core::mem::take(&mut self.unanswered) {
            let far = if stream.is_some() { &mut self.near } else { &mut self.far };
            let answer = if plain { far.answer(&message, false) } else { far.serve(&message) };
            if let Some(answer) = answer {
                self.deliver(stream, &answer, act);
            }
        }
    }

    /// The stream to the server, when the act wants it and it is there.
    fn link(&self, wanted: bool) -> Option<StreamId> {
        let mut streams = self.watch.streams.iter();
        let up = streams.find(|(_, pipe)| pipe.up && pipe.remote == sa(SERVER));
        up.map(|(stream, _)| *stream).filter(|_| wanted)
    }

    fn server_says(&mut self, body: &[u8], act: &Act) {
        let stream = self.link(act.flag(1, 7));
        let far = if stream.is_some() { &mut self.near } else { &mut self.far };
        let bytes = far.says(body);
        self.deliver(stream, &bytes, act);
    }

    /// The server passes a request on.
    fn notify(&mut self, act: &Act) {
        let lamp = self.machine.id();
        let caller = &mut self.callers[act.below(2, CALLERS)];
        let password = match act.byte(3) % 3 {
            0 => None,
            1 => Some(PASSWORD),
            _ => Some([act.byte(3); 32]),
        };
        if !act.flag(1, 0) || !caller.has_offer() {
            caller.offer(&lamp, password, u64::from(act.byte(4)));
        }
        let address = claimed(act.byte(5));
        let right = caller.password() == Some(PASSWORD) && self.policy.password.is_some();
        let welcome = self.policy.open || right || self.policy.paired.contains(&caller.id());
        let offer = caller.sealed().to_vec();
        self.offered.push(Offered { address, welcome });
        let request = u32::from(act.byte(6));
        let notify =
            ConnectNotify { request, issuer: address, paired: act.flag(1, 1), offer: &offer };
        let mut body = body(&ToEquipment::Notify(notify), 0);
        if act.flag(1, 2) {
            mar(&mut body, act.byte(7), act.word(8), act.byte(4));
            // The address may be another one now: it stands near the front.
            self.renamed(&body, welcome);
        }
        self.server_says(&body, act);
    }

    /// What a changed notification names, if it is still one.
    fn renamed(&mut self, body: &[u8], welcome: bool) {
        let read = genkan_core::inspect::body::<ToEquipment<'_>>(body);
        if let Some(ToEquipment::Notify(notify)) = read {
            self.offered.push(Offered { address: notify.issuer, welcome });
        }
    }

    fn say(&mut self, act: &Act) {
        let request = u32::from(act.byte(6));
        let message = match act.byte(2) % 8 {
            0 | 1 => ToEquipment::Registered(Registered {
                observed: if act.flag(3, 0) { claimed(act.byte(4)) } else { sa(OBSERVED) },
                interval: act.word(7),
                register_every: act.byte(5),
            }),
            2 | 3 => ToEquipment::Wake(Wake { request }),
            4 => {
                ToEquipment::Plan(Plan { request, acceptor: claimed(act.byte(4)), accepted: true })
            }
            5 => ToEquipment::Refused(Refused { request, reason: Reason::Offline }),
            6 => ToEquipment::Goodbye,
            _ => return self.server_says(act.tail(3), act),
        };
        let mut body = body(&message, 0);
        if act.flag(1, 2) {
            mar(&mut body, act.byte(3), act.word(9), act.byte(4));
        }
        // An appliance that was told so without having asked believes it.
        self.far.vouch();
        self.near.vouch();
        self.server_says(&body, act);
    }

    fn short(&mut self, act: &Act) {
        let stream = self.link(act.flag(1, 7));
        let last = self.unanswered.last().map(|(_, message)| message.clone()).unwrap_or_default();
        let far = if stream.is_some() { &self.near } else { &self.far };
        let counter = u64::from(act.long(3));
        let bytes = match act.byte(2) % 4 {
            0 => Some(far.short(Kind::KeepaliveAnswer, act.byte(7) & 3, counter)),
            1 => Some(far.short(Kind::Challenge, act.byte(7) & 3, counter << 16)),
            2 => Far::hint(&last),
            _ => far.cookie(&last),
        };
        if let Some(bytes) = bytes {
            self.deliver(stream, &bytes, act);
        }
    }

    /// A datagram once more, changed or from elsewhere.
    fn again(&mut self, act: &Act) {
        let count = self.sent.len();
        let Some(old) = count.checked_sub(1 + act.below(1, count.max(1))) else { return };
        let like = self.sent[old].clone();
        let mut bytes = like.clone();
        let changed = mar(&mut bytes, act.byte(2), act.word(3), act.byte(5));
        let (from, known) = match act.byte(6) % 3 {
            0 => (sa("192.0.2.66:6666"), false),
            1 => (sa("203.0.113.1:4601"), false),
            _ => (sa(SERVER), true),
        };
        if changed {
            return self.unauthentic(from, &bytes, &like);
        }
        let before = self.seen();
        let (taken, out) = self.datagram(from, &bytes);
        let kind = Kind::of(&bytes);
        assert!(known || !taken, "{kind:?} from nowhere was taken");
        let once = [Kind::ServerTransport, Kind::KeepaliveAnswer, Kind::Response, Kind::Resumed];
        if !taken || kind.is_ok_and(|kind| once.contains(&kind)) {
            assert!(!taken && out.is_silent(), "{kind:?} was taken twice: {out:?}");
            assert_eq!(self.seen(), before, "a repeated {kind:?} has changed something");
        }
    }

    fn garbage(&mut self, act: &Act) {
        let kind = Kind::ALL[act.below(1, Kind::ALL.len())];
        let lengths = [1, 6, 28, 30, 38, 50, 54, 98, 210, 330, 1_232];
        let mut bytes = vec![act.byte(11); lengths[act.below(2, lengths.len())]];
        bytes.iter_mut().zip(act.tail(4)).for_each(|(to, from)| *to = *from);
        if !act.flag(3, 0) {
            bytes[0] = kind as u8;
        }
        let from = if act.flag(3, 1) { sa(SERVER) } else { claimed(act.byte(3)) };
        self.unauthentic(from, &bytes, &[]);
    }

    fn stream_state(&mut self, act: &Act) {
        let Some(mut stream) = self.watch.stream(act.below(1, 4)) else { return };
        let state = if act.flag(2, 0) { StreamState::Closed } else { StreamState::Connected };
        if act.flag(2, 1) {
            stream.generation = stream.generation.wrapping_sub(1);
            self.machine.handle_stream_state(self.watch.now, stream, state);
        } else {
            self.watch.state(&mut self.machine, stream, state);
        }
        let out = self.watch.drain(&mut self.machine);
        self.hear(&out);
    }

    /// A caller speaks on the stream that the appliance has dialled.
    fn call(&mut self, act: &Act) {
        let caller = &mut self.callers[act.below(1, CALLERS)];
        let mut body = match act.byte(2) % 6 {
            0 | 1 => [&[0][..], &body(&PeerMessage::Alive, 0)].concat(),
            2 => [&[0][..], &body(&PeerMessage::Probe, 0)].concat(),
            3 => [&[0][..], &body(&PeerMessage::Close, 0)].concat(),
            4 => [&[act.byte(3) % 4][..], act.tail(4)].concat(),
            _ => act.tail(3).to_vec(),
        };
        if act.flag(2, 7) {
            mar(&mut body, act.byte(5), act.word(6), act.byte(8));
        }
        let Some((stream, mut bytes)) = caller.says(&body) else { return };
        if !act.flag(2, 6) || !mar(&mut bytes, act.byte(5), act.word(6), act.byte(8)) {
            caller.spoken();
        }
        if act.flag(2, 5) {
            self.datagram(claimed(0), &bytes);
        } else {
            let frame = [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
            let outs = self.watch.feed(&mut self.machine, stream, &frame);
            self.outs(outs);
        }
    }

    fn application(&mut self, act: &Act) {
        let now = self.watch.now;
        let connection = self.connections.get(act.below(2, 8)).copied();
        match (act.byte(1) % 8, connection) {
            (0 | 1, _) => {
                self.flash.failures = self.machine.failures();
                self.machine.handle_persisted(now, self.flash.failures);
            }
            (2, _) => self.machine.handle_persisted(now, act.long(3)),
            (3, Some(connection)) => {
                let bytes = vec![act.byte(3); usize::from(act.word(4))];
                if let Ok(mut payload) =
                    self.machine.send(now, connection, Channel::Datagram, &bytes)
                {
                    let mut out = vec![0; payload.len()];
                    assert_eq!(payload.encode(&mut out), Ok(out.len()));
                    payload.commit();
                }
            }
            (4, Some(connection)) => self.machine.close(now, connection),
            (5, _) if act.byte(3) == 255 => {
                self.machine.deregister(now);
                self.left = true;
            }
            (5, _) => {
                self.machine.handle_bound(now, SocketId(act.word(4)), Some(claimed(act.byte(3))))
            }
            (6, _) => self.machine.set_early_key(now, [act.byte(3); 16]),
            (7, _) => {
                let head = Record::new(&[0, act.byte(3)]);
                self.policy = policy(&head);
                self.machine.set_admission(self.policy.clone());
            }
            _ => {}
        }
        let out = self.watch.drain(&mut self.machine);
        self.hear(&out);
    }

    fn pass(&mut self, time: Duration, late: bool, served: bool) {
        let end = self.watch.now.after(time);
        loop {
            let next = self.machine.poll_timeout().map(|wakeup| wakeup.at).filter(|at| *at <= end);
            let step = next.map_or(end, |at| if late { end } else { at }).since(self.watch.now);
            let mut outs = Vec::new();
            self.watch.pass(&mut self.machine, step, late, |_, _, out| outs.push(out));
            self.outs(outs);
            if served {
                self.honest();
            }
            if next.is_none() || (late && self.watch.now >= end) {
                break;
            }
        }
    }

    /// The server does what it should, and its TCP port is open. Nobody else's is.
    fn honest(&mut self) {
        for _ in 0..8 {
            let waiting: Vec<(StreamId, bool)> = self
                .watch
                .streams
                .iter()
                .filter(|(_, pipe)| !pipe.up)
                .map(|(stream, pipe)| (*stream, pipe.remote == sa(SERVER)))
                .collect();
            if waiting.is_empty() && self.unanswered.is_empty() {
                break;
            }
            for (stream, ours) in waiting {
                let state = if ours { StreamState::Connected } else { StreamState::Closed };
                self.watch.state(&mut self.machine, stream, state);
                let out = self.watch.drain(&mut self.machine);
                self.hear(&out);
            }
            self.serve(false, &Record::new(&[]));
        }
    }

    fn reboot(&mut self) {
        self.flash.boots += 1;
        (self.machine, self.switch) = boot(&self.head, self.watch.now, &self.flash);
        self.policy = policy(&self.head);
        self.watch = Watch::new(self.watch.now, false);
        self.unanswered.clear();
        self.connections.clear();
        // What was sent to the one before is nothing to this one, but it may be repeated.
        self.callers.iter_mut().for_each(Caller::cut);
        self.left = false;
        self.pass(Duration::ZERO, false, false);
    }

    fn pour(&mut self, act: &Act) {
        let Some(stream) = self.watch.stream(act.below(1, 4)) else { return };
        let outs = self.watch.feed(&mut self.machine, stream, act.tail(2));
        self.outs(outs);
    }

    /// From now on the server is honest: the appliance registers and stays registered, and whatever
    /// was half open is gone.
    fn rest(&mut self) {
        self.switch.set(EntropyMode::Seeded);
        self.pass(Duration::from_secs(3_600), false, true);
        let (lost, heard) = (self.lost, self.far.heard() + self.near.heard());
        self.pass(Duration::from_secs(2 * 3_600), false, true);
        assert_eq!(self.lost, lost, "registered with an honest server, and lost it");
        let heard = self.far.heard() + self.near.heard() - heard;
        assert!(self.left || heard > 0, "it does not turn to an honest server");
        assert!(self.left || self.far.is_registered() || self.near.is_registered());
        nothing_lost(self.machine.counters());
        for &connection in &self.connections {
            assert!(self.machine.connection(connection).is_none(), "{connection:?} still stands");
        }
        let peers = self.watch.streams.values().filter(|pipe| pipe.remote != sa(SERVER));
        assert_eq!(peers.count(), 0, "streams to nobody are left over");
        assert!(self.machine.id() == EquipmentId(*key(2).public()));
    }
}

/// Registration, doors of all kinds, dial-backs, and what a hostile server may try.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (up, serve) = ([8, 0, 0, 0, 0, 0, 0, 0], [0; 8]);
    let lives: [&[[u8; 8]]; 6] = [
        // Registers; is asked for; dials; the caller speaks and hangs up.
        &[
            serve,
            serve,
            [2, 0, 0, 1, 1, 0, 1, 0],
            up,
            [9, 0, 0, 0, 0, 0, 0, 0],
            [11, 0, 0, 0, 0, 0, 0, 0],
            [9, 0, 4, 1, 9, 9, 9, 9],
            [11, 3, 0, 0, 0, 9, 0, 0],
            [9, 0, 3, 0, 0, 0, 0, 0],
        ],
        // A wrong password, and again, and persisted.
        &[
            serve,
            serve,
            [2, 0, 1, 2, 1, 0, 1, 0],
            [11, 0, 0, 0, 0, 0, 0, 0],
            [2, 0, 1, 5, 2, 0, 2, 0],
            [2, 0, 1, 8, 2, 1, 3, 0],
            [2, 0, 1, 11, 2, 1, 4, 0],
            [11, 0, 0, 0, 0, 0, 0, 0],
            [12, 255, 2, 0, 0, 0, 0, 0],
        ],
        // Woken, it fetches over TCP.
        &[
            serve,
            serve,
            [4, 0, 2, 0, 0, 0, 5, 0],
            up,
            serve,
            serve,
            [2, 128, 0, 1, 1, 0, 5, 0],
            up,
            serve,
        ],
        // Forbidden addresses.
        &[
            serve,
            serve,
            [2, 0, 0, 1, 1, 2, 1, 0],
            [2, 0, 0, 1, 2, 3, 2, 0],
            [2, 0, 0, 1, 3, 6, 3, 0],
            [2, 0, 0, 1, 4, 10, 4, 0],
        ],
        // Keepalives, challenges, hints, cookies, and a reboot that resumes.
        &[
            [5, 0, 3, 0, 0, 0, 0, 0],
            serve,
            serve,
            [12, 50, 2, 0, 0, 0, 0, 0],
            [5, 0, 1, 9, 9, 9, 9, 0],
            [5, 0, 2, 0, 0, 0, 0, 0],
            serve,
            [13, 0, 0, 0, 0, 0, 0, 0],
            serve,
            serve,
            [4, 0, 6, 0, 0, 0, 0, 0],
        ],
        // Nobody answers, then somebody does, over TCP; no randomness for a while.
        &[
            [12, 22, 0, 0, 0, 0, 0, 0],
            up,
            serve,
            serve,
            [14, 3, 0, 0, 0, 0, 0, 0],
            [12, 23, 2, 0, 0, 0, 0, 0],
            [6, 0, 1, 0, 9, 3, 2, 0],
        ],
    ];
    let mut seeds = Vec::new();
    for head in [[1, 1, 0, 0], [3, 2, 0, 0], [1, 14, 7, 4], [2, 0xa2, 1, 0], [0, 0x51, 0, 9]] {
        for life in lives {
            let mut seed = head.to_vec();
            seed.resize(8, 0);
            for (number, act) in (0..).zip(life) {
                seed.extend(act);
                // A changed copy goes before every third message.
                seed.extend([0, 20 + number, 3, if number % 3 == 0 { 3 } else { 0 }]);
            }
            seeds.push(seed);
        }
    }
    seeds
}
