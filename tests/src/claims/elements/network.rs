//! Claim 12: what makes server and equipment one system.

use super::{Element, Spoil, remove};
use crate::claims::run::{ACCEPTOR, ISSUER, OTHER, OWN, SERVER, must};

/// All parts exchange messages over the network.
pub static CONNECTED: Element = Element {
    id: "system/connected",
    says: "server and each of the equipments are connected to a network",
    check: |run| {
        for name in [ACCEPTOR, OTHER, OWN, ISSUER] {
            let arrived = |from: &str, to: &str| {
                run.story
                    .packets
                    .iter()
                    .any(|packet| packet.goes(from, to) && packet.arrived.is_some())
            };
            must(arrived(name, SERVER), "an equipment does not reach the server")?;
            must(arrived(SERVER, name), "the server does not reach an equipment")?;
        }
        must(run.story.members.len() >= 3, "there is no plurality of equipment")
    },
    spoils: &[
        Spoil("another equipment is cut off", |run| remove(run, |packet| packet.from == OTHER)),
        Spoil("the server is silent", |run| remove(run, |packet| packet.from == SERVER)),
        Spoil("the issuer is cut off", |run| remove(run, |packet| packet.to == ISSUER)),
    ],
};
