//! Calls from another connection's port, between stacks on a wire that loses what it is told to lose.

extern crate std;

use core::cell::RefCell;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::boxed::Box;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

use genkan_core::{Instant, MAX_FRAME, StreamId, StreamState};
use genkan_turn::{Tcp, TcpChange};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium};
use smoltcp::wire::{HardwareAddress, IpCidr};

use crate::addr::time;
use crate::counters::Counters;
use crate::storage::Storage;
use crate::tcp::Wire;
use crate::udp::Port;
use crate::view::{Lasting, View};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(5);
/// The port that the server listens on.
const PORT: u16 = 4_242;
const BESIDE: StreamId = StreamId { index: 1, generation: 1 };
const MET: StreamId = StreamId { index: 2, generation: 1 };
const THIRD: StreamId = StreamId { index: 3, generation: 1 };

type Packets = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// A stack's end of the wire.
#[derive(Default)]
struct Line {
    inbound: Packets,
    outbound: Packets,
}

struct Inbound(Vec<u8>);
struct Outbound(Packets);

impl smoltcp::phy::RxToken for Inbound {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl smoltcp::phy::TxToken for Outbound {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = std::vec![0; length];
        let result = write(&mut packet);
        self.0.borrow_mut().push_back(packet);
        result
    }
}

impl Device for Line {
    type RxToken<'t> = Inbound;
    type TxToken<'t> = Outbound;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Inbound, Outbound)> {
        let packet = self.inbound.borrow_mut().pop_front()?;
        Some((Inbound(packet), Outbound(Rc::clone(&self.outbound))))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outbound> {
        Some(Outbound(Rc::clone(&self.outbound)))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1_500;
        capabilities
    }
}

struct Stack {
    address: IpAddr,
    line: Line,
    iface: Interface,
    sockets: SocketSet<'static>,
    ports: [Port; 1],
    wires: [Wire; 3],
    lasting: Lasting,
    scratch: [u8; MAX_FRAME],
    changes: Vec<TcpChange>,
}

impl Stack {
    fn new(address: IpAddr, seed: u32) -> Self {
        let mut line = Line::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed.into();
        let mut iface = Interface::new(config, &mut line, smoltcp::time::Instant::ZERO);
        iface.update_ip_addrs(|all| all.push(IpCidr::new(address.into(), 0)).unwrap());
        let places: Vec<_> = (0..4).map(|_| SocketStorage::EMPTY).collect();
        let mut sockets = SocketSet::new(places.leak());
        let storage: &'static mut Storage<1, 3> = Box::leak(Box::new(Storage::new()));
        let handles = storage.install(&mut sockets);
        let (listening, counters) = (None, Counters::default());
        Self {
            address,
            line,
            iface,
            sockets,
            ports: handles.udp.map(Port::new),
            wires: handles.tcp.map(Wire::new),
            lasting: Lasting { seed, counters, listening, listen_port: PORT },
            scratch: [0; MAX_FRAME],
            changes: Vec::new(),
        }
    }

    fn view(&mut self, now: Instant) -> View<'_, 'static> {
        View {
            now,
            iface: &mut self.iface,
            sockets: &mut self.sockets,
            ports: &mut self.ports,
            wires: &mut self.wires,
            lasting: &mut self.lasting,
            scratch: &mut self.scratch,
        }
    }

    fn turn(&mut self, now: Instant) {
        self.iface.poll(time(now), &mut self.line, &mut self.sockets);
        for index in 0..3 {
            let mut view = self.view(now);
            let change = view.change(index);
            if let Some(TcpChange::Caller(_)) = change {
                view.adopt(index, StreamId { index: 20 + index as u16, generation: 1 });
            }
            view.attend();
            self.changes.extend(change);
        }
        self.iface.poll(time(now), &mut self.line, &mut self.sockets);
    }

    fn was_told(&self, id: StreamId, state: StreamState) -> bool {
        self.changes.contains(&TcpChange::State(id, state))
    }

    /// Where the connection's own end is.
    fn local(&self, id: StreamId) -> SocketAddr {
        let (_, local) = self.ends().find(|(name, _)| *name == Some(id)).unwrap();
        local
    }

    fn ends(&self) -> impl Iterator<Item = (Option<StreamId>, SocketAddr)> {
        self.wires.iter().filter_map(|wire| {
            let socket = self.sockets.get::<smoltcp::socket::tcp::Socket<'_>>(wire.handle());
            let local = socket.local_endpoint()?;
            Some((wire.open(), SocketAddr::new(local.addr.into(), local.port)))
        })
    }
}

/// A server and two others, `DELAY` apart.
struct World {
    now: Instant,
    stacks: [Stack; 3],
    flying: VecDeque<(Instant, IpAddr, Vec<u8>)>,
    /// Which of the next packets are lost, by bits from the lowest.
    losses: u64,
}

const DELAY: Duration = Duration::from_millis(20);
const SERVER: usize = 0;
const ENDS: [usize; 2] = [1, 2];

impl World {
    fn new(six: bool) -> Self {
        let address = |host: u8| match six {
            false => IpAddr::from([198, 51, 100, host]),
            true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()]),
        };
        let stacks = [1, 2, 3].map(|host| Stack::new(address(host), host.into()));
        let (now, flying) = (Instant::from_millis(1_000), VecDeque::new());
        let mut world = Self { now, stacks, flying, losses: 0 };
        assert!(world.stacks[SERVER].view(now).listen().is_some());
        let server = SocketAddr::new(world.stacks[SERVER].address, PORT);
        for end in ENDS {
            assert!(world.stacks[end].view(now).connect(BESIDE, server));
            let stands = |world: &Self| world.stacks[end].was_told(BESIDE, StreamState::Connected);
            assert!(world.until(SECOND * 5, stands));
        }
        world
    }

    /// Lets time pass until `done`; whether that came.
    fn until(&mut self, longest: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(longest);
        while self.now < end {
            while self.flying.front().is_some_and(|(at, ..)| *at <= self.now) {
                let Some((_, to, packet)) = self.flying.pop_front() else { break };
                if let Some(stack) = self.stacks.iter().find(|stack| stack.address == to) {
                    stack.line.inbound.borrow_mut().push_back(packet);
                }
            }
            for stack in &mut self.stacks {
                stack.turn(self.now);
                for packet in stack.line.outbound.borrow_mut().drain(..) {
                    let lost = self.losses & 1 == 1;
                    self.losses >>= 1;
                    if !lost {
                        self.flying.push_back((
                            self.now.after(DELAY),
                            destination(&packet),
                            packet,
                        ));
                    }
                }
            }
            if done(self) {
                return true;
            }
            self.now = self.now.after(STEP);
        }
        false
    }

    fn locals(&self) -> [SocketAddr; 2] {
        ENDS.map(|end| self.stacks[end].local(BESIDE))
    }

    fn call(&mut self, end: usize, remote: SocketAddr) -> bool {
        let now = self.now;
        self.stacks[end].view(now).connect_from(MET, BESIDE, remote)
    }

    fn told(&self, end: usize, state: StreamState) -> bool {
        self.stacks[end].was_told(MET, state)
    }

    /// A frame in each direction.
    fn assert_passes(&mut self) {
        for end in ENDS {
            let text = [end as u8; 600];
            let now = self.now;
            let mut write = |room: &mut [u8]| {
                room.copy_from_slice(&text);
                true
            };
            assert!(self.stacks[end].view(now).write(MET, text.len(), &mut write));
        }
        self.until(SECOND * 3, |_| false);
        for (end, from) in [(1, 2_u8), (2, 1)] {
            let now = self.now;
            let mut view = self.stacks[end].view(now);
            let index = (0..3).find(|&index| view.open(index) == Some(MET)).unwrap();
            let mut come = Vec::new();
            while view.read(index, &mut |bytes| {
                come.extend_from_slice(bytes);
                bytes.len()
            }) {}
            assert_eq!(come, std::vec![from; 600], "what {end} got");
        }
    }
}

fn destination(packet: &[u8]) -> IpAddr {
    match packet[0] >> 4 {
        4 => IpAddr::from(<[u8; 4]>::try_from(&packet[16..20]).unwrap()),
        _ => IpAddr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap()),
    }
}

#[test]
fn two_that_call_each_other_become_one_connection_whatever_two_packets_are_lost() {
    let few = |losses: &u64| losses.count_ones() <= 2;
    for six in [false, true] {
        // Of the first twelve: both SYNs, both answers, what acknowledges those, and what is sent again
        // (in vain once: a stack acknowledges a repeated answer once in a second).
        for losses in (0..1 << 12).filter(few) {
            let mut world = World::new(six);
            let locals = world.locals();
            world.losses = losses;
            assert!(world.call(1, locals[1]) && world.call(2, locals[0]));
            let stand =
                |world: &World| ENDS.iter().all(|&end| world.told(end, StreamState::Connected));
            assert!(world.until(SECOND * 9, stand), "six: {six}, lost: {losses:b}");
            assert_eq!(ENDS.map(|end| world.stacks[end].local(MET)), locals);
            world.losses = 0;
            world.assert_passes();
            for end in ENDS {
                assert_eq!(world.stacks[end].lasting.counters, Counters::default());
                assert!(!world.stacks[end].was_told(BESIDE, StreamState::Closed));
            }
        }
    }
}

/// Whoever calls first is refused by a host that nothing shields; the next try may meet.
#[test]
fn one_that_is_refused_can_call_again() {
    let mut world = World::new(false);
    let locals = world.locals();
    assert!(world.call(1, locals[1]));
    assert!(world.until(SECOND, |world| world.told(1, StreamState::Closed)));
    assert!(world.call(1, locals[1]) && world.call(2, locals[0]));
    let stand = |world: &World| ENDS.iter().all(|&end| world.told(end, StreamState::Connected));
    assert!(world.until(SECOND, stand));
    world.assert_passes();
}

#[test]
fn a_port_is_shared_with_two_remotes_and_with_the_same_one_only_once() {
    let mut world = World::new(true);
    let now = world.now;
    let beside = world.stacks[1].local(BESIDE);
    let server = SocketAddr::new(world.stacks[SERVER].address, PORT);
    assert!(!world.call(1, server), "there is that one already");
    let other = SocketAddr::new(world.stacks[2].address, PORT);
    assert!(world.stacks[2].view(now).listen().is_some());
    assert!(world.call(1, other));
    assert!(world.until(SECOND, |world| world.told(1, StreamState::Connected)));
    assert_eq!(world.stacks[1].local(MET), beside);
    // The one does not end with the other.
    world.stacks[1].view(now).leave(BESIDE);
    assert!(!world.until(SECOND * 5, |world| world.told(1, StreamState::Closed)));
    assert_eq!(world.stacks[1].local(MET), beside);
}

#[test]
fn without_the_one_beside_or_a_socket_there_is_none() {
    let mut world = World::new(false);
    let now = world.now;
    let peer = world.locals()[1];
    let mut view = world.stacks[1].view(now);
    assert!(!view.connect_from(MET, THIRD, peer), "never there");
    assert!(view.connect(THIRD, peer));
    assert!(!view.connect_from(MET, THIRD, peer), "not standing yet");
    let six = SocketAddr::new(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9]), 5_000);
    assert!(!view.connect_from(MET, BESIDE, six), "another family");
    assert_eq!(view.lasting.counters, Counters::default());
    assert!(view.connect_from(MET, BESIDE, peer));
    let fourth = StreamId { index: 4, generation: 1 };
    assert!(!view.connect_from(fourth, BESIDE, SocketAddr::new(peer.ip(), 7)), "no socket");
    assert_eq!(view.lasting.counters.exhausted, 1);
    view.leave(BESIDE);
    view.leave(MET);
    assert!(!view.connect_from(fourth, BESIDE, peer), "let go");
}

/// A caller's local port is the listener's: whoever called there would be let in by it.
#[test]
fn a_port_that_is_listened_on_is_not_shared() {
    let mut world = World::new(false);
    let (now, peer) = (world.now, world.locals()[0]);
    let server = &mut world.stacks[SERVER];
    let (caller, _) = server.ends().find(|(name, _)| name.is_some()).unwrap();
    let elsewhere = SocketAddr::new(peer.ip(), 7);
    assert!(!server.view(now).connect_from(MET, caller.unwrap(), elsewhere));
    server.view(now).unlisten();
    assert!(server.view(now).connect_from(MET, caller.unwrap(), elsewhere));
}
