//! Port assigning packets (claims 64, 66, 74, 75, 81): the replier's first packet makes its NAT assign
//! the port that the replies will leave from, so that bubbles can go there.

use super::{Element, Spoil, spoil};
use crate::claims::elements::edit;
use crate::claims::punch::packets::is_punch;
use crate::claims::punch::run::{Side, arrival, must};

use Side::{Bubbler, Replier};

/// The replier sends a port assigning packet.
pub static SENDS: Element = Element {
    id: "replier/sends-port-assigning-packet",
    says: "before it replies it transmits a port assigning packet, which makes its control unit \
           assign a port",
    check: |meeting| {
        let packet = meeting.assigning()?;
        meeting.through_nat(Replier, packet)?;
        must(packet.destination.ip() == meeting.bubbler.outside, "it went elsewhere")?;
        let place = meeting.place(packet);
        let mut before = meeting.story.packets.iter().take(place);
        let used = before.any(|earlier| earlier.source == packet.source);
        must(!used, "its port had been assigned before")
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_punches(meeting, Replier)),
        Spoil("there is no port to be assigned", |meeting| {
            spoil::punches_untranslated(meeting, Replier);
        }),
        Spoil("it goes elsewhere", |meeting| spoil::punches_elsewhere(meeting, Replier)),
        Spoil("the replies come first", |meeting| spoil::bursts_early(meeting, Replier)),
    ],
};

/// The replies leave from the same socket, and by the assigned port.
pub static SAME_SOCKET: Element = Element {
    id: "replier/replies-from-port-assigning-socket",
    says: "it transmits the replies from the very port of its own that the port assigning packet \
           left from",
    check: |meeting| {
        let (packet, replies) = (meeting.assigning()?, meeting.replies()?);
        must(packet.inside.is_some(), "nobody saw which socket it left from")?;
        let same = replies.iter().all(|reply| reply.inside == packet.inside);
        must(same, "a reply left from another socket")?;
        let hit = meeting.hit()?;
        must(hit.source == packet.source, "the reply left by another port of the control unit")
    },
    spoils: &[
        Spoil("they leave from another socket", |meeting| {
            let Ok(place) = meeting.assigning().map(|packet| meeting.place(packet)) else {
                return;
            };
            let late: Vec<_> = meeting.story.packets.iter().skip(place + 1).cloned().collect();
            let name = meeting.name(Replier);
            edit(
                meeting,
                |packet| packet.from == name && late.contains(packet),
                |packet| {
                    packet.inside = packet.inside.map(|inside| (inside.ip(), 1).into());
                },
            );
        }),
        Spoil("there was no port assigning packet", |meeting| {
            let Ok(place) = meeting.assigning().map(|packet| meeting.place(packet)) else {
                return;
            };
            meeting.story.packets.remove(place);
        }),
        Spoil("no reply comes in", |meeting| spoil::punches_stopped(meeting, Replier)),
    ],
};

/// The target ports have the assigned port among them.
pub static AMONG_TARGETS: Element = Element {
    id: "server/target-ports-include-assigned-port",
    says: "among the target ports for the bubbles is the port that the port assigning packet left \
           by, and a bubble goes there",
    check: |meeting| {
        let (packet, told) = (meeting.assigning()?, meeting.aim(Bubbler)?);
        let port = packet.source.port();
        must(told.ports().contains(&port), "it is not among them")?;
        must(told.packet.at >= packet.at, "it was not assigned yet")?;
        must(told.punch.peer.ip() == packet.source.ip(), "they are another control unit's")?;
        let mut bubbles = meeting.punches(Bubbler);
        let there = bubbles.find(|bubble| {
            bubble.destination == packet.source && bubble.at >= arrival(told.packet)
        });
        must(there.is_some(), "no bubble went there")
    },
    spoils: &[
        Spoil("it is not", |meeting| spoil::bursts_name_port_1(meeting, Bubbler)),
        Spoil("it is assigned another port", |meeting| {
            spoil::punches_from_port_1(meeting, Replier);
        }),
        Spoil("no bubble goes there", |meeting| {
            let Ok(there) = meeting.assigning().map(|packet| packet.source) else { return };
            edit(
                meeting,
                |packet| is_punch(packet) && packet.destination == there,
                |packet| {
                    packet.destination.set_port(1);
                },
            );
        }),
        Spoil("nothing is named", |meeting| spoil::no_bursts(meeting, Bubbler)),
    ],
};
