//! The server's key, certificate and authority in its data directory.
//!
//! | `key` | `certificate` | `authority` | what happens |
//! |---|---|---|---|
//! | – | – | any | key (and authority) are made, a certificate is signed |
//! | here | for this key | – | used as it is |
//! | here | for this key | here | used; renewed when two thirds of its time are over |
//! | here | for another key | any | an error: somebody has mixed two servers' files up |
//! | – | here | any | an error: the key is lost |

use genkan_core::StaticKey;
use genkan_core::wire::certificate::{Certificate, Trust};
use genkan_std::files::{self, AuthorityKey, StateDir};

use super::super::authority::{issue, next_serial};
use crate::clock;
use crate::exit::Failure;
use crate::output::Output;

/// For how many days the server certifies itself.
const DAYS: u64 = 365;
/// The name of the serial in the data directory.
const SERIAL: &str = "serial";

/// What a server shows and proves.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) key: StaticKey,
    pub(super) certificate: Vec<u8>,
    /// The authority's public key, where the authority is here.
    pub(super) authority: Option<[u8; 32]>,
}

/// Loads what is there and makes what is not.
pub(super) fn load_or_make(
    state: &StateDir,
    names: &str,
    output: &Output,
) -> Result<Keys, Failure> {
    let data = state.path();
    let key = files::load_or_create_key_in(data, &["certificate"])?;
    let authority_file = data.join("authority");
    let certificate_file = data.join("certificate");
    let authority = match files::load_authority(&authority_file) {
        Ok(authority) => Some(authority),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    let present = match files::load_certificate(&certificate_file) {
        Ok(certificate) => Some(certificate),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    let Some(present) = present else {
        let authority = match authority {
            Some(authority) => authority,
            None => files::create_authority(&authority_file)?,
        };
        let serial = next_serial(remembered(state)?);
        let certificate = issue(authority.seed(), *key.public(), names, serial, DAYS)?;
        remember(state, &certificate)?;
        files::save_certificate(&certificate_file, &certificate)?;
        return Ok(Keys { key, certificate, authority: Some(*authority.public()) });
    };
    let certificate = match &authority {
        None => present,
        Some(authority) => match renewed(&present, &key, authority, state)? {
            None => present,
            Some(renewed) => {
                files::save_certificate(&certificate_file, &renewed)?;
                output.note("note: the certificate was renewed");
                renewed
            }
        },
    };
    check(&certificate, &key, authority.as_ref())?;
    remember(state, &certificate)?;
    Ok(Keys { key, certificate, authority: authority.map(|authority| *authority.public()) })
}

/// The highest serial that this server has shown, though its certificate be gone.
fn remembered(state: &StateDir) -> Result<Option<u32>, Failure> {
    let value = state.read(SERIAL)?;
    Ok(value.and_then(|value| Some(u32::from_be_bytes(value[..].try_into().ok()?))))
}

fn remember(state: &StateDir, certificate: &[u8]) -> Result<(), Failure> {
    let serial = parse(certificate)?.serial;
    if remembered(state)? < Some(serial) {
        state.write(SERIAL, &serial.to_be_bytes())?;
    }
    Ok(())
}

/// A new certificate, where most of the present one's time is over.
fn renewed(
    present: &[u8],
    key: &StaticKey,
    authority: &AuthorityKey,
    state: &StateDir,
) -> Result<Option<Vec<u8>>, Failure> {
    let old = parse(present)?;
    let lifetime = old.not_after.saturating_sub(old.not_before);
    let left = old.not_after.saturating_sub(clock::seconds());
    if left > lifetime / 3 || old.server_key != *key.public() {
        return Ok(None);
    }
    let serial = next_serial(Some(old.serial).max(remembered(state)?));
    issue(authority.seed(), *key.public(), old.names(), serial, DAYS).map(Some)
}

fn parse(certificate: &[u8]) -> Result<Certificate<'_>, Failure> {
    Certificate::parse(certificate)
        .map_err(|error| Failure::keys(format!("the server's certificate is {error}")))
}

/// Refuses what equipment would refuse: better now than at every appliance.
fn check(
    certificate: &[u8],
    key: &StaticKey,
    authority: Option<&AuthorityKey>,
) -> Result<(), Failure> {
    let certificate = parse(certificate)?;
    if certificate.server_key != *key.public() {
        return Err(Failure::keys("the certificate in the data directory is for another key")
            .hint(
                "genkan authority certify --server ID, with the id that `genkan key id` prints",
            ));
    }
    let now = clock::seconds();
    if now > certificate.not_after {
        return Err(Failure::keys("the server's certificate has expired")
            .hint("genkan authority certify, with a higher --serial"));
    }
    let Some(authority) = authority else { return Ok(()) };
    let authorities = [*authority.public()];
    let trust =
        Trust { authorities: &authorities, name: None, min_serial: 0, floor: 0, now: Some(now) };
    trust.check(&certificate).map_err(|error| {
        Failure::keys(format!("the server's certificate is {error}"))
            .hint("remove the file `authority` when the certificate is another authority's")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn load(data: &Path) -> Result<Keys, Failure> {
        load_or_make(&StateDir::open(data)?, "demo", &Output::new(false))
    }

    #[test]
    fn the_first_start_makes_everything_and_later_ones_change_nothing() {
        let data = tempfile::tempdir().unwrap();
        let first = load(data.path()).unwrap();
        let again = load(data.path()).unwrap();
        assert_eq!(first.certificate, again.certificate);
        assert_eq!(first.key.public(), again.key.public());
        assert_eq!(first.authority, again.authority);
        assert!(first.authority.is_some());
        std::fs::remove_file(data.path().join("authority")).unwrap();
        let elsewhere = load(data.path()).unwrap();
        assert_eq!((elsewhere.authority, &elsewhere.certificate), (None, &first.certificate));
    }

    #[test]
    fn an_old_certificate_is_renewed_with_a_higher_serial() {
        let data = tempfile::tempdir().unwrap();
        let first = load(data.path()).unwrap();
        let authority = files::load_authority(&data.path().join("authority")).unwrap();
        let mut out = [0; genkan_core::wire::certificate::MAX_CERTIFICATE];
        let now = clock::seconds();
        let subject = genkan_core::wire::certificate::Subject {
            server_key: *first.key.public(),
            serial: 4,
            not_before: now - 300,
            not_after: now + 100,
            names: "demo",
        };
        let length = Certificate::issue(authority.seed(), &subject, &mut out).unwrap();
        files::save_certificate(&data.path().join("certificate"), &out[..length]).unwrap();
        let renewed = load(data.path()).unwrap();
        let renewed = Certificate::parse(&renewed.certificate).unwrap();
        assert!(renewed.serial > 4 && renewed.names() == "demo");
        assert!(renewed.not_after > now + 100 * clock::DAY);
    }

    #[test]
    fn a_certificate_in_the_place_of_a_lost_one_has_a_higher_serial() {
        let data = tempfile::tempdir().unwrap();
        load(data.path()).unwrap();
        StateDir::open(data.path())
            .unwrap()
            .write(SERIAL, &4_000_000_000_u32.to_be_bytes())
            .unwrap();
        std::fs::remove_file(data.path().join("certificate")).unwrap();
        let again = load(data.path()).unwrap();
        assert_eq!(Certificate::parse(&again.certificate).unwrap().serial, 4_000_000_001);
    }

    #[test]
    fn files_of_two_servers_are_not_mixed() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        load(one.path()).unwrap();
        load(other.path()).unwrap();
        let copy = |name: &str| {
            std::fs::copy(other.path().join(name), one.path().join(name)).unwrap();
        };
        copy("certificate");
        assert!(load(one.path()).unwrap_err().message.contains("another key"));
        copy("key");
        let error = load(one.path()).unwrap_err();
        assert!(error.message.contains("not signed"), "{error}");
        copy("authority");
        load(one.path()).unwrap();
        std::fs::remove_file(one.path().join("key")).unwrap();
        let lost = load(one.path()).unwrap_err();
        assert!(lost.message.contains("the key is missing"), "{lost}");
    }
}
