//! The simulated NAT that stands for each rule set.

use core::time::Duration;

use genkan_sim::nat::{
    Allocation, Behaviour, Counter, Filtering, Hairpin, Mapping, NatConfig, Pick, Preserve,
    Sharing, Translation, Unsolicited,
};

use crate::compare::Ports;
use crate::lab::Timeouts;
use crate::rules::Rules;

/// Its settings.
#[must_use]
pub fn config(rules: Rules, timeouts: Timeouts) -> NatConfig {
    let mut config = NatConfig {
        behaviour: Behaviour {
            mapping: Mapping::AddressAndPortDependent,
            filtering: Filtering::AddressAndPortDependent,
            allocation: Allocation {
                preserve: Preserve::WhenFree,
                pick: Pick::RandomStart { tries: 128 },
                parity: false,
                sharing: Sharing::PerRemote,
                reuse: true,
            },
        },
        ports: 1_024..=65_535,
        ..NatConfig::default()
    };
    config.lifetimes.udp_initial = timeouts.initial();
    config.lifetimes.udp_replied = timeouts.replied();
    config.lifetimes.udp_stream_after = Duration::from_secs(2);
    config.refresh.inbound = true;
    let behaviour = &mut config.behaviour;
    match rules {
        Rules::Plain | Rules::Persistent | Rules::Static => (),
        Rules::Range(first, last) => {
            config.ports = first..=last;
        }
        Rules::Random | Rules::FullyRandom => {
            behaviour.allocation.preserve = Preserve::Never;
            behaviour.allocation.reuse = false;
        }
        Rules::Sequential => {
            behaviour.allocation.preserve = Preserve::Never;
            behaviour.allocation.reuse = false;
            behaviour.allocation.pick =
                Pick::Sequential { step: 1, counter: Counter::Global, skip_used: false };
            config.ports = 50_000..=50_255;
        }
        Rules::FullCone(seconds) => cone(&mut config, Filtering::EndpointIndependent, seconds),
        Rules::AddressRestricted(seconds) => {
            cone(&mut config, Filtering::AddressDependent, seconds);
        }
        Rules::Hairpin => {
            cone(&mut config, Filtering::EndpointIndependent, 60);
            config.hairpin = Hairpin::ExternalSource;
        }
        Rules::Firewall => config.translation = Translation::None,
        Rules::Open => config.unsolicited = Unsolicited::Occupy,
    }
    config
}

/// The map's entries are what lives, and only outbound packets renew them.
fn cone(config: &mut NatConfig, filtering: Filtering, seconds: u32) {
    config.behaviour.filtering = filtering;
    let lifetime = Duration::from_secs(seconds.into());
    config.lifetimes.udp_initial = lifetime;
    config.lifetimes.udp_replied = lifetime;
    config.refresh.inbound = false;
}

/// How its ports are compared with the kernel's.
#[must_use]
pub fn ports(rules: Rules) -> Ports {
    match rules {
        Rules::Sequential => Ports::Exact,
        Rules::Range(first, last) => Ports::Drawn(first..=last),
        _ => Ports::Drawn(1_024..=65_535),
    }
}
