//! Reading with examination, and writing whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::{FileError, Problem};

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Its owner alone: mode 0600.
    Secret,
    /// Everybody: mode 0644.
    Public,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Secret => 0o600,
            Self::Public => 0o644,
        }
    }
}

/// Reads a file of at most `limit` bytes. `what` names the expected content in errors.
pub(super) fn read(
    path: &Path,
    access: Access,
    limit: usize,
    what: &'static str,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let fail = |problem: Problem| FileError::new(path, problem);
    let mut file = open(path, access).map_err(fail)?;
    examine(&file, access).map_err(fail)?;
    // Room for all of it from the start: a growing vector would leave copies of a secret behind.
    let mut content = Zeroizing::new(vec![0; limit.saturating_add(1)]);
    let mut filled = 0;
    while let Some(room) = content.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fail(error.into())),
        }
    }
    if filled > limit {
        return Err(fail(Problem::TooLong(what)));
    }
    content.truncate(filled);
    Ok(content)
}

#[cfg(unix)]
fn open(path: &Path, access: Access) -> Result<File, Problem> {
    use rustix::fs::OFlags;
    use rustix::io::Errno;
    use std::os::unix::fs::OpenOptionsExt;

    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if access == Access::Secret {
        flags |= OFlags::NOFOLLOW;
    }
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => Problem::Symlink,
        Some(code) if code == Errno::NXIO.raw_os_error() => Problem::WrongType("file"),
        _ => error.into(),
    })
}

#[cfg(not(unix))]
fn open(path: &Path, _access: Access) -> Result<File, Problem> {
    Ok(OpenOptions::new().read(true).open(path)?)
}

fn examine(file: &File, access: Access) -> Result<(), Problem> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Problem::WrongType("file"));
    }
    match access {
        Access::Secret => owned(&metadata, 0o077, access.mode()),
        Access::Public => Ok(()),
    }
}

/// Refuses what belongs to a stranger or grants a permission of `forbidden`.
#[cfg(unix)]
pub(super) fn owned(metadata: &fs::Metadata, forbidden: u32, wanted: u32) -> Result<(), Problem> {
    use std::os::unix::fs::MetadataExt;

    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(Problem::Foreign(owner));
    }
    if mode & forbidden != 0 {
        return Err(Problem::TooOpen { mode, wanted });
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn owned(_: &fs::Metadata, _: u32, _: u32) -> Result<(), Problem> {
    Ok(())
}

/// Puts `content` in the place of whatever `path` held.
pub(super) fn replace(path: &Path, access: Access, content: &[u8]) -> Result<(), FileError> {
    let fail = |problem: Problem| FileError::new(path, problem);
    match fs::symlink_metadata(path) {
        Ok(old) if old.is_symlink() => return Err(fail(Problem::Symlink)),
        Ok(old) if !old.is_file() => return Err(fail(Problem::WrongType("file"))),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error.into())),
    }
    let temporary = Temporary::write(path, access, content).map_err(fail)?;
    temporary.rename(path).map_err(fail)
}

/// As [`replace`], but refuses when anything stands at `path`, even a dangling symbolic link.
pub(super) fn create(path: &Path, access: Access, content: &[u8]) -> Result<(), FileError> {
    let fail = |problem: Problem| FileError::new(path, problem);
    if fs::symlink_metadata(path).is_ok() {
        return Err(fail(Problem::Exists));
    }
    let temporary = Temporary::write(path, access, content).map_err(fail)?;
    temporary.link(path).map_err(fail)
}

/// A temporary file beside its later place; removed when it does not get there.
struct Temporary {
    path: PathBuf,
    armed: bool,
}

impl Temporary {
    fn write(target: &Path, access: Access, content: &[u8]) -> Result<Self, Problem> {
        let name = target.file_name().ok_or(Problem::WrongType("file name"))?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| Problem::NoEntropy)?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{:016x}.tmp", u64::from_ne_bytes(random)));
        let path = target.with_file_name(hidden);
        let mut file = create_new(&path, access)?;
        let temporary = Self { path, armed: true };
        file.write_all(content)?;
        file.sync_all()?;
        Ok(temporary)
    }

    fn rename(mut self, target: &Path) -> Result<(), Problem> {
        fs::rename(&self.path, target)?;
        self.armed = false;
        sync_directory(target)
    }

    /// A hard link fails where something stands already; a rename would replace it.
    fn link(self, target: &Path) -> Result<(), Problem> {
        match fs::hard_link(&self.path, target) {
            Ok(()) => {
                drop(self);
                sync_directory(target)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Problem::Exists),
            // A file system without hard links: `create` has looked just before.
            Err(_) => self.rename(target),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.armed {
            // Nothing better can be done; an unused temporary harms nobody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn create_new(path: &Path, access: Access) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if access != Access::Secret {
        file.set_permissions(fs::Permissions::from_mode(access.mode()))?;
    }
    Ok(file)
}

#[cfg(not(unix))]
fn create_new(path: &Path, _access: Access) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Makes a rename in the directory of `target` last through a power cut.
#[cfg(unix)]
fn sync_directory(target: &Path) -> Result<(), Problem> {
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    Ok(())
}

#[cfg(not(unix))]
fn sync_directory(_target: &Path) -> Result<(), Problem> {
    Ok(())
}
