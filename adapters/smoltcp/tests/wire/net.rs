//! A small internet for stacks: it carries IP packets in virtual time.
//!
//! Every host hangs on a line of its own with a gateway at its end, which answers ARP on Ethernet
//! lines and may be a NAT of the simulator's. Between the gateways lie [`HOPS`] routers, one delay and
//! dice for loss and reordering.

use core::cell::RefCell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use genkan_sim::{Flow, Nat, Rng};
use smoltcp::phy::{Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr,
};

use crate::packet::Ends;

/// Routers between two gateways.
pub(crate) const HOPS: u8 = 8;
/// The gateway's hardware address.
const GATEWAY: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// The gateway's address on every line.
pub(crate) const GATEWAY_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// The line that a host hangs on, as its stack sees it.
#[derive(Clone)]
pub(crate) struct Line(Rc<RefCell<State>>);

struct State {
    medium: Medium,
    inbound: VecDeque<Vec<u8>>,
    outbound: Vec<Vec<u8>>,
    /// Packets that the device takes until it is emptied.
    room: usize,
    plugged: bool,
}

impl Line {
    pub(crate) fn new(medium: Medium) -> Self {
        let (inbound, outbound) = (VecDeque::new(), Vec::new());
        let state = State { medium, inbound, outbound, room: usize::MAX, plugged: true };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Pulls the plug, or puts it in again.
    pub(crate) fn plug(&self, plugged: bool) {
        self.0.borrow_mut().plugged = plugged;
    }

    /// How many packets the device takes in a row.
    pub(crate) fn narrow(&self, room: usize) {
        self.0.borrow_mut().room = room;
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.0.borrow().inbound.is_empty()
    }

    fn deliver(&self, packet: &[u8]) {
        let mut state = self.0.borrow_mut();
        if !state.plugged {
            return;
        }
        let bytes = match state.medium {
            Medium::Ethernet => {
                let mut frame = vec![0; 14 + packet.len()];
                let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
                ethernet.set_src_addr(GATEWAY);
                ethernet.set_dst_addr(MAC);
                ethernet.set_ethertype(EthernetProtocol::Ipv4);
                ethernet.payload_mut().copy_from_slice(packet);
                frame
            }
            _ => packet.to_vec(),
        };
        state.inbound.push_back(bytes);
    }

    /// The IP packets that the host has sent; ARP is answered right here.
    fn take(&self, deaf: bool) -> Vec<Vec<u8>> {
        let mut state = self.0.borrow_mut();
        let sent = core::mem::take(&mut state.outbound);
        if !state.plugged {
            return Vec::new();
        }
        if state.medium != Medium::Ethernet {
            return sent;
        }
        let mut packets = Vec::new();
        for frame in sent {
            let ethernet = EthernetFrame::new_checked(&frame[..]).unwrap();
            match ethernet.ethertype() {
                EthernetProtocol::Arp => {
                    let arp = ArpPacket::new_checked(ethernet.payload()).unwrap();
                    let repr = ArpRepr::parse(&arp).unwrap();
                    if !deaf && let Some(answer) = answer(repr) {
                        state.inbound.push_back(answer);
                    }
                }
                _ => packets.push(ethernet.payload().to_vec()),
            }
        }
        packets
    }
}

/// Every host's hardware address; nobody else is on its line.
pub(crate) const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

fn answer(request: ArpRepr) -> Option<Vec<u8>> {
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr: GATEWAY_IP,
        ..
    } = request
    else {
        return None;
    };
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: GATEWAY,
        source_protocol_addr: GATEWAY_IP,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut frame = vec![0; 14 + reply.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    EthernetRepr {
        src_addr: GATEWAY,
        dst_addr: source_hardware_addr,
        ethertype: EthernetProtocol::Arp,
    }
    .emit(&mut ethernet);
    reply.emit(&mut ArpPacket::new_unchecked(ethernet.payload_mut()));
    Some(frame)
}

pub(crate) struct RxToken(Vec<u8>);
pub(crate) struct TxToken<'t>(&'t RefCell<State>);

impl smoltcp::phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl smoltcp::phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.borrow_mut().outbound.push(packet);
        result
    }
}

impl Device for Line {
    type RxToken<'t> = RxToken;
    type TxToken<'t> = TxToken<'t>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let packet = self.0.borrow_mut().inbound.pop_front()?;
        Some((RxToken(packet), TxToken(&self.0)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        let state = self.0.borrow();
        (state.outbound.len() < state.room).then_some(TxToken(&self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let medium = self.0.borrow().medium;
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = medium;
        capabilities.max_transmission_unit = if medium == Medium::Ethernet { 1_514 } else { 1_500 };
        capabilities
    }
}

/// What was seen between the gateways.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) line: usize,
    pub(crate) flow: Flow,
    pub(crate) hop_limit: u8,
    pub(crate) source: SocketAddr,
}

/// What packets suffer on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) loss: f64,
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) twins: f64,
}

pub(crate) struct Net {
    pub(crate) faults: Faults,
    pub(crate) seen: Vec<Seen>,
    /// The gateways answer no ARP requests.
    pub(crate) deaf: bool,
    lines: Vec<Line>,
    nats: Vec<Option<Nat>>,
    addresses: BTreeMap<IpAddr, usize>,
    queue: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    count: u64,
    rng: Rng,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        let faults = Faults {
            loss: 0.0,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            twins: 0.0,
        };
        Self {
            faults,
            seen: Vec::new(),
            deaf: false,
            lines: Vec::new(),
            nats: Vec::new(),
            addresses: BTreeMap::new(),
            queue: BTreeMap::new(),
            count: 0,
            rng: Rng::new(seed),
        }
    }

    /// Puts a host on the net: the outer address is its own, or its NAT's.
    pub(crate) fn add(&mut self, line: Line, outside: IpAddr, nat: Option<Nat>) -> usize {
        self.lines.push(line);
        self.nats.push(nat);
        self.addresses.insert(outside, self.lines.len() - 1);
        self.lines.len() - 1
    }

    /// A host has another outer address from now on.
    pub(crate) fn readdress(&mut self, line: usize, outside: IpAddr) {
        self.addresses.retain(|_, owner| *owner != line);
        self.addresses.insert(outside, line);
    }

    /// Puts a packet right before a host's stack.
    pub(crate) fn inject(&mut self, line: usize, packet: &[u8]) {
        self.lines[line].deliver(packet);
    }

    /// Moves what a host has sent on its way.
    pub(crate) fn collect(&mut self, now: Duration, line: usize) {
        for mut packet in self.lines[line].clone().take(self.deaf) {
            self.send(now, line, &mut packet);
        }
    }

    /// When the next packet arrives.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Delivers what has arrived by `now`.
    pub(crate) fn deliver(&mut self, now: Duration) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let (line, mut packet) = entry.remove();
            self.arrive(now, line, &mut packet);
        }
    }

    fn send(&mut self, now: Duration, line: usize, packet: &mut [u8]) {
        let Some(mut ends) = Ends::parse(packet) else { return };
        if let Some(nat) = &mut self.nats[line] {
            let Ok(outside) = nat.outbound(now, ends.flow, ends.source, ends.destination) else {
                return;
            };
            if ends.source != outside {
                ends.source = outside;
                ends.write(packet);
            }
        }
        self.seen.push(Seen {
            at: now,
            line,
            flow: ends.flow,
            hop_limit: ends.hop_limit,
            source: ends.source,
        });
        let Some(to) = self.addresses.get(&ends.destination.ip()).copied() else { return };
        if ends.hop_limit <= HOPS || self.rng.chance(self.faults.loss) {
            return;
        }
        let copies = 1 + u32::from(self.rng.chance(self.faults.twins));
        for _ in 0..copies {
            let at = now + self.faults.delay + self.rng.up_to(self.faults.jitter);
            self.queue.insert((at, self.count), (to, packet.to_vec()));
            self.count += 1;
        }
    }

    fn arrive(&mut self, now: Duration, line: usize, packet: &mut [u8]) {
        let Some(mut ends) = Ends::parse(packet) else { return };
        if let Some(nat) = &mut self.nats[line] {
            let Ok(inside) = nat.inbound(now, ends.flow, ends.source, ends.destination) else {
                return;
            };
            if ends.destination != inside {
                ends.destination = inside;
                ends.write(packet);
            }
        }
        self.lines[line].deliver(packet);
    }
}
