//! `genkan sim judge`: what can be between two ends behind NATs.

use genkan_sim::nat::NatConfig;
use genkan_sim::oracle::{Budget, Conditions, Direct, End, Gate, Judgement, Order, Verdict, judge};
use serde_json::json;

use super::nats::named;
use crate::clock;
use crate::exit::{Failure, Outcome};
use crate::output::{BAD, GOOD, KEY, Output};

/// Say what two ends behind NATs can reach: by dialling back, by punching, by predicting ports
///
/// An end is `public`, or one or more NATs of `genkan sim nats` from the inside to the outside,
/// as in openwrt+nokia-cgn.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The end that asks
    #[arg(value_name = "USER")]
    user: String,
    /// The end that is asked for
    #[arg(value_name = "APPLIANCE")]
    appliance: String,
}

pub(crate) fn run(args: &Args, output: &Output) -> Outcome {
    let (user, appliance) = (end(&args.user, 0)?, end(&args.appliance, 100)?);
    let judgement = judge(&user, &appliance);
    let (budget, conditions) = (Budget::default(), Conditions::default());
    let bound = judgement.prediction.bound(budget, conditions);
    let verdict = words(judgement.verdict(budget, conditions));
    let direct = match judgement.direct {
        Direct::Possible => None,
        Direct::Impossible(reason) => Some(format!("{reason:?}")),
    };
    output.line(format!("user            {KEY}{}{KEY:#}", args.user));
    output.line(format!("appliance       {KEY}{}{KEY:#}", args.appliance));
    output.line(format!("dialling back   {}", yes(judgement.dial_back)));
    output.line(format!("plain punching  {}{}", yes(judgement.plain), order(&judgement)));
    output.line(match &direct {
        Some(reason) => format!("prediction      {BAD}nothing can{BAD:#}: {reason}"),
        None => format!(
            "prediction      a known strategy reaches {:.4}, none exceeds {:.4}, with {} packets of \
             each",
            bound.reached, bound.at_most, budget.a
        ),
    });
    output.line(format!("verdict         {verdict}"));
    output.json(&json!({
        "event": "judgement", "at": clock::micros(), "user": args.user,
        "appliance": args.appliance, "dial_back": judgement.dial_back, "plain": judgement.plain,
        "impossible": direct, "reached": bound.reached, "at_most": bound.at_most,
        "packets": [budget.a, budget.b],
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

fn yes(yes: bool) -> String {
    if yes { format!("{GOOD}always{GOOD:#}") } else { format!("{BAD}not for certain{BAD:#}") }
}

const fn order(judgement: &Judgement) -> &'static str {
    match judgement.order {
        Order::Any => "",
        Order::AFirst => ", when the user sends first",
        Order::BFirst => ", when the appliance sends first",
        Order::ShortHops => ", when both open their own NATs first with few hops",
    }
}

fn words(verdict: Verdict) -> String {
    match verdict {
        Verdict::MustConnect => format!("{GOOD}must connect{GOOD:#}"),
        Verdict::MustNotConnect(_) => format!("{BAD}cannot connect{BAD:#}"),
        Verdict::May(p) if p.reached >= 0.99 => {
            format!("{GOOD}can connect{GOOD:#}, when ports are predicted and the order is kept")
        }
        Verdict::May(p) if p.at_most < 0.01 => format!("{BAD}as good as never connects{BAD:#}"),
        Verdict::May(_) => "connects by luck".into(),
    }
}
