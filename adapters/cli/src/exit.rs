//! How the command ends: one status per kind of failure, and the sentence that goes with it.
//!
//! | status | meaning |
//! |-------:|---|
//! | 0 | done; also when a command that runs until stopped was stopped |
//! | 1 | any other failure |
//! | 2 | the command line is wrong |
//! | 3 | refused, or not reachable |
//! | 4 | a key, certificate or password is missing, wrong or readable by others |
//! | 130 | interrupted before the work was done |

use std::fmt;
use std::process::ExitCode;

/// The exit statuses, as `--help` and the README tell them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    Other = 1,
    Usage = 2,
    Unreachable = 3,
    Keys = 4,
    Interrupted = 130,
}

impl Exit {
    pub(crate) const fn status(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Why a command failed, for a person, with what to do about it where we know that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::new(Exit::Other, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn keys(message: impl Into<String>) -> Self {
        Self::new(Exit::Keys, message)
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<(), Failure>;

/// The end of `--help`.
pub(crate) const HELP: &str = "\
Exit status:
  0    done; also when a command that runs until stopped was stopped
  1    any other failure
  2    the command line is wrong
  3    refused, or not reachable
  4    a key, certificate or password is missing, wrong or readable by others
  130  interrupted before the work was done

`genkan demo` shows everything at work on this machine alone.";
