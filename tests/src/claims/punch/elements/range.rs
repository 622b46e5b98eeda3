//! Claims 2, 6 to 9 and 29 to 31: range detection packets around the bubble, and around a port
//! assigning packet (claims 67 to 69, 82).

use core::net::SocketAddr;

use super::{Element, Spoil, spoil};
use crate::claims::punch::packets::BURST;
use crate::claims::punch::run::{Held, Meeting, Side, must};

use Side::{Bubbler, Replier};

/// An end's detection packets of a burst reach the server through its NAT, under its own session.
fn sends(meeting: &Meeting, side: Side) -> Held {
    let packets = meeting.range_packets(side);
    must(!packets.is_empty(), "no range detection packet has reached the server")?;
    let sought = meeting.sought(side)?;
    let close = packets.iter().any(|packet| packet.at.abs_diff(sought.at) <= BURST);
    must(close, "none belongs to the burst")?;
    for packet in packets {
        meeting.private(side, packet)?;
        meeting.through_nat(side, packet)?;
    }
    Ok(())
}

/// One before and one after, and the port that is sought lies between theirs.
fn before_and_after(meeting: &Meeting, side: Side) -> Held {
    let around = meeting.around(side)?;
    let (before, between, after) = (around.before, around.between, around.after);
    must(before.at <= between.at && between.at <= after.at, "they are not around it")?;
    must(after.at.saturating_sub(before.at) <= BURST, "they do not belong to one burst")?;
    must(around.contains(between.source.port()), "the port lies outside of theirs")
}

fn different_addresses(meeting: &Meeting, side: Side) -> Held {
    let around = meeting.around(side)?;
    let (before, after) = (around.before.destination, around.after.destination);
    must(before.ip() != after.ip(), "they go to one address")
}

/// Each from a socket that nothing has left before.
fn fresh_ports(meeting: &Meeting, side: Side) -> Held {
    let around = meeting.around(side)?;
    let name = meeting.name(side);
    let earlier = |until: usize| -> Vec<SocketAddr> {
        let packets = meeting.story.packets.iter().take(until);
        packets.filter(|packet| packet.from == name).filter_map(|packet| packet.inside).collect()
    };
    for packet in [around.before, around.after] {
        let inside = packet.inside.ok_or("nobody saw which socket it left from")?;
        must(!earlier(meeting.place(packet)).contains(&inside), "its port was used before")?;
    }
    Ok(())
}

const fn packets(
    id: &'static str,
    says: &'static str,
    check: fn(&Meeting) -> Held,
    spoils: &'static [Spoil<Meeting>],
) -> Element {
    Element { id, says, check, spoils }
}

/// The bubbler sends range detection packets to the server.
pub static PACKETS: Element = packets(
    "bubbler/sends-range-detection-packet",
    "it transmits range detection packets to the server, to detect the range of ports with the \
     bubble's",
    |meeting| sends(meeting, Bubbler),
    &[
        Spoil("there are none", |meeting| spoil::no_range_packets(meeting, Bubbler)),
        Spoil("they come with another burst", |meeting| {
            spoil::range_packets_late(meeting, Bubbler);
        }),
        Spoil("they are another's", |meeting| spoil::detections_unopened(meeting, Bubbler)),
        Spoil("there is no bubble", |meeting| spoil::no_punches(meeting, Bubbler)),
    ],
);

/// Before and after the bubble.
pub static BEFORE_AFTER: Element = packets(
    "bubbler/range-detection-packets-before-and-after",
    "it transmits range detection packets before and after the bubble",
    |meeting| before_and_after(meeting, Bubbler),
    &[
        Spoil("none comes before", |meeting| spoil::no_range_packet_before(meeting, Bubbler)),
        Spoil("none comes after", |meeting| spoil::no_range_packet_after(meeting, Bubbler)),
        Spoil("all come late", |meeting| spoil::range_packets_late(meeting, Bubbler)),
        Spoil("the port lies elsewhere", |meeting| {
            spoil::range_packets_from_elsewhere(meeting, Bubbler);
        }),
    ],
);

/// To different addresses.
pub static ADDRESSES: Element = packets(
    "bubbler/range-detection-packets-to-different-addresses",
    "it transmits them to different addresses before and after",
    |meeting| different_addresses(meeting, Bubbler),
    &[
        Spoil("they go to one address", |meeting| {
            spoil::range_packets_to_one_address(meeting, Bubbler);
        }),
        Spoil("none comes after", |meeting| spoil::no_range_packet_after(meeting, Bubbler)),
    ],
);

/// From newly assigned ports.
pub static FRESH: Element = packets(
    "bubbler/range-detection-packets-from-new-ports",
    "it transmits them by using ports newly assigned in itself before and after",
    |meeting| fresh_ports(meeting, Bubbler),
    &[
        Spoil("they leave from one port", |meeting| {
            spoil::range_packets_from_one_socket(meeting, Bubbler);
        }),
        Spoil("none comes before", |meeting| spoil::no_range_packet_before(meeting, Bubbler)),
    ],
);

/// The replier sends range detection packets for its port assigning packet.
pub static ASSIGNING_PACKETS: Element = packets(
    "replier/sends-range-detection-packet",
    "it transmits range detection packets, to detect the range of ports with the port assigning \
     packet's",
    |meeting| sends(meeting, Replier),
    &[
        Spoil("there are none", |meeting| spoil::no_range_packets(meeting, Replier)),
        Spoil("they come with another burst", |meeting| {
            spoil::range_packets_late(meeting, Replier);
        }),
        Spoil("they are another's", |meeting| spoil::detections_unopened(meeting, Replier)),
    ],
);

/// Before and after the port assigning packet.
pub static ASSIGNING_BEFORE_AFTER: Element = packets(
    "replier/range-detection-packets-before-and-after",
    "it transmits range detection packets before and after the port assigning packet",
    |meeting| before_and_after(meeting, Replier),
    &[
        Spoil("none comes before", |meeting| spoil::no_range_packet_before(meeting, Replier)),
        Spoil("none comes after", |meeting| spoil::no_range_packet_after(meeting, Replier)),
        Spoil("the port lies elsewhere", |meeting| {
            spoil::range_packets_from_elsewhere(meeting, Replier);
        }),
    ],
);

/// From newly assigned ports.
pub static ASSIGNING_FRESH: Element = packets(
    "replier/range-detection-packets-from-new-ports",
    "it transmits them by using ports newly assigned in itself before and after",
    |meeting| fresh_ports(meeting, Replier),
    &[
        Spoil("they leave from one port", |meeting| {
            spoil::range_packets_from_one_socket(meeting, Replier);
        }),
        Spoil("none comes after", |meeting| spoil::no_range_packet_after(meeting, Replier)),
    ],
);
