//! What is told of worlds, of one and of many alike.

use core::time::Duration;

use genkan_sim::swarm::{Failure, Report};
use serde_json::{Value, json};

use super::Args;
use crate::clock;
use crate::output::{BAD, KEY, Output};

/// How often the progress line changes.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Cells of a progress bar, at most and at least.
const BAR: usize = 24;
const SHORT_BAR: usize = 6;

/// A broken rule, and how to see it again.
pub(super) fn broken(args: &Args, seed: u64, broken: &Failure, output: &Output) {
    output.line(format!("{broken}"));
    output.line(format!("{BAD}seed {seed} broke {}{BAD:#}; to see it:", broken.rule));
    let replay = args.replay(seed, broken.rule);
    // Of a world that is made twice, and of more than can be kept, there are no files.
    let files = if broken.rule == "I-24" || args.hours > super::WRITTEN_HOURS {
        String::new()
    } else {
        format!(" --svg seed-{seed}.svg --pcapng seed-{seed}.pcapng --transcript seed-{seed}.txt")
    };
    output.line(format!("  {KEY}{replay}{files}{KEY:#}"));
    output.json(&json!({
        "event": "broken", "at": clock::micros(), "seed": seed, "rule": broken.rule,
        "what": broken.what, "virtual_s": broken.at.as_secs_f64(), "replay": replay,
    }));
}

/// How much happened.
pub(super) fn sum(report: &Report, output: &Output) {
    output.line(format!(
        "{} packets, {} checks, {} requests, {} connections, {} payloads",
        report.packets, report.calls, report.requests, report.connected, report.payloads
    ));
}

/// How much time passed.
pub(super) fn time(report: &Report, took: Duration) -> String {
    format!(
        "{:.2} simulated hours in {:.1} s, {:.0} a second",
        in_hours(report.simulated),
        took.as_secs_f64(),
        per_second(report.simulated, took)
    )
}

/// Both as fields of an event.
pub(super) fn numbers(event: &mut Value, report: &Report, took: Duration) {
    event["hours"] = json!(in_hours(report.simulated));
    event["seconds"] = json!(took.as_secs_f64());
    event["hours_per_second"] = json!(per_second(report.simulated, took));
    event["packets"] = json!(report.packets);
    event["checks"] = json!(report.calls);
    event["requests"] = json!(report.requests);
    event["connected"] = json!(report.connected);
    event["payloads"] = json!(report.payloads);
}

pub(super) fn in_hours(time: Duration) -> f64 {
    time.as_secs_f64() / 3_600.0
}

pub(super) fn per_second(simulated: Duration, took: Duration) -> f64 {
    in_hours(simulated) / took.as_secs_f64().max(1e-3)
}

/// A bar that is full up to `part` of 1, and as many of `parts` as fit beside it into so many
/// columns, the first ones first. The first part comes before the bar where there is room for one
/// of them only.
pub(in crate::commands::sim) fn bar(part: f64, parts: &[String], columns: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let (separator, room) = if text.is_empty() {
            ("", columns)
        } else {
            (", ", columns.saturating_sub(SHORT_BAR + 1))
        };
        if text.chars().count() + separator.len() + part.chars().count() > room {
            break;
        }
        text += separator;
        text += part;
    }
    let cells = columns.saturating_sub(text.chars().count() + 1).min(BAR);
    if cells < SHORT_BAR {
        return text;
    }
    let full = (part.clamp(0.0, 1.0) * cells as f64) as usize;
    format!("{}{} {text}", "█".repeat(full), "░".repeat(cells - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fits_into_its_columns_and_leaves_out_the_last_parts_first() {
        let parts = ["12/100 worlds", "3 failed", "35 s left", "47 h simulated", "120 h/s"];
        let parts = parts.map(str::to_owned);
        for columns in 0..200 {
            let bar = bar(0.5, &parts, columns);
            assert!(bar.chars().count() <= columns, "{columns}: {bar}");
            assert!(columns < 13 || bar.contains("12/100 worlds"), "{columns}: {bar}");
        }
        assert_eq!(bar(0.5, &parts, 41), "███░░░ 12/100 worlds, 3 failed, 35 s left");
        assert_eq!(bar(0.5, &parts, 40), "████████░░░░░░░░ 12/100 worlds, 3 failed");
        assert_eq!(bar(0.5, &parts, 15), "12/100 worlds");
        let wide = bar(0.5, &parts, 79);
        assert!(
            wide.starts_with("█████████░░░░░░░░░░ 12/100") && wide.ends_with("120 h/s"),
            "{wide}"
        );
        assert!(bar(1.0, &parts, 119).starts_with(&"█".repeat(BAR)));
        assert!(bar(7.0, &parts, 119).ends_with("120 h/s"));
    }
}
