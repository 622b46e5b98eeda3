//! Bytes: what is sent arrives, whatever it is, and what is damaged does not.

use core::time::Duration;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};

use genkan_kernel_tests::scenario::{A, R};
use genkan_kernel_tests::tun::{Device, Home, Internet, Tally};
use genkan_sim::Rng;
use genkan_sim::nat::Proto;

use crate::counting;

const PATIENCE: Duration = Duration::from_secs(3);

/// Kernels look at every checksum: a wrong one, and the datagram is not there.
#[test]
fn datagrams_of_any_length_and_content_arrive_as_they_were() {
    let internet = Internet::new();
    let home = Home::new(&internet, 1, counting(-64), 1);
    let near = home.host().within(|| UdpSocket::bind(A.address())).unwrap();
    let far = internet.namespace().within(|| UdpSocket::bind(R.address())).unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rng = Rng::new(1);
    let lengths = (0..40).chain([333, 1_199, 1_200, 1_471, 1_472]);
    let payloads = lengths.flat_map(|length| {
        let random: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
        [random, vec![0; length], vec![0xff; length]]
    });
    let (mut buffer, mut sent) = ([0; 2_000], 0);
    for payload in payloads {
        near.send_to(&payload, R.address()).unwrap();
        let (length, source) = far.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..length], payload, "outwards");
        assert_eq!(source, "203.0.113.1:65535".parse().unwrap());
        far.send_to(&payload, source).unwrap();
        let (length, source) = near.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..length], payload, "inwards");
        assert_eq!(source, R.address());
        sent += 1;
    }
    let all = Tally { passed: sent, stopped: 0 };
    assert_eq!(home.tally(Device::Inside, Proto::Udp), all);
    assert_eq!(home.tally(Device::Outside, Proto::Udp), all);
    // Port 1 has no mapping.
    far.send_to(b"knock", (home.external(), 1)).unwrap();
    near.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let silence = near.recv_from(&mut buffer).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    let tally = home.tally(Device::Outside, Proto::Udp);
    assert_eq!(tally, Tally { stopped: 1, ..all });
}

#[test]
fn a_megabyte_over_tcp_arrives_both_ways() {
    let internet = Internet::new();
    let home = Home::new(&internet, 1, counting(1), 1);
    let listener = internet.namespace().within(|| TcpListener::bind(R.address())).unwrap();
    let near = home.host().within(|| TcpStream::connect(R.address())).unwrap();
    let (far, source) = listener.accept().unwrap();
    assert_eq!(source, "203.0.113.1:20000".parse().unwrap());
    let mut rng = Rng::new(2);
    let bytes: Vec<u8> = (0..1_000_000).map(|_| rng.next_u64() as u8).collect();
    std::thread::scope(|scope| {
        for (mut from, mut to) in [(&near, &far), (&far, &near)] {
            let bytes = &bytes;
            scope.spawn(move || from.write_all(bytes).unwrap());
            scope.spawn(move || {
                let mut came = vec![0; bytes.len()];
                to.set_read_timeout(Some(PATIENCE)).unwrap();
                to.read_exact(&mut came).unwrap();
                assert!(came == *bytes);
            });
        }
    });
}
