//! Passwords: where they come from, and what is made of them.
//!
//! A password comes from a file, from the environment or from a prompt, never from an argument,
//! which every user of the machine could read in the list of processes. It never leaves this
//! process: what travels (sealed to the appliance) and what the appliance compares is the *password
//! information*
//!
//! ```text
//! Argon2id (version 0x13), password = its UTF-8 bytes, salt = the appliance's id, 32 bytes,
//!          m = 19456 KiB, t = 2, p = 1, output 32 bytes
//! ```
//!
//! The id as salt makes one table of common passwords useless against a second appliance, and both
//! ends know it. These parameters are part of the protocol: another value is another password.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use genkan_core::EquipmentId;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

/// Memory in KiB.
const MEMORY: u32 = 19_456;
/// Passes over it.
const PASSES: u32 = 2;
/// Longest password in bytes; anything longer is a mistake in the choice of file.
const LONGEST: u64 = 1_024;
/// The environment variable that may hold the password.
pub(crate) const VARIABLE: &str = "GENKAN_PASSWORD";

/// A password, wiped from memory when dropped.
pub(crate) type Password = Zeroizing<Vec<u8>>;

/// Where the password comes from. There is no `--password`: everybody on the machine could read it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from this file's first line ("-" is standard input); the file must not be
    /// readable by others. The environment variable GENKAN_PASSWORD does as well
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Ask for the password on the terminal
    #[arg(long, conflicts_with = "password_file")]
    pub(crate) ask_password: bool,
}

impl PasswordArgs {
    /// The password, if any source gives one: file, prompt, environment, in this order. A `new` one
    /// is asked for twice, because a typing error would lock everybody out.
    pub(crate) fn read(&self, new: bool) -> Result<Option<Password>, Failure> {
        if let Some(path) = &self.password_file {
            return from_file(path).map(Some);
        }
        if self.ask_password {
            return prompt(new).map(Some);
        }
        std::env::var_os(VARIABLE).map(from_variable).transpose()
    }
}

fn from_variable(value: OsString) -> Result<Password, Failure> {
    let password = value.into_string().map_err(|_| {
        Failure::new(Exit::Keys, format!("the password in {VARIABLE} is not valid UTF-8"))
    })?;
    checked(Zeroizing::new(password.into_bytes()), VARIABLE)
}

fn from_file(path: &Path) -> Result<Password, Failure> {
    let name = path.display().to_string();
    let unreadable =
        |error: io::Error| Failure::keys(format!("cannot read the password file {name}: {error}"));
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 2));
    if path == Path::new("-") {
        io::stdin().lock().take(LONGEST + 2).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let file = File::open(path).map_err(unreadable)?;
        refuse_public(&file, &name)?;
        file.take(LONGEST + 2).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
        bytes.truncate(end);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    checked(bytes, &name)
}

/// A plain file that others may read holds no secret.
#[cfg(unix)]
fn refuse_public(file: &File, name: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file
        .metadata()
        .map_err(|error| Failure::keys(format!("cannot read the password file {name}: {error}")))?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        return Err(Failure::keys(format!("others can read the password file {name}"))
            .hint(format!("chmod 600 {name}")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_public(_: &File, _: &str) -> Result<(), Failure> {
    Ok(())
}

fn prompt(new: bool) -> Result<Password, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask for the password")
            .hint("--password-file FILE, or the environment variable GENKAN_PASSWORD"));
    }
    let ask = |question| {
        rpassword::prompt_password(question)
            .map(|password| Zeroizing::new(password.into_bytes()))
            .map_err(|error| Failure::keys(format!("cannot ask for the password: {error}")))
    };
    let password = ask("Password: ")?;
    if new && ask("The same again: ")? != password {
        return Err(Failure::keys("the two passwords differ"));
    }
    checked(password, "the prompt")
}

fn checked(password: Password, source: &str) -> Result<Password, Failure> {
    if password.is_empty() {
        return Err(Failure::keys(format!("the password from {source} is empty")));
    }
    if password.len() as u64 > LONGEST {
        let message = format!("the password from {source} is longer than {LONGEST} bytes");
        return Err(Failure::keys(message));
    }
    if core::str::from_utf8(&password).is_err() {
        return Err(Failure::keys(format!("the password from {source} is not valid UTF-8")));
    }
    Ok(password)
}

/// The password information of `password` for the appliance `id`.
pub(crate) fn information(
    password: &Password,
    id: &EquipmentId,
) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut out = Zeroizing::new([0; 32]);
    Params::new(MEMORY, PASSES, 1, Some(out.len()))
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        .and_then(|argon2| argon2.hash_password_into(password, id.as_bytes(), &mut *out))
        .map_err(|error| Failure::other(format!("Argon2id: {error}")))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_information_is_the_same_everywhere_and_depends_on_password_and_id() {
        let of = |password: &str, id: u8| {
            *information(&Zeroizing::new(password.into()), &EquipmentId([id; 32])).unwrap()
        };
        let hex: String = of("correct horse", 1).iter().map(|byte| format!("{byte:02x}")).collect();
        // By the reference implementation in C. Do not change the test.
        assert_eq!(hex, "adb72b674dfb2a3228c3770f2ba6b6bac7ef89f96aacb7935e260051a2e357d5");
        let known = of("correct horse", 1);
        assert_ne!(known, of("correct horsf", 1));
        assert_ne!(known, of("correct horse", 2));
    }

    #[test]
    fn only_the_first_line_counts_and_nonsense_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |content: &[u8]| {
            std::fs::write(file.path(), content).unwrap();
            from_file(file.path()).map(|password| password.to_vec()).map_err(|f| f.exit)
        };
        assert_eq!(read(b"secret\r\nsecond line"), Ok(b"secret".to_vec()));
        assert_eq!(read("pass wörd".as_bytes()), Ok("pass wörd".as_bytes().to_vec()));
        assert_eq!(read(b"\nsecond"), Err(Exit::Keys));
        assert_eq!(read(b"\xff\xfe"), Err(Exit::Keys));
        assert_eq!(read(&[b'a'; 1_024]).map(|p| p.len()), Ok(1_024));
        assert_eq!(read(&[b'a'; 1_025]), Err(Exit::Keys));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret").unwrap();
        for (mode, allowed) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(from_file(file.path()).is_ok(), allowed, "{mode:o}");
        }
    }
}
