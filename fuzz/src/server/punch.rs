//! What equipment with keys says to the server about its NAT and about holes, and what it is told.
//!
//! The acts have bit 7 of their first byte set, where the header asks for punching; the bits below 3
//! say which it is.

use core::net::IpAddr;

use genkan_core::punch::Burst;
use genkan_core::wire::message::{Heard, Life, Punch, Range, ToServer};

use super::*;
use crate::punch::range;
use crate::speech::EARLY_KEY;

/// The server's ends by the number in an act.
const ENDS: [SocketId; 3] = [SocketId::MAIN, SocketId::OTHER_PORT, SocketId::OTHER_ADDRESS];

/// Somebody has asked for somebody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    issuer: EquipmentId,
    request: u32,
    target: EquipmentId,
    /// With a tag that a paired one's request has.
    tagged: bool,
}

/// The fields of a detection packet.
#[derive(Clone, Copy)]
struct Detect {
    status: u8,
    request: u32,
    round: u8,
    which: u8,
    socket: u8,
    local: u16,
}

impl Siege {
    pub(super) fn punching(&mut self, who: usize, act: &Act) {
        match act.byte(0) & 7 {
            0 => self.able(who, act),
            1 => self.measurement(who, act),
            2 => self.detection(who, act),
            3 | 4 => self.detected(who, act),
            5 if act.flag(2, 7) => self.leases(who, act),
            5 if act.flag(2, 6) => self.wishes(who, act),
            5 => self.met(who, act),
            6 => self.claim(who, act),
            _ => self.elsewhere(act),
        }
    }

    /// What a member can do, as its first word or later.
    fn able(&mut self, who: usize, act: &Act) {
        let evil = &self.members[who].evil;
        let bits = u32::from(act.word(5)) << 16 | u32::from(act.byte(4)) << 8 | 8;
        let capabilities = bits | if act.flag(2, 0) { 16 } else { 0 } | 7;
        let early_key = act.flag(2, 5).then_some(EARLY_KEY);
        let (id, local) = (evil.id(), home(who, act.byte(3)));
        let register = genkan_core::wire::message::Register {
            id,
            local: local.into(),
            capabilities,
            early_key,
        };
        let message = match self.members[who].role {
            Role::Acceptor => ToServer::Register(register),
            Role::Issuer => ToServer::Can(capabilities),
        };
        self.tell(who, &message, act);
    }

    fn tell(&mut self, who: usize, message: &ToServer<'_>, act: &Act) {
        let body = genkan_tests::evil::body(message, 0);
        self.noted(who, &body);
        let bytes = self.members[who].evil.raw(&body);
        self.speak(who, act.byte(3), bytes);
    }

    /// A member is about to say this.
    pub(super) fn noted(&mut self, who: usize, body: &[u8]) {
        let issuer = self.members[who].evil.id();
        let bits = match inspect::body::<ToServer<'_>>(body) {
            Some(ToServer::Connect(connect)) => {
                let (request, target) = (connect.request, connect.target);
                let tagged = connect.early_tag.is_some();
                return self.asked.push(Asked { issuer, request, target, tagged });
            }
            Some(ToServer::Can(bits)) => bits,
            Some(ToServer::Register(register)) => register.capabilities,
            _ => return,
        };
        let [_, _, sockets, _] = bits.to_be_bytes();
        let most = &mut self.members[who].sockets;
        *most = sockets.max(*most);
    }

    /// A member asks within its first message.
    pub(super) fn asked_early(&mut self, who: usize, target: EquipmentId, act: &Act) {
        let issuer = self.members[who].evil.id();
        let (request, tagged) = (act.byte(4).into(), act.flag(2, 5));
        self.asked.push(Asked { issuer, request, target, tagged });
    }

    fn detect(&mut self, who: usize, of: &Detect) -> Vec<u8> {
        let evil = &mut self.members[who].evil;
        let mut out = vec![Kind::Detect as u8, of.status];
        out.extend(evil.handle.to_be_bytes());
        out.extend(&evil.counter.to_be_bytes()[2..]);
        evil.counter += 1;
        out.extend(of.request.to_be_bytes());
        out.extend([of.round, of.which, of.socket]);
        out.extend(of.local.to_be_bytes());
        let key = hmac(&evil.root, &[b"keepalive up  "]);
        out.extend(siphash(&key[..16], &[&out]));
        out
    }

    /// A member's packet on one of the server's ends.
    fn send(&mut self, end: SocketId, from: SocketAddr, bytes: Vec<u8>, caught: bool) -> bool {
        let taken = !caught && self.datagram_on(end, from, &bytes).0;
        self.sent.push(Sent { bytes, taken });
        taken
    }

    /// All five packets of a measurement, as a NAT with this differential maps them.
    fn measurement(&mut self, who: usize, act: &Act) {
        let second = self.head.flag(4, 1);
        let (mut port, step) = (act.word(4), u16::from(act.byte(6)));
        let ip = home(who, 0).ip();
        let ends = if second { [1, 0, 2, 0, 1] } else { [1, 0, 1, 0, 1] };
        let packets = (1..).zip([0, 1, 1, 2, 2]).zip(ends);
        for ((which, socket), end) in
            packets.filter(|((which, _), _)| act.byte(7) >> which & 1 == 0)
        {
            port = port.wrapping_add(step);
            let (status, local) = (act.byte(2) & 6, 40_000 + u16::from(socket));
            let (request, round) = (0, 0);
            let detect = Detect { status, request, round, which, socket, local };
            let bytes = self.detect(who, &detect);
            let at = if act.flag(2, 0) { port } else { 5_000 };
            self.send(ENDS[end], SocketAddr::new(ip, at), bytes, false);
        }
    }

    /// One packet of a measurement with anything in it, from anywhere.
    fn detection(&mut self, who: usize, act: &Act) {
        let detect = Detect {
            status: act.byte(2),
            request: if act.flag(3, 2) { act.byte(10).into() } else { 0 },
            round: act.byte(9) & 3,
            which: act.byte(6),
            socket: act.byte(7),
            local: act.word(8),
        };
        let bytes = self.detect(who, &detect);
        let from = if act.flag(3, 0) { anywhere(act.byte(11)).0 } else { home(who, act.byte(3)) };
        self.send(ENDS[act.below(10, 3)], from, bytes, act.flag(3, 7));
    }

    /// A packet of the last burst that the member was given, from its own address or another.
    fn detected(&mut self, who: usize, act: &Act) {
        let known = self.members[who].burst;
        let Some((request, burst)) = known.filter(|_| !act.flag(3, 1)) else {
            return self.detection(who, act);
        };
        let detect = Detect {
            status: act.byte(2) & 7,
            request,
            round: burst.round.wrapping_add(act.byte(9) & 1),
            which: act.byte(6) & 3,
            socket: act.byte(7),
            local: act.word(8),
        };
        let bytes = self.detect(who, &detect);
        let own = home(who, 0).ip();
        let ip = if act.flag(3, 0) { anywhere(act.byte(11)).0.ip() } else { own };
        let from = SocketAddr::new(ip, act.word(4));
        let taken = self.send(ENDS[act.below(10, 3)], from, bytes, act.flag(3, 7));
        let at: Option<IpAddr> = genkan_core::canonical(from).ip().into();
        let places = self.members[who].spoke.iter().map(SocketAddr::ip);
        let there = places.map(Some).any(|place| place == at);
        assert!(there || !taken, "a detection packet of a burst from {from} was taken");
    }

    /// It has heard its peer; or it says so of a request that is not its own.
    fn met(&mut self, who: usize, act: &Act) {
        let request = self.number(who, act);
        self.tell(who, &ToServer::Heard(Heard { request }), act);
    }

    /// How long its NAT keeps a mapping, it says; and where it wants a probe.
    fn wishes(&mut self, who: usize, act: &Act) {
        let life = Life { port: act.word(8), lifetime: act.byte(6) };
        self.tell(who, &ToServer::Life(life), act);
    }

    /// Which port its box has opened for it, or what a probe there has carried: the last one, one
    /// before, or none.
    fn leases(&mut self, who: usize, act: &Act) {
        if !act.flag(2, 6) {
            let port = [act.word(8), 40_000, 5_000, 0][act.below(6, 4)];
            self.members[who].named.insert(port);
            return self.tell(who, &ToServer::Leased(port), act);
        }
        let own = home(who, 0).ip();
        let theirs: Vec<_> = self.probes.iter().filter(|(to, _)| to.ip() == own).collect();
        let carried = match act.byte(6) & 3 {
            0 | 1 => theirs.last().copied().copied(),
            2 => self.probes.get(act.below(10, self.probes.len().max(1))).copied(),
            _ => None,
        };
        let [a, b, c, d] = act.long(8).to_be_bytes();
        let proof = carried.map_or([a, b, c, d, 0, 0], |(_, carried)| carried);
        let right: BTreeSet<SocketAddr> =
            theirs.iter().filter(|(_, carried)| *carried == proof).map(|(to, _)| *to).collect();
        self.members[who].proven.extend(&right);
        let said = self.sent.len();
        self.tell(who, &ToServer::Reached(proof), act);
        let taken = self.sent.get(said).is_some_and(|sent| sent.taken);
        assert!(!taken || !right.is_empty(), "{proof:?} is believed, which no probe has carried");
    }

    fn claim(&mut self, who: usize, act: &Act) {
        let request = self.number(who, act);
        let claim = Range { request, round: act.byte(2) & 3, range: range(act) };
        self.tell(who, &ToServer::Range(claim), act);
    }

    fn number(&self, who: usize, act: &Act) -> u32 {
        let own = self.members[who].burst.map(|(request, _)| request);
        let mut others = self.members.iter().filter_map(|member| Some(member.burst?.0));
        match act.byte(3) >> 1 & 3 {
            0 | 1 => own.unwrap_or_else(|| act.byte(4).into()),
            2 => others.next_back().unwrap_or(1),
            _ => act.byte(4).into(),
        }
    }

    /// What nobody with a key has made, and what somebody has made before, on the server's other ends.
    fn elsewhere(&mut self, act: &Act) {
        let end = ENDS[act.below(10, 3)];
        let (from, _) = anywhere(act.byte(3) >> 1);
        let count = self.sent.len();
        let bytes = match count.checked_sub(1 + act.below(2, count.max(1))) {
            Some(old) if act.flag(3, 0) => {
                let mut bytes = self.sent[old].bytes.clone();
                if !mar(&mut bytes, act.byte(7), act.word(8), act.byte(6)) {
                    return;
                }
                bytes
            }
            _ => garbage(act, &[22, 28, 37, 210]),
        };
        // A message that is nearly what it was, at the main end, is `again`'s.
        if end == SocketId::MAIN {
            return;
        }
        let before = self.seen();
        let (taken, out) = self.datagram_on(end, from, &bytes);
        assert!(!taken && out.is_silent(), "{:?} at {end:?}: {out:?}", Kind::of(&bytes));
        assert_eq!(self.seen(), before, "{:?} at {end:?} has changed something", Kind::of(&bytes));
    }

    /// The server gives a member a burst: it can do it, its peer is where somebody with a key has
    /// spoken, and a stranger learns of an acceptor that has accepted only (threat T15).
    pub(super) fn instructed(&mut self, who: usize, punch: &Punch) {
        let Punch { request, peer, burst } = *punch;
        let member = &self.members[who];
        let sockets = u16::from(burst.sockets) + u16::from(burst.bracket.extra_sockets());
        assert!(sockets <= member.sockets.into(), "{burst:?} with {} sockets", member.sockets);
        let at = |member: &Member| {
            member.spoke.contains(&peer.into()) || member.proven.contains(&peer.into())
        };
        assert!(self.members.iter().any(at), "{peer} is told, where nobody was");
        if member.role == Role::Issuer {
            let id = member.evil.id();
            let may = |asked: &Asked| {
                let theirs = asked.issuer == id && asked.request == request;
                let target = self.members.iter().find(|other| other.evil.id() == asked.target);
                let open = asked.tagged || self.accepted.contains(&(id, asked.target));
                theirs && open && target.is_some_and(at)
            };
            assert!(self.asked.iter().any(may), "{peer} is told to a stranger");
        }
        self.members[who].burst = Some((request, burst));
    }
}

/// What a member was told to do.
pub(super) type Told = (u32, Burst);
