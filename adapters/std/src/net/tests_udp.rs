//! Many UDP sockets without a machine.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::net;

use genkan_core::SocketId;

use super::*;
use crate::clock::Clock;

const FRESH: SocketId = SocketId::FRESH;

fn node(ip: &str) -> Net {
    Net::new(udp(Bind::At(format!("{ip}:0").parse().unwrap())).unwrap(), None).unwrap()
}

fn fresh(number: u16) -> SocketId {
    SocketId(FRESH.0 + number)
}

fn port(net: &Net, id: SocketId) -> u16 {
    net.sockets.local(id).unwrap().port()
}

fn other() -> net::UdpSocket {
    let socket = net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// The next datagram: at which socket, and its bytes.
fn next(net: &mut Net) -> (SocketId, Vec<u8>) {
    let end = Clock::new().now().after(Duration::from_secs(10));
    let mut room = [0; 64];
    loop {
        let now = Clock::new().now();
        if let Some((socket, length, _)) = net.receive(now, &mut room) {
            return (socket, room[..length].to_vec());
        }
        assert!(now < end, "nothing came");
        net.wait(Some(Duration::from_millis(20))).unwrap();
    }
}

#[test]
fn as_many_sockets_as_a_burst_may_want_hear_and_speak_each_for_itself() {
    let (mut net, other) = (node("127.0.0.1"), other());
    let first = net.bind(FRESH, 255).unwrap();
    assert_eq!(first.port(), port(&net, FRESH));
    let ports: Vec<u16> = (0..255).map(|number| port(&net, fresh(number))).collect();
    assert!(ports.windows(2).all(|pair| pair[1] == pair[0] + 1), "a row: {ports:?}");
    for (number, port) in (0..=u8::MAX).zip(&ports) {
        let at = SocketAddr::new(first.ip(), *port);
        other.send_to(&[number], at).unwrap();
        assert_eq!(next(&mut net), (fresh(number.into()), vec![number]));
        let sent = net.send(fresh(number.into()), b"answer", other.local_addr().unwrap(), None);
        assert_eq!(sent, Sent::Done);
        assert_eq!(other.recv_from(&mut [0; 8]).unwrap(), (6, at));
    }
    let main = net.local().unwrap();
    other.send_to(b"main", main).unwrap();
    assert_eq!(next(&mut net), (SocketId::MAIN, b"main".to_vec()));
}

#[test]
fn sockets_are_found_where_no_row_of_ports_is_free() {
    // An address that nothing else here uses.
    let ip = "127.0.0.7";
    let taken: Vec<_> = (1_024..u16::MAX)
        .step_by(240)
        .filter_map(|port| net::UdpSocket::bind((ip, port)).ok())
        .collect();
    assert!(taken.len() > 200, "somebody else has them");
    let mut net = node(ip);
    net.bind(FRESH, 255).unwrap();
    let ports: BTreeSet<u16> = (0..255).map(|number| port(&net, fresh(number))).collect();
    assert_eq!(ports.len(), 255);
}

#[test]
fn fresh_sockets_have_the_main_one_s_address_and_family() {
    for (ip, other) in [("[::]", "127.0.0.1"), ("[::]", "[::1]"), ("[::1]", "[::1]")] {
        let Ok(main) = udp(Bind::At(format!("{ip}:0").parse().unwrap())) else {
            // A machine without IPv6.
            continue;
        };
        let mut net = Net::new(main, None).unwrap();
        let first = net.bind(FRESH, 2).unwrap();
        assert_eq!(first.ip(), net.local().unwrap().ip());
        let socket = net::UdpSocket::bind(format!("{other}:0")).unwrap();
        socket.send_to(b"x", format!("{other}:{}", first.port())).unwrap();
        assert_eq!(next(&mut net).0, FRESH);
        // Back, in the form that the machine knows.
        let sent = net.send(FRESH, b"y", socket.local_addr().unwrap(), Some(3));
        assert_eq!(sent, Sent::Done);
    }
}

#[test]
fn closed_sockets_take_what_waits_with_them_and_give_back_their_ports() {
    let (mut net, other) = (node("127.0.0.1"), other());
    let first = net.bind(FRESH, 4).unwrap();
    for number in 0..4 {
        let at = SocketAddr::new(first.ip(), port(&net, fresh(number)));
        other.send_to(&[number as u8], at).unwrap();
    }
    // One was told to be readable, and had its turn.
    net.wait(Some(Duration::from_secs(1))).unwrap();
    assert_eq!(next(&mut net).0, FRESH);
    // Three of them, and one that was never open.
    net.unbind(fresh(1), 4);
    assert_eq!(net.sockets.open(), [SocketId::MAIN, FRESH]);
    net.wait(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(net.receive(Clock::new().now(), &mut [0; 64]), None);
    assert!(!net.has_more(Clock::new().now()));
    let gone = net.send(fresh(1), b"z", other.local_addr().unwrap(), None);
    assert_eq!(gone, Sent::Lost);
    drop(net::UdpSocket::bind((first.ip(), first.port() + 1)).unwrap());
    // The same numbers again.
    net.bind(fresh(1), 3).unwrap();
    other.send_to(b"new", (first.ip(), port(&net, fresh(2)))).unwrap();
    assert_eq!(next(&mut net), (fresh(2), b"new".to_vec()));
}

#[test]
fn a_socket_that_is_flooded_does_not_keep_the_others_waiting() {
    let (mut net, other) = (node("127.0.0.1"), other());
    let flooded = net.bind(FRESH, 3).unwrap();
    for _ in 0..100 {
        other.send_to(b"flood", flooded).unwrap();
    }
    let last = SocketAddr::new(flooded.ip(), port(&net, fresh(2)));
    other.send_to(b"one", last).unwrap();
    other.send_to(b"two", net.local().unwrap()).unwrap();
    let came: Vec<Vec<u8>> = (0..4).map(|_| next(&mut net).1).collect();
    assert!(came.contains(&b"one".to_vec()) && came.contains(&b"two".to_vec()), "{came:?}");
}

/// The limit is the whole process's: the test runs itself again, alone.
#[cfg(target_os = "linux")]
#[test]
fn without_file_descriptors_no_socket_stays_open() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const ALONE: &str = "GENKAN_TEST_ALONE";
    const NAME: &str = "net::tests_udp::without_file_descriptors_no_socket_stays_open";
    if std::env::var_os(ALONE).is_none() {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let ran = again.args([NAME, "--exact"]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let mut net = node("127.0.0.1");
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let (before, limit) = (open(), getrlimit(Resource::Nofile));
    let few = Rlimit { current: Some(before as u64 + 100), ..limit };
    setrlimit(Resource::Nofile, few).unwrap();
    let refused = net.bind(FRESH, 255).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(24), "{refused}");
    assert_eq!((open(), net.sockets.open()), (before, vec![SocketId::MAIN]));
    // What can be had is given.
    net.bind(FRESH, 50).unwrap();
    setrlimit(Resource::Nofile, limit).unwrap();
    net.bind(fresh(50), 205).unwrap();
}
