//! The scene of most threat tests: a server, an appliance and somebody who asks for it.
//!
//! A [`Setup`] says which of the ways through the protocol is taken, [`Setup::scene`] puts the three
//! into the simulator, and [`Scene::assert_at_rest`] looks for what must never be left behind: open
//! streams, half-open slots, deadlines that belong to nothing.

use core::time::Duration;

use genkan_core::{
    AcceptorEvent, ConnectionId, Delivery, IssuerEvent, Machine, PasswordRecord, RequestTransport,
    ServerEvent, Target, TimerKind,
};
use genkan_sim::fleet::{
    AcceptorApp, Fleet, FleetAcceptor, FleetIssuer, FleetServer, IssuerApp, START,
};
use genkan_sim::{HostId, Log};

/// The one-way delay between any two hosts.
pub const HOP: Duration = Duration::from_millis(20);
/// The password information that opens the door.
pub const PASSWORD: [u8; 32] = [6; 32];
/// The appliance's early key.
pub const EARLY_KEY: [u8; 16] = [8; 16];
/// The longest time that an issuer is left without a word.
pub const PATIENCE: Duration = Duration::from_secs(11);

/// How an issuer may come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// Everybody may.
    Open,
    /// By password.
    Password,
    /// By its key, with the early key at hand.
    Paired,
}

/// Which way through the protocol is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// The world's seed.
    pub seed: u64,
    /// How the issuer reaches the server.
    pub transport: RequestTransport,
    /// How the server reaches the appliance.
    pub delivery: Delivery,
    /// How the issuer comes in.
    pub door: Door,
    /// Whether the issuer has a clock.
    pub clock: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            transport: RequestTransport::Datagram,
            delivery: Delivery::Auto,
            door: Door::Password,
            clock: true,
        }
    }
}

impl Setup {
    /// Every way through the protocol once.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let plain = Self::default();
        vec![
            plain,
            Self { clock: false, door: Door::Paired, ..plain },
            Self { delivery: Delivery::Stream, door: Door::Open, ..plain },
            Self { transport: RequestTransport::Stream, door: Door::Paired, ..plain },
            Self { transport: RequestTransport::Stream, delivery: Delivery::Stream, ..plain },
        ]
    }

    /// The three in their world, at its first moment.
    #[must_use]
    pub fn scene(self) -> Scene {
        let mut fleet = Fleet::with_server(self.seed, |config| config.delivery = self.delivery);
        let phone = fleet.issuer("phone", |config| {
            config.transport = self.transport;
            config.wall_clock = self.clock.then_some(START);
        });
        let phone_id = fleet.id(phone);
        let lamp = fleet.acceptor("lamp", |config| {
            config.spread = Duration::ZERO;
            let admission = &mut config.admission;
            match self.door {
                Door::Open => admission.open = true,
                Door::Password => {
                    admission.password = Some(PasswordRecord::new([5; 16], &PASSWORD));
                }
                Door::Paired => {
                    admission.paired.push(phone_id).expect("room for one");
                    admission.early_key = Some(EARLY_KEY);
                }
            }
        });
        Scene { fleet, lamp, phone, setup: self }
    }

    /// The three with the appliance on the list.
    #[must_use]
    pub fn registered(self) -> Scene {
        let mut scene = self.scene();
        assert!(scene.fleet.wait_registered(scene.lamp, Duration::from_secs(5)));
        // The answer to the registration is on its way.
        scene.fleet.world.run_for(HOP * 2);
        scene
    }
}

/// A server, an appliance and a phone.
#[derive(Debug)]
pub struct Scene {
    /// Their world.
    pub fleet: Fleet,
    /// The appliance.
    pub lamp: HostId,
    /// Who asks for it.
    pub phone: HostId,
    /// Which way is taken.
    pub setup: Setup,
}

impl Scene {
    /// The appliance with what opens its door.
    #[must_use]
    pub fn target(&self) -> Target {
        let mut target = Target::new(self.fleet.id(self.lamp));
        match self.setup.door {
            Door::Open => {}
            Door::Password => target.password = Some(PASSWORD),
            Door::Paired => target.early_key = Some(EARLY_KEY),
        }
        target
    }

    /// The phone asks for the appliance.
    pub fn ask(&mut self) -> ConnectionId {
        let target = self.target();
        self.fleet.request_target(self.phone, &target)
    }

    /// The phone asks and is connected, and the appliance knows it.
    pub fn connect(&mut self) -> ConnectionId {
        let connection = self.ask();
        let outcome = self.fleet.wait_outcome(self.phone, connection, PATIENCE);
        let connected = matches!(outcome, Some(IssuerEvent::Connected { .. }));
        assert!(connected, "{outcome:?}\n{}", self.fleet.story());
        self.fleet.world.run_for(HOP * 2);
        connection
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &FleetServer {
        self.fleet.world.machine(self.fleet.server)
    }

    /// What the appliance was told.
    #[must_use]
    pub fn lamp_events(&self) -> Vec<AcceptorEvent> {
        let app: &AcceptorApp = self.fleet.world.app(self.lamp);
        app.log.events.iter().map(|&(_, event)| event).collect()
    }

    /// What the phone was told.
    #[must_use]
    pub fn phone_events(&self) -> Vec<IssuerEvent> {
        let app: &IssuerApp = self.fleet.world.app(self.phone);
        app.log.events.iter().map(|&(_, event)| event).collect()
    }

    /// What the server was told.
    #[must_use]
    pub fn server_events(&self) -> Vec<ServerEvent> {
        let log: &Log<ServerEvent> = self.fleet.world.app(self.fleet.server);
        log.events.iter().map(|&(_, event)| event).collect()
    }

    /// How many streams stand at a host.
    pub fn streams(&mut self, host: HostId) -> usize {
        let world = &mut self.fleet.world;
        if host == self.fleet.server {
            world.with(host, |_: &mut FleetServer, io| io.streams().len())
        } else if host == self.lamp {
            world.with(host, |_: &mut FleetAcceptor, io| io.streams().len())
        } else {
            world.with(host, |_: &mut FleetIssuer, io| io.streams().len())
        }
    }

    /// The phone and the appliance hang up, two minutes pass, and nothing may be left over but the
    /// registration.
    pub fn assert_at_rest(&mut self) {
        let connected = self.phone_events().into_iter().filter_map(|event| match event {
            IssuerEvent::Connected { connection, .. } => Some(connection),
            _ => None,
        });
        for connection in connected.collect::<Vec<_>>() {
            let close = |machine: &mut FleetIssuer, io: &mut genkan_sim::Io| {
                machine.close(io.now(), connection);
            };
            self.fleet.world.with(self.phone, close);
        }
        self.fleet.world.unhook();
        self.fleet.world.run_for(Duration::from_secs(150));
        if self.streams(self.lamp) > 0 {
            // Registered over TCP for now: it looks for UDP again within five minutes.
            self.fleet.world.run_for(Duration::from_secs(310));
        }
        let story = |scene: &Self| scene.fleet.story();
        for host in [self.fleet.server, self.lamp, self.phone] {
            let (streams, name) = (self.streams(host), self.fleet.world.name(host));
            assert!(streams == 0, "{name} has {streams} streams\n{}", story(self));
        }
        let (server, lamp, phone) = (
            self.server().poll_timeout(),
            self.fleet.world.machine::<FleetAcceptor>(self.lamp).poll_timeout(),
            self.fleet.world.machine::<FleetIssuer>(self.phone).poll_timeout(),
        );
        assert!(phone.is_none(), "the phone waits: {phone:?}\n{}", story(self));
        let reasons = (server.map(|w| w.reason), lamp.map(|w| w.reason));
        let resting = (Some(TimerKind::Expiry), Some(TimerKind::Registration));
        assert!(reasons == resting, "{reasons:?}\n{}", story(self));
        let list = (self.server().clients(), self.server().registered());
        assert!(list == (1, 1), "{list:?} on the list\n{}", story(self));
    }
}
