//! The key of an authority: it signs the certificates of servers.

use std::path::Path;

use genkan_core::wire::certificate::authority_public;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::atomic::{self, Access};
use super::error::{FileError, Problem};
use super::secret::{Format, KEY_FILE_LIMIT, draw};

const SECRET: Format = Format { prefix: "gk-authority-secret-", what: "an authority's secret key" };
const PUBLIC: Format = Format { prefix: "gk-authority-", what: "an authority's public key" };

/// An authority's Ed25519 key pair.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AuthorityKey {
    seed: [u8; 32],
    public: [u8; 32],
}

impl AuthorityKey {
    /// The key pair of a seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { public: authority_public(&seed), seed }
    }

    /// The secret half, for [`Certificate::issue`](genkan_core::wire::certificate::Certificate::issue).
    #[must_use]
    pub const fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public half, which equipment holds.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }
}

impl core::fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "AuthorityKey({})", format_authority(&self.public))
    }
}

/// The text of an authority's public key: `gk-authority-1…`.
#[must_use]
pub fn format_authority(public: &[u8; 32]) -> String {
    PUBLIC.encode_lower(public)
}

/// The reverse of [`format_authority`].
///
/// # Errors
/// [`Problem::Content`] with the reason.
pub fn parse_authority(text: &str) -> Result<[u8; 32], Problem> {
    PUBLIC.decode(text.trim()).map(|key| *key)
}

/// Reads an authority's key file (`GK-AUTHORITY-SECRET-1…`).
///
/// # Errors
/// As [`load_key`](super::load_key).
pub fn load_authority(path: &Path) -> Result<AuthorityKey, FileError> {
    let content = atomic::read(path, Access::Secret, KEY_FILE_LIMIT, SECRET.what)?;
    let seed = SECRET.find(&content).map_err(|problem| FileError::new(path, problem))?;
    Ok(AuthorityKey::from_seed(*seed))
}

/// Draws a new authority key and writes it to a new file of mode 0600.
///
/// # Errors
/// As [`create_key`](super::create_key).
pub fn create_authority(path: &Path) -> Result<AuthorityKey, FileError> {
    let seed = draw().map_err(|problem| FileError::new(path, problem))?;
    let key = AuthorityKey::from_seed(*seed);
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str("# Genkan authority key: whoever reads this file can pose as any server.\n");
    text.push_str("# public key: ");
    text.push_str(&format_authority(&key.public));
    text.push('\n');
    text.push_str(&SECRET.encode(&key.seed));
    text.push('\n');
    atomic::create(path, Access::Secret, text.as_bytes())?;
    Ok(key)
}
