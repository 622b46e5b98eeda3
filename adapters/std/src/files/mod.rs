//! Files that hold secrets or state: read with care, written whole or not at all.
//!
//! *Reading a secret.* The file is opened without following a symbolic link and without waiting on a
//! pipe; then the open file itself is examined (so that nobody can swap it in between): regular,
//! owned by this user or root, closed to group and others, no longer than expected.
//!
//! *Writing.* The bytes go to a new file of mode 0600 in the same directory, which is synchronised to
//! the disk, renamed over the old one, and the directory is synchronised too. A power cut leaves the
//! old content or the new, never a mixture; what a crash may leave behind is an unused temporary.

mod admission;
mod atomic;
mod authority;
mod certificate;
mod error;
mod key;
mod record;
mod secret;
mod state;

pub use admission::Acquaintance;
pub use authority::{
    AuthorityKey, create_authority, format_authority, load_authority, parse_authority,
};
pub use certificate::{load_certificate, save_certificate};
pub use error::{FileError, Problem};
pub use key::{create_key, load_key, load_or_create_key, load_or_create_key_in, save_key};
pub use state::StateDir;
