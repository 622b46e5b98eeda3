//! What can be wrong with a file, always with its path.

use std::io;
use std::path::{Path, PathBuf};

/// A file or directory could not be used. The text says which and why, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    path: PathBuf,
    problem: Problem,
}

impl FileError {
    pub(crate) fn new(path: &Path, problem: impl Into<Problem>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }

    /// Of which file or directory this speaks.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Whether the file is simply not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(&self.problem, Problem::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether a file that should have been made anew is there already.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        matches!(self.problem, Problem::Exists)
    }
}

/// What is wrong with a file or directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was to be made anew, but is there already.
    #[error("exists already; it is not overwritten")]
    Exists,
    /// Others than its owner can read or write a secret.
    #[error("permissions {mode:04o} let others than the owner at it; run: chmod {wanted:o} on it")]
    TooOpen {
        /// Its permission bits.
        mode: u32,
        /// The permission bits that it should have.
        wanted: u32,
    },
    /// It belongs to a user who is neither this process's nor root.
    #[error("belongs to another user (uid {0})")]
    Foreign(u32),
    /// A symbolic link, which could be turned to something else between two looks.
    #[error("is a symbolic link; name the file itself")]
    Symlink,
    /// A directory, pipe, socket or device where a file is wanted, or the reverse.
    #[error("is not a regular {0}")]
    WrongType(&'static str),
    /// Longer than anything that belongs here.
    #[error("is too long to be {0}")]
    TooLong(&'static str),
    /// The content is not what it should be.
    #[error("does not hold {wanted}: {why}")]
    Content {
        /// What should be there.
        wanted: &'static str,
        /// Why it is not.
        why: &'static str,
    },
    /// Its checksum is wrong: the storage has damaged it.
    #[error("is damaged (its checksum is wrong)")]
    Damaged,
    /// A key is missing where it must have been: this other file stands beside it.
    #[error("the key is missing, although `{0}` is there; a new key would be another identity")]
    Lost(&'static str),
    /// Another process works with the directory.
    #[error("is in use by another process")]
    InUse,
    /// The operating system gave no randomness for a new key.
    #[error("cannot be made: the operating system gave no randomness")]
    NoEntropy,
}
