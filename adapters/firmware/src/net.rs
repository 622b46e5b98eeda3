//! The device's own network: Ethernet address, DHCP, the server's name, and the cable.
//!
//! Genkan's adapter has its sockets in the same set, and neither knows the other's.

use core::net::Ipv4Addr;
use core::time::Duration;

use genkan_core::{Entropy, EntropyError, Instant};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{dhcpv4, dns};
use smoltcp::wire::{DnsQueryType, EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::clock::stack_time;
use crate::lan9118::Lan9118;

/// After this long another answer is asked for, when a name could not be looked up.
const RETRY: Duration = Duration::from_secs(2);
/// How often the cable is looked at, beside the controller's interrupt.
const GLANCE: Duration = Duration::from_secs(1);

/// What has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, defmt::Format)]
pub enum Change {
    /// There is an address, or another one, or the cable is back.
    Up,
    /// The cable is out, or the address was taken away.
    Down,
    /// The name was looked up.
    Found(#[defmt(Debug2Format)] Ipv4Addr),
}

/// DHCP, DNS and the cable.
pub struct Net {
    /// The stack.
    pub iface: Interface,
    dhcp: SocketHandle,
    dns: SocketHandle,
    query: Option<dns::QueryHandle>,
    /// A name shall be looked up, then.
    wanted: Option<Instant>,
    has_link: bool,
    glance_at: Instant,
}

impl Net {
    /// Starts the controller and the stack; DHCP begins at the next poll.
    ///
    /// # Errors
    /// [`EntropyError`]: ports and sequence numbers would be known to everybody.
    pub fn start(
        now: Instant,
        device: &mut Lan9118,
        sockets: &mut SocketSet<'static>,
        queries: &'static mut [Option<dns::DnsQuery>],
        entropy: &mut dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let mac = EthernetAddress(device.start());
        let mut config = Config::new(HardwareAddress::Ethernet(mac));
        let mut seed = [0; 8];
        entropy.fill(&mut seed)?;
        config.random_seed = u64::from_le_bytes(seed);
        Ok(Self {
            iface: Interface::new(config, device, stack_time(now)),
            dhcp: sockets.add(dhcpv4::Socket::new()),
            dns: sockets.add(dns::Socket::new(&[], queries)),
            query: None,
            wanted: None,
            has_link: false,
            glance_at: now,
        })
    }

    /// Looks a name up as soon as there is a network; tried until it succeeds.
    pub fn look_up(&mut self, now: Instant) {
        self.wanted = Some(now);
    }

    /// What has changed since the last call, one thing at a time: call it until `None`, after the
    /// stack was polled. `host` is the name to look up.
    pub fn poll(
        &mut self,
        now: Instant,
        host: &str,
        device: &Lan9118,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Change> {
        self.cable(now, device, sockets).or_else(|| self.lease(sockets)).or_else(|| {
            let found = self.name(now, host, sockets)?;
            Some(Change::Found(found))
        })
    }

    /// When the stack or this must be polled again at the latest.
    pub fn wake_at(&mut self, now: Instant, sockets: &SocketSet<'static>) -> Instant {
        let stack = self.iface.poll_delay(stack_time(now), sockets);
        let stack = stack.map(|delay| now.after(Duration::from_micros(delay.total_micros())));
        let retry = self.wanted.filter(|_| self.iface.ipv4_addr().is_some());
        [stack, retry].into_iter().flatten().fold(self.glance_at, Instant::min)
    }

    fn cable(
        &mut self,
        now: Instant,
        device: &Lan9118,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Change> {
        self.glance_at = now.after(GLANCE);
        let has_link = device.has_link();
        if has_link == self.has_link {
            return None;
        }
        self.has_link = has_link;
        defmt::info!("cable {=str}", if has_link { "in" } else { "out" });
        if has_link {
            // It may be another network: ask for an address at once. The old one is used meanwhile.
            let dhcp = sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp);
            if self.iface.ipv4_addr().is_none() {
                dhcp.reset();
                return None;
            }
        }
        Some(if has_link { Change::Up } else { Change::Down })
    }

    fn lease(&mut self, sockets: &mut SocketSet<'static>) -> Option<Change> {
        match sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll()? {
            dhcpv4::Event::Configured(lease) => {
                let address = IpCidr::Ipv4(lease.address);
                let servers = lease.dns_servers.first().map(|&server| IpAddress::Ipv4(server));
                self.iface.update_ip_addrs(|addresses| {
                    addresses.clear();
                    // There is room for one.
                    let _ = addresses.push(address);
                });
                match lease.router {
                    // There is room for one.
                    Some(router) => drop(self.iface.routes_mut().add_default_ipv4_route(router)),
                    None => drop(self.iface.routes_mut().remove_default_ipv4_route()),
                }
                defmt::info!("address {}, router {}", lease.address, lease.router);
                sockets.get_mut::<dns::Socket<'_>>(self.dns).update_servers(servers.as_slice());
                Some(Change::Up)
            }
            dhcpv4::Event::Deconfigured => {
                self.iface.update_ip_addrs(|addresses| addresses.clear());
                self.iface.routes_mut().remove_default_ipv4_route();
                defmt::info!("no address");
                Some(Change::Down)
            }
        }
    }

    fn name(
        &mut self,
        now: Instant,
        host: &str,
        sockets: &mut SocketSet<'static>,
    ) -> Option<Ipv4Addr> {
        self.iface.ipv4_addr()?;
        if self.wanted.is_some_and(|at| at <= now) {
            self.wanted = None;
            if let Ok(address) = host.parse() {
                return Some(address);
            }
            let dns = sockets.get_mut::<dns::Socket<'_>>(self.dns);
            self.query = dns.start_query(self.iface.context(), host, DnsQueryType::A).ok();
            if self.query.is_none() {
                defmt::error!("{=str} is no name", host);
            }
        }
        let dns = sockets.get_mut::<dns::Socket<'_>>(self.dns);
        match dns.get_query_result(self.query?) {
            Err(dns::GetQueryResultError::Pending) => None,
            Ok(found) => {
                self.query = None;
                found.iter().find_map(|address| match address {
                    IpAddress::Ipv4(address) => Some(*address),
                    #[allow(unreachable_patterns, reason = "IPv6 is a feature of the stack's")]
                    _ => None,
                })
            }
            Err(dns::GetQueryResultError::Failed) => {
                defmt::warn!("{=str} is not found; trying on", host);
                self.query = None;
                self.wanted = Some(now.after(RETRY));
                None
            }
        }
    }
}
