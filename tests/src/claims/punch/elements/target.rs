//! Where bubbles go (claims 3, 10, 11, 26, 27, 32, 62 to 64, 79, 80): addresses that each end acquires,
//! target ports that the server names.

use super::{Element, Spoil, spoil};
use crate::claims::elements::edit;
use crate::claims::punch::packets::{Told, is_punch, once};
use crate::claims::punch::run::{Held, Meeting, Side, arrival, must};

use Side::{Bubbler, Replier};

/// What the bubbler was told before the bubble left.
fn told(meeting: &Meeting) -> Held<Told<'_>> {
    let bubble = meeting.bubble()?;
    let told = meeting.look(Bubbler)?;
    must(arrival(told.packet) <= bubble.at, "the bubble left before")?;
    must(!told.ports().is_empty(), "it names no target port")?;
    let there = meeting.replier.outside;
    must(told.punch.peer.ip() == there, "it is another control unit's")?;
    meeting.private(Bubbler, told.packet)?;
    Ok(told)
}

/// The address that an end was told is where its packets to the peer go.
fn acquires(meeting: &Meeting, side: Side, first: fn(&Meeting) -> Held<Told<'_>>) -> Held {
    let told = first(meeting)?;
    let there = meeting.house(side.other()).outside;
    must(told.punch.peer.ip() == there, "it is another address")?;
    let mut sent = meeting
        .story
        .packets
        .iter()
        .filter(|packet| packet.from == meeting.name(side) && is_punch(packet));
    let good =
        sent.all(|packet| packet.destination.ip() == there && packet.at >= arrival(told.packet));
    must(good, "a packet went elsewhere, or before")?;
    must(meeting.punches(side).next().is_some(), "nothing was sent there")
}

/// The server names the bubbler's target port.
pub static SERVER_SENDS: Element = Element {
    id: "server/sends-target-port",
    says: "it transmits to the bubbler target port information: which port of the other end's \
           control unit the bubble has to go to",
    check: |meeting| {
        let told = told(meeting)?;
        let at = meeting.server_facing(Bubbler)?;
        must(told.packet.destination == at, "it went elsewhere")
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_bursts(meeting, Bubbler)),
        Spoil("it does later", |meeting| spoil::bursts_late(meeting, Bubbler)),
        Spoil("it names another control unit", |meeting| {
            spoil::bursts_name_nobody(meeting, Bubbler);
        }),
        Spoil("others hear it", |meeting| spoil::server_unopened(meeting, Bubbler)),
    ],
};

/// The bubbler receives it.
pub static RECEIVES: Element = Element {
    id: "bubbler/receives-target-port",
    says: "it receives the target port information before it sends a bubble",
    check: |meeting| {
        let told = told(meeting)?;
        let mut bubbles = meeting.punches(Bubbler);
        must(bubbles.all(|bubble| bubble.at >= arrival(told.packet)), "a bubble left before")
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_bursts(meeting, Bubbler)),
        Spoil("it does later", |meeting| spoil::bursts_late(meeting, Bubbler)),
    ],
};

/// The bubbles go to the target ports.
pub static BUBBLES: Element = Element {
    id: "bubbler/bubbles-to-target-port",
    says: "it transmits the bubbles to the target ports that were indicated",
    check: |meeting| {
        let until = meeting.hit().map(arrival)?;
        let (name, there) = (meeting.name(Bubbler), meeting.replier.outside);
        let bubbles = meeting
            .story
            .packets
            .iter()
            .filter(|packet| packet.from == name && is_punch(packet) && packet.at <= until);
        let mut sent = 0;
        for bubble in bubbles {
            let mut known = meeting.bursts(Bubbler).filter(|told| {
                arrival(told.packet) <= bubble.at
                    && told.ports().contains(&bubble.destination.port())
            });
            must(known.next().is_some(), "one went to a port that was not indicated")?;
            must(bubble.destination.ip() == there, "one went to another control unit")?;
            sent += 1;
        }
        must(sent > 0, "there are none")
    },
    spoils: &[
        Spoil("they go to another port", |meeting| spoil::punches_to_port_1(meeting, Bubbler)),
        Spoil("they go elsewhere", |meeting| spoil::punches_elsewhere(meeting, Bubbler)),
        Spoil("there are none", |meeting| spoil::no_punches(meeting, Bubbler)),
        Spoil("another port was indicated", |meeting| {
            spoil::bursts_name_port_1(meeting, Bubbler);
        }),
        Spoil("it was indicated later", |meeting| spoil::bursts_late(meeting, Bubbler)),
    ],
};

/// The target port is the one that the replier's NAT uses towards the server.
pub static SERVER_PORT: Element = Element {
    id: "server/target-port-is-server-facing",
    says: "the target port is the port of the other end's control unit that the other end and the \
           server communicate by",
    check: |meeting| {
        let told = told(meeting)?;
        let facing = meeting.server_facing(Replier)?;
        must(told.ports() == [facing.port()], "another port was named")?;
        let mut bubbles = meeting.punches(Bubbler);
        must(bubbles.any(|bubble| bubble.destination == facing), "no bubble went there")
    },
    spoils: &[
        Spoil("another port is named", |meeting| spoil::bursts_name_port_1(meeting, Bubbler)),
        Spoil("the bubble goes to another port", |meeting| {
            spoil::punches_to_port_1(meeting, Bubbler);
        }),
        Spoil("the other end uses another port", |meeting| {
            let name = meeting.name(Replier);
            edit(
                meeting,
                |packet| packet.goes(name, crate::world::SERVER),
                |packet| {
                    packet.source.set_port(1);
                },
            );
        }),
    ],
};

/// Several target ports, and a bubble to each.
pub static SEVERAL: Element = Element {
    id: "bubbler/bubbles-to-several-target-ports",
    says: "the target port information shows several ports, and it transmits a bubble to each",
    check: |meeting| {
        let told = meeting.aim(Bubbler)?;
        let ports = told.ports();
        must(ports.len() > 1, "there is one target port")?;
        let aimed = meeting.punches(Bubbler).filter(|packet| packet.at >= arrival(told.packet));
        let reached = once(aimed.map(|packet| packet.destination.port()));
        must(ports.iter().all(|port| reached.contains(port)), "one had no bubble")
    },
    spoils: &[
        Spoil("there is one", |meeting| spoil::bursts_name_port_1(meeting, Bubbler)),
        Spoil("the bubbles go to one port", |meeting| {
            spoil::punches_to_port_1(meeting, Bubbler);
        }),
        Spoil("there are none", |meeting| spoil::no_punches(meeting, Bubbler)),
    ],
};

/// The bubbler acquires the address of the replier's NAT.
pub static ACQUIRES: Element = Element {
    id: "bubbler/acquires-address",
    says: "it acquires the address of the other end's control unit, and transmits the bubble there",
    check: |meeting| acquires(meeting, Bubbler, |meeting| meeting.look(Bubbler)),
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_bursts(meeting, Bubbler)),
        Spoil("it acquires another", |meeting| spoil::bursts_name_nobody(meeting, Bubbler)),
        Spoil("the bubble goes elsewhere", |meeting| spoil::punches_elsewhere(meeting, Bubbler)),
    ],
};

/// The replier acquires the address of the bubbler's NAT.
pub static REPLIER_ACQUIRES: Element = Element {
    id: "replier/acquires-address",
    says: "it acquires the address of the bubbler's control unit, and transmits the replies there",
    check: |meeting| {
        acquires(meeting, Replier, |meeting| {
            let first = meeting.bursts(Replier).next();
            first.ok_or_else(|| "it was told nothing".to_owned())
        })
    },
    spoils: &[
        Spoil("it does not", |meeting| spoil::no_bursts(meeting, Replier)),
        Spoil("it acquires another", |meeting| spoil::bursts_name_nobody(meeting, Replier)),
        Spoil("the replies go elsewhere", |meeting| spoil::punches_elsewhere(meeting, Replier)),
    ],
};
