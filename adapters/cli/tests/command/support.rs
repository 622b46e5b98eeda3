//! Running the command.

use core::cell::RefCell;
use core::time::Duration;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use serde_json::Value;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The command, free of the environment of whoever runs the tests.
pub(crate) fn genkan() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genkan"));
    for name in ["SERVER", "AUTHORITY", "PASSWORD"] {
        command.env_remove(format!("GENKAN_{name}"));
    }
    command.env_remove("NO_COLOR").stdin(Stdio::null());
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
    let input = input.to_vec();
    // A command that does not read its input is free not to.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.into()
}

/// A command that runs until it is stopped, and what it tells with `--json`. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// It stops when this is closed.
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    /// Told, and not asked for yet: what happens side by side may be told in either order.
    passed: RefCell<Vec<Value>>,
}

impl Running {
    pub(crate) fn start(arguments: &[impl AsRef<OsStr>]) -> Self {
        Self::start_with(arguments, &[])
    }

    pub(crate) fn start_with(
        arguments: &[impl AsRef<OsStr>],
        environment: &[(&str, &Path)],
    ) -> Self {
        let mut command = genkan();
        command.envs(environment.iter().copied());
        command.args(arguments).args(["--json", "--supervised"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, events) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let event = serde_json::from_str(&line.unwrap()).unwrap();
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, events, passed: RefCell::default() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next event of this name that fits, among those that no one asked for yet.
    pub(crate) fn event_where(&self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let wanted = |event: &Value| event["event"] == name && fits(event);
        let mut passed = self.passed.borrow_mut();
        if let Some(at) = passed.iter().position(wanted) {
            return passed.remove(at);
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => passed.push(event),
                Err(error) => panic!("no {name} ({error}), only {passed:#?}"),
            }
        }
    }

    /// The next event of this name.
    pub(crate) fn event(&self, name: &str) -> Value {
        self.event_where(name, |_| true)
    }

    /// Ends as it would with its parent; its status.
    pub(crate) fn stop(mut self) -> i32 {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for its end; its status.
    pub(crate) fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends without any chance to do something about it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a process by its id, as a signal of this name would.
#[cfg(unix)]
pub(crate) fn signal(pid: u64, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(sent.unwrap().success());
}

/// A password file that only its owner can read.
pub(crate) fn password_file(dir: &Path, password: &str) -> String {
    let path = dir.join("password");
    std::fs::write(&path, format!("{password}\n")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// The text of a field.
pub(crate) fn text(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap_or_else(|| panic!("no {name} in {event}")).to_owned()
}
