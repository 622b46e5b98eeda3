//! Sightings that no honest equipment has, and bodies that no honest end sends.

extern crate std;
use core::time::Duration;
use std::vec::Vec;

use super::*;
use crate::addr::Endpoint;

fn sighting(socket: u8, local: u16, server: ServerEnd, port: u16) -> Sighting {
    Sighting { socket, local, server, observed: Endpoint::from(([192, 0, 2, 1], port)) }
}

const ENDS: [ServerEnd; 3] = [ServerEnd::Main, ServerEnd::OtherPort, ServerEnd::OtherAddress];

/// The work does not grow with what is reported, and neither does the result change.
#[test]
fn ten_thousand_observations() {
    let many: Vec<Sighting> = (0..10_000_u16)
        .map(|n| {
            let socket = u8::try_from(n % 3).unwrap();
            sighting(socket, 0, ENDS[usize::from(n / 3 % 3)], 30_000 + 2 * n)
        })
        .collect();
    let profile = NatProfile::measure(&many);
    assert_eq!(profile, NatProfile::measure(&many[..MAX_SIGHTINGS]));
    assert_eq!(profile.allocation, Allocation::Sequential(Differential::new(2).unwrap()));
    let ports: Vec<u16> = many.iter().map(Sighting::port).collect();
    assert_eq!(Differential::of(&ports), Some((Differential::new(2).unwrap(), true)));
    // Two pairs out of line at the very end would make a search over all pairs quadratic, and what
    // lies beyond a measurement's length is no part of it.
    let mut marred = ports.clone();
    marred[9_990] = 1;
    marred[9_995] = 1;
    assert_eq!(Differential::of(&marred), Differential::of(&ports));
}

#[test]
fn contradictory_sightings_give_the_harder_case_and_say_so() {
    let main = |port| sighting(0, 0, ServerEnd::Main, port);
    let other = |port| sighting(0, 0, ServerEnd::OtherPort, port);
    // One socket, two ends, alike once and different once.
    let profile = NatProfile::measure(&[main(4_000), other(4_000), main(4_100), other(4_000)]);
    assert_eq!(profile.mapping, Mapping::AddressAndPortDependent);
    assert!(!profile.consistent);
    // One socket at one end with ever other ports says nothing of destinations.
    let profile = NatProfile::measure(&[main(1), main(60_000), main(2), main(50_000)]);
    assert_eq!(profile.mapping, Mapping::Unknown);
    assert_eq!(NatProfile::measure(&[]).mapping, Mapping::Unknown);
    let strange = Sighting { observed: Endpoint::from(([0; 16], 0)), ..main(0) };
    assert!(!NatProfile::measure(&[main(4_000), strange]).steady_address);
}

/// What a measurement does not tell goes on, and how often it was told is counted.
#[test]
fn measurements_that_agree_make_confident_and_keep_the_lifetime() {
    let seen = |apart: u16| -> Vec<Sighting> {
        (0..6_u8)
            .map(|n| sighting(n / 2, 0, ENDS[usize::from(n % 2)], 40_000 + apart * u16::from(n)))
            .collect()
    };
    let (counter, other) = (NatProfile::measure(&seen(1)), NatProfile::measure(&seen(5)));
    assert_eq!((NatProfile::default().confidence, counter.confidence), (0, 1));
    let mut profile = NatProfile::default();
    for n in 1..=10 {
        profile.renew(&counter, Duration::from_secs(60));
        assert_eq!((profile.confidence, profile.drifted), (n.min(MAX_CONFIDENCE), false));
        profile.lifetime.lived(60);
        profile.lifetime.died(200);
    }
    profile.renew(&other, Duration::from_secs(60));
    assert_eq!((profile.confidence, profile.drifted), (1, true));
    assert_eq!((profile.lifetime.at_least(), profile.lifetime.at_most()), (60, 300));
    let before = profile;
    profile.renew(&NatProfile::measure(&[]), Duration::from_secs(60));
    assert_eq!(profile, before, "one that says nothing does not count");
}

/// What a port says of a silence depends on how ports are given out.
#[test]
fn a_silence_says_only_what_it_proves() {
    let profile = |mapping, allocation| NatProfile { mapping, allocation, ..Default::default() };
    let step = Allocation::Sequential(Differential::new(1).unwrap());
    let (eim, apdm) = (Mapping::EndpointIndependent, Mapping::AddressAndPortDependent);
    let cases = [
        (eim, Allocation::Preserving, false, false),
        (apdm, Allocation::PreservingFirst, false, false),
        (apdm, Allocation::Unknown, false, false),
        (Mapping::Unknown, Allocation::Unknown, false, false),
        (eim, step, false, true),
        (eim, Allocation::Random, false, true),
        (apdm, step, true, true),
        (apdm, Allocation::Random, true, true),
    ];
    for (mapping, allocation, lived, died) in cases {
        let learned = |same_port| {
            let mut profile = profile(mapping, allocation);
            let learned = profile.silent(64, 66, same_port);
            assert!(!profile.drifted);
            (learned, [profile.lifetime.at_least(), profile.lifetime.at_most()])
        };
        let name = std::format!("{mapping:?} {allocation:?}");
        assert_eq!(learned(true), (lived, [if lived { 60 } else { 0 }, 0]), "{name}");
        assert_eq!(learned(false), (died, [0, if died { 120 } else { 0 }]), "{name}");
    }
    let mut known = profile(apdm, step);
    assert!(known.silent(64, 66, true) && known.silent(24, 26, false) && known.drifted);
}

/// Packets of a later measurement that were all lost do not take away what an earlier one told.
#[test]
fn a_measurement_that_says_nothing_changes_nothing() {
    let seen: Vec<Sighting> = (0..6_u8)
        .map(|n| sighting(n / 2, 0, ENDS[usize::from(n % 2)], 40_000 + u16::from(n)))
        .collect();
    let told = NatProfile::measure(&seen);
    assert_eq!(told.allocation, Allocation::Sequential(Differential::ONE));
    for nothing in [NatProfile::measure(&[]), NatProfile::measure(&seen[..1])] {
        let mut profile = told;
        profile.renew(&nothing, Duration::from_secs(30));
        assert_eq!(profile, told);
    }
    // Any time, any order: it ends, and what was seen only grows.
    let mut profile = told;
    for apart in [Duration::ZERO, Duration::from_secs(60), Duration::MAX] {
        profile.renew(&told, apart);
        assert!(!profile.drifted && profile.span.seen >= told.span.seen);
    }
}

/// The registered socket's packet to the server's other port comes after a probe from there: a box that
/// has taken that for its own gives the socket another port, and no fresh one.
#[test]
fn a_port_that_a_probe_has_occupied_is_no_mapping_by_port() {
    let main = |socket, port| sighting(socket, port, ServerEnd::Main, port);
    let [near, far] = [ServerEnd::OtherPort, ServerEnd::OtherAddress];
    for third in [near, far] {
        let mut seen = [
            main(0, 4_600),
            sighting(0, 4_600, near, 21_345),
            main(1, 5_001),
            sighting(1, 5_001, third, 5_001),
            main(2, 5_002),
            sighting(2, 5_002, near, 5_002),
        ];
        let punishing = NatProfile::measure(&seen);
        assert!(punishing.punishes && punishing.displaced && punishing.is_port_known());
        assert_eq!(punishing.allocation, Allocation::Preserving);
        let same =
            if third == far { Mapping::EndpointIndependent } else { Mapping::PortIndependent };
        assert_eq!(punishing.mapping, same);
        assert_eq!(punishing.span, Span::default(), "that port was drawn for no mapping of ours");
        // The last packet is lost: the first fresh socket still shows it.
        assert!(NatProfile::measure(&seen[..5]).punishes);
        assert!(!NatProfile::measure(&seen[..3]).punishes, "one socket alone tells nothing");
        // A fresh socket has two ports, too: that is how it maps.
        seen[5] = sighting(2, 5_002, near, 30_000);
        let by_port = NatProfile::measure(&seen);
        assert!(!by_port.punishes);
        assert_eq!(by_port.mapping, Mapping::AddressAndPortDependent);
        seen[1] = main(0, 4_600);
        assert!(!NatProfile::measure(&seen).punishes);
    }
}

#[test]
fn a_measurement_without_probes_leaves_it_at_what_is_known_of_punishment() {
    let keeps = [0_u8, 1, 1, 2, 2].map(|socket| {
        let port = 4_000 + u16::from(socket);
        sighting(socket, port, ENDS[usize::from(socket > 0)], port)
    });
    let mut shy = NatProfile::measure(&keeps);
    let unprobed = NatProfile::measure(&[keeps[0], sighting(0, 4_000, ENDS[1], 4_000)]);
    assert_eq!((unprobed.mapping, unprobed.punishes), (Mapping::PortIndependent, false));
    shy.punishes = true;
    let mut probed = unprobed;
    probed.set_filtering(Some(false), None);
    shy.renew(&unprobed, Duration::from_secs(30));
    assert!(shy.punishes);
    shy.renew(&probed, Duration::from_secs(30));
    assert!(!shy.punishes);
}

#[test]
fn a_differential_that_is_none_does_not_decode() {
    for byte in 0..=u8::MAX {
        let step = i8::from_le_bytes([byte]);
        let decoded = postcard::from_bytes::<Differential>(&[byte]);
        assert_eq!(decoded.ok(), Differential::new(step.into()), "{step}");
        if let Ok(step) = postcard::from_bytes::<Differential>(&[byte]) {
            let mut space = [0; 2];
            assert_eq!(*postcard::to_slice(&step, &mut space).unwrap(), [byte]);
        }
    }
}

/// Ranges come from the ends in packets: whatever they say, candidates are few, differ, and exist.
#[test]
fn a_range_that_was_not_detected_but_made_up_ends_too() {
    let ends = [0, 1, 2, 100, 32_768, 65_534, u16::MAX];
    for (before, after) in ends.into_iter().flat_map(|a| ends.map(|b| (a, b))) {
        for (step, bubbles) in
            [-64, -1, 0, 1, 3, 64].into_iter().flat_map(|step| [0, 1, 255].map(|n| (step, n)))
        {
            let differential = Differential::new(step);
            let range = PortRange { before, after, differential, bubbles };
            let mut ports: Vec<u16> = range.forecast().ports().collect();
            let given = ports.len();
            ports.sort_unstable();
            ports.dedup();
            assert!(given == ports.len() && given <= MAX_CANDIDATE_PORTS, "{range:?}");
            assert!(!ports.contains(&0), "{range:?}");
        }
    }
}
