use core::net::SocketAddr;

use super::*;
use crate::nat::{Flow, Hairpin, Proto, Refusal};

const NOW: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn spec(name: &str, external: &str) -> NatSpec {
    NatSpec::new(name, NatConfig::default()).external(ip(external))
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A server, a host behind a home NAT behind a carrier's NAT, and a neighbour in the same house.
fn house() -> Net {
    let mut net = Net::default();
    let carrier = net.add_nat(spec("carrier", "192.0.2.1"), Rng::new(1));
    let home = net.add_nat(spec("home", "100.64.0.2").behind(carrier), Rng::new(1));
    net.add_host(HostId(0), None, &[ip("203.0.113.1")]);
    net.add_host(HostId(1), Some(home), &[ip("10.0.0.2")]);
    net.add_host(HostId(2), Some(home), &[ip("10.0.0.3")]);
    net
}

fn out(net: &mut Net, from: usize, source: SocketAddr, to: SocketAddr) -> Result<Hop, Stop> {
    net.outbound(NOW, Flow::Udp, HostId(from), (source, to), None).end
}

fn into(net: &mut Net, hop: Hop) -> Result<(HostId, SocketAddr), Option<Unroutable>> {
    match net.inbound(NOW, Flow::Udp, hop, None).end.map_err(Stop::why)? {
        End::Host(host, there) => Ok((host, there.to)),
        End::Gateway(..) => panic!("a box"),
    }
}

#[test]
fn two_nats_in_series_translate_both_ways() {
    let mut net = house();
    let (inside, server) = (address("10.0.0.2:5000"), address("203.0.113.1:1"));
    let sent = out(&mut net, 1, inside, server).unwrap();
    assert_eq!((sent.network, sent.source.ip(), sent.routers), (0, ip("192.0.2.1"), 2));
    assert_eq!(into(&mut net, sent), Ok((HostId(0), server)));
    let back = out(&mut net, 0, server, sent.source).unwrap();
    assert_eq!(into(&mut net, back), Ok((HostId(1), inside)));
    assert_eq!(net.owner(Proto::Udp, back), Some(Owner::Host(HostId(1))));
    net.nat_mut(NatId(1)).reboot();
    assert_eq!(into(&mut net, back), Err(Some(Unroutable::Nat)));
}

#[test]
fn neighbours_reach_each_other_untranslated_and_not_by_the_outside_address() {
    let mut net = house();
    let (inside, neighbour) = (address("10.0.0.2:5000"), address("10.0.0.3:6000"));
    let hop = out(&mut net, 1, inside, neighbour).unwrap();
    assert_eq!(hop, Hop::at(2, inside, neighbour));
    assert_eq!(net.path(HostId(1), Some(HostId(2))), Faults::lan());
    let server = address("203.0.113.1:1");
    out(&mut net, 2, neighbour, server).unwrap();
    let outside = net.nat_mut(NatId(1)).mapped(Proto::Udp, neighbour, server).unwrap();
    let refused = out(&mut net, 1, inside, outside);
    assert!(matches!(refused, Err(Stop::Refused(NatId(1), Refusal::Filtered))), "{refused:?}");
    let config = net.nat_mut(NatId(1)).config_mut();
    config.hairpin = Hairpin::ExternalSource;
    config.behaviour.filtering = crate::nat::Filtering::EndpointIndependent;
    let turned = out(&mut net, 1, inside, outside).unwrap();
    assert_eq!((turned.network, turned.to), (2, neighbour));
    assert_eq!(turned.source.ip(), ip("100.64.0.2"));
}

#[test]
fn an_address_that_nobody_has_is_unroutable() {
    let mut net = house();
    let (server, nobody) = (address("203.0.113.1:1"), address("198.51.100.1:1"));
    assert_eq!(out(&mut net, 0, server, nobody), Err(Stop::NoRoute));
}

#[test]
fn a_pairs_own_path_stands_before_the_hosts_lines() {
    let mut net = house();
    net.set_path(HostId(0), HostId(1), Faults::millis(3));
    assert_eq!(net.path(HostId(0), Some(HostId(1))), Faults::millis(3));
    assert_eq!(net.path(HostId(1), Some(HostId(0))).latency, Duration::from_millis(20));
    assert_eq!(net.path(HostId(1), None).latency, Duration::from_millis(10));
}

#[test]
fn each_address_family_leaves_by_the_box_that_carries_it() {
    let mut net = Net::default();
    let router = net.add_nat(spec("router", "192.0.2.1"), Rng::new(1));
    net.add_host(HostId(0), Some(router), &[ip("10.0.0.2"), ip("2001:db8:1::2")]);
    assert_eq!(net.exit(1, ip("2001:db8:1::2")), None);
    let config = NatConfig { translation: Translation::None, ..NatConfig::default() };
    let firewall = net.add_nat(NatSpec::new("firewall", config).beside(router), Rng::new(1));
    assert_eq!(net.exit(1, ip("10.0.0.2")), Some(router));
    assert_eq!(net.exit(1, ip("2001:db8:1::2")), Some(firewall));
    assert_eq!(net.find(0, ip("2001:db8:1::2")), Some(Owner::Nat(firewall)));
    assert_eq!(net.find(0, ip("10.0.0.2")), None);
    net.renumber_host(HostId(0), &[ip("2001:db8:2::2")]);
    assert_eq!(net.find(0, ip("2001:db8:1::2")), None);
    assert_eq!(net.find(0, ip("2001:db8:2::2")), Some(Owner::Nat(firewall)));
}

#[test]
fn a_line_of_limited_rate_makes_packets_wait_and_drops_what_is_too_much() {
    let mut net = house();
    let faults = Faults { rate: Some(1_000), queue: 250, ..Faults::default() };
    *net.lines_mut(HostId(0)).0 = faults;
    let mut send = |at: Duration| net.enqueue(at, HostId(0), None, 100);
    assert_eq!(send(NOW), Some(Duration::from_millis(100)));
    assert_eq!(send(NOW), Some(Duration::from_millis(200)));
    assert_eq!(send(NOW), None);
    assert_eq!(send(NOW + Duration::from_millis(150)), Some(Duration::from_millis(150)));
}
