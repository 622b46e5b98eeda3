//! NAT boxes and stateful firewalls: what they do with one packet, for themselves.
//!
//! A [`Nat`] is a pure state machine like the protocol's own: it is told the time and the addresses
//! of a packet, and answers with the translated address or a [`Refusal`]. The simulated network
//! drives it; so can a test, packet by packet. Times never go back. All chance comes from the box's
//! own generator.
//!
//! An outbound packet looks for a forward or lease of its source, then for a mapping, and else makes
//! one: limits, address, port (`allocate`). An inbound packet looks for the same by the external
//! address, then passes the filter or suffers what [`Unsolicited`] says (`inbound`). What stands is
//! in `table`, how long in `life` and `lifetimes`; what other users of the box do is worked out only when a port is
//! given out (`foreign`). Port forwarding on request is in `leases` (the rules), `nat_pmp` and `pcp`
//! (the bytes). [`presets`] has boxes that exist.

mod allocate;
mod blocks;
mod check;
mod config;
mod defaults;
mod fixed;
mod foreign;
mod hairpin;
mod inbound;
mod leases;
mod life;
mod lifetimes;
mod nat_pmp;
mod pcp;
mod ports;
pub mod presets;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod timed;
mod used;

use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use self::blocks::{Place, Space};
pub use self::check::NatFault;
pub use self::config::{
    Allocation, Behaviour, Blocks, Counter, Filtering, Foreign, Hairpin, Leases, Limits, Mapping,
    NatConfig, Overflow, Pick, Pooling, Preserve, Refresh, Sharing, Translation, Unsolicited,
};
use self::fixed::{Fixed, any};
pub use self::leases::CONTROL_PORT;
use self::life::{Rules, Way};
pub use self::lifetimes::{Lifetimes, TcpLifetimes};
use self::ports::Unassigned;
pub(crate) use self::ports::port_set;
use self::table::{Id, Table};
use self::timed::Timed;
use self::used::Held;
use crate::rng::Rng;

/// Which transport a packet uses: each has mappings of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Proto {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// What a NAT looks at in a packet besides its addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// A UDP datagram.
    Udp,
    /// A TCP segment with SYN and without ACK.
    Syn,
    /// A TCP segment with SYN and ACK.
    SynAck,
    /// Any other TCP segment.
    Segment,
    /// A TCP segment with FIN.
    Fin,
    /// A TCP segment with RST.
    Rst,
}

impl Flow {
    /// The transport that it belongs to.
    #[must_use]
    pub const fn proto(self) -> Proto {
        match self {
            Self::Udp => Proto::Udp,
            _ => Proto::Tcp,
        }
    }
}

/// Why a packet does not pass, and what its sender hears of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No port is free, or a limit is reached.
    Full,
    /// Nothing is mapped there.
    NoMapping,
    /// The filter does not let the sender in.
    Filtered,
    /// The box lets nothing of this transport pass, is down after a crash, or makes no new mappings
    /// for a while.
    Closed,
    /// As [`Refusal::NoMapping`] or [`Refusal::Filtered`], and the box tells the sender by ICMP.
    Icmp,
    /// As [`Refusal::NoMapping`] or [`Refusal::Filtered`], and the sender gets a TCP RST after this
    /// long. Whoever drives the box waits and asks [`Nat::admits`] then: when that says yes, an
    /// outbound SYN came meanwhile and the sender hears nothing (RFC 5382 REQ-4).
    Reset(Duration),
}

/// A packet that turns round within the box.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turned {
    /// Its source as the receiver sees it.
    pub source: SocketAddr,
    /// Its receiver's inside address.
    pub to: SocketAddr,
    /// How long the turn takes.
    pub delay: Duration,
}

/// One NAT box.
#[derive(Debug)]
pub struct Nat {
    external: Vec<IpAddr>,
    config: NatConfig,
    rng: Rng,
    crowd_rng: Rng,
    salt: u64,
    /// The latest time that it was told.
    clock: Duration,
    table: Table,
    fixed: Fixed,
    /// What `spaces` and `unassigned` were made for.
    layout: (RangeInclusive<u16>, Blocks),
    spaces: BTreeMap<Place, Vec<Space>>,
    unassigned: BTreeMap<IpAddr, Unassigned>,
    /// The external address of each inside host, for IPv4 (`true`) and IPv6.
    paired: BTreeMap<(IpAddr, bool), IpAddr>,
    /// How often an inside address and port had a conflict.
    levels: BTreeMap<(Proto, SocketAddr), usize>,
    /// When each inside host got its last mappings.
    recent: BTreeMap<IpAddr, VecDeque<Duration>>,
    held: Held,
    occupied: Timed<(Proto, SocketAddr, SocketAddr)>,
    blocked_remotes: Timed<IpAddr>,
    blocked_ports: Timed<(Proto, SocketAddr)>,
    locked_until: Duration,
    closed_until: Duration,
    /// When it last lost its leases; `None`: before the next packet.
    epoch: Option<Duration>,
}

impl Nat {
    /// A NAT without mappings. A firewall ([`Translation::None`]) needs no `external` address.
    #[must_use]
    pub fn new(external: &[IpAddr], config: NatConfig, mut rng: Rng) -> Self {
        let salt = rng.fork("pooling").next_u64();
        // One step, so that boxes with related seeds do not share numbers.
        let crowd_rng = rng.fork("foreign traffic");
        let _ = rng.next_u64();
        Self {
            external: external.to_vec(),
            layout: (config.ports.clone(), config.blocks),
            config,
            rng,
            crowd_rng,
            salt,
            clock: Duration::ZERO,
            table: Table::default(),
            fixed: Fixed::default(),
            spaces: BTreeMap::new(),
            unassigned: BTreeMap::new(),
            paired: BTreeMap::new(),
            levels: BTreeMap::new(),
            recent: BTreeMap::new(),
            held: Held::default(),
            occupied: Timed::new(),
            blocked_remotes: Timed::new(),
            blocked_ports: Timed::new(),
            locked_until: Duration::ZERO,
            closed_until: Duration::ZERO,
            epoch: Some(Duration::ZERO),
        }
    }

    /// Its addresses on the outside.
    #[must_use]
    pub fn external(&self) -> &[IpAddr] {
        &self.external
    }

    /// Its settings, to look at or change; mappings that stand are not moved. Other ports or blocks
    /// mean that every inside host gets its ports anew. Not checked ([`NatConfig::check`]).
    pub const fn config_mut(&mut self) -> &mut NatConfig {
        &mut self.config
    }

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &NatConfig {
        &self.config
    }

    /// Mappings, leases, assigned blocks and everything else that it remembers are gone, and the
    /// epoch of NAT-PMP and PCP starts again with the next packet. Forwards stay. Counters stand
    /// where they stood, so that the same inside address hardly gets the same port again.
    pub fn reboot(&mut self) {
        self.table.clear();
        self.fixed.drop_leases();
        if self.layout.1 == Blocks::None {
            for space in self.spaces.values_mut().flatten() {
                space.crowd.clear();
            }
        } else {
            self.spaces.clear();
            self.unassigned.clear();
        }
        self.paired.clear();
        self.levels.clear();
        self.recent.clear();
        self.held.clear();
        self.occupied.clear();
        self.blocked_remotes.clear();
        self.blocked_ports.clear();
        self.locked_until = Duration::ZERO;
        self.epoch = None;
    }

    /// It gets other addresses on the outside and reboots.
    pub fn renumber(&mut self, external: &[IpAddr]) {
        self.external = external.to_vec();
        self.spaces.clear();
        self.unassigned.clear();
        self.reboot();
    }

    /// The next packet out from `inside` makes a new mapping, while those that stand still let packets
    /// in until they die.
    pub fn remap(&mut self, inside: SocketAddr) {
        self.table.retire(Proto::Udp, inside);
        self.table.retire(Proto::Tcp, inside);
    }

    /// Somebody sets up that what comes to `port` of the first external address of `inside`'s family (of
    /// a firewall: of the inside address) goes to `inside`, whoever sent it; and the other way round, that
    /// `inside` sends from there. Stands until [`Nat::unforward`].
    ///
    /// # Panics
    /// When a firewall is to forward to another port.
    pub fn forward(&mut self, proto: Proto, port: u16, inside: SocketAddr) {
        let keeps = self.config.translation == Translation::None;
        assert!(!keeps || port == inside.port(), "a firewall changes no port: {port} to {inside}");
        self.fixed.forward(proto, self.entry(SocketAddr::new(inside.ip(), port)), inside);
    }

    /// Takes every [`Nat::forward`] of this port back.
    pub fn unforward(&mut self, proto: Proto, port: u16) {
        self.fixed.unforward(proto, |at| at.port() == port);
    }

    /// How many mappings stand, leases and forwards not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no mapping stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The external address of `inside` towards `to`, when it is mapped.
    #[must_use]
    pub fn mapped(&self, proto: Proto, inside: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        self.fixed_out(proto, inside)
            .or_else(|| Some(self.table.get(self.table.flow(proto, inside, to)?)?.external))
    }

    /// Translates the source of a packet on its way out.
    ///
    /// # Errors
    /// [`Refusal`]: it does not pass.
    pub fn outbound(
        &mut self,
        now: Duration,
        flow: Flow,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Refusal> {
        let proto = flow.proto();
        self.begin(now, proto)?;
        if let Some(external) = self.fixed_out(proto, inside) {
            return Ok(external);
        }
        let id = match self.table.flow(proto, inside, to) {
            Some(id) => id,
            None => match flow {
                Flow::Udp | Flow::Syn | Flow::Segment => self.open(now, proto, inside, to)?,
                Flow::SynAck | Flow::Fin | Flow::Rst => return Err(Refusal::NoMapping),
            },
        };
        let rules = rules(&self.config, &self.table);
        if !self.table.pass(id, rules, now, Way::Out, (flow, true), to) {
            return Err(Refusal::Filtered);
        }
        self.table.get(id).map(|entry| entry.external).ok_or(Refusal::NoMapping)
    }

    /// Time has come to `now`: what is dead goes. Says whether packets of this transport pass.
    fn begin(&mut self, now: Duration, proto: Proto) -> Result<(), Refusal> {
        self.advance(now);
        let passes = match proto {
            Proto::Udp => self.config.udp,
            Proto::Tcp => self.config.tcp,
        };
        if passes && now >= self.closed_until { Ok(()) } else { Err(Refusal::Closed) }
    }

    fn advance(&mut self, now: Duration) {
        self.clock = self.clock.max(now);
        self.epoch.get_or_insert(now);
        while let Some(entry) = self.table.take_dead(now) {
            self.bury(entry.life.until(), &entry);
        }
        self.held.expire(now);
    }

    /// How an inside address and port is treated, and after how many conflicts.
    fn behaviour(&self, proto: Proto, inside: SocketAddr) -> (usize, &Behaviour) {
        let config = &self.config;
        let level = self.levels.get(&(proto, inside)).copied().unwrap_or(0);
        if let Some(instead) = level.checked_sub(1).and_then(|i| config.on_conflict.get(i)) {
            return (level, instead);
        }
        match (&config.tcp_behaviour, proto) {
            (Some(behaviour), Proto::Tcp) => (level, behaviour),
            _ => (level, &config.behaviour),
        }
    }

    /// The external address on which forwards and leases for an inside address are.
    fn home(&self, inside: SocketAddr) -> Option<IpAddr> {
        if self.config.translation == Translation::None {
            return Some(inside.ip());
        }
        self.external.iter().copied().find(|address| address.is_ipv4() == inside.is_ipv4())
    }

    /// As what [`Fixed`] knows a place that forwards are at.
    fn entry(&self, at: SocketAddr) -> SocketAddr {
        if self.config.translation == Translation::None { at } else { any(at) }
    }

    /// What `inside` sends from by a forward or a lease.
    fn fixed_out(&self, proto: Proto, inside: SocketAddr) -> Option<SocketAddr> {
        if let Some(port) = self.fixed.forwarded_for(proto, inside) {
            return Some(SocketAddr::new(self.home(inside)?, port));
        }
        self.fixed.leased_for(self.clock, proto, inside)
    }
}

/// What lifetimes are at this moment.
fn rules<'c>(config: &'c NatConfig, table: &Table) -> Rules<'c> {
    let lifetimes = &config.lifetimes;
    let divisor = match lifetimes.shortened_above {
        Some((most, divisor)) if table.len() > most => divisor,
        _ => 1,
    };
    Rules { lifetimes, divisor, strict: config.tcp_strict }
}
