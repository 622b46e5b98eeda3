//! The server detects, with the NATs exchanged: what claims 13 to 15 and the judgement of claim 19 see.

use genkan_core::punch::End;

use super::{COUNTS, nothing_came_in, turned};
use crate::claims::punch::elements::roles::decision;
use crate::claims::punch::packets::is_burst;
use crate::claims::punch::run::{Side, must};
use crate::claims::punch::sabotage::{Twin, Without, is_differential_detection, is_direct};

use Side::{Bubbler, Replier};

/// Them.
pub(super) static TWINS: &[Twin] = &[
    turned(
        "the bubble, behind its own control unit",
        Without::Clear(Bubbler, is_direct),
        &[(13, "with roles exchanged: replier/control-unit-receives-bubble")],
        |meeting| must(meeting.punches(Bubbler).all(|sent| sent.arrived.is_none()), "it arrived"),
    ),
    turned(
        "the range information to the replier",
        Without::Sealed(Replier, false, is_burst),
        &[
            (13, "with roles exchanged: replier/sends-reply"),
            (14, "with roles exchanged: replier/receives-range"),
            (14, "with roles exchanged: replier/replies-over-range"),
        ],
        nothing_came_in,
    ),
    turned(
        "the differential detection packets",
        Without::Clear(Bubbler, is_differential_detection),
        &[
            (15, "with roles exchanged: replier/receives-differential"),
            (15, "with roles exchanged: replier/replies-at-differential"),
        ],
        |meeting| {
            let mut told = meeting.bursts(Replier);
            must(told.all(|told| told.differential().is_none()), "one names a differential")
        },
    ),
    turned(
        "what would show that the other end has to bubble: its peer's control unit counts, too",
        Without::Setting(|setting| setting.nats[1] = COUNTS),
        &[(19, "server/exchanges-roles"), (50, "server/exchanges-roles")],
        |meeting| must(decision(meeting)?.1.bubbler == End::Issuer, "the issuer does not bubble"),
    ),
];
