//! The server detects: twins of that scene.

use super::{BEFORE, COUNTS, nothing_came_in, one_nat, twin};
use crate::claims::punch::elements::roles::decision;
use crate::claims::punch::packets::is_burst;
use crate::claims::punch::run::{Side, must};
use crate::claims::punch::sabotage::{
    Twin, Without, is_differential_detection, is_direct, is_first_range_detection,
    is_range_detection,
};
use crate::claims::punch::scenario::Scene;
use crate::story::What;

use Scene::Server;
use Side::{Bubbler, Replier};

/// Them.
pub(super) static TWINS: &[Twin] = &[
    twin(
        Server,
        "the target port information, and so the bubble",
        Without::Sealed(Bubbler, false, is_burst),
        &[
            (3, "server/sends-target-port"),
            (3, "bubbler/receives-target-port"),
            (3, "bubbler/bubbles-to-target-port"),
            (5, "bubbler/sends-bubble"),
        ],
        nothing_came_in,
    ),
    twin(
        Server,
        "the bubble, behind its own control unit",
        Without::Clear(Bubbler, is_direct),
        &[(16, "replier/control-unit-receives-bubble")],
        |meeting| {
            // It has done its work: a bubble need not arrive.
            must(meeting.hit().is_ok(), "the reply did not come in")
        },
    ),
    twin(
        Server,
        "the range detection packets",
        Without::Clear(Bubbler, is_range_detection),
        &[
            (92, "bubbler/sends-range-detection-packet"),
            (94, "server/receives-range-detection-packets"),
            (2, "server/detects-range"),
            (28, "server/detects-range"),
        ],
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
        &[(7, "bubbler/range-detection-packets-before-and-after")],
        |meeting| {
            // Seen from one side alone the range is wider.
            must(meeting.aim(Replier)?.ports().len() > 9, "the range has both ends")
        },
    ),
    twin(
        Server,
        "the differential detection packets",
        Without::Clear(Bubbler, is_differential_detection),
        &[
            (12, "bubbler/sends-differential-detection-packets"),
            (4, "server/detects-differential"),
            (24, "server/sends-differential"),
            (18, "replier/receives-differential"),
            (34, "replier/replies-at-differential"),
        ],
        |meeting| {
            let mut told = meeting.bursts(Replier);
            must(told.all(|told| told.differential().is_none()), "one names a differential")
        },
    ),
    twin(
        Server,
        "the range information to the replier",
        Without::Sealed(Replier, false, is_burst),
        &[
            (100, "server/sends-range"),
            (17, "replier/receives-range"),
            (93, "replier/replies-over-range"),
            (16, "replier/sends-reply"),
        ],
        |meeting| {
            must(meeting.punches(Replier).next().is_none(), "it has replied")?;
            nothing_came_in(meeting)
        },
    ),
    twin(
        Server,
        "the replies",
        Without::Clear(Replier, is_direct),
        &[(5, "bubbler/receives-reply")],
        nothing_came_in,
    ),
    twin(
        Server,
        "the replier's port towards the server",
        Without::Mapping(Replier, |meeting| {
            let reply = *meeting.replies()?.first().ok_or("there is no reply")?;
            Ok((reply, reply.at.saturating_sub(BEFORE)))
        }),
        &[(11, "bubbler/bubble-leaves-record")],
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
        &[(19, "server/passes-information-between")],
        |meeting| must(meeting.bursts(Bubbler).next().is_none(), "it was told where to send"),
    ),
    twin(
        Server,
        "the acceptor's word, and so the addresses",
        Without::Sealed(Replier, true, |packet| matches!(packet.what, What::Reply { .. })),
        &[(26, "bubbler/acquires-address"), (27, "replier/acquires-address")],
        |meeting| {
            let mut punches = meeting.punches(Bubbler).chain(meeting.punches(Replier));
            must(punches.next().is_none(), "somebody has sent something to the other")
        },
    ),
    twin(
        Server,
        "what shows the bubbler's control unit",
        Without::Clear(Bubbler, is_differential_detection),
        &[
            (19, "server/decides-roles"),
            (19, "server/exchanges-roles"),
            (50, "server/exchanges-roles"),
            (20, "server/exchanges-roles"),
            (33, "server/exchanges-roles"),
        ],
        |meeting| {
            must(meeting.measured(Bubbler).is_empty(), "the server has seen some")?;
            // It judges by nothing: one end bubbles, whichever NAT it has.
            let other = meeting.exchanged.as_deref().ok_or("it was not tried")?;
            let (one, other) = (decision(meeting)?.1, decision(other)?.1);
            must(one.bubbler == other.bubbler, "the roles are exchanged all the same")
        },
    ),
    twin(
        Server,
        "the server's second address",
        Without::Setting(|setting| setting.second_address = false),
        &[(8, "bubbler/range-detection-packets-to-different-addresses")],
        |meeting| {
            // With one address it is two ports.
            let around = meeting.around(Bubbler)?;
            must(around.before.destination != around.after.destination, "one end saw both")?;
            must(meeting.hit().is_ok(), "no reply came in")
        },
    ),
    twin(
        Server,
        "what shows the replier's control unit",
        Without::Clear(Replier, is_differential_detection),
        &[(33, "server/determines-characteristics")],
        |meeting| must(meeting.measured(Replier).is_empty(), "the server has seen some"),
    ),
    one_nat(Server, &[(1, "system/comprises-parts"), (83, "system/comprises-parts")]),
    twin(
        Server,
        "the replier's one port for all: its control unit counts",
        Without::Setting(|setting| setting.nats[1] = COUNTS),
        &[(11, "server/target-port-is-server-facing"), (32, "server/target-port-is-server-facing")],
        |meeting| {
            // Its port towards the server is none that a bubble could go to.
            let facing = meeting.server_facing(Replier)?;
            let mut sent = meeting.punches(Replier);
            must(sent.all(|packet| packet.source != facing), "a packet left by it")
        },
    ),
];
