//! What `genkan accept` tells: text for people, events for programs.

use core::net::SocketAddr;
use std::time::SystemTime;

use genkan_core::AcceptorEvent;
use genkan_core::wire::message::Verdict;
use genkan_std::Happening;

use crate::events::{self, Event};
use crate::lease;
use crate::logs::tag;
use crate::nat;
use crate::output::{DIM, GOOD, Output};

#[derive(Debug)]
pub(super) struct Teller<'a> {
    server: SocketAddr,
    nat: nat::Told,
    output: &'a Output,
}

impl<'a> Teller<'a> {
    pub(super) fn new(server: SocketAddr, output: &'a Output) -> Self {
        Self { server, nat: nat::Told::default(), output }
    }

    pub(super) fn tell(&self, happening: &Happening<AcceptorEvent>, wall: SystemTime) {
        match happening {
            Happening::Machine(event) => self.tell_event(event, wall),
            Happening::Step(step) => {
                let event = events::step(step, wall, Some(self.server));
                self.output.json(&event.into_value());
            }
            Happening::Lease(news) => {
                let (words, event) = lease::told(news, wall);
                self.output.json(&event.into_value());
                self.output.line(format!("{DIM}port mapping{DIM:#}: {words}"));
            }
            Happening::Trouble(text) => tracing::warn!("{text}"),
            _ => {}
        }
    }

    fn tell_event(&self, event: &AcceptorEvent, wall: SystemTime) {
        let output = self.output;
        let told = match event {
            AcceptorEvent::Registered { observed, over } => {
                self.nat.seen_as(*observed);
                let over = events::transport(*over);
                output.line(format!(
                    "{GOOD}registered{GOOD:#}, seen as {observed} over {}",
                    over.to_uppercase()
                ));
                Event::at("registered", wall).text("observed", observed).with("over", over)
            }
            AcceptorEvent::RegistrationLost => {
                output.line("the server does not answer; trying on");
                Event::at("registration-lost", wall)
            }
            AcceptorEvent::Nat(profile) => {
                if let Some(words) = self.nat.news(profile) {
                    output.line(format!("{DIM}this end's NAT{DIM:#}: {words}"));
                }
                self.nat.with(Event::at("nat", wall), profile)
            }
            AcceptorEvent::Requested { issuer, address, verdict } => {
                let (word, reason) = match verdict {
                    Verdict::Accepted => ("accepted", None),
                    Verdict::Declined(reason) => ("declined", Some(events::reason(*reason))),
                };
                let who = issuer.as_ref().map_or_else(|| "somebody".to_owned(), tag);
                let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                output.line(format!("request by {who} from {address}: {word}{why}"));
                Event::at("requested", wall)
                    .with("issuer", issuer.map(|issuer| issuer.to_string()))
                    .text("address", address)
                    .with("verdict", word)
                    .with("reason", reason)
            }
            AcceptorEvent::Connected { peer, path, .. } => {
                let over = self.nat.carrier(path);
                output.line(format!("{GOOD}connected{GOOD:#} with {} over {over}", tag(peer)));
                events::with_path(Event::at("connected", wall).text("peer", peer), path)
            }
            AcceptorEvent::PathChanged { path, .. } => {
                output.line(format!("a connection goes over {} now", self.nat.carrier(path)));
                events::with_path(Event::at("path-changed", wall), path)
            }
            AcceptorEvent::Closed { cause, .. } => {
                let cause = events::close_cause(*cause);
                output.line(format!("connection ended ({cause})"));
                Event::at("closed", wall).with("cause", cause)
            }
            _ => return,
        };
        output.json(&told.into_value());
    }
}
