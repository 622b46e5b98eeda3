//! Boxes that exist, each with its source. [`ALL`] has them by name.

use core::ops::RangeInclusive;
use core::time::Duration;

use super::config::{
    Allocation, Behaviour, Blocks, Counter, Filtering, Foreign, Hairpin, Leases, Limits, Mapping,
    NatConfig, Overflow, Pick, Pooling, Preserve, Refresh, Sharing, Translation, Unsolicited,
};
use super::lifetimes::{Lifetimes, TcpLifetimes};

use Filtering as F;
use Mapping as M;

pub use super::sources::source;

/// Makes the settings of a box.
pub type Preset = fn() -> NatConfig;

/// Every preset by its name.
pub const ALL: [(&str, Preset); 29] = [
    ("linux-masquerade", linux_masquerade),
    ("linux-masquerade-random", linux_masquerade_random),
    ("linux-masquerade-fully-random", linux_masquerade_fully_random),
    ("linux-masquerade-no-wan-drop", linux_masquerade_no_wan_drop),
    ("linux-masquerade-range", || linux_masquerade_range(40_000..=40_999)),
    ("linux-snat-sequential", || linux_snat_sequential(40_000..=40_999)),
    ("linux-flow-offload", linux_flow_offload),
    ("pf", pf),
    ("pfsense", pfsense),
    ("openwrt", openwrt),
    ("full-cone", full_cone),
    ("address-restricted", address_restricted),
    ("port-restricted", port_restricted),
    ("rfc4787", rfc4787),
    ("nokia-cgn", nokia_cgn),
    ("map-e", map_e),
    ("hostile-cgn", hostile_cgn),
    ("gcp-cloud-nat", gcp_cloud_nat),
    ("cellular", cellular),
    ("rfc6092-firewall", rfc6092_firewall),
    ("rfc6081-cone", || rfc6081_kind(0)),
    ("rfc6081-address-restricted", || rfc6081_kind(1)),
    ("rfc6081-port-restricted", || rfc6081_kind(2)),
    ("rfc6081-upnp-port-restricted", || rfc6081_kind(3)),
    ("rfc6081-upnp-port-symmetric", || rfc6081_kind(4)),
    ("rfc6081-port-preserving-port-symmetric", || rfc6081_kind(5)),
    ("rfc6081-sequential-port-symmetric", || rfc6081_kind(6)),
    ("rfc6081-port-symmetric", || rfc6081_kind(7)),
    ("rfc6081-address-symmetric", || rfc6081_kind(8)),
];

/// The preset of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<NatConfig> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, preset)| preset())
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Mapping and filtering, with ports kept where they are free and else drawn.
fn behaviour(mapping: Mapping, filtering: Filtering, preserve: Preserve, pick: Pick) -> Behaviour {
    let sharing = Sharing::Exclusive;
    let allocation = Allocation { preserve, pick, parity: false, sharing, reuse: false };
    Behaviour { mapping, filtering, allocation }
}

const LINUX_PICK: Pick = Pick::RandomStart { tries: 128 };

/// Linux nftables or iptables `masquerade` with a rule that drops what comes in uninvited from the
/// wide area network, and conntrack's defaults.
///
/// One entry for each flow. The source port stays while the flow's answers can be told from all
/// others; else a draw and the next 127, from 1024 up for ports from 1024 up. A further flow of the
/// same source takes the same port where it can: endpoint-independent in effect. (`nf_nat_core.c`:
/// `get_unique_tuple`, `find_appropriate_src`, `nf_nat_l4proto_unique_tuple`.) UDP lives 30 s, and
/// 120 s once it was answered and is still in use more than 2 s after its first packet
/// (`nf_conntrack_proto_udp.c`); TCP as [`TcpLifetimes::linux`].
#[must_use]
pub fn linux_masquerade() -> NatConfig {
    NatConfig {
        behaviour: Behaviour {
            mapping: M::AddressAndPortDependent,
            filtering: F::AddressAndPortDependent,
            allocation: Allocation {
                preserve: Preserve::WhenFree,
                pick: LINUX_PICK,
                parity: false,
                sharing: Sharing::PerRemote,
                reuse: true,
            },
        },
        ports: 1..=65_535,
        port_classes: true,
        lifetimes: Lifetimes {
            udp_initial: secs(30),
            udp_stream_after: secs(2),
            tcp: TcpLifetimes::linux(),
            ..Lifetimes::udp(secs(120))
        },
        refresh: Refresh { inbound: true, rejected: false },
        tcp_strict: true,
        ..NatConfig::default()
    }
}

/// Linux `masquerade random`: each flow gets a drawn port, and none is used again for the sake of the
/// source. Kernels since 5.0 take the same way for `random` and `fully-random`
/// (`nf_nat_core.c`: `NF_NAT_RANGE_PROTO_RANDOM_ALL`).
#[must_use]
pub fn linux_masquerade_random() -> NatConfig {
    let mut config = linux_masquerade();
    config.behaviour.allocation.preserve = Preserve::Never;
    config.behaviour.allocation.reuse = false;
    config
}

/// Linux `masquerade fully-random`: as [`linux_masquerade_random`].
#[must_use]
pub fn linux_masquerade_fully_random() -> NatConfig {
    linux_masquerade_random()
}

/// Linux `masquerade` without a rule that drops uninvited packets: conntrack makes an entry for
/// them, and the kernel answers with ICMP port unreachable or RST.
#[must_use]
pub fn linux_masquerade_no_wan_drop() -> NatConfig {
    NatConfig { unsolicited: Unsolicited::Occupy, ..linux_masquerade() }
}

/// Linux `masquerade to :FIRST-LAST`: a port outside of the range is not kept.
#[must_use]
pub fn linux_masquerade_range(ports: RangeInclusive<u16>) -> NatConfig {
    NatConfig { ports, port_classes: false, ..linux_masquerade() }
}

/// Linux `snat to ADDRESS : numgen inc mod N offset FIRST`: each flow gets the next port.
#[must_use]
pub fn linux_snat_sequential(ports: RangeInclusive<u16>) -> NatConfig {
    let mut config = linux_masquerade_random();
    config.behaviour.allocation.pick =
        Pick::Sequential { step: 1, counter: Counter::Global, skip_used: false };
    NatConfig { ports, port_classes: false, ..config }
}

/// Linux `masquerade` with flow offload: an answered UDP flow is in the flow table until it was idle for
/// 30 s (`nf_flowtable_udp_timeout`) and then conntrack's for what those leave of the 120 s
/// (`nf_flow_table_core.c`: `flow_offload_fixup_ct`). With its first answer a flow is offloaded and
/// replied for good, so that no 2 s count. Kernels before 5.14 gave it back for 30 s instead of 90.
/// For TCP the same sums make conntrack's own times.
#[must_use]
pub fn linux_flow_offload() -> NatConfig {
    let mut config = linux_masquerade();
    config.lifetimes.udp_replied = secs(30 + 90);
    config.lifetimes.udp_stream_after = Duration::ZERO;
    config
}

/// OpenBSD's pf, `nat-to` without `static-port`: a state for each flow, ports from 50001 up from a
/// drawn one on (`pf_lb.c`: `pf_get_sport`), UDP 60 s, 30 s and 60 s (pf.conf: `udp.first`,
/// `udp.single`, `udp.multiple`), TCP as [`TcpLifetimes::pf`].
#[must_use]
pub fn pf() -> NatConfig {
    let mut config = linux_masquerade_random();
    config.behaviour.allocation.pick = Pick::RandomStart { tries: u32::MAX };
    config.lifetimes = Lifetimes {
        udp_single: Some(secs(30)),
        tcp: TcpLifetimes::pf(),
        // States are purged every 10 s (pf.conf, `interval`).
        sweep: secs(10),
        ..Lifetimes::udp(secs(60))
    };
    NatConfig { ports: 50_001..=65_535, port_classes: false, tcp_strict: false, ..config }
}

/// pfSense: pf with outbound ports from 1024 up, and NAT-PMP and PCP by miniupnpd where switched on.
#[must_use]
pub fn pfsense() -> NatConfig {
    let leases = Leases { nat_pmp: true, pcp: true, longest: secs(86_400), most: 1_024 };
    NatConfig { ports: 1_024..=65_535, leases: Some(leases), ..pf() }
}

/// OpenWrt as delivered (fw4): Linux `masquerade`, the wide area zone rejects uninvited packets by
/// ICMP or RST before conntrack keeps them, and inside hosts reach forwards by the outer address from
/// it.
#[must_use]
pub fn openwrt() -> NatConfig {
    NatConfig { unsolicited: Unsolicited::Reject, hairpin: Hairpin::Forwards, ..linux_masquerade() }
}

/// A home router of the given filtering (RFC 3489's cones). The least times that are allowed: 120 s for
/// UDP (RFC 4787 REQ-5), 240 s and 7440 s for TCP (RFC 5382 REQ-5). That ports are kept where they are
/// free, else drawn, and lie from 1024 up is chosen.
fn home(filtering: Filtering) -> NatConfig {
    let pick = Pick::Random;
    let behaviour = behaviour(M::EndpointIndependent, filtering, Preserve::WhenFree, pick);
    NatConfig { behaviour, ports: 1_024..=65_535, ..NatConfig::default() }
}

/// A "full cone" home router as RFC 3489 section 5 defines it.
#[must_use]
pub fn full_cone() -> NatConfig {
    home(F::EndpointIndependent)
}

/// An address-restricted home router as RFC 3489 section 5 defines it.
#[must_use]
pub fn address_restricted() -> NatConfig {
    home(F::AddressDependent)
}

/// A port-restricted home router as RFC 3489 section 5 defines it, the most common kind.
#[must_use]
pub fn port_restricted() -> NatConfig {
    home(F::AddressAndPortDependent)
}

/// A model citizen: RFC 4787, RFC 5382 and RFC 6887 followed, the recommendations too.
#[must_use]
pub fn rfc4787() -> NatConfig {
    let mut config = home(F::EndpointIndependent);
    config.behaviour.allocation.parity = true;
    config.lifetimes = Lifetimes::udp(secs(300));
    NatConfig {
        refresh: Refresh { inbound: true, rejected: false },
        hairpin: Hairpin::ExternalSource,
        unsolicited: Unsolicited::Reset(secs(6)),
        leases: Some(Leases { nat_pmp: true, pcp: true, longest: secs(7_200), most: 256 }),
        ..config
    }
}

/// A carrier's NAT like Nokia's 7750 with large-scale NAT: endpoint-independent both ways, UDP 15 s
/// until answered and 5 min then (product documentation, NAT timeouts), a block of 1000 ports for each
/// subscriber and up to three extensions of 335, ports held for 120 s.
#[must_use]
pub fn nokia_cgn() -> NatConfig {
    let mut config = home(F::EndpointIndependent);
    config.behaviour.allocation.preserve = Preserve::Never;
    config.lifetimes = Lifetimes { udp_initial: secs(15), ..Lifetimes::udp(secs(300)) };
    NatConfig {
        blocks: Blocks::Contiguous { size: 1_000, most: 4 },
        extension: Some(335),
        hold_down: secs(120),
        hops: 4,
        hairpin: Hairpin::ExternalSource,
        ..config
    }
}

/// A customer's box under MAP-E with 16 offset values and 256 port sets: 240 ports in 15 runs of 16
/// (RFC 7597 section 5.1), on Linux.
#[must_use]
pub fn map_e() -> NatConfig {
    NatConfig {
        blocks: Blocks::PortSet { a: 4, k: 8 },
        ports: 1_024..=65_535,
        port_classes: false,
        ..linux_masquerade()
    }
}

/// A carrier's NAT as bad as they are found: a drawn port for each destination and port, 30 s, few
/// mappings, addresses from a pool at random, much traffic of others.
#[must_use]
pub fn hostile_cgn() -> NatConfig {
    let edm = M::AddressAndPortDependent;
    NatConfig {
        behaviour: behaviour(edm, F::AddressAndPortDependent, Preserve::Never, Pick::Random),
        ports: 1_024..=65_535,
        pooling: Pooling::Arbitrary,
        hold_down: secs(120),
        lifetimes: Lifetimes::udp(secs(30)),
        limits: Limits {
            per_inside: Some(512),
            total: None,
            rate: Some(100),
            overflow: Overflow::Drop,
        },
        foreign: Some(Foreign { rate: 270.0, bursts: 0.0, burst_size: 1.0, stay: secs(30) }),
        hops: 6,
        ..NatConfig::default()
    }
}

/// Google Cloud NAT with static port allocation: 64 ports for each machine, endpoint-independent
/// mapping, UDP 30 s, TCP 30 s and 20 min (Cloud NAT documentation, "Addresses and ports" and "NAT
/// timeouts"), ports held for 120 s.
#[must_use]
pub fn gcp_cloud_nat() -> NatConfig {
    let mut config = home(F::AddressAndPortDependent);
    config.behaviour.allocation.preserve = Preserve::Never;
    config.lifetimes =
        Lifetimes { tcp: TcpLifetimes::new(secs(30), secs(1_200)), ..Lifetimes::udp(secs(30)) };
    let blocks = Blocks::Contiguous { size: 64, most: 1 };
    NatConfig { blocks, hold_down: secs(120), hops: 2, ..config }
}

/// A mobile network: port-restricted, a pool of addresses with one for each subscriber, 65 s for UDP,
/// the median that Richter and others measured for cellular networks (IMC 2016), others' traffic.
#[must_use]
pub fn cellular() -> NatConfig {
    let mut config = home(F::AddressAndPortDependent);
    config.behaviour.allocation.preserve = Preserve::Never;
    config.lifetimes = Lifetimes::udp(secs(65));
    NatConfig {
        foreign: Some(Foreign { rate: 50.0, bursts: 1.0, burst_size: 4.0, stay: secs(65) }),
        hops: 5,
        ..config
    }
}

/// A home router's IPv6 firewall as RFC 6092 recommends: no translation, endpoint-independent mapping
/// (REC-11), address-dependent filtering unless transparency is what matters (REC-12), at least 2 min
/// for UDP (REC-14), ICMP for what is refused (REC-10).
#[must_use]
pub fn rfc6092_firewall() -> NatConfig {
    NatConfig {
        translation: Translation::None,
        behaviour: Behaviour::new(M::EndpointIndependent, F::AddressDependent),
        refresh: Refresh { inbound: true, rejected: false },
        unsolicited: Unsolicited::Icmp,
        ..NatConfig::default()
    }
}

/// The nine kinds of NAT in RFC 6081 Figure 1, in its order of rows and columns.
///
/// The UPnP kinds are given leases, by which a port can be had here (NAT-PMP and PCP; UPnP itself is
/// not simulated). An address-symmetric one has a mapping for each destination address, and takes the
/// external address by the destination where it has several (RFC 6081 section 2).
#[must_use]
pub fn rfc6081() -> [(&'static str, NatConfig); 9] {
    const NAMES: [&str; 9] = [
        "Cone",
        "Address restricted",
        "Port restricted",
        "UPnP Port-restricted",
        "UPnP Port-symmetric",
        "Port-preserving Port-symmetric",
        "Sequential Port-symmetric",
        "Port-symmetric",
        "Address-symmetric",
    ];
    core::array::from_fn(|kind| (NAMES[kind], rfc6081_kind(kind)))
}

pub(crate) fn rfc6081_kind(kind: usize) -> NatConfig {
    let next = Pick::Sequential { step: 1, counter: Counter::Global, skip_used: true };
    let (apdm, apdf) = (M::AddressAndPortDependent, F::AddressAndPortDependent);
    let (eim, never) = (M::EndpointIndependent, Preserve::Never);
    let behaviour = match kind {
        0 => behaviour(eim, F::EndpointIndependent, never, Pick::Random),
        1 => behaviour(eim, F::AddressDependent, never, Pick::Random),
        2 | 3 => behaviour(eim, apdf, never, Pick::Random),
        5 => behaviour(apdm, apdf, Preserve::First, Pick::Random),
        6 => behaviour(apdm, apdf, never, next),
        8 => behaviour(M::AddressDependent, F::AddressDependent, never, Pick::Random),
        _ => behaviour(apdm, apdf, never, Pick::Random),
    };
    let leases = Leases { nat_pmp: true, pcp: true, longest: secs(7_200), most: 256 };
    let leases = matches!(kind, 3 | 4).then_some(leases);
    let pooling = if kind == 8 { Pooling::PerDestination } else { Pooling::Paired };
    NatConfig { behaviour, leases, pooling, ports: 1_024..=65_535, ..NatConfig::default() }
}
