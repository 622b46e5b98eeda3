//! The core's client of PCP and NAT-PMP against the simulated boxes, which know the two RFCs from
//! another hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::Instant;
use genkan_core::nat::lease::{LeaseClient, Refused};
use genkan_sim::Rng;
use genkan_sim::nat::{Filtering, Flow, Leases, Mapping, Nat, NatConfig};

const OUTSIDE: [u8; 4] = [192, 0, 2, 1];
const STRANGER: ([u8; 4], u16) = ([203, 0, 113, 99], 9_999);

/// The worst of NATs otherwise: leases are all that lets anybody in.
fn nat(pcp: bool, nat_pmp: bool, most: usize) -> Nat {
    let (mapping, filtering) =
        (Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent);
    let leases = Leases { nat_pmp, pcp, longest: Duration::from_secs(600), most };
    let config = NatConfig { leases: Some(leases), ..NatConfig::new(mapping, filtering) };
    Nat::new(&[OUTSIDE.into()], config, Rng::new(1))
}

fn inside(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 2], port))
}

const fn at(now: Duration) -> Instant {
    Instant::from_micros(now.as_micros() as u64 + 1)
}

/// Lets the client talk to the box until `end`; how many requests there were.
fn talk(nat: &mut Nat, client: &mut LeaseClient, from: SocketAddr, end: Duration) -> u32 {
    let mut requests = 0;
    while let Some(due) = client.poll_timeout().filter(|due| *due <= at(end)) {
        let now = due.since(at(Duration::ZERO));
        while let Some(request) = client.poll_request(due) {
            requests += 1;
            if let Some(answer) = nat.port_control(now, from, &request) {
                let ended = client.poll_timeout().is_none();
                assert!(client.handle_answer(due, &answer) != ended, "{answer:?}");
            }
        }
    }
    requests
}

/// Whether a stranger reaches `to` at this port from outside.
fn reaches(nat: &mut Nat, now: Duration, port: u16) -> Option<SocketAddr> {
    let at = SocketAddr::new(OUTSIDE.into(), port);
    nat.inbound(now, Flow::Udp, STRANGER.into(), at).ok()
}

#[test]
fn boxes_of_either_protocol_open_a_port_and_keep_it_open() {
    for (pcp, nat_pmp, first) in [(true, true, 1), (true, false, 1), (false, true, 2)] {
        let mut nat = nat(pcp, nat_pmp, 8);
        let mut client = LeaseClient::new(at(Duration::ZERO), inside(5_000), [7; 12]);
        let second = Duration::from_secs(1);
        assert_eq!(talk(&mut nat, &mut client, inside(5_000), second), first);
        let lease = client.lease(at(second)).unwrap();
        assert_eq!(lease.address, pcp.then_some(IpAddr::from(OUTSIDE)));
        // What the server sees is the leased port, whoever is sent to.
        let seen = nat.outbound(second, Flow::Udp, inside(5_000), STRANGER.into()).unwrap();
        assert_eq!(seen, SocketAddr::new(OUTSIDE.into(), lease.port));
        // A day later it is still the same, after no more renewals than the lifetime needs.
        let day = Duration::from_secs(86_400);
        let renewals = talk(&mut nat, &mut client, inside(5_000), day);
        assert!((86_400 / 375..=86_400 / 300).contains(&renewals), "{renewals}");
        assert_eq!(reaches(&mut nat, day, lease.port), Some(inside(5_000)));
        assert_eq!(client.lease(at(day)).unwrap().port, lease.port);
        // Given back, the port is shut.
        client.end(at(day));
        assert_eq!(talk(&mut nat, &mut client, inside(5_000), day + second), 1);
        assert_eq!(reaches(&mut nat, day + second, lease.port), None);
    }
}

#[test]
fn a_box_that_restarts_gives_the_same_port_again_when_it_announces_itself() {
    let mut nat = nat(true, true, 8);
    let mut client = LeaseClient::new(at(Duration::ZERO), inside(5_000), [7; 12]);
    talk(&mut nat, &mut client, inside(5_000), Duration::from_secs(1));
    let port = client.lease(at(Duration::from_secs(1))).unwrap().port;
    let now = Duration::from_secs(100);
    nat.reboot();
    assert_eq!(reaches(&mut nat, now, port), None);
    // The box's answer to ANNOUNCE has the form of its announcement (RFC 6887 section 14.1).
    let mut ask = vec![2, 0, 0, 0, 0, 0, 0, 0];
    ask.extend(core::net::Ipv4Addr::new(10, 0, 0, 2).to_ipv6_mapped().octets());
    let announcement = nat.port_control(now, inside(5_000), &ask).unwrap();
    assert!(client.handle_answer(at(now), &announcement));
    assert_eq!(talk(&mut nat, &mut client, inside(5_000), now), 1);
    assert_eq!(reaches(&mut nat, now, port), Some(inside(5_000)));
}

#[test]
fn a_box_that_says_no_is_believed() {
    let mut full = nat(true, true, 0);
    let mut client = LeaseClient::new(at(Duration::ZERO), inside(5_000), [7; 12]);
    let minute = Duration::from_secs(60);
    assert_eq!(talk(&mut full, &mut client, inside(5_000), minute), 3, "every 30 s");
    assert_eq!(client.refused(), Some(Refused::NoResources));
    // Another NAT between it and us.
    let mut near = nat(true, false, 8);
    let mut client = LeaseClient::new(at(Duration::ZERO), inside(5_000), [7; 12]);
    assert_eq!(talk(&mut near, &mut client, SocketAddr::from(([10, 0, 9, 9], 5_000)), minute), 1);
    assert_eq!(client.refused(), Some(Refused::Between));
    // Somebody else's lease of the same socket: another nonce.
    let mut near = nat(true, false, 8);
    for (nonce, refused) in [([7; 12], None), ([8; 12], Some(Refused::NotAuthorized))] {
        let mut client = LeaseClient::new(at(Duration::ZERO), inside(5_000), nonce);
        assert_eq!(talk(&mut near, &mut client, inside(5_000), minute), 1);
        assert_eq!(client.refused(), refused);
    }
    // One that speaks nothing of the kind.
    let mut deaf = nat(false, false, 8);
    let mut client = LeaseClient::new(at(Duration::ZERO), inside(5_000), [7; 12]);
    assert!(talk(&mut deaf, &mut client, inside(5_000), Duration::from_secs(3_600)) <= 12);
    assert_eq!((client.refused(), client.lease(at(minute))), (None, None));
}
