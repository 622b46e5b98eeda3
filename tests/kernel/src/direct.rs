//! `genkan serve`, `accept` and `connect` as processes in namespaces: a [`Town`] has a server, and
//! appliances and users wherever its tests put them.
//!
//! Keys are made in a directory that goes with the town. What a process tells is what it prints with
//! `--json`; how its user fetches the appliance's page is by the local port that `connect` opens. A
//! process ends when it is dropped, and when whoever runs the tests is gone.

use core::cell::RefCell;
use core::net::SocketAddr;
use core::time::Duration;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::netns::Namespace;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The command: the file that `GENKAN_COMMAND` names, or what the same profile has built.
fn command() -> PathBuf {
    std::env::var_os("GENKAN_COMMAND").map_or_else(
        || {
            let mut path = std::env::current_exe().unwrap_or_default();
            // DIRECTORY/deps/test to DIRECTORY/genkan.
            path.pop();
            path.pop();
            path.join("genkan")
        },
        PathBuf::from,
    )
}

/// A command that runs until it is stopped, and what it tells.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// It stops when this is closed.
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    /// Told, and not asked for yet: what happens side by side may be told in either order.
    passed: RefCell<Vec<Value>>,
    /// What it writes for people.
    log: PathBuf,
}

impl Process {
    /// Starts `genkan` with these arguments in a namespace; `log` is where its standard error goes.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[expect(clippy::panic, reason = "without the command there is nothing to test")]
    pub fn start(namespace: &Namespace, log: PathBuf, arguments: &[&str]) -> Self {
        let (path, file) = (command(), File::create(&log));
        let spawned = namespace.within(|| {
            let mut command = Command::new(&path);
            for name in ["SERVER", "AUTHORITY", "PASSWORD"] {
                command.env_remove(format!("GENKAN_{name}"));
            }
            command.args(arguments).args(["--json", "--supervised"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file?).spawn()
        });
        let mut child = spawned.unwrap_or_else(|error| {
            panic!("{} cannot be started ({error}); tests/run kernel builds it", path.display())
        });
        let (sender, events) = mpsc::channel();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        std::thread::spawn(move || {
            let lines = stdout.map(|out| BufReader::new(out).lines()).into_iter().flatten();
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, events, passed: RefCell::default(), log }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next event of this name that fits, among those that no one asked for yet, if it comes within
    /// so long.
    pub fn within(
        &self,
        longest: Duration,
        name: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let deadline = Instant::now() + longest;
        let wanted = |event: &Value| event["event"] == name && fits(event);
        let mut passed = self.passed.borrow_mut();
        if let Some(at) = passed.iter().position(wanted) {
            return Some(passed.remove(at));
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) if wanted(&event) => return Some(event),
                Ok(event) => passed.push(event),
                Err(_) => return None,
            }
        }
    }

    /// As [`Process::within`], when it must come.
    ///
    /// # Panics
    /// When it does not: with everything else that was told.
    pub fn event_where(&self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.must(PATIENCE, name, fits)
    }

    /// The next event of this name, which must come within so long.
    ///
    /// # Panics
    /// When it does not.
    pub fn event_within(&self, longest: Duration, name: &str) -> Value {
        self.must(longest, name, |_| true)
    }

    #[expect(clippy::panic, reason = "what a test does when something does not happen")]
    fn must(&self, longest: Duration, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.within(longest, name, fits).unwrap_or_else(|| {
            let told: Vec<String> = self.passed.borrow().iter().map(Value::to_string).collect();
            panic!("{}: no {name}, only\n{}\n{}", self.log.display(), told.join("\n"), self.log())
        })
    }

    /// The next event of this name, which must come.
    ///
    /// # Panics
    /// When it does not.
    pub fn event(&self, name: &str) -> Value {
        self.event_where(name, |_| true)
    }

    /// Everything that was told so far and that no one asked for.
    #[must_use]
    pub fn told(&self) -> Vec<Value> {
        let mut passed = self.passed.borrow_mut();
        passed.extend(self.events.try_iter());
        passed.clone()
    }

    /// What it has written for people so far: all that it logs with `-v`.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends as it would with its parent; its status, or `None` when it must be killed.
    #[must_use]
    pub fn stop(mut self) -> Option<i32> {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Process {
    fn kill(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server, and a directory for the keys of all.
#[derive(Debug)]
pub struct Town {
    /// `genkan serve`.
    pub server: Process,
    /// Its address.
    pub address: SocketAddr,
    arguments: Vec<String>,
    authority: String,
    dir: TempDir,
}

/// `genkan accept` with the demo's thermostat, for anybody.
#[derive(Debug)]
pub struct Appliance {
    /// The process.
    pub process: Process,
    /// Its id.
    pub id: String,
    /// From where the server sees it.
    pub observed: SocketAddr,
}

/// `genkan connect` with a local port.
#[derive(Debug)]
pub struct User<'n> {
    /// The process.
    pub process: Process,
    namespace: &'n Namespace,
    listen: SocketAddr,
}

impl Town {
    /// A server at an address of a namespace; `more`: further arguments of `serve`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without a directory there are no keys")]
    pub fn new(internet: &Namespace, address: SocketAddr, more: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory for keys");
        let (data, bind) = (text(dir.path().join("server")), address.to_string());
        let arguments = [&["serve", "--bind", &bind, "--data", &data], more].concat();
        let server = Process::start(internet, dir.path().join("server.log"), &arguments);
        let authority = field(&server.event("ready"), "authority");
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self { server, address, arguments, authority, dir }
    }

    /// The server is killed, and started again with the same keys. It has forgotten everybody.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self, internet: &Namespace) {
        self.server.kill();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.server = Process::start(internet, self.dir.path().join("server.log"), &arguments);
        let _ = self.server.event("ready");
    }

    /// The authority key that vouches for the server, as it prints it.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// An appliance that has registered; `name`: its own in this town; `more`: further arguments of
    /// `accept`.
    ///
    /// # Panics
    /// When it does not start, or the server does not hear of it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the command tells addresses as addresses")]
    pub fn accept(&self, home: &Namespace, name: &str, more: &[&str]) -> Appliance {
        let server = self.address.to_string();
        let data = text(self.dir.path().join(name));
        let arguments = [
            &["accept", "--thermostat", "--open", "--data", &data],
            &["--server", &server, "--authority", &self.authority][..],
            more,
        ];
        let log = self.dir.path().join(format!("{name}.log"));
        let process = Process::start(home, log, &arguments.concat());
        let id = field(&process.event("ready"), "id");
        let observed = field(&process.event("registered"), "observed");
        Appliance { process, id, observed: observed.parse().expect("an address") }
    }

    /// A user who asks for an appliance; `name`: his own in this town; `more`: further arguments of
    /// `connect`. It need not be connected yet.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the command tells addresses as addresses")]
    pub fn connect<'n>(
        &self,
        home: &'n Namespace,
        name: &str,
        id: &str,
        more: &[&str],
    ) -> User<'n> {
        let server = self.address.to_string();
        let data = text(self.dir.path().join(name));
        let arguments = [
            &["connect", id, "--listen", "0", "--data", &data],
            &["--server", &server, "--authority", &self.authority][..],
            more,
        ];
        let log = self.dir.path().join(format!("{name}.log"));
        let process = Process::start(home, log, &arguments.concat());
        let listen = field(&process.event("ready"), "listen").parse().expect("an address");
        User { process, namespace: home, listen }
    }
}

impl User<'_> {
    /// The appliance's page, through the tunnel.
    ///
    /// # Panics
    /// When it does not come whole.
    #[must_use]
    #[expect(clippy::panic, reason = "what a test does when something does not happen")]
    pub fn page(&self) -> String {
        match self.get("/") {
            Ok(page) => page,
            Err(error) => panic!("the page does not come: {error}, {:#?}", self.process.told()),
        }
    }

    /// The answer to a `GET`, head and body, through the tunnel.
    ///
    /// # Errors
    /// As the connection to the local port has them; nothing may take longer than 30 s.
    pub fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = self.ask("GET", path, "")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// A connection to the local port, on which nothing is said.
    ///
    /// # Errors
    /// As it has them; no reading takes longer than 30 s.
    pub fn call(&self) -> std::io::Result<TcpStream> {
        let door = self.listen;
        let stream = self.namespace.within(|| TcpStream::connect(door))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Sends a request through the tunnel, with a body of JSON where there is one; the answer, head and
    /// body, can be read from what is returned.
    ///
    /// # Errors
    /// As the connection to the local port has them; no reading takes longer than 30 s.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<TcpStream> {
        let mut stream = self.call()?;
        let more = match body.len() {
            0 => String::new(),
            length => {
                format!("Content-Type: application/json\r\nContent-Length: {length}\r\n")
            }
        };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n{more}\r\n");
        stream.write_all((head + body).as_bytes())?;
        Ok(stream)
    }
}

/// Whether this is the thermostat's page, to its end.
#[must_use]
pub fn is_page(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ")
        && answer.contains("<title>Thermostat</title>")
        && answer.trim_end().ends_with("</html>")
}

/// The text of an event's field.
///
/// # Panics
/// When it has none.
#[must_use]
#[expect(clippy::panic, reason = "what a test does when something is not told")]
pub fn field(event: &Value, name: &str) -> String {
    let text = event[name].as_str().map(str::to_owned);
    text.unwrap_or_else(|| panic!("no {name} in {event}"))
}

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}
