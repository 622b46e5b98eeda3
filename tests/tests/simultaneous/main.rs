//! Both ends of a request call each other over TCP at the same time (PROTOCOL.md, section 24): behind
//! which NATs they meet, and what neither a stranger, a liar, loss nor a restart makes of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod server;
mod trouble;

use core::time::Duration;

use genkan_core::wire::Kind;
use genkan_core::{
    AcceptorConfig, ConnectionId, FailCause, IssuerConfig, IssuerEvent, PasswordRecord, Path,
    Target, Transport,
};
use genkan_sim::fleet::{
    AcceptorApp, Fleet, FleetAcceptor, FleetIssuer, FleetServer, IssuerApp, punches,
};
use genkan_sim::nat::{Behaviour, Unsolicited};
use genkan_sim::{Entry, Faults, Filtering, HostId, Mapping, NatConfig, Via};
use genkan_tests::scene::{HOP, PASSWORD};

const LONG: Duration = Duration::from_secs(12);

/// A phone and a lamp, each behind a box of its own.
struct Scene {
    fleet: Fleet,
    phone: HostId,
    lamp: HostId,
}

/// What the scene is made of: the boxes of phone and lamp, and which of the two has no UDP.
struct Setup {
    seed: u64,
    boxes: [NatConfig; 2],
    blocked: [bool; 2],
    punches: bool,
    can: [bool; 2],
    line: Faults,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            boxes: [plain(), plain()],
            blocked: [true, false],
            punches: true,
            can: [true; 2],
            line: Faults::latency(HOP / 2),
        }
    }
}

fn plain() -> NatConfig {
    NatConfig::new(Mapping::EndpointIndependent, Filtering::AddressAndPortDependent)
}

fn symmetric() -> NatConfig {
    NatConfig::new(Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent)
}

impl Setup {
    fn scene(self) -> Scene {
        self.scene_with(|_| (), |_| ())
    }

    fn scene_with(
        self,
        adjust_phone: impl FnOnce(&mut IssuerConfig),
        adjust_lamp: impl FnOnce(&mut AcceptorConfig),
    ) -> Scene {
        let mut fleet = Fleet::with_server(self.seed, |config| {
            if self.punches {
                punches(config);
            }
        });
        let [phone_box, lamp_box] = self.boxes.map(|config| fleet.nat(config));
        let phone = fleet.issuer_behind(Some(phone_box), "phone", |config| {
            config.simultaneous_open = self.can[0];
            adjust_phone(config);
        });
        let lamp = fleet.acceptor_behind(Some(lamp_box), "lamp", |config| {
            config.spread = Duration::ZERO;
            config.simultaneous_open = self.can[1];
            config.admission.password = Some(PasswordRecord::new([5; 16], &PASSWORD));
            adjust_lamp(config);
        });
        for (host, blocked) in [phone, lamp].into_iter().zip(self.blocked) {
            let line = self.line.clone();
            fleet.world.set_line(host, &if blocked { line.without_udp() } else { line });
        }
        assert!(fleet.wait_registered(lamp, Duration::from_secs(60)), "{}", fleet.story());
        fleet.world.run_for(Duration::from_secs(1));
        Scene { fleet, phone, lamp }
    }
}

impl Scene {
    fn target(&self) -> Target {
        Target { password: Some(PASSWORD), ..Target::new(self.fleet.id(self.lamp)) }
    }

    fn ask(&mut self) -> ConnectionId {
        let target = self.target();
        self.fleet.request_target(self.phone, &target)
    }

    /// The phone asks; what became of it, and how long that took.
    fn meet(&mut self) -> (Option<IssuerEvent>, Duration) {
        let before = self.fleet.world.now();
        let request = self.ask();
        let told = self.fleet.wait_outcome(self.phone, request, LONG);
        (told, self.fleet.world.now() - before)
    }

    /// They are connected over a call of the two, and talk.
    fn assert_met(&mut self) -> Duration {
        let (told, took) = self.meet();
        let Some(IssuerEvent::Connected { connection, path: Path::Stream { .. } }) = told else {
            panic!("{told:?}\n{}", self.fleet.story())
        };
        assert!(self.calls(self.phone) > 0 && self.calls(self.lamp) > 0, "{}", self.fleet.story());
        self.fleet.world.run_for(HOP * 4);
        self.fleet.say(self.phone, connection, b"a word").unwrap();
        self.fleet.world.run_for(HOP * 4);
        assert_eq!(self.fleet.heard(self.lamp).last(), Some(&&b"a word"[..]));
        took
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.fleet.world.transcript().entries()
    }

    /// SYNs from a host to other boxes than the server's.
    fn calls(&self, from: HostId) -> usize {
        let (name, server) = (self.fleet.world.name(from), self.fleet.server_address());
        let call = |entry: &&Entry| {
            matches!(entry.via, Via::Syn(_)) && entry.from == name && entry.destination != server
        };
        self.entries().filter(call).count()
    }

    /// SYNs from a host to the server.
    fn sights(&self, from: HostId) -> usize {
        let (name, server) = (self.fleet.world.name(from), self.fleet.server_address());
        let call = |entry: &&Entry| {
            matches!(entry.via, Via::Syn(_)) && entry.from == name && entry.destination == server
        };
        self.entries().filter(call).count()
    }

    /// Streams that stand at the server, the lamp and the phone.
    fn streams(&mut self) -> [usize; 3] {
        let world = &mut self.fleet.world;
        [
            world.with(self.fleet.server, |_: &mut FleetServer, io| io.streams().len()),
            world.with(self.lamp, |_: &mut FleetAcceptor, io| io.streams().len()),
            world.with(self.phone, |_: &mut FleetIssuer, io| io.streams().len()),
        ]
    }

    fn phone_events(&self) -> impl Iterator<Item = IssuerEvent> {
        let app: &IssuerApp = self.fleet.world.app(self.phone);
        app.log.events.iter().map(|&(_, event)| event)
    }

    fn lamp_log(&self) -> &AcceptorApp {
        self.fleet.world.app(self.lamp)
    }
}

#[test]
fn an_issuer_without_udp_and_an_acceptor_behind_plain_boxes_meet() {
    let mut scene = Setup::default().scene();
    let took = scene.assert_met();
    // UDP's head start; seven delays to the server, one to the lamp, nine for the call (DLY-11).
    let exactly = Duration::from_millis(250) + HOP * 17;
    assert_eq!(took, exactly, "{}", scene.fleet.story());
    // One call each: nothing was refused.
    assert_eq!((scene.calls(scene.phone), scene.sights(scene.lamp)), (1, 1));
}

#[test]
fn they_meet_whichever_of_them_has_no_udp() {
    for blocked in [[false, true], [true, true]] {
        for punches in [false, true] {
            let mut scene = Setup { blocked, punches, ..Setup::default() }.scene();
            let took = scene.assert_met();
            assert!(took < Duration::from_secs(1), "{blocked:?}: {took:?}");
        }
    }
}

#[test]
fn boxes_that_cannot_be_punched_over_udp_are_passed_over_tcp() {
    let random = || {
        let tcp_behaviour =
            Some(Behaviour::new(Mapping::EndpointIndependent, Filtering::AddressAndPortDependent));
        let config = genkan_sim::nat::presets::by_name("rfc6081-port-symmetric").unwrap();
        NatConfig { tcp_behaviour, ..config }
    };
    let boxes = [random(), random()];
    let mut scene = Setup { boxes, blocked: [false; 2], ..Setup::default() }.scene();
    scene.assert_met();
    let hopeless = |event: IssuerEvent| matches!(event, IssuerEvent::Hopeless { .. });
    assert!(scene.phone_events().any(hopeless), "{}", scene.fleet.story());
}

/// Whose call comes first is refused by the other one's box, and must go on calling.
#[test]
fn boxes_that_refuse_early_calls_are_passed_all_the_same() {
    let mut refused = 0;
    for seed in 0..20 {
        let strict = || NatConfig { unsolicited: Unsolicited::Reject, ..plain() };
        let boxes = [strict(), strict()];
        let mut scene = Setup { seed, boxes, ..Setup::default() }.scene();
        // The lamp hears of it later.
        let far = Faults::latency(Duration::from_millis(10 + 20 * seed));
        let (server, lamp) = (scene.fleet.server, scene.lamp);
        scene.fleet.world.set_path(server, lamp, far);
        let took = scene.assert_met();
        assert!(took < Duration::from_secs(5), "{seed}: {took:?}");
        refused += usize::from(scene.calls(scene.phone) > 1);
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn behind_a_box_with_a_port_for_each_destination_they_fail_in_time_and_in_order() {
    for boxes in [[symmetric(), plain()], [plain(), symmetric()], [symmetric(), symmetric()]] {
        let mut scene = Setup { boxes, ..Setup::default() }.scene();
        let (told, took) = scene.meet();
        let failed = matches!(told, Some(IssuerEvent::Failed { cause: FailCause::NotReached, .. }));
        assert!(failed && took <= Duration::from_secs(10), "{told:?} {took:?}");
        assert!(scene.calls(scene.phone) > 0, "{}", scene.fleet.story());
        scene.fleet.world.run_for(Duration::from_secs(30));
        assert_eq!(scene.streams(), [0; 3], "{}", scene.fleet.story());
    }
}

/// Who has a listener that can be reached is dialled as ever, and as fast.
#[test]
fn a_dial_back_that_works_is_not_disturbed() {
    let run = |can: bool| {
        let open = NatConfig::new(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
        let boxes = [open, plain()];
        let mut fleet = Setup { boxes, can: [can; 2], ..Setup::default() }.scene();
        let lone = fleet.fleet.issuer("tablet", |config| config.simultaneous_open = can);
        let line = Faults::latency(HOP / 2).without_udp();
        fleet.fleet.world.set_line(lone, &line);
        fleet.phone = lone;
        let (told, took) = fleet.meet();
        let Some(IssuerEvent::Connected { path: Path::Stream { .. }, .. }) = told else {
            panic!("{told:?}")
        };
        fleet.fleet.world.run_for(Duration::from_secs(10));
        (took, fleet.streams(), fleet.calls(fleet.lamp), fleet.calls(fleet.phone))
    };
    let (with, without) = (run(true), run(false));
    assert_eq!(with, without);
    assert_eq!((with.1, with.2, with.3), ([0, 1, 1], 1, 0));
}

#[test]
fn nobody_is_asked_who_has_not_said_that_it_can() {
    for can in [[true, false], [false, true], [false, false]] {
        let mut scene = Setup { can, ..Setup::default() }.scene();
        let (told, _) = scene.meet();
        assert!(matches!(told, Some(IssuerEvent::Failed { .. })), "{can:?}: {told:?}");
        // Its link to the server is all that there is.
        assert_eq!((scene.sights(scene.phone), scene.sights(scene.lamp)), (1, 0), "{can:?}");
        assert_eq!(scene.calls(scene.phone), 0, "{can:?}");
    }
}

/// The first bytes of the acceptor's on a connection that has met are the communication request, and
/// none of them is the issuer's choice (threat T13); until they have come the issuer writes nothing.
#[test]
fn the_communication_request_is_what_comes_first() {
    let mut scene = Setup::default().scene();
    scene.assert_met();
    let server = scene.fleet.server_address();
    let told = |entry: &&Entry| {
        matches!(entry.via, Via::Tcp(_)) && entry.from != "server" && entry.destination != server
    };
    let first = scene.entries().find(told).unwrap();
    assert_eq!((&*first.from, first.kind), ("lamp", Some(Kind::Answer)));
}

#[test]
fn a_registration_over_tcp_goes_on_beside() {
    let mut scene = Setup { blocked: [true; 2], ..Setup::default() }.scene();
    scene.assert_met();
    let over = |event: &genkan_core::AcceptorEvent| {
        matches!(event, genkan_core::AcceptorEvent::Registered { over: Transport::Stream, .. })
    };
    assert!(scene.lamp_log().log.events.iter().any(|(_, event)| over(event)));
    scene.fleet.world.run_for(Duration::from_secs(60));
    assert!(scene.fleet.is_registered(scene.lamp));
    // Its registration, and the connection of the two.
    assert_eq!(scene.streams(), [1, 2, 1], "{}", scene.fleet.story());
}
