//! Ways to spoil the exchange on one connection.

use core::time::Duration;

use genkan_core::inspect::LoggedRoot;
use genkan_sim::Via;

use super::Which;
use crate::claims::elements::edit;
use crate::claims::run::{Held, Leg, Run};
use crate::story::{Packet, What};

pub(super) fn lose(packet: &mut Packet) {
    packet.what = What::Bytes;
    packet.arrived = None;
}

pub(super) fn early(packet: &mut Packet) {
    packet.at = Duration::ZERO;
    packet.arrived = Some(Duration::ZERO);
}

pub(super) fn late(packet: &mut Packet) {
    const LATE: Duration = Duration::from_secs(10_000);
    packet.at += LATE;
    packet.arrived = Some(packet.at);
}

pub(super) fn by_datagram(packet: &mut Packet) {
    packet.via = Via::Udp;
}

pub(super) fn other_certificate(packet: &mut Packet) {
    if let What::Certificate { server_key, bytes } = &mut packet.what {
        server_key[0] ^= 1;
        bytes[30] ^= 1;
    }
}

pub(super) fn for_another_key(packet: &mut Packet) {
    packet.what = What::Initiation(None);
}

pub(super) fn open_to_all(packet: &mut Packet) {
    packet.opened_by.clear();
}

/// Puts the plain offer into the bytes on the wire.
pub(super) fn in_plain(packet: &mut Packet) {
    if let What::Connect { offer, .. } | What::Notify { offer, .. } = &packet.what {
        packet.raw.extend_from_slice(&offer.bytes);
    }
}

/// Changes packets on a connection.
pub(super) fn change(
    leg: fn(&Run) -> Held<Leg<'_>>,
    run: &mut Run,
    which: Which,
    how: fn(&mut Packet),
) {
    let Ok(tcp) = leg(run).map(|leg| leg.tcp) else { return };
    edit(run, |packet| matches!(packet.via, Via::Tcp(id) if id == tcp) && which(packet), how);
}

pub(super) fn doubled(packet: &mut Packet) {
    packet.opened_by.push(LoggedRoot([0; 32]));
}

pub(super) fn disown(run: &mut Run, owner: &str) {
    run.story.keys.retain(|key| key.owner != owner);
}
