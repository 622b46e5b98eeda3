//! The device's own network: Ethernet address, DHCP, the server's name, and the cable.
//!
//! Genkan's adapter has its sockets in the same set, and neither knows the other's.

use core::time::Duration;

use genkan_core::Instant;
use heapless::Vec;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{dhcpv4, dns};
use smoltcp::wire::{DnsQueryType, EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::clock::stack_time;
use crate::lan9118::Lan9118;
use crate::server::Answers;

/// After this long another answer is asked for, when a name could not be looked up.
const RETRY: Duration = Duration::from_secs(2);
/// How often the cable is looked at, beside the controller's interrupt.
const GLANCE: Duration = Duration::from_secs(1);
/// How long an address is kept after the cable was put in, while no DHCP server has answered.
const KEPT: Duration = Duration::from_secs(60);
/// Name servers that a lease may bring, as many as the stack takes (its feature `dns-max-server-count-3`).
const SERVERS: usize = 3;

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
    /// DHCP was begun anew, and the address of before is kept meanwhile, until then at the latest.
    asking_until: Option<Instant>,
    glance_at: Instant,
    /// The name's addresses; for the application to take.
    pub found: Option<Answers>,
}

impl Net {
    /// Starts the controller and the stack; DHCP begins at the next poll. `seed` draws ports and
    /// sequence numbers, which nobody should know before.
    pub fn start(
        now: Instant,
        device: &mut Lan9118,
        sockets: &mut SocketSet<'static>,
        queries: &'static mut [Option<dns::DnsQuery>],
        seed: u64,
    ) -> Self {
        let mac = EthernetAddress(device.start());
        let mut config = Config::new(HardwareAddress::Ethernet(mac));
        config.random_seed = seed;
        Self {
            iface: Interface::new(config, device, stack_time(now)),
            dhcp: sockets.add(dhcpv4::Socket::new()),
            dns: sockets.add(dns::Socket::new(&[], queries)),
            query: None,
            wanted: None,
            has_link: false,
            asking_until: None,
            glance_at: now,
            found: None,
        }
    }

    /// Looks a name up as soon as there is a network; tried until it succeeds.
    pub fn look_up(&mut self, now: Instant) {
        self.wanted = Some(now);
    }

    /// Looks after the cable, the address and the name (`host`), after the stack was polled. Returns
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
        busy |= self.name(now, host, sockets);
        if busy {
            return now;
        }
        let retry = self.wanted.filter(|_| self.iface.ipv4_addr().is_some());
        retry.unwrap_or(Instant::END).min(self.glance_at)
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
            self.asking_until = self.iface.ipv4_addr().map(|_| now.after(KEPT));
            sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).reset();
        }
        true
    }

    /// Takes what DHCP brings.
    fn lease(&mut self, now: Instant, sockets: &mut SocketSet<'static>) -> bool {
        let is_asking = self.asking_until.is_some_and(|end| now < end);
        let is_over = self.asking_until.is_some() && !is_asking;
        let mut servers = Vec::<IpAddress, SERVERS>::new();
        let (address, router) = match sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll() {
            Some(dhcpv4::Event::Configured(lease)) => {
                defmt::info!("address {}, router {}", lease.address, lease.router);
                servers.extend(lease.dns_servers.iter().map(|it| IpAddress::Ipv4(*it)));
                (Some(lease.address), lease.router)
            }
            Some(dhcpv4::Event::Deconfigured) if is_asking => return false,
            None if !is_over => return false,
            _ => {
                defmt::info!("no address");
                (None, None)
            }
        };
        self.asking_until = None;
        self.iface.update_ip_addrs(|addresses| {
            addresses.clear();
            // There is room for one.
            addresses.extend(address.map(IpCidr::Ipv4));
        });
        self.iface.routes_mut().remove_default_ipv4_route();
        if let Some(router) = router {
            // There is room for one.
            let _ = self.iface.routes_mut().add_default_ipv4_route(router);
        }
        sockets.get_mut::<dns::Socket<'_>>(self.dns).update_servers(&servers);
        true
    }

    /// Asks for the name, and takes the answer; whether something has changed.
    fn name(&mut self, now: Instant, host: &str, sockets: &mut SocketSet<'static>) -> bool {
        if self.iface.ipv4_addr().is_none() {
            return false;
        }
        let dns = sockets.get_mut::<dns::Socket<'_>>(self.dns);
        if self.query.is_none() && self.wanted.is_some_and(|at| at <= now) {
            self.wanted = None;
            match host.parse() {
                Ok(address) => self.found = Some(Answers::from_iter([address])),
                Err(_) => {
                    let asked = dns.start_query(self.iface.context(), host, DnsQueryType::A);
                    if let Err(error) = &asked {
                        let error = defmt::Debug2Format(error);
                        defmt::warn!("{=str} cannot be asked for: {}; trying on", host, error);
                        self.wanted = Some(now.after(RETRY));
                    }
                    self.query = asked.ok();
                }
            }
            return true;
        }
        let Some(query) = self.query else { return false };
        match dns.get_query_result(query) {
            Err(dns::GetQueryResultError::Pending) => return false,
            Ok(found) => {
                defmt::info!("{=str} is {}", host, found);
                self.found = Some(found.into_iter().map(|IpAddress::Ipv4(it)| it).collect());
            }
            Err(dns::GetQueryResultError::Failed) => {
                defmt::warn!("{=str} is not found; trying on", host);
                self.wanted = Some(now.after(RETRY));
            }
        }
        self.query = None;
        true
    }
}
