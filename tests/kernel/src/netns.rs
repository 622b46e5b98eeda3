//! Network namespaces without names: each lasts as long as something holds it, so that nothing is
//! left over, however the test ends.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio, id};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace that this process made.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new one, with `lo` up.
    ///
    /// # Panics
    /// When it cannot be made: the tests need root and a kernel that allows namespaces.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without namespaces there is nothing to test")]
    pub fn new() -> Self {
        let made = thread::scope(|scope| {
            let maker = scope.spawn(|| -> io::Result<File> {
                unshare(CloneFlags::CLONE_NEWNET)?;
                File::open("/proc/thread-self/ns/net")
            });
            maker.join().unwrap_or_else(|_| Err(io::Error::other("the thread died")))
        });
        let namespace =
            Self { file: made.expect("cannot make a network namespace; root is needed") };
        // Addresses can be used at once.
        namespace.set("net/ipv6/conf/all/accept_dad", "0");
        namespace.set("net/ipv6/conf/default/accept_dad", "0");
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `act` in a thread that is in the namespace. What it opens stays there.
    ///
    /// # Panics
    /// As `act`, and when the namespace cannot be entered.
    #[expect(clippy::expect_used, reason = "a namespace of our own that cannot be entered")]
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let done = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).expect("the namespace can be entered");
                act()
            });
            inside.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Sets `/proc/sys/KEY` there.
    ///
    /// # Panics
    /// When the kernel has no such key, or does not take the value.
    pub fn set(&self, key: &str, value: &str) {
        let done = self.within(|| fs::write(format!("/proc/sys/{key}"), value));
        assert!(done.is_ok(), "{key} = {value}: {done:?}");
    }

    /// What `/proc/sys/KEY` is there.
    ///
    /// # Panics
    /// When the kernel has no such key.
    #[must_use]
    #[expect(clippy::panic, reason = "without the settings there is nothing to test")]
    pub fn get(&self, key: &str) -> String {
        let read = self.within(|| fs::read_to_string(format!("/proc/sys/{key}")));
        read.unwrap_or_else(|error| panic!("{key}: {error}")).trim().into()
    }

    /// As [`Namespace::set`], where the kernel has the key.
    pub fn set_if_any(&self, key: &str, value: &str) {
        let _ = self.within(|| fs::write(format!("/proc/sys/{key}"), value));
    }

    /// How `ip` names it, as long as it is held.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", id(), self.file.as_raw_fd())
    }

    /// Runs lines of `ip` there.
    ///
    /// # Panics
    /// When one fails.
    pub fn ip(&self, lines: &str) {
        self.run(&["ip", "-batch", "-"], lines);
    }

    /// Runs a command there, for 10 s at most, and gives it `input`.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, command: &[&str], input: &str) {
        let _ = self.output(command, input);
    }

    /// As [`Namespace::run`]: what the command prints.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a tool that the stage has installed")]
    pub fn output(&self, command: &[&str], input: &str) -> String {
        let output = self.within(|| -> io::Result<_> {
            let mut child = Command::new("timeout")
                .args(["-k", "1", "10"])
                .args(command)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes())?;
            }
            child.wait_with_output()
        });
        let output = output.expect("the command can be run");
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?} failed\n{input}\n{out}{err}");
        out.into_owned()
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}
