//! The key file of an equipment or server.

use std::path::Path;

use genkan_core::StaticKey;
use zeroize::Zeroizing;

use super::atomic::{self, Access};
use super::error::{FileError, Problem};
use super::secret::{Format, KEY_FILE_LIMIT, draw};

const FORMAT: Format = Format { prefix: "gk-secret-", what: "a Genkan secret key" };

/// Reads a key file (`GK-SECRET-1…`).
///
/// # Errors
/// When it is missing, readable by others, a symbolic link, or does not hold a key.
pub fn load_key(path: &Path) -> Result<StaticKey, FileError> {
    let content = atomic::read(path, Access::Secret, KEY_FILE_LIMIT, FORMAT.what)?;
    let secret = FORMAT.find(&content).map_err(|problem| FileError::new(path, problem))?;
    Ok(StaticKey::from_secret(*secret))
}

/// Draws a new key and writes it to a new file of mode 0600.
///
/// # Errors
/// When anything stands at `path` already, or the file cannot be written.
pub fn create_key(path: &Path) -> Result<StaticKey, FileError> {
    let secret = draw().map_err(|problem| FileError::new(path, problem))?;
    let key = StaticKey::from_secret(*secret);
    atomic::create(path, Access::Secret, text(&key).as_bytes())?;
    Ok(key)
}

/// As [`load_or_create_key`] for the file `key` of a data directory; but where any of `witnesses`
/// stands there, a key has been there too, and a new one would be another identity.
///
/// # Errors
/// As [`load_key`] and [`create_key`], and [`Problem::Lost`].
pub fn load_or_create_key_in(
    data: &Path,
    witnesses: &[&'static str],
) -> Result<StaticKey, FileError> {
    let path = data.join("key");
    match load_key(&path) {
        Err(error) if error.is_missing() => {
            let witness = witnesses.iter().find(|name| data.join(name).exists());
            match witness {
                // Unless another process has just made it, and that file after it.
                Some(name) => load_key(&path).map_err(|error| {
                    if error.is_missing() {
                        FileError::new(&path, Problem::Lost(name))
                    } else {
                        error
                    }
                }),
                None => load_or_create_key(&path),
            }
        }
        loaded => loaded,
    }
}

/// Writes a key that was made elsewhere to a new file of mode 0600.
///
/// # Errors
/// As [`create_key`].
pub fn save_key(path: &Path, key: &StaticKey) -> Result<(), FileError> {
    atomic::create(path, Access::Secret, text(key).as_bytes())
}

/// The key in the file, or a new one when there is no such file.
///
/// # Errors
/// As [`load_key`] and [`create_key`].
pub fn load_or_create_key(path: &Path) -> Result<StaticKey, FileError> {
    match load_key(path) {
        Err(error) if error.is_missing() => match create_key(path) {
            // Another process was faster.
            Err(error) if error.is_present() => load_key(path),
            made => made,
        },
        loaded => loaded,
    }
}

fn text(key: &StaticKey) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str("# Genkan secret key: whoever reads this file can pose as its owner.\n# id: ");
    text.push_str(&key.id().to_string());
    text.push('\n');
    text.push_str(&FORMAT.encode(key.secret()));
    text.push('\n');
    text
}
