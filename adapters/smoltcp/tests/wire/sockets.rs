//! What the sockets suffer: full pools, dead neighbours, pulled plugs, doubled packets.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use genkan_core::punch::Ability;
use genkan_core::wire::{CERTIFICATE_REQUEST_LEN, Kind};
use genkan_core::{AcceptorEvent, Instant, IssuerEvent, Path, ServerEvent};
use genkan_sim::Flow;
use genkan_sim::nat::presets;
use genkan_smoltcp::{Counters, Options, Storage};
use genkan_turn::REQUESTS;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr};

use crate::registers::{
    Log, Trio, arrives, behind, open_udp, path, public, tcp_states, three, trio,
};
use crate::world::{Live as _, Raw, Site, TestServer, World, configure, server};

const SECOND: Duration = Duration::from_secs(1);

/// Behind a box that punishes early packets, those that open a hole die on the way. Their hop limit
/// is theirs alone.
#[test]
fn a_hop_limit_is_one_datagrams_own() {
    let mut trio = trio(1, behind(presets::linux_masquerade_no_wan_drop), Some(Ability::SMALL));
    // The ring must hold what the device does not take at once.
    trio.lamp.borrow().line.narrow(1);
    trio.phone.borrow().line.narrow(1);
    let (name, path) = trio.connect().expect("a connection");
    assert!(matches!(path, Path::Datagram { .. }), "{path:?}");
    assert!(arrives(&mut trio, name, vec![7; 100]));
    let mut ports: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for seen in trio.world.net.seen.iter().filter(|seen| seen.flow == Flow::Udp) {
        ports.entry((seen.line, seen.source.port())).or_default().push(seen.hop_limit);
    }
    let limited = |hops: &&u8| **hops != 64;
    let short: Vec<_> = ports.values().filter(|hops| hops.iter().any(|hop| *hop != 64)).collect();
    assert!(!short.is_empty(), "no datagram was limited: {ports:?}");
    for hops in short {
        assert!(hops.iter().filter(limited).count() < hops.len(), "{hops:?}");
        assert_eq!(hops.last(), Some(&64), "{hops:?}");
    }
}

/// The first datagram waits until the gateway's hardware address is known.
#[test]
fn nothing_is_lost_to_address_resolution() {
    let trio = trio(2, behind(presets::linux_masquerade), None);
    let first = trio.world.net.seen.iter().find(|seen| seen.line == 1).unwrap();
    // Before the machine has repeated anything.
    assert!(first.at < Duration::from_millis(1_010), "{first:?}");
    assert_eq!(*trio.lamp.borrow().node.counters(), Counters::default());
}

/// A gateway that does not answer stops nothing for good.
#[test]
fn a_dead_neighbour_is_given_up_and_asked_again() {
    let mut trio = trio(3, behind(presets::linux_masquerade), None);
    // Longer than a neighbour is remembered, and than a session lives.
    trio.world.net.deaf = true;
    trio.world.pass(SECOND * 180);
    assert!(trio.lamp.borrow().node.counters().stalled > 0);
    trio.world.net.deaf = false;
    assert!(trio.registered());
}

#[test]
fn a_pulled_plug_ends_the_connection_and_a_plugged_one_brings_the_next() {
    for punch in [None, Some(Ability::SMALL)] {
        let mut trio = trio(4, public(), punch);
        let (name, _) = trio.connect().expect("a connection");
        trio.lamp.borrow().line.plug(false);
        let phone = Rc::clone(&trio.phone);
        assert!(trio.world.until(SECOND * 120, || path(&phone, name).is_none()));
        trio.world.pass(SECOND * 120);
        let closed = |event: &AcceptorEvent| matches!(event, AcceptorEvent::Closed { .. });
        assert!(trio.lamp.borrow().app.events.iter().any(closed));
        trio.lamp.borrow().line.plug(true);
        assert!(trio.registered());
        let (name, _) = trio.connect().expect("another connection");
        assert!(arrives(&mut trio, name, vec![1; 500]));
    }
}

/// The interface loses its address, and gets another one.
#[test]
fn another_address_is_lived_with() {
    let mut trio = trio(5, public(), None);
    let (name, _) = trio.connect().expect("a connection");
    trio.lamp.borrow_mut().iface.update_ip_addrs(|addresses| addresses.clear());
    trio.world.pass(SECOND * 200);
    assert!(trio.lamp.borrow().node.counters().unsendable > 0);
    assert!(path(&trio.phone, name).is_none());
    assert!(
        tcp_states(&trio.lamp.borrow().sockets).iter().all(|state| *state == tcp::State::Closed)
    );
    let address = IpAddr::from([198, 51, 100, 77]);
    configure(&mut trio.lamp.borrow_mut().iface, address);
    trio.world.net.readdress(1, address);
    assert!(trio.registered());
    let (name, path) = trio.connect().expect("another connection");
    assert_eq!(path.remote().ip(), address);
    assert!(arrives(&mut trio, name, vec![1; 500]));
}

/// Every packet comes twice and out of order: a repeated SYN must not open a second connection.
#[test]
fn doubled_packets_do_no_harm() {
    for seed in 0..20 {
        let mut trio = trio(seed, public(), None);
        trio.world.net.faults.twins = 1.0;
        trio.world.net.faults.jitter = Duration::from_millis(5);
        let (name, path) = trio.connect().expect("a connection");
        assert!(matches!(path, Path::Stream { .. }));
        let opened = trio.world.net.seen.iter().filter(|seen| seen.flow == Flow::SynAck).count();
        assert!(opened <= 2, "{opened} answers to one SYN");
        assert!(!trio.world.net.seen.iter().any(|seen| seen.flow == Flow::Rst));
        assert!(arrives(&mut trio, name, vec![1; 500]));
        let closed = |event: &IssuerEvent| matches!(event, IssuerEvent::Closed { .. });
        assert!(!trio.phone.borrow().app.events.iter().any(closed));
    }
}

/// More sockets than there are: the machine is told so, and goes on with what it has.
#[test]
fn a_pool_that_is_too_small_is_told() {
    let lamp = (<Storage<5, 1>>::new(), Log::new());
    let phone = (<Storage<8, 3>>::new(), Log::new());
    let none = [None, None];
    let mut trio: Trio<_, _, 1, 3> = three(World::new(6), public(), none, lamp, phone);
    assert!(trio.registered());
    let (first, _) = trio.connect().expect("a connection");
    // The lamp has one TCP socket only: the second dial-back fails, the first goes on.
    let second = trio.ask();
    let phone = Rc::clone(&trio.phone);
    let failed = |event: &IssuerEvent| matches!(event, IssuerEvent::Failed { connection, .. } if *connection == second);
    assert!(trio.world.until(SECOND * 20, || phone.borrow().app.events.iter().any(failed)));
    assert!(trio.lamp.borrow().node.counters().exhausted > 0);
    assert!(arrives(&mut trio, first, vec![1; 500]));
    // Closed, it makes room for another one.
    trio.phone.borrow_mut().node.machine_mut().close(trio.world.now, first);
    trio.world.pass(SECOND * 3);
    let (third, _) = trio.connect().expect("another connection");
    assert!(arrives(&mut trio, third, vec![2; 500]));
}

/// A machine that wants more fresh UDP sockets than the pool has.
#[test]
fn too_few_fresh_ports_are_none() {
    let lamp = (<Storage<5, 2>>::new(), Log::new());
    let phone = (<Storage<8, 3>>::new(), Log::new());
    let wants = [Some(Ability::LARGE), Some(Ability::LARGE)];
    let nats = (
        Site::behind([192, 0, 2, 1], presets::linux_masquerade_fully_random()),
        Site::behind([192, 0, 2, 2], presets::linux_masquerade()),
    );
    let mut trio = three(World::new(7), nats, wants, lamp, phone);
    assert!(trio.registered());
    trio.connect();
    let exhausted = [
        trio.lamp.borrow().node.counters().exhausted,
        trio.phone.borrow().node.counters().exhausted,
    ];
    assert!(exhausted.iter().sum::<u32>() > 0, "{exhausted:?}");
    trio.world.pass(SECOND * 60);
    let left = open_udp(&trio.lamp.borrow().sockets);
    assert_eq!(left, 1, "only the main socket is left open");
}

/// What an application tells the machine while it may send leaves in the same turn.
#[test]
fn a_connection_that_is_closed_while_sending_ends_at_once() {
    let mut trio = trio(12, public(), None);
    let (name, _) = trio.connect().expect("a connection");
    trio.world.pass(SECOND * 3);
    let connected = |event: &AcceptorEvent| match event {
        AcceptorEvent::Connected { connection, .. } => Some(*connection),
        _ => None,
    };
    let theirs = trio.lamp.borrow().app.events.iter().find_map(connected).expect("a connection");
    trio.lamp.borrow_mut().app.ends.push(theirs);
    let phone = Rc::clone(&trio.phone);
    let closed = |event: &IssuerEvent| matches!(event, IssuerEvent::Closed { connection, .. } if *connection == name);
    assert!(trio.world.until(SECOND, || phone.borrow().app.events.iter().any(closed)));
}

/// While one caller is being served the next one finds an ear.
#[test]
fn two_dial_backs_come_at_once() {
    let mut trio = trio(11, public(), None);
    let names = [trio.ask(), trio.ask()];
    let phone = Rc::clone(&trio.phone);
    let stand = || names.iter().all(|name| path(&phone, *name).is_some());
    assert!(trio.world.until(SECOND * 5, stand));
    for name in names {
        assert!(arrives(&mut trio, name, vec![name.index as u8; 500]));
    }
    assert!(!trio.world.net.seen.iter().any(|seen| seen.flow == Flow::Rst));
}

/// Somebody who says nothing has the only socket that listens.
#[test]
fn a_busy_listener_refuses_and_recovers() {
    let lamp = (<Storage<5, 2>>::new(), Log::new());
    let phone = (<Storage<8, 1>>::new(), Log::new());
    let mut trio: Trio<_, _, 2, 1> = three(World::new(8), public(), [None, None], lamp, phone);
    let stranger = trio.world.add_raw([198, 51, 100, 9]);
    assert!(trio.registered());
    let (name, _) = trio.connect().expect("a connection");
    trio.phone.borrow_mut().node.machine_mut().close(trio.world.now, name);
    trio.world.pass(SECOND * 3);
    // Now the stranger is faster than the lamp.
    let name = trio.ask();
    trio.world.pass(Duration::from_millis(1));
    let port = listening(&trio.phone.borrow().sockets).expect("the phone listens");
    dial(&mut stranger.borrow_mut(), (Ipv4Addr::new(198, 51, 100, 2), port), 50_000);
    // The machine throws the stranger out, who does not close his end: he is not waited for long.
    let phone = Rc::clone(&trio.phone);
    let is_half_closed = move || tcp_states(&phone.borrow().sockets)[0] == tcp::State::FinWait2;
    assert!(trio.world.until(SECOND * 30, &is_half_closed));
    assert!(trio.world.until(Duration::from_millis(1_100), || !is_half_closed()));
    let phone = Rc::clone(&trio.phone);
    let failed = |event: &IssuerEvent| matches!(event, IssuerEvent::Failed { connection, .. } if *connection == name);
    assert!(trio.world.until(SECOND * 30, || phone.borrow().app.events.iter().any(failed)));
    let (name, _) = trio.connect().expect("another connection");
    assert!(arrives(&mut trio, name, vec![1; 500]));
}

fn listening(sockets: &smoltcp::iface::SocketSet<'_>) -> Option<u16> {
    sockets.iter().find_map(|(_, socket)| match socket {
        smoltcp::socket::Socket::Tcp(socket) if socket.is_listening() => {
            Some(socket.listen_endpoint().port)
        }
        _ => None,
    })
}

/// Whatever a machine cannot take is counted and does no harm.
#[test]
fn odd_datagrams_are_counted() {
    // Long enough for what is too long.
    let lamp = (Storage::<5, 2, 2_464>::new(), Log::new());
    let phone = (<Storage<8, 3>>::new(), Log::new());
    let mut trio = three(World::new(9), public(), [None, None], lamp, phone);
    assert!(trio.registered());
    let port = trio.lamp.borrow().node.port();
    let before = trio.lamp.borrow().node.machine().counters().all_discarded();
    let own = [198, 51, 100, 1];
    for (to, length) in [(own, 1_233), (own, 1_400), ([255; 4], 100), (own, 0), (own, 1_232)] {
        let packet = datagram(to, port, length);
        trio.world.net.inject(1, &packet);
    }
    trio.world.pass(Duration::from_millis(100));
    let lamp = trio.lamp.borrow();
    assert_eq!(lamp.node.counters().too_long, 2);
    assert_eq!(lamp.node.counters().misaddressed, 1);
    assert_eq!(lamp.node.machine().counters().all_discarded(), before + 2);
}

/// Each packet may be a handshake: a turn takes a few, and asks for another one at once.
#[test]
fn packets_that_may_be_handshakes_are_taken_in_turns() {
    let mut world = World::new(13);
    let machine = server(&mut world);
    let address = Ipv4Addr::new(203, 0, 113, 1);
    let (options, rings) = (Options::server(4_600, None), <Storage<1, 1>>::new());
    let ignore = |_: Instant, _: &mut TestServer, _: ServerEvent| {};
    let host = world.add(Site::public(address), rings, options, machine, ignore);
    let mut request = datagram(address.octets(), 4_600, CERTIFICATE_REQUEST_LEN);
    let room = &mut request[28..];
    room.fill(0);
    room[0] = Kind::CertificateRequest as u8;
    request[26..28].fill(0); // No checksum.
    (0..20).for_each(|_| world.net.inject(0, &request));
    let (few, now) = (usize::from(REQUESTS / 2), world.now);
    for turns in 1..=20 / few {
        assert!(host.borrow_mut().turn(now) <= now);
        world.net.collect(Duration::ZERO, 0);
        assert_eq!(world.net.seen.len(), turns * few, "answers");
    }
    assert!(host.borrow_mut().turn(now) > now);
}

fn datagram(to: [u8; 4], port: u16, length: usize) -> Vec<u8> {
    let udp = UdpRepr { src_port: 7, dst_port: port };
    let ip = Ipv4Repr {
        src_addr: [203, 0, 113, 50].into(),
        dst_addr: to.into(),
        next_header: IpProtocol::Udp,
        payload_len: 8 + length,
        hop_limit: 64,
    };
    let mut packet = vec![0; 28 + length];
    let checksums = smoltcp::phy::ChecksumCapabilities::default();
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut packet[..]), &checksums);
    let (from, to) = (ip.src_addr.into(), ip.dst_addr.into());
    let mut inner = UdpPacket::new_unchecked(&mut packet[20..]);
    udp.emit(&mut inner, &from, &to, length, |room| room.fill(9), &checksums);
    packet
}

/// Bytes that are no frames end the connection that they come over, and nothing else.
#[test]
fn garbage_on_a_stream_ends_it() {
    let mut trio = trio(12, public(), None);
    let stranger = trio.world.add_raw([198, 51, 100, 9]);
    for (port, garbage) in
        [(50_000, vec![0xff; 2_000]), (50_001, vec![0; 10]), (50_002, vec![4; 1_030])]
    {
        let handle = dial(&mut stranger.borrow_mut(), (Ipv4Addr::new(203, 0, 113, 1), 4_600), port);
        let state = || stranger.borrow().sockets.get::<tcp::Socket<'_>>(handle).state();
        assert!(trio.world.until(SECOND, || state() == tcp::State::Established));
        let sent =
            stranger.borrow_mut().sockets.get_mut::<tcp::Socket<'_>>(handle).send_slice(&garbage);
        assert_eq!(sent, Ok(garbage.len()));
        let over = || matches!(state(), tcp::State::CloseWait | tcp::State::Closed);
        assert!(trio.world.until(SECOND * 2, over), "{port}: {:?}", state());
    }
    let (name, _) = trio.connect().expect("a connection");
    assert!(arrives(&mut trio, name, vec![1; 500]));
}

fn dial(host: &mut Raw, remote: (Ipv4Addr, u16), port: u16) -> SocketHandle {
    let ring = || tcp::SocketBuffer::new(vec![0; 2_048].leak());
    let handle = host.sockets.add(tcp::Socket::new(ring(), ring()));
    let socket = host.sockets.get_mut::<tcp::Socket<'_>>(handle);
    socket.connect(host.iface.context(), remote, port).unwrap();
    handle
}

/// Two stacks that dial each other at the same time on the same ports: one connection comes of it, as
/// RFC 9293 wants (section 3.5, figure 8).
#[test]
fn a_simultaneous_open_is_one_connection() {
    let mut world = World::new(10);
    let ends = [[198, 51, 100, 1], [198, 51, 100, 2]];
    let hosts = ends.map(|address| world.add_raw(address));
    let handles = [0, 1].map(|index: usize| {
        let remote = (Ipv4Addr::from(ends[1 - index]), 5_000);
        dial(&mut hosts[index].borrow_mut(), remote, 5_000)
    });
    let states = || {
        [0, 1].map(|index: usize| {
            hosts[index].borrow().sockets.get::<tcp::Socket<'_>>(handles[index]).state()
        })
    };
    let stands = || states() == [tcp::State::Established; 2];
    assert!(world.until(SECOND * 5, stands), "{:?}", states());
    let syns = world.net.seen.iter().filter(|seen| seen.flow == Flow::Syn).count();
    assert_eq!(syns, 2, "the SYNs have crossed");
    assert!(!world.net.seen.iter().any(|seen| seen.flow == Flow::Rst));
}
