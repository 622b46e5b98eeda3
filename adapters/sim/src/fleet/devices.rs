//! The machines of a fleet, their applications, and what they keep over a reboot.

use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, Channel, ClientSlot, ConnectionId,
    Instant, Issuer, IssuerConfig, IssuerEvent, IssuerSlot, RequestSlot, Resumption, Server,
    StreamSlot,
};

use crate::entropy::SimEntropy;
use crate::host::{App, Host, Log};
use crate::leaser::{Asking, Leaser};
use crate::node::Io;

/// The server of a fleet. Its application is a [`Log`].
pub type FleetServer = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, SimEntropy>;
/// An acceptor of a fleet. Its application is an [`AcceptorApp`].
pub type FleetAcceptor = Acceptor<Vec<AcceptorSlot>, SimEntropy>;
/// An issuer of a fleet. Its application is an [`IssuerApp`].
pub type FleetIssuer = Issuer<Vec<IssuerSlot>, SimEntropy>;

/// How many connections a device carries at once.
const CONNECTIONS: usize = 4;

/// What a device keeps over a reboot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flash {
    /// How often it has booted.
    pub boots: u64,
    /// The certificate that was accepted last.
    pub certificate: Vec<u8>,
    /// The certificate floor, where one was written.
    pub floor: u64,
    /// The session with the server.
    pub resumption: Option<Resumption>,
    /// The number of failed password tries.
    pub failures: Option<u32>,
    /// How often it was written to.
    pub writes: u32,
}

/// The application of a fleet's acceptor: writes to flash what it is asked to, keeps what it is
/// told, and sends payloads back where [`AcceptorApp::echo`] is set.
#[derive(Debug)]
pub struct AcceptorApp {
    /// What it was told.
    pub log: Log<AcceptorEvent>,
    /// What it has written.
    pub flash: Flash,
    /// Whether it sends payloads back to where they came from.
    pub echo: bool,
}

impl App<FleetAcceptor> for AcceptorApp {
    fn event(&mut self, io: &mut Io, machine: &mut FleetAcceptor, event: AcceptorEvent) {
        match event {
            AcceptorEvent::Certificate => {
                self.flash.certificate = machine.certificate().to_vec();
                self.flash.floor = machine.floor();
                self.flash.writes += 1;
            }
            AcceptorEvent::Resumable => {
                self.flash.resumption = machine.resumption();
                self.flash.writes += 1;
            }
            AcceptorEvent::Persist => {
                self.flash.failures = Some(machine.failures());
                self.flash.writes += 1;
                machine.handle_persisted(io.now(), machine.failures());
            }
            _ => {}
        }
        self.log.event(io, machine, event);
    }

    fn payload(
        &mut self,
        io: &mut Io,
        machine: &mut FleetAcceptor,
        connection: ConnectionId,
        channel: Channel,
        plaintext: &[u8],
    ) {
        self.log.payload(io, machine, connection, channel, plaintext);
        if self.echo {
            let sent = io.send(machine, connection, channel, plaintext);
            io.note(format!("echo: {sent:?}"));
        }
    }
}

/// The application of a fleet's issuer: keeps what it is told, and the certificate.
#[derive(Debug)]
pub struct IssuerApp {
    /// What it was told.
    pub log: Log<IssuerEvent>,
    /// What it has written.
    pub flash: Flash,
}

impl App<FleetIssuer> for IssuerApp {
    fn event(&mut self, io: &mut Io, machine: &mut FleetIssuer, event: IssuerEvent) {
        if event == IssuerEvent::Certificate {
            self.flash.certificate = machine.certificate().to_vec();
            self.flash.writes += 1;
        }
        self.log.event(io, machine, event);
    }

    fn payload(
        &mut self,
        io: &mut Io,
        machine: &mut FleetIssuer,
        connection: ConnectionId,
        channel: Channel,
        plaintext: &[u8],
    ) {
        self.log.payload(io, machine, connection, channel, plaintext);
    }
}

/// Boots an acceptor. `since` is how many seconds the world has run, `lease`
/// what it asks its box with.
pub(super) fn acceptor(
    now: Instant,
    mut config: AcceptorConfig,
    entropy: SimEntropy,
    flash: Flash,
    (since, lease): (u64, Option<Asking>),
) -> Host<FleetAcceptor, AcceptorApp> {
    config.identity.boots += flash.boots;
    config.anchors.floor = config.anchors.floor.max(flash.floor);
    config.wall_clock = config.wall_clock.map(|start| start + since);
    config.admission.failures = flash.failures.unwrap_or(config.admission.failures);
    let slots = core::iter::repeat_with(|| AcceptorSlot::EMPTY).take(CONNECTIONS).collect();
    let mut machine = Acceptor::new(now, config, slots, entropy);
    // A certificate that is not accepted any more is fetched anew.
    let _ = machine.restore_certificate(&flash.certificate);
    if let Some(resumption) = &flash.resumption {
        machine.restore_session(resumption);
    }
    let host = Host::new(machine, AcceptorApp { log: Log::default(), flash, echo: false });
    match lease {
        Some(asking) => host.with_lease(Leaser::new(now, asking), Acceptor::set_leased),
        None => host,
    }
}

/// Boots an issuer. `since` is how many seconds the world has run, `lease`
/// what it asks its box with.
pub(super) fn issuer(
    now: Instant,
    mut config: IssuerConfig,
    entropy: SimEntropy,
    flash: Flash,
    (since, lease): (u64, Option<Asking>),
) -> Host<FleetIssuer, IssuerApp> {
    config.identity.boots += flash.boots;
    config.wall_clock = config.wall_clock.map(|start| start + since);
    let slots = core::iter::repeat_with(|| IssuerSlot::EMPTY).take(CONNECTIONS).collect();
    let mut machine = Issuer::new(now, config, slots, entropy);
    // A certificate that is not accepted any more is fetched anew.
    let _ = machine.restore_certificate(&flash.certificate);
    let host = Host::new(machine, IssuerApp { log: Log::default(), flash });
    match lease {
        Some(asking) => host.with_lease(Leaser::new(now, asking), Issuer::set_leased),
        None => host,
    }
}
