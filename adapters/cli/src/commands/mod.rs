//! The commands, one file each.

pub(crate) mod accept;
pub(crate) mod authority;
pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod key;
pub(crate) mod serve;

use std::path::Path;

use genkan_std::files::FileError;

use crate::exit::Failure;

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::keys(error.to_string())
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
