//! NATs of this process between tun devices, as real sockets see them: what the settings say, and
//! every packet unharmed.
#![cfg(target_os = "linux")]

mod allocation;
mod ends;
mod filtering;
mod packets;
mod punching;
mod time;

use genkan_sim::NatConfig;
use genkan_sim::nat::{Counter, Filtering, Mapping, Pick, Preserve};

const APDF: Filtering = Filtering::AddressAndPortDependent;
const APDM: Mapping = Mapping::AddressAndPortDependent;

/// A box with a port for each destination, found so.
fn picking(pick: Pick) -> NatConfig {
    let mut config = NatConfig::new(APDM, APDF);
    config.behaviour.allocation.preserve = Preserve::Never;
    config.behaviour.allocation.pick = pick;
    config
}

/// A box whose counter goes on by `step` for each destination.
fn counting(step: i16) -> NatConfig {
    picking(Pick::Sequential { step, counter: Counter::Global, skip_used: true })
}
