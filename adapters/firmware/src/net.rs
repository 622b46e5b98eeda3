//! The device's own network: Ethernet address, DHCP, routers, the server's name, and the cable.
//!
//! Genkan's adapter has its sockets in the same set, and neither knows the other's.

use core::time::Duration;

use genkan_core::Instant;
use heapless::Vec;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{dhcpv4, dns};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv4Cidr};

use crate::clock::stack_time;
use crate::lan9118::Lan9118;
use crate::names::{Families, Names};
use crate::router::{Memory, Router};

/// How often the cable is looked at, beside the controller's interrupt.
const GLANCE: Duration = Duration::from_secs(1);
/// How long an address is kept after the cable was put in, while nobody has answered who could give another.
pub const KEPT: Duration = Duration::from_secs(60);
/// How long DHCP is waited for before the device does with IPv6 alone.
const FOUR_FIRST: Duration = Duration::from_secs(5);

/// An IPv4 address, and what came with it.
#[derive(Debug)]
struct Lease {
    address: Ipv4Cidr,
    router: Option<Ipv4Address>,
    name_servers: Vec<Ipv4Address, 3>,
}

/// DHCP, routers, DNS and the cable.
pub struct Net {
    /// The stack.
    pub iface: Interface,
    dhcp: SocketHandle,
    lease: Option<Lease>,
    router: Router,
    /// The server's name.
    pub names: Names,
    has_link: bool,
    /// DHCP was begun anew, and the address of before is kept meanwhile, until then at the latest.
    asking_until: Option<Instant>,
    glance_at: Instant,
    /// From when on IPv6 alone will do.
    six_from: Instant,
    /// The server is used by IPv6.
    uses_six: bool,
}

impl Net {
    /// Starts the controller and the stack; DHCP begins at the next poll. `seed` draws ports and
    /// sequence numbers, which nobody should know before.
    pub fn start(
        now: Instant,
        device: &mut Lan9118,
        sockets: &mut SocketSet<'static>,
        queries: &'static mut [Option<dns::DnsQuery>],
        memory: &'static mut Memory,
        seed: u64,
    ) -> Self {
        let hardware = HardwareAddress::Ethernet(EthernetAddress(device.start()));
        let mut config = Config::new(hardware);
        config.random_seed = seed;
        let mut net = Self {
            iface: Interface::new(config, device, stack_time(now)),
            dhcp: sockets.add(dhcpv4::Socket::new()),
            lease: None,
            router: Router::new(hardware, sockets, memory),
            names: Names::new(sockets, queries),
            has_link: false,
            asking_until: None,
            glance_at: now,
            six_from: now,
            uses_six: false,
        };
        net.arrange();
        net
    }

    /// Looks after the cable, the addresses and the name (`host`), after the stack was polled. Returns
    /// when to poll again at the latest: `now` when the stack has something to send.
    pub fn poll(
        &mut self,
        now: Instant,
        host: &str,
        device: &Lan9118,
        sockets: &mut SocketSet<'static>,
    ) -> Instant {
        let mut busy = self.cable(now, device, sockets);
        busy |= self.lease(now, sockets);
        busy |= self.advertisements(now, sockets);
        busy |= self.name(now, host, sockets);
        if busy {
            return now;
        }
        let mut wake = self.glance_at.min(self.router.deadline());
        if self.families(now).is_some() {
            wake = wake.min(self.names.deadline());
        }
        wake
    }

    /// The same with the stack, while nobody else polls it.
    pub fn poll_alone(
        &mut self,
        now: Instant,
        host: &str,
        device: &mut Lan9118,
        sockets: &mut SocketSet<'static>,
    ) -> Instant {
        let time = stack_time(now);
        self.iface.poll(time, device, sockets);
        let wake = self.poll(now, host, device, sockets);
        let delay = self.iface.poll_delay(time, sockets);
        delay.map_or(wake, |delay| wake.min(now.after(Duration::from_micros(delay.total_micros()))))
    }

    /// Looks at the cable, now and then; whether it has changed.
    fn cable(&mut self, now: Instant, device: &Lan9118, sockets: &mut SocketSet<'static>) -> bool {
        self.glance_at = now.after(GLANCE);
        let has_link = device.has_link();
        if has_link == self.has_link {
            return false;
        }
        self.has_link = has_link;
        defmt::info!("the cable is {=str}", if has_link { "in" } else { "out" });
        if has_link {
            // The other end may be another network: ask at once. The address is kept until there is
            // an answer, but not for long: it may be given to somebody else, by a server that is not
            // heard here.
            self.asking_until = self.lease.as_ref().map(|_| now.after(KEPT));
            sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).reset();
            self.router.ask(now);
            self.six_from = now.after(FOUR_FIRST);
        }
        true
    }

    /// Takes what DHCP brings.
    fn lease(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> bool {
        let is_asking = self.asking_until.is_some_and(|end| now < end);
        let is_over = self.asking_until.is_some() && !is_asking;
        self.lease = match sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll() {
            Some(dhcpv4::Event::Configured(lease)) => {
                defmt::info!("address {}, router {}", lease.address, lease.router);
                let dhcpv4::Config { address, router, ref dns_servers, .. } = lease;
                // As many as there is room for.
                let name_servers = dns_servers.iter().copied().take(3).collect();
                Some(Lease { address, router, name_servers })
            }
            Some(dhcpv4::Event::Deconfigured) if is_asking => return false,
            None if !is_over => return false,
            _ => {
                defmt::info!("no address");
                None
            }
        };
        self.asking_until = None;
        self.arrange();
        true
    }

    /// Takes what routers say.
    fn advertisements(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> bool {
        let Some(changed) = self.router.poll(now, sockets) else { return false };
        if changed {
            self.arrange();
        }
        true
    }

    /// Has the stack know all addresses, and the names all servers. The first address is the one that
    /// the machine takes for the device's own: of the family in which it has its server.
    fn arrange(&mut self) {
        let four = self.lease.as_ref().map(|lease| IpCidr::Ipv4(lease.address));
        let six = self.router.address();
        let [first, second] = if self.uses_six { [six, four] } else { [four, six] };
        let local = self.router.local();
        self.iface.update_ip_addrs(|addresses| {
            addresses.clear();
            // There is room for all: three with IPv6, one without.
            addresses.extend([first, second, local].into_iter().flatten());
        });
        let routes = self.iface.routes_mut();
        routes.remove_default_ipv4_route();
        self.router.arrange(routes);
        self.names.servers.clear();
        // There is room for a route and for the name servers of either.
        if let Some(lease) = &self.lease {
            if let Some(router) = lease.router {
                let _ = routes.add_default_ipv4_route(router);
            }
            self.names.servers.extend(lease.name_servers.iter().copied().map(IpAddress::Ipv4));
        }
        self.names.servers.extend(self.router.name_servers());
    }

    /// Which addresses there are; `None` while there are none, or better ones may come.
    fn families(&self, now: Instant) -> Option<Families> {
        let (four, six) = (self.lease.is_some(), self.router.address().is_some());
        (four || (six && now >= self.six_from)).then_some(Families { four, six })
    }

    /// Asks for the name, and takes the answer; whether something has changed.
    fn name(&mut self, now: Instant, host: &str, sockets: &mut SocketSet<'static>) -> bool {
        let Some(families) = self.families(now) else { return false };
        let changed = self.names.poll(now, host, families, &mut self.iface, sockets);
        let found = self.names.found.as_ref().and_then(|found| found.first());
        let uses_six = found.map_or(self.uses_six, |address| address.is_ipv6());
        if core::mem::replace(&mut self.uses_six, uses_six) != uses_six {
            self.arrange();
        }
        changed
    }
}
