//! What a server believes of a leased port: that a probe has got there, by proof (threat T14). What comes
//! of it for two ends that are to meet is in `leased.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod lost;
mod probes;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::inspect::Inspect;
use genkan_core::nat::{Filtering, Mapping, NatProfile};
use genkan_core::punch::{Ability, Method};
use genkan_core::wire::Kind;
use genkan_core::wire::message::{Role, ToEquipment, ToServer};
use genkan_core::{Discard, Machine, Received, ServerEvent, SocketId};
use genkan_tests::booth::{Booth, Guest, Sent};
use genkan_tests::evil::sa;

/// The port that a neighbour of the lamp's has open on the address that both share.
const NEIGHBOURS: u16 = 50_000;
const LARGE: Option<Ability> = Some(Ability::LARGE);
const UNPROVEN: Received<'static> = Received::Discarded(Discard::Unauthentic);

/// A lamp behind a box that draws ports, and a phone that it has admitted behind another one.
struct Stand {
    booth: Booth,
    lamp: Guest,
    phone: Guest,
    second: bool,
    port: u16,
}

impl Stand {
    /// A server with another address or without, to which the phone's NAT is known.
    fn new(second: bool) -> Self {
        let mut booth = Booth::new(second);
        let lamp = booth.greet(2, Role::Acceptor, sa("198.51.100.2:4600"));
        let mut phone = booth.greet(3, Role::Issuer, sa("198.51.100.3:4600"));
        booth.say(&mut phone, &ToServer::Can(Ability::LARGE.to_bits()));
        let mut stand = Self { booth, lamp, phone, second, port: 20_000 };
        let (ip, port) = (stand.phone.at.ip(), &mut stand.port);
        stand.booth.measure(&mut stand.phone, second, 0, |_| (drawn(ip, port), 4_600));
        stand.booth.events();
        stand
    }

    /// The lamp says that this port is leased to it, and registers; what probes to it have carried, by
    /// their status.
    fn lease(&mut self, port: u16) -> [Option<[u8; 6]>; 2] {
        self.booth.say(&mut self.lamp, &ToServer::Leased(port));
        self.register()
    }

    fn register(&mut self) -> [Option<[u8; 6]>; 2] {
        let sent = self.booth.register(&mut self.lamp, 4_600, LARGE);
        carried(&sent)
    }

    /// What the probe that counts has carried.
    fn proof(&mut self, port: u16) -> [u8; 6] {
        let second = usize::from(self.second);
        self.lease(port)[second].unwrap()
    }

    /// The lamp shows its NAT, and says this of the probes, if it says nothing of the rest.
    fn show(&mut self, status: u8) {
        let (ip, port) = (self.lamp.at.ip(), &mut self.port);
        self.booth.measure(&mut self.lamp, self.second, status, |_| (drawn(ip, port), 4_600));
    }

    fn reached(&mut self, proof: [u8; 6]) -> Received<'static> {
        let bytes = self.lamp.evil.transport(&ToServer::Reached(proof));
        self.booth.tell(SocketId::MAIN, self.lamp.at, &bytes).0
    }

    /// What the server has come to believe of the lamp's NAT since this was asked for last.
    fn profile(&mut self) -> Option<NatProfile> {
        let mut events = self.booth.events().into_iter().rev();
        events.find_map(|event| match event {
            ServerEvent::Measured { profile, .. } => Some(profile),
            _ => None,
        })
    }

    /// The phone asks for the lamp: how the server lets them meet, and where the phone is told to send.
    fn plan(&mut self, request: u32) -> (Option<Method>, Option<SocketAddr>) {
        let lamp = self.lamp.evil.id();
        self.booth.events();
        let sent = self.booth.ask(&mut self.phone, request, lamp, true);
        let mut events = self.booth.events().into_iter();
        let plan = events.find_map(|event| match event {
            ServerEvent::Planned { plan, .. } => Some(plan),
            _ => None,
        });
        (plan.and_then(Result::ok).map(|plan| plan.method), self.punched(&sent))
    }

    /// Where the phone is told to send.
    fn punched(&self, sent: &[Sent]) -> Option<SocketAddr> {
        self.phone.read(sent).into_iter().find_map(|message| match message {
            ToEquipment::Punch(punch) => Some(punch.peer.into()),
            _ => None,
        })
    }

    /// Whether the server believes that the port is the lamp's, open to anybody; peers are told the
    /// one or the other.
    fn believes(&mut self, request: u32) -> bool {
        let (method, told) = self.plan(request);
        let leased = SocketAddr::new(self.lamp.at.ip(), NEIGHBOURS);
        match told {
            Some(told) => assert_eq!(told == leased, method == Some(Method::Direct), "{told}"),
            None => assert_eq!(method, None),
        }
        told == Some(leased)
    }
}

/// A port that a box has drawn.
fn drawn(ip: IpAddr, port: &mut u16) -> SocketAddr {
    *port = (*port - 20_000 + 7_919) % 40_000 + 20_000;
    SocketAddr::new(ip, *port)
}

fn is_open(profile: &NatProfile) -> bool {
    profile.mapping == Mapping::EndpointIndependent
}

fn carried(sent: &[Sent]) -> [Option<[u8; 6]>; 2] {
    [1, 2].map(|status| {
        let mut probes = sent.iter().map(|sent| &sent.bytes);
        let found = probes.find(|bytes| bytes[..2] == [Kind::FilterProbe as u8, status])?;
        Some(found[6..12].try_into().unwrap())
    })
}

/// The probes go to the neighbour, whatever the lamp says of them.
#[test]
fn t14_a_liar_cannot_have_its_peers_send_to_a_neighbours_port() {
    for (second, status) in [true, false].into_iter().flat_map(|it| [6, 4, 2, 0].map(|s| (it, s))) {
        let mut stand = Stand::new(second);
        stand.lease(NEIGHBOURS);
        stand.show(status);
        let profile = stand.profile().unwrap();
        assert!(!stand.believes(1), "{second} {status}: {profile:?}");
        assert_eq!(profile.mapping, Mapping::AddressAndPortDependent, "{profile:?}");
        // What became of probes to another port tells nothing of the filter of this one.
        assert_eq!(profile.filtering, Filtering::Unknown, "{profile:?}");
    }
}

/// All that it can know: what the other probe has carried, what it has been told before, its own keys.
#[test]
fn t14_whom_no_probe_has_reached_cannot_make_up_what_it_carried() {
    for second in [true, false] {
        let mut stand = Stand::new(second);
        let probes = stand.lease(NEIGHBOURS);
        let right = probes[usize::from(second)].unwrap();
        let flipped = (0..48).map(|bit| {
            let mut wrong = right;
            wrong[bit / 8] ^= 1 << (bit % 8);
            wrong
        });
        let other = probes[usize::from(!second)].filter(|_| second);
        let wrong: Vec<[u8; 6]> = flipped.chain(other).chain([[0; 6], [0xff; 6]]).collect();
        stand.show(6);
        let inside = |stand: &Stand| {
            let mut words = Vec::new();
            stand.booth.desk.server.inspect(&mut |word| words.push(word));
            words
        };
        let (before, counted) =
            (inside(&stand), stand.booth.desk.server.counters().discarded(Discard::Unauthentic));
        for (said, &proof) in (1..).zip(&wrong) {
            assert_eq!(stand.reached(proof), UNPROVEN, "{proof:?}");
            assert_eq!(
                stand.booth.desk.server.counters().discarded(Discard::Unauthentic),
                counted + said
            );
        }
        // Nothing but the session's window has moved, in one word or two.
        let moved = inside(&stand).into_iter().zip(before).filter(|(now, before)| now != before);
        assert!(moved.count() <= 2);
        stand.profile().unwrap();
        assert!(!stand.believes(1));
        assert_eq!(stand.reached(right), Received::Control);
        assert!(is_open(&stand.profile().unwrap()));
    }
}

#[test]
fn the_proof_may_come_at_any_time() {
    for (second, when) in [true, false].into_iter().flat_map(|it| [0, 1, 2, 3, 4].map(|w| (it, w)))
    {
        let mut stand = Stand::new(second);
        let proof = stand.proof(NEIGHBOURS);
        let say = |stand: &mut Stand, moment| {
            if moment == when {
                assert_eq!(stand.reached(proof), Received::Control);
            }
        };
        // Before the measurement's packets, instead of them, after them, after the report, much later.
        say(&mut stand, 0);
        say(&mut stand, 1);
        match when {
            1 => drop(stand.booth.pass(Duration::from_secs(4))),
            _ => stand.show(6),
        }
        say(&mut stand, 2);
        stand.booth.pass(Duration::from_secs(1));
        say(&mut stand, 3);
        stand.booth.pass(Duration::from_secs(60));
        say(&mut stand, 4);
        let profile = stand.profile().unwrap();
        assert!(is_open(&profile), "{when}: {profile:?}");
        let anybody =
            if second { Filtering::EndpointIndependent } else { Filtering::PortIndependent };
        assert_eq!(profile.filtering, anybody, "{when}");
        // It is no news then.
        assert_eq!(stand.reached(proof), Received::Control);
        assert_eq!(stand.profile(), None);
        assert!(stand.believes(1), "{when}");
    }
}

/// A plan that was made without it is made anew.
#[test]
fn whoever_waits_for_the_lamp_is_told_when_the_proof_comes() {
    let mut stand = Stand::new(true);
    let proof = stand.proof(NEIGHBOURS);
    stand.show(6);
    assert!(!stand.believes(1));
    let bytes = stand.lamp.evil.transport(&ToServer::Reached(proof));
    let (_, sent) = stand.booth.tell(SocketId::MAIN, stand.lamp.at, &bytes);
    let told = stand.punched(&sent);
    assert_eq!(told, Some(SocketAddr::new(stand.lamp.at.ip(), NEIGHBOURS)));
}

#[test]
fn a_proof_is_of_one_session_one_address_one_port_and_one_measurement() {
    let mut stand = Stand::new(true);
    let mut old = vec![stand.proof(NEIGHBOURS)];
    let none_counts = |stand: &mut Stand, old: &mut Vec<[u8; 6]>| {
        // Before probes have gone out nothing does; then only what they carry.
        stand.booth.pass(Duration::from_millis(1));
        let early = stand.reached(old[0]);
        assert!(matches!(early, UNPROVEN | Received::Discarded(Discard::Unexpected)), "{early:?}");
        let new = stand.register()[1].unwrap();
        assert!(!old.contains(&new));
        old.iter().for_each(|&proof| assert_eq!(stand.reached(proof), UNPROVEN));
        old.push(new);
    };
    // Another port, and the same again.
    for port in [NEIGHBOURS + 1, NEIGHBOURS] {
        stand.booth.say(&mut stand.lamp, &ToServer::Leased(port));
        none_counts(&mut stand, &mut old);
    }
    // Another session, from the same place.
    stand.lamp = stand.booth.greet(2, Role::Acceptor, stand.lamp.at);
    stand.booth.say(&mut stand.lamp, &ToServer::Leased(NEIGHBOURS));
    none_counts(&mut stand, &mut old);
    // The session moves to another address, where its port may be anybody's, in the midst of a
    // measurement that has proven it.
    assert_eq!(stand.reached(*old.last().unwrap()), Received::Control);
    stand.lamp.at = sa("198.51.100.9:4600");
    let keepalive = stand.lamp.evil.keepalive(None);
    let (_, sent) = stand.booth.tell(SocketId::MAIN, stand.lamp.at, &keepalive);
    let echo = stand.lamp.evil.keepalive(Some(&sent[0].bytes[6..12]));
    assert_eq!(stand.booth.tell(SocketId::MAIN, stand.lamp.at, &echo).0, Received::Control);
    stand.show(6);
    assert!(!is_open(&stand.profile().unwrap()));
    none_counts(&mut stand, &mut old);
    stand.show(6);
    assert!(!stand.believes(1));
    // Somebody else behind the same address names the same port.
    let mut other = stand.booth.greet(4, Role::Acceptor, sa("198.51.100.9:4700"));
    stand.booth.say(&mut other, &ToServer::Leased(NEIGHBOURS));
    stand.booth.register(&mut other, 4_700, LARGE);
    for proof in old {
        let bytes = other.evil.transport(&ToServer::Reached(proof));
        assert_eq!(stand.booth.tell(SocketId::MAIN, other.at, &bytes).0, UNPROVEN);
    }
}

/// That it is open to anybody ends with the lease, also when nothing comes of the next measurement.
#[test]
fn what_a_lease_has_made_believe_ends_with_it() {
    let ends: [fn(&mut Stand); 3] = [
        |stand| _ = stand.lease(0),
        |stand| _ = stand.lease(NEIGHBOURS + 1),
        |stand| {
            stand.lamp = stand.booth.greet(2, Role::Acceptor, stand.lamp.at);
            stand.register();
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut stand = Stand::new(true);
        let proof = stand.proof(NEIGHBOURS);
        stand.reached(proof);
        stand.show(6);
        assert!(stand.believes(1), "{number}");
        end(&mut stand);
        // All that the lamp sends is lost.
        stand.booth.pass(Duration::from_secs(10));
        let (method, told) = stand.plan(2);
        assert!(method != Some(Method::Direct), "{number}: {told:?}");
        assert!(told.is_none_or(|told| told == stand.lamp.at), "{number}");
    }
}

/// Measurements hours later go without proof: after the third the port is not believed any more, until
/// the word comes that was lost.
#[test]
fn each_measurement_with_probes_takes_a_proof_of_its_own() {
    let mut stand = Stand::new(true);
    let proof = stand.proof(NEIGHBOURS);
    stand.reached(proof);
    stand.show(6);
    for _ in 0..6 * 60 + 1 {
        stand.booth.pass(Duration::from_secs(60));
        let keepalive = stand.lamp.evil.keepalive(None);
        stand.booth.tell(SocketId::MAIN, stand.lamp.at, &keepalive);
    }
    let mut proof = [0; 6];
    for open in [true, true, false] {
        proof = stand.register()[1].unwrap();
        stand.show(6);
        assert_eq!(is_open(&stand.profile().unwrap()), open);
        stand.booth.pass(Duration::from_secs(6));
    }
    assert_eq!(stand.reached(proof), Received::Control);
    assert!(is_open(&stand.profile().unwrap()));
}
