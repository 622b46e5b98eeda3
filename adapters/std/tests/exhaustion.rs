//! A server without file descriptors waits; it neither dies nor spins. A process of its own, because
//! the limit is the process's.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]

use core::time::Duration;
use std::net::{TcpStream, UdpSocket};
use std::time::Instant;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject};
use genkan_core::{ServerConfig, StaticKey};
use genkan_std::{Bind, Happening, ServerNode, ServerOptions, Trace};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn server() -> ServerNode {
    let key = StaticKey::from_secret([1; 32]);
    let subject = Subject {
        server_key: *key.public(),
        serial: 1,
        not_before: 1,
        not_after: u64::MAX,
        names: "rdv.test",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&[3; 32], &subject, &mut out).unwrap();
    let config = ServerConfig::new(key, heapless::Vec::from_slice(&out[..len]).unwrap());
    let mut options = ServerOptions::new(config, Bind::At("127.0.0.1:0".parse().unwrap()));
    options.trace = Trace::Control;
    ServerNode::start(options).unwrap()
}

#[test]
fn callers_wait_while_no_file_descriptor_is_left_and_are_served_later() {
    let server = server();
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(used + 12), ..limit }).unwrap();
    let mut callers = Vec::new();
    let refused = loop {
        match TcpStream::connect(server.local_addr()) {
            Ok(caller) => callers.push(caller),
            Err(error) => break error,
        }
        assert!(callers.len() < 100, "the limit does not hold");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(refused.raw_os_error(), Some(24), "{refused}");
    // One more caller than the server has room for stands in its queue.
    let events = server.events();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut told = false;
    while !told && Instant::now() < deadline {
        let event = events.next_within(Duration::from_millis(100));
        told = event.is_some_and(|event| matches!(event.event, Happening::Trouble(_)));
        if !told && callers.len() > 1 {
            // The last descriptor may have gone to the server: give one back and call again.
            let spare = callers.pop();
            drop(spare);
            callers.extend(TcpStream::connect(server.local_addr()));
        }
    }
    assert!(told, "nobody had to wait");
    let before = server.turns();
    std::thread::sleep(Duration::from_secs(1));
    let turns = server.turns() - before;
    assert!(turns <= 60, "{turns} turns in a second");
    probe.send_to(&[0x41; 10], server.local_addr()).unwrap();
    setrlimit(Resource::Nofile, limit).unwrap();
    drop(callers);
    // Everybody who comes now is accepted, and the server closes who says nothing.
    let mut caller = TcpStream::connect(server.local_addr()).unwrap();
    caller.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(std::io::Read::read(&mut caller, &mut [0; 8]).unwrap_or(0), 0);
    assert!(server.is_running());
}
