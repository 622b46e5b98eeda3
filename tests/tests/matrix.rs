//! How often pairs of NATs meet.

use core::time::Duration;

use genkan_sim::matrix::{Lab, meet};
use genkan_sim::nat::{Counter, Filtering as F, Foreign, Mapping as M, NatConfig, Pick, Preserve};

fn sequential(mapping: M, step: i16, rate: f64) -> NatConfig {
    let mut config = NatConfig::new(mapping, F::AddressAndPortDependent);
    config.behaviour.allocation.preserve = Preserve::Never;
    config.behaviour.allocation.pick =
        Pick::Sequential { step, counter: Counter::Global, skip_used: true };
    crowd(&mut config, rate);
    config
}

fn crowd(config: &mut NatConfig, rate: f64) {
    config.foreign = (rate > 0.0).then_some(Foreign {
        rate,
        bursts: 0.0,
        burst_size: 1.0,
        stay: Duration::from_secs(60),
    });
}

fn kind(name: &str, rate: f64) -> NatConfig {
    let mut c = match name {
        "eim" => NatConfig::new(M::EndpointIndependent, F::AddressAndPortDependent),
        "eim-adf" => NatConfig::new(M::EndpointIndependent, F::AddressDependent),
        "seq1" => return sequential(M::AddressAndPortDependent, 1, rate),
        "seq2" => return sequential(M::AddressAndPortDependent, 2, rate),
        "seq-8" => return sequential(M::AddressAndPortDependent, -8, rate),
        "adm1" => return sequential(M::AddressDependent, 1, rate),
        "first" => {
            let mut c = NatConfig::new(M::AddressAndPortDependent, F::AddressAndPortDependent);
            c.behaviour.allocation.preserve = Preserve::First;
            c
        }
        _ => {
            let mut c = NatConfig::new(M::AddressAndPortDependent, F::AddressAndPortDependent);
            c.behaviour.allocation.preserve = Preserve::Never;
            c.behaviour.allocation.pick = Pick::Random;
            if name == "block512" {
                c.ports = 20_000..=20_511;
            }
            c
        }
    };
    crowd(&mut c, rate);
    c
}

#[test]
fn table() {
    let pairs = [
        ("eim", "eim"),
        ("seq1", "eim-adf"),
        ("first", "eim"),
        ("seq1", "eim"),
        ("seq2", "eim"),
        ("seq-8", "eim"),
        ("adm1", "eim"),
        ("block512", "eim"),
        ("random", "eim"),
        ("first", "first"),
        ("adm1", "adm1"),
        ("seq1", "adm1"),
        ("adm1", "seq2"),
        ("seq1", "seq1"),
        ("seq1", "seq2"),
        ("seq-8", "seq2"),
        ("first", "seq1"),
        ("seq1", "first"),
        ("first", "adm1"),
        ("random", "random"),
    ];
    let n: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(300);
    for (a, b) in pairs {
        for (rate, loss) in [(0.0, 0.0), (5.0, 0.0), (50.0, 0.0), (200.0, 0.0), (5.0, 0.05)] {
            let mut lab = Lab::new(kind(a, rate), kind(b, rate));
            lab.loss = loss;
            lab.jitter = Duration::from_millis(3);
            let mut won = 0;
            let mut packets = Vec::new();
            let mut took = Vec::new();
            let mut most = [0, 0];
            let mut plan = None;
            for seed in 0..n {
                let out = meet(&lab, seed);
                plan = Some(out.plan);
                most = [most[0].max(out.mappings[0]), most[1].max(out.mappings[1])];
                if let Some(t) = out.took {
                    won += 1;
                    packets.push(out.packets);
                    took.push(t);
                }
            }
            packets.sort_unstable();
            took.sort_unstable();
            let mid = |v: usize| v / 2;
            println!(
                "{a:9} x {b:9} λ={rate:3} loss={loss:4}: {:6.2} %  packets {:4?}  {:?} maps {most:?} {}",
                won as f64 * 100.0 / n as f64,
                packets.get(mid(packets.len())),
                took.get(mid(took.len())),
                match plan {
                    Some(Ok(p)) =>
                        format!("{:?} {:?} {}x{}", p.method, p.bubbler, p.bubbles, p.replies),
                    Some(Err(e)) => format!("{e:?}"),
                    None => String::new(),
                },
            );
        }
    }
}

#[test]
fn debug() {
    let mut lab = Lab::new(kind("seq1", 5.0), kind("eim", 5.0));
    lab.loss = 0.05;
    lab.jitter = Duration::from_millis(3);
    for seed in 0..3000 {
        let out = meet(&lab, seed);
        if out.took.is_none() {
            println!("seed {seed}: {out:?}");
        }
    }
}
