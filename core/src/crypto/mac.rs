//! SipHash-2-4-128 tags: keepalives, the handshake's address-free filter (mac1), cookies and the
//! stateless secrets of a server.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::addr::Endpoint;

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

/// What rate limits count as one source: an IPv4 address, or an IPv6 /64, which one customer has.
pub(crate) fn source(address: Endpoint) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = address.bytes();
    if address.is_ipv4() { [i, j, k, l, m, n, o, p] } else { [a, b, c, d, e, f, g, h] }
}
