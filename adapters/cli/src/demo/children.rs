//! The demo's processes: started, listened to, and certainly ended.
//!
//! Each child holds the reading end of a pipe from this process as its standard input and stops by
//! itself when that closes (`--supervised`). So none of them outlives the demo, even when the demo
//! is killed with a signal that cannot be caught. On every other way out, [`Child`]'s `Drop` closes
//! the pipe, waits for [`GRACE`], and then kills.

use core::time::Duration;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::exit::Failure;
use crate::output::clean;

/// How long a child may take to stop when asked.
const GRACE: Duration = Duration::from_secs(2);
/// How often a child that was asked to stop is looked at.
const GLANCE: Duration = Duration::from_millis(5);
/// How many lines of a child's standard error are kept for a failure's message.
const KEPT: usize = 12;
/// Longest line that is read from a child, in bytes.
const LONGEST: u64 = 64 * 1024;

/// The three processes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Who {
    Server,
    Appliance,
    User,
}

impl Who {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Appliance => "appliance",
            Self::User => "user",
        }
    }
}

/// What a child says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Said {
    /// A line of JSON.
    Event(Value),
    /// Its standard output is closed: it has ended, or is about to.
    Ended,
}

/// All children's voices, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Voices {
    sender: Sender<(Who, Said)>,
    receiver: Receiver<(Who, Said)>,
}

impl Voices {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver }
    }

    /// What is said next, if anything is within `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Option<(Who, Said)> {
        self.receiver.recv_timeout(patience).ok()
    }
}

/// A running process, which ends with this value.
#[derive(Debug)]
pub(crate) struct Child {
    who: Who,
    process: std::process::Child,
    errors: Arc<Mutex<VecDeque<String>>>,
}

impl Child {
    /// Starts this program with other arguments.
    pub(crate) fn start(
        who: Who,
        arguments: &[OsString],
        voices: &Voices,
        loud: bool,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::other(format!("cannot start the {}: {error}", who.name()));
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        // Ctrl-C on the terminal is for the demo, which then stops its children in order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command
            .args(arguments)
            .args(["--json", "--supervised"])
            // What the user has set for real use must not leak into the demo.
            .env_remove("GENKAN_SERVER")
            .env_remove("GENKAN_AUTHORITY")
            .env_remove("GENKAN_PASSWORD")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let errors = Arc::default();
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        let child = Self { who, process, errors };
        if let Some(stdout) = stdout {
            let sender = voices.sender.clone();
            spawn("voice", move || listen(who, stdout, &sender))?;
        }
        if let Some(stderr) = stderr {
            let errors = Arc::clone(&child.errors);
            spawn("errors", move || keep(who, stderr, &errors, loud))?;
        }
        Ok(child)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// The last lines that it wrote to its standard error.
    pub(crate) fn last_words(&self) -> String {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Asks it to stop; returns at once.
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.process.stdin.take());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.ask_to_stop();
        let deadline = Instant::now() + GRACE;
        while self.ended().is_none() {
            if Instant::now() >= deadline {
                tracing::warn!("the {} does not stop; killing it", self.who.name());
                // Fails only when it has ended meanwhile.
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            thread::sleep(GLANCE);
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(|error| Failure::other(format!("cannot start a thread: {error}")))
}

fn listen(who: Who, stdout: impl Read, sender: &Sender<(Who, Said)>) {
    for line in lines(stdout) {
        match serde_json::from_str(&line) {
            Ok(event) => {
                if sender.send((who, Said::Event(event))).is_err() {
                    return;
                }
            }
            Err(_) => tracing::warn!("the {} wrote something that is not JSON", who.name()),
        }
    }
    // Fails when the demo is over, which is fine.
    let _ = sender.send((who, Said::Ended));
}

fn keep(who: Who, stderr: impl Read, errors: &Mutex<VecDeque<String>>, loud: bool) {
    for line in lines(stderr) {
        let line = clean(&line);
        if loud {
            let _ = std::io::Write::write_fmt(
                &mut anstream::stderr().lock(),
                format_args!("{:>9} | {line}\n", who.name()),
            );
        }
        let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() >= KEPT {
            errors.pop_front();
        }
        errors.push_back(line);
    }
}

/// Lines of bounded length, until the end or an error.
fn lines(from: impl Read) -> impl Iterator<Item = String> {
    let mut reader = BufReader::new(from);
    core::iter::from_fn(move || {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_their_bound_and_need_not_end_in_a_newline() {
        let long = [&vec![b'x'; LONGEST as usize + 5][..], b"\nlast"].concat();
        let lengths: Vec<usize> = lines(&long[..]).map(|line| line.len()).collect();
        assert_eq!(lengths, [LONGEST as usize, 5, 4]);
    }

    #[test]
    fn what_is_not_json_is_skipped_and_the_end_is_told() {
        let voices = Voices::new();
        listen(Who::User, &b"{\"event\":\"ready\"}\nnonsense\n"[..], &voices.sender);
        let ready = serde_json::json!({ "event": "ready" });
        let next = || voices.next(Duration::from_millis(10));
        assert_eq!(next(), Some((Who::User, Said::Event(ready))));
        assert_eq!(next(), Some((Who::User, Said::Ended)));
        assert_eq!(next(), None);
    }
}
