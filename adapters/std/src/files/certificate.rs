//! Certificate files: text as in PEM, public. The bare bytes are understood too.

use std::path::Path;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE};
use pem_rfc7468::LineEnding;

use super::atomic::{self, Access};
use super::error::{FileError, Problem};

const LABEL: &str = "GENKAN CERTIFICATE";
const WHAT: &str = "a Genkan certificate";

/// Reads a certificate. That it parses is checked, not that anybody should trust it.
///
/// # Errors
/// When it is missing or does not hold a certificate.
pub fn load_certificate(path: &Path) -> Result<Vec<u8>, FileError> {
    let content = atomic::read(path, Access::Public, 4_096, WHAT)?;
    decode(&content).map_err(|why| FileError::new(path, Problem::Content { wanted: WHAT, why }))
}

fn decode(content: &[u8]) -> Result<Vec<u8>, &'static str> {
    if content.len() <= MAX_CERTIFICATE && Certificate::parse(content).is_ok() {
        return Ok(content.to_vec());
    }
    let (label, bytes) =
        pem_rfc7468::decode_vec(content).map_err(|_| "the text around it is not PEM")?;
    if label != LABEL {
        return Err("it is labelled as something else");
    }
    Certificate::parse(&bytes).map_err(|_| "its bytes make no sense")?;
    Ok(bytes)
}

/// Writes a certificate in the place of whatever `path` held, readable by everybody.
///
/// # Errors
/// When the bytes are no certificate, or the file cannot be written.
pub fn save_certificate(path: &Path, certificate: &[u8]) -> Result<(), FileError> {
    let bad = |why| FileError::new(path, Problem::Content { wanted: WHAT, why });
    Certificate::parse(certificate).map_err(|_| bad("its bytes make no sense"))?;
    let text = pem_rfc7468::encode_string(LABEL, LineEnding::LF, certificate)
        .map_err(|_| bad("it cannot be written as PEM"))?;
    atomic::replace(path, Access::Public, text.as_bytes())
}
