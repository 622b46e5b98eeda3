//! Claims 1, 5 and 16: a bubble, the record that it leaves, and the reply that comes in by it.

use super::{Element, Spoil, spoil};
use crate::claims::elements::{edit, remove};
use crate::claims::punch::packets::is_punch;
use crate::claims::punch::run::{Held, Meeting, Side, arrival, must};

use Side::{Bubbler, Replier};

/// The bubbler sends a bubble.
pub static BUBBLE: Element = Element {
    id: "bubbler/sends-bubble",
    says: "it transmits a bubble to the other end's control unit by way of its own",
    check: |meeting| {
        let bubble = meeting.bubble()?;
        meeting.through_nat(Bubbler, bubble)?;
        let there = meeting.replier.outside;
        must(bubble.destination.ip() == there, "it goes elsewhere")?;
        must(bubble.inside.is_some_and(|inside| inside.ip() != there), "it stays inside")
    },
    spoils: &[
        Spoil("there is none", |meeting| spoil::no_punches(meeting, Bubbler)),
        Spoil("it goes elsewhere", |meeting| spoil::punches_elsewhere(meeting, Bubbler)),
        Spoil("it leaves by another NAT", |meeting| {
            spoil::punches_from_elsewhere(meeting, Bubbler);
        }),
        Spoil("there is no NAT", |meeting| spoil::punches_untranslated(meeting, Bubbler)),
    ],
};

/// The bubble leaves a record in the bubbler's NAT.
pub static RECORD: Element = Element {
    id: "bubbler/bubble-leaves-record",
    says: "the bubble leaves a transmission record in the control unit: what comes from where a \
           bubble went to is let in at the port that it left by, and nothing was before",
    check: leaves_record,
    spoils: &[
        Spoil("there is no bubble", |meeting| spoil::no_punches(meeting, Bubbler)),
        Spoil("it came later", |meeting| spoil::punches_late(meeting, Bubbler)),
        Spoil("it went to another port", |meeting| spoil::punches_to_port_1(meeting, Bubbler)),
        Spoil("it left by another port", |meeting| spoil::punches_from_port_1(meeting, Bubbler)),
        Spoil("nothing came in", |meeting| spoil::punches_stopped(meeting, Replier)),
    ],
};

fn leaves_record(meeting: &Meeting) -> Held {
    let hit = meeting.hit()?;
    let mut bubbles = meeting.punches(Bubbler);
    let record = bubbles.find(|bubble| {
        (bubble.source, bubble.destination) == (hit.destination, hit.source)
            && bubble.at < arrival(hit)
    });
    let record = record.ok_or("no bubble went from there to where the reply came from")?;
    let (name, other) = (meeting.name(Bubbler), meeting.name(Replier));
    let mut early = meeting.story.between(other, name).filter(|packet| packet.arrived.is_some());
    must(early.all(|packet| arrival(packet) > record.at), "something came in before")
}

/// The bubbler receives the reply at the bubble's port.
pub static RECEIVES_REPLY: Element = Element {
    id: "bubbler/receives-reply",
    says: "it receives the reply that the other end sent, by way of the other's control unit, to \
           the port of its own control unit that the bubble left by",
    check: |meeting| {
        let (hit, bubble) = (meeting.hit()?, meeting.bubble()?);
        must(hit.destination == bubble.source, "it came to another port")?;
        must(hit.at >= bubble.at, "it left before the bubble")?;
        meeting.through_nat(Replier, hit)
    },
    spoils: &[
        Spoil("there is no reply", |meeting| spoil::no_punches(meeting, Replier)),
        Spoil("no reply arrives", |meeting| spoil::punches_stopped(meeting, Replier)),
        Spoil("the bubble left by another port", |meeting| {
            spoil::punches_from_port_1(meeting, Bubbler);
        }),
        Spoil("the reply left by another NAT", |meeting| {
            spoil::punches_from_elsewhere(meeting, Replier);
        }),
        Spoil("there was no bubble", |meeting| spoil::no_punches(meeting, Bubbler)),
    ],
};

/// The bubble reaches the replier's NAT.
pub static BUBBLE_REACHES: Element = Element {
    id: "replier/control-unit-receives-bubble",
    says: "its control unit receives the bubble that the other end sends, by way of the other's \
           control unit, to leave a record there",
    check: |meeting| {
        let bubble = meeting.bubble()?;
        meeting.through_nat(Bubbler, bubble)?;
        let replier = &meeting.replier;
        must(bubble.destination.ip() == replier.outside, "it goes elsewhere")?;
        let there = bubble.refused && bubble.to == replier.nat;
        must(there || bubble.arrived.is_some(), "it did not come there")
    },
    spoils: &[
        Spoil("there is none", |meeting| spoil::no_punches(meeting, Bubbler)),
        Spoil("it is lost", |meeting| spoil::punches_stopped(meeting, Bubbler)),
        Spoil("it goes elsewhere", |meeting| spoil::punches_elsewhere(meeting, Bubbler)),
        Spoil("it leaves by another NAT", |meeting| {
            spoil::punches_from_elsewhere(meeting, Bubbler);
        }),
    ],
};

/// The replier replies.
pub static REPLIES: Element = Element {
    id: "replier/sends-reply",
    says: "it transmits replies, by way of its control unit, to one or more ports of the other's, \
           the port that the bubble left by among them",
    check: |meeting| {
        let (replies, bubble) = (meeting.replies()?, meeting.bubble()?);
        let there = meeting.bubbler.outside;
        must(replies.iter().all(|reply| reply.destination.ip() == there), "one went elsewhere")?;
        let to_it = replies.iter().find(|reply| reply.destination == bubble.source);
        let to_it = to_it.ok_or("none went to the bubble's port")?;
        must(to_it.at >= bubble.at, "it left before the bubble")?;
        meeting.through_nat(Replier, to_it)
    },
    spoils: &[
        Spoil("there is none", |meeting| spoil::no_punches(meeting, Replier)),
        Spoil("they go to another address", |meeting| {
            spoil::punches_elsewhere(meeting, Replier);
        }),
        Spoil("none goes to the bubble's port", |meeting| {
            let Ok(port) = meeting.bubble().map(|bubble| bubble.source.port()) else { return };
            let name = meeting.name(Replier);
            remove(meeting, |packet| {
                packet.from == name && is_punch(packet) && packet.destination.port() == port
            });
        }),
        Spoil("the bubble came later", |meeting| spoil::punches_late(meeting, Bubbler)),
        Spoil("they leave by another NAT", |meeting| {
            spoil::punches_from_elsewhere(meeting, Replier);
        }),
    ],
};

/// Bubbler, both NATs, replier and server are connected.
pub static SYSTEM: Element = Element {
    id: "system/comprises-parts",
    says: "there are two information processors, a control unit before each, and a server that \
           both reach through their control units",
    check: |meeting| {
        for side in [Bubbler, Replier] {
            let said = meeting.up(side).find(|packet| packet.key().is_some());
            let said = said.ok_or("an end does not reach the server")?;
            meeting.private(side, said)?;
            meeting.through_nat(side, said)?;
            must(meeting.down(side).next().is_some(), "the server does not reach an end")?;
        }
        must(meeting.bubbler.nat != meeting.replier.nat, "there is one control unit")
    },
    spoils: &[
        Spoil("the server is silent", |meeting| {
            remove(meeting, |packet| packet.from == crate::world::SERVER);
        }),
        Spoil("an end is silent", |meeting| {
            let name = meeting.name(Bubbler);
            remove(meeting, |packet| packet.from == name);
        }),
        Spoil("there is no NAT", |meeting| {
            edit(meeting, |_| true, |packet| packet.inside = Some(packet.source));
        }),
        Spoil("both are behind one NAT", |meeting| {
            meeting.replier.nat.clone_from(&meeting.bubbler.nat);
        }),
    ],
};
