//! The only place that writes to standard output and standard error.
//!
//! With `--json`, standard output carries one JSON object per line and nothing else; people's text
//! goes to standard error. With `--stdio` as well, standard output is the service's, and JSON takes
//! the place of people's text on standard error. Without it, text goes to standard output. Colours and the progress line
//! appear only on a terminal (and not with `NO_COLOR`); whatever came from outside is stripped of
//! control characters before it gets here or in [`clean`] (threat T40).
//!
//! A reader that went away (`genkan … | head -1`) is no failure: the write is dropped.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::exit::Failure;

/// Something worked.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Something failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What a person may want to copy.
pub(crate) const KEY: Style = AnsiColor::Cyan.on_default();
/// A heading.
pub(crate) const HEAD: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();

/// Standard output and standard error in the form that the user chose.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    payload: bool,
    progress: Mutex<bool>,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json, payload: false, progress: Mutex::new(false) }
    }

    /// Standard output carries a service's bytes: JSON goes to standard error, alone there (but for
    /// logs).
    pub(crate) const fn beside_payload(mut self, payload: bool) -> Self {
        self.payload = payload;
        self
    }

    /// Whether a program reads standard output.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person reads standard output on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// A line of text for a person: the command's result. Nothing with `--json`.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            self.end_progress();
            let mut out = anstream::stdout().lock();
            let _ = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
        }
    }

    /// A line of text beside the result: always on standard error, unless JSON goes there.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if self.json && self.payload {
            return;
        }
        self.end_progress();
        let mut err = anstream::stderr().lock();
        let _ = writeln!(err, "{}", text.as_ref());
    }

    /// A line of JSON, only with `--json`.
    pub(crate) fn json(&self, value: &Value) {
        if self.json && self.payload {
            // In one piece: logs go there too.
            let _ = io::stderr().lock().write_all(format!("{value}\n").as_bytes());
        } else if self.json {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{value}").and_then(|()| out.flush());
        }
    }

    /// Bytes as they are, to standard output: completion scripts.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// A line that the next one replaces; only where a person sees it happen.
    pub(crate) fn progress(&self, text: impl AsRef<str>) {
        if self.json || !io::stderr().is_terminal() {
            return;
        }
        let mut shown = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let mut err = anstream::stderr().lock();
        let _ = write!(err, "\r\x1b[2K{DIM}{}{DIM:#}", text.as_ref()).and_then(|()| err.flush());
        *shown = true;
    }

    /// Wipes the progress line, if there is one.
    pub(crate) fn end_progress(&self) {
        let mut shown = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if core::mem::take(&mut *shown) {
            let mut err = io::stderr().lock();
            let _ = write!(err, "\r\x1b[2K").and_then(|()| err.flush());
        }
    }

    /// Why the command ends without having done its work.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.note(format!("{BAD}error{BAD:#}: {}", clean(&failure.message)));
        if let Some(hint) = &failure.hint {
            self.note(format!("  {GOOD}try{GOOD:#}: {}", clean(hint)));
        }
        self.json(&serde_json::json!({
            "event": "failed",
            "at": crate::clock::micros(),
            "exit": failure.exit.status(),
            "message": failure.message,
            "hint": failure.hint,
        }));
    }
}

/// `text` with everything that could move a cursor or forge a line written as an escape.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters, and those that reorder or hide text around them.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_can_forge_a_line_or_colour() {
        assert_eq!(clean("a\nb\r\x1b[31mc"), "a\\u{a}b\\u{d}\\u{1b}[31mc");
        assert_eq!(clean("left\u{202e}right\u{2028}"), "left\\u{202e}right\\u{2028}");
        assert_eq!(clean("Küche 21 °C"), "Küche 21 °C");
    }
}
