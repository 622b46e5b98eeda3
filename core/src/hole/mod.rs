//! An equipment's part in punching holes, on the wire: the same for issuer and acceptor.
//!
//! ```text
//! measure.rs    the measurement of its NAT
//! watch.rs      how long the NAT keeps a silent mapping
//! lease.rs      the port that a box has opened for it
//! names.rs      numbers of the sockets that it opens
//! calls.rs      calls over TCP, where no hole comes about
//! words.rs      what it has to say to the server about it
//! face.rs       what is due, and what a hole is made of
//! slot.rs       what each connection slot has for it
//! way.rs        what is done for all connections at once
//! mod.rs        one connection's hole
//! ```
//!
//! A [`Hole`] is an [`Attempt`] with an address and a key. It sends to one IP address only, the one
//! that the server observed for the peer, and only where the device's [`AddressPolicy`] allows; it
//! listens to nobody but who holds the offer's punch key and speaks from there. What a path that it
//! finds is worth only the session over it shows (threats T14, T18).

mod calls;
mod face;
mod lease;
mod measure;
mod names;
mod slot;
#[cfg(test)]
mod tests;
mod watch;
mod way;
mod words;

use core::time::Duration;

use crate::addr::{AddressPolicy, Endpoint};
use crate::crypto::mac;
use crate::id::SocketId;
use crate::machine::{Command, Discard};
use crate::nat::{Differential, PortRange};
use crate::punch::{Action, Attempt, Budget, Burst, Detector, Moment};
use crate::time::Instant;
use crate::wire::Kind;
use crate::wire::message::{Range, Seen};
use crate::wire::punch::{Check, Detect, REPORT};

pub(crate) use calls::{CALLS, Calling, again};
pub(crate) use face::{Due, Holed, Opening, Packet};
pub(crate) use measure::Gauge;
pub(crate) use names::may_hear;
pub(crate) use slot::Way;
pub(crate) use way::{Puncher, advance, expire};
pub(crate) use words::Words;

/// How long an attempt may take from its first burst on. A server's tries take 6 s, guesses 8 s.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(10);
/// Packets to the peer in one attempt, beside guesses that both ends allow.
const PACKETS: u16 = 128;

/// One connection's way through the two NATs, while it is looked for.
#[derive(Debug)]
pub(crate) struct Hole {
    attempt: Attempt,
    /// Its IP address is what counts.
    peer: Endpoint,
    key: [u8; 16],
    /// The issuer's index for the session, which is in the checks of both ends.
    index: u32,
    sends: Kind,
    /// Our number for the request, as the server knows it.
    request: u32,
    detector: Detector,
    policy: AddressPolicy,
    base: u16,
    /// The first of the sockets that the caller opens.
    opening: Option<SocketId>,
    pending: Option<Action>,
    until: Instant,
    heard: bool,
    /// What was reported of the round's detection packets: before and after.
    round: u8,
    ports: [Option<u16>; 2],
}

/// The punch key in an offer that asks for another path of a connection that stands, for that offer
/// alone. Who does not have the connection's cannot make it, so that no other request is taken for
/// such a one: indices are not chosen at random.
pub(crate) fn renewal_key(connection: &[u8; 16], offer: &[u8]) -> [u8; 16] {
    // An offer begins with the ephemeral key that is drawn for it.
    mac::tag(connection, &[b"renew", offer.get(..32).unwrap_or_default()])
}

impl Hole {
    /// A hole towards `peer`, which the server observed. `None`: the device may not send there.
    pub(crate) fn open(now: Instant, peer: Endpoint, of: &Opening) -> Option<Self> {
        let Opening { ability, policy, key, index, sends, request, slot, kept } = *of;
        if !policy.permits(peer.at_port(u16::MAX)) || slot >= names::SLOTS {
            return None;
        }
        let budget = Budget {
            packets: PACKETS.saturating_add(ability.limits.guesses),
            sockets: ability.limits.sockets,
        };
        let base = names::base(slot);
        let kept = kept.and_then(|socket| names::number(base, socket)).unwrap_or(0);
        Some(Self {
            attempt: Attempt::new(budget).beside(kept),
            peer,
            key,
            index,
            sends,
            request,
            detector: ability.detector,
            policy,
            base,
            opening: None,
            pending: None,
            until: now.after(ATTEMPT),
            heard: false,
            round: 0,
            ports: [None; 2],
        })
    }

    /// An answer about these sockets of the hole before is still to come.
    fn owed(mut self, opening: Option<SocketId>) -> Self {
        self.opening = opening;
        self.attempt.opening = opening.is_some();
        self
    }

    /// Whether it leads to this IP address.
    pub(crate) fn leads_to(&self, remote: Endpoint) -> bool {
        remote.shares_ip(self.peer)
    }

    /// Whether it is for this request of the server's.
    pub(crate) const fn is_for(&self, request: u32) -> bool {
        self.request == request
    }

    /// The server's next instruction, for a peer at `peer`: an address other than the first one's is
    /// passed over, whoever names it.
    pub(crate) fn burst(&mut self, peer: Endpoint, burst: Burst) -> Result<(), Discard> {
        if !self.leads_to(peer) {
            return Err(Discard::ForbiddenAddress);
        }
        if self.round != burst.round {
            self.round = burst.round;
            self.ports = [None; 2];
        }
        // What is left of the burst before speaks of ports that are gone.
        self.pending = None;
        self.attempt.handle_burst(burst);
        Ok(())
    }

    /// The sockets that begin with `first` are open, or could not be opened.
    pub(crate) fn bound(&mut self, first: SocketId, local: Option<Endpoint>) {
        // An answer that comes late is about sockets of a burst before.
        if self.opening != Some(first) {
            return;
        }
        self.opening = None;
        match local {
            Some(local) => self.attempt.handle_opened(local.port()),
            None => self.attempt.handle_not_opened(),
        }
    }

    /// What its answers carry has not arrived, whatever the peer's answer says: they are repeated.
    pub(crate) fn insist(&mut self, now: Instant) {
        self.attempt.insist(now);
    }

    /// A check has come. The first authentic one from the peer's address finds a path; says whether
    /// it is the first at all.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: Endpoint,
        check: &Check,
        tag: &[u8; 16],
    ) -> Result<bool, Discard> {
        if !crate::crypto::equal(&check.tag(&self.key), tag) {
            return Err(Discard::Unauthentic);
        }
        if !self.leads_to(remote) {
            return Err(Discard::ForbiddenAddress);
        }
        self.hear(now, socket, remote, check.answer)
    }

    /// Something authentic of the peer has come from its address to one of our sockets.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: Endpoint,
        answer: bool,
    ) -> Result<bool, Discard> {
        let number = names::number(self.base, socket).ok_or(Discard::UnknownSession)?;
        // Guesses that are still to leave are for nothing now.
        if !matches!(self.pending, Some(Action::Send { answer: true, .. })) {
            self.pending = None;
        }
        self.attempt.handle_heard(now, number, remote.port(), answer);
        Ok(!core::mem::replace(&mut self.heard, true))
    }

    /// The index that the checks of this hole carry.
    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    /// The server reports where a detection packet of ours came from. The range, once both are known
    /// and the equipment is the one to compute it (punch claims 51, 54, 70).
    pub(crate) fn seen(
        &mut self,
        seen: &Seen,
        differential: Option<Differential>,
    ) -> Option<Range> {
        if seen.round != self.round || self.detector != Detector::Equipment {
            return None;
        }
        for (which, observed) in &seen.packets {
            let [before, after] = &mut self.ports;
            match *which {
                which if which == Moment::Before as u8 => *before = Some(observed.port()),
                which if which == Moment::After as u8 => *after = Some(observed.port()),
                _ => {}
            }
        }
        let [Some(before), Some(after)] = self.ports else { return None };
        let range = PortRange::detect(before, after, differential, 1);
        Some(Range { request: self.request, round: self.round, range })
    }

    /// Looks what is next. What the caller has to do for it comes back; call again until nothing
    /// does.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<[Command; 2]> {
        while self.pending.is_none() {
            match self.attempt.poll(now)? {
                Action::Open { first, count } => {
                    let first = names::socket(self.base, first);
                    self.opening = Some(first);
                    return Some([
                        Command::Unbind { first, count },
                        Command::Bind { first, count },
                    ]);
                }
                Action::Send { port, .. } if !self.permits(port) => {}
                action => self.pending = Some(action),
            }
        }
        None
    }

    fn permits(&self, port: u16) -> bool {
        self.policy.permits(self.peer.at_port(port))
    }

    /// The packet that is due.
    pub(crate) fn packet(&self) -> Option<(SocketId, Packet)> {
        Some(match self.pending? {
            Action::Send { socket, port, answer, hops } => {
                let check = Check { kind: self.sends, answer, index: self.index };
                let remote = self.peer.at_port(port);
                (names::socket(self.base, socket), Packet::Check(remote, check, hops))
            }
            Action::Detect { socket, server, round, moment, local } => {
                let detect = Detect {
                    status: if self.detector == Detector::Equipment { REPORT } else { 0 },
                    handle: 0,
                    counter: 0,
                    request: self.request,
                    round,
                    which: moment as u8,
                    socket,
                    local,
                };
                (names::socket(self.base, socket), Packet::Detect(server, detect))
            }
            Action::Open { .. } => return None,
        })
    }

    /// Writes a check of ours.
    pub(crate) fn write(&self, check: &Check, out: &mut [u8]) {
        check.write(&self.key, out);
    }

    /// The packet that was due has left.
    pub(crate) const fn sent(&mut self) {
        self.pending = None;
    }

    /// When to look again.
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        let next = self.attempt.poll_timeout(now).filter(|_| self.pending.is_none());
        next.map_or(self.until, |at| at.min(self.until))
    }

    /// When it ends.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Its number for the request.
    pub(crate) const fn request(&self) -> u32 {
        self.request
    }

    /// Whether it has taken long enough.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }
}
