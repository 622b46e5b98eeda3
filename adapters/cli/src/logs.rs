//! Logs: one line per record on standard error, that nobody outside can forge or flood (threat
//! T40).
//!
//! * Every value is written through [`clean`]: a peer's text cannot start a line of its own.
//! * Ids appear as [`tag`]s, short hashes: enough to follow one equipment through a log, too little
//!   to reach it or to find it elsewhere.
//! * A place in the code may write [`LIMIT`] lines per [`WINDOW`]; what it wanted to say beyond
//!   that is counted and told once.

use core::fmt::{self, Write as _};
use core::time::Duration;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use genkan_core::EquipmentId;
use sha2::{Digest, Sha256};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::clock;
use crate::output::{DIM, clean};

/// Lines that one place in the code may write in one window.
const LIMIT: u32 = 50;
/// Length of a window.
const WINDOW: Duration = Duration::from_secs(10);
/// Longest line in characters.
const LONGEST: usize = 1_000;

/// What an id looks like in logs and on a screen beside others: a hash of 32 bits.
pub(crate) fn tag(id: &EquipmentId) -> String {
    let digest = Sha256::new_with_prefix(b"genkan log 1").chain_update(id.as_bytes()).finalize();
    let mut out = String::from("gk:");
    for byte in digest.iter().take(4) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Sends the records of all crates to standard error: warnings, and with each `-v` a level more.
pub(crate) fn start(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::registry().with(Lines::default().with_filter(level));
    // Fails only when a subscriber was set before, which then stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes records as lines.
#[derive(Debug, Default)]
struct Lines {
    places: Mutex<HashMap<Identifier, Place>>,
}

/// What one place in the code has written lately.
#[derive(Debug)]
struct Place {
    since: Instant,
    written: u32,
    suppressed: u32,
}

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    /// It is written.
    Write,
    /// It is written, after the news that so many were not.
    WriteAfter(u32),
    /// It is counted only.
    Suppress,
}

impl Place {
    const fn new(now: Instant) -> Self {
        Self { since: now, written: 0, suppressed: 0 }
    }

    fn admit(&mut self, now: Instant) -> Admission {
        let mut missed = 0;
        if now.duration_since(self.since) >= WINDOW {
            missed = self.suppressed;
            *self = Self::new(now);
        }
        if self.written >= LIMIT {
            self.suppressed = self.suppressed.saturating_add(1);
            return Admission::Suppress;
        }
        self.written += 1;
        if missed > 0 { Admission::WriteAfter(missed) } else { Admission::Write }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = Instant::now();
        let admission = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.entry(event.metadata().callsite()).or_insert_with(|| Place::new(now)).admit(now)
        };
        let mut fields = Fields::default();
        match admission {
            Admission::Suppress => return,
            Admission::WriteAfter(missed) => {
                let _ = write!(fields.rest, " suppressed_before={missed}");
            }
            Admission::Write => {}
        }
        event.record(&mut fields);
        let mut err = anstream::stderr().lock();
        let _ = writeln!(err, "{}", line(event.metadata(), &fields));
    }
}

fn line(metadata: &Metadata<'_>, fields: &Fields) -> String {
    let style = level_style(*metadata.level());
    let text: String =
        clean(&format!("{}{}", fields.message, fields.rest)).chars().take(LONGEST).collect();
    let time = clock::utc(clock::seconds());
    format!(
        "{DIM}{time}{DIM:#} {style}{:5}{style:#} {DIM}{}:{DIM:#} {text}",
        metadata.level(),
        metadata.target()
    )
}

fn level_style(level: Level) -> Style {
    match level {
        Level::ERROR => AnsiColor::Red.on_default(),
        Level::WARN => AnsiColor::Yellow.on_default(),
        Level::INFO => AnsiColor::Green.on_default(),
        _ => Style::new().dimmed(),
    }
}

/// A record's message and its other fields.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.rest, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_from_one_place_is_cut_and_its_size_told_later() {
        let begin = Instant::now();
        let mut place = Place::new(begin);
        for _ in 0..LIMIT {
            assert_eq!(place.admit(begin), Admission::Write);
        }
        for _ in 0..7 {
            assert_eq!(place.admit(begin), Admission::Suppress);
        }
        assert_eq!(place.admit(begin + WINDOW), Admission::WriteAfter(7));
        assert_eq!(place.admit(begin + WINDOW), Admission::Write);
    }

    #[test]
    fn an_id_in_a_log_is_short_steady_and_not_the_id() {
        let id = EquipmentId([7; 32]);
        assert_eq!(tag(&id), tag(&EquipmentId([7; 32])));
        assert_ne!(tag(&id), tag(&EquipmentId([8; 32])));
        assert_eq!(tag(&id).len(), 11);
        assert!(!id.to_string().contains(&tag(&id)[3..]));
    }
}
