//! Port assigning packets: twins of those scenes.

use super::{BEFORE, nothing_came_in, one_nat, twin};
use crate::claims::punch::packets::{is_burst, is_range, is_seen_measurement, is_seen_range};
use crate::claims::punch::run::{Side, must};
use crate::claims::punch::sabotage::{
    Twin, Without, is_differential_detection, is_first_range_detection, is_range_detection,
};
use crate::claims::punch::scenario::Scene;

use Scene::{AssignEquipment, AssignServer};
use Side::{Bubbler, Replier};

/// Them.
pub(super) static TWINS: &[Twin] = &[
    twin(
        AssignServer,
        "the bursts of the replier, and so the port assigning packet",
        Without::Sealed(Replier, false, is_burst),
        &[(66, "replier/sends-port-assigning-packet")],
        nothing_came_in,
    ),
    twin(
        AssignServer,
        "the range detection packets around the port assigning packet",
        Without::Clear(Replier, is_range_detection),
        &[
            (67, "replier/sends-range-detection-packet"),
            (76, "server/receives-range-detection-packets-of-replier"),
            (76, "server/detects-range-of-port-assigning-packet"),
            (74, "server/target-ports-include-assigned-port"),
        ],
        |meeting| {
            must(meeting.aim(Bubbler).is_err(), "the bubbler was told target ports")?;
            nothing_came_in(meeting)
        },
    ),
    twin(
        AssignServer,
        "the bursts of the bubbler, and so all target ports",
        Without::Sealed(Bubbler, false, is_burst),
        &[(80, "bubbler/bubbles-to-several-target-ports")],
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
        &[(66, "replier/replies-from-port-assigning-socket")],
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
        &[
            (71, "replier/sends-differential-detection-packets"),
            (78, "server/detects-differential-of-replier"),
            (78, "server/sends-differential-to-bubbler"),
        ],
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
        &[(75, "server/reports-detection-ports-to-replier"), (70, "replier/detects-range")],
        |meeting| must(meeting.claimed(Replier).is_err(), "it has sent a range"),
    ),
    twin(
        AssignEquipment,
        "the replier's target port information on its way to the server",
        Without::Sealed(Replier, true, is_range),
        &[(70, "replier/sends-target-ports"), (75, "server/passes-target-ports-on")],
        |meeting| must(meeting.claimed(Replier).is_err(), "it has arrived"),
    ),
    twin(
        AssignEquipment,
        "the report about the replier's differential detection packets",
        Without::Sealed(Replier, false, is_seen_measurement),
        &[
            (77, "server/reports-differential-detection-ports-to-replier"),
            (72, "replier/detects-differential"),
            (72, "replier/sends-differential-by-server"),
            (65, "bubbler/bubbles-at-differential"),
        ],
        |meeting| {
            let (_, range) = meeting.claimed(Replier)?;
            must(range.differential.is_none(), "it has found a differential")
        },
    ),
    twin(
        AssignServer,
        "the range detection packet before the port assigning packet",
        Without::Clear(Replier, is_first_range_detection),
        &[(68, "replier/range-detection-packets-before-and-after")],
        |meeting| must(!meeting.range_packets(Replier).is_empty(), "nothing comes after it either"),
    ),
    twin(
        AssignServer,
        "new ports: each end can open one socket only",
        Without::Setting(|setting| setting.sockets = 1),
        &[(69, "replier/range-detection-packets-from-new-ports")],
        nothing_came_in,
    ),
    twin(
        AssignEquipment,
        "the range detection packets around the bubble",
        Without::Clear(Bubbler, is_range_detection),
        &[(29, "bubbler/range-detection-packets-before-and-after"), (86, "bubbler/sends-range")],
        |meeting| must(meeting.claimed(Bubbler).is_err(), "it has sent a range"),
    ),
    twin(
        AssignEquipment,
        "the bursts of the bubbler, and so all target ports",
        Without::Sealed(Bubbler, false, is_burst),
        &[
            (62, "bubbler/bubbles-to-several-target-ports"),
            (64, "server/target-ports-include-assigned-port"),
            (79, "bubbler/bubbles-to-target-port"),
        ],
        nothing_came_in,
    ),
    twin(
        AssignEquipment,
        "the bursts of the replier, and so the port assigning packet",
        Without::Sealed(Replier, false, is_burst),
        &[(66, "replier/sends-port-assigning-packet"), (81, "replier/replies-over-range")],
        nothing_came_in,
    ),
    twin(
        AssignEquipment,
        "the range detection packets around the port assigning packet",
        Without::Clear(Replier, is_range_detection),
        &[
            (68, "replier/range-detection-packets-before-and-after"),
            (69, "replier/range-detection-packets-from-new-ports"),
        ],
        nothing_came_in,
    ),
    twin(
        AssignEquipment,
        "the differential detection packets of the replier",
        Without::Clear(Replier, is_differential_detection),
        &[(71, "replier/sends-differential-detection-packets")],
        |meeting| must(meeting.measured(Replier).is_empty(), "the server has seen some"),
    ),
    one_nat(AssignServer, &[(83, "system/comprises-parts")]),
    one_nat(AssignEquipment, &[(62, "system/comprises-parts"), (85, "system/comprises-parts")]),
];
