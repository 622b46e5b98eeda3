//! `genkan demo --hold`: everything stays up for a browser, and comes back when it is killed.

use core::time::Duration;
use std::time::Instant;

use super::children::{Said, Who};
use super::stage::Stage;
use crate::exit::{Failure, Outcome};
use crate::output::{DIM, GOOD, HEAD, KEY, Output};

/// How often a wait looks whether to stop.
const GLANCE: Duration = Duration::from_millis(100);
/// A process that ends more often than this many times within [`WINDOW`] will not stay up.
const RESTARTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// Until Ctrl-C. A process that ended is started again; the others find it by themselves.
pub(crate) fn hold(stage: &mut Stage<'_>, output: &Output) -> Outcome {
    if let Some(door) = stage.facts.door {
        let url = format!("http://{door}/");
        output.line(format!("\n{HEAD}The thermostat is at{HEAD:#} {KEY}{url}{KEY:#}"));
        output.line(format!("{DIM}Everything stays up until Ctrl-C.{DIM:#}"));
        output.json(&crate::events::Event::new("holding").with("url", url).into_value());
    }
    let mut restarts: Vec<Instant> = Vec::new();
    while !stage.stop.is_set() {
        match stage.voices.next(GLANCE) {
            None => {}
            Some((who, Said::Event(event))) => {
                stage.pass_on(who, &event);
                tell(who, &event, output);
            }
            Some((_, Said::Ended)) if stage.stop.wait(GLANCE) => break,
            Some((who, Said::Ended)) => {
                restarts.retain(|at| at.elapsed() < WINDOW);
                if restarts.len() >= RESTARTS {
                    let message = format!("the {} does not stay up", who.name());
                    return Err(Failure::other(message));
                }
                restarts.push(Instant::now());
                output.note(format!("the {} ended; starting it again", who.name()));
                stage.start(who)?;
            }
        }
    }
    output.line("stopped");
    Ok(())
}

/// What a person who holds the demo may want to see happen.
fn tell(who: Who, event: &serde_json::Value, output: &Output) {
    let text = match event["event"].as_str() {
        Some("registered") if who == Who::Appliance => "registered",
        Some("registration-lost") => "the server does not answer; trying on",
        Some("connected") if who == Who::User => "connected",
        Some("closed") if who == Who::User => "the connection ended; connecting again",
        _ => return,
    };
    output.line(format!("{GOOD}{:>9}{GOOD:#}  {text}", who.name()));
}
