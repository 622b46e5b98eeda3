//! I-7, I-12: what can be seen on the wire, and where it goes.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;

use super::roster::{Role, Roster};
use super::{Broken, Verdict};
use crate::net::HostId;
use crate::packet::{Packet, Via};
use crate::rng::Rng;
use crate::swarm::build::{EARLY_KEY, PASSWORD};

/// How every payload of a world run begins.
pub(in crate::swarm) const PAYLOAD: &[u8] = b"in clear: payload ";

/// How many datagrams an eavesdropper remembers, and for how long.
const REMEMBERED: usize = 48;
pub(super) const OLD: Duration = Duration::from_secs(1_200);

/// A datagram with its source and destination.
pub(in crate::swarm) type Captured = (Vec<u8>, SocketAddr, SocketAddr);

#[derive(Debug, Default)]
pub(in crate::swarm) struct Wire {
    seen: VecDeque<(Duration, Captured)>,
}

impl Wire {
    pub(super) fn sent(&mut self, roster: &Roster, host: HostId, packet: &Packet) -> Verdict {
        let role = roster.role(host);
        if let Some(Role::Acceptor | Role::Issuer) = role
            && let Via::Udp | Via::Syn(_) = packet.via
            && !roster.ends.contains(&packet.destination)
            && !is_public(packet.destination)
        {
            let what = format!("an {role:?} sends to {}", packet.destination);
            return Err(Broken::new("I-12", what));
        }
        while self.seen.front().is_some_and(|&(at, _)| at + OLD < packet.at) {
            self.seen.pop_front();
        }
        if packet.via == Via::Udp {
            let full = self.seen.len() >= REMEMBERED;
            let oldest = if full { self.seen.pop_front() } else { None };
            let mut bytes = oldest.map_or_else(Vec::new, |(_, (bytes, ..))| bytes);
            bytes.clear();
            bytes.extend_from_slice(&packet.bytes);
            self.seen.push_back((packet.at, (bytes, packet.source, packet.destination)));
        }
        secret(&packet.bytes)
    }

    /// A datagram that was seen lately.
    pub(in crate::swarm) fn seen(&self, rng: &mut Rng) -> Option<Captured> {
        self.seen.get(rng.index(self.seen.len())).map(|(_, captured)| captured.clone())
    }
}

/// I-7: secrets that stand there in clear.
pub(super) fn secret(bytes: &[u8]) -> Verdict {
    let secrets: [(&[u8], &str); 3] = [
        (&PASSWORD[..12], "the password information"),
        (&EARLY_KEY[..12], "the early key"),
        (&PAYLOAD[..12], "a payload"),
    ];
    for (secret, name) in secrets {
        let first = secret[0];
        let mut places = bytes.iter().enumerate().filter(|&(_, &byte)| byte == first);
        if places.any(|(at, _)| bytes[at..].starts_with(secret)) {
            return Err(Broken::new("I-7", format!("{name} stands on the wire in clear")));
        }
    }
    Ok(())
}

/// Whether an appliance may be sent there: written from the registries of special addresses, not
/// from the core's own classifier.
fn is_public(address: SocketAddr) -> bool {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            let special = first == 0x2001 && second < 0x200 || first == 0x2002;
            return first & 0xe000 == 0x2000 && !special && address.port() >= 1_024;
        }
    };
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let special =
        (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99) || (a, b & 0xfe) == (198, 18);
    let denied = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || shared
        || special
        || a == 0
        || a >= 224;
    !denied && address.port() >= 1_024
}
