//! Bringing the three processes up, one after the other, and listening to them.

use core::net::SocketAddr;
use core::time::Duration;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::children::{Child, Said, Voices, Who};
use super::http::{self, Reply};
use super::timeline::Timeline;
use crate::clock;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::stop::Stop;

/// How long each step may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a wait looks whether to stop.
const GLANCE: Duration = Duration::from_millis(50);
/// A child that ends within this time of Ctrl-C was stopped, and did not fail.
const SETTLE: Duration = Duration::from_millis(100);
/// When nothing was told for so long, everything was; and how long to wait for that at most.
const QUIET: Duration = Duration::from_millis(20);
const LONGEST_SETTLE: Duration = Duration::from_millis(500);
/// What the demo sets the thermostat to, in °C.
const TARGET: f64 = 22.5;

/// The demo while it runs. Dropping it ends all processes.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    output: &'a Output,
    pub(crate) stop: &'a Stop,
    loud: u8,
    // Before the directory: the processes end before their files vanish.
    children: Vec<(Who, Child)>,
    data: TempDir,
    pub(crate) voices: Voices,
    pub(crate) timeline: Timeline,
    pub(crate) facts: Facts,
}

/// What the processes told about themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) server: String,
    pub(crate) authority: String,
    pub(crate) appliance: String,
    /// Where the user reaches the thermostat.
    pub(crate) door: Option<SocketAddr>,
    /// When the server, the appliance and the user were started, microseconds since 1970.
    pub(crate) began: [u64; 3],
}

/// What the user's visit came to.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) page: Reply,
    pub(crate) before: Value,
    pub(crate) set: Reply,
    pub(crate) after: Value,
    /// When it began and ended, microseconds since 1970.
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(output: &'a Output, stop: &'a Stop, loud: u8) -> Result<Self, Failure> {
        let failed = |error| Failure::other(format!("cannot make a temporary directory: {error}"));
        let data = temporary().map_err(failed)?;
        // Drawn like any key, so that nobody else on this machine can guess it.
        let drawn = genkan_std::files::create_key(&data.path().join("password-source"))?;
        write_private(&data.path().join("password"), &drawn.id().to_string())?;
        Ok(Self {
            output,
            stop,
            loud,
            children: Vec::new(),
            data,
            voices: Voices::new(),
            timeline: Timeline::default(),
            facts: Facts::default(),
        })
    }

    /// Starts, or starts again, one of the processes.
    pub(crate) fn start(&mut self, who: Who) -> Outcome {
        let arguments = self.arguments(who);
        self.children.retain(|(other, _)| *other != who);
        let child = Child::start(who, &arguments, &self.voices, self.loud > 0)?;
        tracing::info!("{} runs as process {}", who.name(), child.id());
        self.output.json(
            &crate::events::Event::new("process")
                .with("process", who.name())
                .with("pid", child.id())
                .into_value(),
        );
        self.children.push((who, child));
        Ok(())
    }

    fn arguments(&self, who: Who) -> Vec<OsString> {
        let path = |name: &str| self.data.path().join(name).into_os_string();
        let mut arguments: Vec<OsString> = Vec::new();
        let mut push = |more: &[&str]| arguments.extend(more.iter().map(OsString::from));
        let facts = &self.facts;
        match who {
            Who::Server => {
                let bind = if facts.server.is_empty() { "127.0.0.1:0" } else { &facts.server };
                push(&["serve", "--bind", bind, "--name", "demo", "--interval", "5"]);
                push(&["--other-port", "none"]);
            }
            Who::Appliance => push(&["accept", "--thermostat"]),
            Who::User => {
                let door = facts.door.map_or_else(|| "127.0.0.1:0".into(), |door| door.to_string());
                push(&["connect", &facts.appliance, "--listen", &door]);
                // Started again, it may be there before the others are.
                push(if facts.door.is_some() { &["--keep-trying"] } else { &[] });
            }
        }
        if who != Who::Server {
            push(&["--server", &facts.server, "--authority", &facts.authority]);
            // On one machine there is no NAT to look at.
            push(&["--punch", "no"]);
            push(&["--server-name", "demo", "--trace", "--password-file"]);
            arguments.push(path("password"));
        }
        arguments.extend(["--data".into(), path(who.name())]);
        arguments.extend((0..self.loud).map(|_| "--verbose".into()));
        arguments
    }

    pub(crate) fn start_server(&mut self) -> Outcome {
        self.output.progress(|_| "starting the server …".into());
        self.facts.began[0] = clock::micros();
        self.start(Who::Server)?;
        let ready = self.wait_for(Who::Server, "ready")?;
        self.facts.server = text(&ready, "address");
        self.facts.authority = text(&ready, "authority");
        Ok(())
    }

    pub(crate) fn start_appliance(&mut self) -> Outcome {
        self.output.progress(|_| "starting the appliance …".into());
        self.facts.began[1] = clock::micros();
        self.start(Who::Appliance)?;
        let ready = self.wait_for(Who::Appliance, "ready")?;
        self.facts.appliance = text(&ready, "id");
        self.wait_for(Who::Appliance, "registered").map(drop)
    }

    pub(crate) fn start_user(&mut self) -> Outcome {
        self.output.progress(|_| "connecting …".into());
        self.facts.began[2] = clock::micros();
        self.start(Who::User)?;
        let ready = self.wait_for(Who::User, "ready")?;
        self.facts.door = text(&ready, "listen").parse().ok();
        self.wait_for(Who::User, "connected").map(drop)
    }

    /// Fetches the page and sets the thermostat, through the tunnel.
    pub(crate) fn visit(&mut self) -> Result<Visit, Failure> {
        self.output.progress(|_| "fetching the page …".into());
        let door = self.facts.door.ok_or_else(|| Failure::other("the user has no local port"))?;
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new()
            .name("visit".into())
            .spawn(move || drop(sender.send(visit(door))))
            .map_err(|error| Failure::other(format!("cannot start a thread: {error}")))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match receiver.try_recv() {
                Ok(result) => return result,
                Err(mpsc::TryRecvError::Disconnected) => {
                    return Err(Failure::other("the visit ended without a result"));
                }
                Err(mpsc::TryRecvError::Empty) if Instant::now() >= deadline => {
                    return Err(Failure::unreachable("the page did not come within 20 s"));
                }
                Err(mpsc::TryRecvError::Empty) => self.listen(Duration::from_millis(2))?,
            }
        }
    }

    /// Hears out what the processes still have to tell of what has happened.
    pub(crate) fn settle(&mut self) -> Outcome {
        let deadline = Instant::now() + LONGEST_SETTLE;
        while Instant::now() < deadline && self.hear(QUIET)?.is_some() {}
        Ok(())
    }

    /// Waits until `who` tells the event `name`, recording everything meanwhile.
    fn wait_for(&mut self, who: Who, name: &str) -> Result<Value, Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some((speaker, event)) = self.hear(GLANCE)?
                && speaker == who
                && event["event"] == name
            {
                return Ok(event);
            }
        }
        let message = format!("the {} did not get to '{name}' within 20 s", who.name());
        Err(Failure::unreachable(self.with_last_words(who, message)))
    }

    /// Records what is said within `patience`.
    fn listen(&mut self, patience: Duration) -> Outcome {
        self.hear(patience).map(drop)
    }

    /// The next event, if any is told within `patience`.
    fn hear(&mut self, patience: Duration) -> Result<Option<(Who, Value)>, Failure> {
        if self.stop.is_set() {
            return Err(Failure::interrupted());
        }
        match self.voices.next(patience) {
            None => Ok(None),
            Some((who, Said::Event(event))) => {
                self.record(who, &event);
                if event["event"] == "failed" {
                    let why = text(&event, "message");
                    let exit = match event["exit"].as_u64() {
                        Some(3) => Exit::Unreachable,
                        Some(4) => Exit::Keys,
                        _ => Exit::Other,
                    };
                    return Err(Failure::new(exit, format!("the {} failed: {why}", who.name())));
                }
                Ok(Some((who, event)))
            }
            Some((who, Said::Ended)) if self.stop.wait(SETTLE) => {
                tracing::debug!("the {} stopped", who.name());
                Err(Failure::interrupted())
            }
            Some((who, Said::Ended)) => {
                let message = format!("the {} ended", who.name());
                Err(Failure::other(self.with_last_words(who, message)))
            }
        }
    }

    /// Takes an event into the timeline, and passes it on.
    fn record(&mut self, who: Who, event: &Value) {
        self.timeline.add(who, event);
        self.pass_on(who, event);
    }

    /// Passes an event on to whoever reads our own events.
    pub(crate) fn pass_on(&self, who: Who, event: &Value) {
        if self.output.is_json() {
            let mut event = event.clone();
            event["process"] = who.name().into();
            self.output.json(&event);
        }
    }

    fn with_last_words(&self, who: Who, message: String) -> String {
        let said = self.children.iter().find(|(other, _)| *other == who);
        match said.map(|(_, child)| child.last_words()) {
            Some(words) if !words.is_empty() => format!("{message}; it wrote: {words}"),
            _ => message,
        }
    }

    /// Ends all processes and removes their files.
    pub(crate) fn close(mut self) -> Outcome {
        // Ask all first, so that they stop side by side.
        for (_, child) in &mut self.children {
            child.ask_to_stop();
        }
        self.children.clear();
        self.data
            .close()
            .map_err(|error| Failure::other(format!("cannot remove the demo's files: {error}")))
    }
}

/// A directory that goes with the demo; in memory where the system has such a place, because
/// nothing here is worth the time that a busy disk takes to keep it.
fn temporary() -> io::Result<TempDir> {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("genkan-demo-");
        builder
    };
    if std::env::var_os("TMPDIR").is_none() {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        for place in runtime.into_iter().chain([PathBuf::from("/dev/shm")]) {
            if place.is_absolute()
                && let Ok(made) = builder().tempdir_in(place)
            {
                return Ok(made);
            }
        }
    }
    builder().tempdir()
}

fn text(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap_or_default().to_owned()
}

/// What a user does with the thermostat.
fn visit(door: SocketAddr) -> Result<Visit, Failure> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error| Failure::unreachable(format!("{what} through the tunnel: {error}"))
    };
    let state = |reply: &Reply| -> Result<Value, Failure> {
        serde_json::from_str(&reply.body)
            .map_err(|error| Failure::other(format!("the thermostat's answer: {error}")))
    };
    let began = clock::micros();
    let page = http::request(door, "GET", "/", None).map_err(failed("fetching the page"))?;
    let before = http::request(door, "GET", "/api", None).map_err(failed("reading"))?;
    let body = format!("{{\"target\":{TARGET}}}");
    let set = http::request(door, "POST", "/api/target", Some(&body)).map_err(failed("setting"))?;
    let after = http::request(door, "GET", "/api", None).map_err(failed("reading"))?;
    let (before, after) = (state(&before)?, state(&after)?);
    if page.status != 200 || !page.body.contains("Thermostat") {
        return Err(Failure::other(format!("the page came with status {}", page.status)));
    }
    if set.status != 200 || after["target"] != TARGET {
        return Err(Failure::other(format!("the thermostat was not set (status {})", set.status)));
    }
    Ok(Visit { page, before, set, after, began, ended: clock::micros() })
}

/// Writes a file that only this user can read.
fn write_private(path: &std::path::Path, content: &str) -> Outcome {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = |mut file: std::fs::File| io::Write::write_all(&mut file, content.as_bytes());
    options
        .open(path)
        .and_then(write)
        .map_err(|error| Failure::other(format!("cannot write {}: {error}", path.display())))
}
