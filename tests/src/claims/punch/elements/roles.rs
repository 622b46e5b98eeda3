//! Who bubbles and who replies (claims 19, 33, 50): the server looks at both NATs and decides.

use genkan_core::nat::{Allocation, NatProfile};
use genkan_core::punch::{End, Plan};
use genkan_core::wire::message::Verdict;
use genkan_core::{EquipmentId, ServerEvent};

use super::{Element, Spoil, spoil};
use crate::claims::elements::{defer, remove};
use crate::claims::punch::run::{Held, Meeting, SERVER, Side, arrival, must};
use crate::story::{Packet, Role, Told, What};

use Side::{Bubbler, Replier};

/// The server stands between the two.
pub static INFORMS: Element = Element {
    id: "server/passes-information-between",
    says: "it transmits and receives information between the two ends",
    check: |meeting| {
        let packets = || meeting.story.packets.iter().filter(|packet| packet.arrived.is_some());
        let find = |is: fn(&What) -> bool, name: &str| {
            let mut found = packets().filter(|packet| is(&packet.what));
            found.next().ok_or_else(|| format!("no {name} has arrived"))
        };
        let id = end_id(meeting, Role::Acceptor);
        let for_it =
            |packet: &&Packet| matches!(packet.what, What::Connect { target, .. } if target == id);
        let asked = packets().find(for_it).ok_or("no request has arrived")?;
        let passed = find(|what| matches!(what, What::Notify { .. }), "notification")?;
        let word = |what: &What| matches!(what, What::Reply { verdict: Verdict::Accepted, .. });
        let answered = find(word, "word of the acceptor")?;
        let told = find(|what| matches!(what, What::Plan { accepted: true, .. }), "plan")?;
        let (What::Connect { offer, .. }, What::Notify { offer: same, .. }) =
            (&asked.what, &passed.what)
        else {
            return Err("they are no requests".into());
        };
        must(offer.bytes == same.bytes, "another offer was passed on")?;
        must(asked.from != answered.from && asked.to == SERVER, "one end asks itself")?;
        must(answered.to == SERVER && told.from == SERVER, "it did not go by the server")?;
        must(passed.to == answered.from && told.to == asked.from, "another end was told")?;
        must(passed.at >= arrival(asked) && told.at >= arrival(answered), "it was told before")
    },
    spoils: &[
        Spoil("nothing is passed on", |meeting| {
            remove(meeting, |packet| matches!(packet.what, What::Notify { .. }));
        }),
        Spoil("nothing comes back", |meeting| {
            remove(meeting, |packet| matches!(packet.what, What::Plan { .. }));
        }),
        Spoil("the request comes later", |meeting| {
            defer(meeting, |packet| matches!(packet.what, What::Connect { .. }));
        }),
        Spoil("the acceptor says nothing", |meeting| {
            remove(meeting, |packet| matches!(packet.what, What::Reply { .. }));
        }),
    ],
};

/// What the server has found out of an end's NAT before it decided.
fn characteristic(meeting: &Meeting, side: Side) -> Held<NatProfile> {
    let id = meeting.id(side);
    let (decided, _) = decision(meeting)?;
    let seen = meeting.measured(side).into_iter().map(arrival).max();
    let seen = seen.ok_or("nothing was measured")?;
    let mut found = meeting.story.told.iter().filter_map(|told| match told {
        Told::Server(at, ServerEvent::Measured { id: whose, profile }) if *whose == id => {
            Some((*at, *profile))
        }
        _ => None,
    });
    let found = found.find(|(at, _)| *at <= decided && *at >= seen);
    found.map(|(_, profile)| profile).ok_or_else(|| "nothing was found out in time".to_owned())
}

/// When the server has decided, and what.
///
/// # Errors
/// It has not.
pub(in crate::claims::punch) fn decision(meeting: &Meeting) -> Held<(core::time::Duration, Plan)> {
    let ends = (end_id(meeting, Role::Issuer), end_id(meeting, Role::Acceptor));
    let found = meeting.story.told.iter().find_map(|told| match told {
        Told::Server(at, ServerEvent::Planned { issuer, target, plan: Ok(plan) })
            if (*issuer, *target) == ends =>
        {
            Some((*at, *plan))
        }
        _ => None,
    });
    found.ok_or_else(|| "the server has decided nothing".to_owned())
}

fn end_id(meeting: &Meeting, role: Role) -> EquipmentId {
    let sides = [Bubbler, Replier];
    let side = sides.into_iter().find(|side| meeting.role(*side) == role).unwrap_or(Bubbler);
    meeting.id(side)
}

/// The server judges both NATs.
pub static CHARACTERISTICS: Element = Element {
    id: "server/determines-characteristics",
    says: "it determines the characteristics of both control units",
    check: |meeting| {
        for side in [Bubbler, Replier] {
            let profile = characteristic(meeting, side)?;
            let right = match meeting.house(side).step {
                Some(step) => matches!(
                    profile.allocation,
                    Allocation::Sequential(found) if found.get() == step
                ),
                None => profile.is_port_known(),
            };
            must(right, "it found something else")?;
        }
        Ok(())
    },
    spoils: &[
        Spoil("it finds nothing", |meeting| {
            let measured =
                |told: &Told| matches!(told, Told::Server(_, ServerEvent::Measured { .. }));
            meeting.story.told.retain(|told| !measured(told));
        }),
        Spoil("the control unit is another", |meeting| meeting.bubbler.step = Some(63)),
        Spoil("nothing was measured", |meeting| spoil::no_measurement(meeting, Replier)),
        Spoil("it decides before", |meeting| {
            for told in &mut meeting.story.told {
                if let Told::Server(at, ServerEvent::Planned { .. }) = told {
                    *at = core::time::Duration::ZERO;
                }
            }
        }),
    ],
};

/// The server decides who bubbles.
pub static DECIDES: Element = Element {
    id: "server/decides-roles",
    says: "by what it has judged it determines one end as the transmitting and the other as the \
           receiving side",
    check: decides,
    spoils: &[
        Spoil("it decides nothing", |meeting| {
            let planned =
                |told: &Told| matches!(told, Told::Server(_, ServerEvent::Planned { .. }));
            meeting.story.told.retain(|told| !planned(told));
        }),
        Spoil("it decides otherwise", |meeting| {
            for told in &mut meeting.story.told {
                if let Told::Server(_, ServerEvent::Planned { plan: Ok(plan), .. }) = told {
                    plan.bubbler = plan.bubbler.other();
                }
            }
        }),
        Spoil("the bubbler is told nothing", |meeting| spoil::no_bursts(meeting, Bubbler)),
        Spoil("the replier is told nothing", |meeting| spoil::no_bursts(meeting, Replier)),
        Spoil("the ends are told before", |meeting| spoil::bursts_early(meeting, Bubbler)),
    ],
};

fn decides(meeting: &Meeting) -> Held {
    let (at, plan) = decision(meeting)?;
    let role = match plan.bubbler {
        End::Issuer => Role::Issuer,
        End::Acceptor => Role::Acceptor,
    };
    must(role == meeting.role(Bubbler), "the other end bubbles")?;
    let (look, aim) = (meeting.look(Bubbler)?, meeting.aim(Replier)?);
    must(look.packet.at >= at, "the bubbler was told before")?;
    must(aim.packet.at >= arrival(look.packet), "the replier was told before the bubble")
}

/// With the NATs exchanged the roles are, too.
pub static EXCHANGES: Element = Element {
    id: "server/exchanges-roles",
    says: "the roles of the two are exchanged when the characteristics of the control units are",
    check: |meeting| {
        let other = meeting.exchanged.as_deref().ok_or("it was not tried")?;
        must(other.bubbler.name == meeting.replier.name, "the same end bubbles")?;
        must(other.bubbler.step == meeting.bubbler.step, "the control units are the same")?;
        must(other.id(Bubbler) == meeting.id(Replier), "they are other ends")?;
        for meeting in [meeting, other] {
            (CHARACTERISTICS.check)(meeting)?;
            decides(meeting)?;
        }
        Ok(())
    },
    spoils: &[
        Spoil("it was not tried", |meeting| meeting.exchanged = None),
        Spoil("the same end bubbles", |meeting| {
            if let Some(other) = &mut meeting.exchanged {
                core::mem::swap(&mut other.bubbler, &mut other.replier);
            }
        }),
        Spoil("the server decides as before", |meeting| {
            if let Some(other) = &mut meeting.exchanged {
                for told in &mut other.story.told {
                    if let Told::Server(_, ServerEvent::Planned { plan: Ok(plan), .. }) = told {
                        plan.bubbler = plan.bubbler.other();
                    }
                }
            }
        }),
    ],
};
