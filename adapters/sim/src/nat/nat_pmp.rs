//! NAT-PMP, RFC 6886.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::config::Leases;
use super::leases::{Asked, Denied};
use super::{Nat, Proto};

const EXTERNAL_ADDRESS: u8 = 0;
const MAP_UDP: u8 = 1;
const MAP_TCP: u8 = 2;
/// Set in the opcode of an answer.
const ANSWER: u8 = 128;

// Result codes, section 3.5.
const SUCCESS: u16 = 0;
const UNSUPPORTED_VERSION: u16 = 1;
const NOT_AUTHORIZED: u16 = 2;
const NETWORK_FAILURE: u16 = 3;
const OUT_OF_RESOURCES: u16 = 4;
const UNSUPPORTED_OPCODE: u16 = 5;

impl Nat {
    /// Answers a request whose first byte is 0. An answer, and what is cut short, gets none.
    pub(super) fn nat_pmp(
        &mut self,
        now: Duration,
        leases: Leases,
        from: SocketAddr,
        request: &[u8],
    ) -> Option<Vec<u8>> {
        let opcode = *request.get(1)?;
        let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        match opcode {
            ANSWER.. => None,
            EXTERNAL_ADDRESS => Some(self.nat_pmp_address(now, from)),
            MAP_UDP | MAP_TCP => {
                let body = request.get(4..12)?;
                let [a, b, c, d, lifetime @ ..] = body else { return None };
                let inner = u16::from_be_bytes([*a, *b]);
                let outer = u16::from_be_bytes([*c, *d]);
                let asked = Asked {
                    proto: if opcode == MAP_UDP { Proto::Udp } else { Proto::Tcp },
                    inside: SocketAddr::new(from.ip(), inner),
                    wanted: SocketAddr::new(address, outer),
                    strict: false,
                    lifetime: u32::from_be_bytes(lifetime.try_into().ok()?),
                    nonce: None,
                };
                Some(self.nat_pmp_map(now, leases, opcode, asked))
            }
            _ => Some(self.nat_pmp_head(now, opcode, UNSUPPORTED_OPCODE)),
        }
    }

    /// Version, opcode, result code, epoch.
    fn nat_pmp_head(&self, now: Duration, opcode: u8, result: u16) -> Vec<u8> {
        let mut answer = vec![0, opcode | ANSWER];
        answer.extend(result.to_be_bytes());
        answer.extend(self.epoch_seconds(now).to_be_bytes());
        answer
    }

    /// What a box that speaks only NAT-PMP says to a later version.
    pub(super) fn nat_pmp_wrong_version(&self, now: Duration, request: &[u8]) -> Option<Vec<u8>> {
        let opcode = *request.get(1)?;
        (opcode < ANSWER).then(|| self.nat_pmp_head(now, opcode, UNSUPPORTED_VERSION))
    }

    fn nat_pmp_address(&self, now: Duration, from: SocketAddr) -> Vec<u8> {
        let (result, address) = match self.home(from) {
            Some(IpAddr::V4(address)) => (SUCCESS, address),
            _ => (NETWORK_FAILURE, Ipv4Addr::UNSPECIFIED),
        };
        let mut answer = self.nat_pmp_head(now, EXTERNAL_ADDRESS, result);
        answer.extend(address.octets());
        answer
    }

    /// Gives a lease, or ends one (lifetime 0), or all of the host's (inside port 0 as well).
    fn nat_pmp_map(&mut self, now: Duration, leases: Leases, opcode: u8, asked: Asked) -> Vec<u8> {
        let Asked { proto, inside, wanted, lifetime, .. } = asked;
        let done = if lifetime > 0 && inside.port() > 0 {
            self.grant(now, leases, asked).map(|(external, lifetime)| (external.port(), lifetime))
        } else if lifetime > 0 {
            Err(Denied::NotAuthorized)
        } else if inside.port() > 0 {
            self.revoke(now, proto, inside, None).map(|()| (0, 0))
        } else {
            self.revoke_all(now, proto, inside, None);
            Ok((0, 0))
        };
        let (result, (outer, lifetime)) = match done {
            Ok(done) => (SUCCESS, done),
            Err(denied) => (code(denied), (wanted.port(), 0)),
        };
        let mut answer = self.nat_pmp_head(now, opcode, result);
        answer.extend(inside.port().to_be_bytes());
        answer.extend(outer.to_be_bytes());
        answer.extend(lifetime.to_be_bytes());
        answer
    }
}

const fn code(denied: Denied) -> u16 {
    match denied {
        Denied::NotAuthorized => NOT_AUTHORIZED,
        Denied::NoNetwork => NETWORK_FAILURE,
        Denied::NoResources | Denied::CannotProvide => OUT_OF_RESOURCES,
    }
}
