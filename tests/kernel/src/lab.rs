//! A small internet of network namespaces: remote hosts on one wire, NATs of the kernel's on it, and
//! two hosts behind each.
//!
//! ```text
//! host 0 192.0.2.2 ─┬─ 192.0.2.1 NAT 203.0.113.1 ─────────────────┬─ 203.0.113.10 to .13
//! host 1 192.0.2.3 ─┘                                             │
//! host 0 192.0.2.2 ─── 192.0.2.1 NAT 100.64.0.2 ─ 100.64.0.1 NAT 203.0.113.2
//! ```

use core::net::Ipv4Addr;
use core::time::Duration;

use crate::netns::Namespace;
use crate::rules::Rules;

/// How long the kernel keeps UDP mappings, in whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// `nf_conntrack_udp_timeout`.
    pub initial: u64,
    /// `nf_conntrack_udp_timeout_stream`.
    pub replied: u64,
}

impl Default for Timeouts {
    /// The kernel's own.
    fn default() -> Self {
        Self { initial: 30, replied: 120 }
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
    /// How long they keep UDP mappings.
    pub timeouts: Timeouts,
}

impl SiteSpec {
    /// One NAT with the kernel's own timeouts.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { nats: vec![rules], timeouts: Timeouts::default() }
    }
}

#[derive(Debug)]
struct Site {
    hosts: [Namespace; 2],
    nats: Vec<(Namespace, Rules, Ipv4Addr)>,
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
        internet.set_if_any("net/bridge/bridge-nf-call-iptables", "0");
        let addresses: String =
            (10..14).map(|n| format!("addr add 203.0.113.{n}/24 dev wire\n")).collect();
        internet.ip(&format!("link add wire type bridge\n{addresses}link set wire up\n"));
        let sites = (1..).zip(sites).map(|(number, spec)| site(&internet, number, spec)).collect();
        Self { internet, sites }
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

    /// The address of a site in the internet.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn external(&self, site: usize) -> Ipv4Addr {
        self.sites[site].nats.last().map_or(Ipv4Addr::UNSPECIFIED, |(_, _, address)| *address)
    }

    /// The outside addresses of a site's NATs, from the inside outwards.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn addresses(&self, site: usize) -> Vec<Ipv4Addr> {
        self.sites[site].nats.iter().map(|(_, _, address)| *address).collect()
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
    let mut nats: Vec<(Namespace, Rules, Ipv4Addr)> = Vec::new();
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
        nat.ip(&format!("addr add {address}/24 dev wan\nlink set wan up"));
        if !nats.is_empty() {
            nat.ip("route add default via 100.64.0.1");
        }
        route(&nat, rules, address, spec.timeouts);
        nats.push((nat, rules, address));
    }
    nats.reverse();
    let hosts = [0, 1].map(|host| lan(&nats[0].0, host));
    Site { hosts, nats }
}

/// Makes a NAT of a namespace with a `wan`.
fn route(nat: &Namespace, rules: Rules, address: Ipv4Addr, timeouts: Timeouts) {
    nat.set("net/ipv4/ip_forward", "1");
    nat.set("net/ipv4/conf/all/send_redirects", "0");
    nat.set("net/ipv4/conf/default/send_redirects", "0");
    // Else as few as one ICMP error a second goes to a sender.
    nat.set("net/ipv4/icmp_ratelimit", "0");
    nat.run(&["nft", "-f", "-"], &rules.text(&address.to_string()));
    nat.set("net/netfilter/nf_conntrack_udp_timeout", &timeouts.initial.to_string());
    nat.set("net/netfilter/nf_conntrack_udp_timeout_stream", &timeouts.replied.to_string());
}

/// A host on the inside of a NAT.
fn lan(nat: &Namespace, host: u8) -> Namespace {
    let namespace = Namespace::new();
    if host == 0 {
        nat.set_if_any("net/bridge/bridge-nf-call-iptables", "0");
        nat.ip("link add lan type bridge\naddr add 192.0.2.1/24 dev lan\nlink set lan up");
        nat.set("net/ipv4/conf/lan/send_redirects", "0");
    }
    let end = namespace.path();
    nat.ip(&format!(
        "link add host{host} type veth peer name eth0 netns {end}
         link set host{host} master lan
         link set host{host} up"
    ));
    namespace.ip(&format!(
        "addr add 192.0.2.{}/24 dev eth0
         link set eth0 up
         route add default via 192.0.2.1",
        2 + host
    ));
    namespace
}
