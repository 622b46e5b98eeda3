//! Two who call each other over TCP at the same time, each behind a NAT, from ports that a server has
//! seen: the kernel's simultaneous open, with sockets that share a port as the adapter's do. Nobody
//! listens but the server.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers are part of the test"
)]

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{scope, sleep};
use std::time::Instant;

use genkan_kernel_tests::Rules::{self, FullyRandom, Plain, Rejecting};
use genkan_kernel_tests::scenario::R;
use genkan_kernel_tests::{Lab, SiteSpec};
use socket2::{Domain, Socket, Type};

/// How long both try.
const LONGEST: Duration = Duration::from_secs(5);
/// How long one waits that was refused.
const PAUSE: Duration = Duration::from_millis(100);
/// By how much the second is later than the first.
const LATE: Duration = Duration::from_millis(50);

/// What became of one end.
struct End {
    stream: Option<TcpStream>,
    refused: u32,
}

fn socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket
}

/// Calls until somebody is there, or for too long.
fn call(lab: &Lab, site: usize, from: SocketAddr, to: SocketAddr) -> End {
    let (until, mut refused) = (Instant::now() + LONGEST, 0);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let called = lab.host(site, 0).within(|| {
            let socket = socket();
            socket.bind(&from.into()).unwrap();
            socket.connect_timeout(&to.into(), left.max(PAUSE)).map(|()| socket.into())
        });
        match called {
            Ok(stream) => return End { stream: Some(stream), refused },
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && !left.is_zero() => {
                refused += 1;
                sleep(PAUSE);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                return End { stream: None, refused };
            }
        }
    }
}

/// Both are seen by a server; `first` calls the other one where that was seen, and a moment later the
/// other one it.
fn meet(sites: [&[Rules]; 2], first: usize) -> (Lab, [End; 2]) {
    let specs = sites.map(|nats| SiteSpec { nats: nats.to_vec(), ..SiteSpec::new(nats[0]) });
    let lab = Lab::new(&specs);
    let server = lab.internet().within(|| TcpListener::bind(R.address())).unwrap();
    let besides = [0, 1].map(|site| {
        let beside = lab.host(site, 0).within(|| {
            let socket = socket();
            socket.connect(&R.address().into()).unwrap();
            socket
        });
        let (kept, seen) = server.accept().unwrap();
        (beside, kept, seen)
    });
    let ends = scope(|scope| {
        let calls = [0, 1].map(|site| {
            let (lab, besides) = (&lab, &besides);
            scope.spawn(move || {
                sleep(if site == first { Duration::ZERO } else { LATE });
                let local = besides[site].0.local_addr().unwrap().as_socket().unwrap();
                call(lab, site, local, besides[1 - site].2)
            })
        });
        calls.map(|call| call.join().unwrap())
    });
    // What stood beside still does.
    for (beside, mut kept, _) in besides {
        let mut beside = TcpStream::from(beside);
        beside.write_all(b"x").unwrap();
        kept.read_exact(&mut [0]).unwrap();
    }
    (lab, ends)
}

/// Bytes pass both ways, and each outermost NAT knows of one connection, which stands.
fn assert_met(lab: &Lab, ends: &[End; 2]) {
    let streams = ends.each_ref().map(|end| end.stream.as_ref().expect("a connection"));
    for (mut from, mut to) in [(streams[0], streams[1]), (streams[1], streams[0])] {
        from.write_all(b"bytes").unwrap();
        let mut room = [0; 5];
        to.read_exact(&mut room).unwrap();
        assert_eq!(&room, b"bytes");
    }
    for site in [0, 1] {
        let peer = lab.external(1 - site);
        let table = ["conntrack", "-L", "-p", "tcp", "-d", &peer.to_string()];
        let entries = lab.border(site).output(&table, "");
        assert_eq!(entries.lines().count(), 1, "{entries}");
        assert!(entries.contains("ESTABLISHED") && entries.contains("[ASSURED]"), "{entries}");
    }
}

#[test]
fn two_masqueraded_homes() {
    for first in [0, 1] {
        let (lab, ends) = meet([&[Plain], &[Plain]], first);
        assert_met(&lab, &ends);
        assert_eq!(ends.map(|end| end.refused), [0, 0], "{first} called first");
    }
}

#[test]
fn two_nats_in_a_row_on_either_side() {
    let (lab, ends) = meet([&[Plain, Plain], &[Plain, Plain]], 0);
    assert_met(&lab, &ends);
}

/// Whoever calls such a router too early is refused, and calls again.
#[test]
fn a_router_that_resets_what_nobody_asked_for() {
    for first in [0, 1] {
        let (lab, [early, late]) = meet([&[Plain], &[Rejecting]], first);
        assert!(first == 1 || early.refused > 0, "the router let it in");
        assert_eq!(late.refused, 0);
        assert_met(&lab, &[early, late]);
    }
}

/// The port that the server saw is not the one that the other end is called from.
#[test]
fn a_port_for_each_destination_is_not_met() {
    let (_lab, ends) = meet([&[Plain], &[FullyRandom]], 0);
    assert!(ends.iter().all(|end| end.stream.is_none()));
}
