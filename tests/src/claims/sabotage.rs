//! What the negative twins do to what travels: one element lost, forged or tampered with.
//!
//! Nothing here can decrypt. A packet is known by its kind, its ends, how it travels, and for the
//! server's datagrams to the acceptor by their length; the twins see in the decrypted story that it
//! was the right one.

use genkan_core::wire::{Kind, OFFER_LEN};
use genkan_sim::{HostId, Packet, Verdict, Via};

use super::scenario::Cast;

/// A wake-up is shorter than any other message of the server in a session.
const LONGEST_WAKE: usize = 36;

fn goes(packet: &Packet, from: HostId, to: HostId) -> bool {
    packet.from == Some(from) && packet.to == Some(to)
}

fn is(packet: &Packet, kind: Kind) -> bool {
    packet.kind() == Some(kind)
}

const fn in_stream(packet: &Packet) -> bool {
    matches!(packet.via, Via::Tcp(_))
}

const fn drop_if(lost: bool) -> Verdict {
    if lost { Verdict::Drop } else { Verdict::Pass }
}

fn tamper_if(tampered: bool, packet: &mut Packet) -> Verdict {
    let middle = packet.bytes.len() / 2;
    if let Some(byte) = packet.bytes.get_mut(middle).filter(|_| tampered) {
        *byte ^= 0x10;
    }
    Verdict::Pass
}

/// The acceptor's registrations are lost.
pub fn lose_registrations(cast: &Cast, packet: &mut Packet) -> Verdict {
    let ours = goes(packet, cast.acceptor, cast.server) && packet.via == Via::Udp;
    drop_if(ours && is(packet, Kind::Transport))
}

/// The first TCP connection start signal is lost.
pub fn lose_first_syn(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(goes(packet, cast.issuer, cast.server) && matches!(packet.via, Via::Syn(_)))
}

fn is_first_request(cast: &Cast, packet: &Packet) -> bool {
    goes(packet, cast.issuer, cast.server) && in_stream(packet) && is(packet, Kind::Transport)
}

/// The first connection request is lost.
pub fn lose_first_request(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(is_first_request(cast, packet))
}

/// The first connection request is tampered with.
pub fn tamper_first_request(cast: &Cast, packet: &mut Packet) -> Verdict {
    tamper_if(is_first_request(cast, packet), packet)
}

fn is_second_request(cast: &Cast, packet: &Packet) -> bool {
    let ours = goes(packet, cast.server, cast.acceptor) && is(packet, Kind::ServerTransport);
    ours && packet.message().len() > OFFER_LEN
}

/// The second connection request is lost.
pub fn lose_second_request(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(is_second_request(cast, packet))
}

/// The second connection request is tampered with.
pub fn tamper_second_request(cast: &Cast, packet: &mut Packet) -> Verdict {
    tamper_if(is_second_request(cast, packet), packet)
}

/// The third connection request is lost.
pub fn lose_third_request(cast: &Cast, packet: &mut Packet) -> Verdict {
    let ours = goes(packet, cast.server, cast.acceptor) && packet.via == Via::Udp;
    let short = packet.message().len() <= LONGEST_WAKE;
    drop_if(ours && short && is(packet, Kind::ServerTransport))
}

/// The second TCP connection start signal is lost.
pub fn lose_second_syn(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(goes(packet, cast.acceptor, cast.server) && matches!(packet.via, Via::Syn(_)))
}

/// What the acceptor says on the second TCP connection under its keys is lost.
pub fn lose_fetch(cast: &Cast, packet: &mut Packet) -> Verdict {
    let ours = goes(packet, cast.acceptor, cast.server) && in_stream(packet);
    drop_if(ours && is(packet, Kind::Transport))
}

/// The acceptor's connection to the issuer does not come about.
pub fn lose_call_back(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(goes(packet, cast.acceptor, cast.issuer) && matches!(packet.via, Via::Syn(_)))
}

/// The communication request is lost.
pub fn lose_communication_request(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(goes(packet, cast.acceptor, cast.issuer) && is(packet, Kind::Answer))
}

/// What the issuer says to the acceptor is lost.
pub fn lose_acceptance(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(goes(packet, cast.issuer, cast.acceptor) && is(packet, Kind::IssuerTransport))
}

fn on_first(cast: &Cast, packet: &Packet, kind: Kind) -> bool {
    let ends = [packet.from, packet.to];
    in_stream(packet)
        && is(packet, kind)
        && ends.contains(&Some(cast.issuer))
        && ends.contains(&Some(cast.server))
}

fn on_second(cast: &Cast, packet: &Packet, kind: Kind) -> bool {
    let ends = [packet.from, packet.to];
    in_stream(packet)
        && is(packet, kind)
        && ends.contains(&Some(cast.acceptor))
        && ends.contains(&Some(cast.server))
}

fn forge_if(forged: bool, cast: &Cast, packet: &mut Packet) -> Verdict {
    let genuine = packet.bytes.len().checked_sub(cast.forged.len());
    if let Some(place) = genuine.filter(|_| forged).and_then(|at| packet.bytes.get_mut(at..)) {
        place.copy_from_slice(&cast.forged);
    }
    Verdict::Pass
}

/// The certificate on the first TCP connection is another authority's.
pub fn forge_first(cast: &Cast, packet: &mut Packet) -> Verdict {
    forge_if(on_first(cast, packet, Kind::Certificate), cast, packet)
}

/// The certificate on the second TCP connection is another authority's.
pub fn forge_second(cast: &Cast, packet: &mut Packet) -> Verdict {
    forge_if(on_second(cast, packet, Kind::Certificate), cast, packet)
}

/// The certificate on the first TCP connection is lost.
pub fn lose_first_certificate(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(on_first(cast, packet, Kind::Certificate))
}

/// The certificate on the second TCP connection is lost.
pub fn lose_second_certificate(cast: &Cast, packet: &mut Packet) -> Verdict {
    drop_if(on_second(cast, packet, Kind::Certificate))
}

/// First key generation information is tampered with.
pub fn tamper_first_info(cast: &Cast, packet: &mut Packet) -> Verdict {
    tamper_if(on_first(cast, packet, Kind::Initiation), packet)
}

/// Second key generation information is tampered with.
pub fn tamper_second_info(cast: &Cast, packet: &mut Packet) -> Verdict {
    tamper_if(on_first(cast, packet, Kind::Response), packet)
}

/// Third key generation information is tampered with.
pub fn tamper_third_info(cast: &Cast, packet: &mut Packet) -> Verdict {
    tamper_if(on_second(cast, packet, Kind::Initiation), packet)
}

/// Fourth key generation information is tampered with.
pub fn tamper_fourth_info(cast: &Cast, packet: &mut Packet) -> Verdict {
    tamper_if(on_second(cast, packet, Kind::Response), packet)
}
