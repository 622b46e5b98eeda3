//! What foreseeing ports and meeting cost, for the host and, without the library's rest, for the
//! microcontroller.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::Instant;
use genkan_core::nat::{
    Count, Differential, Filtering, Forecast, NatProfile, ServerEnd, Sighting, measurement,
};
use genkan_core::punch::{
    Attempt, Budget, Burst, Coordinator, Detector, End, Limits, Method, Moment, Party, plan,
};

/// What six packets of an end looked like to the server, by how its NAT gives out ports.
#[derive(Clone, Copy, Debug)]
pub enum Ports {
    /// One for each socket.
    Known,
    /// The socket's own for its first destination.
    First,
    /// Every second one.
    Counted,
    /// From a block of 512.
    Drawn,
}

/// The sightings of a measurement.
pub fn sightings(ports: Ports) -> [Sighting; 6] {
    let mut all = [sighting(0, ServerEnd::Main, 0); 6];
    let probes = measurement(true);
    let drawn = [20_010, 20_400, 20_120, 20_333, 20_255, 20_481];
    for (at, one) in all.iter_mut().enumerate() {
        let probe = at.checked_sub(1).and_then(|at| probes.get(at));
        let (socket, server) = probe.map_or((0, ServerEnd::Main), |p| (p.socket, p.server));
        let nth = u16::try_from(at).unwrap_or(0);
        let drawn = drawn.get(at).copied().unwrap_or(1);
        let port = match ports {
            Ports::Known => 40_000 + 1_000 * u16::from(socket),
            Ports::First if at == 0 || at == 2 || at == 4 => local(socket),
            Ports::First | Ports::Drawn => drawn,
            Ports::Counted => 40_000 + 2 * nth,
        };
        *one = sighting(socket, server, port);
    }
    all
}

fn local(socket: u8) -> u16 {
    50_000 + 2 * u16::from(socket)
}

fn sighting(socket: u8, server: ServerEnd, port: u16) -> Sighting {
    let observed = SocketAddr::from(([192, 0, 2, 1], port));
    Sighting { socket, local: local(socket), server, observed: observed.into() }
}

/// An end behind such a NAT.
pub fn party(ports: Ports) -> Party {
    let mut profile = NatProfile::measure(&sightings(ports));
    profile.filtering = Filtering::AddressAndPortDependent;
    let (age, detector) = (Duration::from_secs(10), Detector::Server);
    let observed = SocketAddr::from(([192, 0, 2, 1], 40_000));
    Party { observed: observed.into(), profile, age, limits: Limits::LARGE, detector }
}

/// An issuer and an acceptor between whom this is the method.
pub fn pair(method: Method) -> [Party; 2] {
    let (one, other) = match method {
        Method::Direct => (Ports::Known, Ports::Known),
        Method::First => (Ports::First, Ports::Known),
        Method::BothFirst => (Ports::First, Ports::First),
        Method::Bracket => (Ports::Counted, Ports::Known),
        Method::Ramp => (Ports::Counted, Ports::Counted),
        Method::Birthday => (Ports::Drawn, Ports::Known),
    };
    [party(one), party(other)]
}

/// The number of the planned method, or none.
pub fn planned(pair: &[Party; 2]) -> Option<Method> {
    plan(&pair[0], &pair[1]).ok().map(|plan| plan.method)
}

/// A coordinator's first round: plan, bursts, the detection packets of both, and what follows from
/// them. How many bursts there were.
pub fn round(pair: &[Party; 2]) -> u8 {
    let now = Instant::from_millis(1_000);
    let Ok(mut coordinator) = Coordinator::new(now, pair[0], pair[1]) else { return 0 };
    let (mut bursts, mut port) = (0, 40_012);
    for _ in 0..2 {
        for end in [End::Issuer, End::Acceptor] {
            let Some(burst) = coordinator.poll_burst(end) else { continue };
            bursts += 1;
            for moment in [Moment::Announce, Moment::Before, Moment::After] {
                if burst.bracket.has(moment) {
                    port += 4;
                    let seen = sighting(1, ServerEnd::Main, port);
                    coordinator.handle_detection(now, end, burst.round, moment, &seen);
                }
            }
        }
    }
    bursts
}

/// Ports that a forecast is walked for.
pub const WALK: u16 = 128;

/// Forecasts by name.
pub fn forecasts() -> [(&'static str, Forecast); 3] {
    let foreign = Count::Poisson { mean: 100 << 8 };
    let counter =
        Forecast::Counter { last: 30_000, differential: Differential::ONE, nth: 1, foreign };
    [
        ("counter", counter),
        ("between", Forecast::Between { low: 30_000, high: 31_000 }),
        ("among", Forecast::Among { low: 20_010, high: 20_481, margin: 282 }),
    ]
}

/// The first [`WALK`] ports; their sum, so that all are worked out.
pub fn walk(forecast: Forecast) -> u32 {
    forecast.ports().take(WALK.into()).map(u32::from).sum()
}

/// An end's attempt at [`WALK`] ports of a block, each at its time. How many packets left.
pub fn attempt() -> u16 {
    let mut attempt = Attempt::new(Budget { packets: 256, sockets: 4 });
    let [.., (_, among)] = forecasts();
    attempt.handle_burst(Burst { once: true, ..Burst::from_registered(0, among, WALK) });
    let (mut now, mut packets) = (Instant::from_millis(1_000), 0);
    loop {
        while attempt.poll(now).is_some() {
            packets += 1;
        }
        match attempt.poll_timeout(now) {
            Some(at) => now = at,
            None => return packets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_planned_and_comes_to_its_bursts() {
        for (method, bursts) in [
            (Method::Direct, 2),
            (Method::First, 2),
            (Method::BothFirst, 4),
            (Method::Bracket, 2),
            (Method::Ramp, 4),
            (Method::Birthday, 2),
        ] {
            let pair = pair(method);
            assert_eq!(planned(&pair), Some(method));
            assert_eq!(round(&pair), bursts, "{method:?}");
        }
        assert_eq!(attempt(), WALK);
        for (name, forecast) in forecasts() {
            assert_eq!(forecast.ports().take(WALK.into()).count(), WALK.into(), "{name}");
        }
    }
}
