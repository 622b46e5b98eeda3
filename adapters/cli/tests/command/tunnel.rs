//! `serve`, `accept` and `connect` together, as processes on loopback.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

#[cfg(unix)]
use crate::support::signal;
use crate::support::{PATIENCE, Ran, Running, password_file, run, run_with_input, text};

const PASSWORD: &str = "open sesame 42";

/// A server, an appliance in front of an echo service, and what a user needs to know.
struct House {
    dir: TempDir,
    server: Running,
    appliance: Running,
    address: String,
    authority: String,
    id: String,
}

impl House {
    /// With the password, unless `admission` says otherwise.
    fn new(admission: Option<&[&str]>) -> Self {
        Self::with(&[], admission)
    }

    fn with(server: &[&str], admission: Option<&[&str]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let data = path("server");
        let serve = ["serve", "--bind", "127.0.0.1:0", "--data", &data];
        let server = Running::start(&[&serve[..], server].concat());
        let ready = server.event("ready");
        let (address, authority) = (text(&ready, "address"), text(&ready, "authority"));
        let password = password_file(dir.path(), PASSWORD);
        let service = echo();
        let data = path("appliance");
        let mut arguments = vec!["accept", "--forward", &service, "--data", &data];
        arguments.extend(["--server", &address, "--authority", &authority]);
        arguments.extend(admission.unwrap_or(&["--password-file", &password]));
        let appliance = Running::start(&arguments);
        let id = text(&appliance.event("ready"), "id");
        appliance.event("registered");
        Self { dir, server, appliance, address, authority, id }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn arguments(&self, id: &str, more: &[&str]) -> Vec<String> {
        let data = self.path("user");
        let mut all = vec!["connect", id, "--server", &self.address, "--data", &data];
        all.extend(["--authority", &self.authority]);
        all.extend(more);
        all.into_iter().map(str::to_owned).collect()
    }

    /// Runs `connect` to its end.
    fn connect(&self, id: &str, more: &[&str]) -> Ran {
        run(&self.arguments(id, more))
    }
}

/// A service that sends back what it gets, until it gets the end.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            std::thread::spawn(move || {
                // A client that breaks off ends its echo.
                let _ = std::io::copy(&mut &client, &mut &client);
                let _ = client.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

/// Sends `bytes` through `door` and reads until the end.
fn through(door: &str, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        (&stream).read_to_end(&mut answer).unwrap();
    });
    answer
}

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31).wrapping_add(seed) >> 3) as u8).collect()
}

#[test]
fn a_local_port_reaches_the_service_for_many_clients_at_once() {
    let house = House::new(None);
    let password = house.path("password");
    let user = Running::start(
        &house.arguments(&house.id, &["--listen", "0", "--password-file", &password]),
    );
    let door = text(&user.event("ready"), "listen");
    assert!(door.starts_with("127.0.0.1:"), "this machine alone: {door}");
    user.event("connected");
    std::thread::scope(|scope| {
        for seed in 0..8 {
            let door = &door;
            scope.spawn(move || {
                let sent = pattern(200_000 + seed * 1_000, seed);
                assert!(through(door, &sent) == sent, "client {seed}");
            });
        }
    });
    assert_eq!(through(&door, b""), b"");
    let connected = house.appliance.event("connected");
    // Dial-back and hole are tried side by side; on one machine either may be there first.
    let path = text(&connected, "path");
    assert!(["tcp", "udp"].contains(&path.as_str()), "{path}");
    assert_eq!(user.stop(), 0);
    assert_eq!(house.appliance.event("closed")["cause"], "closed-by-peer");
    assert_eq!(house.appliance.stop(), 0);
    assert_eq!(house.server.stop(), 0);
}

#[test]
fn every_way_to_ask_and_to_be_woken_leads_to_a_connection() {
    for delivery in ["auto", "stream"] {
        let house = House::with(&["--delivery", delivery], Some(&["--open"]));
        for transport in ["udp", "tcp", "race"] {
            let arguments =
                ["--listen", "0", "--transport", transport, "--timeout", "20", "--trace"];
            let user = Running::start(&house.arguments(&house.id, &arguments));
            let door = text(&user.event("ready"), "listen");
            user.event("connected");
            if transport != "race" {
                let asked = |event: &Value| event["with"] == "server" && event["over"] == transport;
                user.event_where("message", asked);
            }
            assert_eq!(through(&door, b"hello"), b"hello", "{delivery}, {transport}");
        }
    }
}

#[test]
fn two_connections_of_one_user_at_once_do_not_disturb_each_other() {
    let house = House::new(Some(&["--open"]));
    let users = [0, 1].map(|_| {
        let user = Running::start(&house.arguments(&house.id, &["--listen", "0"]));
        let door = text(&user.event("ready"), "listen");
        user.event("connected");
        (user, door)
    });
    for (_, door) in &users {
        assert_eq!(through(door, b"hello"), b"hello");
    }
    let data = house.path("appliance");
    let arguments = ["accept", "--thermostat", "--open", "--data", &data];
    let more = ["--server", &house.address, "--authority", &house.authority];
    let second = run(&[&arguments[..], &more].concat());
    assert_eq!(second.status, 4, "one key, one appliance: {}", second.err);
    assert!(second.err.contains("in use"), "{}", second.err);
}

#[test]
fn standard_input_and_output_are_joined_to_the_service() {
    let house = House::new(Some(&["--open"]));
    let sent = pattern(500_000, 1);
    let ran = {
        let mut command = crate::support::genkan();
        command.args(house.arguments(&house.id, &["--stdio"]));
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = sent.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    };
    assert_eq!(ran.status.code(), Some(0));
    assert!(ran.stdout == sent, "{} of {} bytes", ran.stdout.len(), sent.len());
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_whose_bytes_cannot_be_written_to_standard_output_is_a_failure() {
    let house = House::new(Some(&["--open"]));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = crate::support::genkan();
    command.args(house.arguments(&house.id, &["--stdio"])).stdin(std::process::Stdio::piped());
    command.stdout(full).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"payload").unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot write to standard output"), "{told}");
}

#[test]
fn with_standard_output_for_the_service_events_go_to_standard_error() {
    let house = House::new(Some(&["--open"]));
    let arguments = |id: &str| house.arguments(id, &["--stdio", "--json"]);
    let ran = run_with_input(&arguments(&house.id), b"payload");
    assert_eq!((ran.status, &*ran.out), (0, "payload"), "{}", ran.err);
    let events: Vec<Value> =
        ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["event"] == "connected"), "{}", ran.err);
    let stranger = run(&["key", "new", &house.path("stranger"), "--json"]);
    let ran = run(&arguments(&text(&stranger.json(), "id")));
    assert_eq!((ran.status, &*ran.out), (3, ""), "{}", ran.err);
    let last: Value = serde_json::from_str(ran.err.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "failed");
}

#[test]
fn a_wrong_or_missing_password_is_refused_with_status_3() {
    let house = House::new(None);
    let wrong = tempfile::tempdir().unwrap();
    let wrong = password_file(wrong.path(), "open sesame 43");
    let refused = house.connect(&house.id, &["--listen", "0", "--password-file", &wrong]);
    assert_eq!(refused.status, 3, "{}", refused.err);
    assert!(refused.err.contains("refused: either the password is wrong"), "{}", refused.err);
    assert!(refused.err.contains("--allow gk1"), "{}", refused.err);
    assert!(!refused.out.contains("listens"), "{}", refused.out);
    let seen = house.appliance.event("requested");
    assert_eq!((&seen["verdict"], &seen["reason"]), (&"declined".into(), &"wrong-password".into()));
    let refused = house.connect(&house.id, &["--listen", "0"]);
    assert_eq!(refused.status, 3);
    assert!(refused.err.contains("--ask-password"), "says what may help: {}", refused.err);
    // Nobody outside learns which it was.
    let nobody = "gk1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs";
    assert_eq!(house.connect(nobody, &["--listen", "0"]).status, 2, "not an id at all");
}

#[test]
fn an_unknown_id_and_a_server_that_is_not_there_end_with_status_3() {
    let house = House::new(Some(&["--open"]));
    let stranger = run(&["key", "new", &house.path("stranger"), "--json"]);
    let unknown = text(&stranger.json(), "id");
    assert_eq!(house.connect(&unknown, &["--listen", "0"]).status, 3);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nowhere = house.connect(&house.id, &["--stdio", "--server", &free, "--timeout", "2"]);
    assert_eq!(nowhere.status, 2, "an option given twice: {}", nowhere.err);
    let arguments = ["connect", &house.id, "--stdio", "--server", &free, "--timeout", "2"];
    let more = ["--authority", &house.authority, "--data", &house.path("other")];
    let nowhere = run(&[&arguments[..], &more].concat());
    assert_eq!(nowhere.status, 3, "{}", nowhere.err);
}

#[test]
fn another_authority_is_not_believed_and_ends_with_status_4() {
    let house = House::new(Some(&["--open"]));
    let made = run(&["authority", "new", &house.path("stranger"), "--json"]);
    let stranger = text(&made.json(), "authority");
    let arguments = ["connect", &house.id, "--listen", "0", "--server", &house.address];
    let more = ["--authority", &stranger, "--data", &house.path("user")];
    let refused = run(&[&arguments[..], &more].concat());
    assert_eq!(refused.status, 4, "{}", refused.err);
    assert!(refused.err.contains("certificate"), "{}", refused.err);
    let named = house.connect(&house.id, &["--listen", "0", "--server-name", "another.example"]);
    assert_eq!(named.status, 4, "{}", named.err);
}

#[test]
fn a_user_on_the_list_needs_no_password_and_others_are_declined() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("friend").join("key");
    let friend = text(&run(&["key", "new", key.to_str().unwrap(), "--json"]).json(), "id");
    let mut house = House::new(Some(&["--allow", &friend]));
    let data = key.parent().unwrap().to_str().unwrap();
    let arguments = ["connect", &house.id, "--listen", "0", "--server", &house.address];
    let more = ["--authority", &house.authority, "--data", data];
    let user = Running::start(&[&arguments[..], &more].concat());
    let door = text(&user.event("ready"), "listen");
    user.event("connected");
    assert_eq!(through(&door, b"hello"), b"hello");
    assert_eq!(house.connect(&house.id, &["--listen", "0"]).status, 3);
    // Who leaves the list knows the early key, so there is another one then.
    let early = house.dir.path().join("appliance").join("early-key");
    let before = std::fs::read(&early).unwrap();
    house.appliance.kill();
    let appliance = house.path("appliance");
    let arguments = ["accept", "--thermostat", "--open", "--data", &appliance];
    let more = ["--server", &house.address, "--authority", &house.authority];
    house.appliance = Running::start(&[&arguments[..], &more].concat());
    house.appliance.event("ready");
    assert_ne!(std::fs::read(&early).unwrap(), before);
}

#[test]
fn secrets_stay_out_of_the_list_of_processes_and_out_of_logs() {
    let house = House::new(None);
    let mut command = crate::support::genkan();
    command.args(house.arguments(&house.id, &["--stdio", "-vvv"])).env("GENKAN_PASSWORD", PASSWORD);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    #[cfg(target_os = "linux")]
    for pid in [child.id(), house.appliance.id()] {
        let list = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap();
        let list = String::from_utf8_lossy(&list).into_owned();
        assert!(list.contains("genkan") && !list.contains("sesame"), "{list}");
    }
    drop(stdin);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(!ran.err.contains("sesame"), "{}", ran.err);
    assert!(!ran.err.contains(&house.id[3..]), "no full id in logs: {}", ran.err);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_what_runs_well_and_what_waits_with_status_130() {
    let mut house = House::new(Some(&["--open"]));
    let mut user = Running::start(&house.arguments(&house.id, &["--listen", "0"]));
    user.event("connected");
    signal(user.id().into(), "INT");
    assert_eq!(user.wait(), 0);
    assert_eq!(house.appliance.event("closed")["cause"], "closed-by-peer", "it says goodbye");
    signal(house.appliance.id().into(), "TERM");
    assert_eq!(house.appliance.wait(), 0);
    house.server.event("left");
    house.server.kill();
    let mut waiting =
        Running::start(&house.arguments(&house.id, &["--listen", "0", "--keep-trying"]));
    waiting.event("ready");
    signal(waiting.id().into(), "INT");
    assert_eq!(waiting.wait(), 130);
}

#[test]
fn killed_processes_are_replaced_and_the_others_find_them() {
    let mut house = House::new(Some(&["--open"]));
    // Over TCP, where the system tells at once that the other end is gone. Over a punched path only
    // silence tells it, after up to a minute: too long here.
    let user = Running::start(&house.arguments(&house.id, &["--listen", "0", "--punch", "no"]));
    let door = text(&user.event("ready"), "listen");
    user.event("connected");
    house.server.kill();
    assert_eq!(through(&door, b"without the server"), b"without the server");
    let (bind, data) = (house.address.clone(), house.path("server"));
    house.server = Running::start(&["serve", "--bind", &bind, "--data", &data]);
    house.server.event("ready");
    house.appliance.kill();
    user.event("closed");
    let (data, service) = (house.path("appliance"), echo());
    let arguments = ["accept", "--forward", &service, "--data", &data, "--open"];
    let more = ["--server", &house.address, "--authority", &house.authority];
    house.appliance = Running::start(&[&arguments[..], &more].concat());
    assert_eq!(text(&house.appliance.event("ready"), "id"), house.id, "the key is kept");
    user.event("connected");
    assert_eq!(through(&door, b"again"), b"again");
}

#[test]
fn a_data_directory_has_one_user_and_a_lost_key_is_not_made_anew() {
    let mut house = House::new(None);
    let server = house.path("server");
    let second = run(&["serve", "--bind", "127.0.0.1:0", "--data", &server]);
    assert_eq!(second.status, 4, "{}", second.err);
    assert!(second.err.contains("in use"), "{}", second.err);
    house.appliance.kill();
    house.server.kill();
    let (appliance, password) = (house.path("appliance"), house.path("password"));
    let accept = ["accept", "--thermostat", "--data", &appliance, "--password-file", &password];
    let server_args = ["--server", &house.address, "--authority", &house.authority];
    for (arguments, data) in [
        ([&accept[..], &server_args].concat(), &appliance),
        (vec!["serve", "--bind", "127.0.0.1:0", "--data", &server], &server),
    ] {
        let key = Path::new(data).join("key");
        std::fs::remove_file(&key).unwrap();
        let refused = run(&arguments);
        assert_eq!(refused.status, 4, "{}", refused.err);
        assert!(refused.err.contains("the key is missing"), "{}", refused.err);
        assert!(!key.exists());
    }
}
