//! Changes of a meeting that several elements have in common.

use core::net::{IpAddr, Ipv4Addr};

use crate::claims::elements::{defer, edit, hasten, remove};
use crate::claims::punch::packets::{
    is_burst, is_measurement, is_punch, is_range, is_range_packet, is_seen_measurement,
    is_seen_range,
};
use crate::claims::punch::run::{Meeting, SERVER, Side};
use crate::story::{Packet, What};

/// An address of nobody.
pub(crate) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));

/// A kind of packet.
pub(crate) type Which = fn(&Packet) -> bool;

/// From this end to the server.
fn up(meeting: &Meeting, side: Side, which: Which) -> impl Fn(&Packet) -> bool + use<> {
    let name = meeting.name(side);
    move |packet| packet.goes(name, SERVER) && which(packet)
}

/// From the server to this end.
fn down(meeting: &Meeting, side: Side, which: Which) -> impl Fn(&Packet) -> bool + use<> {
    let name = meeting.name(side);
    move |packet| packet.goes(SERVER, name) && which(packet)
}

/// From this end to the other.
fn over(meeting: &Meeting, side: Side) -> impl Fn(&Packet) -> bool + use<> {
    let name = meeting.name(side);
    move |packet| packet.from == name && is_punch(packet)
}

pub(crate) fn no_punches(meeting: &mut Meeting, side: Side) {
    let which = over(meeting, side);
    remove(meeting, which);
}

pub(crate) fn punches_late(meeting: &mut Meeting, side: Side) {
    let which = over(meeting, side);
    defer(meeting, which);
}

pub(crate) fn punches_elsewhere(meeting: &mut Meeting, side: Side) {
    let which = over(meeting, side);
    edit(meeting, which, |packet| packet.destination.set_ip(NOWHERE));
}

/// Every punch of this end goes to one wrong port.
pub(crate) fn punches_to_port_1(meeting: &mut Meeting, side: Side) {
    let which = over(meeting, side);
    edit(meeting, which, |packet| packet.destination.set_port(1));
}

/// They leave from a NAT that is not the end's.
pub(crate) fn punches_from_elsewhere(meeting: &mut Meeting, side: Side) {
    let which = over(meeting, side);
    edit(meeting, which, |packet| packet.source.set_ip(NOWHERE));
}

/// They leave by another port than the bubble's.
pub(crate) fn punches_from_port_1(meeting: &mut Meeting, side: Side) {
    let which = over(meeting, side);
    edit(meeting, which, |packet| packet.source.set_port(1));
}

/// There is no NAT.
pub(crate) fn punches_untranslated(meeting: &mut Meeting, side: Side) {
    let which = over(meeting, side);
    edit(meeting, which, |packet| packet.inside = Some(packet.source));
}

/// None of them arrives.
pub(crate) fn punches_stopped(meeting: &mut Meeting, side: Side) {
    let which = over(meeting, side);
    edit(meeting, which, |packet| (packet.arrived, packet.refused) = (None, false));
}

macro_rules! changes {
    ($($(#[$doc:meta])* $name:ident: $way:ident, $which:expr, $change:expr;)*) => {
        $($(#[$doc])* pub(crate) fn $name(meeting: &mut Meeting, side: Side) {
            let which = $way(meeting, side, $which);
            $change(meeting, which);
        })*
    };
}

changes! {
    no_range_packets: up, is_range_packet, remove;
    range_packets_late: up, is_range_packet, defer;
    no_measurement: up, is_measurement, remove;
    measurement_late: up, is_measurement, defer;
    no_claimed_range: up, is_range, remove;
    claimed_range_early: up, is_range, hasten;
    claimed_range_late: up, is_range, defer;
    no_bursts: down, is_burst, remove;
    bursts_early: down, is_burst, hasten;
    bursts_late: down, is_burst, defer;
    no_reports: down, is_seen_range, remove;
    reports_early: down, is_seen_range, hasten;
    reports_late: down, is_seen_range, defer;
    no_measurement_reports: down, is_seen_measurement, remove;
    measurement_reports_early: down, is_seen_measurement, hasten;
    measurement_reports_late: down, is_seen_measurement, defer;
}

/// A range detection packet before the packet that is sought is missing.
pub(crate) fn no_range_packet_before(meeting: &mut Meeting, side: Side) {
    let name = meeting.name(side);
    remove(meeting, |packet| {
        packet.goes(name, SERVER)
            && crate::claims::punch::packets::is_moment(packet, genkan_core::punch::Moment::Before)
    });
}

/// The one after it is.
pub(crate) fn no_range_packet_after(meeting: &mut Meeting, side: Side) {
    let name = meeting.name(side);
    remove(meeting, |packet| {
        packet.goes(name, SERVER)
            && crate::claims::punch::packets::is_moment(packet, genkan_core::punch::Moment::After)
    });
}

/// The range detection packets and what is measured are under nobody's key.
pub(crate) fn detections_unopened(meeting: &mut Meeting, side: Side) {
    let name = meeting.name(side);
    edit(meeting, |packet| packet.goes(name, SERVER), |packet| packet.opened_by.clear());
}

/// What the server says is under nobody's key.
pub(crate) fn server_unopened(meeting: &mut Meeting, side: Side) {
    let name = meeting.name(side);
    edit(meeting, |packet| packet.goes(SERVER, name), |packet| packet.opened_by.clear());
}

/// The server saw the range detection packets far away.
pub(crate) fn range_packets_from_elsewhere(meeting: &mut Meeting, side: Side) {
    let which = up(meeting, side, is_range_packet);
    edit(meeting, which, |packet| {
        let port = packet.source.port();
        packet.source.set_port(port ^ 0x2000);
    });
}

/// The server saw the measurement elsewhere.
pub(crate) fn measurement_from_elsewhere(meeting: &mut Meeting, side: Side) {
    let which = up(meeting, side, is_measurement);
    let mut moved = 9_000_u16;
    edit(meeting, which, |packet| {
        moved = (moved % 4_001) * 13;
        packet.source.set_port(10_000 + moved);
    });
}

/// All range detection packets go to one address.
pub(crate) fn range_packets_to_one_address(meeting: &mut Meeting, side: Side) {
    let server = meeting.story.server;
    let which = up(meeting, side, is_range_packet);
    edit(meeting, which, |packet| packet.destination = server);
}

/// All range detection packets leave from one socket.
pub(crate) fn range_packets_from_one_socket(meeting: &mut Meeting, side: Side) {
    let which = up(meeting, side, |packet| matches!(packet.what, What::Detect(_)));
    let mut first = None;
    edit(meeting, which, |packet| packet.inside = *first.get_or_insert(packet.inside));
}

/// The bursts of an end say something else.
pub(crate) fn edit_bursts(
    meeting: &mut Meeting,
    side: Side,
    change: impl Fn(&mut genkan_core::wire::message::Punch),
) {
    let which = down(meeting, side, is_burst);
    edit(meeting, which, |packet| {
        if let What::Burst(punch) = &mut packet.what {
            change(punch);
        }
    });
}

/// The bursts of an end name port 1 alone.
pub(crate) fn bursts_name_port_1(meeting: &mut Meeting, side: Side) {
    edit_bursts(meeting, side, |punch| {
        punch.burst.ports = genkan_core::nat::Forecast::Port(1);
    });
}

/// The bursts of an end name another address.
pub(crate) fn bursts_name_nobody(meeting: &mut Meeting, side: Side) {
    edit_bursts(meeting, side, |punch| punch.peer = (NOWHERE, punch.peer.port()).into());
}

/// What an end was reported is not what the server saw.
pub(crate) fn reports_wrong(meeting: &mut Meeting, side: Side) {
    let which = down(meeting, side, |packet| matches!(packet.what, What::Seen(_)));
    edit(meeting, which, |packet| {
        if let What::Seen(seen) = &mut packet.what {
            for (_, address) in &mut seen.packets {
                *address = address.at_port(1);
            }
        }
    });
}

/// The range that an end has computed is another.
pub(crate) fn claimed_range_wrong(meeting: &mut Meeting, side: Side) {
    let which = up(meeting, side, is_range);
    edit(meeting, which, |packet| {
        if let What::Range(range) = &mut packet.what {
            (range.range.before, range.range.after) = (1, 2);
        }
    });
}

/// It names no differential.
pub(crate) fn claimed_range_without_differential(meeting: &mut Meeting, side: Side) {
    let which = up(meeting, side, is_range);
    edit(meeting, which, |packet| {
        if let What::Range(range) = &mut packet.what {
            range.range.differential = None;
        }
    });
}
