//! NAT-PMP, RFC 6886: mapping a UDP port, and the box's announcements.

use super::{Answer, Asked, Refused, Request, Timed};

const VERSION: u8 = 0;
/// Set in the opcode of an answer.
const ANSWER: u8 = 128;
const EXTERNAL_ADDRESS: u8 = 0;
const MAP_UDP: u8 = 1;

// Result codes, section 3.5.
const SUCCESS: u16 = 0;
const UNSUPPORTED_VERSION: u16 = 1;
const NOT_AUTHORIZED: u16 = 2;
const NETWORK_FAILURE: u16 = 3;
const OUT_OF_RESOURCES: u16 = 4;
const UNSUPPORTED_OPCODE: u16 = 5;

/// A request of 12 bytes. One that ends a lease names no external port (section 3.4).
pub(super) fn request(asked: &Asked) -> Option<Request> {
    let inside = asked.inside.port();
    let wanted = match asked.lifetime {
        0 => 0,
        _ => asked.had.map_or(inside, |(_, port)| port),
    };
    let mut request = Request::new();
    request.extend_from_slice(&[VERSION, MAP_UDP, 0, 0]).ok()?;
    request.extend_from_slice(&inside.to_be_bytes()).ok()?;
    request.extend_from_slice(&wanted.to_be_bytes()).ok()?;
    request.extend_from_slice(&asked.lifetime.to_be_bytes()).ok()?;
    Some(request)
}

/// An answer about this inside port, or an announcement.
pub(super) fn read(bytes: &[u8], inside: u16) -> Option<Timed> {
    let (head, body) = bytes.split_first_chunk::<8>()?;
    let [version, opcode, r0, r1, e0, e1, e2, e3] = *head;
    let (result, epoch) = (u16::from_be_bytes([r0, r1]), u32::from_be_bytes([e0, e1, e2, e3]));
    if version != VERSION || opcode & ANSWER == 0 {
        return None;
    }
    let refused = |why| Some((Answer::Refused(why), epoch));
    match (opcode & !ANSWER, result) {
        (EXTERNAL_ADDRESS, SUCCESS) => return Some((Answer::Announced, epoch)),
        // Where the version or the opcode is not known, nothing may follow the head.
        (MAP_UDP, UNSUPPORTED_VERSION | UNSUPPORTED_OPCODE) => {
            return refused(Refused::Unsupported);
        }
        (MAP_UDP, _) => {}
        _ => return None,
    }
    let [port0, port1, given0, given1, lifetime @ ..] = body else { return None };
    if u16::from_be_bytes([*port0, *port1]) != inside {
        return None;
    }
    match result {
        SUCCESS => {
            let seconds = u32::from_be_bytes(*lifetime.first_chunk()?);
            let port = u16::from_be_bytes([*given0, *given1]);
            Some((Answer::Granted { address: None, port, seconds }, epoch))
        }
        NOT_AUTHORIZED => refused(Refused::NotAuthorized),
        NETWORK_FAILURE | OUT_OF_RESOURCES => refused(Refused::NoResources),
        other => refused(Refused::Other(other)),
    }
}
