//! The kinds of NAT that a Linux router can be told to be, as nftables rule sets.
//!
//! The first five are what `nft` offers by itself. A sequential NAT draws its port from a counter
//! (`numgen`); full cone and address-restricted filtering are maps that outbound packets write and
//! inbound packets are redirected by.

use core::fmt::Write as _;

/// A kind of NAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rules {
    /// `masquerade`.
    Plain,
    /// `masquerade persistent`.
    Persistent,
    /// `masquerade to :first-last`.
    Range(u16, u16),
    /// `masquerade random`.
    Random,
    /// `masquerade fully-random`.
    FullyRandom,
    /// Each new flow gets the next of 256 ports from 50000.
    Sequential,
    /// Whoever sends to a port that is mapped is let in. Mappings last so many seconds.
    FullCone(u32),
    /// Whoever was sent something is let in, from any port.
    AddressRestricted(u32),
    /// As [`Rules::FullCone`], from the inside too.
    Hairpin,
    /// Port 40000 of inside host 0 is port 41000, both ways and from the inside too (OpenWrt's
    /// reflection, with `reflection_src` set to `external`); the rest as [`Rules::Plain`].
    Static,
    /// As [`Rules::Plain`], without the rule that drops what nobody asked for.
    Open,
    /// As [`Rules::Plain`], but what nobody asked for is answered with an ICMP error or an RST
    /// (OpenWrt).
    Rejecting,
    /// A router that translates nothing: IPv6 goes out, and in what belongs to it.
    Firewall,
}

const FIREWALL: &str = "flush ruleset
table ip6 filter {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname lan accept
  }
}
";

/// What no one asked for is dropped before it can leave a trace.
const DROP: &str = "table ip filter {
  chain input { type filter hook input priority filter; iifname wan ct state new,invalid drop; }
  chain forward {
    type filter hook forward priority filter;
    ct status dnat accept
    iifname wan ct state new,invalid drop
  }
}
";

impl Rules {
    /// The rule set for `nft -f`, for a NAT with the outside address `wan`.
    #[must_use]
    pub fn text(self, wan: &str) -> String {
        let masquerade = |options: &str| format!("oifname wan masquerade {options}");
        let (mut post, mut pre) = (masquerade(""), String::new());
        let (mut map, mut last) = (String::new(), String::new());
        match self {
            Self::Plain | Self::Open | Self::Rejecting => (),
            Self::Firewall => return FIREWALL.into(),
            Self::Persistent => post = masquerade("persistent"),
            Self::Range(first, last) => {
                post = format!(
                    "oifname wan meta l4proto {{ tcp, udp }} masquerade to :{first}-{last}"
                );
            }
            Self::Random => post = masquerade("random"),
            Self::FullyRandom => post = masquerade("fully-random"),
            Self::Sequential => {
                post = format!(
                    "oifname wan meta l4proto udp snat to {wan} : numgen inc mod 256 map {{ {} }}",
                    (0..256).fold(String::new(), |mut ports, n| {
                        let _ = write!(ports, "{n} : {}, ", 50_000 + n);
                        ports
                    })
                );
            }
            Self::FullCone(seconds) => (map, last, pre) = cone(wan, "", seconds),
            Self::AddressRestricted(seconds) => (map, last, pre) = cone(wan, "ip . ", seconds),
            Self::Hairpin => {
                (map, last, pre) = cone(wan, "", 60);
                post += &format!("\niifname lan oifname lan ct status dnat snat to {wan}");
            }
            Self::Static => {
                post = format!(
                    "oifname wan ip saddr 192.0.2.2 udp sport 40000 snat to {wan}:41000\n{post}"
                );
                post += &format!("\niifname lan oifname lan ct status dnat snat to {wan}");
                pre = format!("ip daddr {wan} udp dport 41000 dnat to 192.0.2.2:40000");
            }
        }
        let drop = match self {
            Self::Open => String::new(),
            Self::Rejecting => DROP.replace(
                "ct state new,invalid drop; }",
                "ct state new,invalid jump no; }
  chain no { meta l4proto tcp reject with tcp reset; reject; }",
            ),
            _ => DROP.into(),
        };
        format!(
            "flush ruleset
table ip nat {{
  {map}
  chain post {{ type nat hook postrouting priority srcnat; {post}
  }}
  chain pre {{ type nat hook prerouting priority dstnat; {pre}
  }}
  chain last {{ type filter hook postrouting priority srcnat + 1; {last}
  }}
}}
{drop}"
        )
    }
}

/// The map, the rules that write it when the port has been given, and the rule that reads it.
/// `remote` is `ip . ` when the remote address is part of the key.
fn cone(wan: &str, remote: &str, seconds: u32) -> (String, String, String) {
    let (kind, key, read) = match remote {
        "" => ("inet_service", "udp sport", "udp dport"),
        _ => ("ipv4_addr . inet_service", "ip daddr . udp sport", "ip saddr . udp dport"),
    };
    let map = format!(
        "map cone {{ type {kind} : ipv4_addr . inet_service; flags dynamic,timeout; size 1024; }}"
    );
    // The inside address is the source of the flow, or of the answers when the flow came from outside.
    let write = |way| {
        format!(
            "oifname wan meta l4proto udp ct direction {way} update @cone \
             {{ {key} timeout {seconds}s : ct {way} ip saddr . ct {way} proto-src }}"
        )
    };
    let last = format!("{}\n{}", write("original"), write("reply"));
    let pre = format!("ip daddr {wan} meta l4proto udp dnat ip to {read} map @cone");
    (map, last, pre)
}
