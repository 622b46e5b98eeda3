//! Target `addresses`: which addresses an appliance may dial, against a slow and plain classifier.
//!
//! ```text
//! offset  len  field
//!      0    1  bits: policy (loopback, private, low ports), 3 = IPv6, 4.. = a prefix to begin with
//!      1    2  port
//!      3   16  address; of an IPv4 one the first four bytes count
//! ```

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use genkan_core::{AddressClass, AddressPolicy, canonical};

use crate::record::Record;

/// Blocks of the IANA special-purpose registries, with the class that their RFC gives them. The first
/// match counts.
const V4: [(&str, u8, AddressClass); 16] = [
    ("127.0.0.0", 8, AddressClass::Loopback), // RFC 1122, section 3.2.1.3
    ("169.254.0.0", 16, AddressClass::LinkLocal), // RFC 3927
    ("10.0.0.0", 8, AddressClass::Private),   // RFC 1918
    ("172.16.0.0", 12, AddressClass::Private), // RFC 1918
    ("192.168.0.0", 16, AddressClass::Private), // RFC 1918
    ("100.64.0.0", 10, AddressClass::Private), // RFC 6598
    ("0.0.0.0", 8, AddressClass::Never),      // RFC 791
    ("192.0.0.0", 24, AddressClass::Never),   // RFC 6890
    ("192.88.99.0", 24, AddressClass::Never), // RFC 7526
    ("198.18.0.0", 15, AddressClass::Never),  // RFC 2544
    ("224.0.0.0", 4, AddressClass::Never),    // RFC 5771
    ("240.0.0.0", 4, AddressClass::Never),    // RFC 1112, broadcast in it
    ("192.0.2.0", 24, AddressClass::Public),  // RFC 5737, for laboratories
    ("198.51.100.0", 24, AddressClass::Public), // RFC 5737
    ("203.0.113.0", 24, AddressClass::Public), // RFC 5737
    ("0.0.0.0", 0, AddressClass::Public),
];

const V6: [(&str, u8, AddressClass); 7] = [
    ("::1", 128, AddressClass::Loopback),    // RFC 4291
    ("fe80::", 10, AddressClass::LinkLocal), // RFC 4291
    ("fc00::", 7, AddressClass::Private),    // RFC 4193
    ("2001::", 23, AddressClass::Never),     // RFC 2928, Teredo in it
    ("2002::", 16, AddressClass::Never),     // RFC 3056
    ("2000::", 3, AddressClass::Public),     // RFC 4291
    ("::", 0, AddressClass::Never),
];

/// Whether the first `len` bits of two addresses are the same, bit by bit.
fn within(address: &[u8], block: &[u8], len: u8) -> bool {
    (0..usize::from(len)).all(|bit| {
        let of = |bytes: &[u8]| bytes[bit / 8] & (0x80 >> (bit % 8));
        of(address) == of(block)
    })
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The class of an address by the tables.
fn reference(ip: IpAddr) -> AddressClass {
    let bytes = octets(ip);
    let mapped = bytes.len() == 16 && bytes[..10] == [0; 10] && bytes[10..12] == [0xff, 0xff];
    let (table, bytes) = match (mapped, bytes.len()) {
        (true, _) => (&V4[..], &bytes[12..]),
        (false, 4) => (&V4[..], &bytes[..]),
        _ => (&V6[..], &bytes[..]),
    };
    let found = table
        .iter()
        .find(|(block, len, _)| within(bytes, &octets(block.parse().expect("an address")), *len));
    found.expect("the last block of each table is everything").2
}

/// Prefixes worth beginning with: one way each of hiding an IPv4 address in an IPv6 one.
const PREFIXES: [&str; 8] =
    ["::", "::ffff:0:0", "64:ff9b::", "2002::", "2001::", "fe80::", "fc00::", "::ffff:0:0:0"];

/// Runs one input.
pub fn addresses(data: &[u8]) {
    let record = Record::<19>::new(data);
    let policy = AddressPolicy {
        loopback: record.flag(0, 0),
        private: record.flag(0, 1),
        low_ports: record.flag(0, 2),
    };
    let bytes = record.tail(3);
    let ip = if record.flag(0, 3) {
        let base: Ipv6Addr = PREFIXES[usize::from(record.byte(0) >> 4) & 7].parse().expect("one");
        let mut octets = base.octets();
        octets.iter_mut().zip(bytes).for_each(|(octet, byte)| *octet ^= byte);
        IpAddr::from(octets)
    } else {
        IpAddr::from(*bytes.first_chunk::<4>().expect("sixteen bytes"))
    };
    let port = record.word(1);
    let class = AddressClass::of(ip);
    assert_eq!(class, reference(ip), "{ip}");
    let address = SocketAddr::new(ip, port);
    assert_eq!(AddressClass::of(canonical(address).ip()), class, "{ip} has two classes");
    assert_eq!(canonical(canonical(address)), canonical(address));
    let by_class = match class {
        AddressClass::Public => true,
        AddressClass::Private | AddressClass::LinkLocal => policy.private,
        AddressClass::Loopback => policy.loopback,
        AddressClass::Never => false,
    };
    let by_port = port != 0 && (policy.low_ports || port > 1_023);
    assert_eq!(policy.permits(address), by_class && by_port, "{address} under {policy:?}");
    assert_eq!(policy.permits(canonical(address)), policy.permits(address), "{address}");
}

/// The first and last address of a block, and the ones just outside.
fn edges(block: &str, len: u8) -> [Vec<u8>; 4] {
    let first = octets(block.parse().expect("an address"));
    let mut last = first.clone();
    (usize::from(len)..8 * last.len()).for_each(|bit| last[bit / 8] |= 0x80 >> (bit % 8));
    // One more or less, with the carry.
    let step = |bytes: &[u8], from: u8, to: u8, by: fn(u8) -> u8| {
        let mut bytes = bytes.to_vec();
        for byte in bytes.iter_mut().rev() {
            let carries = *byte == from;
            *byte = if carries { to } else { by(*byte) };
            if !carries {
                break;
            }
        }
        bytes
    };
    let before = step(&first, 0, 255, |byte| byte - 1);
    let behind = step(&last, 255, 0, |byte| byte + 1);
    [first, last, before, behind]
}

/// The edges of every block, and addresses in every encoding.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let v4 = V4.iter().flat_map(|(block, len, _)| edges(block, *len)).map(|bytes| (0, bytes));
    let v6 = V6.iter().flat_map(|(block, len, _)| edges(block, *len)).map(|bytes| (8, bytes));
    let hidden = (0..8).map(|prefix| (8 | prefix << 4, [&[0; 12][..], &[127, 0, 0, 1]].concat()));
    v4.chain(hidden)
        .chain(v6)
        .flat_map(|(bits, bytes)| {
            [(0, 80), (7, 4_600)].map(|(policy, port): (u8, u16)| {
                [&[bits | policy], &port.to_be_bytes()[..], &bytes].concat()
            })
        })
        .collect()
}
