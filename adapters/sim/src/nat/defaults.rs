//! What a NAT is like when nothing else is said.

use core::time::Duration;

use super::config::{
    Allocation, Behaviour, Blocks, Counter, Filtering, Hairpin, Limits, Mapping, NatConfig,
    Overflow, Pick, Pooling, Preserve, Refresh, Sharing, Translation, Unsolicited,
};
use super::lifetimes::Lifetimes;

impl Behaviour {
    /// With these, ports one after the other.
    #[must_use]
    pub const fn new(mapping: Mapping, filtering: Filtering) -> Self {
        let pick = Pick::Sequential { step: 1, counter: Counter::Global, skip_used: true };
        let allocation = Allocation {
            preserve: Preserve::Never,
            pick,
            parity: false,
            sharing: Sharing::Exclusive,
            reuse: false,
        };
        Self { mapping, filtering, allocation }
    }
}

impl NatConfig {
    /// A box with this mapping and filtering that is otherwise as the default.
    #[must_use]
    pub fn new(mapping: Mapping, filtering: Filtering) -> Self {
        Self { behaviour: Behaviour::new(mapping, filtering), ..Self::default() }
    }
}

impl Default for NatConfig {
    /// A common home router: endpoint-independent mapping, port-restricted, ports from 20000 one
    /// after the other, 120 s for UDP, no hairpin, one hop away.
    fn default() -> Self {
        Self {
            translation: Translation::AddressAndPort,
            behaviour: Behaviour::new(
                Mapping::EndpointIndependent,
                Filtering::AddressAndPortDependent,
            ),
            tcp_behaviour: None,
            on_conflict: Vec::new(),
            ports: 20_000..=65_535,
            port_classes: false,
            blocks: Blocks::None,
            extension: None,
            pooling: Pooling::Paired,
            hold_down: Duration::ZERO,
            lifetimes: Lifetimes::udp(Duration::from_secs(120)),
            refresh: Refresh { inbound: false, rejected: false },
            hairpin: Hairpin::None,
            hairpin_delay: Duration::ZERO,
            limits: Limits { per_inside: None, total: None, rate: None, overflow: Overflow::Drop },
            unsolicited: Unsolicited::Drop,
            icmp_ends_mapping: false,
            foreign: None,
            leases: None,
            rewrites_payload: false,
            tcp_strict: false,
            udp: true,
            tcp: true,
            hops: 1,
        }
    }
}
