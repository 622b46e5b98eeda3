//! The equipment detects: twins of that scene.

use super::{nothing_came_in, one_nat, twin, waits_for_the_range};
use crate::claims::punch::packets::{
    differential, is_burst, is_range, is_seen_measurement, is_seen_range,
};
use crate::claims::punch::run::{SERVER, Side, must};
use crate::claims::punch::sabotage::{
    Twin, Without, is_differential_detection, is_range_detection,
};
use crate::claims::punch::scenario::Scene;
use crate::story::What;

use Scene::Equipment;
use Side::{Bubbler, Replier};

/// Them.
pub(super) static TWINS: &[Twin] = &[
    twin(
        Equipment,
        "the range detection packets",
        Without::Clear(Bubbler, is_range_detection),
        &[(57, "server/reports-detection-ports")],
        |meeting| {
            must(!meeting.down(Bubbler).any(is_seen_range), "a port was reported")?;
            nothing_came_in(meeting)
        },
    ),
    twin(
        Equipment,
        "the detection port information",
        Without::Sealed(Bubbler, false, is_seen_range),
        &[
            (51, "bubbler/receives-detection-ports"),
            (54, "bubbler/detects-range"),
            (98, "bubbler/detects-range"),
        ],
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
        &[(99, "bubbler/sends-range"), (87, "server/passes-range-on")],
        waits_for_the_range,
    ),
    twin(
        Equipment,
        "the report about the differential detection packets",
        Without::Sealed(Bubbler, false, is_seen_measurement),
        &[
            (58, "server/reports-differential-detection-ports"),
            (56, "bubbler/detects-differential"),
            (52, "bubbler/sends-differential-by-server"),
        ],
        |meeting| {
            // The server knows the step, and still the replier hears of none: it is the equipment's.
            let (_, range) = meeting.claimed(Bubbler)?;
            must(range.differential.is_none(), "it has found a differential")?;
            must(differential(meeting.aim(Replier)?.punch.burst.ports).is_none(), "one was told")
        },
    ),
    twin(
        Equipment,
        "the target port information, and so the bubble",
        Without::Sealed(Bubbler, false, is_burst),
        &[(73, "server/sends-target-port"), (53, "bubbler/bubbles-to-target-port")],
        nothing_came_in,
    ),
    one_nat(Equipment, &[(1, "system/comprises-parts"), (85, "system/comprises-parts")]),
    twin(
        Equipment,
        "the differential detection packets",
        Without::Clear(Bubbler, is_differential_detection),
        &[
            (56, "bubbler/sends-differential-detection-packets"),
            (19, "server/determines-characteristics"),
            (19, "server/exchanges-roles"),
        ],
        |meeting| must(meeting.measured(Bubbler).is_empty(), "the server has seen some"),
    ),
    twin(
        Equipment,
        "the acceptor's word",
        Without::Sealed(Replier, true, |packet| matches!(packet.what, What::Reply { .. })),
        &[(19, "server/passes-information-between")],
        |meeting| must(meeting.bursts(Bubbler).next().is_none(), "it was told where to send"),
    ),
];
