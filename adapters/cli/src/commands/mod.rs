//! The commands, one file each.

pub(crate) mod accept;
pub(crate) mod authority;
pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod key;
pub(crate) mod serve;
pub(crate) mod sim;

use std::path::Path;

use genkan_std::files::{FileError, Problem};

use crate::exit::Failure;

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let path = error.path().display().to_string();
        match error.problem() {
            Problem::TooOpen { wanted, .. } => Self::keys(format!("others can read {path}"))
                .hint(format!("chmod {wanted:o} {path}")),
            Problem::Lost(_) => Self::keys(error.to_string())
                .hint("bring the key back from a copy, or begin anew with an empty data directory"),
            _ => Self::keys(error.to_string()),
        }
    }
}

/// Makes a directory for keys, and those above it, closed to others.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| Failure::keys(format!("cannot make {}: {error}", path.display())))
}
