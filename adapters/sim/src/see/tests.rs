//! The file format and the packets, from frames made by hand; the pictures' promises.

use core::net::SocketAddr;
use core::time::Duration;

use etherparse::{IpNumber, NetSlice, SlicedPacket, TransportSlice};

use super::pcapng;
use crate::capture::{Frame, IcmpError, Interface, Load, SegmentKind};
use crate::net::{HostId, NatId};
use crate::packet::TcpId;

const LAMP: Interface = Interface::Host(HostId(0));
const SERVER: Interface = Interface::Host(HostId(1));
const INSIDE: Interface = Interface::Inside(NatId(0));
const OUTSIDE: Interface = Interface::Outside(NatId(0));

/// One block of a file: its type and its body.
type Block = (u32, Vec<u8>);

/// Takes a file apart as the format prescribes; panics when it breaks the format.
fn blocks(mut file: &[u8]) -> Vec<Block> {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let (kind, len) = (word(file), word(&file[4..]) as usize);
        assert_eq!(len % 4, 0, "blocks fill whole words");
        assert_eq!(word(&file[len - 4..]) as usize, len, "the length stands at both ends");
        blocks.push((kind, file[8..len - 4].to_vec()));
        file = &file[len..];
    }
    blocks
}

/// The packets of a file with interface and direction flag.
fn packets(file: &[u8]) -> Vec<(u32, Vec<u8>, u8)> {
    let enhanced = blocks(file).into_iter().filter(|(kind, _)| *kind == 6);
    enhanced
        .map(|(_, body)| {
            let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
            let len = word(12) as usize;
            assert_eq!(word(16) as usize, len, "nothing is cut off");
            let options = &body[20 + len.next_multiple_of(4)..];
            assert_eq!(options[..4], [2, 0, 4, 0], "the flags come first");
            (word(0), body[20..20 + len].to_vec(), options[4])
        })
        .collect()
}

fn frame(at: u64, interface: Interface, inbound: bool, ends: (&str, &str), load: Load) -> Frame {
    Frame {
        at: Duration::from_millis(at),
        interface,
        inbound,
        source: ends.0.parse().unwrap(),
        destination: ends.1.parse().unwrap(),
        hop_limit: 61,
        load,
    }
}

fn all(frames: &[Frame]) -> Vec<u8> {
    pcapng::write(frames, |interface| format!("{interface:?}"), |_| true).unwrap()
}

/// Every checksum in a packet is what its receiver computes.
fn check_sums(packet: &[u8]) {
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    match (sliced.net.unwrap(), sliced.transport.unwrap()) {
        (NetSlice::Ipv4(ip), transport) => {
            let ip = ip.header().to_header();
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            match transport {
                TransportSlice::Udp(udp) => {
                    let sum = udp.to_header().calc_checksum_ipv4(&ip, udp.payload()).unwrap();
                    assert_eq!(udp.checksum(), sum);
                }
                TransportSlice::Tcp(tcp) => {
                    let sum = tcp.to_header().calc_checksum_ipv4(&ip, tcp.payload()).unwrap();
                    assert_eq!(tcp.checksum(), sum);
                }
                TransportSlice::Icmpv4(icmp) => {
                    let sum = icmp.icmp_type().calc_checksum(icmp.payload());
                    assert_eq!(icmp.checksum(), sum);
                }
                other => panic!("{other:?}"),
            }
        }
        (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
            let ip = ip.header().to_header();
            assert_eq!(
                udp.checksum(),
                udp.to_header().calc_checksum_ipv6(&ip, udp.payload()).unwrap()
            );
        }
        (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
            let header = ip.header();
            assert!(icmp.is_checksum_valid(header.source(), header.destination()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_datagram_stands_on_both_sides_of_a_nat_with_its_addresses_there() {
    let (inner, outer, server) = ("10.0.0.2:4600", "192.0.2.1:20000", "203.0.113.1:4600");
    let load = || Load::Udp(vec![0x44, 1, 2]);
    let file = all(&[
        frame(1, LAMP, false, (inner, server), load()),
        frame(1, INSIDE, true, (inner, server), load()),
        frame(1, OUTSIDE, false, (outer, server), load()),
        frame(21, SERVER, true, (outer, server), load()),
    ]);
    let kinds: Vec<u32> = blocks(&file).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 1, 1, 1, 6, 6, 6, 6]);
    let packets = packets(&file);
    // Interfaces are numbered in their order: hosts, insides, outsides.
    let seen: Vec<(u32, u8)> = packets.iter().map(|(at, _, flags)| (*at, *flags)).collect();
    assert_eq!(seen, [(0, 2), (2, 1), (3, 2), (1, 1)]);
    for ((_, packet, _), source) in packets.iter().zip([[10, 0, 0, 2]; 2]) {
        assert_eq!(packet[12..16], source);
    }
    for (_, packet, _) in &packets[2..] {
        assert_eq!(packet[12..16], [192, 0, 2, 1]);
    }
    for (_, packet, _) in &packets {
        check_sums(packet);
        assert_eq!((packet[8], packet[9], &packet[28..]), (61, 17, &[0x44, 1, 2][..]));
    }
}

#[test]
fn times_are_nanoseconds_after_the_start_of_the_wall_clocks() {
    let mut frame =
        frame(0, LAMP, false, ("[2001:db8::1]:1", "[2001:db8::2]:2"), Load::Udp(vec![]));
    frame.at = Duration::new(3, 5);
    let file = all(&[frame]);
    let blocks = blocks(&file);
    let (_, interface) = &blocks[1];
    assert_eq!(interface[..2], [101, 0], "raw IP");
    assert!(interface.windows(5).any(|option| option == [9, 0, 1, 0, 9]), "nanoseconds");
    let (_, packet) = &blocks[2];
    let word = |at: usize| u64::from(u32::from_le_bytes(packet[at..at + 4].try_into().unwrap()));
    assert_eq!(word(4) << 32 | word(8), (crate::fleet::START + 3) * 1_000_000_000 + 5);
    check_sums(&packets(&file)[0].1);
}

fn segment(from_caller: bool, kind: SegmentKind, offset: u64, bytes: &[u8]) -> Load {
    Load::Tcp { conn: TcpId(3), from_caller, kind, offset, bytes: bytes.to_vec() }
}

/// Sequence and acknowledgement numbers, relative to the two SYNs.
fn numbers(file: &[u8]) -> Vec<(u32, u32)> {
    let mut starts = [0; 2];
    let headers = packets(file).into_iter().map(|(_, packet, _)| {
        check_sums(&packet);
        let TransportSlice::Tcp(tcp) = SlicedPacket::from_ip(&packet).unwrap().transport.unwrap()
        else {
            panic!("not TCP");
        };
        tcp.to_header()
    });
    headers
        .map(|tcp| {
            let caller = usize::from(tcp.source_port == 4_600);
            if tcp.syn {
                starts[caller] = tcp.sequence_number;
                assert!(!tcp.options.is_empty(), "a SYN scales windows");
            }
            let (mine, other) = (starts[caller], starts[1 - caller]);
            let ack = if tcp.ack { tcp.acknowledgment_number.wrapping_sub(other) } else { 0 };
            (tcp.sequence_number.wrapping_sub(mine), ack)
        })
        .collect()
}

#[test]
fn a_connection_has_the_numbers_of_its_offsets_and_acknowledges_what_has_arrived() {
    let (lamp, server) = ("198.51.100.1:5000", "203.0.113.1:4600");
    let up = |at, interface, inbound, load| frame(at, interface, inbound, (lamp, server), load);
    let down = |at, interface, inbound, load| frame(at, interface, inbound, (server, lamp), load);
    use SegmentKind::{Ack, Fin, Syn, SynAck};
    let frames = [
        up(0, LAMP, false, segment(true, Syn, 0, b"")),
        up(10, SERVER, true, segment(true, Syn, 0, b"")),
        down(10, SERVER, false, segment(false, SynAck, 0, b"")),
        down(20, LAMP, true, segment(false, SynAck, 0, b"")),
        up(20, LAMP, false, segment(true, Ack, 0, b"")),
        up(20, LAMP, false, segment(true, Ack, 0, b"abc")), // is lost
        up(20, LAMP, false, segment(true, Ack, 3, b"de")),
        up(30, SERVER, true, segment(true, Ack, 3, b"de")),
        down(31, SERVER, false, segment(false, Ack, 0, b"xy")),
        up(220, LAMP, false, segment(true, Ack, 0, b"abc")),
        up(230, SERVER, true, segment(true, Ack, 0, b"abc")),
        down(231, SERVER, false, segment(false, Fin, 2, b"")),
        down(241, LAMP, true, segment(false, Ack, 0, b"xy")),
        down(241, LAMP, true, segment(false, Fin, 2, b"")),
        up(250, LAMP, false, segment(true, Fin, 5, b"")),
    ];
    let expected = [
        (0, 0),
        (0, 0),
        (0, 1),
        (0, 1),
        (1, 1),
        (1, 1),
        (4, 1),
        (4, 1),
        (1, 1), // the gap before "de" is not acknowledged over
        (1, 1),
        (1, 1),
        (3, 6), // all five bytes
        (1, 1), // as it was when it was sent
        (3, 6),
        (6, 4), // two bytes and the FIN
    ];
    assert_eq!(numbers(&all(&frames)), expected);
    let at_server = |interface| interface == SERVER;
    let server = pcapng::write(&frames, |_| "server".into(), at_server).unwrap();
    let kept: Vec<(u32, u32)> = frames
        .iter()
        .zip(expected)
        .filter(|(frame, _)| frame.interface == SERVER)
        .map(|(_, numbers)| numbers)
        .collect();
    assert_eq!(numbers(&server), kept, "a file of one interface has the numbers of the whole");
}

#[test]
fn what_comes_from_an_address_that_is_not_the_connections_is_not_acknowledged() {
    let (lamp, other, server) = ("192.0.2.1:5000", "192.0.2.99:5000", "203.0.113.1:4600");
    use SegmentKind::{Ack, Syn, SynAck};
    let file = all(&[
        frame(0, SERVER, true, (lamp, server), segment(true, Syn, 0, b"")),
        frame(0, SERVER, false, (server, lamp), segment(false, SynAck, 0, b"")),
        frame(9, SERVER, true, (other, server), segment(true, Ack, 0, b"abc")),
        frame(9, SERVER, false, (server, lamp), segment(false, Ack, 0, b"x")),
    ]);
    assert_eq!(numbers(&file), [(0, 0), (0, 1), (1, 1), (1, 1)]);
}

#[test]
fn an_icmp_error_quotes_the_packet_that_it_is_about() {
    let (lamp, router, server) = ("10.0.0.2:4600", "192.0.2.254:0", "203.0.113.1:4600");
    let about = |tcp| Load::Icmp {
        error: IcmpError::TimeExceeded,
        source: lamp.parse().unwrap(),
        destination: server.parse().unwrap(),
        tcp,
    };
    let sent = Load::Udp(vec![7; 1_000]);
    let file = all(&[
        frame(0, LAMP, false, (lamp, server), sent),
        frame(5, LAMP, true, (router, lamp), about(false)),
        frame(6, LAMP, true, (router, lamp), about(true)),
    ]);
    let packets = packets(&file);
    let (original, error, unseen) = (&packets[0].1, &packets[1].1, &packets[2].1);
    check_sums(error);
    check_sums(unseen);
    assert_eq!(error.len(), 576);
    assert_eq!(error[20..22], [11, 0], "time exceeded in transit");
    let quote = &error[28..];
    assert_eq!(quote[8], 1, "its hop limit was all but used up");
    assert_eq!((&quote[..8], &quote[12..]), (&original[..8], &original[12..548]));
    assert_eq!(unseen[28 + 9], IpNumber::TCP.0, "never seen, but its ports are known");
    assert_eq!(unseen[48..52], [0x11, 0xf8, 0x11, 0xf8]);
}

#[test]
fn an_icmp_error_of_ipv6_quotes_too() {
    let (a, b): (SocketAddr, SocketAddr) =
        ("[2001:db8::1]:7".parse().unwrap(), "[2001:db8::2]:9".parse().unwrap());
    let error = |error| Load::Icmp { error, source: a, destination: b, tcp: false };
    let ends = ("[2001:db8::1]:7", "[2001:db8::2]:9");
    let back = ("[2001:db8::2]:9", "[2001:db8::1]:7");
    let file = all(&[
        frame(0, LAMP, false, ends, Load::Udp(b"hello".to_vec())),
        frame(1, LAMP, true, back, error(IcmpError::PortUnreachable)),
        frame(2, LAMP, true, back, error(IcmpError::Prohibited)),
        frame(3, LAMP, true, back, error(IcmpError::TimeExceeded)),
    ]);
    let packets = packets(&file);
    let kinds: Vec<&[u8]> = packets[1..].iter().map(|(_, packet, _)| &packet[40..42]).collect();
    assert_eq!(kinds, [[1, 4], [1, 1], [3, 0]]);
    for (_, packet, _) in &packets[1..] {
        check_sums(packet);
        assert_eq!(packet[packet.len() - 5..], *b"hello");
    }
}

#[test]
fn frames_that_are_no_packets_are_refused_by_their_place() {
    let good = frame(0, LAMP, false, ("10.0.0.2:1", "203.0.113.1:2"), Load::Udp(vec![]));
    let mixed = frame(0, LAMP, false, ("10.0.0.2:1", "[2001:db8::1]:2"), Load::Udp(vec![]));
    let long = Load::Udp(vec![0; 70_000]);
    let long = frame(0, LAMP, false, ("10.0.0.2:1", "203.0.113.1:2"), long);
    for bad in [mixed, long] {
        let written = pcapng::write(&[good.clone(), bad], |_| String::new(), |_| true);
        assert_eq!(written, Err(pcapng::Unwritable { frame: 1 }));
    }
}
