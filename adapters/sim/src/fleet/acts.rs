//! What fleets are made to do in most tests.

use core::mem;
use core::ops::Range;
use core::time::Duration;

use genkan_core::{Channel, ConnectionId, IssuerEvent, SendError, Target};

use super::{AcceptorApp, Device, Fleet, FleetAcceptor, FleetIssuer, FleetServer, IssuerApp};
use crate::net::HostId;
use crate::see::open::Opener;
use crate::see::svg;
use crate::send::Sent;
use crate::transcript::Line;
use crate::world::World;

impl Fleet {
    /// Whether the server has an acceptor on its list.
    #[must_use]
    pub fn is_registered(&self, acceptor: HostId) -> bool {
        let id = self.id(acceptor);
        self.world.is_on(self.server)
            && self.world.machine::<FleetServer>(self.server).location(&id).is_some()
    }

    /// Runs until the server has an acceptor on its list; false when it has not in so long.
    pub fn wait_registered(&mut self, acceptor: HostId, longest: Duration) -> bool {
        let (id, server) = (self.id(acceptor), self.server);
        self.world.wait_for(longest, |world| {
            world.is_on(server) && world.machine::<FleetServer>(server).location(&id).is_some()
        })
    }

    /// An issuer asks for an acceptor, without password.
    ///
    /// # Panics
    /// When it cannot ask, or one of them is something else.
    pub fn request(&mut self, issuer: HostId, acceptor: HostId) -> ConnectionId {
        let target = Target::new(self.id(acceptor));
        self.request_target(issuer, &target)
    }

    /// An issuer asks for a target.
    ///
    /// # Panics
    /// When it cannot ask, or is not an issuer.
    #[expect(clippy::expect_used, reason = "the test asked for what cannot be")]
    pub fn request_target(&mut self, issuer: HostId, target: &Target) -> ConnectionId {
        self.world
            .with(issuer, |machine: &mut FleetIssuer, io| machine.request(io.now(), target))
            .expect("the issuer can ask")
    }

    /// Runs until an issuer's request has become a connection or has come to nothing; what the
    /// issuer was told then, or `None` when it was told nothing in so long.
    pub fn wait_outcome(
        &mut self,
        issuer: HostId,
        request: ConnectionId,
        longest: Duration,
    ) -> Option<IssuerEvent> {
        self.world.wait_for(longest, |world| outcome(world, issuer, request).is_some());
        outcome(&self.world, issuer, request)
    }

    /// As [`Fleet::wait_outcome`]; true when it is a connection.
    pub fn wait_connected(
        &mut self,
        issuer: HostId,
        request: ConnectionId,
        longest: Duration,
    ) -> bool {
        let outcome = self.wait_outcome(issuer, request, longest);
        matches!(outcome, Some(IssuerEvent::Connected { .. }))
    }

    /// An equipment sends a datagram over a connection of its own.
    ///
    /// # Errors
    /// As the machine's `send`.
    pub fn say(
        &mut self,
        host: HostId,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> Result<Sent, SendError> {
        match &self.member(host).device {
            Device::Acceptor(_) => self.world.with(host, |machine: &mut FleetAcceptor, io| {
                io.send(machine, connection, Channel::Datagram, bytes)
            }),
            Device::Issuer(_) => self.world.with(host, |machine: &mut FleetIssuer, io| {
                io.send(machine, connection, Channel::Datagram, bytes)
            }),
        }
    }

    /// An equipment ends one of its connections, or a request.
    pub fn hang_up(&mut self, host: HostId, connection: ConnectionId) {
        match &self.member(host).device {
            Device::Acceptor(_) => self.world.with(host, |machine: &mut FleetAcceptor, io| {
                machine.close(io.now(), connection);
            }),
            Device::Issuer(_) => self.world.with(host, |machine: &mut FleetIssuer, io| {
                machine.close(io.now(), connection);
            }),
        }
    }

    /// The application data that an equipment has been sent, in order.
    #[must_use]
    pub fn heard(&self, host: HostId) -> Vec<&[u8]> {
        let payloads = match &self.member(host).device {
            Device::Acceptor(_) => &self.world.app::<AcceptorApp>(host).log.payloads,
            Device::Issuer(_) => &self.world.app::<IssuerApp>(host).log.payloads,
        };
        payloads.iter().map(|payload| &payload.bytes[..]).collect()
    }

    /// From now on the machines' keys are logged, so that [`Fleet::story`] and [`Fleet::diagram`]
    /// name what is inside sealed messages. Costs time with each event.
    pub fn watch(&mut self) {
        self.world.log_keys();
    }

    /// What opens the messages of this fleet, as far as their keys were logged.
    #[must_use]
    pub fn opener(&self) -> Opener {
        let opener = Opener::new(self.world.keys().iter().map(|key| key.root));
        if self.world.keys().is_empty() {
            return opener;
        }
        opener.with_server(self.config.key.clone())
    }

    /// The transcript, with names in place of ids, and of what is inside sealed messages when the
    /// fleet is watched.
    #[must_use]
    pub fn story(&self) -> String {
        self.with_names(self.opener().story(self.world.transcript()))
    }

    /// Those lines of the story as an SVG sequence diagram ([`crate::see::svg`]).
    #[must_use]
    pub fn diagram(&self, shown: Range<usize>) -> String {
        let mut lines = self.world.transcript().lines().to_vec();
        let drawn = lines.iter_mut().take(shown.end).skip(shown.start);
        for line in drawn {
            if let Line::Note(note) = line {
                note.text = self.with_names(mem::take(&mut note.text));
            }
        }
        svg::draw(&lines, &self.opener(), shown)
    }

    fn with_names(&self, text: String) -> String {
        self.members.iter().fold(text, |text, member| {
            text.replace(&self.id(member.host).to_string(), self.world.name(member.host))
        })
    }
}

/// What the issuer of a fleet was told about the end of a request of its own, as far as it was.
///
/// # Panics
/// When `issuer` is off, or is not an issuer.
#[must_use]
pub fn outcome(world: &World, issuer: HostId, request: ConnectionId) -> Option<IssuerEvent> {
    let log = &world.app::<IssuerApp>(issuer).log;
    log.events.iter().map(|&(_, event)| event).find(|event| is_outcome(event, request))
}

fn is_outcome(event: &IssuerEvent, request: ConnectionId) -> bool {
    match event {
        IssuerEvent::Connected { connection, .. }
        | IssuerEvent::Refused { connection, .. }
        | IssuerEvent::Failed { connection, .. }
        | IssuerEvent::Closed { connection, .. } => *connection == request,
        _ => false,
    }
}
