//! Claim 5: what the issuer does.

use core::time::Duration;

use genkan_core::IssuerEvent;

use super::server::{REQUEST_SPOILS, asks_for};
use super::{Element, Spoil, defer, edit, hasten, remove};
use crate::claims::run::{
    ACCEPTOR, ISSUER, SERVER, arrival, is_answer, is_connect, is_payload, is_syn, must,
};
use crate::story::{Told, What};

/// The issuer opens the first TCP connection.
pub static SENDS_FIRST_SYN: Element = Element {
    id: "issuer/sends-first-tcp-start",
    says: "it transmits a first TCP connection start signal to the server, and a first TCP \
           connection comes about",
    check: |run| {
        let syn = run.first_syn()?;
        must(syn.destination == run.story.server, "it went elsewhere")?;
        let up = arrival(run.syn_ack(syn)?);
        let mut early = run.story.between(ISSUER, SERVER).filter(|packet| packet.at < up);
        must(early.all(|packet| packet.what == What::Syn), "something was said before it")
    },
    spoils: &[
        Spoil("it is missing", |run| remove(run, |packet| is_syn(packet, ISSUER, SERVER))),
        Spoil("it is not answered", |run| remove(run, |packet| packet.what == What::SynAck)),
        Spoil("the request comes first", |run| hasten(run, is_connect)),
    ],
};

/// The issuer sends the first request over it.
pub static SENDS_FIRST_REQUEST: Element = Element {
    id: "issuer/sends-first-request",
    says: "it transmits to the server, over the first TCP connection, a first connection request \
           signal with the acceptance equipment's ID and its own IP address and port",
    check: |run| {
        let (syn, request) = (run.first_syn()?, run.first_request()?);
        must(request.tcp() == syn.tcp(), "it did not go over the first TCP connection")?;
        must(request.destination == syn.destination, "it went elsewhere")?;
        must(request.at >= arrival(run.syn_ack(syn)?), "the connection did not stand yet")?;
        asks_for(run, request)
    },
    spoils: REQUEST_SPOILS,
};

/// The issuer accepts when the communication request has come.
pub static ACCEPTS: Element = Element {
    id: "issuer/accepts",
    says: "after receiving a communication request signal from the acceptance equipment, it \
           accepts the communication in response to that signal",
    check: |run| {
        let (asked, request) = (run.communication_request()?, run.first_request()?);
        must(asked.at > request.at, "the communication request came before the request")?;
        must(run.issuer_connected()? >= arrival(asked), "it accepted before it was asked")?;
        let acceptance = run.acceptance()?;
        must(acceptance.tcp() == asked.tcp(), "it answered elsewhere")?;
        must(acceptance.at >= arrival(asked), "it answered before it was asked")?;
        let key = run.key(acceptance)?;
        let both = run.story.holds(ISSUER, key) && run.story.holds(ACCEPTOR, key);
        must(both, "the acceptance is not for the acceptance equipment")
    },
    spoils: &[
        Spoil("there is no communication request", |run| remove(run, is_answer)),
        Spoil("the communication request comes late", |run| defer(run, is_answer)),
        Spoil("it accepts before", |run| {
            for told in &mut run.story.told {
                if let Told::Issuer(at, _, IssuerEvent::Connected { .. }) = told {
                    *at = Duration::ZERO;
                }
            }
        }),
        Spoil("it accepts nothing", |run| {
            run.story
                .told
                .retain(|told| !matches!(told, Told::Issuer(_, _, IssuerEvent::Connected { .. })));
        }),
        Spoil("it answers nothing", |run| remove(run, |packet| packet.goes(ISSUER, ACCEPTOR))),
        Spoil("another holds the key", |run| {
            for key in run.story.keys.iter_mut().filter(|key| key.owner == ACCEPTOR) {
                key.owner = "somebody".into();
            }
        }),
    ],
};

/// The issuer starts the communication.
pub static STARTS: Element = Element {
    id: "issuer/starts-communication",
    says: "it then starts the communication with the acceptance equipment",
    check: |run| {
        let (asked, data) = (run.communication_request()?, run.data(ISSUER, ACCEPTOR)?);
        must(data.at >= run.issuer_connected()?, "it started before it had accepted")?;
        must(data.at >= arrival(asked), "it started before the communication request")?;
        must(data.tcp() == asked.tcp(), "it does not go to the acceptance equipment")?;
        run.key(data).map(|_| ())
    },
    spoils: &[
        Spoil("nothing is said", |run| {
            remove(run, |packet| is_payload(packet) && packet.goes(ISSUER, ACCEPTOR));
        }),
        Spoil("it is said before", |run| {
            hasten(run, |packet| is_payload(packet) && packet.goes(ISSUER, ACCEPTOR));
        }),
        Spoil("there was no communication request", |run| remove(run, is_answer)),
        Spoil("no key opens it", |run| {
            edit(run, is_payload, |packet| packet.opened_by.clear());
        }),
    ],
};
