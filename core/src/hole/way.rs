//! What is done for all connection slots at once, and for the measurement beside them.

use super::lease::Lease;
use super::{Due, Gauge, Holed, Packet, Words};
use crate::addr::{AddressPolicy, Endpoint};
use crate::id::SocketId;
use crate::limit::Bucket;
use crate::machine::{Command, Discard};
use crate::nat::{Allocation, Differential, NatProfile};
use crate::punch::{Ability, RATE};
use crate::session::keepalive::Keepalive;
use crate::time::Instant;
use crate::wire::message::{Measure, Seen};
use crate::wire::punch::{Detect, MEASUREMENT};
use crate::wire::{DETECT_LEN, Kind};

/// What an equipment has for measuring and punching, beside its connections.
#[derive(Debug)]
pub(crate) struct Puncher {
    ability: Option<Ability>,
    pub(crate) gauge: Gauge,
    pub(crate) words: Words,
    /// The port that the registered socket is bound to; 0: not known.
    main_port: u16,
    pub(super) lease: Lease,
    /// The keys that authenticate keepalives and detection packets in the session with the server.
    key_up: [u8; 16],
    key_down: [u8; 16],
    /// Where the equipment may send to.
    pub(crate) policy: AddressPolicy,
    /// Of the packets of all holes together, answers not counted (threat T14): what one attempt
    /// alone may send, so that a router is not troubled more by many.
    pace: Bucket,
    /// The slot that is served first: the one behind that which has waited for the pace last.
    turn: usize,
}

impl Puncher {
    /// `watches`: it finds out how long the NAT keeps a mapping, too.
    pub(crate) const fn new(
        ability: Option<Ability>,
        policy: AddressPolicy,
        watches: bool,
    ) -> Self {
        Self {
            policy,
            pace: Bucket::EMPTY,
            turn: 0,
            ability,
            gauge: Gauge::new(watches),
            words: Words::new(),
            main_port: 0,
            lease: Lease::NONE,
            key_up: [0; 16],
            key_down: [0; 16],
        }
    }

    /// What the equipment can do.
    pub(crate) const fn ability(&self) -> Option<Ability> {
        self.ability
    }

    /// What the NAT was found to be like.
    pub(crate) const fn profile(&self) -> Option<NatProfile> {
        self.gauge.profile
    }

    /// The registered socket is bound to this address, as far as that is known.
    pub(crate) fn main_bound(&mut self, local: Option<Endpoint>) {
        self.main_port = local.map_or(0, |local| local.port());
    }

    /// Another session over datagrams stands: what its server can do, it will say.
    pub(crate) fn session_up(&mut self, keys: [[u8; 16]; 2]) {
        [self.key_up, self.key_down] = keys;
        self.gauge.forget_server();
        self.words.clear();
        self.lease_again();
    }

    /// The server tells its ends.
    pub(crate) fn measure(
        &mut self,
        now: Instant,
        server: Endpoint,
        measure: &Measure,
    ) -> Result<Option<Command>, Discard> {
        self.ability.ok_or(Discard::Unexpected)?;
        let command = self.gauge.invited(now, server, self.policy, measure)?;
        self.tell_reached();
        Ok(command)
    }

    /// The server reports where detection packets came from. `registered`: where it sees the
    /// registered socket. The profile, when the report tells a new one.
    pub(crate) fn seen<T: Holed>(
        &mut self,
        slots: &mut [T],
        seen: &Seen,
        registered: Option<Endpoint>,
    ) -> Result<Option<NatProfile>, Discard> {
        if seen.request == MEASUREMENT {
            let registered = registered.ok_or(Discard::Unexpected)?;
            self.say_reached();
            let leased = self.lease.port != 0;
            let words = &mut self.words;
            return Ok(self.gauge.seen(seen, registered, self.main_port, words, leased));
        }
        let differential = self.differential();
        let holes = slots.iter_mut().filter_map(|slot| slot.way_mut().hole.as_mut());
        let hole = { holes }.find(|hole| hole.is_for(seen.request)).ok_or(Discard::Unexpected)?;
        if let Some(range) = hole.seen(seen, differential) {
            self.words.range(range);
        }
        Ok(None)
    }

    /// The port differential of our NAT, as we have computed it.
    fn differential(&self) -> Option<Differential> {
        match self.gauge.profile?.allocation {
            Allocation::Sequential(differential) => Some(differential),
            _ => None,
        }
    }

    /// A probe from an end of the server, in the session with this index: the NAT lets it in. The
    /// profile, when that has completed it.
    pub(crate) fn filter_probe(
        &mut self,
        now: Instant,
        index: Option<u32>,
        message: &[u8],
    ) -> Result<Option<NatProfile>, Discard> {
        let (probe, tag) =
            Keepalive::parse(Kind::FilterProbe, message).ok_or(Discard::Malformed)?;
        if index != Some(probe.handle) {
            return Err(Discard::UnknownSession);
        }
        if !crate::crypto::equal(&probe.tag(&self.key_down), &tag) {
            return Err(Discard::Unauthentic);
        }
        let profile = self.gauge.probed(now, probe.status, probe.counter, &mut self.words);
        self.reached(now, probe.status, probe.counter);
        Ok(profile)
    }

    /// Time has passed for the measurement.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Command> {
        self.gauge.expire(now, &mut self.words)
    }

    /// Sockets were opened, or could not be.
    pub(crate) fn opened<T: Holed>(
        &mut self,
        slots: &mut [T],
        socket: SocketId,
        local: Option<Endpoint>,
    ) {
        self.gauge.bound(socket, local);
        for way in slots.iter_mut().map(Holed::way_mut) {
            way.opened(socket, local);
        }
    }

    /// The next packet of a hole or of the measurement, for a server whose main end is at `server`.
    pub(crate) fn next<T: Holed>(
        &self,
        now: Instant,
        slots: &[T],
        server: Endpoint,
    ) -> Option<Due> {
        let free = self.pace.available_at(RATE) <= now;
        let mut due = (0..slots.len()).filter_map(|place| {
            let slot = place.saturating_add(self.turn);
            let slot = slot.checked_sub(slots.len()).unwrap_or(slot);
            let (socket, packet) = slots.get(slot)?.way().hole.as_ref()?.packet()?;
            (free || !packet.is_counted()).then_some((Some(slot), socket, packet))
        });
        let (slot, socket, packet) = due.next().or_else(|| {
            let (socket, end, detect) = self.gauge.next(self.main_port)?;
            Some((None, socket, Packet::Detect(end, detect)))
        })?;
        let remote = match packet {
            Packet::Detect(end, _) => self.gauge.address(server, end),
            Packet::Check(remote, ..) => remote,
        };
        Some(Due { slot, socket, remote, packet })
    }

    /// A packet of a hole has left. As long as packets may leave at once those of one burst do, in a
    /// row; from then on the holes take turns.
    pub(crate) fn sent(&mut self, now: Instant, due: &Due) {
        if due.packet.is_counted() {
            let _taken = self.pace.take(now, RATE);
            if let Some(slot) = due.slot
                && self.pace.available_at(RATE) > now
            {
                // At most the number of slots.
                self.turn = slot.saturating_add(1);
            }
        }
    }

    /// When packets that wait for their turn may leave.
    pub(crate) fn deadline<T: Holed>(&self, now: Instant, slots: &[T]) -> Option<Instant> {
        let mut packets = slots.iter().filter_map(|slot| slot.way().hole.as_ref()?.packet());
        let waits = packets.any(|(_, packet)| packet.is_counted());
        waits.then(|| self.pace.available_at(RATE)).filter(|&at| at > now)
    }

    /// Writes a detection packet under the session whose handle and next counter these are; zeros
    /// when it has none left.
    pub(crate) fn write(&self, detect: Detect, session: Option<(u32, u64)>, out: &mut [u8]) {
        debug_assert!(out.len() == DETECT_LEN);
        match session {
            Some((handle, counter)) => {
                Detect { handle, counter, ..detect }.write(&self.key_up, out);
            }
            None => out.fill(0),
        }
    }
}

/// Looks in each slot's hole what is next, as far as there is `room` for the commands that it takes.
/// Says whether there was.
pub(crate) fn advance<T: Holed>(
    now: Instant,
    slots: &mut [T],
    room: usize,
    command: &mut dyn FnMut(Command),
) -> bool {
    let mut room = room;
    for slot in slots {
        let way = slot.way_mut();
        let Some(hole) = &mut way.hole else { continue };
        loop {
            let Some(left) = room.checked_sub(EACH) else { return false };
            let Some(commands) = hole.advance(now) else { break };
            room = left;
            way.bound = true;
            commands.into_iter().for_each(&mut *command);
        }
    }
    true
}

/// Ends what has taken long enough, and looks what is next; as [`advance`].
pub(crate) fn expire<T: Holed>(
    now: Instant,
    slots: &mut [T],
    room: usize,
    command: &mut dyn FnMut(Command),
) -> bool {
    let mut room = room;
    for (index, slot) in slots.iter_mut().enumerate() {
        let kept = slot.path_socket();
        let way = slot.way_mut();
        if way.hole.as_ref().is_some_and(|hole| hole.is_over(now)) {
            let Some(left) = room.checked_sub(EACH) else { return false };
            room = left;
            way.close(index, kept, command);
        }
    }
    advance(now, slots, room, command)
}

/// Commands that opening, or closing, one slot's sockets takes at the most.
const EACH: usize = 2;
