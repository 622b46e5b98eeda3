//! Kernel and model, step by step, with the same clock.
//!
//! What can be told beforehand must be the same: whether something arrives, where, and every port
//! that is the inside port. Where ports are drawn, they must be drawn in both, from the same range,
//! below 512, below 1024 or above in both, and equal each other in one exactly when they do in the
//! other.

use core::ops::RangeInclusive;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

use crate::kernel::Side;
use crate::lab::{Lab, SiteSpec};
use crate::model::Model;
use crate::presets;
use crate::rules::Rules;
use crate::scenario::{A, Seen, Step};

/// How the ports that a NAT gives out are compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ports {
    /// They are the same.
    Exact,
    /// All are drawn from here.
    Drawn(RangeInclusive<u16>),
    /// Those that are not the inside port are drawn from here.
    Kept(RangeInclusive<u16>),
}

/// What the kernel showed, step by step, when the model showed the same.
pub type Outcome = Vec<Seen>;

/// Where kernel and model part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Everything up to there.
    pub story: String,
    /// Only in which drawn ports are equal: that can be chance.
    pub draw: bool,
}

impl Side<'_> {
    /// Goes through a scenario in both.
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn compare(
        mut self,
        mut model: Model,
        ports: Ports,
        steps: &[Step],
    ) -> Result<Outcome, Difference> {
        let mut pairs = Pairs { ports, known: BTreeMap::new(), back: BTreeMap::new() };
        let (start, mut story, mut outcome) = (Instant::now(), String::new(), Outcome::new());
        for (number, &step) in steps.iter().enumerate() {
            let now = start.elapsed();
            let expected = model.step(now, step);
            let seen = self.step(step, expected);
            story += &format!("{number:4} {:7.3} {step:?}: {seen:?}\n", now.as_secs_f64());
            let verdict = pairs.verdict(step, seen, expected);
            if verdict != Verdict::Same {
                story += &format!("but the model: {expected:?}\n");
                return Err(Difference { story, draw: verdict == Verdict::OtherDraw });
            }
            outcome.push(seen);
        }
        Ok(outcome)
    }

    /// What a scenario of which every step shows something shows in the kernel alone.
    pub fn play(mut self, steps: &[Step]) -> Outcome {
        count(steps.len());
        steps.iter().map(|&step| self.step(step, Seen::Unreachable)).collect()
    }

    /// Goes through a scenario in the kernel alone.
    ///
    /// # Panics
    /// When a step shows something else than it is said to.
    pub fn shows(mut self, steps: &[(Step, Seen)]) {
        count(steps.len());
        for (number, &(step, expected)) in steps.iter().enumerate() {
            let seen = self.step(step, expected);
            assert_eq!(seen, expected, "step {number}: {step:?}");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Same,
    /// Two drawn ports are equal in one and not in the other.
    OtherDraw,
    Different,
}

/// Which port of the kernel's is which of the model's.
struct Pairs {
    ports: Ports,
    known: BTreeMap<u16, u16>,
    back: BTreeMap<u16, u16>,
}

impl Pairs {
    fn verdict(&mut self, step: Step, kernel: Seen, model: Seen) -> Verdict {
        if kernel == model {
            return self.drawn(step, kernel, model);
        }
        match (kernel, model) {
            (Seen::From(one), Seen::From(other)) | (Seen::Turned(one), Seen::Turned(other))
                if one.ip() == other.ip() =>
            {
                self.drawn(step, kernel, model)
            }
            _ => Verdict::Different,
        }
    }

    /// Compares the ports of two sources.
    fn drawn(&mut self, step: Step, kernel: Seen, model: Seen) -> Verdict {
        let kept = match step {
            Step::Out(inside, _)
            | Step::OutTcp(inside, ..)
            | Step::Low(inside, ..)
            | Step::Open(inside, _)
            | Step::Up(inside, _)
            | Step::Hairpin(inside, ..) => inside.port,
            _ => return Verdict::of(kernel == model),
        };
        let (Some(kernel), Some(model)) = (kernel.port(), model.port()) else {
            return Verdict::of(kernel == model);
        };
        let range = match &self.ports {
            Ports::Exact => return Verdict::of(kernel == model),
            Ports::Kept(_) if kernel == kept || model == kept => {
                return Verdict::of(kernel == model);
            }
            Ports::Kept(range) | Ports::Drawn(range) => range,
        };
        let class = |port: u16| (port < 512, port < 1_024);
        if !range.contains(&kernel) || !range.contains(&model) || class(kernel) != class(model) {
            return Verdict::Different;
        }
        let there = *self.known.entry(kernel).or_insert(model) == model;
        let back = *self.back.entry(model).or_insert(kernel) == kernel;
        if there && back { Verdict::Same } else { Verdict::OtherDraw }
    }
}

impl Verdict {
    const fn of(same: bool) -> Self {
        if same { Self::Same } else { Self::Different }
    }
}

/// Adds a line with the length of a scenario to the file that `GENKAN_KERNEL_SCENARIOS` names.
pub(crate) fn count(steps: usize) {
    let Some(path) = std::env::var_os("GENKAN_KERNEL_SCENARIOS") else { return };
    let file = OpenOptions::new().append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(format!("{steps}\n").as_bytes()));
    assert!(written.is_ok(), "the scenario cannot be counted: {written:?}");
}

/// Goes through a scenario at a new site and in the model of it.
///
/// # Panics
/// At the first difference, with everything up to there; when the only difference is which drawn
/// ports are equal, once more first. Also when there is no making a site here.
#[expect(clippy::panic, reason = "what a comparison in a test does")]
pub fn same(spec: &SiteSpec, steps: &[Step]) -> Outcome {
    count(steps.len());
    let lab = Lab::new(core::slice::from_ref(spec));
    let ports = spec.nats.last().map_or(Ports::Exact, |&rules| presets::ports(rules));
    let go = || {
        let nats = lab.addresses(0).into_iter().zip(&spec.nats);
        let nats = nats.map(|(ip, &rules)| (ip, presets::config(rules, spec.timeouts)));
        let mut model = Model::new(nats);
        if spec.nats.contains(&Rules::Static) {
            model.forward(41_000, A);
        }
        Side::new(&lab).compare(model, ports.clone(), steps)
    };
    let outcome = match go() {
        Err(Difference { draw: true, .. }) => go(),
        outcome => outcome,
    };
    outcome.unwrap_or_else(|difference| panic!("{spec:?}\n{}", difference.story))
}
