//! Range detection packets from new sockets: twins of those scenes.

use super::{nothing_came_in, one_nat, twin};
use crate::claims::punch::packets::{is_burst, is_range, is_seen_range};
use crate::claims::punch::run::{SERVER, Side, must};
use crate::claims::punch::sabotage::{
    Twin, Without, is_differential_detection, is_direct, is_range_detection,
};
use crate::claims::punch::scenario::Scene;

use Scene::{FreshEquipment, FreshServer};
use Side::Bubbler;

/// Them.
pub(super) static TWINS: &[Twin] = &[
    twin(
        FreshServer,
        "the range detection packets",
        Without::Clear(Bubbler, is_range_detection),
        &[(9, "bubbler/range-detection-packets-from-new-ports")],
        nothing_came_in,
    ),
    twin(
        FreshServer,
        "new ports: it can open one socket only",
        Without::Setting(|setting| setting.sockets = 1),
        &[(90, "bubbler/range-detection-packets-from-new-ports")],
        nothing_came_in,
    ),
    twin(
        FreshEquipment,
        "the detection port information",
        Without::Sealed(Bubbler, false, is_seen_range),
        &[(56, "bubbler/detects-range")],
        |meeting| {
            let mut sent = meeting.story.between(meeting.name(Bubbler), SERVER);
            must(!sent.any(is_range), "it has sent a range")
        },
    ),
    twin(
        FreshEquipment,
        "the range detection packets",
        Without::Clear(Bubbler, is_range_detection),
        &[
            (9, "bubbler/range-detection-packets-from-new-ports"),
            (40, "bubbler/sends-range-detection-packet"),
        ],
        nothing_came_in,
    ),
    one_nat(FreshServer, &[(2, "system/comprises-parts")]),
    one_nat(FreshEquipment, &[(51, "system/comprises-parts")]),
    twin(
        FreshEquipment,
        "the target port information, and so the bubble",
        Without::Sealed(Bubbler, false, is_burst),
        &[(55, "bubbler/receives-target-port"), (55, "bubbler/sends-bubble")],
        nothing_came_in,
    ),
    twin(
        FreshEquipment,
        "the bubble, behind its own control unit",
        Without::Clear(Bubbler, is_direct),
        &[(51, "replier/control-unit-receives-bubble")],
        |meeting| must(meeting.punches(Bubbler).all(|sent| sent.arrived.is_none()), "it arrived"),
    ),
    twin(
        FreshEquipment,
        "the differential detection packets",
        Without::Clear(Bubbler, is_differential_detection),
        &[
            (56, "bubbler/sends-differential-detection-packets"),
            (58, "server/reports-differential-detection-ports"),
        ],
        |meeting| must(meeting.measured(Bubbler).is_empty(), "the server has seen some"),
    ),
];
