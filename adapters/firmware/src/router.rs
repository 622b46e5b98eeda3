//! An IPv6 address and a router, by router advertisements (RFC 4861, RFC 4862).
//!
//! smoltcp can do that by itself (its feature `proto-ipv6-slaac`), but 0.14 asks for routers once and never
//! again when the cable goes into another network, drops the name servers, and where no router answers
//! it wants to be polled without a pause. So the advertisements are read here, from a raw socket.
//!
//! The address is made of the controller's own (EUI-64), so that the device has the same one after
//! each start. Nobody is asked whether somebody else has it.

use core::net::Ipv6Addr;
use core::time::Duration;

use genkan_core::Instant;
use heapless::Vec;
use smoltcp::iface::{Routes, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::raw;
use smoltcp::wire::{
    HardwareAddress, IPV6_LINK_LOCAL_ALL_ROUTERS, Icmpv6Message, Icmpv6Packet, Icmpv6Repr,
    IpAddress, IpCidr, IpProtocol, IpVersion, Ipv6Cidr, Ipv6Packet, Ipv6Repr, NdiscRepr,
};

use crate::advert::{Advert, SERVERS};
use crate::net::KEPT;

/// How often routers are asked for, and how long each answer is waited for (RFC 4861, section 10).
const ASKS: u8 = 3;
const WAIT: Duration = Duration::from_secs(4);
/// Whoever is off the link cannot send with it.
const HOPS: u8 = 255;
/// Packets that wait to be looked at: all of ICMPv6 comes this way.
const WAITING: usize = 4;
/// Their bytes; a longer advertisement is lost.
const BYTES: usize = 768;
/// A solicitation with its IPv6 header.
const ASKING: usize = 56;

/// Sockets that it takes.
pub const SOCKETS: usize = 1;

/// Memory for the socket.
pub struct Memory {
    heads: [raw::PacketMetadata; WAITING],
    bytes: [u8; BYTES],
    head_out: [raw::PacketMetadata; 1],
    bytes_out: [u8; ASKING],
}

impl Memory {
    /// Empty.
    pub const fn new() -> Self {
        let (heads, head_out) =
            ([raw::PacketMetadata::EMPTY; WAITING], [raw::PacketMetadata::EMPTY]);
        Self { heads, bytes: [0; BYTES], head_out, bytes_out: [0; ASKING] }
    }
}

/// What a router has said.
#[derive(Debug)]
struct Lease {
    /// The device's address.
    address: Ipv6Cidr,
    /// The way out.
    router: Ipv6Addr,
    /// Whom to ask for names.
    name_servers: Vec<Ipv6Addr, SERVERS>,
    until: Instant,
}

/// Looks for a router, and listens to the one that was found.
pub struct Router {
    socket: SocketHandle,
    hardware: HardwareAddress,
    /// The device's address on this link alone.
    local: Ipv6Cidr,
    /// How often it will still ask, and when next.
    asks: u8,
    ask_at: Instant,
    /// What holds now.
    lease: Option<Lease>,
}

impl Router {
    /// One that begins to ask with [`Router::ask`].
    pub fn new(
        hardware: HardwareAddress,
        sockets: &mut SocketSet<'static>,
        memory: &'static mut Memory,
    ) -> Self {
        let received = raw::PacketBuffer::new(&mut memory.heads[..], &mut memory.bytes[..]);
        let sent = raw::PacketBuffer::new(&mut memory.head_out[..], &mut memory.bytes_out[..]);
        let (version, protocol) = (Some(IpVersion::Ipv6), Some(IpProtocol::Icmpv6));
        let link = Ipv6Cidr::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64);
        Self {
            socket: sockets.add(raw::Socket::new(version, protocol, received, sent)),
            hardware,
            // An Ethernet address makes one.
            local: Ipv6Cidr::from_link_prefix(&link, hardware).unwrap_or(link),
            asks: 0,
            ask_at: Instant::START,
            lease: None,
        }
    }

    /// The cable was put in: the router may be another one. What holds is kept until that answers, but
    /// not for long.
    pub fn ask(&mut self, now: Instant) {
        (self.asks, self.ask_at) = (ASKS, now);
        if let Some(lease) = &mut self.lease {
            lease.until = lease.until.min(now.after(KEPT));
        }
    }

    /// When to poll again at the latest.
    pub fn deadline(&self) -> Instant {
        let ask_at = if self.asks > 0 { self.ask_at } else { Instant::END };
        ask_at.min(self.lease.as_ref().map_or(Instant::END, |lease| lease.until))
    }

    /// The device's address, while a router has given it one.
    pub fn address(&self) -> Option<IpCidr> {
        self.lease.as_ref().map(|lease| IpCidr::Ipv6(lease.address))
    }

    /// The device's address on this link alone.
    pub fn local(&self) -> Option<IpCidr> {
        Some(IpCidr::Ipv6(self.local))
    }

    /// Whom to ask for names.
    pub fn name_servers(&self) -> impl Iterator<Item = IpAddress> {
        self.lease.iter().flat_map(|it| &it.name_servers).copied().map(IpAddress::Ipv6)
    }

    /// Has the stack know the way out.
    pub fn arrange(&self, routes: &mut Routes) {
        routes.remove_default_ipv6_route();
        if let Some(lease) = &self.lease {
            // There is room for one.
            let _ = routes.add_default_ipv6_route(lease.router);
        }
    }

    /// Asks, when that is due, and listens. `None`: the stack has nothing to do for it. Otherwise, whether
    /// the addresses are others now.
    #[inline(never)] // What it has on the stack is not there while the machine is driven.
    pub fn poll(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> Option<bool> {
        let socket = sockets.get_mut::<raw::Socket<'_>>(self.socket);
        let mut changed = self.lease.take_if(|lease| lease.until <= now).is_some();
        let mut busy = changed;
        while let Ok(packet) = socket.recv() {
            if let Some((router, advert)) = heard(packet) {
                busy = true;
                changed |= self.take(now, router, advert);
            }
        }
        if self.asks > 0 && self.ask_at <= now {
            busy = true;
            (self.asks, self.ask_at) = (self.asks - 1, now.after(WAIT));
            // There is room, unless the one before has not left.
            let _full = socket.send_slice(&self.solicitation());
        }
        if changed {
            match &self.lease {
                Some(lease) => defmt::info!("address {}, router {}", lease.address, lease.router),
                None => defmt::info!("no address of IPv6"),
            }
        }
        busy.then_some(changed)
    }

    /// Takes what a router says; whether something is another now. Another router than the one that holds
    /// is listened to only while one is looked for: addresses that change end connections.
    fn take(&mut self, now: Instant, router: Ipv6Addr, advert: Advert) -> bool {
        let before = self.lease.as_ref();
        let is_known = before.is_none_or(|lease| lease.router == router);
        if !is_known && self.asks == 0 {
            return false;
        }
        let usable = advert.prefix.filter(|_| advert.lifetime > 0).and_then(|(network, valid)| {
            let network = Ipv6Cidr::new(network, 64);
            Some((Ipv6Cidr::from_link_prefix(&network, self.hardware)?, valid))
        });
        let Some((address, valid)) = usable else {
            let is_over = is_known && advert.lifetime == 0;
            return is_over && self.lease.take().is_some();
        };
        let name_servers = advert.name_servers;
        let changed = before.is_none_or(|lease| {
            (lease.address, lease.router) != (address, router) || lease.name_servers != name_servers
        });
        let until = now.after(Duration::from_secs(valid.min(advert.lifetime.into()).into()));
        self.lease = Some(Lease { address, router, name_servers, until });
        self.asks = 0;
        changed
    }

    /// A router solicitation with its IPv6 header.
    fn solicitation(&self) -> [u8; ASKING] {
        let message =
            Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { lladdr: Some(self.hardware.into()) });
        let header = Ipv6Repr {
            src_addr: self.local.address(),
            dst_addr: IPV6_LINK_LOCAL_ALL_ROUTERS,
            next_header: IpProtocol::Icmpv6,
            payload_len: message.buffer_len(),
            hop_limit: HOPS,
        };
        let mut out = [0; ASKING];
        let mut packet = Ipv6Packet::new_unchecked(&mut out[..]);
        header.emit(&mut packet);
        let mut inside = Icmpv6Packet::new_unchecked(packet.payload_mut());
        let checksums = ChecksumCapabilities::default();
        message.emit(&header.src_addr, &header.dst_addr, &mut inside, &checksums);
        out
    }
}

/// The advertisement in a packet, and whose it is.
fn heard(packet: &[u8]) -> Option<(Ipv6Addr, Advert)> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
    let is_advert = message.msg_type() == Icmpv6Message::RouterAdvert
        && packet.hop_limit() == HOPS
        && from.is_unicast_link_local()
        && message.verify_checksum(&from, &to);
    if !is_advert {
        return None;
    }
    Some((from, Advert::read(packet.payload())?))
}
