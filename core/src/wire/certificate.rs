//! The server certificate: what an equipment believes before it sends any key information.
//!
//! A compact format of our own, because X.509 alone would cost a microcontroller as much flash as
//! the whole protocol (DESIGN.md). An Ed25519 *authority* signs the server's X25519 key, names and
//! validity; equipment holds up to two authority keys, the current and the next.
//!
//! ```text
//! offset  len  field
//!      0    1  version = 1
//!      1    1  flags = 0
//!      2    4  serial
//!      6    8  not before, seconds since 1970
//!     14    8  not after, seconds since 1970
//!     22   32  server key (X25519)
//!     54    1  n = length of the names
//!     55    n  names, ASCII, separated by single spaces
//!   55+n   64  Ed25519 signature over "genkan certificate 1" and all of the above
//! ```
//!
//! **Time without a clock** (threat T25): a device refuses a certificate whose `not after` lies
//! before its *floor*, the larger of its build time and a persisted value. Only an authority-signed
//! `not before` moves the persisted floor, never a server's word: a hostile server could otherwise
//! brick devices by naming a far future. `not before` itself is enforced only where a trusted clock
//! stands.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::codec::{Reader, Writer};
use crate::error::CertificateError;

/// Longest certificate in bytes.
pub const MAX_CERTIFICATE: usize = 200;
/// Longest names field in bytes.
pub const MAX_NAMES: usize = MAX_CERTIFICATE - FIXED - SIGNATURE;
const FIXED: usize = 55;
const SIGNATURE: usize = 64;
const FORMAT: u8 = 1;
const CONTEXT: &[u8] = b"genkan certificate 1";

/// A parsed certificate. Parsing proves nothing; [`Trust::check`] does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Certificate<'a> {
    /// Rises with each certificate of the authority for this server.
    pub serial: u32,
    /// First second of validity, since 1970.
    pub not_before: u64,
    /// Last second of validity, since 1970.
    pub not_after: u64,
    /// The server's X25519 static public key.
    pub server_key: [u8; 32],
    names: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE],
}

impl<'a> Certificate<'a> {
    /// Takes a certificate apart.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CertificateError> {
        Self::fields(bytes).ok_or(CertificateError::Malformed)
    }

    fn fields(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.array::<2>()? != [FORMAT, 0] {
            return None;
        }
        let serial = reader.u32()?;
        let not_before = reader.u64()?;
        let not_after = reader.u64()?;
        let server_key = reader.array()?;
        let len = usize::from(reader.byte()?);
        let names = reader.slice(len)?;
        let (signature, []) = reader.0.split_first_chunk()? else { return None };
        let signed = bytes.get(..bytes.len().checked_sub(SIGNATURE)?)?;
        let fits = bytes.len() <= MAX_CERTIFICATE;
        (fits && is_names(names)).then_some(Self {
            serial,
            not_before,
            not_after,
            server_key,
            names,
            signed,
            signature,
        })
    }

    /// The names that the server may be asked for, separated by spaces.
    #[must_use]
    pub fn names(&self) -> &'a str {
        // They are ASCII, or it had not been parsed.
        core::str::from_utf8(self.names).unwrap_or_default()
    }

    /// Whether the certificate carries `name` (compared without regard to ASCII case).
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        words(self.names).any(|own| own.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Issues a certificate: writes it to the front of `out` and returns its length. Meant for the
    /// authority's tool, not for devices.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] when the names are longer than [`MAX_NAMES`], not ASCII
    /// words, or `not_after` does not lie after `not_before`.
    pub fn issue(
        authority: &[u8; 32],
        subject: &Subject<'_>,
        out: &mut [u8; MAX_CERTIFICATE],
    ) -> Result<usize, CertificateError> {
        let n = u8::try_from(subject.names.len()).map_err(|_| CertificateError::Malformed)?;
        if usize::from(n) > MAX_NAMES
            || !is_names(subject.names.as_bytes())
            || subject.not_after <= subject.not_before
        {
            return Err(CertificateError::Malformed);
        }
        let mut writer = Writer::new(out);
        writer.put(&[FORMAT, 0]);
        writer.put(&subject.serial.to_be_bytes());
        writer.put(&subject.not_before.to_be_bytes());
        writer.put(&subject.not_after.to_be_bytes());
        writer.put(&subject.server_key);
        writer.put(&[n]);
        writer.put(subject.names.as_bytes());
        let signed = FIXED.saturating_add(usize::from(n));
        let key = SigningKey::from_bytes(authority);
        let mut message = [0; CONTEXT.len() + MAX_CERTIFICATE];
        let signature = match out.get(..signed) {
            Some(body) => key.sign(join(&mut message, body)),
            None => return Err(CertificateError::Malformed),
        };
        let len = signed.saturating_add(SIGNATURE);
        if let Some(tail) = out.get_mut(signed..len) {
            tail.copy_from_slice(&signature.to_bytes());
        }
        Ok(len)
    }
}

/// What an authority puts into a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The server's X25519 static public key.
    pub server_key: [u8; 32],
    /// Rises with each certificate for this server.
    pub serial: u32,
    /// First second of validity, since 1970.
    pub not_before: u64,
    /// Last second of validity, since 1970.
    pub not_after: u64,
    /// Names, separated by single spaces.
    pub names: &'a str,
}

/// The authority's public key for its secret one.
#[must_use]
pub fn authority_public(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

fn words(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    names.split(|&byte| byte == b' ')
}

fn is_names(names: &[u8]) -> bool {
    words(names).all(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
}

fn join<'b>(message: &'b mut [u8; CONTEXT.len() + MAX_CERTIFICATE], body: &[u8]) -> &'b [u8] {
    let mut writer = Writer::new(message);
    writer.put(CONTEXT);
    writer.put(body);
    message.get(..CONTEXT.len().saturating_add(body.len())).unwrap_or(&[])
}

/// Whether a signature is this authority's. One copy is enough of what is in it.
#[inline(never)]
fn is_by(key: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, signature).is_ok())
}

/// Whom an equipment trusts to name its server, and what it knows of time.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The authority's Ed25519 public keys: the current one and, during a change, the next.
    pub authorities: &'a [[u8; 32]],
    /// The name that the certificate must carry, if any.
    pub name: Option<&'a str>,
    /// The smallest serial that is not revoked.
    pub min_serial: u32,
    /// Seconds since 1970 that have certainly passed: the larger of the firmware's build time and
    /// the persisted floor.
    pub floor: u64,
    /// Seconds since 1970 by a clock that can be trusted, where there is one.
    pub now: Option<u64>,
}

impl Trust<'_> {
    /// Checks a certificate.
    ///
    /// # Errors
    /// The first [`CertificateError`] found; the signature is checked first, so that the other
    /// reasons are told only of genuine certificates.
    pub fn check(&self, certificate: &Certificate<'_>) -> Result<(), CertificateError> {
        let mut message = [0; CONTEXT.len() + MAX_CERTIFICATE];
        let message = join(&mut message, certificate.signed);
        let signature = Signature::from_bytes(certificate.signature);
        // At most two keys are tried: work per certificate stays bounded (threat T27).
        let trusted = self.authorities.iter().take(2).any(|key| is_by(key, message, &signature));
        if !trusted {
            return Err(CertificateError::Untrusted);
        }
        if certificate.not_after < self.now.map_or(self.floor, |now| now.max(self.floor)) {
            return Err(CertificateError::Expired);
        }
        if self.now.is_some_and(|now| now < certificate.not_before) {
            return Err(CertificateError::NotYetValid);
        }
        if certificate.serial < self.min_serial {
            return Err(CertificateError::Revoked);
        }
        match self.name {
            Some(name) if !certificate.is_for(name) => Err(CertificateError::WrongName),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORITY: [u8; 32] = [3; 32];

    fn issue(subject: &Subject<'_>) -> ([u8; MAX_CERTIFICATE], usize) {
        let mut out = [0; MAX_CERTIFICATE];
        let len = Certificate::issue(&AUTHORITY, subject, &mut out).unwrap();
        (out, len)
    }

    const SUBJECT: Subject<'static> = Subject {
        server_key: [9; 32],
        serial: 5,
        not_before: 1_000,
        not_after: 2_000,
        names: "rdv.example.net Backup",
    };

    fn trust(authorities: &[[u8; 32]]) -> Trust<'_> {
        Trust { authorities, name: None, min_serial: 0, floor: 0, now: None }
    }

    #[test]
    fn a_certificate_says_what_was_signed_and_nothing_else_passes() {
        let (bytes, len) = issue(&SUBJECT);
        let keys = [authority_public(&AUTHORITY)];
        let certificate = Certificate::parse(&bytes[..len]).unwrap();
        assert_eq!(trust(&keys).check(&certificate), Ok(()));
        assert_eq!(certificate.server_key, [9; 32]);
        for position in 0..len {
            let mut wrong = bytes;
            wrong[position] ^= 1;
            let refused = Certificate::parse(&wrong[..len])
                .and_then(|certificate| trust(&keys).check(&certificate));
            assert!(refused.is_err(), "byte {position}");
        }
        for cut in 0..len {
            assert!(Certificate::parse(&bytes[..cut]).is_err());
        }
        assert_eq!(
            trust(&[[1; 32]]).check(&certificate),
            Err(CertificateError::Untrusted),
            "another authority"
        );
    }

    #[test]
    fn time_and_names_are_checked_with_and_without_a_clock() {
        let (bytes, len) = issue(&SUBJECT);
        let keys = [[0; 32], authority_public(&AUTHORITY)];
        let certificate = Certificate::parse(&bytes[..len]).unwrap();
        let check = |floor, now, name, min_serial| {
            Trust { authorities: &keys, name, min_serial, floor, now }.check(&certificate)
        };
        assert_eq!(check(2_000, None, None, 0), Ok(()));
        assert_eq!(check(2_001, None, None, 0), Err(CertificateError::Expired));
        assert_eq!(check(0, None, None, 0), Ok(()), "not before is not enforced without a clock");
        assert_eq!(check(0, Some(999), None, 0), Err(CertificateError::NotYetValid));
        assert_eq!(check(0, Some(2_001), None, 0), Err(CertificateError::Expired));
        assert_eq!(check(0, Some(1_500), Some("RDV.example.net"), 5), Ok(()));
        assert_eq!(check(0, Some(1_500), Some("example.net"), 5), Err(CertificateError::WrongName));
        assert_eq!(check(0, Some(1_500), None, 6), Err(CertificateError::Revoked));
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let mut out = [0; MAX_CERTIFICATE];
        let long = core::str::from_utf8(&[b'a'; 82]).unwrap();
        for names in ["", " a", "a  b", "ü", long] {
            let subject = Subject { names, ..SUBJECT };
            assert!(Certificate::issue(&AUTHORITY, &subject, &mut out).is_err(), "{names:?}");
        }
    }
}
