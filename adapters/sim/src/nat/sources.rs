//! Where the presets' figures come from, for whoever looks at one by name; what was made of them
//! stands at each preset's function.

/// The sources of the preset of this name ([`super::presets::ALL`]).
#[must_use]
pub fn source(name: &str) -> Option<&'static str> {
    Some(match name {
        "linux-masquerade" | "linux-masquerade-range" => {
            "Linux: nf_nat_core.c, nf_conntrack_proto_*.c; compared with a kernel"
        }
        "linux-masquerade-no-wan-drop" => {
            "Linux without a rule for uninvited packets; compared with a kernel"
        }
        "linux-masquerade-random" | "linux-masquerade-fully-random" => {
            "Linux 5.0: nf_nat_core.c, PROTO_RANDOM_ALL; compared with a kernel"
        }
        "linux-snat-sequential" => "Linux: nft, snat with numgen inc; compared with a kernel",
        "linux-flow-offload" => "Linux: nf_flow_table_core.c, nf_flow_table_offload_udp_timeout",
        "pf" => "OpenBSD: pf_lb.c (pf_get_sport), pf.conf(5)",
        "pfsense" => "pf, and miniupnpd for NAT-PMP and PCP",
        "openwrt" => "OpenWrt's fw4 as delivered, on Linux; compared with a kernel",
        "full-cone" | "address-restricted" | "port-restricted" => {
            "kinds: RFC 3489 section 5; times: RFC 4787, RFC 5382; ports: chosen"
        }
        "rfc4787" => "RFC 4787, RFC 5382, RFC 6887, with what they recommend",
        "nokia-cgn" => "product documentation of Nokia's 7750: NAT timeouts, port blocks",
        "map-e" => "RFC 7597, section 5.1: 16 offset values, 256 port sets; on Linux",
        "hostile-cgn" => "none: as bad as boxes are found, all at once",
        "gcp-cloud-nat" => "documentation of Google Cloud NAT: ports, NAT timeouts",
        "cellular" => "Richter and others, IMC 2016: the median of cellular networks",
        "rfc6092-firewall" => "RFC 6092: REC-10, REC-11, REC-12, REC-14",
        name if name.starts_with("rfc6081-") => "RFC 6081, figure 1 and section 2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::source;
    use crate::nat::presets;

    #[test]
    fn each_preset_has_a_source_and_nothing_else_has() {
        for (name, _) in presets::ALL {
            // Beside its heading it fits into a terminal of 80 columns.
            assert!(source(name).is_some_and(|source| (10..=69).contains(&source.len())), "{name}");
        }
        assert_eq!(source("no such box"), None);
    }
}
