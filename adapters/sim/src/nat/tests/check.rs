//! Which settings are refused.

use super::*;

fn fault(change: impl FnOnce(&mut NatConfig)) -> NatFault {
    let mut config = NatConfig::default();
    change(&mut config);
    config.check().unwrap_err()
}

fn text(change: impl FnOnce(&mut NatConfig)) -> String {
    fault(change).to_string()
}

#[test]
fn every_preset_makes_sense() {
    for (name, preset) in presets::ALL {
        assert_eq!(preset().check(), Ok(()), "{name}");
    }
    assert_eq!(NatConfig::default().check_with(0), Err(NatFault::NoExternalAddress));
    assert_eq!(presets::rfc6092_firewall().check_with(0), Ok(()), "a firewall needs no address");
}

#[test]
fn a_fault_names_the_setting_its_value_and_what_it_may_be() {
    let first_last = text(|config| config.ports = 0..=9);
    assert_eq!(first_last, "ports: 0 to 9, but must rise and lie within 1 to 65535");
    let rate = text(|config| config.limits.rate = Some(0));
    assert_eq!(rate, "limits.rate: 0, but must be 1 to 4294967295");
    let step = text(|config| {
        config.ports = 100..=109;
        config.behaviour.allocation.pick = steps(-20);
    });
    assert_eq!(step, "pick.step: -20, but must be no multiple of the 10 ports");
    let time = text(|config| config.hold_down = Duration::MAX);
    assert!(time.starts_with("hold_down: ") && time.ends_with("0ns to 3155760000s"), "{time}");
    assert_eq!(NatFault::NoExternalAddress.to_string(), "external: none, but must be 1 or more");
}

fn steps(step: i16) -> Pick {
    Pick::Sequential { step, counter: Counter::Global, skip_used: true }
}

#[test]
fn numbers_that_leave_nothing_to_map_are_refused() {
    let field = |change: fn(&mut NatConfig)| match fault(change) {
        NatFault::Number { field, .. } => field,
        other => panic!("{other}"),
    };
    #[expect(clippy::reversed_empty_ranges, reason = "the mistake that is to be found")]
    let reversed = fault(|config| config.ports = 9..=8);
    assert_eq!(reversed, NatFault::Ports { first: 9, last: 8 });
    assert_eq!(field(|c| c.limits.rate = Some(0)), "limits.rate");
    assert_eq!(field(|c| c.limits.total = Some(0)), "limits.total");
    assert_eq!(field(|c| c.limits.per_inside = Some(0)), "limits.per_inside");
    assert_eq!(field(|c| c.hops = 0), "hops");
    assert_eq!(field(|c| c.behaviour.allocation.pick = steps(0)), "pick.step");
    assert_eq!(field(|c| c.behaviour.allocation.pick = steps(-65)), "pick.step");
    let tries = |c: &mut NatConfig| {
        let mut other = c.behaviour.clone();
        other.allocation.pick = Pick::RandomStart { tries: 0 };
        c.tcp_behaviour = Some(other);
    };
    assert_eq!(field(tries), "pick.tries", "TCP's behaviour is looked at");
    let conflict = |c: &mut NatConfig| {
        let mut other = c.behaviour.clone();
        other.allocation.pick = steps(0);
        c.on_conflict.push(other);
    };
    assert_eq!(field(conflict), "pick.step", "so is each that takes its place");
    assert_eq!(field(|c| c.lifetimes.shortened_above = Some((5, 0))), "lifetimes.shortened_above");
}

#[test]
fn blocks_that_are_none_or_do_not_fit_are_refused() {
    let fault = |blocks, extension| {
        let config = NatConfig { blocks, extension, ports: 1_000..=1_999, ..NatConfig::default() };
        config.check().err().map(|fault| fault.to_string())
    };
    let contiguous = |size, most| Blocks::Contiguous { size, most };
    assert_eq!(fault(contiguous(1_000, 1), Some(1_000)), None);
    for (blocks, extension) in [
        (contiguous(0, 1), None),
        (contiguous(1_001, 1), None),
        (contiguous(10, 0), None),
        (contiguous(10, 2), Some(11)),
        (contiguous(10, 2), Some(0)),
        (Blocks::Scattered { size: 0 }, None),
        (Blocks::Scattered { size: 1_001 }, None),
        (Blocks::PortSet { a: 16, k: 1 }, None),
        (Blocks::PortSet { a: 4, k: 0 }, None),
        (Blocks::PortSet { a: 4, k: 13 }, None),
    ] {
        assert!(fault(blocks, extension).is_some(), "{blocks:?} {extension:?}");
    }
    assert_eq!(
        fault(contiguous(10, 2), Some(11)).as_deref(),
        Some("extension: 11, but must be 1 to 10")
    );
}

#[test]
fn ports_are_shared_out_among_two_hosts_at_least() {
    let check = |blocks| NatConfig { blocks, ..NatConfig::default() }.check();
    assert_eq!(check(Blocks::Masked { mask: 1 }), Ok(()));
    assert_eq!(check(Blocks::PortSet { a: 0, k: 4 }), Ok(()));
    let one = check(Blocks::Masked { mask: 0 }).unwrap_err().to_string();
    assert_eq!(one, "blocks (sets of ports): 1, but must be 2 to 65535");
    let ports = 20_000..=20_001;
    let config =
        NatConfig { ports, blocks: Blocks::PortSet { a: 0, k: 1 }, ..NatConfig::default() };
    assert!(config.check().is_err(), "only the lower half");
}

#[test]
fn a_shortened_lifetime_is_not_shorter_than_the_shortest() {
    let check = |divisor| {
        let mut config = NatConfig::default();
        config.lifetimes.shortened_above = Some((0, divisor));
        config.lifetimes.udp_initial = secs(2);
        config.check().map_err(|fault| fault.to_string())
    };
    assert_eq!(check(2_000), Ok(()));
    let fault = "lifetimes.shortened_above: 2001, but must be 1 to 2000";
    assert_eq!(check(2_001), Err(fault.into()));
    assert!(check(u32::MAX).is_err());
}

#[test]
fn times_that_overflow_or_let_nothing_live_are_refused() {
    let changes: [fn(&mut NatConfig, Duration); 12] = [
        |c, time| c.lifetimes.udp_initial = time,
        |c, time| c.lifetimes.udp_single = Some(time),
        |c, time| c.lifetimes.udp_replied = time,
        |c, time| c.lifetimes.tcp.established = time,
        |c, time| c.lifetimes.tcp.time_wait = time,
        |c, time| c.leases = Some(Leases { nat_pmp: true, pcp: true, longest: time, most: 1 }),
        |c, time| c.lifetimes.udp_stream_after = time,
        |c, time| c.lifetimes.sweep = time,
        |c, time| c.hold_down = time,
        |c, time| c.hairpin_delay = time,
        |c, time| c.unsolicited = Unsolicited::Reset(time),
        |c, time| c.limits.overflow = Overflow::Crash(time),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let check = |time| {
            let mut config = NatConfig::default();
            change(&mut config, time);
            config.check()
        };
        assert_eq!(check(NatConfig::LONGEST), Ok(()), "{number}");
        for time in [Duration::MAX, NatConfig::LONGEST + Duration::from_nanos(1)] {
            assert!(matches!(check(time), Err(NatFault::Time { .. })), "{number}");
        }
        assert_eq!(check(Duration::ZERO).is_err(), number < 6, "{number}");
    }
}

/// What [`NatConfig::check`] lets through at its limits does not overflow.
#[test]
fn the_longest_times_are_played_without_overflow() {
    let longest = NatConfig::LONGEST;
    let mut config = NatConfig::new(Mapping::EndpointIndependent, APDF);
    config.lifetimes = Lifetimes {
        udp_stream_after: longest,
        sweep: longest,
        tcp: TcpLifetimes::new(longest, longest),
        ..Lifetimes::udp(longest)
    };
    (config.hold_down, config.hairpin_delay) = (longest, longest);
    config.unsolicited = Unsolicited::BlockPort(longest);
    assert_eq!(config.check(), Ok(()));
    let mut nat = nat(config);
    for now in [secs(1), longest, longest * 3] {
        for flow in [Flow::Udp, Flow::Syn, Flow::Segment] {
            nat.outbound(now, flow, host(2, 1), remote(1, 1)).unwrap();
            let _ = nat.inbound(now, flow, remote(9, 9), at("192.0.2.1:20000"));
        }
    }
}

#[test]
fn rates_that_are_no_numbers_or_never_end_are_refused() {
    let usual = Foreign { rate: 50.0, bursts: 1.0, burst_size: 4.0, stay: secs(60) };
    let check = |foreign| NatConfig { foreign: Some(foreign), ..NatConfig::default() }.check();
    assert_eq!(check(usual), Ok(()));
    for rate in [f64::NAN, f64::INFINITY, -1.0, 1e7, Foreign::FASTEST + 1.0] {
        assert!(matches!(check(Foreign { rate, ..usual }), Err(NatFault::Mean { .. })), "{rate}");
        assert!(check(Foreign { bursts: rate, ..usual }).is_err(), "{rate}");
        assert!(check(Foreign { burst_size: rate, ..usual }).is_err(), "{rate}");
    }
    assert!(check(Foreign { burst_size: 0.5, ..usual }).is_err());
    assert!(check(Foreign { bursts: 1_000.0, burst_size: 1_000.0, ..usual }).is_err());
    assert!(check(Foreign { stay: NatConfig::LONGEST, ..usual }).is_err());
    // What is let through ends.
    let fast = Foreign { rate: Foreign::FASTEST, bursts: 0.0, burst_size: 1.0, stay: secs(10) };
    let mut config = picking(APDM, APDF, Pick::Random);
    config.foreign = Some(fast);
    assert_eq!(config.check(), Ok(()));
    let _ = out(&mut nat(config), secs(1_000_000), host(2, 1), remote(1, 1));
}

#[test]
#[should_panic(expected = "wrong: limits.total: 0, but must be 1 to 4294967295")]
fn a_world_takes_no_box_that_makes_no_sense() {
    let mut config = NatConfig::default();
    config.limits.total = Some(0);
    crate::World::new(1).add_nat("wrong", ip("192.0.2.1"), None, config);
}
