//! PCP, RFC 6887: the opcode MAP for UDP, and the box's announcements.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Answer, Asked, Refused, Request, Timed};

const VERSION: u8 = 2;
/// Set in the opcode of an answer.
const ANSWER: u8 = 128;
const ANNOUNCE: u8 = 0;
const MAP: u8 = 1;
const UDP: u8 = 17;
const LONGEST_MESSAGE: usize = 1_100;

// Result codes, section 7.4.
const SUCCESS: u8 = 0;
const UNSUPP_VERSION: u8 = 1;
const NOT_AUTHORIZED: u8 = 2;
const UNSUPP_OPCODE: u8 = 4;
const NETWORK_FAILURE: u8 = 7;
const NO_RESOURCES: u8 = 8;
const UNSUPP_PROTOCOL: u8 = 9;
const USER_EX_QUOTA: u8 = 10;
const ADDRESS_MISMATCH: u8 = 12;

/// A request of 60 bytes.
pub(super) fn request(asked: &Asked) -> Option<Request> {
    let (had, port) = match asked.had {
        Some((address, port)) => (address, port),
        None => (None, asked.inside.port()),
    };
    let any = match asked.inside {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut request = Request::new();
    let parts: [&[u8]; 8] = [
        &[VERSION, MAP, 0, 0],
        &asked.lifetime.to_be_bytes(),
        &octets(asked.inside.ip()),
        &asked.nonce,
        &[UDP, 0, 0, 0],
        &asked.inside.port().to_be_bytes(),
        &port.to_be_bytes(),
        &octets(had.unwrap_or(any)),
    ];
    for part in parts {
        request.extend_from_slice(part).ok()?;
    }
    Some(request)
}

/// An answer to the request with this nonce for this port, or an announcement; an answer of a box that
/// speaks only NAT-PMP has another form (RFC 6886 section 3.5).
pub(super) fn read(bytes: &[u8], inside: SocketAddr, nonce: &[u8; 12]) -> Option<Timed> {
    if let [0, opcode, 0, 1, epoch @ ..] = bytes {
        let epoch = u32::from_be_bytes(*epoch.first_chunk()?);
        return (opcode & ANSWER != 0).then_some((Answer::OlderVersion, epoch));
    }
    if bytes.len() > LONGEST_MESSAGE || bytes.len() & 3 != 0 {
        return None;
    }
    let (head, body) = bytes.split_first_chunk::<24>()?;
    let [version, opcode, _, result, l0, l1, l2, l3, e0, e1, e2, e3, ..] = *head;
    let epoch = u32::from_be_bytes([e0, e1, e2, e3]);
    if opcode & ANSWER == 0 || (version != VERSION && result != UNSUPP_VERSION) {
        return None;
    }
    let refused = |why| Some((Answer::Refused(why), epoch));
    match (opcode & !ANSWER, result) {
        (ANNOUNCE, SUCCESS) => return Some((Answer::Announced, epoch)),
        (MAP, UNSUPP_VERSION) => return refused(Refused::Unsupported),
        (MAP, _) => {}
        _ => return None,
    }
    let (of, body) = body.split_first_chunk::<12>()?;
    let [UDP, _, _, _, port0, port1, given0, given1, address @ ..] = body else { return None };
    if of != nonce || u16::from_be_bytes([*port0, *port1]) != inside.port() {
        return None;
    }
    match result {
        SUCCESS => {
            let address = IpAddr::from(*address.first_chunk::<16>()?).to_canonical();
            let address = Some(address).filter(|address| !address.is_unspecified());
            let port = u16::from_be_bytes([*given0, *given1]);
            let seconds = u32::from_be_bytes([l0, l1, l2, l3]);
            Some((Answer::Granted { address, port, seconds }, epoch))
        }
        NOT_AUTHORIZED => refused(Refused::NotAuthorized),
        NETWORK_FAILURE | NO_RESOURCES | USER_EX_QUOTA => refused(Refused::NoResources),
        UNSUPP_OPCODE | UNSUPP_PROTOCOL => refused(Refused::Unsupported),
        ADDRESS_MISMATCH => refused(Refused::Between),
        other => refused(Refused::Other(other.into())),
    }
}

/// An IPv4 address is written as an IPv4-mapped one (section 5).
const fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
