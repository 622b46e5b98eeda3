//! Kernel and model, step by step, with the same clock.
//!
//! What can be told beforehand must be the same: whether something arrives, where, and every port
//! that is the inside port. Where ports are drawn, they must be drawn in both, from the same range,
//! and equal each other in one exactly when they do in the other.

use core::net::SocketAddr;
use core::ops::RangeInclusive;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::kernel::Side;
use crate::lab::{Lab, SiteSpec};
use crate::model::Model;
use crate::presets;
use crate::scenario::{Seen, Step};

/// How the ports that a NAT gives out are compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ports {
    /// They are the same.
    Exact,
    /// Those that are not the inside port are drawn from here.
    Drawn(RangeInclusive<u16>),
}

/// What the kernel showed, step by step, when the model showed the same.
pub type Outcome = Vec<Seen>;

impl Side<'_> {
    /// Goes through a scenario in both.
    ///
    /// # Panics
    /// At the first difference, with everything up to there.
    pub fn compare(mut self, mut model: Model, ports: Ports, steps: &[Step]) -> Outcome {
        let mut pairs = Pairs { ports, known: BTreeMap::new(), back: BTreeMap::new() };
        let (start, mut story, mut outcome) = (Instant::now(), String::new(), Outcome::new());
        for (number, &step) in steps.iter().enumerate() {
            let now = start.elapsed();
            let expected = model.step(now, step);
            let seen = self.step(step, expected);
            story += &format!("{:6.3} {step:?}: kernel {seen:?}", now.as_secs_f64());
            let same = pairs.same(step, seen, expected);
            if std::env::var_os("SHOW").is_some() {
                story += &format!(", model {expected:?} {}", if same { "" } else { "DIFFERS" });
            } else {
                assert!(same, "step {number} differs\n{story}, model {expected:?}");
            }
            story += "\n";
            outcome.push(seen);
        }
        if std::env::var_os("SHOW").is_some() {
            eprintln!("{story}");
        }
        outcome
    }

    /// What a scenario of which every step shows something shows in the kernel alone.
    pub fn play(mut self, steps: &[Step]) -> Outcome {
        steps.iter().map(|&step| self.step(step, Seen::Unreachable)).collect()
    }

    /// Goes through a scenario in the kernel alone.
    ///
    /// # Panics
    /// When a step shows something else than it is said to.
    pub fn shows(mut self, steps: &[(Step, Seen)]) {
        for (number, &(step, expected)) in steps.iter().enumerate() {
            let seen = self.step(step, expected);
            assert_eq!(seen, expected, "step {number}: {step:?}");
        }
    }
}

/// Which port of the kernel's is which of the model's.
struct Pairs {
    ports: Ports,
    known: BTreeMap<u16, u16>,
    back: BTreeMap<u16, u16>,
}

impl Pairs {
    fn same(&mut self, step: Step, kernel: Seen, model: Seen) -> bool {
        match (kernel, model) {
            (Seen::From(kernel), Seen::From(model))
            | (Seen::Turned(kernel), Seen::Turned(model)) => {
                kernel.ip() == model.ip() && self.same_port(step, kernel, model)
            }
            _ => kernel == model,
        }
    }

    fn same_port(&mut self, step: Step, kernel: SocketAddr, model: SocketAddr) -> bool {
        let (kernel, model) = (kernel.port(), model.port());
        let kept = match step {
            Step::Out(inside, _)
            | Step::Open(inside, _)
            | Step::Up(inside, _)
            | Step::Hairpin(inside, ..) => inside.port,
            _ => return kernel == model,
        };
        let Ports::Drawn(range) = &self.ports else { return kernel == model };
        if kernel == kept || model == kept {
            return kernel == model;
        }
        range.contains(&kernel)
            && range.contains(&model)
            && *self.known.entry(kernel).or_insert(model) == model
            && *self.back.entry(model).or_insert(kernel) == kernel
    }
}

/// Goes through a scenario at a new site and in the model of it.
///
/// # Panics
/// At the first difference, and when there is no making a site here.
pub fn same(spec: &SiteSpec, steps: &[Step]) -> Outcome {
    let lab = Lab::new(core::slice::from_ref(spec));
    let nats = lab.addresses(0).into_iter().zip(&spec.nats);
    let model = Model::new(nats.map(|(ip, &rules)| (ip, presets::config(rules, spec.timeouts))));
    let ports = spec.nats.last().map_or(Ports::Exact, |&rules| presets::ports(rules));
    Side::new(&lab).compare(model, ports, steps)
}
