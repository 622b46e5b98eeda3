//! `genkan sim nats`: the boxes that can be simulated by name.

use core::time::Duration;

use genkan_sim::nat::presets::{self, source};
use genkan_sim::nat::{
    Blocks, Counter, Filtering, Mapping, NatConfig, Pick, Preserve, Translation,
};
use serde_json::json;

use crate::exit::{Failure, Outcome};
use crate::output::{DIM, HEAD, KEY, Output};

/// The name of an end without a NAT, where ends are asked for.
const PUBLIC: &str = "public";
/// What is no more alike than this is another name, not a slip (Jaro and Winkler's measure, 0 to 1).
const ALIKE: f64 = 0.7;
/// Columns of the table.
const WIDTH: usize = 96;
/// What the table's words mean.
const LEGEND: &str = "\
EI   endpoint-independent (RFC 4787)
EI*  as EI, as long as flows can be told apart
AD   address-dependent
APD  address-and-port-dependent
none no translation: a firewall
UDP life: without traffic; of two figures, until
the first answer and from then on";

/// List the NATs that are simulated by name, with what they do
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this one, with all of its settings
    #[arg(value_name = "NAT")]
    name: Option<String>,
}

pub(crate) fn run(args: &Args, output: &Output) -> Outcome {
    match &args.name {
        Some(name) => one(name, &named(name)?, output),
        None => all(output),
    }
    Ok(())
}

fn one(name: &str, config: &NatConfig, output: &Output) {
    let Words { mapping, filtering, ports, life } = Words::of(config);
    output.line(format!("{KEY}{name}{KEY:#}"));
    output.line(format!("mapping    {mapping}\nfiltering  {filtering}"));
    output.line(format!("ports      {ports}\nUDP life   {life}"));
    output.line(format!("source     {}", source(name).unwrap_or_default()));
    output.line(format!("{config:#?}"));
    output.line(format!("{DIM}{LEGEND}{DIM:#}"));
    output.json(&entry(name, config));
}

fn all(output: &Output) {
    // In a narrow terminal each has two lines.
    let wide = output.columns().is_none_or(|columns| columns > WIDTH);
    if wide {
        output.line(format!(
            "{HEAD}{:<40} {:<8} {:<9} {:<24} {:>11}{HEAD:#}",
            "name", "mapping", "filtering", "ports", "UDP life"
        ));
    } else {
        output.line(format!("{HEAD}name\n  mapping · filtering · ports · UDP life{HEAD:#}"));
    }
    for (name, preset) in presets::ALL {
        let config = preset();
        let Words { mapping, filtering, ports, life } = Words::of(&config);
        output.line(if wide {
            format!("{KEY}{name:<40}{KEY:#} {mapping:<8} {filtering:<9} {ports:<24} {life:>11}")
        } else {
            format!("{KEY}{name}{KEY:#}\n  {mapping} · {filtering} · {ports} · {life}")
        });
        output.json(&entry(name, &config));
    }
    output.line(format!("{DIM}{LEGEND}{DIM:#}"));
}

/// The NAT of this name.
pub(super) fn named(name: &str) -> Result<NatConfig, Failure> {
    presets::by_name(name).ok_or_else(|| {
        if name == PUBLIC {
            return Failure::usage("'public' is an end without a NAT: it stands alone")
                .hint("genkan sim judge public openwrt");
        }
        let unknown = format!("no NAT is called '{name}'");
        match nearest(name) {
            Some(known) => Failure::usage(format!("{unknown}; did you mean '{known}'?")),
            None => Failure::usage(unknown),
        }
        .hint("genkan sim nats")
    })
}

/// The known name that is most like this one, if any is.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let likeness = |(known, _)| (strsim::jaro_winkler(&name, known), known);
    let all = presets::ALL.into_iter().map(likeness);
    let (likeness, known) = all.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness > ALIKE).then_some(known)
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
        "udp_replied_s": config.lifetimes.udp_replied.as_secs(), "source": source(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_name() {
        for (slip, meant) in [
            ("openwr", "openwrt"),
            ("OpenWrt", "openwrt"),
            ("nokia", "nokia-cgn"),
            ("ful-cone", "full-cone"),
            ("linux-masquerad", "linux-masquerade"),
        ] {
            assert_eq!(nearest(slip), Some(meant), "{slip}");
        }
        for other in ["", "x", "zzz", "0000"] {
            assert_eq!(nearest(other), None, "{other:?}");
        }
    }
}
