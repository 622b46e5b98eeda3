//! The oracle's certainties, held against boxes with drawn settings: whatever they are, "must" is
//! never said of a pair that does not connect, nor "cannot" of one that does.

mod drawn;
mod puncher;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use drawn::{Drawn, Placed};
use genkan_sim::nat::{
    Blocks, Filtering, Flow, Foreign, Limits, Mapping, Nat, NatConfig, Overflow, Pick, Proto,
    Translation, Unsolicited,
};
use genkan_sim::oracle::{Budget, Conditions, Direct, End, Gate, Order, Reason, Verdict, judge};
use genkan_sim::{HostId, NatId, NatSpec, Rng, World};
use puncher::{
    LOCAL_PORT, Manner, Puncher, SERVER, address, connects, punch_in_order, puncher, world,
};

/// A box with its addresses, and settings that are not looked at when it is set up.
fn add(
    world: &mut World,
    name: &str,
    placed: &Placed,
    at: [u8; 3],
    behind: Option<NatId>,
) -> NatId {
    let translation = placed.config.translation;
    let mut spec = NatSpec::new(name, NatConfig { translation, ..NatConfig::default() });
    if translation == Translation::AddressAndPort {
        for n in 1..=placed.addresses {
            spec = spec.external(address([at[0], at[1], at[2], n], 0).ip());
        }
    }
    if let Some(behind) = behind {
        spec = spec.behind(behind);
    }
    let nat = world.add_gateway(spec);
    *world.nat_mut(nat).config_mut() = placed.config.clone();
    nat
}

/// Both ends in a world, each with its boxes.
fn build(world: &mut World, drawn: &Drawn, manners: [Manner; 2]) -> [(HostId, Vec<NatId>); 2] {
    let shared = drawn.shared.as_ref().map(|b| add(world, "shared", b, [198, 51, 100], None));
    [0, 1].map(|end: usize| {
        let mut nats: Vec<NatId> = shared.into_iter().collect();
        for (level, placed) in drawn.own[end].iter().rev().enumerate() {
            let behind = nats.last().copied();
            let at = [if behind.is_some() { 100 } else { 192 }, 64 + level as u8, end as u8];
            nats.push(add(world, &format!("box {end}.{level}"), placed, at, behind));
        }
        let host = puncher(world, end as u8 + 1, nats.last().copied(), manners[end]);
        (host, nats)
    })
}

/// How many worlds are drawn; `GENKAN_ORACLE_WORLDS` asks for more than every run can afford.
fn worlds() -> u64 {
    std::env::var("GENKAN_ORACLE_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_500)
}

/// What the order wants of each.
fn manners(order: Order, drawn: &Drawn) -> [Manner; 2] {
    let (at_once, late) =
        (Manner::default(), Manner { wait: Duration::from_millis(300), bubble: None });
    let routers = |placed: &Placed| placed.config.hops.max(1);
    let bubble = |end: usize| Some(drawn.own[end].iter().map(routers).sum::<u8>() + 1);
    match order {
        Order::Any => [at_once; 2],
        Order::AFirst => [at_once, late],
        Order::BFirst => [late, at_once],
        Order::ShortHops => [0, 1].map(|end| Manner { bubble: bubble(end), ..late }),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures, for --nocapture")]
fn whatever_the_boxes_are_certainties_hold() {
    let mut rng = Rng::new(5_128);
    let mut answers = [0; 4];
    for seed in 0..worlds() {
        let drawn = Drawn::new(&mut rng);
        let ends = drawn.ends();
        let judgement = judge(&ends[0], &ends[1]);
        let mut world = world(seed);
        let [(a, _), (b, _)] = build(&mut world, &drawn, manners(judgement.order, &drawn));
        let seen = connects(&mut world, a, b);
        let possible = judgement.direct == Direct::Possible;
        assert!(seen || !judgement.plain, "seed {seed}: must, and does not: {drawn:#?}");
        assert!(!seen || possible, "seed {seed}: cannot, and does: {drawn:#?}");
        let bound = judgement.prediction.bound(Budget::default(), Conditions::default());
        assert!(!seen || bound.at_most > 0.0, "seed {seed}: {bound:?}: {drawn:#?}");
        if !possible {
            assert!(!omniscient(seed, &drawn), "seed {seed}: cannot, and could: {drawn:#?}");
        }
        let answer = if judgement.plain {
            0
        } else if !possible {
            1
        } else {
            2 + usize::from(seen)
        };
        answers[answer] += 1;
    }
    let [must, cannot, may_not, may] = answers;
    println!("must {must}, cannot {cannot}; may: {may_not} do not, {may} do");
    let some = worlds() as u32 / 12;
    assert!(must > some && cannot > some && may_not > some, "{answers:?}");
    // What is left open although it connects is the price of being certain.
    assert!(may < must / 2, "{answers:?}");
}

/// Each end, known to the server, tries the address that the other's boxes have given it towards the one that it tries,
/// read from their tables, several times.
fn omniscient(seed: u64, drawn: &Drawn) -> bool {
    let mut world = world(seed);
    let ends =
        build(&mut world, drawn, [Manner { wait: Duration::from_secs(60), bubble: None }; 2]);
    world.run_for(Duration::from_millis(200));
    let mut targets = [SERVER; 2];
    // Without the server nobody learns of anybody.
    if (0..2).any(|end| outside(&mut world, end, &ends[end].1, SERVER).is_none()) {
        return false;
    }
    for round in 0..6 {
        let (me, other) = (round % 2, (round + 1) % 2);
        if let Some(at) = outside(&mut world, me, &ends[me].1, targets[me]) {
            targets[other] = at;
            world.with(ends[other].0, |puncher: &mut Puncher, io| puncher.try_address(io, at));
            world.run_for(Duration::from_millis(100));
        }
    }
    connects(&mut world, ends[0].0, ends[1].0)
}

/// The address of an end towards `to`, as its outermost box gave it.
fn outside(world: &mut World, end: usize, nats: &[NatId], to: SocketAddr) -> Option<SocketAddr> {
    let number = end as u8 + 1;
    let host = if nats.is_empty() { [192, 0, 2, number] } else { [10, 0, 0, number] };
    let inside = address(host, LOCAL_PORT + u16::from(number));
    nats.iter().rev().try_fold(inside, |at, &nat| world.nat_mut(nat).mapped(Proto::Udp, at, to))
}

fn config(mapping: Mapping) -> NatConfig {
    NatConfig::new(mapping, Filtering::AddressAndPortDependent)
}

/// A box in which no mapping can be made, by one setting or another.
fn closed() -> [NatConfig; 6] {
    let eim = || config(Mapping::EndpointIndependent);
    let limited = |limits: Limits| NatConfig { limits, ..eim() };
    let none = eim().limits;
    #[expect(clippy::reversed_empty_ranges, reason = "what a careless user may write")]
    let reversed = 30_000..=20_000;
    [
        limited(Limits { rate: Some(0), ..none }),
        limited(Limits { total: Some(0), overflow: Overflow::EvictOldest, ..none }),
        limited(Limits { per_inside: Some(0), ..none }),
        NatConfig { ports: reversed, ..eim() },
        NatConfig { ports: 0..=0, ..eim() },
        NatConfig {
            blocks: Blocks::Contiguous { size: 64, most: 1 },
            ports: 1_024..=1_040,
            ..eim()
        },
    ]
}

fn end(id: u32, config: &NatConfig) -> End {
    End::behind([Gate::new(id, config.clone())])
}

#[test]
fn where_no_mapping_can_be_made_nothing_can_connect() {
    for closed in closed() {
        for (a, b) in [(end(1, &closed), End::public()), (End::public(), end(1, &closed))] {
            let judgement = judge(&a, &b);
            assert_eq!(judgement.direct, Direct::Impossible(Reason::NoRoom), "{closed:?}");
            assert!(!judgement.plain);
        }
    }
}

#[test]
fn one_port_is_not_enough_for_two_mappings() {
    let mut one = config(Mapping::AddressDependent);
    one.ports = 30_000..=30_000;
    let mut block = config(Mapping::AddressAndPortDependent);
    block.blocks = Blocks::Contiguous { size: 1, most: 1 };
    for narrow in [one, block] {
        let open = NatConfig::new(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
        let judgement = judge(&end(1, &narrow), &end(2, &open));
        assert_eq!(judgement.direct, Direct::Impossible(Reason::NoRoom), "{narrow:?}");
    }
}

#[test]
fn one_mapping_for_two_ends_is_one_too_few() {
    let mut carrier = NatConfig::new(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
    carrier.hairpin = genkan_sim::nat::Hairpin::ExternalSource;
    let home = |id| {
        End::behind([
            Gate::new(id, config(Mapping::EndpointIndependent)),
            Gate::new(9, carrier.clone()),
        ])
    };
    assert!(judge(&home(1), &home(2)).plain);
    carrier.limits.total = Some(1);
    let home = |id| {
        End::behind([
            Gate::new(id, config(Mapping::EndpointIndependent)),
            Gate::new(9, carrier.clone()),
        ])
    };
    assert_eq!(judge(&home(1), &home(2)).direct, Direct::Impossible(Reason::NoRoom));
}

#[test]
fn a_range_that_others_fill_is_not_certain() {
    let mut crowded = config(Mapping::EndpointIndependent);
    crowded.ports = 30_000..=30_099;
    let foreign =
        |rate| Foreign { rate, bursts: 0.0, burst_size: 1.0, stay: Duration::from_secs(10) };
    for (rate, certain) in [(1.0, true), (20.0, false), (1e6, false)] {
        crowded.foreign = Some(foreign(rate));
        let judgement = judge(&end(1, &crowded), &End::public());
        assert_eq!(judgement.plain, certain, "{rate}");
        assert_eq!(judgement.direct, Direct::Possible);
        let said = judgement.verdict(Budget::default(), Conditions::default());
        assert_eq!(said == Verdict::MustConnect, certain);
    }
}

/// Both would have to send a bubble first, and what it brings back takes the mapping away.
#[test]
fn a_bubble_helps_nobody_whose_mappings_icmp_ends() {
    let cruel = NatConfig {
        unsolicited: Unsolicited::BlockRemote(Duration::from_secs(60)),
        ..config(Mapping::EndpointIndependent)
    };
    let mut fragile = NatConfig { icmp_ends_mapping: true, ..cruel.clone() };
    fragile.behaviour.allocation.pick = Pick::Random;
    let late = Manner { wait: Duration::from_millis(300), bubble: Some(2) };
    for (config, helps) in [(&cruel, true), (&fragile, false)] {
        let judgement = judge(&end(1, config), &end(2, config));
        assert_eq!(judgement.order, Order::ShortHops);
        assert_eq!(judgement.plain, helps);
        let one = core::slice::from_ref(config);
        assert_eq!(punch_in_order(1, [one, one], [late; 2]), helps);
        let reached = judgement.prediction.bound(Budget::default(), Conditions::default()).reached;
        assert_eq!(reached, if helps { 1.0 } else { 0.0 });
    }
}

const fn ip(d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, d))
}

/// Whether a connection over TCP from behind `from` to a port behind `to` gets its SYN through and the
/// answer back. Only the boxes in `to` that are marked forward it.
fn dials(rng: &Rng, from: &[Placed], to: &[(Placed, bool)]) -> bool {
    let time = Duration::from_secs(3);
    let nat = |n: u8, config: &NatConfig| {
        let mut nat = Nat::new(&[ip(n)], NatConfig::default(), rng.fork(&n.to_string()));
        *nat.config_mut() = config.clone();
        nat
    };
    let mut way_in: Vec<Nat> = (0..).zip(to).map(|(n, (b, _))| nat(10 + n, &b.config)).collect();
    // The listener's outermost address, from the inside to the outside.
    let listener = SocketAddr::new(ip(1), 4_600);
    let mut target = listener;
    let mut inner = vec![target];
    for (n, (box_, (placed, forwarded))) in way_in.iter_mut().zip(to).enumerate() {
        if *forwarded {
            box_.forward(Proto::Tcp, target.port(), target);
        }
        if placed.config.translation == Translation::AddressAndPort {
            target = SocketAddr::new(ip(10 + n as u8), target.port());
        }
        inner.push(target);
    }
    let mut way_out: Vec<Nat> = (0..).zip(from).map(|(n, b)| nat(30 + n, &b.config)).collect();
    let dialler = SocketAddr::new(ip(2), 50_000);
    let step = |at: SocketAddr, nat: &mut Nat, flow, to| nat.outbound(time, flow, at, to).ok();
    // Its mapping towards the server first.
    let socket = SocketAddr::new(ip(2), 40_000);
    let _ = way_out.iter_mut().try_fold(socket, |at, nat| step(at, nat, Flow::Udp, SERVER));
    let mut sources = vec![dialler];
    for nat in &mut way_out {
        let Some(source) = step(sources[sources.len() - 1], nat, Flow::Syn, target) else {
            return false;
        };
        sources.push(source);
    }
    let source = sources[sources.len() - 1];
    let mut at = target;
    for nat in way_in.iter_mut().rev() {
        let Ok(inside) = nat.inbound(time, Flow::Syn, source, at) else { return false };
        at = inside;
    }
    if at != listener {
        return false;
    }
    for nat in &mut way_in {
        let Some(outside) = step(at, nat, Flow::SynAck, source) else { return false };
        at = outside;
    }
    let mut back = source;
    for nat in way_out.iter_mut().rev() {
        let Ok(inside) = nat.inbound(time, Flow::SynAck, at, back) else { return false };
        back = inside;
    }
    at == target && back == dialler
}

#[test]
fn where_the_appliance_can_dial_back_it_gets_through() {
    let mut rng = Rng::new(5_382);
    let mut yes = 0;
    for _ in 0..5_000 {
        let mut drawn = Drawn::new(&mut rng);
        drawn.shared = None;
        for placed in drawn.own.iter_mut().flatten() {
            placed.addresses = 1;
            placed.config.tcp_behaviour =
                rng.chance(0.3).then(|| drawn::config(&mut rng).behaviour);
        }
        let forwards: Vec<bool> = drawn.own[0].iter().map(|_| rng.chance(0.6)).collect();
        let [a, b] = drawn.ends();
        let gates =
            a.v4.into_iter()
                .flatten()
                .zip(&forwards)
                .map(|(gate, &forwarded)| if forwarded { gate.forwarded() } else { gate });
        let judgement = judge(&End::behind(gates), &b);
        let to: Vec<_> = drawn.own[0].iter().cloned().zip(forwards).collect();
        let seen = dials(&rng, &drawn.own[1], &to);
        assert!(seen || !judgement.dial_back, "{to:#?} from {:#?}", drawn.own[1]);
        yes += u32::from(judgement.dial_back);
    }
    assert!(yes > 1_000, "{yes}");
}
