//! Claims 3, 6 and 10: the password information's way, and what it opens.

use genkan_core::PasswordRecord;

use super::{Element, Spoil, edit, remove};
use crate::claims::run::{
    ACCEPTOR, Held, ISSUER, Run, SERVER, arrival, is_connect, is_notify, is_syn, must,
};
use crate::story::{Packet, SealedOffer, Story, What};

fn offer(packet: &Packet) -> Held<&SealedOffer> {
    match &packet.what {
        What::Connect { offer, .. } | What::Notify { offer, .. } => Ok(offer),
        _ => Err("it carries no offer".into()),
    }
}

fn change_offers(run: &mut Run, which: fn(&Packet) -> bool, change: fn(&mut SealedOffer)) {
    edit(run, which, |packet| {
        if let What::Connect { offer, .. } | What::Notify { offer, .. } = &mut packet.what {
            change(offer);
        }
    });
}

fn strip(offer: &mut SealedOffer) {
    if let Some((_, plain)) = &mut offer.opened {
        plain.password = None;
    }
}

fn falsify(offer: &mut SealedOffer) {
    if let Some((_, plain)) = &mut offer.opened {
        plain.password = Some([0x55; 32]);
    }
}

fn close(offer: &mut SealedOffer) {
    offer.opened = None;
}

/// The first request carries the password information, for the acceptor alone.
pub static IN_FIRST_REQUEST: Element = Element {
    id: "both/password-in-first-request",
    says: "the first connection request signal includes password information for the acceptance \
           equipment",
    check: |run| {
        let offer = offer(run.first_request()?)?;
        let (who, _) = offer.opened.as_ref().ok_or("the acceptance equipment cannot open it")?;
        must(*who == run.story.id(ISSUER), "it is another's offer")?;
        let password = offer.password().ok_or("it includes no password information")?;
        let record = run.record.as_ref().ok_or("the acceptance equipment keeps no password")?;
        must(record.matches(&password), "it is not for the acceptance equipment")
    },
    spoils: &[
        Spoil("the request is missing", |run| remove(run, is_connect)),
        Spoil("it includes none", |run| change_offers(run, is_connect, strip)),
        Spoil("it includes another", |run| change_offers(run, is_connect, falsify)),
        Spoil("it is not for the acceptor", |run| change_offers(run, is_connect, close)),
    ],
};

/// The server passes it on.
pub static PASSED_ON: Element = Element {
    id: "server/passes-password-on",
    says: "it adds the password information in the first connection request to the second, and \
           transmits the second with it",
    check: |run| {
        let (first, second) = (run.first_request()?, run.second_request()?);
        must(second.at >= arrival(first), "the second came before the first")?;
        let (first, second) = (offer(first)?, offer(second)?);
        must(first.bytes == second.bytes, "it passed something else on")?;
        must(second.password().is_some(), "the second includes no password information")?;
        must(first.password() == second.password(), "the second includes another")
    },
    spoils: &[
        Spoil("the second request is missing", |run| remove(run, is_notify)),
        Spoil("the second includes none", |run| change_offers(run, is_notify, strip)),
        Spoil("the second includes another", |run| change_offers(run, is_notify, falsify)),
        Spoil("the first had another", |run| change_offers(run, is_connect, falsify)),
        Spoil("the bytes differ", |run| {
            change_offers(run, is_notify, |offer| offer.bytes[40] ^= 1);
        }),
    ],
};

/// The acceptor keeps a password record.
pub static STORED: Element = Element {
    id: "acceptor/stores-password",
    says: "it stores password information for itself, which tells the right from a wrong one",
    check: |run| {
        let record = run.record.as_ref().ok_or("nothing is stored")?;
        let given = offer(run.second_request()?)?.password().ok_or("nothing was given")?;
        must(record.matches(&given), "what is stored is another's")?;
        let mut wrong = run.denied.iter().filter_map(given_in);
        must(!wrong.any(|given| record.matches(&given)), "it takes any password for the right one")
    },
    spoils: &[
        Spoil("nothing is stored", |run| run.record = None),
        Spoil("another is stored", |run| {
            run.record = Some(PasswordRecord::new([1; 16], &[0x55; 32]));
        }),
        Spoil("nothing was given", |run| change_offers(run, is_notify, strip)),
    ],
};

fn given_in(story: &Story) -> Option<[u8; 32]> {
    let mut told = story.between(SERVER, ACCEPTOR).filter(|packet| is_notify(packet));
    offer(told.next()?).ok()?.password()
}

/// The second request brings the password over the second TCP connection.
pub static IN_SECOND_REQUEST: Element = Element {
    id: "acceptor/receives-password",
    says: "it receives from the server, over the second TCP connection, the second connection \
           request signal with password information",
    check: |run| {
        let leg = run.second_leg()?;
        must(run.second_syn()?.tcp() == Some(leg.tcp), "it came over another connection")?;
        let offer = offer(leg.request)?;
        must(offer.opened.is_some(), "it cannot open it")?;
        must(offer.password().is_some(), "it includes no password information")
    },
    spoils: &[
        Spoil("the second request is missing", |run| remove(run, is_notify)),
        Spoil("it comes in a datagram", |run| {
            edit(run, is_notify, |packet| packet.via = genkan_sim::Via::Udp);
        }),
        Spoil("it includes none", |run| change_offers(run, is_notify, strip)),
        Spoil("the acceptor cannot open it", |run| change_offers(run, is_notify, close)),
    ],
};

/// Without the right password the acceptor contacts nobody.
pub static ONLY_WITH_PASSWORD: Element = Element {
    id: "acceptor/only-with-password",
    says: "it transmits the communication request signal only when the password information in \
           the second connection request coincides with the stored one",
    check: only_with_password,
    spoils: &[
        Spoil("it contacts the issuer with a wrong one", |run| contacts(run, 0)),
        Spoil("it contacts the issuer without one", |run| contacts(run, 1)),
        Spoil("a wrong one was never tried", |run| run.denied.clear()),
        Spoil("the wrong one never got there", |run| {
            run.denied[0].packets.retain(|packet| !is_notify(packet));
        }),
        Spoil("it contacts nobody with the right one", |run| {
            remove(run, |packet| is_syn(packet, ACCEPTOR, ISSUER));
        }),
        Spoil("the right one is a wrong one", |run| change_offers(run, is_notify, falsify)),
        Spoil("it contacts before it knows", |run| {
            super::hasten(run, |packet| packet.goes(ACCEPTOR, ISSUER));
        }),
    ],
};

/// Copies the acceptor's contact with the issuer into a counter-run.
fn contacts(run: &mut Run, which: usize) {
    let syn = run.story.between(ACCEPTOR, ISSUER).next().cloned();
    run.denied[which].packets.extend(syn);
}

fn only_with_password(run: &Run) -> Held {
    let record = run.record.as_ref().ok_or("nothing is stored")?;
    let second = run.second_request()?;
    let right = offer(second)?.password().is_some_and(|given| record.matches(&given));
    must(right, "the password was not the right one")?;
    let syn = run.first(ACCEPTOR, ISSUER, "TCP start signal", |packet| packet.what == What::Syn)?;
    must(syn.at >= arrival(second), "it contacted the issuance equipment before it knew")?;
    run.communication_request()?;
    must(run.denied.len() == 2, "a wrong password and none were to be tried")?;
    for story in &run.denied {
        let mut told = story.between(SERVER, ACCEPTOR);
        let asked = told.any(|packet| is_notify(packet) && packet.arrived.is_some());
        must(asked, "the counter-run's request has not reached the acceptance equipment")?;
        let wrong = given_in(story).is_none_or(|given| !record.matches(&given));
        must(wrong, "the counter-run's password is the right one")?;
        must(
            story.between(ACCEPTOR, ISSUER).next().is_none(),
            "it contacted the issuance equipment without the right password",
        )?;
    }
    Ok(())
}
