//! Records as sightings and claimed ranges: every function of `nat` ends, within its bounds.

use genkan_core::Endpoint;
use genkan_core::nat::{
    Allocation, Differential, Forecast, MAX_CANDIDATE_PORTS, MAX_SIGHTINGS, NatProfile, PortRange,
    ServerEnd, Sighting,
};

use super::{Act, forecast, pause, range};

pub(crate) fn predict(acts: &[Act]) {
    let seen: Vec<Sighting> = acts.iter().map(sighting).collect();
    let whole = NatProfile::measure(&seen);
    assert_eq!(whole, NatProfile::measure(&seen[..seen.len().min(MAX_SIGHTINGS)]));
    let mut kept = NatProfile::default();
    for (act, some) in acts.iter().zip(seen.chunks(5)) {
        let before = kept.span;
        let newer = NatProfile::measure(some);
        kept.renew(&newer, pause(act));
        assert!(kept.drifted || kept.span.seen >= before.seen.max(1) - 1, "sightings got lost");
        assert!(kept.span.low <= kept.span.high);
        assert_eq!(NatProfile::from_bytes(&kept.to_bytes()), kept);
        judge(kept.span.forecast());
        if let Allocation::Sequential(step) = kept.allocation {
            assert!((1..=64).contains(&step.get().unsigned_abs()));
        }
    }
    let ports: Vec<u16> = seen.iter().map(Sighting::port).collect();
    if let Some((step, true)) = Differential::of(&ports[..ports.len().min(MAX_SIGHTINGS)]) {
        let mut pairs = ports.windows(2).take(MAX_SIGHTINGS - 1);
        assert!(pairs.all(|pair| step.steps(pair[0], pair[1]).is_some_and(|steps| steps > 0)));
    }
    for pair in acts.windows(2).take(8) {
        claim(&pair[0], &pair[1]);
    }
    acts.iter().take(8).for_each(|act| judge(forecast(act)));
}

fn sighting(act: &Act) -> Sighting {
    let ends = [ServerEnd::Main, ServerEnd::OtherPort, ServerEnd::OtherAddress];
    Sighting {
        socket: act.byte(2) & 3,
        local: act.word(6),
        server: ends[act.below(3, 3)],
        observed: Endpoint::from(([192, 0, 2, act.byte(11) & 1], act.word(4))),
    }
}

/// A claimed range stays where the server has seen something itself (threat T15, I-11).
fn claim(observed: &Act, claimed: &Act) {
    let observed = range(observed);
    let observed =
        PortRange::detect(observed.before, observed.after, observed.differential, observed.bubbles);
    let margin = claimed.word(8) & 63;
    let own: Vec<u16> = observed.forecast().ports().collect();
    let clamped = range(claimed).clamp(observed, margin).forecast();
    let (low, high) = observed.hull();
    let within = low.saturating_sub(margin)..=high.saturating_add(margin).max(1);
    for port in clamped.ports() {
        assert!(within.contains(&port) || own.contains(&port), "{port} of {clamped:?}");
    }
    judge(clamped);
    judge(observed.forecast());
    judge(range(claimed).forecast());
}

/// Few candidates, each once, and none that is no port.
fn judge(forecast: Forecast) {
    let mut ports: Vec<u16> = forecast.ports().collect();
    let given = ports.len();
    assert!(given <= MAX_CANDIDATE_PORTS && !ports.contains(&0), "{forecast:?}");
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), given, "{forecast:?}: a port twice");
}
