//! What is done to a world: one record of the source, one act.

use core::time::Duration;

use genkan_core::Target;

use super::build::{EARLY_KEY, PASSWORD, Swarm};
use super::{ACT, Broken};
use crate::entropy::EntropySwitch;
use crate::fleet::{FleetAcceptor, FleetIssuer, FleetServer};
use crate::nat::Lifetimes;
use crate::net::{HostId, NatId};
use crate::node::Io;
use crate::rng::Rng;

macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident = $weight:literal,)*) => {
        /// What can be done to a world. All but the first six are faults and attacks, each on or off
        /// in a world.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Act { $($(#[$doc])* $name,)* }

        impl Act {
            /// All acts.
            pub const ALL: [Self; [$($weight),*].len()] = [$(Self::$name),*];
            /// How often each comes up among 64.
            const WEIGHTS: [u8; Self::ALL.len()] = [$($weight),*];
        }
    };
}

acts! {
    /// Nothing.
    Nothing = 3,
    /// A device asks its house's box for a port of its own, or gives it back.
    Lease = 2,
    /// An issuer asks for an acceptor, with what opens its door.
    Request = 8,
    /// Somebody sends payload over a connection.
    Say = 7,
    /// Somebody ends its connections.
    HangUp = 2,
    /// An issuer asks with a wrong password, or for an id that nobody has.
    BadRequest = 2,
    /// An outsider asks, with a wrong password or none.
    Theft = 2,
    /// A line gets bad: loss, doubles, reordering, damage, a small MTU, no UDP or no TCP.
    Line = 5,
    /// Nothing gets from one host to another, or the other way, or neither way: a device and the
    /// server, or an issuer and an acceptor.
    Cut = 2,
    /// A NAT loses its mappings.
    NatReboot = 2,
    /// A NAT gets other outside addresses, or whoever is behind a firewall another prefix.
    NatRenumber = 1,
    /// A NAT gives out ports from another range, and loses its mappings.
    NatPorts = 1,
    /// A NAT's mappings live for 10 to 30 s only.
    NatExpiry = 1,
    /// A host in the public internet gets another address.
    Renumber = 1,
    /// A device loses its power for a moment.
    Reboot = 2,
    /// As [`Act::Reboot`], and the flash write before it was torn.
    TornReboot = 1,
    /// The server restarts and has lost its list.
    ServerRestart = 1,
    /// A host stands still.
    Pause = 2,
    /// A host's clock jumps ahead or back.
    Jump = 2,
    /// A host's clock runs up to 5 % too fast or too slow.
    Drift = 1,
    /// A source of randomness fails, repeats itself or gives one value.
    Entropy = 2,
    /// A host cannot send some datagrams.
    SendErrors = 1,
    /// A host wakes early or late.
    Wakes = 1,
    /// A host reads its streams slowly or not at all.
    Reader = 1,
    /// A datagram that was seen is sent again, from another address or its own.
    Replay = 3,
    /// A datagram that was seen is sent again with changes.
    Mutate = 3,
    /// Bytes that nobody meant.
    Garbage = 2,
    /// Many sources at once speak to the server.
    Flood = 1,
    /// Somebody in the house speaks to a device, in the server's name.
    Neighbour = 2,
}

/// What ends a fault.
#[derive(Debug)]
pub(super) enum Undo {
    Line(HostId),
    Mend(HostId, HostId),
    Lifetimes(NatId, Box<Lifetimes>),
    Resume(HostId),
    Drift(HostId),
    Entropy(EntropySwitch),
    SendErrors(HostId),
    Wakes(HostId),
    Reader(HostId),
}

/// One record of the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record(pub(super) [u8; ACT]);

impl Record {
    fn half(&self, at: usize) -> u64 {
        self.0[at..].first_chunk().map_or(0, |b| u64::from(u16::from_be_bytes(*b)))
    }

    /// The pause before it.
    pub(super) fn wait(&self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX >> 16);
        Duration::from_micros((micros >> 8).saturating_mul(self.half(4)) >> 8)
    }

    /// How long a fault lasts: up to 131 s.
    pub(super) fn lasts(&self) -> Duration {
        Duration::from_millis(2 * self.half(6))
    }

    fn act(&self) -> Act {
        let mut left = self.0[0] % 64;
        for (act, weight) in Act::ALL.into_iter().zip(Act::WEIGHTS) {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return act,
            }
        }
        Act::Nothing
    }

    /// One of so many.
    pub(super) fn who(&self, len: usize) -> usize {
        usize::from(self.0[1]) % len.max(1)
    }

    pub(super) fn other(&self, len: usize) -> usize {
        usize::from(self.0[2]) % len.max(1)
    }

    pub(super) fn level(&self) -> u8 {
        self.0[3]
    }

    pub(super) fn rng(&self) -> Rng {
        Rng::new(self.0[8..].first_chunk().map_or(0, |b| u64::from_be_bytes(*b)))
    }
}

impl Swarm {
    pub(super) fn act(&mut self, record: Record) -> Result<(), Broken> {
        let act = record.act();
        if act > Act::BadRequest && !self.allows(act) {
            return Ok(());
        }
        self.report.acts[act as usize] += 1;
        match act {
            Act::Nothing => {}
            Act::Lease => self.lease(record),
            Act::Request | Act::BadRequest => {
                let (phone, lamp) = (
                    self.issuers[record.who(self.issuers.len())].host,
                    self.acceptors[record.other(self.acceptors.len())].host,
                );
                let mut target = self.target(lamp, record.level());
                if act == Act::BadRequest {
                    spoil(&mut target, record);
                }
                self.request(phone, &target);
            }
            Act::Theft => {
                if let Some(thief) = self.evil {
                    let lamp = self.acceptors[record.other(self.acceptors.len())].host;
                    let mut target = Target::new(self.fleet.id(lamp));
                    spoil(&mut target, record);
                    self.request(thief, &target);
                }
            }
            Act::Say => self.say(record),
            Act::HangUp => {
                let phone = self.issuers[record.who(self.issuers.len())].host;
                self.hang_up(phone);
            }
            Act::Replay | Act::Mutate | Act::Garbage | Act::Flood | Act::Neighbour => {
                self.attack(act, record);
            }
            Act::NatReboot | Act::NatRenumber | Act::NatPorts | Act::NatExpiry | Act::Renumber => {
                self.move_edge(act, record)
            }
            _ => self.host_fault(act, record),
        }
        self.checks.borrow_mut().verdict()
    }

    /// How many streams stand at a host.
    pub(super) fn streams(&mut self, host: HostId) -> usize {
        let acceptor = self.acceptors.iter().any(|place| place.host == host);
        let world = &mut self.fleet.world;
        if host == self.fleet.server {
            world.with(host, |_: &mut FleetServer, io: &mut Io| io.streams().len())
        } else if acceptor {
            world.with(host, |_: &mut FleetAcceptor, io: &mut Io| io.streams().len())
        } else {
            world.with(host, |_: &mut FleetIssuer, io: &mut Io| io.streams().len())
        }
    }

    /// An acceptor with what opens its door; the lowest bit chooses among two ways.
    pub(super) fn target(&mut self, lamp: HostId, level: u8) -> Target {
        self.numbers += 1;
        let door = self.checks.borrow().roster.door(lamp);
        let mut target = Target::new(self.fleet.id(lamp));
        target.password = door.password.then_some(PASSWORD);
        if door.paired && level & 1 == 0 {
            target.early_key = Some(EARLY_KEY);
        }
        target.counter = u64::from(self.numbers);
        target
    }
}

/// Makes a target one that no door opens to.
fn spoil(target: &mut Target, record: Record) {
    target.early_key = None;
    match record.level() % 4 {
        0 => target.password = None,
        1 => target.id = genkan_core::StaticKey::from_secret([record.level(); 32]).id(),
        _ => target.password = Some([record.level(); 32]),
    }
}
