//! `genkan sim nats`: the boxes that can be simulated by name.

use core::time::Duration;

use genkan_sim::nat::presets;
use genkan_sim::nat::{
    Blocks, Counter, Filtering, Mapping, NatConfig, Pick, Preserve, Translation,
};
use serde_json::json;

use crate::exit::{Failure, Outcome};
use crate::output::{DIM, HEAD, KEY, Output};

/// List the NATs that are simulated by name, with what they do
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this one, with all of its settings
    #[arg(value_name = "NAT")]
    name: Option<String>,
}

pub(crate) fn run(args: &Args, output: &Output) -> Outcome {
    if let Some(name) = &args.name {
        let config = named(name)?;
        output.line(format!("{KEY}{name}{KEY:#}\n{config:#?}"));
        output.json(&entry(name, &config));
        return Ok(());
    }
    output.line(format!(
        "{HEAD}{:<40} {:<8} {:<9} {:<24} {:>11}{HEAD:#}",
        "name", "mapping", "filtering", "ports", "UDP life"
    ));
    for (name, preset) in presets::ALL {
        let config = preset();
        let Words { mapping, filtering, ports, life } = Words::of(&config);
        output.line(format!(
            "{KEY}{name:<40}{KEY:#} {mapping:<8} {filtering:<9} {ports:<24} {life:>11}"
        ));
        output.json(&entry(name, &config));
    }
    output.line(format!(
        "{DIM}EI endpoint-independent, AD address-dependent, APD address-and-port-dependent \
         (RFC 4787){DIM:#}"
    ));
    Ok(())
}

/// The NAT of this name.
pub(super) fn named(name: &str) -> Result<NatConfig, Failure> {
    presets::by_name(name)
        .ok_or_else(|| Failure::usage(format!("no NAT is called {name}")).hint("genkan sim nats"))
}

/// A NAT in a table's words.
struct Words {
    mapping: &'static str,
    filtering: &'static str,
    ports: String,
    life: String,
}

impl Words {
    fn of(config: &NatConfig) -> Self {
        let mapping = match (config.translation, config.behaviour.mapping) {
            (Translation::None, _) => "none",
            (_, Mapping::EndpointIndependent) => "EI",
            (_, Mapping::AddressDependent) => "AD",
            (_, Mapping::AddressAndPortDependent) if config.behaviour.allocation.reuse => "EI*",
            (_, Mapping::AddressAndPortDependent) => "APD",
        };
        let filtering = match config.behaviour.filtering {
            Filtering::EndpointIndependent => "EI",
            Filtering::AddressDependent => "AD",
            Filtering::AddressAndPortDependent => "APD",
        };
        Self { mapping, filtering, ports: ports(config), life: life(config) }
    }
}

fn ports(config: &NatConfig) -> String {
    if config.translation == Translation::None {
        return "kept".into();
    }
    let pick = match config.behaviour.allocation.pick {
        Pick::Sequential { step, counter: Counter::Global, .. } => format!("{step:+}"),
        Pick::Sequential { step, .. } => format!("{step:+} each"),
        Pick::Random | Pick::RandomStart { .. } => "random".into(),
    };
    let pick = match config.blocks {
        Blocks::None => pick,
        Blocks::Contiguous { size, .. } => format!("{pick} in {size}"),
        _ => format!("{pick} in a set"),
    };
    match config.behaviour.allocation.preserve {
        Preserve::Never => pick,
        Preserve::First => format!("first kept, {pick}"),
        Preserve::WhenFree => format!("kept, or {pick}"),
    }
}

fn life(config: &NatConfig) -> String {
    let seconds = |time: Duration| time.as_secs();
    let (first, then) = (config.lifetimes.udp_initial, config.lifetimes.udp_replied);
    if first == then {
        format!("{} s", seconds(first))
    } else {
        format!("{}, {} s", seconds(first), seconds(then))
    }
}

fn entry(name: &str, config: &NatConfig) -> serde_json::Value {
    let Words { mapping, filtering, ports, .. } = Words::of(config);
    json!({
        "event": "nat", "name": name, "mapping": mapping, "filtering": filtering, "ports": ports,
        "udp_initial_s": config.lifetimes.udp_initial.as_secs(),
        "udp_replied_s": config.lifetimes.udp_replied.as_secs(),
    })
}
