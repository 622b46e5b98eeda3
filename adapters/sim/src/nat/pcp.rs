//! PCP, RFC 6887: the opcodes MAP and ANNOUNCE, and the option PREFER_FAILURE.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::config::Leases;
use super::leases::{Asked, Denied};
use super::{Nat, Proto};

const VERSION: u8 = 2;
/// Set in the opcode of an answer.
const ANSWER: u8 = 128;
const ANNOUNCE: u8 = 0;
const MAP: u8 = 1;
/// The shortest lifetime that is granted (section 15 recommends it).
const SHORTEST: u32 = 120;
const HEAD: usize = 24;
const MAP_END: usize = 60;
const LONGEST_MESSAGE: usize = 1_100;

// Result codes, section 7.4.
const SUCCESS: u8 = 0;
const UNSUPP_VERSION: u8 = 1;
const NOT_AUTHORIZED: u8 = 2;
const MALFORMED_REQUEST: u8 = 3;
const UNSUPP_OPCODE: u8 = 4;
const UNSUPP_OPTION: u8 = 5;
const MALFORMED_OPTION: u8 = 6;
const NETWORK_FAILURE: u8 = 7;
const NO_RESOURCES: u8 = 8;
const UNSUPP_PROTOCOL: u8 = 9;
const CANNOT_PROVIDE_EXTERNAL: u8 = 11;
const ADDRESS_MISMATCH: u8 = 12;

/// The fields of a MAP request.
struct Map {
    nonce: [u8; 12],
    proto: u8,
    inner: u16,
    wanted: SocketAddr,
    lifetime: u32,
}

impl Nat {
    /// Answers a request whose first byte is 2. An answer gets none.
    pub(super) fn pcp(
        &mut self,
        now: Duration,
        leases: Leases,
        from: SocketAddr,
        request: &[u8],
    ) -> Option<Vec<u8>> {
        if *request.get(1)? & ANSWER != 0 {
            return None;
        }
        Some(match self.pcp_serve(now, leases, from, request) {
            Ok(answer) => answer,
            Err(result) => self.pcp_error(now, request, result),
        })
    }

    /// What a box that speaks PCP says to a version that it does not.
    pub(super) fn pcp_wrong_version(&self, now: Duration, request: &[u8]) -> Option<Vec<u8>> {
        let opcode = *request.get(1)?;
        (opcode & ANSWER == 0)
            .then(|| self.pcp_head(now, opcode, UNSUPP_VERSION, error_lifetime(UNSUPP_VERSION)))
    }

    /// The head of an answer; `lifetime` in seconds.
    fn pcp_head(&self, now: Duration, opcode: u8, result: u8, lifetime: u32) -> Vec<u8> {
        let mut answer = vec![VERSION, opcode | ANSWER, 0, result];
        answer.extend(lifetime.to_be_bytes());
        answer.extend(self.epoch_seconds(now).to_be_bytes());
        answer.resize(HEAD, 0);
        answer
    }

    /// An error, with what was asked as far as it was read (section 8.3).
    fn pcp_error(&self, now: Duration, request: &[u8], result: u8) -> Vec<u8> {
        let opcode = request.get(1).copied().unwrap_or(0);
        let mut answer = self.pcp_head(now, opcode, result, error_lifetime(result));
        let end = request.len().min(LONGEST_MESSAGE);
        answer.extend(request.get(HEAD..end).unwrap_or_default());
        answer.resize(answer.len().next_multiple_of(4), 0);
        answer
    }

    fn pcp_serve(
        &mut self,
        now: Duration,
        leases: Leases,
        from: SocketAddr,
        request: &[u8],
    ) -> Result<Vec<u8>, u8> {
        let opcode = request.get(1).copied().unwrap_or(0);
        if !matches!(opcode, ANNOUNCE | MAP) {
            return Err(UNSUPP_OPCODE);
        }
        let bad = !request.len().is_multiple_of(4) || request.len() > LONGEST_MESSAGE;
        let client = address(request, 8).filter(|_| !bad).ok_or(MALFORMED_REQUEST)?;
        if client != from.ip().to_canonical() {
            return Err(ADDRESS_MISMATCH);
        }
        if opcode == ANNOUNCE {
            return Ok(self.pcp_head(now, opcode, SUCCESS, 0));
        }
        let map = Map::read(request).ok_or(MALFORMED_REQUEST)?;
        let strict = options(request.get(MAP_END..).unwrap_or_default())?;
        let (external, lifetime) = self.pcp_map(now, leases, from, &map, strict)?;
        let mut answer = self.pcp_head(now, opcode, SUCCESS, lifetime);
        answer.extend(request.get(HEAD..42).unwrap_or_default());
        answer.extend(external.port().to_be_bytes());
        answer.extend(octets(external.ip()));
        if strict {
            answer.extend([PREFER_FAILURE, 0, 0, 0]);
        }
        Ok(answer)
    }

    /// The external address and port, and the lifetime: 0 when the lease has ended.
    fn pcp_map(
        &mut self,
        now: Duration,
        leases: Leases,
        from: SocketAddr,
        map: &Map,
        strict: bool,
    ) -> Result<(SocketAddr, u32), u8> {
        let &Map { nonce, inner, wanted, lifetime, .. } = map;
        let nonce = Some(nonce);
        let protos: &[Proto] = match map.proto {
            0 if inner != 0 => return Err(MALFORMED_REQUEST),
            0 if lifetime == 0 => &[Proto::Udp, Proto::Tcp],
            6 => &[Proto::Tcp],
            17 => &[Proto::Udp],
            _ => return Err(UNSUPP_PROTOCOL),
        };
        if inner == 0 {
            if lifetime > 0 {
                return Err(NOT_AUTHORIZED);
            }
            for &proto in protos {
                self.revoke_all(now, proto, from, nonce);
            }
            return Ok((wanted, 0));
        }
        let inside = SocketAddr::new(from.ip(), inner);
        let [proto, ..] = *protos else { return Err(UNSUPP_PROTOCOL) };
        if lifetime == 0 {
            self.revoke(now, proto, inside, nonce).map_err(code)?;
            return Ok((wanted, 0));
        }
        let lifetime = lifetime.max(SHORTEST);
        let asked = Asked { proto, inside, wanted, strict, lifetime, nonce };
        self.grant(now, leases, asked).map_err(code)
    }
}

impl Map {
    fn read(request: &[u8]) -> Option<Self> {
        let short = |at: usize| Some(u16::from_be_bytes(request.get(at..at + 2)?.try_into().ok()?));
        Some(Self {
            lifetime: u32::from_be_bytes(request.get(4..8)?.try_into().ok()?),
            nonce: request.get(24..36)?.try_into().ok()?,
            proto: *request.get(36)?,
            inner: short(40)?,
            wanted: SocketAddr::new(address(request, 44)?, short(42)?),
        })
    }
}

const PREFER_FAILURE: u8 = 2;

/// Whether PREFER_FAILURE is among the options. Those with a code from 128 on may be ignored.
fn options(mut rest: &[u8]) -> Result<bool, u8> {
    let mut strict = false;
    while let [code, _, high, low, data @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        match *code {
            PREFER_FAILURE if len != 0 || strict => return Err(MALFORMED_OPTION),
            PREFER_FAILURE => strict = true,
            128.. => {}
            _ => return Err(UNSUPP_OPTION),
        }
        rest = data.get(len.next_multiple_of(4)..).ok_or(MALFORMED_OPTION)?;
    }
    Ok(strict)
}

fn address(request: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 16] = request.get(at..at + 16)?.try_into().ok()?;
    Some(IpAddr::from(octets).to_canonical())
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// How long a client may take an error for lasting, in seconds (section 7.4: long and short).
const fn error_lifetime(result: u8) -> u32 {
    match result {
        NETWORK_FAILURE | NO_RESOURCES | CANNOT_PROVIDE_EXTERNAL => 30,
        _ => 1_800,
    }
}

const fn code(denied: Denied) -> u8 {
    match denied {
        Denied::NotAuthorized => NOT_AUTHORIZED,
        Denied::NoNetwork => NETWORK_FAILURE,
        Denied::NoResources => NO_RESOURCES,
        Denied::CannotProvide => CANNOT_PROVIDE_EXTERNAL,
    }
}
