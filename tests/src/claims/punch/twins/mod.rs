//! Negative twins: scenes with one thing taken away, and what fails then. Each element of a claim has
//! one that it fails in.

mod assign;
mod equipment;
mod fresh;
mod server;
mod turned;

use core::time::Duration;

use genkan_core::IssuerEvent;
use genkan_sim::Mapping;

use super::run::{Held, ISSUER, Meeting, Side, arrival, must};
use super::sabotage::{Twin, Without};
use super::scenario::{Kind, Scene};

use Side::{Bubbler, Replier};

/// All twins.
pub fn all() -> impl Iterator<Item = &'static Twin> {
    let all = [server::TWINS, turned::TWINS, equipment::TWINS, fresh::TWINS, assign::TWINS];
    all.into_iter().flatten()
}

const fn twin(
    scene: Scene,
    what: &'static str,
    without: Without,
    breaks: &'static [(u16, &'static str)],
    shows: fn(&Meeting) -> Held,
) -> Twin {
    Twin { scene, what, without, turned: false, breaks, shows }
}

/// Both ends behind one NAT.
const fn one_nat(scene: Scene, breaks: &'static [(u16, &'static str)]) -> Twin {
    twin(
        scene,
        "a control unit of the replier's own: both are behind one",
        Without::Setting(|setting| setting.one_nat = true),
        breaks,
        |meeting| {
            let (one, other) = (meeting.server_facing(Bubbler)?, meeting.server_facing(Replier)?);
            must(one.ip() == other.ip(), "there are two")
        },
    )
}

/// In the scene with the server as the detector, the NATs exchanged.
const fn turned(
    what: &'static str,
    without: Without,
    breaks: &'static [(u16, &'static str)],
    shows: fn(&Meeting) -> Held,
) -> Twin {
    Twin { scene: Scene::Server, what, without, turned: true, breaks, shows }
}

/// A NAT whose port has to be found.
const COUNTS: Kind = (Mapping::AddressDependent, Some(-3));

/// So long before a packet its NAT forgets.
const BEFORE: Duration = Duration::from_millis(1);

/// No reply has come in, and there is no connection.
fn nothing_came_in(meeting: &Meeting) -> Held {
    let (bubbler, replier) = (meeting.name(Bubbler), meeting.name(Replier));
    let mut sent = meeting.story.between(replier, bubbler);
    must(sent.all(|packet| packet.arrived.is_none()), "something came in")?;
    let mut told = meeting.story.issuer_told(ISSUER);
    let connected = told.any(|(_, event)| matches!(event, IssuerEvent::Connected { .. }));
    must(!connected, "there is a connection")
}

/// The server waited for the equipment's range, in vain, and went by what it had seen itself.
fn waits_for_the_range(meeting: &Meeting) -> Held {
    let (told, around) = (meeting.aim(Replier)?, meeting.around(Bubbler)?);
    must(meeting.claimed(Bubbler).is_err(), "the range has arrived")?;
    let waited = told.packet.at.saturating_sub(arrival(around.after));
    must(waited >= Duration::from_millis(40), "it did not wait")
}
