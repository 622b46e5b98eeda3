//! Negative twins: scenes with one thing taken away, and what fails then.

use core::time::Duration;

use genkan_core::IssuerEvent;

use super::packets::{differential, is_burst, is_range, is_seen_measurement, is_seen_range};
use super::run::{Held, ISSUER, Meeting, SERVER, Side, arrival, must};
use super::sabotage::{
    Twin, Without, is_differential_detection, is_direct, is_first_range_detection,
    is_range_detection,
};
use super::scenario::Scene;
use crate::story::What;

use Scene::{AssignEquipment, AssignServer, Equipment, FreshEquipment, FreshServer, Server};
use Side::{Bubbler, Replier};

const fn twin(
    scene: Scene,
    what: &'static str,
    without: Without,
    (claim, breaks): (u16, &'static str),
    shows: fn(&Meeting) -> Held,
) -> Twin {
    Twin { scene, what, without, claim, breaks, shows }
}

/// All twins.
pub static TWINS: &[Twin] = &[
    twin(
        Server,
        "the target port information, and so the bubble",
        Without::Sealed(Bubbler, false, is_burst),
        (3, "bubbler/sends-bubble"),
        nothing_came_in,
    ),
    twin(
        Server,
        "the bubble, behind its own control unit",
        Without::Clear(Bubbler, is_direct),
        (16, "replier/control-unit-receives-bubble"),
        |meeting| {
            // It has done its work: a bubble need not arrive.
            must(meeting.hit().is_ok(), "the reply did not come in")
        },
    ),
    twin(
        Server,
        "the range detection packets",
        Without::Clear(Bubbler, is_range_detection),
        (2, "server/detects-range"),
        |meeting| {
            must(meeting.aim(Replier).is_err(), "the replier was told a range")?;
            must(meeting.punches(Replier).next().is_none(), "it has replied")?;
            nothing_came_in(meeting)
        },
    ),
    twin(
        Server,
        "the range detection packet before the bubble",
        Without::Clear(Bubbler, is_first_range_detection),
        (7, "bubbler/range-detection-packets-before-and-after"),
        |meeting| {
            // Seen from one side alone the range is wider.
            must(meeting.aim(Replier)?.ports().len() > 9, "the range has both ends")
        },
    ),
    twin(
        Server,
        "the differential detection packets",
        Without::Clear(Bubbler, is_differential_detection),
        (4, "server/detects-differential"),
        |meeting| {
            let mut told = meeting.bursts(Replier);
            must(told.all(|told| told.differential().is_none()), "one names a differential")
        },
    ),
    twin(
        Server,
        "the range information to the replier",
        Without::Sealed(Replier, false, is_burst),
        (2, "replier/receives-range"),
        |meeting| {
            must(meeting.punches(Replier).next().is_none(), "it has replied")?;
            nothing_came_in(meeting)
        },
    ),
    twin(
        Server,
        "the replies",
        Without::Clear(Replier, is_direct),
        (5, "bubbler/receives-reply"),
        nothing_came_in,
    ),
    twin(
        Server,
        "the replier's port towards the server",
        Without::Mapping(Replier, |meeting| {
            let reply = *meeting.replies()?.first().ok_or("there is no reply")?;
            Ok((reply, reply.at.saturating_sub(BEFORE)))
        }),
        (11, "bubbler/bubble-leaves-record"),
        |meeting| {
            // The replies leave by a port that no bubble went to.
            let refused = meeting.replies()?.iter().all(|reply| reply.refused);
            must(refused, "a reply came in")
        },
    ),
    twin(
        Server,
        "the acceptor's word",
        Without::Sealed(Replier, true, |packet| matches!(packet.what, What::Reply { .. })),
        (19, "server/passes-information-between"),
        |meeting| must(meeting.bursts(Bubbler).next().is_none(), "it was told where to send"),
    ),
    twin(
        Server,
        "the acceptor's word, and so the addresses",
        Without::Sealed(Replier, true, |packet| matches!(packet.what, What::Reply { .. })),
        (27, "bubbler/acquires-address"),
        |meeting| {
            let mut punches = meeting.punches(Bubbler).chain(meeting.punches(Replier));
            must(punches.next().is_none(), "somebody has sent something to the other")
        },
    ),
    twin(
        Server,
        "what shows the bubbler's control unit",
        Without::Clear(Bubbler, is_differential_detection),
        (19, "server/decides-roles"),
        |meeting| must(meeting.measured(Bubbler).is_empty(), "the server has seen some"),
    ),
    twin(
        Server,
        "the server's second address",
        Without::Setting(|setting| setting.second_address = false),
        (8, "bubbler/range-detection-packets-to-different-addresses"),
        |meeting| {
            // With one address it is two ports.
            let around = meeting.around(Bubbler)?;
            must(around.before.destination != around.after.destination, "one end saw both")?;
            must(meeting.hit().is_ok(), "no reply came in")
        },
    ),
    twin(
        Server,
        "the range detection packets, in one processor's part",
        Without::Clear(Bubbler, is_range_detection),
        (92, "bubbler/sends-range-detection-packet"),
        nothing_came_in,
    ),
    twin(
        Server,
        "what shows the replier's control unit",
        Without::Clear(Replier, is_differential_detection),
        (33, "server/determines-characteristics"),
        |meeting| must(meeting.measured(Replier).is_empty(), "the server has seen some"),
    ),
    twin(
        Equipment,
        "the range detection packets",
        Without::Clear(Bubbler, is_range_detection),
        (51, "server/reports-detection-ports"),
        |meeting| {
            must(!meeting.down(Bubbler).any(is_seen_range), "a port was reported")?;
            nothing_came_in(meeting)
        },
    ),
    twin(
        Equipment,
        "the detection port information",
        Without::Sealed(Bubbler, false, is_seen_range),
        (54, "bubbler/detects-range"),
        |meeting| {
            must(meeting.look(Bubbler).is_ok(), "it was told nothing at all")?;
            let mut sent = meeting.story.between(meeting.name(Bubbler), SERVER);
            must(!sent.any(is_range), "it has sent a range")
        },
    ),
    twin(
        Equipment,
        "the range on its way to the server",
        Without::Sealed(Bubbler, true, is_range),
        (87, "server/passes-range-on"),
        waits_for_the_range,
    ),
    twin(
        Equipment,
        "the report about the differential detection packets",
        Without::Sealed(Bubbler, false, is_seen_measurement),
        (52, "bubbler/detects-differential"),
        |meeting| {
            // The server knows the step, and still the replier hears of none: it is the equipment's.
            let (_, range) = meeting.claimed(Bubbler)?;
            must(range.differential.is_none(), "it has found a differential")?;
            must(differential(meeting.aim(Replier)?.punch.burst.ports).is_none(), "one was told")
        },
    ),
    twin(
        FreshServer,
        "the range detection packets",
        Without::Clear(Bubbler, is_range_detection),
        (9, "bubbler/range-detection-packets-from-new-ports"),
        nothing_came_in,
    ),
    twin(
        FreshServer,
        "new ports: it can open one socket only",
        Without::Setting(|setting| setting.sockets = 1),
        (90, "bubbler/range-detection-packets-from-new-ports"),
        nothing_came_in,
    ),
    twin(
        FreshEquipment,
        "the detection port information",
        Without::Sealed(Bubbler, false, is_seen_range),
        (56, "bubbler/detects-range"),
        |meeting| {
            let mut sent = meeting.story.between(meeting.name(Bubbler), SERVER);
            must(!sent.any(is_range), "it has sent a range")
        },
    ),
    twin(
        AssignServer,
        "the bursts of the replier, and so the port assigning packet",
        Without::Sealed(Replier, false, is_burst),
        (66, "replier/sends-port-assigning-packet"),
        nothing_came_in,
    ),
    twin(
        AssignServer,
        "the range detection packets around the port assigning packet",
        Without::Clear(Replier, is_range_detection),
        (76, "server/detects-range-of-port-assigning-packet"),
        |meeting| {
            must(meeting.aim(Bubbler).is_err(), "the bubbler was told target ports")?;
            nothing_came_in(meeting)
        },
    ),
    twin(
        AssignServer,
        "the bursts of the bubbler, and so all target ports",
        Without::Sealed(Bubbler, false, is_burst),
        (80, "bubbler/bubbles-to-several-target-ports"),
        nothing_came_in,
    ),
    twin(
        AssignServer,
        "the assigned port, right before the replies",
        Without::Mapping(Replier, |meeting| {
            let assigning = meeting.assigning()?;
            let reply = *meeting.replies()?.first().ok_or("there is no reply")?;
            Ok((assigning, reply.at.saturating_sub(BEFORE)))
        }),
        (66, "replier/replies-from-port-assigning-socket"),
        |meeting| {
            let (assigning, replies) = (meeting.assigning()?, meeting.replies()?);
            let first = replies.first().ok_or("there is no reply")?;
            must(first.source != assigning.source, "it left by the assigned port")?;
            must(first.refused, "it came in")
        },
    ),
    twin(
        AssignServer,
        "the differential detection packets of the replier",
        Without::Clear(Replier, is_differential_detection),
        (78, "server/detects-differential-of-replier"),
        |meeting| {
            let mut told = meeting.bursts(Bubbler);
            let step = meeting.replier.step;
            must(told.all(|told| told.differential() != step), "one names the differential")
        },
    ),
    twin(
        AssignEquipment,
        "the detection port information to the replier",
        Without::Sealed(Replier, false, is_seen_range),
        (70, "replier/detects-range"),
        |meeting| must(meeting.claimed(Replier).is_err(), "it has sent a range"),
    ),
    twin(
        AssignEquipment,
        "the replier's target port information on its way to the server",
        Without::Sealed(Replier, true, is_range),
        (75, "server/passes-target-ports-on"),
        |meeting| must(meeting.claimed(Replier).is_err(), "it has arrived"),
    ),
    twin(
        AssignEquipment,
        "the report about the replier's differential detection packets",
        Without::Sealed(Replier, false, is_seen_measurement),
        (65, "bubbler/bubbles-at-differential"),
        |meeting| {
            let (_, range) = meeting.claimed(Replier)?;
            must(range.differential.is_none(), "it has found a differential")
        },
    ),
];

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
