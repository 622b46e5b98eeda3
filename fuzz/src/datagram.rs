//! Target `datagram`: every decoder of message bodies.
//!
//! The first byte says as what the others are read. What decodes is encoded again and must give the
//! same bytes: each value has one encoding, so that nothing can be changed without being noticed.

use core::fmt::Debug;

use genkan_core::StaticKey;
use genkan_core::inspect::{self, LoggedRoot};
use genkan_core::wire::message::{
    Accept, ConnectRequest, Hello, NotifyReply, Offer, PeerMessage, Register, Role, ToEquipment,
    ToServer, Welcome,
};
use genkan_core::wire::{Body, Kind, MAX_BODY, OFFER_BODY, VERSION};
use genkan_core::{Discard, Endpoint, EquipmentId};
use genkan_tests::evil::{body, plain_offer, sa, seal};
use serde::{Deserialize, Serialize};

/// What every transport message is sealed under here.
const ROOT: [u8; 32] = [5; 32];
/// Room for the longest body.
const ROOM: usize = 1_400;

/// Runs one input.
pub fn datagram(data: &[u8]) {
    let Some((&what, bytes)) = data.split_first() else { return };
    kind(bytes);
    match what % 8 {
        0 => exact::<ToServer<'_>>(bytes),
        1 => exact::<ToEquipment<'_>>(bytes),
        2 => exact::<PeerMessage>(bytes),
        3 => padded::<Hello<'_>>(bytes),
        4 => padded::<Welcome>(bytes),
        5 => padded::<Offer>(bytes),
        6 => padded::<Accept>(bytes),
        _ => opened(bytes),
    }
}

/// The first byte is the kind and nothing else is; what it says stands in its bits.
fn kind(bytes: &[u8]) {
    match (Kind::of(bytes), bytes.first()) {
        (Ok(kind), Some(&first)) => {
            assert_eq!(kind as u8, first);
            assert_eq!((first >> 6, first & 0x20 != 0), (VERSION, kind.is_downward()));
        }
        (Err(reason), None) => assert_eq!(reason, Discard::Malformed),
        (Err(reason), Some(first)) => {
            assert_eq!(reason, Discard::UnknownKind);
            assert!(!Kind::ALL.iter().any(|kind| *kind as u8 == *first));
        }
        (Ok(kind), None) => unreachable!("nothing is a {kind:?}"),
    }
}

fn encoded<'d, T: Body<'d> + Serialize>(value: &T) -> Vec<u8> {
    let mut out = [0; ROOM];
    let len = inspect::write_body(value, &mut out).expect("what was decoded can be encoded");
    // It says so when there is one byte too little room, and needs no byte more.
    assert_eq!(inspect::write_body(value, &mut out[..len - 1]), None);
    assert_eq!(inspect::write_body(value, &mut out[..len]), Some(len));
    let mut theirs = [0; ROOM];
    let theirs = postcard::to_slice(value, &mut theirs).expect("it fits");
    assert_eq!(out[..len], *theirs, "not postcard's bytes");
    out[..len].to_vec()
}

fn exact<'d, T: Body<'d> + Deserialize<'d> + Serialize + PartialEq + Debug>(bytes: &'d [u8]) {
    let value = inspect::body::<T>(bytes);
    let theirs = postcard::from_bytes::<T>(bytes).ok();
    // Ours refuses what could have been shorter; postcard does not.
    assert!(value.is_none() || value == theirs, "{value:?} here, {theirs:?} by postcard");
    let Some(value) = value else { return };
    assert_eq!(encoded(&value), bytes, "two encodings of {value:?}");
    let padded: Option<T> = inspect::padded_body(bytes);
    assert_eq!(padded.as_ref(), Some(&value));
}

fn padded<'d, T: Body<'d> + Serialize + PartialEq + Debug>(bytes: &'d [u8]) {
    let Some(value) = inspect::padded_body::<T>(bytes) else { return };
    let again = encoded(&value);
    assert_eq!(bytes.get(..again.len()), Some(&again[..]), "two encodings of {value:?}");
    assert!(bytes[again.len()..].iter().all(|byte| *byte == 0), "more than {value:?}");
}

/// The bytes as a body that was sealed, and the sealed message changed; and as messages of others.
fn opened(bytes: &[u8]) {
    let root = LoggedRoot(ROOT);
    let keys = [b"transport up  ", b"transport down"];
    let kinds = [Kind::Transport, Kind::ServerTransport, Kind::IssuerTransport];
    for kind in kinds.into_iter().chain([Kind::AcceptorTransport]) {
        let key = genkan_tests::evil::hmac(&ROOT, &[keys[usize::from(kind.is_downward())]]);
        let text = &bytes[..bytes.len().min(MAX_BODY)];
        let mut message = seal(&key, kind, 1, 2, text);
        let opened = inspect::open(&root, &mut message.clone()).is_some();
        let decodes = match kind {
            Kind::Transport => inspect::body::<ToServer<'_>>(text).is_some(),
            Kind::ServerTransport => inspect::body::<ToEquipment<'_>>(text).is_some(),
            _ => match text.split_first() {
                Some((0, control)) => inspect::body::<PeerMessage>(control).is_some(),
                channel => channel.is_some(),
            },
        };
        assert_eq!(opened, decodes, "{kind:?}");
        let at = usize::from(bytes.first().copied().unwrap_or(0)) % message.len();
        message[at] ^= 1;
        assert!(inspect::open(&root, &mut message).is_none(), "{kind:?} with byte {at} changed");
    }
    let key = StaticKey::from_secret([2; 32]);
    assert!(inspect::open(&LoggedRoot([0; 32]), &mut bytes.to_vec()).is_none());
    assert!(inspect::open_offer(&key, bytes).is_none());
    assert!(inspect::open_initiation(&key, bytes, &mut [0; 1_024]).is_none());
}

/// One good message of each shape.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    use genkan_core::wire::message as m;

    let id = EquipmentId([3; 32]);
    let at = |text| Endpoint::from(sa(text));
    let (v4, v6) = (at("198.51.100.7:4600"), at("[2001:db8::7]:4600"));
    let offer = [6; genkan_core::wire::OFFER_LEN];
    let connect =
        ConnectRequest { request: 900, target: id, issuer: v6, early_tag: None, offer: &offer };
    let early = ConnectRequest { early_tag: Some([4; 16]), issuer: v4, ..connect };
    let register = Register { id, local: v4, capabilities: 7, early_key: Some([8; 16]) };
    let declined = m::Verdict::Declined(m::Reason::WrongPassword);
    let up = [
        ToServer::Confirm,
        ToServer::Register(register),
        ToServer::Register(Register { local: v6, early_key: None, ..register }),
        ToServer::Deregister,
        ToServer::Connect(connect),
        ToServer::Connect(early),
        ToServer::Reply(NotifyReply { request: 70_000, verdict: m::Verdict::Accepted }),
        ToServer::Reply(NotifyReply { request: 1, verdict: declined }),
        ToServer::Fetch(m::Fetch { request: u32::MAX }),
    ];
    let down = [
        ToEquipment::Registered(m::Registered { observed: v4, interval: 300, register_every: 8 }),
        ToEquipment::Notify(m::ConnectNotify {
            request: 5,
            issuer: v4,
            paired: true,
            offer: &offer,
        }),
        ToEquipment::Wake(m::Wake { request: 5 }),
        ToEquipment::Plan(m::Plan { request: 9, acceptor: v6, accepted: true }),
        ToEquipment::Refused(m::Refused { request: 9, reason: m::Reason::Unspecified }),
        ToEquipment::Goodbye,
    ];
    let peer = [
        PeerMessage::Alive,
        PeerMessage::Probe,
        PeerMessage::Close,
        PeerMessage::EarlyKey([1; 16]),
    ];
    let mut full = plain_offer(Some([6; 32]));
    full.candidates.extend([v4, v6, v4]);
    let hello = |early| Hello { role: Role::Issuer, time: 1_800_000_000, early };
    let mut bodies: Vec<(u8, Vec<u8>)> = Vec::new();
    bodies.extend(up.iter().map(|message| (0, body(message, 0))));
    bodies.extend(down.iter().map(|message| (1, body(message, 0))));
    bodies.extend(peer.iter().map(|message| (2, body(message, 0))));
    bodies.extend([None, Some(early)].map(|early| (3, body(&hello(early), 32))));
    bodies.push((4, body(&Welcome { observed: v6, time: 1, early_taken: true }, 40)));
    bodies.extend([plain_offer(None), full].map(|offer| (5, body(&offer, OFFER_BODY))));
    bodies.extend([None, Some([2; 16])].map(|early_key| (6, body(&Accept { early_key }, 32))));
    let sealed = bodies.clone().into_iter().map(|(what, bytes)| match what {
        2 => [&[7, 0][..], &bytes].concat(),
        _ => [&[7][..], &bytes].concat(),
    });
    let plain = bodies.iter().map(|(what, bytes)| [&[*what][..], bytes].concat());
    plain.chain(sealed).collect()
}
