//! What the demo prints: three short tables and their sum.

use serde_json::{Value, json};

use super::children::Who;
use super::stage::{Stage, Visit};
use super::timeline::{Entry, What, cost, micros, millis};
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
    let connecting = stage.timeline.between(user, visit.ended);
    let connected = table(&connecting, output);

    output.line(format!("\n{HEAD}4. The thermostat's page{HEAD:#}, through the direct path"));
    web("GET  /", &visit.page, "the page", output);
    let target = |state: &Value| clean(&format!("{} °C", state["target"]));
    let change = format!("target {} → {}", target(&visit.before), target(&visit.after));
    web("POST /api/target", &visit.set, &change, output);

    let Some((first, connected)) = connected else { return };
    let spent = cost(&connecting);
    let first_byte = visit.began.saturating_add(micros(visit.page.first_byte));
    let fetching = stage.timeline.data_turns(first_byte);
    let took = connected.saturating_sub(first);
    let total = visit.ended.saturating_sub(first);
    output.line(format!(
        "\n{GOOD}Connected{GOOD:#} {} after the user's first packet: {} round trips, {} messages, \
         {} bytes.\nThe page's first byte came {} round trips later; all of it, to the set \
         thermostat, took {}.",
        millis(took),
        halves(spent.chain),
        spent.messages,
        spent.bytes,
        fetching,
        millis(total)
    ));
    let target = json!({ "before": visit.before["target"], "after": visit.after["target"] });
    let summary = Event::new("summary")
        .with("connect_us", took)
        .with("connect_links", spent.chain)
        .with("first_byte_round_trips", fetching)
        .with("messages", spent.messages)
        .with("bytes", spent.bytes)
        .with("page_bytes", visit.page.bytes)
        .with("total_us", total)
        .with("target", target);
    output.json(&summary.into_value());
}

/// Half a number, in the form that people write.
fn halves(count: usize) -> String {
    format!("{}{}", count / 2, if count.is_multiple_of(2) { "" } else { ".5" })
}

fn web(request: &str, reply: &super::http::Reply, what: &str, output: &Output) {
    output.line(format!(
        "{DIM}{:>13}{DIM:#}  {request:<21}  {GOOD}{}{GOOD:#}  {what:<38} {DIM}tunnel{DIM:#} {:>5}",
        millis(micros(reply.took)),
        reply.status,
        reply.bytes
    ));
}

/// Prints entries with times from the first message on. Returns when that was, and when the user's
/// path stood.
fn table(entries: &[&Entry], output: &Output) -> Option<(u64, u64)> {
    output.line(format!(
        "{DIM}{:>13}  {:>9} → {:<9}  {:<43} {:>6} {:>5}{DIM:#}",
        "time", "from", "to", "what", "path", "bytes"
    ));
    let is_message = |entry: &&&Entry| matches!(entry.what, What::Message(_));
    let begin = entries.iter().find(is_message).map_or(0, |entry| entry.at);
    let mut connected = None;
    for entry in entries.iter().filter(|entry| entry.at >= begin) {
        let time = millis(entry.at.saturating_sub(begin));
        match &entry.what {
            What::Message(message) => output.line(format!(
                "{DIM}{time:>13}{DIM:#}  {:>9} → {:<9}  {:<43} {DIM}{:>6}{DIM:#} {:>5}",
                message.from.name(),
                message.to.name(),
                message.text,
                message.over,
                message.bytes.map_or_else(|| "–".to_owned(), |bytes| bytes.to_string())
            )),
            What::Milestone { who, text } => {
                if *who == Who::User && connected.is_none() {
                    connected = Some((begin, entry.at));
                }
                output.line(format!(
                    "{DIM}{time:>13}{DIM:#}  {GOOD}{:>9}              {}{GOOD:#}",
                    who.name(),
                    clean(text)
                ));
            }
        }
    }
    connected
}
