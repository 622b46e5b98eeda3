//! How one thing is taken away from a scene.
//!
//! What is sealed cannot be told apart on its way, so a twin looks into the good meeting, which runs
//! alike up to the first loss: those packets are lost there, by their number and, since what is lost is
//! sent again, whatever looks the same from then on.

use core::time::Duration;

use genkan_core::wire::{DETECT_LEN, Kind};
use genkan_sim::{HostId, Packet, Verdict, Via};

use super::packets::{is_measurement, is_range_packet};
use super::run::{Held, Meeting, SERVER, Side};
use super::scenario::{Cast, Sabotage, Scene, Setting, Stage};
use crate::story::{self, What};

use Side::{Bubbler, Replier};

/// What is taken away.
#[derive(Debug)]
pub enum Without {
    /// Datagrams from this end that anybody can tell apart.
    Clear(Side, fn(&Packet) -> bool),
    /// Datagrams between this end and the server: from it (true) or to it, by what is in them.
    Sealed(Side, bool, fn(&story::Packet) -> bool),
    /// Something of the setting.
    Setting(fn(&mut Setting)),
    /// The NAT of this end forgets the socket of a packet right before another one leaves by it.
    Mapping(Side, fn(&Meeting) -> Held<(&story::Packet, Duration)>),
}

/// A scene without one of its elements.
#[derive(Debug)]
pub struct Twin {
    /// The scene.
    pub scene: Scene,
    /// What is taken away, in words.
    pub what: &'static str,
    /// What is taken away.
    pub without: Without,
    /// Whether that happens in the same scene with the NATs exchanged.
    pub turned: bool,
    /// What must fail: a claim that is shown in the scene, and one of its elements by its id.
    pub breaks: &'static [(u16, &'static str)],
    /// What can be seen instead, in the scene that it is taken away from.
    pub shows: fn(&Meeting) -> Held,
}

impl Twin {
    /// Plays it.
    ///
    /// # Panics
    /// When the good meeting has not what is to be taken away.
    #[must_use]
    pub fn play(&self, good: &Meeting) -> Meeting {
        if self.turned {
            let spoilt = Box::new(self.spoilt(self.subject(good)));
            return Meeting { exchanged: Some(spoilt), ..good.clone() };
        }
        let mut played = self.spoilt(good);
        played.exchanged.clone_from(&good.exchanged);
        played
    }

    /// What it takes something away from: the meeting, or the one with the NATs exchanged.
    ///
    /// # Panics
    /// When that was not tried.
    #[must_use]
    pub fn subject<'m>(&self, meeting: &'m Meeting) -> &'m Meeting {
        if self.turned {
            meeting.exchanged.as_deref().expect("it was tried the other way round")
        } else {
            meeting
        }
    }

    fn spoilt(&self, good: &Meeting) -> Meeting {
        let mut setting = Setting { exchanged: self.turned, ..Setting::of(self.scene, good.seed) };
        if let Without::Setting(change) = self.without {
            change(&mut setting);
        }
        let mut stage = Stage::new(setting);
        let cast = stage.cast;
        let host = |side| match side {
            Bubbler => cast.bubbler.0,
            Replier => cast.replier.0,
        };
        let sabotage = match self.without {
            Without::Setting(_) => None,
            Without::Clear(side, which) => Some(lose(host(side), which)),
            Without::Sealed(side, up, which) => {
                Some(lose_alike(good, (side, up, which), host(side), &cast))
            }
            Without::Mapping(side, when) => {
                let (packet, at) = when(good).expect("the good meeting has it");
                let inside = packet.inside.expect("the meeting was captured");
                let nat = match side {
                    Bubbler => cast.bubbler.1,
                    Replier => cast.replier.1,
                };
                stage.lab.fleet.world.at(at, move |world| world.nat_mut(nat).remap(inside));
                None
            }
        };
        stage.play(sabotage)
    }

    /// Whether anything was lost or changed in a play.
    #[must_use]
    pub fn takes_something(&self, good: &Meeting, played: &Meeting) -> bool {
        let lost = |meeting: &Meeting, name: &str| {
            let sent = meeting.story.packets.iter().filter(|packet| packet.from == name);
            let direct = |packet: &story::Packet| {
                let detection = is_range_packet(packet) || is_measurement(packet);
                detection || matches!(packet.what, What::Check(_))
            };
            let gone = |packet: &&story::Packet| packet.arrived.is_none() && !packet.refused;
            sent.filter(gone).filter(|packet| direct(packet)).count()
        };
        let (good, played) = (self.subject(good), self.subject(played));
        match self.without {
            Without::Setting(_) | Without::Mapping(..) => good.story != played.story,
            Without::Clear(side, _) => {
                let name = good.name(side);
                lost(played, name) > lost(good, name)
            }
            Without::Sealed(side, up, which) => {
                let name = played.name(side);
                let (from, to) = if up { (name, SERVER) } else { (SERVER, name) };
                let mut sent = played.story.between(from, to).filter(|packet| which(packet));
                sent.all(|packet| packet.arrived.is_none())
            }
        }
    }
}

fn lose(from: HostId, which: fn(&Packet) -> bool) -> Sabotage {
    Box::new(move |packet| {
        let lost = packet.from == Some(from) && packet.via == Via::Udp && which(packet);
        if lost { Verdict::Drop } else { Verdict::Pass }
    })
}

/// Bytes by which one round's burst, report or range differs from another's.
const ALIKE: usize = 8;

type Sealed = (Side, bool, fn(&story::Packet) -> bool);

fn lose_alike(good: &Meeting, (side, up, which): Sealed, end: HostId, cast: &Cast) -> Sabotage {
    let name = good.name(side);
    let (from, to) = if up { (name, SERVER) } else { (SERVER, name) };
    let packets = good.story.packets.iter().zip(0_u64..);
    let lost: Vec<(u64, usize)> = packets
        .filter(|(packet, _)| packet.goes(from, to) && which(packet))
        .map(|(packet, number)| (number, packet.raw.len()))
        .collect();
    let first = lost.first().expect("the good meeting has what is to be lost").0;
    let (from, to) = if up { (end, cast.server) } else { (cast.server, end) };
    Box::new(move |packet| {
        let way = packet.from == Some(from) && packet.to == Some(to) && packet.via == Via::Udp;
        let sealed = matches!(packet.kind(), Some(Kind::Transport | Kind::ServerTransport));
        let alike = lost.iter().any(|(_, len)| len.abs_diff(packet.message().len()) <= ALIKE);
        let is = way && sealed && alike && packet.number >= first;
        if is { Verdict::Drop } else { Verdict::Pass }
    })
}

/// A detection packet's request and moment: behind kind, status, handle and counter.
fn detect(packet: &Packet) -> Option<(u32, u8)> {
    let is = packet.kind() == Some(Kind::Detect) && packet.bytes.len() == DETECT_LEN;
    let bytes = packet.bytes.get(12..18).filter(|_| is)?;
    let request = bytes.first_chunk().map(|request| u32::from_be_bytes(*request))?;
    Some((request, *bytes.last()?))
}

pub(super) fn is_range_detection(packet: &Packet) -> bool {
    detect(packet).is_some_and(|(request, _)| request != 0)
}

pub(super) fn is_first_range_detection(packet: &Packet) -> bool {
    detect(packet).is_some_and(|(request, which)| request != 0 && which == 1)
}

pub(super) fn is_differential_detection(packet: &Packet) -> bool {
    detect(packet).is_some_and(|(request, _)| request == 0)
}

/// Whatever goes straight from one end to the other before there is a connection.
pub(super) fn is_direct(packet: &Packet) -> bool {
    matches!(packet.kind(), Some(Kind::IssuerPunch | Kind::AcceptorPunch | Kind::Answer))
}
