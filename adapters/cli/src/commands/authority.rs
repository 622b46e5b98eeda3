//! `genkan authority`: the key that vouches for servers, and the certificates that it signs.
//!
//! An authority's secret key need not lie on the server: make it elsewhere, certify the server's
//! key there, and carry only the certificate over.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use genkan_core::EquipmentId;
use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, Trust};
use genkan_std::files;
use serde_json::{Map, Value, json};

use super::make_private_dir;
use crate::authority_key::AuthorityKey;
use crate::clock::{self, DAY};
use crate::exit::{Failure, Outcome};
use crate::output::{BAD, GOOD, KEY, Output, clean};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw an authority's key into a new file of mode 0600, and print its public half
    New {
        /// The new file
        file: PathBuf,
    },
    /// Sign a certificate for a server
    Certify(CertifyArgs),
    /// Print what a certificate or an authority's key file says
    Inspect(InspectArgs),
}

/// Whom to certify, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct CertifyArgs {
    /// The authority's key file
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,
    /// The server's public key, as `genkan key id` prints it
    #[arg(long, value_name = "GK1…")]
    server: EquipmentId,
    /// A name that the server may be asked for; repeat for more
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// The certificate's number, higher than that of any before for the same server [default: the
    /// time in seconds since 1970]
    #[arg(long, value_name = "N")]
    serial: Option<u32>,
    /// For how many days, from now
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: u64,
    /// Where to write the certificate; an existing file is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What to inspect.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A certificate, or an authority's key file
    file: PathBuf,
    /// Also check that this authority has signed the certificate, and that it is valid now
    #[arg(long, value_name = "KEY")]
    authority: Option<AuthorityKey>,
}

pub(crate) fn run(command: &Command, output: &Output) -> Outcome {
    match command {
        Command::New { file } => new(file, output),
        Command::Certify(args) => certify(args, output),
        Command::Inspect(args) => inspect(args, output),
    }
}

fn new(file: &Path, output: &Output) -> Outcome {
    if let Some(parent) = file.parent().filter(|parent| *parent != Path::new("")) {
        make_private_dir(parent)?;
    }
    let key = files::create_authority(file)?;
    output.line(format!("{GOOD}made{GOOD:#}      {}", file.display()));
    tell_authority(key.public(), output);
    Ok(())
}

fn tell_authority(public: &[u8; 32], output: &Output) {
    let text = AuthorityKey(*public).to_string();
    output.line(format!("authority {KEY}{text}{KEY:#}"));
    output.json(&json!({ "event": "authority", "at": clock::micros(), "authority": text }));
}

/// Signs a certificate that begins an hour ago, so that a clock that is a little behind takes it.
pub(crate) fn issue(
    authority: &[u8; 32],
    server_key: [u8; 32],
    names: &str,
    serial: u32,
    days: u64,
) -> Result<Vec<u8>, Failure> {
    let now = clock::seconds();
    let subject = Subject {
        server_key,
        serial,
        not_before: now.saturating_sub(3_600),
        not_after: now.saturating_add(days.saturating_mul(DAY)),
        names,
    };
    let mut out = [0; MAX_CERTIFICATE];
    let length = Certificate::issue(authority, &subject, &mut out).map_err(|_| {
        Failure::usage("the names must be words of visible ASCII, together at most 81 characters")
    })?;
    Ok(out.into_iter().take(length).collect())
}

/// A number above that of the last certificate, as far as that is known, and above all that were
/// given in the same way before: the time in seconds rises wherever the authority's key is.
pub(crate) fn next_serial(last: Option<u32>) -> u32 {
    let now = u32::try_from(clock::seconds()).unwrap_or(u32::MAX);
    last.map_or(now, |last| now.max(last.saturating_add(1)))
}

fn certify(args: &CertifyArgs, output: &Output) -> Outcome {
    let key = files::load_authority(&args.authority)?;
    let names = args.names.join(" ");
    let serial = args.serial.unwrap_or_else(|| {
        let before = files::load_certificate(&args.out).ok();
        next_serial(before.and_then(|bytes| Certificate::parse(&bytes).ok().map(|old| old.serial)))
    });
    let bytes = issue(key.seed(), args.server.0, &names, serial, args.days)?;
    files::save_certificate(&args.out, &bytes)?;
    output.line(format!("{GOOD}signed{GOOD:#}      {}", args.out.display()));
    tell_certificate(&bytes, None, output)
}

fn inspect(args: &InspectArgs, output: &Output) -> Outcome {
    match files::load_certificate(&args.file) {
        Ok(bytes) => tell_certificate(&bytes, args.authority, output),
        Err(not_a_certificate) => match files::load_authority(&args.file) {
            Ok(key) => {
                tell_authority(key.public(), output);
                Ok(())
            }
            Err(not_an_authority) if is_about_access(&not_an_authority) => {
                Err(not_an_authority.into())
            }
            Err(_) => Err(not_a_certificate.into()),
        },
    }
}

/// Whether an authority's key file was not read because of who can read it.
const fn is_about_access(error: &files::FileError) -> bool {
    use files::Problem;
    matches!(error.problem(), Problem::TooOpen { .. } | Problem::Foreign(_) | Problem::Symlink)
}

/// Prints a certificate and, where an authority is given, whether it may be trusted.
fn tell_certificate(bytes: &[u8], authority: Option<AuthorityKey>, output: &Output) -> Outcome {
    let certificate = Certificate::parse(bytes)
        .map_err(|error| Failure::keys(format!("the certificate is {error}")))?;
    let server = EquipmentId(certificate.server_key).to_string();
    let now = clock::seconds();
    let validity = match now {
        _ if now < certificate.not_before => format!("{BAD}not valid yet{BAD:#}"),
        _ if now > certificate.not_after => format!("{BAD}expired{BAD:#}"),
        _ => format!("{} days left", (certificate.not_after - now) / DAY),
    };
    output.line(format!("server key  {KEY}{server}{KEY:#}"));
    output.line(format!("names       {}", clean(certificate.names())));
    output.line(format!("serial      {}", certificate.serial));
    output.line(format!("not before  {}", clock::utc(certificate.not_before)));
    output.line(format!("not after   {} ({validity})", clock::utc(certificate.not_after)));
    output.line(format!("length      {} bytes", bytes.len()));
    let checked = authority.map(|AuthorityKey(key)| {
        let trust =
            Trust { authorities: &[key], name: None, min_serial: 0, floor: 0, now: Some(now) };
        trust.check(&certificate)
    });
    let mut event = Map::new();
    event.insert("event".into(), "certificate".into());
    event.insert("at".into(), clock::micros().into());
    event.insert("server_key".into(), server.into());
    let names: Vec<&str> = certificate.names().split(' ').collect();
    event.insert("names".into(), names.into());
    event.insert("serial".into(), certificate.serial.into());
    event.insert("not_before".into(), certificate.not_before.into());
    event.insert("not_after".into(), certificate.not_after.into());
    if let Some(checked) = checked {
        event.insert("trusted".into(), checked.is_ok().into());
    }
    output.json(&Value::Object(event));
    match checked {
        None => Ok(()),
        Some(Ok(())) => {
            output.line(format!("signature   {GOOD}by this authority{GOOD:#}"));
            Ok(())
        }
        Some(Err(error)) => Err(Failure::keys(format!("the certificate is {error}"))),
    }
}
