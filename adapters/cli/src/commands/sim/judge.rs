//! `genkan sim judge`: what can be between two ends behind NATs.

use genkan_sim::nat::NatConfig;
use genkan_sim::oracle::{
    Budget, Category, Conditions, Direct, End, Gate, Judgement, Order, Verdict, judge,
};
use serde_json::json;

use super::nats::named;
use crate::clock;
use crate::exit::{Failure, Outcome};
use crate::output::{BAD, DIM, GOOD, KEY, Output};

/// Columns of what a row is about, and of what it says: together they fit into a narrow terminal.
const LABEL: usize = 16;
const TEXT: usize = 43;

/// Say what two ends behind NATs can reach: by dialling back, by punching, by predicting ports
///
/// An end is `public`, or one or more NATs of `genkan sim nats` from the inside to the outside,
/// as in openwrt+nokia-cgn. Both are taken to have one address family, the same; where two ends have
/// IPv4 and IPv6, judge each, and the better one counts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The end that asks
    #[arg(value_name = "USER")]
    user: String,
    /// The end that is asked for
    #[arg(value_name = "APPLIANCE")]
    appliance: String,
    /// Packets of each end that may go into guessing ports
    #[arg(long, value_name = "N", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    packets: u32,
}

pub(crate) fn run(args: &Args, output: &Output) -> Outcome {
    let (user, appliance) = (end(&args.user, 0)?, end(&args.appliance, 100)?);
    let judgement = judge(&user, &appliance);
    let budget = Budget { a: args.packets, b: args.packets };
    let conditions = Conditions::default();
    let bound = judgement.prediction.bound(budget, conditions);
    let verdict = judgement.verdict(budget, conditions);
    let direct = match judgement.direct {
        Direct::Possible => None,
        Direct::Impossible(reason) => Some(format!("{reason:?}")),
    };
    let why = judgement.why(["the user", "the appliance"]);
    let tell = |label: &str, text: &str| output.line(row(label, text));
    output.line(format!("{:LABEL$}{KEY}{}{KEY:#}", "user", args.user));
    output.line(format!("{:LABEL$}{KEY}{}{KEY:#}", "appliance", args.appliance));
    output.line(format!("{:LABEL$}{}", "dialling back", yes(judgement.dial_back)));
    output.line(format!("{:LABEL$}{}", "plain punching", yes(judgement.plain)));
    if judgement.plain && judgement.order != Order::Any {
        tell("", order(&judgement));
    }
    if direct.is_none() && !judgement.plain {
        tell("prediction", &format!("a known strategy reaches {}", share(bound.reached)));
        tell("", &format!("none exceeds {}", share(bound.at_most)));
        tell("", &format!("with {} packets of each", args.packets));
    }
    tell("because", &why);
    output.line(format!("{:LABEL$}{}", "verdict", words(verdict)));
    output.line(format!("{DIM}{}{DIM:#}", row("", "in one address family, the same for both")));
    output.json(&json!({
        "event": "judgement", "at": clock::micros(), "user": args.user,
        "appliance": args.appliance, "dial_back": judgement.dial_back, "plain": judgement.plain,
        "impossible": direct, "reached": bound.reached, "at_most": bound.at_most,
        "packets": [budget.a, budget.b], "category": category(verdict), "why": why,
    }));
    Ok(())
}

/// An end from its name; its boxes are numbered from `first`, so that two ends share none.
fn end(text: &str, first: u32) -> Result<End, Failure> {
    if text == "public" {
        return Ok(End::public());
    }
    let boxes: Result<Vec<NatConfig>, Failure> = text.split('+').map(named).collect();
    let gates = (first..).zip(boxes?).map(|(id, config)| Gate::new(id, config));
    Ok(End::behind(gates))
}

/// A row, in as many lines as it takes.
fn row(label: &str, text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.len() - 1;
        if lines[line].is_empty() {
            lines[line] += word;
        } else if lines[line].chars().count() + 1 + word.chars().count() <= TEXT {
            lines[line] += " ";
            lines[line] += word;
        } else {
            lines.push(word.into());
        }
    }
    format!("{label:LABEL$}{}", lines.join(&format!("\n{:LABEL$}", "")))
}

/// A probability as people read it: what is nearly 0 or 1 is not called so.
fn share(p: f64) -> String {
    if p <= 0.0 || p >= 1.0 {
        format!("{p:.0}")
    } else if p < 0.001 {
        format!("{p:.1e}")
    } else if p > 0.999 {
        format!("1 - {:.1e}", 1.0 - p)
    } else {
        format!("{p:.3}")
    }
}

fn yes(yes: bool) -> String {
    if yes { format!("{GOOD}always{GOOD:#}") } else { format!("{BAD}not for certain{BAD:#}") }
}

const fn order(judgement: &Judgement) -> &'static str {
    match judgement.order {
        Order::Any => "",
        Order::AFirst => "when the user sends first",
        Order::BFirst => "when the appliance sends first",
        Order::ShortHops => "when both open their own NATs first with few hops",
    }
}

fn category(verdict: Verdict) -> &'static str {
    match verdict.category() {
        Category::Certain => "certain",
        Category::Bounded(_) => "bounded",
        Category::Impossible => "impossible",
    }
}

fn words(verdict: Verdict) -> String {
    match verdict {
        Verdict::MustConnect => format!("{GOOD}must connect{GOOD:#}"),
        Verdict::MustNotConnect(_) => format!("{BAD}cannot connect{BAD:#}"),
        Verdict::May(p) if p.reached >= 0.99 => format!("{GOOD}can connect{GOOD:#}"),
        Verdict::May(p) if p.at_most < 0.01 => format!("{BAD}as good as never connects{BAD:#}"),
        Verdict::May(_) => "connects by luck".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_probabilities_are_told_from_nothing_and_certainty() {
        let cases =
            [(0.0, "0"), (1.0, "1"), (0.5, "0.500"), (2.36e-5, "2.4e-5"), (1e-300, "1.0e-300")];
        for (p, text) in cases {
            assert_eq!(share(p), text);
        }
        assert_eq!(share(0.999_99), "1 - 1.0e-5");
    }

    #[test]
    fn rows_fit_into_sixty_columns() {
        let text = row("because", &"a few words and some more ".repeat(9));
        assert!(text.lines().count() > 4);
        assert!(text.lines().all(|line| line.chars().count() < 60), "{text}");
        assert_eq!(row("verdict", "short"), "verdict         short");
    }
}
