//! The simulated NAT that stands for each rule set.

use core::time::Duration;

use genkan_sim::nat::{Filtering, Hairpin, NatConfig, Translation, presets};

use crate::compare::Ports;
use crate::lab::Timeouts;
use crate::rules::Rules;

/// Its settings.
#[must_use]
pub fn config(rules: Rules, timeouts: Timeouts) -> NatConfig {
    let mut config = match rules {
        // Without a pool of addresses, `persistent` changes nothing.
        Rules::Plain | Rules::Persistent => presets::linux_masquerade(),
        Rules::Static => NatConfig { hairpin: Hairpin::Forwards, ..presets::linux_masquerade() },
        Rules::Range(first, last) => presets::linux_masquerade_range(first..=last),
        Rules::Random => presets::linux_masquerade_random(),
        Rules::FullyRandom => presets::linux_masquerade_fully_random(),
        Rules::Sequential => presets::linux_snat_sequential(50_000..=50_255),
        Rules::Open => presets::linux_masquerade_no_wan_drop(),
        Rules::Rejecting => presets::openwrt(),
        Rules::Firewall => {
            NatConfig { translation: Translation::None, ..presets::linux_masquerade() }
        }
        Rules::FullCone(_) | Rules::Hairpin => cone(Filtering::EndpointIndependent),
        Rules::AddressRestricted(_) => cone(Filtering::AddressDependent),
    };
    if rules == Rules::Hairpin {
        config.hairpin = Hairpin::ExternalSource;
    }
    config.lifetimes.udp_initial = timeouts.initial();
    config.lifetimes.udp_replied = timeouts.replied();
    config.lifetimes.tcp = timeouts.tcp;
    if let Rules::FullCone(seconds) | Rules::AddressRestricted(seconds) = rules {
        config.lifetimes.udp_initial = Duration::from_secs(seconds.into());
        config.lifetimes.udp_replied = config.lifetimes.udp_initial;
    }
    config
}

/// The map's entries are what lives, and only outbound packets renew them.
fn cone(filtering: Filtering) -> NatConfig {
    let mut config = presets::linux_masquerade();
    config.behaviour.filtering = filtering;
    config.refresh.inbound = false;
    config
}

/// How its ports are compared with the kernel's.
#[must_use]
pub fn ports(rules: Rules) -> Ports {
    match rules {
        Rules::Sequential => Ports::Exact,
        Rules::Range(first, last) => Ports::Kept(first..=last),
        Rules::Random | Rules::FullyRandom => Ports::Drawn(1..=65_535),
        _ => Ports::Kept(1..=65_535),
    }
}
