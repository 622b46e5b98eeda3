//! Target `world`: two appliances and two phones in the simulated network, with everything that can go
//! wrong, and then nothing any more.
//!
//! ```text
//! offset  len  field
//!      0    1  seed of whatever is drawn
//!      1    1  the NAT of appliance 0: mapping, filtering, lifetime
//!      2    1  bits: 0 = the server wakes, 1, 2 = phones over UDP or TCP alone, 3 = no clocks,
//!              4 = no TCP fallback, 5 = short-lived mappings
//!      3    5  unused
//!      8       records of 8 bytes: what 1 | to whom 1 | how 4 | unused 1 | how long then 1
//! ```
//!
//! Appliance 0 is behind a NAT and open to anybody, appliance 1 has a public address and a password;
//! both phones can be dialled. When the last record has been played all faults end, and within the
//! longest back-off everybody must be back: registered, and reachable from both phones.

use core::cell::Cell;
use core::net::IpAddr;
use core::time::Duration;
use std::rc::Rc;

use genkan_core::{Delivery, Machine, PasswordRecord, RequestTransport, Target};
use genkan_sim::fleet::{Fleet, FleetAcceptor, FleetIssuer, FleetServer, IssuerApp, START};
use genkan_sim::{
    Death, EntropyMode, Faults, Filtering, HostId, Mapping, NatConfig, NatId, Packet, Verdict, Via,
};

use crate::acceptor::PASSWORD;
use crate::record::{Record, mar, split};
use crate::watch::story;

const ACTS: usize = 24;

type Act = Record<8>;

struct Scene {
    fleet: Fleet,
    nat: NatId,
    appliances: [HostId; 2],
    phones: [HostId; 2],
    /// The packet that something will happen to, and what.
    mishap: Rc<Cell<Option<(u64, Act)>>>,
    packets: Rc<Cell<u64>>,
}

fn nat(head: &Record<8>) -> NatConfig {
    let mapping =
        [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent]
            [head.below(1, 3)];
    let filtering = [
        Filtering::EndpointIndependent,
        Filtering::AddressDependent,
        Filtering::AddressAndPortDependent,
    ][usize::from(head.byte(1) / 3) % 3];
    let mut config = NatConfig::new(mapping, filtering);
    if head.flag(2, 5) {
        config.lifetimes.udp_initial = Duration::from_secs(30);
        config.lifetimes.udp_replied = Duration::from_secs(30 + u64::from(head.byte(1) / 9));
    }
    config
}

fn scene(head: &Record<8>) -> Scene {
    let mut fleet = Fleet::with_server(u64::from(head.byte(0)), |config| {
        config.delivery = if head.flag(2, 0) { Delivery::Stream } else { Delivery::Auto };
    });
    fleet.world.keep_transcript(false);
    let nat = fleet.nat(nat(head));
    let lamp = fleet.acceptor_behind(Some(nat), "lamp", |config| {
        config.spread = Duration::ZERO;
        config.admission.open = true;
        config.stream_fallback = !head.flag(2, 4);
    });
    let heater = fleet.acceptor("heater", |config| {
        config.spread = Duration::ZERO;
        config.admission.password = Some(PasswordRecord::new([5; 16], &PASSWORD));
    });
    let phones =
        [(1, "phone", RequestTransport::Datagram), (2, "tablet", RequestTransport::Stream)].map(
            |(bit, name, alone)| {
                fleet.issuer(name, |config| {
                    config.transport =
                        if head.flag(2, bit) { alone } else { RequestTransport::Race };
                    config.wall_clock = (!head.flag(2, 3)).then_some(START);
                })
            },
        );
    let (mishap, packets) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(0)));
    Scene { fleet, nat, appliances: [lamp, heater], phones, mishap, packets }
}

/// Runs one input.
pub fn world(data: &[u8]) {
    let (head, acts) = split::<8, 8>(data, ACTS);
    let mut scene = scene(&head);
    let (mishap, packets) = (Rc::clone(&scene.mishap), Rc::clone(&scene.packets));
    scene.fleet.world.hook(move |packet| {
        packets.set(packet.number);
        match mishap.get() {
            Some((number, act)) if number == packet.number => befall(packet, &act),
            _ => Verdict::Pass,
        }
    });
    scene.run(Duration::from_secs(3));
    for act in acts {
        scene.act(&act);
        scene.run(act.time(7));
        scene.check();
    }
    scene.heal();
}

/// What happens to the packet that was picked.
fn befall(packet: &mut Packet, act: &Act) -> Verdict {
    let late = Duration::from_millis(u64::from(act.byte(4)) * 20);
    match act.byte(3) % 6 {
        0 => Verdict::Drop,
        1 => Verdict::Delay(late),
        2 => Verdict::Duplicate(late),
        how if packet.via == Via::Udp => {
            mar(&mut packet.bytes, how, u16::from(act.byte(4)), act.byte(5));
            if packet.bytes.is_empty() { Verdict::Drop } else { Verdict::Pass }
        }
        // TCP does not garble; whoever could, could also cut the line.
        _ => Verdict::Drop,
    }
}

impl Scene {
    fn run(&mut self, time: Duration) {
        // Hours of a bad line are no more than minutes of it.
        self.fleet.world.run_for(time.min(Duration::from_secs(600)));
    }

    fn act(&mut self, act: &Act) {
        story(|| format!("{act:?}"));
        let hosts = [self.appliances[0], self.appliances[1], self.phones[0], self.phones[1]];
        let host = hosts[act.below(1, 4)];
        let death = if act.flag(2, 0) { Death::Silent } else { Death::WithReset };
        let world = &mut self.fleet.world;
        match act.byte(0) % 12 {
            0 | 1 => self.ask(act),
            2 => world.set_line(host, &line(act)),
            3 => self.fleet.reboot(host, death),
            4 if act.flag(1, 3) => self.fleet.reboot_server(death),
            4 => world.nat_mut(self.nat).reboot(),
            5 => world.renumber_nat(self.nat, IpAddr::from([192, 0, 2, 100 + act.byte(2) % 100])),
            // A machine stands still until its clock is where it was.
            6 if act.flag(2, 0) => world.jump_back(host, act.time(3).min(Duration::from_secs(10))),
            6 => world.jump_ahead(host, act.time(3)),
            7 if act.flag(2, 0) => world.pause(host),
            7 => world.resume(host),
            8 => self.fleet.entropy(host).set(match act.byte(2) % 4 {
                0 => EntropyMode::Seeded,
                1 => EntropyMode::Constant(act.byte(3)),
                2 => EntropyMode::Repeating,
                _ => EntropyMode::Failing,
            }),
            9 => {
                let number = self.packets.get() + 1 + u64::from(act.byte(2));
                self.mishap.set(Some((number, *act)));
            }
            10 => world.set_send_errors(host, f64::from(act.byte(2)) / 512.0),
            _ => self.talk(act),
        }
    }

    fn target(&self, appliance: usize, right: bool) -> Target {
        let mut target = Target::new(self.fleet.id(self.appliances[appliance]));
        if appliance == 1 {
            target.password = Some(if right { PASSWORD } else { [1; 32] });
        }
        target
    }

    fn ask(&mut self, act: &Act) {
        let target = self.target(act.below(2, 2), !act.flag(2, 7));
        let phone = self.phones[act.below(1, 2)];
        self.fleet.world.with(phone, |machine: &mut FleetIssuer, io| {
            // The table may be full, and the randomness gone.
            let _ = machine.request(io.now(), &target);
        });
    }

    /// A phone says something on its newest connections, or hangs up.
    fn talk(&mut self, act: &Act) {
        use genkan_core::{Channel, IssuerEvent};

        let phone = self.phones[act.below(1, 2)];
        let log = &self.fleet.world.app::<IssuerApp>(phone).log;
        let newest = log.events.iter().rev().find_map(|(_, event)| match event {
            IssuerEvent::Connected { connection, .. } => Some(*connection),
            _ => None,
        });
        let Some(connection) = newest else { return };
        self.fleet.world.with(phone, |machine: &mut FleetIssuer, io| {
            if act.flag(2, 0) {
                machine.close(io.now(), connection);
            } else {
                let bytes = vec![act.byte(3); usize::from(act.byte(4)) * 5];
                let _ = io.send(machine, connection, Channel::Datagram, &bytes);
            }
        });
    }

    fn server(&self) -> &FleetServer {
        self.fleet.world.machine(self.fleet.server)
    }

    /// What holds at any time: nobody is listed where he cannot be.
    fn check(&self) {
        let server = self.server();
        assert!(server.registered() <= 2 && server.clients() <= 4, "more than there are");
        for (host, home) in self.appliances.into_iter().zip([[192, 0, 2], [198, 51, 100]]) {
            if let Some(place) = server.location(&self.fleet.id(host)) {
                let IpAddr::V4(ip) = place.ip() else { panic!("{place} is nobody's") };
                assert_eq!(ip.octets()[..3], home, "{} at {place}", self.fleet.world.name(host));
            }
        }
    }

    /// Nothing goes wrong any more.
    fn heal(&mut self) {
        self.fleet.world.unhook();
        for host in self.appliances.into_iter().chain(self.phones) {
            self.fleet.world.resume(host);
            self.fleet.world.set_line(host, &Faults::default());
            self.fleet.world.set_send_errors(host, 0.0);
            self.fleet.entropy(host).set(EntropyMode::Seeded);
        }
        self.fleet.world.run_for(Duration::from_secs(660));
        self.check();
        assert_eq!(self.server().registered(), 2, "not registered again");
        // Before anybody asks: what one phone has open may be all that an appliance can hold.
        self.phones.into_iter().for_each(|phone| self.hang_up(phone));
        for phone in self.phones {
            for appliance in 0..2 {
                let target = self.target(appliance, true);
                let request = self.fleet.request_target(phone, &target);
                let longest = Duration::from_secs(11);
                let connected = self.fleet.wait_connected(phone, request, longest);
                assert!(connected, "{phone:?} does not reach appliance {appliance}");
                self.hang_up(phone);
            }
            let phone: &FleetIssuer = self.fleet.world.machine(phone);
            assert_eq!(phone.poll_timeout(), None, "a phone waits for nothing");
        }
        for host in self.appliances {
            let lamp: &FleetAcceptor = self.fleet.world.machine(host);
            assert!(lamp.poll_timeout().is_some(), "an appliance that waits for nothing");
            assert_eq!(lamp.counters().lost_events(), 0);
        }
    }

    /// A phone closes what it has open; two minutes later nothing is left of it.
    fn hang_up(&mut self, phone: HostId) {
        use genkan_core::IssuerEvent;

        let log = &self.fleet.world.app::<IssuerApp>(phone).log;
        let open = log.events.iter().filter_map(|(_, event)| match event {
            IssuerEvent::Connected { connection, .. } => Some(*connection),
            _ => None,
        });
        let open: Vec<_> = open.collect();
        for connection in open {
            let close = |machine: &mut FleetIssuer, io: &mut genkan_sim::Io| {
                machine.close(io.now(), connection);
            };
            self.fleet.world.with(phone, close);
        }
        self.fleet.world.run_for(Duration::from_secs(130));
    }
}

fn line(act: &Act) -> Faults {
    let share = |byte: u8| f64::from(byte) / 512.0;
    let mut line = match act.byte(2) % 8 {
        0 => Faults::default(),
        1 => Faults::hostile(),
        2 => Faults::mobile(),
        3 => Faults::satellite(),
        4 => Faults::default().without_udp(),
        5 => Faults::default().without_tcp(),
        6 => Faults::default().without_udp().without_tcp(),
        _ => Faults::wifi(),
    };
    line.loss = line.loss.max(share(act.byte(3)));
    line.duplicate = line.duplicate.max(share(act.byte(4)));
    line.corrupt = line.corrupt.max(share(act.byte(5)));
    line.jitter = line.jitter.max(Duration::from_millis(u64::from(act.byte(6))));
    line
}

/// Lives of each kind behind NATs of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let lives: [&[[u8; 8]]; 7] = [
        &[[0, 0, 0, 0, 0, 0, 0, 21], [11, 0, 0, 9, 9, 0, 0, 9], [11, 0, 1, 0, 0, 0, 0, 9]],
        &[[0, 1, 1, 0, 0, 0, 0, 21], [0, 1, 129, 0, 0, 0, 0, 22], [0, 0, 129, 0, 0, 0, 0, 22]],
        &[
            [2, 0, 1, 9, 9, 9, 9, 22],
            [0, 0, 0, 0, 0, 0, 0, 22],
            [2, 2, 4, 0, 0, 0, 0, 22],
            [0, 0, 1, 0, 0, 0, 0, 22],
        ],
        &[
            [3, 0, 0, 0, 0, 0, 0, 5],
            [0, 0, 0, 0, 0, 0, 0, 22],
            [3, 2, 1, 0, 0, 0, 0, 5],
            [4, 8, 0, 0, 0, 0, 0, 22],
        ],
        &[
            [4, 0, 0, 0, 0, 0, 0, 22],
            [5, 0, 7, 0, 0, 0, 0, 62],
            [0, 0, 0, 0, 0, 0, 0, 22],
            [6, 0, 0, 62, 0, 0, 0, 22],
        ],
        &[
            [8, 0, 3, 0, 0, 0, 0, 62],
            [7, 2, 1, 0, 0, 0, 0, 22],
            [8, 0, 0, 0, 0, 0, 0, 22],
            [7, 2, 0, 0, 0, 0, 0, 22],
        ],
        &[
            [9, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 22],
            [9, 0, 3, 4, 30, 1, 0, 0],
            [0, 1, 1, 0, 0, 0, 0, 22],
            [10, 0, 90, 0, 0, 0, 0, 62],
        ],
    ];
    let mut seeds = Vec::new();
    for (number, head) in (0..).zip([[0, 0], [4, 1], [8, 6], [2, 0x28], [3, 0x11]]) {
        for life in lives {
            let mut seed = vec![number, head[0], head[1], 0, 0, 0, 0, 0];
            seed.extend(life.iter().flatten());
            seeds.push(seed);
        }
    }
    seeds
}
