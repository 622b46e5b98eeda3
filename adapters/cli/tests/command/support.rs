//! Running the command.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The command, free of the environment of whoever runs the tests.
pub(crate) fn genkan() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genkan"));
    for name in ["GENKAN_SERVER", "GENKAN_AUTHORITY", "GENKAN_PASSWORD", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// The only line of JSON on standard output.
    pub(crate) fn json(&self) -> Value {
        let mut lines = self.out.lines();
        let value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(lines.next(), None, "{}", self.out);
        value
    }
}

/// Runs to the end.
pub(crate) fn run(arguments: &[impl AsRef<OsStr>]) -> Ran {
    genkan().args(arguments).output().unwrap().into()
}

/// Runs to the end with something on standard input.
pub(crate) fn run_with_input(arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Ran {
    let mut command = genkan();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input is free not to.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap().into()
}
