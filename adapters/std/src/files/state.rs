//! What a node must not forget, in a directory of its own.
//!
//! | file | content | when it cannot be read |
//! |---|---|---|
//! | `certificate` | the server's certificate | fetched anew |
//! | `session` | the resumption record (secret) | a full handshake is made |
//! | `floor` | seconds since 1970 that have certainly passed | an error: time would go back |
//! | `failures` | wrong passwords in a row | an error: guessing would begin anew |
//! | `boots` | how often the node was started | an error |
//! | `password` | the salted hash of the password | an error |
//! | `paired` | ids that may connect without a password | an error |
//! | `early-key` | an acceptor's current early key (secret) | an error |
//! | `gk1…` | what an issuer knows of that acceptor (secret) | an error |
//!
//! The directory has mode 0700 and is locked while in use, so that two processes cannot both count.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use genkan_core::Resumption;
use zeroize::{Zeroize, Zeroizing};

use super::atomic::{self, Access};
use super::error::{FileError, Problem};
use super::record;

/// The state directory of one node; locked until dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Held while a value is read, changed and written.
    change: Mutex<()>,
    _lock: File,
}

impl StateDir {
    /// Opens the directory, making it with mode 0700 where it does not exist (its parent must).
    ///
    /// # Errors
    /// When others may write to it, another process uses it, or it cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        make(&path).map_err(|problem| FileError::new(&path, problem))?;
        let lock = path.join("lock");
        let held = lock_file(&lock).map_err(|problem| match problem {
            Problem::InUse => FileError::new(&path, problem),
            other => FileError::new(&lock, other),
        })?;
        Ok(Self { path, change: Mutex::new(()), _lock: held })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a value by its name (ASCII letters, digits, `-` and `_`); `None` when it was never written.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others, or is damaged.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        let path = self.file(name)?;
        match atomic::read(&path, Access::Secret, record::MAX_FILE, "a value of the state") {
            Ok(content) => record::decode(name, &content)
                .map(Some)
                .map_err(|problem| FileError::new(&path, problem)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a value; on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written, or is longer than 4,096 bytes. The old value stands then.
    pub fn write(&self, name: &str, value: &[u8]) -> Result<(), FileError> {
        let path = self.file(name)?;
        if value.len() > record::MAX_VALUE {
            return Err(FileError::new(&path, Problem::TooLong("a value of the state")));
        }
        atomic::replace(&path, Access::Secret, record::encode(name, value).as_bytes())
    }

    /// Forgets a value.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        let path = self.file(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::new(&path, error))
            }
            _ => Ok(()),
        }
    }

    fn file(&self, name: &str) -> Result<PathBuf, FileError> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > 64 || name == "lock" || !name.bytes().all(fine) {
            let path = self.path.join(name);
            return Err(FileError::new(&path, Problem::WrongType("name of a value")));
        }
        Ok(self.path.join(name))
    }

    pub(super) fn changing(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn number<const N: usize>(&self, name: &str) -> Result<Option<[u8; N]>, FileError> {
        let Some(value) = self.read(name)? else { return Ok(None) };
        let fixed = <[u8; N]>::try_from(&value[..]);
        fixed.map(Some).map_err(|_| FileError::new(&self.path.join(name), Problem::Damaged))
    }

    /// Counts one more start of the node and returns how many there were, this one included.
    ///
    /// # Errors
    /// As [`StateDir::read`] and [`StateDir::write`].
    pub fn count_boot(&self) -> Result<u64, FileError> {
        let _change = self.changing();
        let boots = self.number("boots")?.map_or(0, u64::from_be_bytes).saturating_add(1);
        self.write("boots", &boots.to_be_bytes())?;
        Ok(boots)
    }

    /// The certificate that was accepted last.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn certificate(&self) -> Result<Option<Vec<u8>>, FileError> {
        Ok(self.read("certificate")?.map(|value| value.to_vec()))
    }

    /// Keeps a certificate.
    ///
    /// # Errors
    /// As [`StateDir::write`].
    pub fn store_certificate(&self, certificate: &[u8]) -> Result<(), FileError> {
        self.write("certificate", certificate)
    }

    /// The session to take up again after a reboot.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn session(&self) -> Result<Option<Resumption>, FileError> {
        let Some(value) = self.number::<36>("session")? else { return Ok(None) };
        let value = Zeroizing::new(value);
        let (mut handle, mut root) = ([0; 4], [0; 32]);
        let (head, tail) = value.split_at(handle.len());
        handle.copy_from_slice(head);
        root.copy_from_slice(tail);
        let kept = Resumption { handle: u32::from_be_bytes(handle), root };
        root.zeroize();
        Ok(Some(kept))
    }

    /// Keeps a session.
    ///
    /// # Errors
    /// As [`StateDir::write`].
    pub fn store_session(&self, kept: &Resumption) -> Result<(), FileError> {
        let value = [&kept.handle.to_be_bytes()[..], &kept.root[..]].concat();
        self.write("session", &Zeroizing::new(value))
    }

    /// Seconds since 1970 that have certainly passed; 0 when nothing is known.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn floor(&self) -> Result<u64, FileError> {
        Ok(self.number("floor")?.map_or(0, u64::from_be_bytes))
    }

    /// Raises the floor; a lower one than the present one is ignored.
    ///
    /// # Errors
    /// As [`StateDir::read`] and [`StateDir::write`].
    pub fn raise_floor(&self, floor: u64) -> Result<(), FileError> {
        let _change = self.changing();
        if floor <= self.floor()? {
            return Ok(());
        }
        self.write("floor", &floor.to_be_bytes())
    }

    /// Wrong passwords in a row.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn failures(&self) -> Result<u32, FileError> {
        Ok(self.number("failures")?.map_or(0, u32::from_be_bytes))
    }

    /// Keeps the number of wrong passwords in a row.
    ///
    /// # Errors
    /// As [`StateDir::write`].
    pub fn store_failures(&self, failures: u32) -> Result<(), FileError> {
        self.write("failures", &failures.to_be_bytes())
    }
}

fn make(path: &Path) -> Result<(), Problem> {
    match make_private(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Err(Problem::WrongType("directory"));
    }
    atomic::owned(&metadata, 0o022, 0o700)
}

#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> std::io::Result<()> {
    fs::create_dir(path)
}

fn lock_file(path: &Path) -> Result<File, Problem> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Problem::InUse),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
