//! What a NAT can be like: every behaviour a parameter, named as RFC 4787 and its successors do.
//!
//! A [`NatConfig`] is plain data. Its parts are independent of each other, so that combinations that
//! no vendor ships can be simulated too; [`presets`](super::presets) has those that exist, each with
//! its source.

use core::ops::RangeInclusive;
use core::time::Duration;

use super::lifetimes::Lifetimes;

/// Which packets from one inside address share a mapping (RFC 4787 section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mapping {
    /// One mapping for all destinations.
    EndpointIndependent,
    /// One mapping for each destination address, whatever its port.
    AddressDependent,
    /// One mapping for each destination address and port ("symmetric").
    AddressAndPortDependent,
}

/// Whom a NAT lets in through a mapping (RFC 4787 section 5). Independent of [`Mapping`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Filtering {
    /// Anybody.
    EndpointIndependent,
    /// Whoever was sent something from the mapping, from any port.
    AddressDependent,
    /// Whoever was sent something from the mapping, from just that port.
    AddressAndPortDependent,
}

/// When the external port is the inside port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preserve {
    /// Never on purpose.
    Never,
    /// For an inside address's first destination, when the port is free; RFC 6081's
    /// port-preserving symmetric NAT.
    First,
    /// Whenever the port is free.
    WhenFree,
}

/// How a port is found when it is not the inside port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// A counter moves on by `step` for each new mapping, around the ends of the range. With parity, a
    /// port of the wrong kind counts as the next one. A step that divides the range comes by the same
    /// ports on each lap; when all of them are in use, the counter goes over to those beside them.
    Sequential {
        /// ±1 to ±64, not 0.
        step: i16,
        /// Whom the counter belongs to.
        counter: Counter,
        /// A port in use is skipped; otherwise the packet is dropped and the counter has moved on, and
        /// with a step that divides the range most ports are never given out.
        skip_used: bool,
    },
    /// Drawn anew each time, until one is free.
    Random,
    /// Drawn once for each new mapping, then the next port and so on, `tries` times at most
    /// (Linux: 128). When those are taken and the range has more, the search starts anew with half as
    /// many tries, and so on until there are fewer than 16.
    RandomStart {
        /// How many ports are looked at first.
        tries: u32,
    },
}

/// Whom a sequential counter belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Counter {
    /// The whole box (each external address, each block); begins at the first port, or the last for
    /// a negative step.
    Global,
    /// Each inside host; begins anywhere.
    PerInside,
    /// Each destination address; begins anywhere.
    PerDestination,
}

/// Whether two mappings may have the same external port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// No: a port belongs to one inside address and port.
    Exclusive,
    /// Yes, as long as their destinations differ in address or port (Linux, pf).
    PerRemote,
    /// Yes, and the later mapping takes the inbound traffic ("port overloading", which RFC 4787
    /// REQ-3 forbids).
    Overloading,
}

/// Which ports of [`NatConfig::ports`] an inside host may have (carrier-grade NAT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocks {
    /// All.
    None,
    /// Contiguous blocks of `size` ports, assigned in a drawn order; up to `most` for each inside
    /// host (RFC 7422, Nokia).
    Contiguous {
        /// Ports in a block.
        size: u16,
        /// Blocks for one inside host.
        most: u16,
    },
    /// The ports that agree with a value drawn for the host in the bits set in `mask`
    /// (RFC 6431 section 2.1).
    Masked {
        /// The bits that are fixed.
        mask: u16,
    },
    /// `size` ports drawn from the whole range for each host (RFC 6431 section 2.2).
    Scattered {
        /// Ports for one host.
        size: u16,
    },
    /// The ports of a port-set id: `a` offset bits above it, `k` bits of id (MAP-E, RFC 7597
    /// section 5.1).
    PortSet {
        /// Offset bits; the ports whose offset bits are all 0 are left out.
        a: u8,
        /// Bits of the port-set id.
        k: u8,
    },
}

/// How external ports are given out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// When the inside port is kept.
    pub preserve: Preserve,
    /// How a port is found otherwise.
    pub pick: Pick,
    /// Even inside ports get even external ports, odd get odd (RFC 4787 REQ-4).
    pub parity: bool,
    /// Whether a port can be in use twice.
    pub sharing: Sharing,
    /// With [`Sharing::PerRemote`]: a new mapping takes a port that the same inside address and port
    /// has for another destination, where that is free towards the new one; in effect
    /// endpoint-independent until there is a conflict (Linux `find_appropriate_src`).
    pub reuse: bool,
}

/// Mapping, filtering and allocation together, so that a NAT can change them on a conflict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behaviour {
    /// Which packets share a mapping.
    pub mapping: Mapping,
    /// Whom it lets in.
    pub filtering: Filtering,
    /// How it gives out ports.
    pub allocation: Allocation,
}

/// What keeps a mapping alive. Outbound packets always do (RFC 4787 REQ-6), except a TCP RST; ICMP
/// errors never do, either way (RFC 7857 section 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refresh {
    /// Inbound packets that are let in, except a TCP RST. Whoever comes in lets nobody else in, nor
    /// himself for longer if nothing was sent to him.
    pub inbound: bool,
    /// Inbound packets that the filter rejects (wrong: RFC 7857 section 7).
    pub rejected: bool,
}

/// Whether and how inside hosts reach each other by the external address (RFC 4787 REQ-9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hairpin {
    /// Not at all.
    None,
    /// The packet arrives with the inside source address.
    InternalSource,
    /// The packet arrives with the external source address and port.
    ExternalSource,
    /// As [`Hairpin::ExternalSource`], for forwards and leases only: what goes to one, and what its owner
    /// answers. Anything else is for the box itself, which refuses it by ICMP or an RST (OpenWrt's
    /// reflection, with `reflection_src` set to `external`).
    Forwards,
}

/// How a mapping gets one of several external addresses (RFC 4787 REQ-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pooling {
    /// An inside host keeps the address that it was given first, until that has no port left.
    Paired,
    /// Drawn for each mapping.
    Arbitrary,
    /// Each destination address has its own ("address-symmetric", RFC 6081).
    PerDestination,
}

/// What happens when there is no room for another mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    /// The packet is dropped.
    Drop,
    /// The mapping that was idle longest goes; but where ports are short and
    /// [`NatConfig::hold_down`] would keep its own from being given out, the packet is dropped.
    EvictOldest,
    /// No new mapping for the whole house for so long ([`Refusal::Closed`](super::Refusal::Closed)).
    LockOut(Duration),
    /// The box crashes: all mappings go, and nothing passes for so long.
    Crash(Duration),
}

/// How many mappings there may be. `None`: as many as there are ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// For each inside host (RFC 6888 REQ-4).
    pub per_inside: Option<usize>,
    /// In all.
    pub total: Option<usize>,
    /// New ones for each inside host within any second (RFC 6888 REQ-4c). Too many are dropped, not
    /// made room for, with [`Overflow::EvictOldest`] too.
    pub rate: Option<u32>,
    /// What becomes of what is too much.
    pub overflow: Overflow,
}

/// What becomes of an inbound packet that no mapping or filter lets in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsolicited {
    /// Nothing.
    Drop,
    /// The sender gets an ICMP destination unreachable.
    Icmp,
    /// The sender is told at once: by ICMP for UDP, by an RST for TCP (OpenWrt).
    Reject,
    /// The sender of a TCP SYN gets an RST after so long (RFC 5382 REQ-4 wants 6 s), unless an
    /// outbound SYN came meanwhile ([`Nat::admits`](super::Nat::admits) says so); else it is dropped.
    Reset(Duration),
    /// The packet is taken for the box's own and occupies its port towards the sender, so that a
    /// later outbound flow there gets another port (Linux without a rule that drops such packets).
    /// UDP is answered with ICMP, TCP with an RST.
    Occupy,
    /// Everything from the sender's address is dropped for so long.
    BlockRemote(Duration),
    /// Everything to the port is dropped for so long.
    BlockPort(Duration),
}

/// What the other users of the box do: their mappings move counters on and use up ports.
///
/// Several external addresses share the rates. With [`Blocks`], each inside host has others beside it
/// that use its first block, at these rates. Ports are used up with [`Sharing::Exclusive`] only: else
/// the others' destinations are taken to be other ones. A mapping uses its port for UDP and TCP. Where
/// TCP has a behaviour of its own ([`NatConfig::tcp_behaviour`]), every other one behaves so; those whose
/// wanted port is taken go on as [`NatConfig::on_conflict`] says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Foreign {
    /// New mappings a second, at random times.
    pub rate: f64,
    /// Bursts a second, at random times.
    pub bursts: f64,
    /// Mean size of a burst (geometric).
    pub burst_size: f64,
    /// How long each mapping stays.
    pub stay: Duration,
}

/// Whether and how the box forwards ports on request (RFC 6886, RFC 6887).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leases {
    /// It speaks NAT-PMP.
    pub nat_pmp: bool,
    /// It speaks PCP.
    pub pcp: bool,
    /// The longest lifetime that it grants.
    pub longest: Duration,
    /// How many it grants.
    pub most: usize,
}

/// Whether addresses are changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Translation {
    /// Addresses and ports are (NAPT; also NAT66 with ports).
    AddressAndPort,
    /// Nothing is: a stateful firewall (RFC 6092). Mappings keep the inside address and port.
    None,
}

/// How a [`Nat`](super::Nat) behaves.
#[derive(Clone, PartialEq, Debug)]
pub struct NatConfig {
    /// Whether it changes addresses.
    pub translation: Translation,
    /// Mapping, filtering, allocation.
    pub behaviour: Behaviour,
    /// Instead of it, for TCP.
    pub tcp_behaviour: Option<Behaviour>,
    /// What it does instead for an inside address and port whose wanted port was taken by another
    /// (RFC 4787 section 8), and instead of that, and so on; until the inside address and port has no
    /// mapping left.
    pub on_conflict: Vec<Behaviour>,
    /// The external ports.
    pub ports: RangeInclusive<u16>,
    /// A random port is looked for in its inside port's class: 1 to 511, 600 to 1023, or from 1024 on
    /// (Linux). With [`Blocks::None`].
    pub port_classes: bool,
    /// Which of them one inside host may have.
    pub blocks: Blocks,
    /// The size of a host's second and further blocks, with [`Blocks::Contiguous`], when it is not
    /// that of the first: from 1 to that (Nokia: "extended port blocks").
    pub extension: Option<u16>,
    /// How addresses of a pool are given out.
    pub pooling: Pooling,
    /// A port is not given out again for this long (RFC 6888 REQ-8: 120 s).
    pub hold_down: Duration,
    /// How long mappings live.
    pub lifetimes: Lifetimes,
    /// What keeps them alive.
    pub refresh: Refresh,
    /// How inside hosts reach each other by the outside address.
    pub hairpin: Hairpin,
    /// How long a hairpin takes on top.
    pub hairpin_delay: Duration,
    /// How many mappings there may be.
    pub limits: Limits,
    /// What becomes of uninvited packets.
    pub unsolicited: Unsolicited,
    /// An ICMP error for a mapping takes the mapping away (wrong: RFC 4787 REQ-10).
    pub icmp_ends_mapping: bool,
    /// Other users.
    pub foreign: Option<Foreign>,
    /// Port forwarding on request.
    pub leases: Option<Leases>,
    /// Inside addresses within payloads are rewritten (RFC 8445 section 18.5).
    pub rewrites_payload: bool,
    /// TCP segments that are out of place in their connection, as an inbound SYN within an established
    /// one, do not pass (Linux's `INVALID`; outwards they would leave untranslated, and get nowhere).
    pub tcp_strict: bool,
    /// UDP passes.
    pub udp: bool,
    /// TCP passes.
    pub tcp: bool,
    /// Routers from the inside network up to and including this box: a packet with no larger hop
    /// limit ends before it has made a mapping.
    pub hops: u8,
}
