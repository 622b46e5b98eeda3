//! What the demo prints: three short tables and their sum.

use serde_json::{Value, json};

use super::children::Who;
use super::stage::{Stage, Visit};
use super::timeline::{Entry, What, cost, millis, millis_of};
use crate::events::Event;
use crate::output::{DIM, GOOD, HEAD, KEY, Output, clean};

/// Prints the timeline of everything until now.
pub(crate) fn print(stage: &Stage<'_>, visit: &Visit, output: &Output) {
    output.end_progress();
    let facts = &stage.facts;
    let [server, appliance, user] = facts.began;
    output.line(format!("{HEAD}1. A server starts{HEAD:#} and makes its keys"));
    output.line(format!("   {DIM}listens on{DIM:#} {} {DIM}(UDP and TCP){DIM:#}", facts.server));
    output.line(format!("   {DIM}authority{DIM:#}  {KEY}{}{KEY:#}", facts.authority));
    output.line(format!("   {DIM}ready after {}{DIM:#}", millis(appliance.saturating_sub(server))));

    output.line(format!("\n{HEAD}2. A thermostat registers{HEAD:#} at the server"));
    output.line(format!("   {DIM}id{DIM:#} {KEY}{}{KEY:#}", facts.appliance));
    let entries = stage.timeline.between(appliance, user);
    let _ = table(&entries, output);

    output.line(format!("\n{HEAD}3. A user asks for it{HEAD:#}, with the id and a password"));
    let connecting = stage.timeline.between(user, visit.began);
    let connected = table(&connecting, output);

    output.line(format!("\n{HEAD}4. The thermostat's page{HEAD:#}, through the direct path"));
    web("GET  /", &visit.page, "the page", output);
    let target = |state: &Value| clean(&format!("{} °C", state["target"]));
    let change = format!("target {} → {}", target(&visit.before), target(&visit.after));
    web("POST /api/target", &visit.set, &change, output);

    let spent = cost(&connecting);
    let total = visit.ended.saturating_sub(user);
    let connected = connected.unwrap_or_default();
    output.line(format!(
        "\n{GOOD}Connected{GOOD:#} after {} and {} round trips: {} messages, {} bytes.",
        millis(connected),
        spent.round_trips,
        spent.messages,
        spent.bytes
    ));
    output.line(format!(
        "First byte of the page {} after asking for it; everything from start of the user's \
         program to the set thermostat took {}.",
        millis_of(visit.page.first_byte),
        millis(total)
    ));
    output.json(
        &Event::new("summary")
            .with("connect_us", connected)
            .with("round_trips", spent.round_trips)
            .with("messages", spent.messages)
            .with("bytes", spent.bytes)
            .with("page_bytes", visit.page.bytes)
            .with("total_us", total)
            .with("target", json!({ "before": visit.before["target"], "after": visit.after["target"] }))
            .into_value(),
    );
}

fn web(request: &str, reply: &super::http::Reply, what: &str, output: &Output) {
    output.line(format!(
        "   {DIM}{:>12}{DIM:#}  {request:<17} {GOOD}{}{GOOD:#}  {what:<26} {:>6} bytes",
        millis_of(reply.took),
        reply.status,
        reply.bytes
    ));
}

/// Prints entries with times from the first on. Returns when the path stood, from the first on.
fn table(entries: &[&Entry], output: &Output) -> Option<u64> {
    let is_message = |entry: &&&Entry| matches!(entry.what, What::Message(_));
    let begin = entries.iter().find(is_message).map_or(0, |entry| entry.at);
    let mut connected = None;
    for entry in entries.iter().filter(|entry| entry.at >= begin) {
        let at = entry.at.saturating_sub(begin);
        let time = millis(at);
        match &entry.what {
            What::Message(message) => output.line(format!(
                "   {DIM}{time:>12}{DIM:#}  {:>9} → {:<9}  {:<52} {} {:>5} bytes",
                message.from.name(),
                message.to.name(),
                message.text,
                message.over,
                message.bytes
            )),
            What::Milestone { who, text } => {
                if *who == Who::User && connected.is_none() {
                    connected = Some(at);
                }
                output.line(format!(
                    "   {DIM}{time:>12}{DIM:#}  {GOOD}{:>9}{GOOD:#}              {GOOD}{}{GOOD:#}",
                    who.name(),
                    clean(text)
                ));
            }
        }
    }
    connected
}
