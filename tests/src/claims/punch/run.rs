//! A meeting of two ends, and its thread: the packets that the claims speak of.

use core::net::{IpAddr, SocketAddr};

use genkan_core::EquipmentId;
use genkan_core::inspect::LoggedRoot;
use genkan_core::nat::PortRange;
use genkan_core::punch::{Bracket, Moment};

use super::packets::{Around, Told, is_measurement, is_moment, is_punch, is_range_packet, once};
use super::scenario::Scene;
pub use crate::claims::run::{ACCEPTOR, Held, ISSUER, arrival, must};
use crate::story::{Packet, Role, Story, What};
pub use crate::world::SERVER;

/// Which of the two ends, by what it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Sends the bubble: the first information processor.
    Bubbler,
    /// Replies: the second information processor.
    Replier,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Bubbler => Self::Replier,
            Self::Replier => Self::Bubbler,
        }
    }
}

/// An equipment and its NAT, the communication control unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct House {
    /// The equipment's host.
    pub name: &'static str,
    /// The NAT's name.
    pub nat: String,
    /// Its address on the outside.
    pub outside: IpAddr,
    /// The step of its counter; `None`: it gives every socket one port for all.
    pub step: Option<i8>,
}

/// One scene, played.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meeting {
    /// Which.
    pub scene: Scene,
    /// With this seed.
    pub seed: u64,
    /// What happened.
    pub story: Story,
    /// The end that has to be the bubbler.
    pub bubbler: House,
    /// The end that has to be the replier.
    pub replier: House,
    /// The same with the two NATs exchanged, where the claims look at it.
    pub exchanged: Option<Box<Self>>,
}

impl Meeting {
    /// An end.
    #[must_use]
    pub const fn house(&self, side: Side) -> &House {
        match side {
            Side::Bubbler => &self.bubbler,
            Side::Replier => &self.replier,
        }
    }

    /// An end's name.
    #[must_use]
    pub const fn name(&self, side: Side) -> &'static str {
        self.house(side).name
    }

    /// An end's id.
    #[must_use]
    pub fn id(&self, side: Side) -> EquipmentId {
        self.story.id(self.name(side))
    }

    /// What an end is in the request that led to the meeting.
    ///
    /// # Panics
    /// When the story has no such member.
    #[must_use]
    pub fn role(&self, side: Side) -> Role {
        let name = self.name(side);
        let found = self.story.members.iter().find(|member| member.name == name);
        found.expect("both ends are members").role
    }

    /// Packets that arrived from an end at the server.
    pub fn up(&self, side: Side) -> impl DoubleEndedIterator<Item = &Packet> {
        self.story.between(self.name(side), SERVER).filter(|packet| packet.arrived.is_some())
    }

    /// Packets from the server that arrived at an end.
    pub fn down(&self, side: Side) -> impl DoubleEndedIterator<Item = &Packet> {
        self.story.between(SERVER, self.name(side)).filter(|packet| packet.arrived.is_some())
    }

    /// Bubbles and replies of an end towards the other's NAT, in order; whether they arrived is
    /// another matter.
    pub fn punches(&self, side: Side) -> impl Iterator<Item = &Packet> {
        let (name, there) = (self.name(side), self.house(side.other()).outside);
        let ours = move |packet: &&Packet| {
            packet.from == name && packet.destination.ip() == there && is_punch(packet)
        };
        self.story.packets.iter().filter(ours)
    }

    /// The bursts that an end was told.
    pub fn bursts(&self, side: Side) -> impl Iterator<Item = Told<'_>> {
        self.down(side).filter_map(|packet| match &packet.what {
            What::Burst(punch) => Some(Told { packet, punch }),
            _ => None,
        })
    }

    /// The first burst of an end that makes it look: with range detection packets.
    ///
    /// # Errors
    /// There was none.
    pub fn look(&self, side: Side) -> Held<Told<'_>> {
        let looks = |told: &Told<'_>| told.punch.burst.bracket != Bracket::None;
        self.bursts(side).find(looks).ok_or_else(|| "it was not told where to send".to_owned())
    }

    /// The first burst of an end that makes it aim at ports that were found out: without range
    /// detection packets.
    ///
    /// # Errors
    /// There was none.
    pub fn aim(&self, side: Side) -> Held<Told<'_>> {
        let aims = |told: &Told<'_>| told.punch.burst.bracket == Bracket::None;
        self.bursts(side).find(aims).ok_or_else(|| "it was told no range".to_owned())
    }

    /// The first reply that came in at the bubbler.
    ///
    /// # Errors
    /// There was none.
    pub fn hit(&self) -> Held<&Packet> {
        let bubbler = self.name(Side::Bubbler);
        let mut replies = self.replies()?.into_iter();
        let hit = replies.find(|packet| packet.arrived.is_some() && packet.to == bubbler);
        hit.ok_or_else(|| "no reply has reached the bubbler".to_owned())
    }

    /// The bubble that let it in; where nothing came in, the first one.
    ///
    /// # Errors
    /// There was none.
    pub fn bubble(&self) -> Held<&Packet> {
        let port = self.hit().ok().map(|hit| hit.destination.port());
        let wanted = |packet: &&Packet| port.is_none_or(|port| packet.source.port() == port);
        let mut bubbles = self.punches(Side::Bubbler);
        bubbles.find(wanted).ok_or_else(|| "no bubble has left its port".to_owned())
    }

    /// The replies: what the replier sends to the ports that it was told.
    ///
    /// # Errors
    /// There was no word about ports, or nothing has left.
    pub fn replies(&self) -> Held<Vec<&Packet>> {
        let told = self.aim(Side::Replier)?;
        let ports = told.ports();
        let is = |packet: &&Packet| {
            packet.at >= arrival(told.packet) && ports.contains(&packet.destination.port())
        };
        let replies: Vec<&Packet> = self.punches(Side::Replier).filter(is).collect();
        must(!replies.is_empty(), "no reply has left")?;
        Ok(replies)
    }

    /// The ports that replies went to, in order, each once.
    ///
    /// # Errors
    /// As [`Meeting::replies`].
    pub fn replied_ports(&self) -> Held<Vec<u16>> {
        Ok(once(self.replies()?.into_iter().map(|packet| packet.destination.port())))
    }

    /// The replier's port assigning packet.
    ///
    /// # Errors
    /// There was none before the replies.
    pub fn assigning(&self) -> Held<&Packet> {
        let told = self.aim(Side::Replier)?;
        let mut early = self.punches(Side::Replier);
        let found = early.find(|packet| packet.at < arrival(told.packet));
        found.ok_or_else(|| "nothing was sent before the replies".to_owned())
    }

    /// An end's range detection packets that reached the server.
    #[must_use]
    pub fn range_packets(&self, side: Side) -> Vec<&Packet> {
        self.up(side).filter(|packet| is_range_packet(packet)).collect()
    }

    /// The packet of an end whose port has to be found: bubble, or port assigning packet.
    ///
    /// # Errors
    /// There was none.
    pub fn sought(&self, side: Side) -> Held<&Packet> {
        match side {
            Side::Bubbler => self.bubble(),
            Side::Replier => self.assigning(),
        }
    }

    /// The range detection packets of one burst, around the packet whose port has to be found.
    ///
    /// # Errors
    /// One of them did not reach the server, or they do not belong together.
    pub fn around(&self, side: Side) -> Held<Around<'_>> {
        let between = self.sought(side)?;
        let (name, place) = (self.name(side), self.place(between));
        let ours = |packet: &&Packet| packet.goes(name, SERVER) && packet.arrived.is_some();
        let (early, late) = self.story.packets.split_at(place);
        let before = early.iter().filter(ours).rfind(|packet| is_moment(packet, Moment::Before));
        let after = late.iter().filter(ours).find(|packet| is_moment(packet, Moment::After));
        let (Some(before), Some(after)) = (before, after) else {
            return Err("there are no range detection packets before and after".into());
        };
        let (What::Detect(one), What::Detect(other)) = (&before.what, &after.what) else {
            return Err("they are no detection packets".into());
        };
        must(one.round == other.round, "they belong to different bursts")?;
        Ok(Around { before, between, after, round: one.round })
    }

    /// The ports of the first two range detection packets of an end that reached the server, whatever
    /// came of them.
    #[must_use]
    pub fn hull(&self, side: Side) -> Option<(u16, u16)> {
        let packets = self.range_packets(side);
        let (one, other) = (packets.first()?.source.port(), packets.get(1)?.source.port());
        Some((one.min(other), one.max(other)))
    }

    /// A packet's place in the story.
    #[must_use]
    pub fn place(&self, packet: &Packet) -> usize {
        let packets = &self.story.packets;
        packets.iter().position(|other| core::ptr::eq(other, packet)).unwrap_or(packets.len())
    }

    /// What an end was told about range detection packets: each detection port information that
    /// speaks of `seen`, in order.
    pub fn reports(&self, side: Side, seen: &Packet) -> impl Iterator<Item = &Packet> {
        let wanted = match &seen.what {
            What::Detect(detection) => Some(*detection),
            _ => None,
        };
        self.down(side).filter(move |packet| match (&packet.what, wanted) {
            (What::Seen(report), Some(wanted)) => {
                Some(report.request) == wanted.request.or(Some(0))
                    && report.round == wanted.round
                    && report.packets.iter().any(|(which, _)| *which == wanted.which)
            }
            _ => false,
        })
    }

    /// The range that an end has computed and sent to the server.
    ///
    /// # Errors
    /// None has arrived.
    pub fn claimed(&self, side: Side) -> Held<(&Packet, PortRange)> {
        let mut found = self.up(side).filter_map(|packet| match &packet.what {
            What::Range(range) => Some((packet, range.range)),
            _ => None,
        });
        found.next().ok_or_else(|| "the equipment has sent no range".to_owned())
    }

    /// The differential detection packets of an end that reached the server, in order.
    #[must_use]
    pub fn measured(&self, side: Side) -> Vec<&Packet> {
        self.up(side).filter(|packet| is_measurement(packet)).collect()
    }

    /// A packet between an end and the server is under a key that both hold.
    ///
    /// # Errors
    /// It is not.
    pub fn private(&self, side: Side, packet: &Packet) -> Held<LoggedRoot> {
        let root = packet.key().ok_or("not exactly one common key opens it")?;
        let (story, name) = (&self.story, self.name(side));
        must(story.holds(name, root) && story.holds(SERVER, root), "others hold the key")?;
        Ok(root)
    }

    /// A packet left an end through its NAT: from a socket inside, seen at the NAT's address outside.
    ///
    /// # Errors
    /// It did not.
    pub fn through_nat(&self, side: Side, packet: &Packet) -> Held {
        let inside = packet.inside.ok_or("nobody saw which socket it left from")?;
        must(inside.ip() != packet.source.ip(), "it was not translated")?;
        must(packet.source.ip() == self.house(side).outside, "it left by another NAT")
    }

    /// The address and port that the server sees an end at.
    ///
    /// # Errors
    /// It has never spoken under its keys.
    pub fn server_facing(&self, side: Side) -> Held<SocketAddr> {
        let server = self.story.server;
        let spoke = |packet: &&Packet| {
            packet.destination == server && packet.is_datagram() && packet.key().is_some()
        };
        let detects = |packet: &&Packet| matches!(packet.what, What::Detect(_));
        let said = self.up(side).filter(spoke).find(|packet| !detects(packet));
        let said = said.ok_or("it has no session with the server")?;
        Ok(said.source)
    }
}
