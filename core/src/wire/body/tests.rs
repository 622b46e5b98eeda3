//! Our bytes against postcard's, value by value and byte by byte.

use core::net::SocketAddr;
use std::vec::Vec as StdVec;

use serde::{Deserialize, Serialize};

use super::super::message as m;
use super::*;
use crate::nat::{Count, Forecast, PortRange};
use crate::punch::{Bracket, Burst, Hopeless};
use crate::wire::codec::{body_len, read_body, read_padded_body, write_body};
use crate::wire::message::{
    Accept, ConnectNotify, ConnectRequest, Fetch, Heard, Hello, MAX_CANDIDATES, MAX_SEEN, Measure,
    NotifyReply, Offer, PeerMessage, Plan, Punch, Range, Reason, Refused, Register, Registered,
    Role, Seen, ToEquipment, ToServer, Verdict, Wake, Welcome,
};

extern crate std;

const ROOM: usize = 512;

/// As the machines read: nothing may follow, and nothing may have been shorter.
fn by_postcard<'d, T: Serialize + Deserialize<'d>>(bytes: &'d [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).ok()?;
    let mut space = [0; ROOM];
    let shortest = postcard::to_slice(&value, &mut space).ok()?.len();
    (rest.is_empty() && shortest == bytes.len()).then_some(value)
}

/// Both write the same, and read the same from it, from all that is shorter, and from all that differs in
/// one byte.
fn alike<T>(value: &T)
where
    T: for<'d> Body<'d> + Serialize + for<'d> Deserialize<'d> + PartialEq + core::fmt::Debug,
{
    let (mut ours, mut theirs) = ([0; ROOM], [0; ROOM]);
    let len = write_body(value, &mut ours).unwrap();
    assert_eq!(&ours[..len], &*postcard::to_slice(value, &mut theirs).unwrap());
    assert_eq!(body_len(value), len);
    assert_eq!(read_body::<T>(&ours[..len]).as_ref(), Some(value));
    assert_eq!(read_padded_body::<T>(&ours).as_ref(), Some(value));
    assert!(write_body(value, &mut theirs[..len - 1]).is_none());
    for cut in 0..len {
        assert_eq!(read_body::<T>(&ours[..cut]), by_postcard(&ours[..cut]), "cut to {cut}");
    }
    let mut changed = ours;
    for place in 0..len {
        for byte in [0, 1, 2, 9, 0x40, 0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xff] {
            changed[place] = byte;
            // One byte more lets a varint that goes on find its end.
            for end in [len, len + 1] {
                let bytes = &changed[..end];
                assert_eq!(read_body::<T>(bytes), by_postcard(bytes), "{bytes:02x?}");
            }
        }
        changed[place] = ours[place];
    }
}

fn addresses() -> [SocketAddr; 4] {
    ["0.0.0.0:0", "203.0.113.7:65535", "[::]:127", "[2001:db8::7]:128"]
        .map(|text| text.parse().unwrap())
}

fn forecasts() -> StdVec<Forecast> {
    let differential = Differential::new(-64).unwrap();
    let (before, after) = (16_383, 16_384);
    let mut all = StdVec::from([
        Forecast::Port(65_535),
        Forecast::Run { first: 1, differential },
        Forecast::Around { before, after, differential },
        Forecast::Between { low: 0, high: 128 },
        Forecast::Among { low: 1_024, high: 40_000, margin: 300 },
    ]);
    for foreign in [
        Count::Poisson { mean: u32::MAX },
        Count::Poisson { mean: 0 },
        Count::Split { number: 300, part: 255, rest: 0 },
    ] {
        all.push(Forecast::Counter { last: 9, differential, nth: 1, foreign });
    }
    all
}

#[test]
fn what_the_server_says_has_postcards_bytes() {
    for observed in addresses() {
        alike(&Welcome { observed, time: u64::MAX, early_taken: true });
        alike(&Registered { observed, interval: 1_800, register_every: 255 });
        alike(&Measure { other_port: 3_479, other_address: Some(observed), now: false });
        alike(&Plan { request: u32::MAX, acceptor: observed, accepted: true });
        let packets = (0..MAX_SEEN).map(|which| (which as u8, observed)).collect();
        alike(&Seen { request: 1, round: 2, packets });
        for ports in forecasts() {
            for bracket in [Bracket::None, Bracket::FreshSockets] {
                let burst = Burst { hops: 3, ..Burst::from_registered(7, ports, 300) };
                alike(&Punch { request: 5, peer: observed, burst: Burst { bracket, ..burst } });
            }
        }
    }
    alike(&Measure { other_port: 0, other_address: None, now: true });
    alike(&Seen { request: 0, round: 0, packets: Vec::new() });
    alike(&Wake { request: 127 });
    alike(&Refused { request: 128, reason: Reason::Unreachable });
    alike(&m::Hopeless { request: 3, why: Hopeless::Sockets });
}

#[test]
fn what_equipment_says_has_postcards_bytes() {
    for local in addresses() {
        for early_key in [None, Some([7; 16])] {
            let id = EquipmentId([9; 32]);
            alike(&Register { id, local, capabilities: 0x1234_5678, early_key });
        }
        let candidates = (0..MAX_CANDIDATES).map(|_| local).collect();
        let (password, punch_key) = (Some([1; 32]), [2; 16]);
        let (counter, time) = (1 << 63, 1 << 35);
        let offer = Offer { index: 1, password, punch_key, counter, time, candidates };
        alike(&offer);
        alike(&m::WholeOffer { offer, renewal: true });
    }
    for verdict in [Verdict::Accepted, Verdict::Declined(Reason::BadOffer)] {
        alike(&NotifyReply { request: 1 << 28, verdict });
    }
    alike(&Fetch { request: 0 });
    alike(&Heard { request: 1 });
    for differential in [None, Some(Differential::ONE)] {
        let range = PortRange { before: 1, after: u16::MAX, differential, bubbles: 0 };
        alike(&Range { request: 1, round: 255, range });
    }
    for early_key in [None, Some([3; 16])] {
        alike(&Accept { early_key });
    }
    for message in
        [PeerMessage::Alive, PeerMessage::Probe, PeerMessage::Close, PeerMessage::EarlyKey([4; 16])]
    {
        alike(&message);
    }
}

/// The enums with requests in them borrow, so they are compared one by one.
#[test]
fn borrowed_bodies_have_postcards_bytes() {
    let offer = &[5; 288][..];
    let [address, ..] = addresses();
    let request = ConnectRequest {
        request: 1,
        target: EquipmentId([1; 32]),
        issuer: address,
        early_tag: Some([2; 16]),
        offer,
    };
    let up = [
        ToServer::Confirm,
        ToServer::Deregister,
        ToServer::Connect(request),
        ToServer::Can(u32::MAX),
        ToServer::Heard(Heard { request: 3 }),
        ToServer::Life(m::Life { port: 40_000, lifetime: 255 }),
        ToServer::Leased(40_001),
    ];
    let (mut ours, mut theirs) = ([0; ROOM], [0; ROOM]);
    for word in up {
        let len = write_body(&word, &mut ours).unwrap();
        assert_eq!(&ours[..len], &*postcard::to_slice(&word, &mut theirs).unwrap());
        assert_eq!(read_body::<ToServer<'_>>(&ours[..len]), Some(word));
    }
    let down = [
        ToEquipment::Notify(ConnectNotify { request: 1, issuer: address, paired: true, offer }),
        ToEquipment::Goodbye,
        ToEquipment::Wake(Wake { request: 300 }),
    ];
    for word in down {
        let len = write_body(&word, &mut ours).unwrap();
        assert_eq!(&ours[..len], &*postcard::to_slice(&word, &mut theirs).unwrap());
        assert_eq!(read_body::<ToEquipment<'_>>(&ours[..len]), Some(word));
    }
    for early in [None, Some(request)] {
        let hello = Hello { role: Role::Issuer, time: 1 << 32, early };
        let len = write_body(&hello, &mut ours).unwrap();
        assert_eq!(&ours[..len], &*postcard::to_slice(&hello, &mut theirs).unwrap());
        assert_eq!(read_body::<Hello<'_>>(&ours[..len]), Some(hello));
    }
    for number in 0..=255 {
        let bytes = [number, 0, 0, 0, 0, 0, 0];
        assert_eq!(read_body::<ToServer<'_>>(&bytes), by_postcard(&bytes), "{number}");
        assert_eq!(read_body::<ToEquipment<'_>>(&bytes), by_postcard(&bytes), "{number}");
    }
}
