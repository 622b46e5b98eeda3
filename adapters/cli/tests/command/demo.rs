//! `genkan demo`.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{PATIENCE, Running, run, text};

#[test]
fn the_demo_ends_well_and_tells_what_happened() {
    let ran = run(&["demo"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    for part in [
        "user → server     who are you? (certificate, please)",
        "server → appliance  sealed request, passed on",
        "opens the seal: password right, accepted",
        "communication request (end-to-end keys 2/2)",
        "direct path stands, over TCP",
        "target 20.0 °C → 22.5 °C",
        "round trips",
    ] {
        assert!(ran.out.contains(part), "{part} in {}", ran.out);
    }
    assert!(ran.out.lines().all(|line| line.chars().count() <= 100), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn events_of_all_processes_come_as_json() {
    let demo = Running::start(&["demo"]);
    for who in ["server", "appliance", "user"] {
        demo.event_where("process", |event| event["process"] == who);
    }
    let summary = demo.event("summary");
    assert_eq!(summary["target"]["after"], 22.5);
    assert!(summary["connect_us"].as_u64() > Some(0));
    assert_eq!(demo.stop(), 0);
}

/// What the thermostat says, through the tunnel.
fn state(url: &str) -> std::io::Result<String> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /api HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Asks again until it answers.
fn answers(url: &str) -> bool {
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < deadline {
        if state(url).is_ok_and(|answer| answer.contains("\"target\"")) {
            return true;
        }
        std::thread::sleep(core::time::Duration::from_millis(100));
    }
    false
}

#[cfg(target_os = "linux")]
fn runs(pid: u64) -> bool {
    std::path::Path::new("/proc").join(pid.to_string()).join("exe").exists()
}

#[cfg(unix)]
fn held(temporary: &std::path::Path) -> (Running, Vec<(&'static str, u64)>, String) {
    let demo = Running::start_with(&["demo", "--hold"], &[("TMPDIR", temporary)]);
    let pids = ["server", "appliance", "user"].map(|who| {
        let event = demo.event_where("process", |event| event["process"] == who);
        (who, event["pid"].as_u64().unwrap())
    });
    let url = text(&demo.event("holding"), "url");
    (demo, pids.to_vec(), url)
}

#[cfg(target_os = "linux")]
#[test]
fn a_held_demo_survives_the_death_of_each_process_and_ends_cleanly_with_ctrl_c() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut demo, mut pids, url) = held(temporary.path());
    assert!(answers(&url));
    for (who, pid) in &mut pids {
        crate::support::signal(*pid, "KILL");
        let next = demo.event_where("process", |event| event["process"] == *who);
        *pid = next["pid"].as_u64().unwrap();
        assert!(answers(&url), "after the death of the {who}");
    }
    crate::support::signal(demo.id().into(), "INT");
    assert_eq!(demo.wait(), 0);
    assert!(pids.iter().all(|(_, pid)| !runs(*pid)), "all children are gone");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "and all files");
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_that_is_interrupted_ends_with_status_130_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Running::start_with(&["demo"], &[("TMPDIR", temporary.path())]);
    let pid = demo.event("process")["pid"].as_u64().unwrap();
    crate::support::signal(demo.id().into(), "INT");
    assert_eq!(demo.wait(), 130);
    assert!(!runs(pid));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_outlives_a_demo_that_is_killed() {
    // What it cannot remove any more goes with this.
    let temporary = tempfile::tempdir().unwrap();
    let (mut demo, pids, _) = held(temporary.path());
    demo.kill();
    let deadline = std::time::Instant::now() + PATIENCE;
    while pids.iter().any(|(_, pid)| runs(*pid)) {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(core::time::Duration::from_millis(10));
    }
}
