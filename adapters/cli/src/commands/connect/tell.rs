//! What `genkan connect` tells: text for people, events for programs.

use core::cell::Cell;
use core::net::SocketAddr;
use std::time::SystemTime;

use genkan_core::IssuerEvent;
use genkan_core::punch::Hopeless;
use genkan_std::Happening;

use crate::events::{self, Event};
use crate::lease;
use crate::nat;
use crate::output::{DIM, GOOD, Output};

#[derive(Debug)]
pub(super) struct Teller<'a> {
    server: SocketAddr,
    /// Standard output belongs to the stream.
    stdio: bool,
    /// Where local programs find the service; told with the first connection.
    listens: Cell<Option<SocketAddr>>,
    nat: nat::Told,
    output: &'a Output,
}

impl<'a> Teller<'a> {
    pub(super) fn new(server: SocketAddr, listens: Option<SocketAddr>, output: &'a Output) -> Self {
        let (stdio, listens) = (listens.is_none(), Cell::new(listens));
        Self { server, stdio, listens, nat: nat::Told::default(), output }
    }

    pub(super) fn tell(&self, happening: &Happening<IssuerEvent>, wall: SystemTime) {
        match happening {
            Happening::Machine(event) => {
                if let Some(told) = self.event(event, wall) {
                    self.output.json(&told.into_value());
                }
            }
            Happening::Step(step) => {
                let event = events::step(step, wall, Some(self.server));
                self.output.json(&event.into_value());
            }
            Happening::Lease(news) => {
                let (words, event) = lease::told(news, wall);
                self.output.json(&event.into_value());
                self.say(format!("{DIM}port mapping{DIM:#}    {words}"));
            }
            Happening::Trouble(text) => tracing::warn!("{text}"),
            _ => {}
        }
    }

    fn event(&self, event: &IssuerEvent, wall: SystemTime) -> Option<Event> {
        Some(match event {
            IssuerEvent::ServerReached { over, observed } => {
                self.nat.seen_as(*observed);
                let over = events::transport(*over);
                self.output.progress(|_| {
                    let over = over.to_uppercase();
                    format!("server reached over {over}; waiting for the appliance …")
                });
                Event::at("server-reached", wall).with("over", over).text("observed", observed)
            }
            IssuerEvent::Planned { acceptor, accepted, .. } => {
                Event::at("planned", wall).text("acceptor", acceptor).with("accepted", *accepted)
            }
            IssuerEvent::Nat(profile) => {
                if let Some(words) = self.nat.news(profile) {
                    self.say(format!("{DIM}this end's NAT{DIM:#}  {words}"));
                }
                self.nat.with(Event::at("nat", wall), profile)
            }
            IssuerEvent::Hopeless { why, .. } => {
                self.hopeless(*why);
                Event::at("hopeless", wall).with("why", nat::why(*why))
            }
            IssuerEvent::Connected { path, .. } => {
                self.say(format!(
                    "{GOOD}connected{GOOD:#}  directly, over {}",
                    self.nat.carrier(path)
                ));
                if let Some(address) = self.listens.take() {
                    self.say(format!("{DIM}listens{DIM:#}    {address}"));
                }
                events::with_path(Event::at("connected", wall), path)
            }
            IssuerEvent::PathChanged { path, .. } => {
                self.say(format!(
                    "{GOOD}moved{GOOD:#}      it goes over {} now",
                    self.nat.carrier(path)
                ));
                events::with_path(Event::at("path-changed", wall), path)
            }
            IssuerEvent::Refused { reason, .. } => {
                Event::at("refused", wall).with("reason", events::reason(*reason))
            }
            IssuerEvent::Failed { cause, .. } => {
                Event::at("unreached", wall).with("cause", events::fail_cause(*cause))
            }
            IssuerEvent::Closed { cause, .. } => {
                let cause = events::close_cause(*cause);
                self.say(format!("the connection ended ({cause})"));
                Event::at("closed", wall).with("cause", cause)
            }
            _ => return None,
        })
    }

    fn hopeless(&self, why: Hopeless) {
        self.output.note(format!(
            "no way through the two NATs over UDP: {}; the appliance goes on trying over TCP",
            nat::why_text(why)
        ));
    }

    fn say(&self, text: String) {
        if self.stdio {
            self.output.end_progress();
        } else {
            self.output.line(text);
        }
    }
}
