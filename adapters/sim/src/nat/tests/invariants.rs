//! What holds for every box, whatever its settings, and whatever passes.

use std::collections::BTreeSet;

use super::*;

fn one<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.index(of.len())]
}

fn drawn_behaviour(rng: &mut Rng) -> Behaviour {
    let mapping = one(rng, &[Mapping::EndpointIndependent, Mapping::AddressDependent, APDM]);
    let filtering = one(rng, &[Filtering::EndpointIndependent, Filtering::AddressDependent, APDF]);
    let step = one(rng, &[1, -1, 2, 8, -64, 64]);
    let counter = one(rng, &[Counter::Global, Counter::PerInside, Counter::PerDestination]);
    let sequential = Pick::Sequential { step, counter, skip_used: rng.chance(0.5) };
    let allocation = Allocation {
        preserve: one(rng, &[Preserve::Never, Preserve::First, Preserve::WhenFree]),
        pick: one(rng, &[sequential, Pick::Random, Pick::RandomStart { tries: 16 }]),
        parity: rng.chance(0.3),
        sharing: one(rng, &[Sharing::Exclusive, Sharing::PerRemote, Sharing::Overloading]),
        reuse: rng.chance(0.5),
    };
    Behaviour { mapping, filtering, allocation }
}

const TIME: Duration = Duration::from_secs(3);

fn drawn_limits(rng: &mut Rng) -> Limits {
    let some = |rng: &mut Rng, most| rng.chance(0.3).then(|| 1 + rng.index(most));
    Limits {
        per_inside: some(rng, 20),
        total: some(rng, 40),
        rate: some(rng, 10).map(|n| n as u32),
        overflow: one(
            rng,
            &[
                Overflow::Drop,
                Overflow::EvictOldest,
                Overflow::LockOut(TIME),
                Overflow::Crash(TIME),
            ],
        ),
    }
}

fn drawn_penalty(rng: &mut Rng) -> Unsolicited {
    one(
        rng,
        &[
            Unsolicited::Drop,
            Unsolicited::Icmp,
            Unsolicited::Reject,
            Unsolicited::Reset(TIME),
            Unsolicited::Occupy,
            Unsolicited::BlockRemote(TIME),
            Unsolicited::BlockPort(TIME),
        ],
    )
}

fn drawn_tcp(rng: &mut Rng) -> TcpLifetimes {
    let mut some = || secs(1 + rng.below(8));
    TcpLifetimes {
        syn_sent: some(),
        syn_received: some(),
        unacknowledged: some(),
        fin_wait: some(),
        close_wait: some(),
        last_ack: some(),
        time_wait: some(),
        closed: some(),
        refused: Duration::ZERO,
        established: some(),
    }
}

fn drawn(rng: &mut Rng) -> NatConfig {
    let foreign = Foreign { rate: 5.0, bursts: 1.0, burst_size: 3.0, stay: secs(5) };
    NatConfig {
        behaviour: drawn_behaviour(rng),
        tcp_behaviour: rng.chance(0.2).then(|| drawn_behaviour(rng)),
        on_conflict: (0..rng.index(3)).map(|_| drawn_behaviour(rng)).collect(),
        ports: one(rng, &[4_096, 30_000])..=one(rng, &[30_030, 31_000, 65_535]),
        port_classes: rng.chance(0.2),
        blocks: one(
            rng,
            &[
                Blocks::None,
                Blocks::None,
                Blocks::Contiguous { size: 8, most: 2 },
                Blocks::Masked { mask: 7 },
                Blocks::Scattered { size: 8 },
                Blocks::PortSet { a: 4, k: 8 },
            ],
        ),
        extension: rng.chance(0.3).then_some(3),
        pooling: one(rng, &[Pooling::Paired, Pooling::Arbitrary, Pooling::PerDestination]),
        hold_down: one(rng, &[Duration::ZERO, secs(4)]),
        lifetimes: Lifetimes {
            udp_initial: secs(2),
            udp_replied: secs(6),
            udp_stream_after: one(rng, &[Duration::ZERO, secs(1)]),
            udp_single: rng.chance(0.3).then_some(secs(4)),
            tcp: drawn_tcp(rng),
            sweep: one(rng, &[Duration::ZERO, secs(3)]),
            shortened_above: rng.chance(0.3).then_some((5, 2)),
        },
        refresh: Refresh { inbound: rng.chance(0.5), rejected: rng.chance(0.2) },
        hairpin: one(rng, &[Hairpin::None, Hairpin::InternalSource, Hairpin::ExternalSource]),
        limits: drawn_limits(rng),
        unsolicited: drawn_penalty(rng),
        icmp_ends_mapping: rng.chance(0.3),
        foreign: rng.chance(0.3).then_some(foreign),
        ..NatConfig::default()
    }
}

/// What the test knows of a box from what passed.
#[derive(Default)]
struct Seen {
    /// Who has sent, over which transport.
    senders: BTreeSet<(Proto, SocketAddr)>,
}

fn check_new_port(
    nat: &Nat,
    config: &NatConfig,
    (proto, inside): (Proto, SocketAddr),
    external: SocketAddr,
) {
    let port = external.port();
    assert!(nat.external().contains(&external.ip()));
    assert!(config.ports.contains(&port), "{port} is not in {:?}", config.ports);
    let behaviour = nat.behaviour(proto, inside).1;
    if behaviour.allocation.parity && config.on_conflict.is_empty() {
        assert_eq!(port % 2, inside.port() % 2);
    }
    let exclusive = |b: &Behaviour| b.allocation.sharing == Sharing::Exclusive;
    let all_exclusive = exclusive(&config.behaviour)
        && config.tcp_behaviour.as_ref().is_none_or(exclusive)
        && config.on_conflict.iter().all(exclusive);
    if all_exclusive {
        assert!(!nat.table.shared(proto, external), "{external} is taken twice");
    }
    if behaviour.mapping == Mapping::EndpointIndependent && config.on_conflict.is_empty() {
        let other = nat.mapped(proto, inside, remote(77, 77));
        assert_eq!(other, Some(external), "the same port to everybody");
    }
}

const FLOWS: [Flow; 8] =
    [Flow::Udp, Flow::Udp, Flow::Udp, Flow::Syn, Flow::SynAck, Flow::Segment, Flow::Fin, Flow::Rst];

fn play(seed: u64) {
    let mut rng = Rng::new(seed);
    let config = drawn(&mut rng);
    let pool: Vec<IpAddr> = (1..=1 + rng.index(3) as u8).map(|n| [192, 0, 2, n].into()).collect();
    assert_eq!(config.check_with(pool.len()), Ok(()), "seed {seed}");
    let mut nat = Nat::new(&pool, config.clone(), Rng::new(seed));
    let mut seen = Seen::default();
    let mut now = Duration::ZERO;
    for _ in 0..300 {
        now += rng.up_to(millis(400));
        let inside = host(2 + rng.index(4) as u8, 30_000 + rng.index(4) as u16);
        let peer = remote(1 + rng.index(3) as u8, 1 + rng.index(3) as u16);
        let port = one(&mut rng, &[30_000, 30_001, 30_005, 4_100]) + rng.index(8) as u16;
        let outer = SocketAddr::new(one(&mut rng, &pool), port);
        let flow = one(&mut rng, &FLOWS);
        let proto = flow.proto();
        match rng.index(20) {
            0..=9 => {
                if let Ok(external) = nat.outbound(now, flow, inside, peer) {
                    seen.senders.insert((proto, inside));
                    check_new_port(&nat, &config, (proto, inside), external);
                }
            }
            10..=15 => {
                let known = nat.mapped(proto, inside, peer);
                let to = known.filter(|_| rng.chance(0.7)).unwrap_or(outer);
                nat.advance(now);
                let owner = nat.owner(proto, peer, to);
                if let Ok(receiver) = nat.inbound(now, flow, peer, to) {
                    assert!(seen.senders.contains(&(proto, receiver)), "seed {seed}");
                    assert_eq!(Some(receiver), owner);
                }
            }
            16 => {
                // What is refused on its way in has still made a mapping on its way out.
                seen.senders.insert((proto, inside));
                if let Ok(turned) = nat.hairpin(now, flow, inside, outer) {
                    assert!(seen.senders.contains(&(proto, turned.to)));
                }
            }
            17 => {
                let told = nat.icmp_error(now, proto, outer, peer);
                assert!(told.is_none_or(|inside| seen.senders.contains(&(proto, inside))));
            }
            18 => nat.remap(inside),
            _ if rng.chance(0.2) => nat.reboot(),
            _ => {}
        }
        let limits = config.limits;
        assert!(limits.total.is_none_or(|most| nat.len() <= most));
        assert!(limits.per_inside.is_none_or(|most| nat.table.count(inside.ip()) <= most));
    }
    nat.advance(now + secs(1_000));
    assert!(nat.is_empty(), "everything dies in the end");
}

#[test]
fn any_box_keeps_to_its_settings_whatever_passes() {
    (0..1_000).for_each(play);
}

#[test]
fn no_bytes_make_port_control_panic_or_answer_without_end() {
    let leases = Some(Leases { nat_pmp: true, pcp: true, longest: secs(60), most: 5 });
    let mut nat = nat(NatConfig { leases, ..NatConfig::default() });
    let mut rng = Rng::new(9);
    for i in 0..20_000 {
        let mut request = vec![0; rng.index(80)];
        rng.fill(&mut request);
        let heads = [[0, 0], [0, 1], [0, 2], [2, 0], [2, 1], [1, 1]];
        let head = one(&mut rng, &heads);
        request.iter_mut().zip(head).for_each(|(byte, head)| *byte = head);
        if let Some(answer) = nat.port_control(secs(i), host(2, 1), &request) {
            assert!(answer.len() <= 1_100 && answer[1] & 128 != 0);
        }
    }
}

#[test]
fn every_preset_has_a_name_and_passes_traffic() {
    let names: BTreeSet<&str> = presets::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), presets::ALL.len());
    for (name, preset) in presets::ALL {
        assert_eq!(presets::by_name(name), Some(preset()));
        let mut nat = nat(preset());
        let external = nat.outbound(secs(1), Flow::Udp, host(2, 5_000), remote(1, 1)).unwrap();
        assert_eq!(nat.inbound(secs(1), Flow::Udp, remote(1, 1), external), Ok(host(2, 5_000)));
    }
    assert_eq!(presets::by_name("no such box"), None);
    for ((name, config), (known, preset)) in presets::rfc6081().iter().zip(&presets::ALL[20..]) {
        assert_eq!(*config, preset(), "{name} {known}");
    }
}
