//! What keeps a process from starting, told in one line.

use std::net::TcpListener;

use crate::support::{run, run_with_input, text};

#[test]
fn an_appliance_without_any_way_in_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let made = run(&["authority", "new", dir.path().join("a").to_str().unwrap(), "--json"]);
    let authority = text(&made.json(), "authority");
    let arguments = ["accept", "--thermostat", "--server", "127.0.0.1:9", "--data", data];
    let all = [&arguments[..], &["--authority", &authority]].concat();
    let refused = run(&all);
    assert_eq!(refused.status, 2, "{}", refused.err);
    assert!(refused.err.contains("there is no password"), "{}", refused.err);
    let asked = run_with_input(&[&all[..], &["--ask-password"]].concat(), b"secret\n");
    assert_eq!(asked.status, 2, "no terminal, no prompt: {}", asked.err);
    let empty = run_with_input(&[&all[..], &["--password-file", "-"]].concat(), b"\n");
    assert_eq!(empty.status, 4, "{}", empty.err);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let refused = run(&["serve", "--bind", &port, "--data", data]);
    assert_eq!(refused.status, 1, "{}", refused.err);
    assert!(refused.err.contains(&port), "{}", refused.err);
    let id = genkan_core::EquipmentId([1; 32]).to_string();
    let made =
        run(&["authority", "inspect", dir.path().join("authority").to_str().unwrap(), "--json"]);
    let authority = text(&made.json(), "authority");
    let arguments = ["connect", &id, "--listen", &port, "--server", "127.0.0.1:9"];
    let refused = run(&[&arguments[..], &["--authority", &authority]].concat());
    assert_eq!(refused.status, 1, "{}", refused.err);
    assert!(refused.err.contains("cannot listen on"), "{}", refused.err);
}
