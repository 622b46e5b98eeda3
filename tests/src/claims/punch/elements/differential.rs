//! The port differential (claims 4, 12, 15, 34, 35, 52, 56, 58, 65, 71, 72, 77, 78): detection packets
//! that show it, who detects it, how it comes to the other end, and packets at every differential.
//!
//! What it has to be is known from the NAT itself.

use genkan_core::nat::Allocation;
use genkan_core::{AcceptorEvent, IssuerEvent, ServerEvent};

use super::{Element, Spoil, spoil};
use crate::claims::elements::edit;
use crate::claims::punch::packets::{Told, once, stepwise};
use crate::claims::punch::run::{Held, Meeting, SERVER, Side, arrival, must};
use crate::story::{self, Packet, What};

use Side::{Bubbler, Replier};

/// The step of an end's counter.
fn step(meeting: &Meeting, side: Side) -> Held<i8> {
    meeting.house(side).step.ok_or_else(|| "its control unit does not count".to_owned())
}

/// Packets back to back through the NAT, whose ports in their order are so many steps on each time.
fn sends(meeting: &Meeting, side: Side) -> Held<Vec<&Packet>> {
    let step = i32::from(step(meeting, side)?);
    let packets = meeting.measured(side);
    for packet in &packets {
        meeting.private(side, packet)?;
        meeting.through_nat(side, packet)?;
    }
    let known = meeting.server_facing(side)?.port();
    let ports = once(packets.iter().map(|packet| packet.source.port()).filter(|&p| p != known));
    must(ports.len() > 2, "three new ports were not seen")?;
    let apart = ports.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0]));
    let apart: Vec<i32> = apart.collect();
    must(apart.iter().all(|apart| apart % step == 0 && apart / step > 0), "they do not count")?;
    Ok(packets)
}

/// The other end is told the differential.
fn told(meeting: &Meeting, side: Side) -> Held<Told<'_>> {
    let step = step(meeting, side)?;
    let told = meeting.aim(side.other())?;
    must(told.differential() == Some(step), "the differential is another, or none")?;
    meeting.private(side.other(), told.packet)?;
    Ok(told)
}

fn server_detects(meeting: &Meeting, side: Side) -> Held {
    let packets = sends(meeting, side)?;
    let step = step(meeting, side)?;
    let (id, seen) = (meeting.id(side), packets.iter().map(|packet| arrival(packet)).max());
    let mut measured = meeting.story.told.iter().filter_map(|told| match told {
        story::Told::Server(at, ServerEvent::Measured { id: whose, profile }) if *whose == id => {
            Some((*at, profile.allocation))
        }
        _ => None,
    });
    let found = measured.find(|(_, allocation)| has_step(*allocation, step));
    let (at, _) = found.ok_or("the server has not detected it")?;
    must(seen.is_some_and(|seen| at >= seen), "it had not seen all packets yet")?;
    must(meeting.claimed(side).is_err(), "the equipment has detected it")
}

fn has_step(allocation: Allocation, step: i8) -> bool {
    matches!(allocation, Allocation::Sequential(found) if found.get() == step)
}

/// The server has reported each port of the measurement.
fn reported(meeting: &Meeting, side: Side) -> Held<&Packet> {
    let packets = sends(meeting, side)?;
    let mut last = None;
    for seen in packets {
        let What::Detect(detection) = &seen.what else { continue };
        let report = meeting.reports(side, seen).next().ok_or("a port was not reported")?;
        let What::Seen(content) = &report.what else { continue };
        let mut named = content.packets.iter().filter(|(which, _)| *which == detection.which);
        must(
            named.all(|(_, address)| *address == seen.source.into()),
            "another port was reported",
        )?;
        must(report.at >= arrival(seen), "it was reported before")?;
        meeting.private(side, report)?;
        last = Some(report);
    }
    last.ok_or_else(|| "there was no measurement".to_owned())
}

/// The equipment has found it, and names it in its range.
fn equipment_detects(meeting: &Meeting, side: Side) -> Held {
    let (report, step) = (reported(meeting, side)?, step(meeting, side)?);
    let name = meeting.name(side);
    let profile = meeting.story.told.iter().find_map(|told| match told {
        story::Told::Acceptor(at, who, AcceptorEvent::Nat(profile)) if who == name => {
            Some((*at, profile.allocation))
        }
        story::Told::Issuer(at, who, IssuerEvent::Nat(profile)) if who == name => {
            Some((*at, profile.allocation))
        }
        _ => None,
    });
    let (at, allocation) = profile.ok_or("the equipment has found nothing")?;
    must(has_step(allocation, step), "it has found another")?;
    must(at >= arrival(report), "it had not heard of the ports yet")?;
    let (sent, range) = meeting.claimed(side)?;
    let named = range.differential.map(|differential| differential.get());
    must(named == Some(step), "its range has another differential, or none")?;
    must(sent.at >= at, "it named the differential before")
}

/// The differential that the equipment detected comes through the server to the other end.
fn through_server(meeting: &Meeting, side: Side) -> Held {
    let (sent, range) = meeting.claimed(side)?;
    meeting.private(side, sent)?;
    must(sent.goes(meeting.name(side), SERVER), "it did not go to the server")?;
    let told = told(meeting, side)?;
    must(told.packet.at >= arrival(sent), "the server said it before the equipment did")?;
    let named = range.differential.map(|differential| differential.get());
    must(named == told.differential(), "the server told another")
}

/// The bursts of an end name no differential.
fn strip(meeting: &mut Meeting, side: Side) {
    spoil::edit_bursts(meeting, side, |punch| {
        punch.burst.ports = genkan_core::nat::Forecast::Between { low: 1, high: u16::MAX };
    });
}

/// Its profiles are forgotten.
fn nothing_found(meeting: &mut Meeting) {
    meeting.story.told.retain(|told| {
        !matches!(
            told,
            story::Told::Server(_, ServerEvent::Measured { .. })
                | story::Told::Acceptor(_, _, AcceptorEvent::Nat(_))
                | story::Told::Issuer(_, _, IssuerEvent::Nat(_))
        )
    });
}

macro_rules! elements {
    ($($(#[$doc:meta])* $name:ident: $id:literal, $side:ident, $check:expr, $says:literal, [$($what:literal: $spoil:expr,)*];)*) => {
        $($(#[$doc])* pub static $name: Element = Element {
            id: $id,
            says: $says,
            check: |meeting| $check(meeting, $side).map(|_| ()),
            spoils: &[$(Spoil($what, |meeting| $spoil(meeting, $side))),*],
        };)*
    };
}

elements! {
    /// The bubbler sends differential detection packets.
    PACKETS: "bubbler/sends-differential-detection-packets", Bubbler, sends,
        "it transmits port differential detection packets by way of its control unit to the server",
        [
            "there are none": spoil::no_measurement,
            "they do not count": spoil::measurement_from_elsewhere,
            "they are another's": spoil::detections_unopened,
        ];
    /// The server detects the differential.
    SERVER_DETECTS: "server/detects-differential", Bubbler, server_detects,
        "on the basis of those packets it detects the port differential of the control unit",
        [
            "there are no packets": spoil::no_measurement,
            "they come later": spoil::measurement_late,
            "it finds nothing": |meeting, _| nothing_found(meeting),
        ];
    /// The server sends it to the replier.
    SERVER_SENDS: "server/sends-differential", Bubbler, told,
        "it transmits the port differential to the other end",
        [
            "it does not": |meeting, side: Side| strip(meeting, side.other()),
            "it says nothing": |meeting, side: Side| spoil::no_bursts(meeting, side.other()),
            "others hear it": |meeting, side: Side| spoil::server_unopened(meeting, side.other()),
        ];
    /// The server reports the ports of the measurement to the bubbler.
    REPORTS: "server/reports-differential-detection-ports", Bubbler, reported,
        "it detects by which port each differential detection packet came, and transmits that to \
         the end that sent them",
        [
            "it does not": spoil::no_measurement_reports,
            "it reports before": spoil::measurement_reports_early,
            "it reports other ports": spoil::reports_wrong,
            "there are no packets": spoil::no_measurement,
        ];
    /// The bubbler receives the report and detects the differential from it.
    DETECTS: "bubbler/detects-differential", Bubbler, equipment_detects,
        "it receives that, and on its basis detects the port differential of its control unit",
        [
            "nothing is reported": spoil::no_measurement_reports,
            "it is reported later": spoil::measurement_reports_late,
            "other ports are reported": spoil::reports_wrong,
            "it names none": spoil::claimed_range_without_differential,
            "it finds nothing": |meeting, _| nothing_found(meeting),
        ];
    /// It comes through the server to the replier.
    THROUGH_SERVER: "bubbler/sends-differential-by-server", Bubbler, through_server,
        "it transmits the port differential that it detected to the other end by way of the server",
        [
            "it names none": spoil::claimed_range_without_differential,
            "it sends nothing": spoil::no_claimed_range,
            "the server passes none on": |meeting, side: Side| strip(meeting, side.other()),
            "the server says it before": spoil::claimed_range_late,
        ];
    /// The replier sends differential detection packets.
    REPLIER_PACKETS: "replier/sends-differential-detection-packets", Replier, sends,
        "it transmits port differential detection packets by way of its control unit to the server",
        [
            "there are none": spoil::no_measurement,
            "they do not count": spoil::measurement_from_elsewhere,
            "they are another's": spoil::detections_unopened,
        ];
    /// The server detects the replier's differential.
    REPLIER_SERVER_DETECTS: "server/detects-differential-of-replier", Replier, server_detects,
        "on the basis of those packets it detects the port differential of the replying end's \
         control unit",
        [
            "there are no packets": spoil::no_measurement,
            "they come later": spoil::measurement_late,
            "it finds nothing": |meeting, _| nothing_found(meeting),
        ];
    /// The server sends it to the bubbler, which receives it.
    REPLIER_SERVER_SENDS: "server/sends-differential-to-bubbler", Replier, told,
        "it transmits the port differential of the replying end's control unit to the bubbler",
        [
            "it does not": |meeting, side: Side| strip(meeting, side.other()),
            "it says nothing": |meeting, side: Side| spoil::no_bursts(meeting, side.other()),
        ];
    /// The server reports the ports of the measurement to the replier.
    REPLIER_REPORTS: "server/reports-differential-detection-ports-to-replier", Replier, reported,
        "it detects by which port each differential detection packet of the replying end came, and \
         transmits that to it",
        [
            "it does not": spoil::no_measurement_reports,
            "it reports before": spoil::measurement_reports_early,
            "it reports other ports": spoil::reports_wrong,
            "there are no packets": spoil::no_measurement,
        ];
    /// The replier detects its differential from the report.
    REPLIER_DETECTS: "replier/detects-differential", Replier, equipment_detects,
        "it receives that, and on its basis detects the port differential of its control unit",
        [
            "nothing is reported": spoil::no_measurement_reports,
            "it is reported later": spoil::measurement_reports_late,
            "other ports are reported": spoil::reports_wrong,
            "it names none": spoil::claimed_range_without_differential,
        ];
    /// It comes through the server to the bubbler.
    REPLIER_THROUGH_SERVER: "replier/sends-differential-by-server", Replier, through_server,
        "it transmits the port differential that it detected to the bubbler by way of the server",
        [
            "it names none": spoil::claimed_range_without_differential,
            "it sends nothing": spoil::no_claimed_range,
            "the server passes none on": |meeting, side: Side| strip(meeting, side.other()),
        ];
}

/// The replier receives the differential.
pub static RECEIVES: Element = Element {
    id: "replier/receives-differential",
    says: "it receives the port differential before it replies",
    check: |meeting| {
        let told = told(meeting, Bubbler)?;
        let replies = meeting.replies()?;
        must(replies.iter().all(|reply| reply.at >= arrival(told.packet)), "it replied before")
    },
    spoils: &[
        Spoil("it does not", |meeting| strip(meeting, Replier)),
        Spoil("it receives nothing", |meeting| spoil::no_bursts(meeting, Replier)),
        Spoil("it receives it later", |meeting| spoil::bursts_late(meeting, Replier)),
    ],
};

/// The replies go to every differential.
pub static REPLIES_STEPWISE: Element = Element {
    id: "replier/replies-at-differential",
    says: "it transmits the replies, more than one, at every port differential",
    check: |meeting| {
        let step = step(meeting, Bubbler)?;
        stepwise(&meeting.replied_ports()?, step)?;
        let told = told(meeting, Bubbler)?;
        must(told.differential() == Some(step), "it does not know the differential")
    },
    spoils: &[
        Spoil("there is one reply", |meeting| {
            let Ok(port) = meeting.bubble().map(|bubble| bubble.source.port()) else { return };
            let name = meeting.name(Replier);
            edit(
                meeting,
                |packet| packet.from == name,
                |packet| {
                    packet.destination.set_port(port);
                },
            );
        }),
        Spoil("they go elsewhere", |meeting| spoil::punches_to_port_1(meeting, Replier)),
        Spoil("there are none", |meeting| spoil::no_punches(meeting, Replier)),
        Spoil("it knows no differential", |meeting| strip(meeting, Replier)),
    ],
};

/// The bubbles go to every differential of the replier's.
pub static BUBBLES_STEPWISE: Element = Element {
    id: "bubbler/bubbles-at-differential",
    says: "it receives the port differential of the other end's control unit, and transmits the \
           bubbles at every differential",
    check: |meeting| {
        let (told, step) = (told(meeting, Replier)?, step(meeting, Replier)?);
        let ports = told.ports();
        let aimed = meeting.punches(Bubbler).filter(|packet| {
            packet.at >= arrival(told.packet) && ports.contains(&packet.destination.port())
        });
        stepwise(&once(aimed.map(|packet| packet.destination.port())), step)
    },
    spoils: &[
        Spoil("it knows no differential", |meeting| strip(meeting, Bubbler)),
        Spoil("they go elsewhere", |meeting| spoil::punches_to_port_1(meeting, Bubbler)),
        Spoil("there are none", |meeting| spoil::no_punches(meeting, Bubbler)),
    ],
};
