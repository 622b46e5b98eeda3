//! SipHash-2-4-128 tags: keepalives, the handshake's address-free filter (mac1), cookies and the
//! stateless secrets of a server.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::addr::Endpoint;

/// A tag over the concatenation of `parts`. Callers put fixed-length parts first, so that two
/// different lists never concatenate to the same bytes.
pub(crate) fn tag(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    tag_of(key, parts, feed)
}

fn tag_of(key: &[u8; 16], parts: &[&[u8]], feed: impl Fn(&mut SipHasher24, &[u8])) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(key);
    parts.iter().for_each(|part| feed(&mut hasher, part));
    hasher.finish128().as_bytes()
}

#[cfg(not(target_pointer_width = "32"))]
use at_once as feed;
#[cfg(target_pointer_width = "32")]
use one_by_one as feed;

#[cfg(any(not(target_pointer_width = "32"), test))]
fn at_once(hasher: &mut SipHasher24, part: &[u8]) {
    hasher.write(part);
}

/// The crate writes a slice by two copies of SipHash's rounds, a byte by one: 600 bytes less for a
/// microcontroller, which hashes few.
#[cfg(any(target_pointer_width = "32", test))]
fn one_by_one(hasher: &mut SipHasher24, part: &[u8]) {
    part.iter().for_each(|byte| hasher.write_u8(*byte));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A device and its server may differ in the size of their words.
    #[test]
    fn bytes_at_once_and_one_by_one_have_the_same_tag() {
        let bytes: [u8; 40] = core::array::from_fn(|at| at as u8);
        for first in 0..20 {
            for len in first..bytes.len() {
                let (head, tail) = bytes[..len].split_at(first);
                let at_once = tag_of(&[7; 16], &[head, tail], at_once);
                assert_eq!(tag_of(&[7; 16], &[head, tail], one_by_one), at_once);
            }
        }
    }
}
