//! The scenes: which NATs, and whose detector.
//!
//! Phone and door are each behind a NAT that lets in only what was asked for (address and port). The
//! phone asks for the door, whose TCP dial-back the phone's NAT does not let in, so they have to meet by
//! a bubble and a reply. Where a NAT counts, other users' mappings come between two of an end's packets,
//! so that range and differential have something to say. Before, the phone has asked for somebody who
//! is not there: the server knows both NATs when it has to decide.

use core::net::IpAddr;
use core::time::Duration;

use genkan_core::punch::{Ability, Detector, Limits};
use genkan_core::{ConnectionId, EquipmentId, RequestTransport, Target};
use genkan_sim::fleet::{OTHER_ADDRESS, punches};
use genkan_sim::nat::{Counter, Foreign, Pick};
use genkan_sim::{Filtering, HostId, Mapping, NatConfig, NatId, Packet, Verdict};

use super::packets::once;
use super::run::{ACCEPTOR, House, ISSUER, Meeting, Side};
use crate::world::Lab;

/// What a NAT does: its mapping, and the step of its counter if it counts.
pub type Kind = (Mapping, Option<i8>);

/// A scene.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scene {
    /// One NAT maps each destination anew, by a counter; the other's port is known. Range detection
    /// packets to two ends of the server, which detects.
    Server,
    /// The same; the equipment detects.
    Equipment,
    /// One NAT maps each destination address anew. Range detection packets from new sockets; the
    /// server detects.
    FreshServer,
    /// The same; the equipment detects.
    FreshEquipment,
    /// Both NATs map each destination address anew: the replier's port has to be assigned before the
    /// bubbles can go there. The server detects.
    AssignServer,
    /// The same; the equipment detects.
    AssignEquipment,
}

impl Scene {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Server,
        Self::Equipment,
        Self::FreshServer,
        Self::FreshEquipment,
        Self::AssignServer,
        Self::AssignEquipment,
    ];

    /// In a few words, for the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server detects",
            Self::Equipment => "equipment detects",
            Self::FreshServer => "new ports, server",
            Self::FreshEquipment => "new ports, equipment",
            Self::AssignServer => "assigned port, server",
            Self::AssignEquipment => "assigned port, equipment",
        }
    }

    const fn detector(self) -> Detector {
        match self {
            Self::Server | Self::FreshServer | Self::AssignServer => Detector::Server,
            _ => Detector::Equipment,
        }
    }

    /// The bubbler's NAT and the replier's: mapping and step.
    const fn nats(self) -> [Kind; 2] {
        const KNOWN: Kind = (Mapping::EndpointIndependent, None);
        match self {
            Self::Server | Self::Equipment => [(Mapping::AddressAndPortDependent, Some(4)), KNOWN],
            Self::FreshServer | Self::FreshEquipment => {
                [(Mapping::AddressDependent, Some(-2)), KNOWN]
            }
            Self::AssignServer | Self::AssignEquipment => {
                [(Mapping::AddressDependent, Some(2)), (Mapping::AddressDependent, Some(-3))]
            }
        }
    }

    /// Whether one end alone can be the bubbler, so that exchanging the NATs exchanges the roles.
    const fn has_roles(self) -> bool {
        !matches!(self, Self::AssignServer | Self::AssignEquipment)
    }
}

/// What differs between the plays of a scene.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The scene.
    pub scene: Scene,
    /// Whether the door has the bubbler's NAT, not the phone.
    pub exchanged: bool,
    /// What chance is drawn from.
    pub seed: u64,
    /// Whether the server has a second address.
    pub second_address: bool,
    /// Fresh sockets that an end can open.
    pub sockets: u8,
    /// The bubbler's NAT and the replier's.
    pub nats: [Kind; 2],
    /// Whether both are behind the first of them.
    pub one_nat: bool,
}

impl Setting {
    /// A scene as it should be.
    #[must_use]
    pub const fn of(scene: Scene, seed: u64) -> Self {
        let sockets = Limits::LARGE.sockets;
        let nats = scene.nats();
        Self { scene, exchanged: false, seed, second_address: true, sockets, nats, one_nat: false }
    }
}

/// Who is who, for a hook on the network and a script.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// The server.
    pub server: HostId,
    /// The bubbler and its NAT.
    pub bubbler: (HostId, NatId),
    /// The replier and its NAT.
    pub replier: (HostId, NatId),
}

/// What is done to what travels.
pub type Sabotage = Box<dyn FnMut(&mut Packet) -> Verdict>;

/// A scene before it is played.
#[derive(Debug)]
pub struct Stage {
    /// The world.
    pub lab: Lab,
    /// Who is who.
    pub cast: Cast,
    setting: Setting,
    phone: HostId,
    door: HostId,
    houses: [House; 2],
}

/// How far apart an end's packets leave.
const GAP: Duration = Duration::from_millis(1);

/// A NAT as the scenes have it.
fn nat((mapping, step): Kind) -> NatConfig {
    let mut config = NatConfig::new(mapping, Filtering::AddressAndPortDependent);
    if let Some(step) = step {
        let counter = Counter::Global;
        let pick = Pick::Sequential { step: step.into(), counter, skip_used: true };
        config.behaviour.allocation.pick = pick;
        let stay = Duration::from_secs(30);
        config.foreign = Some(Foreign { rate: 300.0, bursts: 0.0, burst_size: 1.0, stay });
    }
    config
}

impl Stage {
    /// Puts server, phone and door on the stage, each behind its NAT.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let mut lab = Lab::with_server(setting.seed, |config| {
            punches(config);
            config.other_address = setting.second_address.then_some(OTHER_ADDRESS);
        });
        lab.fleet.world.capture(true);
        let [bubbler, replier] = setting.nats;
        let kinds = if setting.exchanged { [replier, bubbler] } else { [bubbler, replier] };
        let nats = kinds.map(|kind| lab.fleet.nat(nat(kind)));
        let door_nat = if setting.one_nat { nats[0] } else { nats[1] };
        let limits = Limits { sockets: setting.sockets, ..Limits::LARGE };
        let ability = Ability { limits, detector: setting.scene.detector() };
        let phone = lab.issuer_behind(Some(nats[0]), ISSUER, |config| {
            config.transport = RequestTransport::Datagram;
            config.punch = Some(ability);
        });
        let door = lab.acceptor_behind(Some(door_nat), ACCEPTOR, |config| {
            config.admission.open = true;
            config.spread = Duration::ZERO;
            config.punch = Some(ability);
        });
        for host in [phone, door] {
            lab.fleet.world.set_send_gap(host, GAP);
        }
        let house = |name, number: u8, kind: Kind| House {
            name,
            nat: format!("nat{number}"),
            outside: IpAddr::from([192, 0, 2, number]),
            step: kind.1,
        };
        let mut houses = [house(ISSUER, 1, kinds[0]), house(ACCEPTOR, 2, kinds[1])];
        let mut ends = [(phone, nats[0]), (door, nats[1])];
        if setting.exchanged {
            houses.reverse();
            ends.reverse();
        }
        let cast = Cast { server: lab.fleet.server, bubbler: ends[0], replier: ends[1] };
        Self { lab, cast, setting, phone, door, houses }
    }

    /// Plays it: the door registers, the phone asks for it, and they meet or do not.
    #[must_use]
    pub fn play(mut self, sabotage: Option<Sabotage>) -> Meeting {
        if let Some(sabotage) = sabotage {
            self.lab.fleet.world.hook(sabotage);
        }
        self.lab.wait_registered(self.door, Duration::from_secs(5));
        let nobody = Target::new(EquipmentId(*self.lab.server_key().public()));
        let request = self.lab.fleet.request_target(self.phone, &nobody);
        self.lab.run_for(Duration::from_secs(2));
        self.lab.fleet.hang_up(self.phone, request);
        let request = self.ask();
        self.lab.wait_outcome(self.phone, request, Duration::from_secs(12));
        self.lab.run_for(Duration::from_secs(2));
        let [bubbler, replier] = self.houses;
        let story = self.lab.story();
        let Setting { scene, seed, .. } = self.setting;
        Meeting { scene, seed, story, bubbler, replier, exchanged: None }
    }

    fn ask(&mut self) -> ConnectionId {
        let target = Target::new(self.lab.fleet.id(self.door));
        self.lab.fleet.request_target(self.phone, &target)
    }
}

/// How many seeds are tried for one in which others come between.
const SEEDS: u64 = 200;

/// Plays a scene, and the same with the NATs exchanged where that exchanges the roles: with the first
/// seed after `after` with which other users' mappings come between where they can matter.
///
/// # Panics
/// When they do with none of many seeds.
#[must_use]
pub fn meeting(scene: Scene, after: u64) -> Meeting {
    let mut seeds = after + 1..=after + SEEDS;
    let played = seeds.find_map(|seed| {
        let setting = Setting::of(scene, seed);
        let mut meeting = Some(Stage::new(setting).play(None)).filter(is_crowded)?;
        if scene.has_roles() {
            let other = Stage::new(Setting { exchanged: true, ..setting }).play(None);
            meeting.exchanged = Some(Box::new(Some(other).filter(is_crowded)?));
        }
        Some(meeting)
    });
    played.expect("others' mappings come between sooner or later")
}

/// Whether others' mappings lie between the range detection packets of each end whose port has to be
/// found, so that there are several candidates; and not so between those of the measurement that
/// nobody could tell the counter's step. Where an end has sent none, no seed is the better one: the
/// claims say what is missing.
fn is_crowded(meeting: &Meeting) -> bool {
    let sides = [Side::Bubbler, Side::Replier].into_iter();
    let mut sides = sides.filter_map(|side| meeting.house(side).step.map(|step| (side, step)));
    sides.all(|(side, step)| {
        let step = u16::from(step.unsigned_abs());
        let between = meeting.hull(side).is_none_or(|(low, high)| high - low > 2 * step);
        let known = meeting.server_facing(side).map_or(0, |facing| facing.port());
        let measured = meeting.measured(side).into_iter().map(|packet| packet.source.port());
        let ports = once(measured.filter(|&port| port != known));
        let apart = ports.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
        between && (ports.len() < 2 || apart.fold(0, gcd) == step)
    })
}

const fn gcd(one: u16, other: u16) -> u16 {
    if other == 0 { one } else { gcd(other, one % other) }
}
