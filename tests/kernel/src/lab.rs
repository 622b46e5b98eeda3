//! A small internet of network namespaces: remote hosts on one wire, NATs of the kernel's on it, and
//! two hosts behind each.
//!
//! ```text
//! host 0 192.0.2.2 ─┬─ 192.0.2.1 NAT 203.0.113.1 ─────────────────┬─ 203.0.113.10 to .13
//! host 1 192.0.2.3 ─┘                                             │
//! host 0 192.0.2.2 ─── 192.0.2.1 NAT 100.64.0.2 ─ 100.64.0.1 NAT 203.0.113.2
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::io::ErrorKind;
use std::net::UdpSocket;

use genkan_sim::nat::TcpLifetimes;

use crate::netns::Namespace;
use crate::rules::Rules;
use crate::scenario::{A, Inside, Remote};

/// How long the kernel keeps mappings, in whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// `nf_conntrack_udp_timeout`.
    pub initial: u64,
    /// `nf_conntrack_udp_timeout_stream`.
    pub replied: u64,
    /// `nf_conntrack_tcp_timeout_…`, but for [`TcpLifetimes::refused`], which is no setting.
    pub tcp: TcpLifetimes,
}

impl Default for Timeouts {
    /// The kernel's own.
    fn default() -> Self {
        Self { initial: 30, replied: 120, tcp: TcpLifetimes::linux() }
    }
}

impl Timeouts {
    /// The first as a [`Duration`].
    #[must_use]
    pub const fn initial(self) -> Duration {
        Duration::from_secs(self.initial)
    }

    /// The second as a [`Duration`].
    #[must_use]
    pub const fn replied(self) -> Duration {
        Duration::from_secs(self.replied)
    }
}

/// What stands between two inside hosts and the internet.
#[derive(Clone, Debug)]
pub struct SiteSpec {
    /// The NATs, from the inside outwards: one, or two in cascade.
    pub nats: Vec<Rules>,
    /// How long they keep mappings.
    pub timeouts: Timeouts,
}

impl SiteSpec {
    /// One NAT with the kernel's own timeouts.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { nats: vec![rules], timeouts: Timeouts::default() }
    }
}

const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const GATEWAY_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));

/// Host 0 by IPv6.
const FIRST: Inside = Inside { six: true, ..A };

#[derive(Debug)]
struct Site {
    hosts: [Namespace; 2],
    /// From the inside outwards, each with its address outside.
    nats: Vec<(Namespace, Rules, IpAddr)>,
}

/// Namespaces and the wires between them. All of it is gone when this is dropped.
#[derive(Debug)]
pub struct Lab {
    internet: Namespace,
    sites: Vec<Site>,
}

impl Lab {
    /// Lays the wires and loads the rules.
    ///
    /// # Panics
    /// When that is not possible here.
    #[must_use]
    pub fn new(sites: &[SiteSpec]) -> Self {
        let internet = Namespace::new();
        unlimited(&internet);
        internet.set_if_any("net/bridge/bridge-nf-call-iptables", "0");
        let add = |host, six| {
            let remote = Remote { host, six, port: 0 };
            let (length, flag) = if six { (64, "nodad") } else { (24, "") };
            format!("addr add {}/{length} dev wire {flag}", remote.ip())
        };
        let addresses: String =
            (0..4).map(|host| format!("{}\n{}\n", add(host, false), add(host, true))).collect();
        internet.ip(&format!(
            "link add wire type bridge
             {addresses}
             link set wire up
             route add 2001:db8:1::/64 via 2001:db8:2::1"
        ));
        let sites = (1..).zip(sites).map(|(number, spec)| site(&internet, number, spec)).collect();
        let lab = Self { internet, sites };
        lab.warm_up();
        lab
    }

    /// Everybody has talked to his neighbours once: wires come up, and addresses are resolved, in
    /// their own time, and no packet of a test is to wait for that.
    fn warm_up(&self) {
        for site in &self.sites {
            let six = site.nats.iter().any(|&(_, rules, _)| rules == Rules::Firewall);
            for six in [false, true].into_iter().filter(|&it| !it || six) {
                for (host, namespace) in (0..).zip(&site.hosts) {
                    let inside = Inside { host, six, ..A };
                    reach(&site.nats[0].0, inside.ip());
                    reach(namespace, if six { GATEWAY_6 } else { GATEWAY });
                }
                let remotes = (0..4).map(|host| Remote { host, six, port: 0 }.ip());
                remotes.for_each(|ip| site.nats.iter().for_each(|(nat, _, _)| reach(nat, ip)));
            }
        }
    }

    /// Where the remotes are.
    #[must_use]
    pub const fn internet(&self) -> &Namespace {
        &self.internet
    }

    /// A host of a site.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn host(&self, site: usize, host: u8) -> &Namespace {
        &self.sites[site].hosts[usize::from(host)]
    }

    /// The address of a site in the internet; behind a firewall, of host 0.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn external(&self, site: usize) -> IpAddr {
        self.addresses(site).last().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// The outside addresses of a site's NATs, from the inside outwards.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn addresses(&self, site: usize) -> Vec<IpAddr> {
        self.sites[site].nats.iter().map(|(_, _, address)| *address).collect()
    }

    /// The outermost NAT of a site.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn border(&self, site: usize) -> &Namespace {
        let nats = &self.sites[site].nats;
        &nats[nats.len() - 1].0
    }

    /// The NATs of a site forget their mappings.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn reboot(&self, site: usize) {
        for (nat, _, _) in &self.sites[site].nats {
            nat.run(&["conntrack", "-F"], "");
        }
    }

    /// The NATs of a site are as when they were new.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn reset(&self, site: usize) {
        for (nat, rules, address) in &self.sites[site].nats {
            nat.run(&["nft", "-f", "-"], &rules.text(&address.to_string()));
        }
        self.reboot(site);
    }
}

fn site(internet: &Namespace, number: u8, spec: &SiteSpec) -> Site {
    let mut nats: Vec<(Namespace, Rules, IpAddr)> = Vec::new();
    let wan = format!("wan{number}");
    // From the wire inwards.
    for &rules in spec.nats.iter().rev() {
        let nat = Namespace::new();
        let address = match nats.last() {
            None => {
                let end = nat.path();
                internet.ip(&format!(
                    "link add {wan} type veth peer name wan netns {end}
                     link set {wan} master wire
                     link set {wan} up"
                ));
                Ipv4Addr::new(203, 0, 113, number)
            }
            Some((outer, _, _)) => {
                let end = nat.path();
                outer.ip(&format!(
                    "link add lan type veth peer name wan netns {end}
                     addr add 100.64.0.1/24 dev lan
                     link set lan up"
                ));
                Ipv4Addr::new(100, 64, 0, 2)
            }
        };
        nat.ip(&format!(
            "addr add {address}/24 dev wan
             addr add 2001:db8:2::{number}/64 dev wan nodad
             link set wan up"
        ));
        if !nats.is_empty() {
            nat.ip("route add default via 100.64.0.1");
        }
        route(&nat, rules, address, spec.timeouts);
        let outside = if rules == Rules::Firewall { FIRST.ip() } else { address.into() };
        nats.push((nat, rules, outside));
    }
    nats.reverse();
    let hosts = [0, 1].map(|host| lan(&nats[0].0, host));
    Site { hosts, nats }
}

/// Makes a NAT of a namespace with a `wan`.
fn route(nat: &Namespace, rules: Rules, address: Ipv4Addr, timeouts: Timeouts) {
    nat.set("net/ipv4/ip_forward", "1");
    nat.set("net/ipv6/conf/all/forwarding", "1");
    nat.set("net/ipv4/conf/all/send_redirects", "0");
    nat.set("net/ipv4/conf/default/send_redirects", "0");
    unlimited(nat);
    nat.run(&["nft", "-f", "-"], &rules.text(&address.to_string()));
    nat.set("net/netfilter/nf_conntrack_udp_timeout", &timeouts.initial.to_string());
    nat.set("net/netfilter/nf_conntrack_udp_timeout_stream", &timeouts.replied.to_string());
    let tcp = timeouts.tcp;
    for (state, time) in [
        ("syn_sent", tcp.syn_sent),
        ("syn_recv", tcp.syn_received),
        ("established", tcp.established),
        ("unacknowledged", tcp.unacknowledged),
        ("fin_wait", tcp.fin_wait),
        ("close_wait", tcp.close_wait),
        ("last_ack", tcp.last_ack),
        ("time_wait", tcp.time_wait),
        ("close", tcp.closed),
    ] {
        let key = format!("net/netfilter/nf_conntrack_tcp_timeout_{state}");
        nat.set(&key, &time.as_secs().to_string());
    }
}

/// ICMP errors are not held back.
fn unlimited(namespace: &Namespace) {
    namespace.set("net/ipv4/icmp_ratelimit", "0");
    namespace.set("net/ipv6/icmp/ratelimit", "0");
}

/// A host on the inside of a NAT.
fn lan(nat: &Namespace, host: u8) -> Namespace {
    let namespace = Namespace::new();
    if host == 0 {
        nat.set_if_any("net/bridge/bridge-nf-call-iptables", "0");
        nat.ip("link add lan type bridge
             addr add 192.0.2.1/24 dev lan
             addr add 2001:db8:1::1/64 dev lan nodad
             link set lan up");
        nat.set("net/ipv4/conf/lan/send_redirects", "0");
    }
    let end = namespace.path();
    nat.ip(&format!(
        "link add host{host} type veth peer name eth0 netns {end}
         link set host{host} master lan
         link set host{host} up"
    ));
    let [four, six] = [false, true].map(|six| Inside { host, six, ..A }.ip());
    namespace.ip(&format!(
        "addr add {four}/24 dev eth0
         addr add {six}/64 dev eth0 nodad
         link set eth0 up
         route add default via 192.0.2.1
         route add default via 2001:db8:1::1"
    ));
    namespace
}

/// Waits until a port that is closed there is refused.
fn reach(from: &Namespace, to: IpAddr) {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let refused = from.within(|| {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((to, 9))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        for _ in 0..100 {
            let _ = socket.send(&[0]);
            if socket.recv(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused) {
                return Ok(true);
            }
        }
        std::io::Result::Ok(false)
    });
    assert!(matches!(refused, Ok(true)), "{to} cannot be reached: {refused:?}");
}
