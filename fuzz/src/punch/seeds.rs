//! A meeting by each method, with everything delivered and with something missing.

use super::{HEADER, RECORD};

/// A header with these mappings and allocations at both ends.
fn header(issuer: (u8, u8), acceptor: (u8, u8)) -> Vec<u8> {
    let mut header = vec![0; HEADER];
    for (at, (mapping, allocation)) in [(1, issuer), (25, acceptor)] {
        // Filters by address and port; consistent; ports between 5,000 and 5,255.
        let profile = [mapping | 0x40, allocation, 3, 0x88, 0x13, 0x87, 0x14, 9, 2, 0x40, 0x9c, 0];
        header[at..at + 12].copy_from_slice(&profile);
        header[at + 12..at + 14].copy_from_slice(&40_000_u16.to_be_bytes());
        // Ten seconds ago; 16 sockets, 256 guesses; 256 packets and 32 sockets of its own.
        header[at + 14..at + 21].copy_from_slice(&[10, 16, 1, 0, 1, 0, 32]);
    }
    header
}

/// One record: the act of whom, after how many milliseconds, about which port.
fn act(act: u8, who: u8, millis: u8, port: u16) -> [u8; RECORD] {
    let [high, low] = port.to_be_bytes();
    let [next, local] = (port.wrapping_add(2)).to_be_bytes();
    [act | who << 7, millis << 2 | 1, 0, 0, high, low, next, local, 0, 9, 1, 1]
}

/// Bursts are delivered, sockets opened, detection packets seen, twice over; then both hear.
fn meeting(without: Option<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for round in 0..2_u16 {
        for who in 0..2 {
            let port = 40_010 + 100 * round;
            let acts = [
                act(1, who, 25, 0),
                act(8, who, 0, 33_000),
                act(4, who, 25, port),
                act(4, who, 0, port + 4),
                act(4, who, 0, port + 6),
                act(1, who, 25, 0),
            ];
            bytes.extend(acts.iter().filter(|act| Some(act[0] & 15) != without).flatten());
        }
        bytes.extend((0..2).flat_map(|who| act(1, who, 25, 0)));
    }
    bytes.extend(act(10, 0, 30, 40_012));
    bytes.extend(act(10, 1, 30, 40_012));
    bytes.extend(act(11, 0, 20, 0));
    bytes
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    const KNOWN: (u8, u8) = (1, 125);
    const BY_PORT: (u8, u8) = (2, 125);
    const FIRST: (u8, u8) = (4, 126);
    const COUNTED: (u8, u8) = (4, 2);
    const BACKWARDS: (u8, u8) = (3, 0xff);
    const UNSURE: (u8, u8) = (4, 0);
    const DRAWN: (u8, u8) = (4, 127);
    let pairs = [
        (KNOWN, KNOWN),
        (BY_PORT, BY_PORT),
        (FIRST, KNOWN),
        (FIRST, FIRST),
        (KNOWN, COUNTED),
        (COUNTED, FIRST),
        (COUNTED, COUNTED),
        (BACKWARDS, COUNTED),
        (BACKWARDS, KNOWN),
        (UNSURE, KNOWN),
        (DRAWN, KNOWN),
        (DRAWN, DRAWN),
    ];
    let mut seeds = Vec::new();
    for (one, other) in pairs {
        // Nothing is missing; the opening of sockets is; detection packets are.
        for without in [None, Some(8), Some(4)] {
            seeds.push([header(one, other), meeting(without)].concat());
        }
    }
    // Lies: forged detections, claims, bursts of a hostile server, a peer that moves about.
    for kind in [3, 5, 6, 7, 9, 10, 12, 13, 14, 15] {
        let mut bytes = header(COUNTED, KNOWN);
        for n in 0..24_u8 {
            let mut lie = act(kind, n & 1, n % 40, 40_000 + 3 * u16::from(n));
            (lie[2], lie[3], lie[9], lie[11]) = (n / 8, n, 40, n);
            bytes.extend(act(1, n & 1, 5, 0));
            bytes.extend(lie);
        }
        seeds.push(bytes);
    }
    seeds
}
