//! One end of a session's inner network: packets in, packets out.
//!
//! Every slot has a socket set of its own, because smoltcp gives a segment to the first socket that
//! would take it: with all sockets in one set, a repeated opening segment could be taken by a
//! listening socket that stands before the one that is already connected, and the two would then
//! tear the stream apart. Here the segment is routed first and only the right socket sees it. No
//! socket listens for longer than one call: a vacant slot is made to listen for just the opening
//! segment that is being delivered, so every vacant slot serves every listened port, any number of
//! openings may come at once, and with no vacant slot the peer is refused at once.
//!
//! Packets leave slot by slot in turn, so that no bulk transfer starves a small one.

use core::fmt;
use core::marker::PhantomData;

use smoltcp::iface::{self, Interface, SocketSet};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::config::{Config, INNER_MTU, PREFIX_LEN, Role};
use crate::device::{Pipe, REPLY_LEN};
use crate::error::EndReason;
use crate::filter::{self, Discard, Segment};
use crate::replies::Replies;
use crate::slot::{Slot, Turn};

/// How many ports one end can listen on.
pub const MAX_LISTENERS: usize = 8;

/// Shortest sleep that [`StreamStack::poll_timeout`] asks for after a full drain, in microseconds.
const TICK: u64 = 1_000;

/// Latest time that is not clamped, in microseconds: 73,000 years.
const END_OF_TIME: u64 = 1 << 61;

/// Names one stream of one [`StreamStack`]. A handle whose stream was released or aborted is stale:
/// calls with it fail with [`StreamError::Stale`](crate::StreamError::Stale), even when the slot is
/// in use again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamHandle {
    pub(crate) index: u16,
    pub(crate) generation: u32,
}

impl StreamHandle {
    /// The handle as one number, for callers that cannot hold the type.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 16 | self.index as u64
    }

    /// The reverse of [`StreamHandle::to_bits`]; what else a number may name is checked at each use.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        let [_, _, g3, g2, g1, g0, i1, i0] = bits.to_be_bytes();
        Self {
            index: u16::from_be_bytes([i1, i0]),
            generation: u32::from_be_bytes([g3, g2, g1, g0]),
        }
    }
}

/// What became of a packet given to [`StreamStack::handle_packet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Received {
    /// A TCP segment of the inner network.
    Accepted,
    /// Dropped and counted.
    Discarded(Discard),
}

/// How many packets of each kind one end has seen since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Segments that were accepted.
    pub accepted: u64,
    /// Packets that were handed out to be sent.
    pub sent: u64,
    /// Packets that were dropped, for whatever [`Discard`] reason.
    pub discarded: u64,
    /// Openings by the peer that were refused because nobody listens on the port.
    pub refused_port: u64,
    /// Openings by the peer that were refused because every slot holds a stream.
    pub refused_full: u64,
    /// Answers that were dropped because too many waited to leave.
    pub replies_dropped: u64,
}

/// One end of the streams of one session. See the [crate](crate) for the order of calls.
///
/// `S` is the storage: `[Slot; N]`, `&mut [Slot]` or `Vec<Slot>`; its length, at most 65,536, is
/// the number of concurrent streams in both directions together.
pub struct StreamStack<'a, S> {
    pub(crate) role: Role,
    pub(crate) config: Config,
    pub(crate) slots: S,
    pub(crate) interface: Interface,
    pub(crate) listeners: [u16; MAX_LISTENERS],
    pub(crate) next_port: u16,
    pub(crate) drained: bool,
    replies: Replies,
    counters: Counters,
    now: u64,
    next_slot: usize,
    arrivals: u64,
    slot_lifetime: PhantomData<Slot<'a>>,
}

#[cfg(feature = "defmt")]
impl<S> defmt::Format for StreamStack<'_, S> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "StreamStack of {}, {}", self.role, self.counters);
    }
}

impl<'a, S> StreamStack<'a, S>
where
    S: AsRef<[Slot<'a>]> + AsMut<[Slot<'a>]>,
{
    /// One end without streams. `seed` draws initial sequence numbers and ports; it should differ
    /// between stacks, but as only the authenticated peer sees the packets, it need not be secret.
    /// `now` is in microseconds.
    #[must_use]
    pub fn new(role: Role, slots: S, config: Config, seed: u64, now: u64) -> Self {
        let now = now.min(END_OF_TIME);
        let turn = Turn { now, order: 0, config };
        let mut settings = iface::Config::new(HardwareAddress::Ip);
        settings.random_seed = seed;
        let mut interface = Interface::new(settings, &mut Pipe::shut(), turn.at());
        interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // There is room for at least one.
            let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(role.address()), PREFIX_LEN));
        });
        let [low, high, ..] = seed.to_le_bytes();
        Self {
            role,
            config: config.clamped(),
            slots,
            interface,
            listeners: [0; MAX_LISTENERS],
            next_port: u16::from_le_bytes([low, high]),
            drained: false,
            replies: Replies::new(),
            counters: Counters::default(),
            now,
            next_slot: 0,
            arrivals: 0,
            slot_lifetime: PhantomData,
        }
    }

    /// Takes in one plaintext of the session. Whatever it contains, this neither fails nor panics.
    pub fn handle_packet(&mut self, now: u64, packet: &[u8]) -> Received {
        let turn = self.turn(now);
        let segment = match filter::parse(self.role, packet) {
            Ok(segment) => segment,
            Err(discard) => {
                self.counters.discarded += 1;
                return Received::Discarded(discard);
            }
        };
        self.counters.accepted += 1;
        self.drained = false;
        self.arrivals += 1;
        let route = self.route(&segment);
        let slot = route.and_then(|index| self.slots.as_mut().get_mut(index));
        let mut room = [0; REPLY_LEN];
        let written = match slot {
            Some(slot) => slot.ingress(&mut self.interface, &turn, &segment, packet, &mut room),
            None => {
                // No socket takes it, so it is answered with a reset.
                let mut pipe = Pipe::inbound(packet, &mut room);
                let mut nobody = SocketSet::new(&mut [][..]);
                self.interface.poll_ingress_single(turn.at(), &mut pipe, &mut nobody);
                pipe.written()
            }
        };
        if written > 0 && !self.replies.push(room, written) {
            self.counters.replies_dropped += 1;
        }
        Received::Accepted
    }

    /// The slot that a segment belongs to; for an opening one, a vacant slot that was made to await
    /// it.
    fn route(&mut self, segment: &Segment) -> Option<usize> {
        let (local, remote) = (segment.local_port, segment.remote_port);
        let slots = self.slots.as_mut();
        if let Some(index) = slots.iter().position(|slot| slot.matches(local, remote)) {
            return Some(index);
        }
        if !segment.opens() {
            return None;
        }
        if local == 0 || !self.listeners.contains(&local) {
            self.counters.refused_port += 1;
            return None;
        }
        let Some(index) = vacant(slots) else {
            self.counters.refused_full += 1;
            return None;
        };
        let slot = slots.get_mut(index)?;
        slot.await_opening(self.role, local, &self.config).then_some(index)
    }

    /// Writes the next packet to be sent, as one plaintext of the session, into `room` and returns
    /// its length, at most [`INNER_MTU`]; `None` when there is nothing to send now. A packet that
    /// was written counts as sent: when the session cannot take it, it is lost and TCP repeats it,
    /// so a caller without room for a datagram had better not call.
    pub fn poll_packet(&mut self, now: u64, room: &mut [u8; INNER_MTU]) -> Option<usize> {
        let turn = self.turn(now);
        let written = self.replies.pop(room).or_else(|| self.poll_slots(&turn, room));
        match written {
            Some(_) => self.counters.sent += 1,
            None => self.drained = true,
        }
        written
    }

    fn poll_slots(&mut self, turn: &Turn, room: &mut [u8; INNER_MTU]) -> Option<usize> {
        let slots = self.slots.as_mut();
        let start = if self.next_slot < slots.len() { self.next_slot } else { 0 };
        for index in (start..slots.len()).chain(0..start) {
            let written = slots.get_mut(index)?.egress(&mut self.interface, turn, room);
            if written > 0 {
                self.next_slot = index + 1;
                return Some(written);
            }
        }
        None
    }

    /// When [`poll_packet`](Self::poll_packet) must be called again at the latest, in microseconds,
    /// even if nothing else happens; `None` when only a packet or a wish of the application can
    /// change anything. Later than `now` after a full drain.
    pub fn poll_timeout(&mut self, now: u64) -> Option<u64> {
        let turn = self.turn(now);
        if !self.replies.is_empty() {
            return Some(turn.now);
        }
        let interface = &mut self.interface;
        let slots = self.slots.as_ref().iter();
        let due = slots.filter_map(|slot| slot.wakeup(interface, &turn)).min()?;
        let earliest = if self.drained { turn.now + TICK } else { turn.now };
        Some(due.max(earliest))
    }

    /// The session is gone and will not carry another packet: every stream ends at once with
    /// [`EndReason::SessionLost`]. What had arrived can still be read.
    pub fn session_lost(&mut self) {
        for slot in self.slots.as_mut() {
            slot.fail(EndReason::SessionLost);
        }
        self.drained = false;
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What this end has seen so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Moves the clock. A leap over a whole user timeout (the machine slept) ends all streams right
    /// here, as their timers would, before the time of the leap can enter any estimate of round
    /// trips.
    pub(crate) fn turn(&mut self, now: u64) -> Turn {
        let now = now.clamp(self.now, END_OF_TIME);
        if now - self.now > self.config.user_timeout {
            for slot in self.slots.as_mut() {
                slot.fail(EndReason::TimedOut);
            }
        }
        self.drained &= now == self.now;
        self.now = now;
        Turn { now, order: self.arrivals, config: self.config }
    }
}

/// The vacant slot whose former stream ended longest ago.
pub(crate) fn vacant(slots: &[Slot<'_>]) -> Option<usize> {
    let vacancies = slots.iter().enumerate();
    let vacancies = vacancies.filter_map(|(index, slot)| Some((slot.vacancy()?, index)));
    vacancies.min().map(|(_, index)| index)
}

impl<S> fmt::Debug for StreamStack<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamStack")
            .field("role", &self.role)
            .field("config", &self.config)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
