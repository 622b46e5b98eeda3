//! Who detects the range, and how it comes to the other end: the server from what it observes (claims
//! 2, 14, 22), or the equipment from the detection port information that the server reports to it
//! (claims 51, 54, 57).

use genkan_core::nat::PortRange;

use super::{Element, Spoil, spoil};
use crate::claims::punch::packets::{Told, once};
use crate::claims::punch::run::{Held, Meeting, Side, arrival, must};
use crate::story::{Packet, What};

use Side::{Bubbler, Replier};

/// The server receives both and sees where they come from.
fn positions(meeting: &Meeting, side: Side) -> Held {
    let around = meeting.around(side)?;
    for packet in [around.before, around.after] {
        meeting.private(side, packet)?;
        must(packet.source.ip() == meeting.house(side).outside, "one came from elsewhere")?;
    }
    must(around.contains(around.between.source.port()), "the port lies outside of theirs")
}

/// What the other end is told lies between what the server observed, and has the port that is
/// sought; the equipment itself has said nothing.
fn server_detects(meeting: &Meeting, side: Side) -> Held {
    let around = meeting.around(side)?;
    let told = meeting.aim(side.other())?;
    must(meeting.claimed(side).is_err(), "the equipment has detected it")?;
    let observed = arrival(around.before).max(arrival(around.after));
    must(told.packet.at >= observed, "the server had not seen both yet")?;
    let ports = told.ports();
    must(ports.iter().all(|&port| around.contains(port)), "it reaches beyond what was seen")?;
    must(ports.contains(&around.between.source.port()), "the port is not in it")
}

/// The other end is told the range.
fn told_range(meeting: &Meeting, side: Side) -> Held<Told<'_>> {
    let told = meeting.aim(side.other())?;
    let sought = meeting.sought(side)?.source.port();
    must(told.ports().contains(&sought), "the port is not in the range")?;
    let there = meeting.house(side).outside;
    must(told.punch.peer.ip() == there, "the range is another control unit's")?;
    meeting.private(side.other(), told.packet)?;
    Ok(told)
}

/// The server's reports about the two packets say where they came from.
fn reported(meeting: &Meeting, side: Side) -> Held<[&Packet; 2]> {
    let around = meeting.around(side)?;
    let report = |seen: &Packet| -> Held<&Packet> {
        let What::Detect(detection) = &seen.what else { return Err("it is none".into()) };
        must(detection.report, "the equipment wants no report")?;
        let report = meeting.reports(side, seen).next().ok_or("nothing was reported of one")?;
        let What::Seen(content) = &report.what else { return Err("it is no report".into()) };
        let mut named = content.packets.iter().filter(|(which, _)| *which == detection.which);
        must(
            named.all(|(_, address)| *address == seen.source.into()),
            "another port was reported",
        )?;
        must(report.at >= arrival(seen), "it was reported before")?;
        meeting.private(side, report)?;
        Ok(report)
    };
    Ok([report(around.before)?, report(around.after)?])
}

/// The equipment's range is that of the reported ports, and has the port that is sought.
fn equipment_detects(meeting: &Meeting, side: Side) -> Held<PortRange> {
    let around = meeting.around(side)?;
    let reports = reported(meeting, side)?;
    let (packet, range) = meeting.claimed(side)?;
    let heard = reports.iter().all(|report| arrival(report) <= packet.at);
    must(heard, "it had not heard of both ports yet")?;
    must(range.hull() == around.hull(), "it is not the range of the reported ports")?;
    let mut ports = range.forecast().ports();
    must(ports.any(|port| port == around.between.source.port()), "the port is not in it")?;
    Ok(range)
}

/// The server passes the equipment's range on to the other end.
fn passed_on(meeting: &Meeting, side: Side) -> Held {
    let (packet, range) = meeting.claimed(side)?;
    let told = told_range(meeting, side)?;
    must(told.packet.at >= arrival(packet), "the server said it before the equipment did")?;
    let count = usize::from(told.punch.burst.count);
    let ports: Vec<u16> = range.forecast().ports().take(count).collect();
    must(told.ports() == ports, "the server told another range")
}

/// The server receives the range detection packets and sees their ports.
pub static POSITIONS: Element = Element {
    id: "server/receives-range-detection-packets",
    says: "the range detection packets reach the server, which sees by which port of the control \
           unit each came; the bubble's lies between",
    check: |meeting| positions(meeting, Bubbler),
    spoils: &[
        Spoil("there are none", |meeting| spoil::no_range_packets(meeting, Bubbler)),
        Spoil("they are another's", |meeting| spoil::detections_unopened(meeting, Bubbler)),
        Spoil("they come by other ports", |meeting| {
            spoil::range_packets_from_elsewhere(meeting, Bubbler);
        }),
    ],
};

/// The server detects the range.
pub static SERVER_DETECTS: Element = Element {
    id: "server/detects-range",
    says: "on the basis of the range detection packets it detects the range of ports with the \
           bubble's",
    check: |meeting| server_detects(meeting, Bubbler),
    spoils: &[
        Spoil("there are no range detection packets", |meeting| {
            spoil::no_range_packets(meeting, Bubbler);
        }),
        Spoil("they come later", |meeting| spoil::range_packets_late(meeting, Bubbler)),
        Spoil("they come by other ports", |meeting| {
            spoil::range_packets_from_elsewhere(meeting, Bubbler);
        }),
        Spoil("the range is another", |meeting| spoil::bursts_name_port_1(meeting, Replier)),
        Spoil("it is detected before", |meeting| spoil::bursts_early(meeting, Replier)),
    ],
};

/// The server sends the range to the replier.
pub static SERVER_SENDS: Element = Element {
    id: "server/sends-range",
    says: "it transmits the range information to the other end",
    check: |meeting| {
        let told = told_range(meeting, Bubbler)?;
        let at = meeting.server_facing(Replier)?;
        must(told.packet.destination == at, "it went elsewhere")
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_bursts(meeting, Replier)),
        Spoil("the range is another", |meeting| spoil::bursts_name_port_1(meeting, Replier)),
        Spoil("it is another control unit's", |meeting| {
            spoil::bursts_name_nobody(meeting, Replier);
        }),
        Spoil("others hear it", |meeting| spoil::server_unopened(meeting, Replier)),
    ],
};

/// The replier receives it.
pub static RECEIVES: Element = Element {
    id: "replier/receives-range",
    says: "it receives the range information before it replies",
    check: |meeting| {
        let told = told_range(meeting, Bubbler)?;
        let replies = meeting.replies()?;
        must(replies.iter().all(|reply| reply.at >= arrival(told.packet)), "it replied before")?;
        let bubble = meeting.bubble()?;
        let mut sent = meeting.punches(Replier);
        let early =
            sent.any(|sent| sent.destination == bubble.source && sent.at < arrival(told.packet));
        must(!early, "it knew the port before")
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_bursts(meeting, Replier)),
        Spoil("it receives it later", |meeting| spoil::bursts_late(meeting, Replier)),
        Spoil("another range", |meeting| spoil::bursts_name_port_1(meeting, Replier)),
    ],
};

/// The replier replies over the range.
pub static OVER_RANGE: Element = Element {
    id: "replier/replies-over-range",
    says: "it transmits the replies to the ports of the range that was indicated",
    check: |meeting| {
        let told = told_range(meeting, Bubbler)?;
        let (ports, replied) = (once(told.ports()), meeting.replied_ports()?);
        must(replied.iter().all(|port| ports.contains(port)), "a reply left the range")?;
        let all = ports.iter().take(replied.len()).eq(replied.iter());
        must(all, "the likeliest ports of the range did not come first")?;
        let sought = meeting.bubble()?.source.port();
        must(replied.contains(&sought), "the bubble's port had none")?;
        let there = meeting.bubbler.outside;
        let strays = meeting.story.packets.iter().filter(|packet| {
            packet.from == meeting.replier.name
                && packet.destination.ip() == there
                && packet.at >= arrival(told.packet)
                && packet.at <= meeting.hit().map_or(packet.at, arrival)
                && !ports.contains(&packet.destination.port())
                && matches!(&packet.what, What::Check(check) if !check.answer)
        });
        must(strays.count() == 0, "a packet went beside the range")
    },
    spoils: &[
        Spoil("it does not reply", |meeting| spoil::no_punches(meeting, Replier)),
        Spoil("it replies elsewhere", |meeting| spoil::punches_to_port_1(meeting, Replier)),
        Spoil("the range is another", |meeting| spoil::bursts_name_port_1(meeting, Replier)),
        Spoil("it knows no range", |meeting| spoil::no_bursts(meeting, Replier)),
    ],
};

/// The server reports the ports to the bubbler.
pub static REPORTS: Element = Element {
    id: "server/reports-detection-ports",
    says: "it detects by which port of the control unit each range detection packet came, and \
           transmits that as detection port information to the end that sent them",
    check: |meeting| reported(meeting, Bubbler).map(|_| ()),
    spoils: REPORT_SPOILS,
};

const REPORT_SPOILS: &[Spoil<Meeting>] = &[
    Spoil("it does not", |meeting| spoil::no_reports(meeting, Bubbler)),
    Spoil("it reports before", |meeting| spoil::reports_early(meeting, Bubbler)),
    Spoil("it reports other ports", |meeting| spoil::reports_wrong(meeting, Bubbler)),
    Spoil("others hear it", |meeting| spoil::server_unopened(meeting, Bubbler)),
    Spoil("there are no range detection packets", |meeting| {
        spoil::no_range_packets(meeting, Bubbler);
    }),
];

/// The bubbler receives the report.
pub static RECEIVES_REPORT: Element = Element {
    id: "bubbler/receives-detection-ports",
    says: "it receives the detection port information before it has sent a range",
    check: |meeting| {
        let reports = reported(meeting, Bubbler)?;
        let (sent, _) = meeting.claimed(Bubbler)?;
        let heard = reports.iter().all(|report| arrival(report) <= sent.at);
        must(heard, "it sent the range before")
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_reports(meeting, Bubbler)),
        Spoil("it receives it later", |meeting| spoil::reports_late(meeting, Bubbler)),
        Spoil("it sent the range before", |meeting| spoil::claimed_range_early(meeting, Bubbler)),
    ],
};

/// The bubbler detects the range.
pub static DETECTS: Element = Element {
    id: "bubbler/detects-range",
    says: "on the basis of the detection port information it detects the range of ports with the \
           bubble's",
    check: |meeting| equipment_detects(meeting, Bubbler).map(|_| ()),
    spoils: &[
        Spoil("the range is another", |meeting| spoil::claimed_range_wrong(meeting, Bubbler)),
        Spoil("it was reported other ports", |meeting| spoil::reports_wrong(meeting, Bubbler)),
        Spoil("nothing was reported", |meeting| spoil::no_reports(meeting, Bubbler)),
        Spoil("it detects none", |meeting| spoil::no_claimed_range(meeting, Bubbler)),
    ],
};

/// The bubbler sends the range.
pub static SENDS: Element = Element {
    id: "bubbler/sends-range",
    says: "it transmits the range information to the server",
    check: |meeting| {
        let (packet, _) = meeting.claimed(Bubbler)?;
        meeting.private(Bubbler, packet)?;
        must(packet.destination == meeting.story.server, "it went elsewhere")
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_claimed_range(meeting, Bubbler)),
        Spoil("it is another's", |meeting| spoil::detections_unopened(meeting, Bubbler)),
    ],
};

/// The range comes to the replier through the server.
pub static THROUGH_SERVER: Element = Element {
    id: "server/passes-range-on",
    says: "the range that the bubbler detected comes through the server to the other end",
    check: |meeting| passed_on(meeting, Bubbler),
    spoils: PASSED_SPOILS,
};

const PASSED_SPOILS: &[Spoil<Meeting>] = &[
    Spoil("it does not come there", |meeting| spoil::no_bursts(meeting, Replier)),
    Spoil("another one does", |meeting| spoil::bursts_name_port_1(meeting, Replier)),
    Spoil("the end has sent another", |meeting| spoil::claimed_range_wrong(meeting, Bubbler)),
    Spoil("it is there before", |meeting| spoil::claimed_range_late(meeting, Bubbler)),
];

/// The server receives the range detection packets around the port assigning packet.
pub static ASSIGNING_POSITIONS: Element = Element {
    id: "server/receives-range-detection-packets-of-replier",
    says: "the range detection packets of the replying end reach the server, which sees by which \
           port each came; the port assigning packet's lies between",
    check: |meeting| positions(meeting, Replier),
    spoils: &[
        Spoil("there are none", |meeting| spoil::no_range_packets(meeting, Replier)),
        Spoil("they are another's", |meeting| spoil::detections_unopened(meeting, Replier)),
        Spoil("they come by other ports", |meeting| {
            spoil::range_packets_from_elsewhere(meeting, Replier);
        }),
    ],
};

/// The server detects the range with the port assigning packet's port.
pub static ASSIGNING_SERVER_DETECTS: Element = Element {
    id: "server/detects-range-of-port-assigning-packet",
    says: "it detects the range of ports with the port assigning packet's, and names target ports \
           on that basis",
    check: |meeting| server_detects(meeting, Replier),
    spoils: &[
        Spoil("there are no range detection packets", |meeting| {
            spoil::no_range_packets(meeting, Replier);
        }),
        Spoil("they come later", |meeting| spoil::range_packets_late(meeting, Replier)),
        Spoil("the targets are others", |meeting| spoil::bursts_name_port_1(meeting, Bubbler)),
        Spoil("they are named before", |meeting| spoil::bursts_early(meeting, Bubbler)),
    ],
};

/// The server reports the ports to the replier.
pub static ASSIGNING_REPORTS: Element = Element {
    id: "server/reports-detection-ports-to-replier",
    says: "it detects by which port each range detection packet of the replying end came, and \
           transmits that as detection port information to it",
    check: |meeting| reported(meeting, Replier).map(|_| ()),
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_reports(meeting, Replier)),
        Spoil("it reports before", |meeting| spoil::reports_early(meeting, Replier)),
        Spoil("it reports other ports", |meeting| spoil::reports_wrong(meeting, Replier)),
    ],
};

/// The replier receives the report, and detects the range from it.
pub static ASSIGNING_DETECTS: Element = Element {
    id: "replier/detects-range",
    says: "it receives the detection port information, and on its basis detects the range of ports \
           with the port assigning packet's",
    check: |meeting| equipment_detects(meeting, Replier).map(|_| ()),
    spoils: &[
        Spoil("nothing was reported", |meeting| spoil::no_reports(meeting, Replier)),
        Spoil("it is reported later", |meeting| spoil::reports_late(meeting, Replier)),
        Spoil("other ports were reported", |meeting| spoil::reports_wrong(meeting, Replier)),
        Spoil("the range is another", |meeting| spoil::claimed_range_wrong(meeting, Replier)),
        Spoil("it detects none", |meeting| spoil::no_claimed_range(meeting, Replier)),
    ],
};

/// The replier sends the range as target port information.
pub static ASSIGNING_SENDS: Element = Element {
    id: "replier/sends-target-ports",
    says: "it transmits the range to the server as target port information for the bubbles",
    check: |meeting| {
        let (packet, _) = meeting.claimed(Replier)?;
        meeting.private(Replier, packet)?;
        must(packet.destination == meeting.story.server, "it went elsewhere")
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_claimed_range(meeting, Replier)),
        Spoil("it is another's", |meeting| spoil::detections_unopened(meeting, Replier)),
    ],
};

/// The server passes the replier's target ports on.
pub static ASSIGNING_THROUGH_SERVER: Element = Element {
    id: "server/passes-target-ports-on",
    says: "it receives the target port information of the replying end, and transmits that to the \
           bubbler",
    check: |meeting| passed_on(meeting, Replier),
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_bursts(meeting, Bubbler)),
        Spoil("it transmits others", |meeting| spoil::bursts_name_port_1(meeting, Bubbler)),
        Spoil("it has received others", |meeting| spoil::claimed_range_wrong(meeting, Replier)),
        Spoil("it transmits them before", |meeting| {
            spoil::claimed_range_late(meeting, Replier);
        }),
    ],
};
