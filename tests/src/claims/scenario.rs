//! The four scenarios, one for each behaviour of the request document, played by the real machines.
//!
//! A server, the requested acceptor, another acceptor, and an issuer that takes requests itself (its
//! own registration is on the list too). They register for a while; then the issuer asks over TCP,
//! and when the connection stands both ends say something. Each scenario adds what its behaviour
//! needs to the one before.

use core::time::Duration;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    AcceptorConfig, Anchors, Delivery, IssuerEvent, PasswordRecord, RequestTransport, Target,
};
use genkan_sim::fleet::START;
use genkan_sim::{HostId, NatConfig, Packet, Verdict};

use super::run::{ACCEPTOR, ISSUER, OTHER, OWN, Run};
use crate::story::Story;
use crate::world::Lab;

/// The password information that opens the acceptor's door.
pub const PASSWORD: [u8; 32] = [0x42; 32];
/// The certificate authority's secret key.
const AUTHORITY: [u8; 32] = [0xa7; 32];
/// Another authority's, that nobody trusts.
const FORGER: [u8; 32] = [0xf0; 32];

/// A behaviour of the request document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Behaviour {
    /// Registration, issuer's TCP, first request, lookup, second request in answer to the
    /// registration, communication request.
    ConnectionRequest,
    /// The third request wakes the acceptor, which opens the second TCP connection.
    WakeThenStream,
    /// Password information travels from request to request, and decides.
    PasswordGate,
    /// Certificate and key exchange on both TCP connections, with nothing in the cache.
    CertifiedKeyExchange,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ConnectionRequest,
        Self::WakeThenStream,
        Self::PasswordGate,
        Self::CertifiedKeyExchange,
    ];

    /// Its name in the tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionRequest => "connection-request",
            Self::WakeThenStream => "wake-then-stream",
            Self::PasswordGate => "password-gate",
            Self::CertifiedKeyExchange => "certified-key-exchange",
        }
    }

    /// What is played for it.
    #[must_use]
    pub const fn scenario(self) -> &'static str {
        match self {
            Self::ConnectionRequest => "request over TCP, notified by datagram, called back",
            Self::WakeThenStream => "request over TCP, woken, fetched over a second TCP",
            Self::PasswordGate => "the same with a password; also a wrong one and none",
            Self::CertifiedKeyExchange => "the same, certificate on each TCP; also forged ones",
        }
    }
}

/// What differs between the runs of a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// What is played.
    pub behaviour: Behaviour,
    /// What the issuer gives as password information, where the scenario has a password.
    pub given: Option<[u8; 32]>,
    /// Whether the acceptor has a password stored, where the scenario has one.
    pub stored: bool,
    /// Whether the issuer asks for an equipment that nobody has.
    pub stranger: bool,
    /// Whether the acceptor is behind a NAT.
    pub behind_nat: bool,
    /// What chance is drawn from.
    pub seed: u64,
}

impl Setting {
    /// A behaviour as it should be.
    #[must_use]
    pub const fn of(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            given: Some(PASSWORD),
            stored: true,
            stranger: false,
            behind_nat: false,
            seed: 1,
        }
    }
}

/// Who is who, for a hook on the network.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The server.
    pub server: HostId,
    /// The requested acceptor.
    pub acceptor: HostId,
    /// The issuer.
    pub issuer: HostId,
    /// A certificate for the server's key by an authority that nobody trusts.
    pub forged: Vec<u8>,
}

/// A scenario before it is played.
#[derive(Debug)]
pub struct Stage {
    lab: Lab,
    setting: Setting,
    cast: Cast,
}

/// What is done to what travels.
pub type Sabotage = fn(&Cast, &mut Packet) -> Verdict;

fn certify(authority: &[u8; 32], server_key: [u8; 32]) -> Vec<u8> {
    let subject = Subject {
        server_key,
        serial: 1,
        not_before: START - 86_400,
        not_after: START + 366 * 86_400,
        names: "server.example",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(authority, &subject, &mut out).expect("a good subject");
    out[..len].to_vec()
}

fn anchors() -> Anchors {
    let mut anchors = Anchors { floor: START, ..Anchors::default() };
    let pushed = anchors.authorities.push(authority_public(&AUTHORITY));
    assert!(pushed.is_ok(), "there is room for one authority");
    anchors
}

/// The acceptor's stored password information.
#[must_use]
pub fn record() -> PasswordRecord {
    PasswordRecord::new([9; 16], &PASSWORD)
}

impl Stage {
    /// Puts server and equipment on the stage.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let behaviour = setting.behaviour;
        let woken = behaviour >= Behaviour::WakeThenStream;
        let cold = behaviour == Behaviour::CertifiedKeyExchange;
        let mut lab = Lab::with_server(setting.seed, |config| {
            let certificate = certify(&AUTHORITY, *config.key.public());
            config.certificate = heapless::Vec::from_slice(&certificate).expect("it fits");
            config.interval = 5;
            config.register_every = 2;
            config.delivery = if woken { Delivery::Stream } else { Delivery::Auto };
        });
        let forged = certify(&FORGER, *lab.server_key().public());
        let nat = setting.behind_nat.then(|| lab.fleet.nat(NatConfig::default()));
        let acceptor = lab.acceptor_behind(nat, ACCEPTOR, |config| {
            config.anchors = anchors();
            config.fetch_certificate_each = cold;
            admit(config, setting);
        });
        lab.acceptor(OTHER, |config| {
            config.anchors = anchors();
            config.admission.open = true;
        });
        let mut identity = None;
        let issuer = lab.issuer(ISSUER, |config| {
            config.anchors = anchors();
            config.transport = RequestTransport::Stream;
            // The dial-back is what the claims are about.
            config.simultaneous_open = false;
            config.fetch_certificate_each = cold;
            identity = Some(config.identity.clone());
        });
        lab.acceptor(OWN, |config| {
            config.anchors = anchors();
            config.identity = identity.expect("the issuer has one");
        });
        let cast = Cast { server: lab.fleet.server, acceptor, issuer, forged };
        Self { lab, setting, cast }
    }

    /// Plays it; `sabotage` decides about every packet.
    #[must_use]
    pub fn play(mut self, sabotage: Option<Sabotage>) -> Story {
        if let Some(sabotage) = sabotage {
            let cast = self.cast.clone();
            self.lab.fleet.world.hook(move |packet| sabotage(&cast, packet));
        }
        // A spread of 25 s, and two more registrations.
        self.lab.run_for(Duration::from_secs(50));
        let mut target = Target::new(match self.setting.stranger {
            true => genkan_core::EquipmentId(*self.lab.server_key().public()),
            false => self.lab.fleet.id(self.cast.acceptor),
        });
        if self.setting.behaviour >= Behaviour::PasswordGate {
            target.password = self.setting.given;
        }
        let Cast { issuer, acceptor, .. } = self.cast;
        let request = self.lab.fleet.request_target(issuer, &target);
        let outcome = self.lab.wait_outcome(issuer, request, Duration::from_secs(12));
        self.lab.run_for(Duration::from_millis(50));
        if matches!(outcome, Some(IssuerEvent::Connected { .. })) {
            let sent = self.lab.fleet.say(issuer, request, b"open the door");
            assert!(sent.is_ok(), "an issuer that is connected can speak");
        }
        if let Some(connection) = self.lab.connection_of(acceptor) {
            let sent = self.lab.fleet.say(acceptor, connection, b"it is open");
            assert!(sent.is_ok(), "an acceptor that is connected can speak");
        }
        self.lab.run_for(Duration::from_secs(5));
        self.lab.story()
    }
}

/// Who is admitted, by what the scenario asks for.
fn admit(config: &mut AcceptorConfig, setting: Setting) {
    let gated = setting.behaviour >= Behaviour::PasswordGate;
    config.admission.open = !gated;
    config.admission.password = (gated && setting.stored).then(record);
}

/// Plays a behaviour with all counter-runs that its elements need.
#[must_use]
pub fn run(behaviour: Behaviour) -> Run {
    let setting = Setting::of(behaviour);
    let with = |given| Stage::new(Setting { given, ..setting }).play(None);
    let gated = behaviour >= Behaviour::PasswordGate;
    let cold = behaviour == Behaviour::CertifiedKeyExchange;
    let forged = |sabotage: Sabotage| Stage::new(setting).play(Some(sabotage));
    Run {
        story: with(Some(PASSWORD)),
        record: gated.then(record),
        authority: authority_public(&AUTHORITY),
        denied: if gated { vec![with(Some([0x13; 32])), with(None)] } else { Vec::new() },
        forged_first: cold.then(|| forged(super::sabotage::forge_first)),
        forged_second: cold.then(|| forged(super::sabotage::forge_second)),
    }
}

/// Plays a behaviour in another setting, with the counter-runs of its usual one.
#[must_use]
pub fn variation(usual: &Run, setting: Setting) -> Run {
    Run { story: Stage::new(setting).play(None), ..usual.clone() }
}
