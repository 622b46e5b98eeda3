//! What a world is made of, in words.

use core::fmt::{self, Write};
use core::net::IpAddr;

use super::build::Swarm;
use super::houses::Place;
use super::{Act, Settings, Source};
use crate::nat::{
    Blocks, Filtering, Limits, Mapping, NatConfig, Sharing, Translation, Unsolicited,
};
use crate::net::NatId;

/// Says who is in the world that [`run`](super::run) makes from `source`, where, behind which boxes,
/// how large the server's list is and which faults there are: a line for the server, for each member
/// and each box, and one for the faults.
///
/// ```
/// use genkan_sim::swarm::{Settings, Source, describe};
///
/// let said = describe(&Settings::default(), &Source::bytes(&[]));
/// assert!(said.starts_with("server: 203.0.113.1, room for 24 devices, keepalives every 25 s\n"));
/// assert!(said.contains("\nlamp0: in the open, 10 ms, admits anybody\n"));
/// ```
#[must_use]
pub fn describe(settings: &Settings, source: &Source<'_>) -> String {
    let swarm = Swarm::new(settings, &source.clone().padded(), false);
    let mut text = String::new();
    // A string takes whatever is written to it.
    let _ = swarm.describe(&mut text);
    text
}

impl Swarm {
    fn describe(&self, out: &mut String) -> fmt::Result {
        let server = self.fleet.server_address().ip();
        let (room, interval) = (self.clients, self.interval.as_secs());
        writeln!(out, "server: {server}, room for {room} devices, keepalives every {interval} s")?;
        for place in &self.issuers {
            let forwarded = if place.forwarded { ", its ports forwarded" } else { "" };
            writeln!(out, "{}{forwarded}", self.member(place))?;
        }
        if let Some(thief) = self.evil {
            writeln!(out, "{}: in the open, knows no password", self.fleet.world.name(thief))?;
        }
        for place in &self.acceptors {
            let door = self.checks.borrow().roster.door(place.host);
            let whom = match (door.open, door.password, door.paired) {
                (true, ..) => "anybody",
                (_, true, true) => "two phones, and others by password",
                (_, true, false) => "by password",
                (..) => "two phones",
            };
            writeln!(out, "{}, admits {whom}", self.member(place))?;
        }
        for house in &self.houses {
            for &(nat, kind) in &house.kinds {
                // A carrier's box stands in each of its houses; it is told once.
                let name = self.fleet.world.net.nat_name(nat);
                if !out.contains(&format!("\n{name}: ")) {
                    writeln!(out, "{name}: {}", self.shown(nat, kind))?;
                }
            }
        }
        let faults = Act::ALL.iter().skip(6).filter(|&&act| self.allows(act));
        let faults: Vec<String> = faults.map(|act| format!("{act:?}")).collect();
        let none = if faults.is_empty() { "none" } else { "" };
        writeln!(out, "faults: {none}{}", faults.join(", "))
    }

    /// A member's name, place and line.
    fn member(&self, place: &Place) -> String {
        let name = |&nat: &NatId| self.fleet.world.net.nat_name(nat);
        let boxes: Vec<&str> = place.nats.iter().map(name).collect();
        let place_of = if boxes.is_empty() {
            "in the open".to_owned()
        } else {
            format!("behind {}", boxes.join(" and "))
        };
        let six = if place.six { " with IPv6" } else { "" };
        let (who, line) = (self.fleet.world.name(place.host), &place.line);
        let (latency, loss) = (line.latency.as_millis(), line.loss * 100.0);
        let loss = if loss > 0.0 { format!(" and {loss:.1} % loss") } else { String::new() };
        format!("{who}: {place_of}{six}, {latency} ms{loss}")
    }

    fn shown(&self, nat: NatId, kind: &str) -> String {
        let nat = self.fleet.world.net.nat(nat);
        let config = nat.config();
        let mut text = format!("{kind}, {}", manner(config));
        let addresses: Vec<String> = nat.external().iter().map(IpAddr::to_string).collect();
        if !addresses.is_empty() {
            text += &format!(", {}", addresses.join(" and "));
        }
        text
    }
}

/// What is to be known of a box, the usual left out.
fn manner(config: &NatConfig) -> String {
    let behaviour = &config.behaviour;
    let mapping = match behaviour.mapping {
        Mapping::EndpointIndependent => "EIM",
        Mapping::AddressDependent => "ADM",
        Mapping::AddressAndPortDependent => "APDM",
    };
    let filtering = match behaviour.filtering {
        Filtering::EndpointIndependent => "EIF",
        Filtering::AddressDependent => "ADF",
        Filtering::AddressAndPortDependent => "APDF",
    };
    let mut parts = vec![format!("{mapping}/{filtering}")];
    if config.translation == Translation::AddressAndPort {
        let allocation = &behaviour.allocation;
        parts.push(format!("ports {:?} {:?}", allocation.preserve, allocation.pick));
        if allocation.parity {
            parts.push("parity".into());
        }
        if allocation.sharing != Sharing::Exclusive {
            parts.push(format!("shared {:?}", allocation.sharing));
        }
        if config.blocks != Blocks::None {
            parts.push(format!("blocks {:?}", config.blocks));
        }
        if !config.hold_down.is_zero() {
            parts.push(format!("held for {:?}", config.hold_down));
        }
    }
    let lifetimes = &config.lifetimes;
    parts.push(format!("UDP {:?}/{:?}", lifetimes.udp_initial, lifetimes.udp_replied));
    if config.unsolicited != Unsolicited::Drop {
        parts.push(format!("uninvited {:?}", config.unsolicited));
    }
    let Limits { per_inside, total, rate, overflow } = config.limits;
    for (limit, what) in [(per_inside, "a host"), (total, "in all")] {
        if let Some(most) = limit {
            parts.push(format!("{most} mappings {what}"));
        }
    }
    if let Some(rate) = rate {
        parts.push(format!("{rate} new ones a second"));
    }
    if (per_inside, total, rate) != (None, None, None) {
        parts.push(format!("when full {overflow:?}"));
    }
    let more = [
        (config.foreign.is_some(), "other users"),
        (config.leases.is_some(), "leases"),
        (config.tcp_behaviour.is_some(), "TCP otherwise"),
    ];
    parts.extend(more.iter().filter(|(is, _)| *is).map(|&(_, what)| what.to_owned()));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SEEDS: u64 = 400;

    #[test]
    fn every_kind_of_box_comes_up() {
        let settings = Settings::default();
        let said: String =
            (0..SEEDS).map(|seed| describe(&settings, &Source::seed(seed))).collect();
        let wanted = "EIM/EIF|ADM/ADF|APDM/APDF|parity|skip_used: false|counter: Global|\
            counter: PerInside|counter: PerDestination|RandomStart|blocks Contiguous|\
            blocks Masked|blocks Scattered|blocks PortSet|held for 10s|held for 120s|\
            shared PerRemote|shared Overloading|when full Drop|when full EvictOldest|\
            when full LockOut|when full Crash|mappings a host|mappings in all|new ones a second|\
            uninvited Icmp|uninvited Reject|uninvited Reset|uninvited Occupy|uninvited BlockRemote|\
            uninvited BlockPort|other users|leases|TCP otherwise|nokia-cgn, |: firewall, |\
            rfc6092-firewall|with IPv6|its ports forwarded|every 10 s|every 20 s|room for 6 devices";
        for wanted in wanted.split('|') {
            assert!(said.contains(wanted), "{wanted} does not come up");
        }
    }

    #[test]
    fn a_world_without_faults_has_boxes_that_refuse_nobody() {
        let settings = Settings { faults: false, ..Settings::default() };
        for seed in 0..SEEDS {
            let said = describe(&settings, &Source::seed(seed));
            // hostile-cgn has room for hundreds.
            let full =
                said.lines().find(|line| line.contains("when full") && !line.contains("512"));
            assert_eq!(full, None);
            assert!(said.ends_with("faults: none\n"));
        }
    }

    #[test]
    fn who_shares_a_house_or_a_carrier_with_whom_is_drawn_too() {
        let mut found = BTreeSet::new();
        for seed in 0..SEEDS {
            let settings = Settings::default();
            let swarm = Swarm::new(&settings, &Source::seed(seed).padded(), false);
            let places: Vec<_> = swarm.issuers.iter().chain(&swarm.acceptors).collect();
            for (number, place) in places.iter().enumerate() {
                for (earlier, before) in places[..number].iter().enumerate() {
                    let phones = [number, earlier].map(|at| at < swarm.issuers.len());
                    let carrier = |place: &Place| place.nats.get(1).copied();
                    if place.house.is_some() && place.house == before.house {
                        found.insert(("house", phones));
                    } else if carrier(place).is_some() && carrier(place) == carrier(before) {
                        found.insert(("carrier", phones));
                    }
                }
            }
        }
        for how in ["house", "carrier"] {
            for phones in [[true, true], [false, true], [false, false]] {
                assert!(found.contains(&(how, phones)), "{how} {phones:?}: {found:?}");
            }
        }
    }
}
