//! Target `certificate`: what an equipment believes about its server.
//!
//! ```text
//! offset  len  field
//!      0    1  bits: 0 = the bytes from 24 on are the certificate; else one is issued and changed.
//!              1 = a trusted clock, 2 = a name is wanted, 3 = the next authority issues
//!      1    2  where it is changed        3    1  how (see `mar`)        4    1  with what
//!      5    1  how many names             6    2  serial                 8    2  smallest serial
//!     10    4  not before                14    2  how long it is valid, in hours
//!     16    4  the clock or floor        20    4  more of the names
//!     24    …  bytes of names, or a certificate
//! ```

use genkan_core::CertificateError;
use genkan_core::wire::certificate::{
    Certificate, MAX_CERTIFICATE, MAX_NAMES, Subject, Trust, authority_public,
};

use crate::record::{Record, mar};

const AUTHORITIES: [[u8; 32]; 2] = [[9; 32], [8; 32]];
const SERVER_KEY: [u8; 32] = [7; 32];

/// Runs one input.
pub fn certificate(data: &[u8]) {
    let head = Record::<24>::new(data);
    let rest = data.get(24..).unwrap_or_default();
    if head.flag(0, 0) {
        foreign(&head, rest);
    } else {
        issued(&head, rest);
    }
}

fn trust<'a>(head: &Record<24>, keys: &'a [[u8; 32]], name: Option<&'a str>) -> Trust<'a> {
    let time = u64::from(head.long(16));
    Trust {
        authorities: keys,
        name,
        min_serial: u32::from(head.word(8)),
        floor: if head.flag(0, 1) { time / 2 } else { time },
        now: head.flag(0, 1).then_some(time),
    }
}

/// Bytes of anybody's: whatever they are, nobody has signed them.
fn foreign(head: &Record<24>, bytes: &[u8]) {
    let keys = AUTHORITIES.map(|secret| authority_public(&secret));
    let Ok(parsed) = Certificate::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_CERTIFICATE);
    assert!(parsed.names().len() <= MAX_NAMES && parsed.names().is_ascii());
    assert!(parsed.names().split(' ').all(|name| parsed.is_for(name) && !name.is_empty()));
    // Two of the seeds are genuine: what was signed under these keys was `issued` by this file.
    if trust(head, &keys, None).check(&parsed) != Err(CertificateError::Untrusted) {
        assert_eq!(parsed.server_key, SERVER_KEY, "signed by nobody, yet trusted");
    }
}

/// Names of so many words, from the bytes.
fn names(head: &Record<24>, bytes: &[u8]) -> String {
    let mut words = head.tail(20).iter().chain(bytes);
    let mut text = String::new();
    for word in 0..1 + head.below(5, 24) {
        if word > 0 {
            text.push(' ');
        }
        let len = words.next().map_or(1, |byte| 1 + byte % 12);
        text.extend((0..len).map(|_| char::from(words.next().map_or(b'a', |byte| byte & 0x7f))));
    }
    text
}

/// A certificate that was issued here: believed if and only if it should be, and not when changed.
fn issued(head: &Record<24>, bytes: &[u8]) {
    let names = names(head, bytes);
    let not_before = u64::from(head.long(10));
    let subject = Subject {
        server_key: SERVER_KEY,
        serial: u32::from(head.word(6)),
        not_before,
        not_after: not_before + u64::from(head.word(14)) * 3_600,
        names: &names,
    };
    let authority = AUTHORITIES[usize::from(head.flag(0, 3))];
    let mut out = [0; MAX_CERTIFICATE];
    let fine = names.len() <= MAX_NAMES
        && subject.not_after > subject.not_before
        && names
            .split(' ')
            .all(|name| !name.is_empty() && name.bytes().all(|byte| (b'!'..=b'~').contains(&byte)));
    let Ok(len) = Certificate::issue(&authority, &subject, &mut out) else {
        return assert!(!fine, "{subject:?} was refused");
    };
    assert!(fine, "{subject:?} was issued");
    let mut bytes = out[..len].to_vec();
    let parsed = Certificate::parse(&bytes).expect("what was issued parses");
    assert_eq!((parsed.serial, parsed.names()), (subject.serial, subject.names));
    assert_eq!((parsed.not_before, parsed.not_after), (subject.not_before, subject.not_after));
    let keys = AUTHORITIES.map(|secret| authority_public(&secret));
    let wanted = head.flag(0, 2).then(|| names.split(' ').next_back().unwrap_or_default());
    let trust = trust(head, &keys, wanted);
    assert_eq!(trust.check(&parsed).is_ok(), reference(&trust, &subject), "{trust:?}: {subject:?}");
    let stranger = [authority_public(&[3; 32])];
    let other = Trust { authorities: &stranger, ..trust };
    assert_eq!(other.check(&parsed), Err(CertificateError::Untrusted));
    if mar(&mut bytes, head.byte(3), head.word(1), head.byte(4)) {
        let verdict = Certificate::parse(&bytes).and_then(|parsed| {
            Trust { floor: 0, now: None, min_serial: 0, name: None, ..trust }.check(&parsed)
        });
        let refused = [CertificateError::Malformed, CertificateError::Untrusted];
        assert!(verdict.is_err_and(|error| refused.contains(&error)), "changed: {verdict:?}");
    }
}

/// Whether a genuine certificate is acceptable.
fn reference(trust: &Trust<'_>, subject: &Subject<'_>) -> bool {
    let time = trust.floor.max(trust.now.unwrap_or(0));
    let begun = trust.now.is_none_or(|now| now >= subject.not_before);
    subject.not_after >= time && begun && subject.serial >= trust.min_serial
}

/// Issued ones of several shapes, each changed in each way; and genuine bytes.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for how in 0..8 {
        for bits in [0, 2, 4, 8, 14] {
            let mut seed = vec![bits, 0, 60, how, 5, how * 3, 0, 9, 0, 3, 0, 0, 10, 0, 0, 9];
            seed.extend([0, 0, 12, 0]);
            seed.extend(*b"\x0bserver.test\x06backup");
            seeds.push(seed);
        }
    }
    let subject = Subject {
        server_key: SERVER_KEY,
        serial: 3,
        not_before: 1_000,
        not_after: 9_000,
        names: "server.test backup",
    };
    for authority in AUTHORITIES {
        let mut out = [0; MAX_CERTIFICATE];
        let len = Certificate::issue(&authority, &subject, &mut out).expect("a good subject");
        seeds.push([&[1; 24][..], &out[..len]].concat());
    }
    seeds
}
