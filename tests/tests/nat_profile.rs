//! Profiles that are measured through simulated NATs, from six packets, say what those NATs are.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::nat::{self, Allocation, Mapping, NatProfile, ServerEnd, Sighting};
use genkan_sim::Rng;
use genkan_sim::nat::{
    Counter, Filtering as F, Flow, Foreign, Mapping as M, Nat, NatConfig, Pick, Preserve, presets,
};

/// The server's ends.
fn end(server: ServerEnd) -> SocketAddr {
    let (host, port) = match server {
        ServerEnd::Main => (1, 3_478),
        ServerEnd::OtherPort => (1, 3_479),
        ServerEnd::OtherAddress => (2, 3_478),
    };
    SocketAddr::new(IpAddr::from([203, 0, 113, host]), port)
}

/// One measurement: a registration, 100 ms later the rest, half a millisecond apart.
fn measure(config: NatConfig, seed: u64, second_address: bool) -> NatProfile {
    let mut rng = Rng::new(seed);
    let base = 40_000 + u16::try_from(rng.below(10_000)).unwrap() * 2;
    let mut nat = Nat::new(&[IpAddr::from([192, 0, 2, 1])], config, Rng::new(seed ^ 0x5eed));
    let mut sightings = Vec::new();
    let mut send = |now: Duration, socket: u8, server: ServerEnd| {
        // Fresh sockets of one parity, anywhere.
        let local = base + 2 * u16::from(socket) * 17;
        let inside = SocketAddr::new(IpAddr::from([10, 0, 0, 2]), local);
        let observed = nat.outbound(now, Flow::Udp, inside, end(server)).unwrap();
        sightings.push(Sighting { socket, local, server, observed: observed.into() });
    };
    let mut now = Duration::from_secs(5);
    send(now, 0, ServerEnd::Main);
    now += Duration::from_millis(100);
    for probe in nat::measurement(second_address) {
        send(now, probe.socket, probe.server);
        now += Duration::from_micros(500);
    }
    assert_eq!(sightings.len(), nat::MEASURE_PACKETS);
    NatProfile::measure(&sightings)
}

fn sequential(mapping: M, step: i16, rate: f64) -> NatConfig {
    let mut config = NatConfig::new(mapping, F::AddressAndPortDependent);
    config.behaviour.allocation.preserve = Preserve::Never;
    config.behaviour.allocation.pick =
        Pick::Sequential { step, counter: Counter::Global, skip_used: true };
    config.foreign = (rate > 0.0).then_some(Foreign {
        rate,
        bursts: 0.0,
        burst_size: 1.0,
        stay: Duration::from_secs(60),
    });
    config
}

#[test]
fn mappings_are_told_apart() {
    let kinds = [
        (M::EndpointIndependent, Mapping::EndpointIndependent, Mapping::PortIndependent),
        (M::AddressDependent, Mapping::AddressDependent, Mapping::PortIndependent),
        (
            M::AddressAndPortDependent,
            Mapping::AddressAndPortDependent,
            Mapping::AddressAndPortDependent,
        ),
    ];
    for (kind, two_addresses, one_address) in kinds {
        for seed in 0..50 {
            let config = || sequential(kind, 1, 5.0);
            assert_eq!(measure(config(), seed, true).mapping, two_addresses, "{kind:?}");
            assert_eq!(measure(config(), seed, false).mapping, one_address, "{kind:?}");
        }
    }
}

#[test]
fn every_step_is_learned_on_a_busy_nat() {
    let mut wrong = 0;
    for step in (-64..=64).filter(|&step| step != 0) {
        for rate in [0.0, 5.0, 50.0, 200.0] {
            for seed in 0..10 {
                let config = sequential(M::AddressAndPortDependent, step, rate);
                let profile = measure(config, seed, seed % 2 == 0);
                let found = match profile.allocation {
                    Allocation::Sequential(found) => i16::from(found.get()),
                    _ => 0,
                };
                wrong += usize::from(found != step);
            }
        }
    }
    // 128 steps, four rates, ten seeds. A wrap within the packets, or a foreign mapping in each gap.
    assert!(wrong <= 5, "{wrong} of 5,120 measured wrong");
}

#[test]
fn random_is_not_taken_for_a_counter() {
    let mut taken = 0;
    for seed in 0..2_000 {
        let mut config = NatConfig::new(M::AddressAndPortDependent, F::AddressAndPortDependent);
        config.behaviour.allocation.preserve = Preserve::Never;
        config.behaviour.allocation.pick = Pick::Random;
        taken += usize::from(measure(config, seed, true).allocation != Allocation::Random);
    }
    assert_eq!(taken, 0, "of 2,000");
}

#[test]
fn named_boxes_are_what_their_names_say() {
    use Allocation::{Preserving, PreservingFirst, Random};
    use Mapping::{AddressAndPortDependent as Apdm, EndpointIndependent as Eim};
    let expected = [
        ("linux-masquerade", Eim, Some(Preserving)),
        ("linux-masquerade-fully-random", Apdm, Some(Random)),
        ("pf", Apdm, Some(Random)),
        ("openwrt", Eim, Some(Preserving)),
        ("full-cone", Eim, None),
        ("port-restricted", Eim, None),
        ("rfc4787", Eim, None),
        ("nokia-cgn", Eim, None),
        ("hostile-cgn", Apdm, None),
        ("rfc6081-port-preserving-port-symmetric", Apdm, Some(PreservingFirst)),
        ("rfc6081-port-symmetric", Apdm, Some(Random)),
    ];
    for (name, mapping, allocation) in expected {
        for seed in 0..20 {
            let profile = measure(presets::by_name(name).unwrap(), seed, true);
            assert_eq!(profile.mapping, mapping, "{name}: {profile:?}");
            assert!(allocation.is_none_or(|it| it == profile.allocation), "{name}: {profile:?}");
        }
    }
    let profile = measure(presets::by_name("rfc6081-sequential-port-symmetric").unwrap(), 1, false);
    assert!(matches!(profile.allocation, Allocation::Sequential(_)), "{profile:?}");
}
