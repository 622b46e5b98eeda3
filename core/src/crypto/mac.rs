//! SipHash-2-4-128 tags: keepalives, the handshake's address-free filter (mac1), cookies and the
//! stateless secrets of a server.

use core::hash::Hasher;
use core::net::{IpAddr, SocketAddr};

use siphasher::sip128::{Hasher128, SipHasher24};

/// A tag over the concatenation of `parts`. Callers put fixed-length parts first, so that two
/// different lists never concatenate to the same bytes.
pub(crate) fn tag(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(key);
    for part in parts {
        hasher.write(part);
    }
    hasher.finish128().as_bytes()
}

/// A 64-bit keyed hash for table positions (threat T8: no unkeyed hash on what others choose).
pub(crate) fn hash(key: &[u8; 16], parts: &[&[u8]]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = tag(key, parts);
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// An address as 18 bytes: IPv6 (IPv4 mapped) and port.
pub(crate) fn address_bytes(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut out = [0; 18];
    let (head, tail) = out.split_at_mut(16);
    head.copy_from_slice(&ip.octets());
    tail.copy_from_slice(&address.port().to_be_bytes());
    out
}

/// What rate limits count as one source: an IPv4 address, or an IPv6 /64, which one customer has.
pub(crate) fn source(address: SocketAddr) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = address_bytes(address);
    if address.is_ipv4() { [i, j, k, l, m, n, o, p] } else { [a, b, c, d, e, f, g, h] }
}
