//! The only place that writes to standard output and standard error.
//!
//! With `--json`, standard output carries one JSON object per line and nothing else; people's text
//! goes to standard error. With `--stdio` as well, standard output is the service's, and JSON takes
//! the place of people's text on standard error. Without it, text goes to standard output. Colours and the progress line
//! appear only on a terminal (and not with `NO_COLOR`); whatever came from outside is stripped of
//! control characters before it gets here or in [`clean`] (threat T40).
//!
//! A reader that went away (`genkan … | head -1`) is no failure: the write is dropped. Anything else
//! that keeps standard output from being written is remembered, and the command fails by it at its
//! end ([`Output::unwritten`]).

use std::io::{self, ErrorKind, IsTerminal, StdoutLock, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// Standard output and standard error in the form that the user chose. Clones are the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
    payload: bool,
    shared: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// A progress line is shown.
    progress: bool,
    /// Why standard output could not be written first.
    unwritten: Option<String>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, payload: false, shared: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of a write to standard output.
    pub(crate) fn wrote(&self, result: io::Result<()>) {
        match result {
            Err(error)
                if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) =>
            {
                self.state().unwritten.get_or_insert_with(|| error.to_string());
            }
            _ => {}
        }
    }

    /// The failure that standard output could not be written, if that was so.
    pub(crate) fn unwritten(&self) -> Option<Failure> {
        let state = self.state();
        let error = state.unwritten.as_ref()?;
        Some(Failure::other(format!("cannot write to standard output: {error}")))
    }

    /// Standard output for a service's bytes.
    pub(crate) fn service(&self) -> Service<'_> {
        Service { output: self, out: io::stdout().lock() }
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
            self.wrote(writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()));
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
            self.wrote(writeln!(out, "{value}").and_then(|()| out.flush()));
        }
    }

    /// Bytes as they are, to standard output: completion scripts.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        self.wrote(out.write_all(bytes).and_then(|()| out.flush()));
    }

    /// Columns of the terminal that a result is printed on; `None`: it is printed on something else.
    pub(crate) fn columns(&self) -> Option<usize> {
        self.is_terminal().then(|| columns(terminal_size::terminal_size_of(io::stdout())))
    }

    /// A line that the next one replaces; only where a person sees it happen. `text` is given the
    /// terminal's columns; what is longer is cut off.
    pub(crate) fn progress(&self, text: impl FnOnce(usize) -> String) {
        if self.json || !io::stderr().is_terminal() {
            return;
        }
        // In the last column some terminals break the line.
        let most = columns(terminal_size::terminal_size_of(io::stderr())).saturating_sub(1);
        let text: String = text(most).chars().take(most).collect();
        let mut state = self.state();
        let mut err = anstream::stderr().lock();
        // In one piece: between wiping and writing nothing is to be seen.
        let line = format!("\r\x1b[2K{DIM}{text}{DIM:#}");
        let _ = err.write_all(line.as_bytes()).and_then(|()| err.flush());
        state.progress = true;
    }

    /// Wipes the progress line, if there is one.
    pub(crate) fn end_progress(&self) {
        let mut state = self.state();
        if core::mem::take(&mut state.progress) {
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

fn columns(size: Option<(terminal_size::Width, terminal_size::Height)>) -> usize {
    size.map_or(COLUMNS, |(width, _)| usize::from(width.0))
}

/// [`Output::service`].
#[derive(Debug)]
pub(crate) struct Service<'a> {
    output: &'a Output,
    out: StdoutLock<'static>,
}

impl Write for Service<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).inspect_err(|error| self.output.wrote(Err(error.kind().into())))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|error| self.output.wrote(Err(error.kind().into())))
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
