//! What keeps a process from starting, told in one line.

use std::net::{TcpListener, UdpSocket};

use crate::support::{Running, run, run_with_input, text};

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

#[test]
fn a_server_tells_by_which_ends_it_sees_nats() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let serve = |more: &[&str]| {
        let arguments = ["serve", "--bind", "127.0.0.1:0", "--data", data];
        let server = Running::start(&[&arguments[..], more].concat());
        let ready = server.event("ready");
        assert_eq!(server.stop(), 0);
        ready
    };
    let ready = serve(&[]);
    let main = text(&ready, "address").parse::<core::net::SocketAddr>().unwrap().port();
    let other = ready["other_port"].as_u64().unwrap();
    assert!(other != 0 && other != u64::from(main), "{ready}");
    assert!(ready["other_address"].is_null(), "{ready}");
    assert!(serve(&["--other-port", "none"])["other_port"].is_null());
    // A port that was free a moment ago.
    let chosen = serve(&["--other-port", &other.to_string()]);
    assert_eq!(chosen["other_port"].as_u64(), Some(other));
    if cfg!(target_os = "linux") {
        let ready = serve(&["--other-address", "127.0.0.2"]);
        assert!(text(&ready, "other_address").starts_with("127.0.0.2:"), "{ready}");
        let behind = ["--other-port", &format!("{other}=4444"), "--other-address"];
        let ready = serve(&[&behind[..], &["127.0.0.2:0=203.0.113.5:5555"]].concat());
        assert_eq!(ready["other_port"], 4_444);
        assert_eq!(text(&ready, "other_address"), "203.0.113.5:5555");
    }
    for bind in [&[][..], &["--bind", "0.0.0.0:0"], &["--bind", "[::]:0"]] {
        let arguments = ["serve", "--data", data, "--other-address", "127.0.0.2"];
        let refused = run(&[&arguments[..], bind].concat());
        assert_eq!(refused.status, 2, "{}", refused.err);
        assert!(refused.err.contains("--bind"), "{}", refused.err);
    }
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--data", data, "--other-port", &port];
    let refused = run(&arguments);
    assert_eq!(refused.status, 1, "{}", refused.err);
    assert!(refused.err.contains(&format!("127.0.0.1:{port}")), "{}", refused.err);
}

#[test]
fn who_opened_the_next_port_in_a_firewall_is_told_when_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let (main, next) = (0..100)
        .find_map(|_| {
            let main = UdpSocket::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
            TcpListener::bind(main).ok()?;
            Some((main, UdpSocket::bind((main.ip(), main.port().checked_add(1)?)).ok()?))
        })
        .unwrap();
    let bind = main.to_string();
    let arguments = ["serve", "--bind", &bind, "--data", data];
    let server = Running::start(&arguments);
    let other = server.event("ready")["other_port"].clone();
    let taken = server.event("other-port-taken");
    assert_eq!(taken["wanted"], main.port() + 1);
    assert_eq!(taken["port"], other);
    assert_eq!(server.stop(), 0);
    drop(next);
    let server = Running::start(&arguments);
    assert_eq!(server.event("ready")["other_port"], main.port() + 1);
    assert_eq!(server.stop(), 0);
}

#[test]
fn many_guesses_are_the_users_word_and_they_are_told_what_it_means() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let made = run(&["authority", "new", dir.path().join("a").to_str().unwrap(), "--json"]);
    let authority = text(&made.json(), "authority");
    let id = genkan_core::EquipmentId([1; 32]).to_string();
    let arguments = ["connect", &id, "--stdio", "--server", "127.0.0.1:9", "--data", data];
    let more = ["--authority", &authority, "--timeout", "1", "--max-guesses"];
    let with = |guesses: &str| run(&[&arguments[..], &more, &[guesses]].concat());
    let many = with("257");
    assert_eq!(many.status, 3, "{}", many.err);
    assert!(many.err.contains("port scan"), "{}", many.err);
    assert!(!with("256").err.contains("port scan"));
}
