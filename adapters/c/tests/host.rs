//! An appliance written in C, linked with this library by the C compiler and watched by its address
//! and undefined-behaviour sanitizers, is called by an issuer over real sockets.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers are part of the test"
)]

use core::time::Duration;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    Anchors, Identity, IssuerConfig, ServerAddress, ServerConfig, StaticKey, Target,
};
use genkan_std::{Bind, IssuerNode, IssuerOptions, ServerNode, ServerOptions, Session};

const AUTHORITY: [u8; 32] = [3; 32];
const SECRET: [u8; 32] = [2; 32];
const INFORMATION: [u8; 32] = [9; 32];
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The static library of this build: cargo puts it beside the test, under a name of its own. Of
/// several, left by other sets of features, the newest is the one that was just made.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = std::fs::read_dir(test.parent().unwrap()).unwrap();
    let libraries = folder.map(|entry| entry.unwrap()).filter(|entry| {
        let name = entry.file_name().into_string().unwrap_or_default();
        name.starts_with("libgenkan_c-") && name.ends_with(".a")
    });
    let newest = libraries.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    newest.expect("cargo builds the static library with its tests").path()
}

fn build(into: &Path) -> PathBuf {
    let program = into.join("appliance");
    let output = Command::new("cc")
        .args(["-std=c99", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
        .arg("-I")
        .arg(here("include"))
        .arg("-I")
        .arg(here("example"))
        .args(["tests/host/appliance.c", "tests/host/checks.c", "example/thermostat.c"].map(here))
        .arg(library())
        .args(["-lpthread", "-ldl", "-lm", "-o"])
        .arg(&program)
        .output()
        .unwrap_or_else(|error| panic!("cc: {error}; Debian has it in build-essential"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// The program, and what it tells.
struct Appliance {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Appliance {
    fn start(program: &Path, server: u16) -> Self {
        let hex = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
        let mut child = Command::new(program)
            .arg(server.to_string())
            .args([authority_public(&AUTHORITY), SECRET, INFORMATION].map(hex))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, seen: Vec::new() }
    }

    /// Waits until it has told `line` once more.
    fn wait(&mut self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(told) = self.lines.recv_timeout(left) else {
                panic!("not told: {line}; told: {:?}", self.seen)
            };
            self.seen.push(told.clone());
            if told == line {
                return;
            }
        }
    }

    /// Lets it end; the sanitizers have their say then.
    fn end(mut self) -> Vec<String> {
        drop(self.stdin.take());
        self.wait("end");
        assert!(self.child.wait().unwrap().success(), "told: {:?}", self.seen);
        core::mem::take(&mut self.seen)
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        // It has ended by itself, if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn loopback() -> Bind {
    Bind::At("127.0.0.1:0".parse().unwrap())
}

fn serve() -> ServerNode {
    let key = StaticKey::from_secret([1; 32]);
    let subject = Subject {
        server_key: *key.public(),
        serial: 1,
        not_before: now() - 3_600,
        not_after: now() + 86_400,
        names: "rdv.test",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut out).unwrap();
    let mut config = ServerConfig::new(key, heapless::Vec::from_slice(&out[..len]).unwrap());
    config.wall_clock = now();
    ServerNode::start(ServerOptions::new(config, loopback())).unwrap()
}

fn issuer(server: &ServerNode) -> IssuerNode {
    let identity = Identity { key: StaticKey::from_secret([4; 32]), boots: 0 };
    let authorities = heapless::Vec::from_slice(&[authority_public(&AUTHORITY)]).unwrap();
    let anchors = Anchors { authorities, ..Anchors::default() };
    let address = ServerAddress::both(server.local_addr());
    let mut options = IssuerOptions::new(IssuerConfig::new(identity, address, anchors));
    (options.bind, options.listen) = (loopback(), loopback());
    IssuerNode::start(options).unwrap()
}

/// One request over a stream of its own.
fn fetch(session: &Session, request: &str) -> String {
    let mut stream = session.open(1).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_appliance_in_c_is_reached_by_password_and_serves_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path());
    let server = serve();
    let mut appliance = Appliance::start(&program, server.local_addr().port());
    let id = StaticKey::from_secret(SECRET).id();
    appliance.wait(concat!("version ", env!("CARGO_PKG_VERSION")));
    appliance.wait(&format!("id {id}"));
    appliance.wait("certificate");
    appliance.wait("registered 0");

    let issuer = issuer(&server);
    let mut target = Target::new(id);
    assert!(issuer.connect(&target).is_err(), "no password");
    appliance.wait("requested 2");
    target.password = Some([8; 32]);
    assert!(issuer.connect(&target).is_err(), "a wrong password");
    appliance.wait("persisted 4");
    appliance.wait("requested 3");

    target.password = Some(INFORMATION);
    for round in 0..2 {
        let session = issuer.connect(&target).unwrap();
        appliance.wait("requested 0");
        appliance.wait("connected 1");
        let page = fetch(&session, "GET / HTTP/1.1\r\nHost: thermostat\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("</html>"), "{page}");
        let target = 21 + round;
        let body = format!("{{\"target\":{target}.5}}");
        let length = body.len();
        let set = fetch(
            &session,
            &format!("POST /api/target HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}"),
        );
        assert!(set.contains(&format!("\"target\":{target}.5")), "{set}");
        let state = fetch(&session, "GET /api HTTP/1.1\r\n\r\n");
        assert!(state.contains(&format!("\"target\":{target}.5")), "{state}");
        let missing = fetch(&session, "GET /api/else HTTP/1.1\r\n\r\n");
        assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
        drop(session);
        appliance.wait("closed 1");
    }
    let seen = appliance.end();
    assert!(!seen.iter().any(|line| line == "requested 1"), "{seen:?}");
}
