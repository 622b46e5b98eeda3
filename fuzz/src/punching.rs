//! What a hostile server and hostile peers do about punching holes, to either kind of equipment.
//!
//! ```text
//! offset  len  field, when bit 7 of the first is set and the header asks for punching
//!      0    1  bits: 0.. the act, 3.. the peer's place
//!      1    1  bits: 0 a number that nobody knows, 2 the body is changed, 3.. back to which request,
//!              7 over TCP
//!      2    9  what the act says
//!     11    1  bit 0 a changed copy goes before
//! ```

use core::net::SocketAddr;

use genkan_core::wire::Kind;
use genkan_core::wire::message::{Call, Hopeless, Measure, Punch, Seen, ToEquipment};
use genkan_core::{Endpoint, Received, SocketId};
use genkan_tests::evil::{body, sa, siphash};

use crate::far::SERVER;
use crate::holes::place;
use crate::punch::made_up;
use crate::record::mar;
use crate::trial::{Act, Stage, Trial};

/// A number that no request has.
const NOBODYS: u32 = 77_777;

/// What the peers have that punching needs.
pub(crate) trait Punching: Trial {
    /// What the equipment's peer sends for checks.
    const CHECK: Kind;

    /// A peer speaks over a punched path: the message, and whether it was made as it should be.
    fn peer_says(&mut self, act: &Act) -> Option<Vec<u8>>;

    fn punching(&mut self, act: &Act) {
        match act.byte(0) & 7 {
            0 => self.measure(act),
            1 => self.probe(act),
            2 => self.report(act),
            3 | 4 => self.burst(act),
            5 => self.opened(act),
            6 => self.check(act),
            _ => self.over_datagrams(act),
        }
    }

    fn request(&mut self, act: &Act) -> u32 {
        let offer = self.stage().holes.offer(usize::from(act.byte(1) >> 3 & 15));
        offer.filter(|_| !act.flag(1, 0)).map_or(NOBODYS, |offer| offer.request)
    }

    fn measure(&mut self, act: &Act) {
        let other_port = [4_601, 4_600, 0, act.word(4)][act.below(3, 4)];
        let address = [None, Some(sa("203.0.113.2:4600")), Some(place(act.byte(6)))];
        let other_address = address[act.below(7, 3)].map(Endpoint::from);
        let measure = Measure { other_port, other_address, now: !act.flag(2, 0) };
        self.server_tells(&ToEquipment::Measure(measure), act);
    }

    /// A probe from one of the server's ends, or from somewhere else.
    fn probe(&mut self, act: &Act) {
        let stage = self.stage();
        let mut bytes = stage.far.short(Kind::FilterProbe, act.byte(2) & 3, act.long(4).into());
        let from = ["203.0.113.1:4601", "203.0.113.2:4600", SERVER, "192.0.2.66:6666"];
        let from = sa(from[act.below(3, 4)]);
        let like = bytes.clone();
        if act.flag(2, 2) && mar(&mut bytes, act.byte(8), act.word(9), act.byte(10)) {
            return self.unauthentic(from, &bytes, &like);
        }
        self.datagram(from, &bytes);
    }

    fn report(&mut self, act: &Act) {
        let request = if act.flag(2, 3) { 0 } else { self.request(act) };
        let mut packets = heapless::Vec::new();
        let step = u16::from(act.byte(10));
        for n in 0..u16::from(act.byte(2) & 7) {
            let port = act.word(4).wrapping_add(n.wrapping_mul(step));
            let ip = place(if n == u16::from(act.byte(8)) { act.byte(9) } else { 0 }).ip();
            let which = act.byte(3).wrapping_add(n as u8);
            let _room = packets.push((which, Endpoint::from((ip, port))));
        }
        let seen = Seen { request, round: act.byte(6), packets };
        self.server_tells(&ToEquipment::Seen(seen), act);
    }

    fn burst(&mut self, act: &Act) {
        let request = self.request(act);
        if act.byte(0) & 7 == 4 && act.byte(2) == u8::MAX {
            let why = genkan_core::punch::Hopeless::Budget;
            return self.server_tells(&ToEquipment::Hopeless(Hopeless { request, why }), act);
        }
        let peer = place(act.byte(0) >> 3 & 15);
        if act.byte(0) & 7 == 4 && act.byte(2) >= 252 {
            let peer = (act.byte(2) < 254).then(|| peer.into());
            return self.server_tells(&ToEquipment::Call(Call { request, peer }), act);
        }
        let punch = Punch { request, peer: peer.into(), burst: made_up(act) };
        self.server_tells(&ToEquipment::Punch(punch), act);
    }

    /// The server says it, or something like it.
    fn server_tells(&mut self, message: &ToEquipment<'_>, act: &Act) {
        let mut body = body(message, 0);
        if act.flag(1, 2) {
            mar(&mut body, act.byte(9), act.word(7), act.byte(10));
        }
        self.server_says(&body, act);
    }

    /// The caller has opened sockets, or could not; late, or not in the order of the commands.
    fn opened(&mut self, act: &Act) {
        let Stage { machine, watch, .. } = self.stage();
        let Some(first) = watch.sockets.answered(act.below(3, 4)) else { return };
        let local = SocketAddr::new([0, 0, 0, 0].into(), act.word(4));
        let local = (!act.flag(2, 0)).then_some(local);
        watch.sockets.told(first, local.is_some());
        genkan_core::Machine::handle_bound(machine, watch.now, first, local);
        self.drained();
    }

    /// A bubble or reply, under the right key or a wrong one, from where the peer is or from elsewhere.
    fn check(&mut self, act: &Act) {
        let Some(offer) = self.stage().holes.offer(usize::from(act.byte(1) >> 3 & 15)) else {
            return;
        };
        let from = SocketAddr::new(place(act.byte(0) >> 3 & 15).ip(), act.word(4));
        let mut bytes = vec![Self::CHECK as u8, act.byte(2) & 1];
        bytes.extend(offer.index.to_be_bytes());
        bytes.extend(siphash(&offer.key, &[b"punch", &bytes]));
        let like = bytes.clone();
        if act.flag(2, 1) && mar(&mut bytes, act.byte(8), act.word(9), act.byte(10)) {
            return self.unauthentic(from, &bytes, &like);
        }
        let allowed = self.stage().holes.leads_to(&offer, genkan_core::canonical(from).ip());
        let socket = self.stage().watch.sockets.nth(act.word(6).into());
        let taken = self.datagram_on(socket, from, &bytes);
        assert!(allowed || !taken, "a check of nobody's from {from} was taken");
    }

    fn over_datagrams(&mut self, act: &Act) {
        let Some(bytes) = self.peer_says(act) else { return };
        let from = SocketAddr::new(place(act.byte(0) >> 3 & 15).ip(), act.word(4));
        let socket = self.stage().watch.sockets.nth(act.word(6).into());
        self.datagram_on(socket, from, &bytes);
    }

    /// A datagram on one of several sockets; whether it was taken.
    fn datagram_on(&mut self, socket: SocketId, from: SocketAddr, bytes: &[u8]) -> bool {
        let mut message = bytes.to_vec();
        let Stage { machine, watch, .. } = self.stage();
        let received =
            genkan_core::Machine::handle_datagram(machine, watch.now, socket, from, &mut message);
        let taken = !matches!(received, Received::Discarded(_));
        self.drained();
        taken
    }
}
