//! Equipment that punches no holes: what the rest of it asks of the real rooms, with nothing behind it.
//!
//! There is never a [`Hole`], so that nothing of what is done with one is left in a firmware. What the
//! server says of measuring and punching is discarded; it was told that the equipment can do neither.
#![expect(dead_code, reason = "the same face, of which most can never be looked at")]

mod face;

use core::time::Duration;

use crate::addr::{AddressPolicy, Endpoint};
use crate::id::{SocketId, StreamId};
use crate::machine::{Command, Discard, StreamState};
use crate::nat::NatProfile;
use crate::punch::{Ability, Burst};
use crate::time::Instant;
use crate::wire::message::{Measure, Seen, ToServer};
use crate::wire::punch::{Check, Detect};

pub(crate) use face::{Due, Holed, Opening, Packet};

/// There is nothing to be waited for.
pub(crate) const ATTEMPT: Duration = Duration::ZERO;

/// Nobody is called.
pub(crate) const CALLS: Duration = Duration::ZERO;

/// Never.
pub(crate) const fn again(_: Instant, _: u16) -> Instant {
    Instant::END
}

/// There is none.
#[derive(Debug)]
pub(crate) enum Hole {}

impl Hole {
    pub(crate) const fn burst(&mut self, _: Endpoint, _: Burst) -> Result<(), Discard> {
        match *self {}
    }

    pub(crate) const fn check(
        &mut self,
        _: Instant,
        _: SocketId,
        _: Endpoint,
        _: &Check,
        _: &[u8; 16],
    ) -> Result<bool, Discard> {
        match *self {}
    }

    pub(crate) const fn hear(
        &mut self,
        _: Instant,
        _: SocketId,
        _: Endpoint,
        _: bool,
    ) -> Result<bool, Discard> {
        match *self {}
    }

    pub(crate) const fn insist(&mut self, _: Instant) {
        match *self {}
    }

    pub(crate) const fn index(&self) -> u32 {
        match *self {}
    }

    pub(crate) const fn write(&self, _: &Check, _: &mut [u8]) {
        match *self {}
    }

    pub(crate) const fn sent(&mut self) {
        match *self {}
    }

    pub(crate) const fn until(&self) -> Instant {
        match *self {}
    }
}

/// What a connection slot has for it.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) hole: Option<Hole>,
}

impl Way {
    pub(crate) const NONE: Self = Self { hole: None };

    pub(crate) const fn freed(&self) -> Self {
        Self::NONE
    }

    pub(crate) const fn open(
        &mut self,
        _: Instant,
        _: Endpoint,
        _: &Opening,
    ) -> Result<(), Discard> {
        Err(Discard::Unexpected)
    }

    pub(crate) fn close(&mut self, _: usize, _: Option<SocketId>, _: &mut dyn FnMut(Command)) {}

    pub(crate) const fn forget(&mut self) {}

    pub(crate) const fn is_done(&self, _: u32) -> bool {
        true
    }

    pub(crate) const fn leads_to(&self, _: Endpoint) -> bool {
        false
    }

    pub(crate) const fn deadline(&self, _: Instant) -> Option<Instant> {
        None
    }
}

/// What a connection slot has for calls over TCP.
#[derive(Debug)]
pub(crate) struct Calling;

impl Calling {
    pub(crate) const NONE: Self = Self;

    #[cfg(feature = "inspect")]
    pub(crate) const fn inspect(&self, _: &mut dyn FnMut(u64)) {}

    pub(crate) const fn is_idle(&self) -> bool {
        true
    }

    pub(crate) const fn is_ready(&self) -> bool {
        false
    }

    pub(crate) const fn has(&self, _: StreamId) -> bool {
        false
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        None
    }

    pub(crate) const fn show(&mut self, _: StreamId) {}

    pub(crate) const fn call(&mut self, _: StreamId) -> Option<StreamId> {
        None
    }

    pub(crate) const fn is_due(&self, _: StreamId) -> bool {
        false
    }

    pub(crate) const fn shown(&mut self) {}

    pub(crate) const fn heard(&mut self, _: StreamId, _: StreamState, _: Instant) -> bool {
        false
    }

    pub(crate) const fn put_off(&mut self, _: Instant) {}

    pub(crate) const fn take_due(&mut self, _: Instant) -> bool {
        false
    }

    pub(crate) const fn end(&mut self) -> [Option<StreamId>; 2] {
        [None; 2]
    }
}

/// What is known of the NAT: nothing.
#[derive(Debug)]
pub(crate) struct Gauge;

impl Gauge {
    pub(crate) const fn is_invited(&self) -> bool {
        false
    }

    pub(crate) const fn stop_watch(&mut self) -> Option<Command> {
        None
    }

    pub(crate) const fn sent(&mut self, _: Instant) {}

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// What there is to say about it.
#[derive(Debug)]
pub(crate) struct Words;

impl Words {
    pub(crate) const fn can(&mut self, _: u32) {}

    pub(crate) const fn heard(&mut self, _: u32) {}

    pub(crate) const fn front(&self) -> Option<ToServer<'static>> {
        None
    }

    pub(crate) const fn sent(&mut self) {}
}

/// What an equipment has for it, beside its connections.
#[derive(Debug)]
pub(crate) struct Puncher {
    pub(crate) gauge: Gauge,
    pub(crate) words: Words,
    pub(crate) policy: AddressPolicy,
}

impl Puncher {
    pub(crate) const fn new(_: Option<Ability>, policy: AddressPolicy, _: bool) -> Self {
        Self { gauge: Gauge, words: Words, policy }
    }

    pub(crate) const fn ability(&self) -> Option<Ability> {
        None
    }

    pub(crate) const fn profile(&self) -> Option<NatProfile> {
        None
    }

    pub(crate) const fn session_up(&mut self, _: [[u8; 16]; 2]) {}

    pub(crate) const fn main_bound(&mut self, _: Option<Endpoint>) {}

    pub(crate) const fn lease(&mut self, _: u16, _: Option<Endpoint>) {}

    pub(crate) const fn has_leased_to_say(&self) -> bool {
        false
    }

    pub(crate) const fn repeat_leased(&mut self) -> bool {
        false
    }

    pub(crate) const fn say_reached(&mut self) {}

    pub(crate) const fn measure(
        &mut self,
        _: Instant,
        _: Endpoint,
        _: &Measure,
    ) -> Result<Option<Command>, Discard> {
        Err(Discard::Unexpected)
    }

    pub(crate) const fn seen<T: Holed>(
        &mut self,
        _: &mut [T],
        _: &Seen,
        _: Option<Endpoint>,
    ) -> Result<Option<NatProfile>, Discard> {
        Err(Discard::Unexpected)
    }

    pub(crate) const fn filter_probe(
        &mut self,
        _: Instant,
        _: Option<u32>,
        _: &[u8],
    ) -> Result<Option<NatProfile>, Discard> {
        Err(Discard::Unexpected)
    }

    pub(crate) const fn expire(&mut self, _: Instant) -> Option<Command> {
        None
    }

    pub(crate) const fn opened<T: Holed>(&mut self, _: &mut [T], _: SocketId, _: Option<Endpoint>) {
    }

    pub(crate) const fn next<T: Holed>(&self, _: Instant, _: &[T], _: Endpoint) -> Option<Due> {
        None
    }

    pub(crate) const fn sent(&mut self, _: Instant, _: &Due) {}

    pub(crate) const fn deadline<T: Holed>(&self, _: Instant, _: &[T]) -> Option<Instant> {
        None
    }

    pub(crate) const fn write(&self, _: Detect, _: Option<(u32, u64)>, _: &mut [u8]) {}
}

/// Datagrams are nobody's but the server's.
pub(crate) const fn may_hear(_: usize, _: SocketId) -> bool {
    false
}

/// Nobody asks for another path.
pub(crate) const fn renewal_key(connection: &[u8; 16], _: &[u8]) -> [u8; 16] {
    *connection
}

pub(crate) fn advance<T: Holed>(
    _: Instant,
    _: &mut [T],
    _: usize,
    _: &mut dyn FnMut(Command),
) -> bool {
    true
}

pub(crate) fn expire<T: Holed>(
    _: Instant,
    _: &mut [T],
    _: usize,
    _: &mut dyn FnMut(Command),
) -> bool {
    true
}
