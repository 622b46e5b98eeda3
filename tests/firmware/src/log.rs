//! What a board logs, decoded as it comes.

use core::time::Duration;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use defmt_decoder::{DecodeError, Table};

/// The lines of a board, from its first start on.
#[derive(Clone, Debug, Default)]
pub struct Log {
    shared: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Log {
    /// Decodes what `output` gives, on a thread of its own, until its end. A program without a table
    /// of its log's texts writes lines of text.
    pub(crate) fn follow(
        &self,
        elf: Vec<u8>,
        mut output: impl Read + Send + 'static,
    ) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            let table = Table::parse(&elf).ok().flatten();
            let Some(table) = table else {
                let lines = BufReader::new(output).lines();
                return lines.map_while(Result::ok).for_each(|line| log.push(line));
            };
            let mut decoder = table.new_stream_decoder();
            let mut bytes = [0; 4_096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                decoder.received(bytes.get(..length).unwrap_or_default());
                loop {
                    match decoder.decode() {
                        Ok(frame) => log.push(frame.display(false).to_string()),
                        Err(DecodeError::UnexpectedEof) => break,
                        // The end of a frame that a reset cut off.
                        Err(DecodeError::Malformed) => {}
                    }
                }
            }
        })
    }

    fn push(&self, line: String) {
        self.lines().push(line);
        self.shared.1.notify_all();
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many lines there are: what comes later has a higher number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines().len()
    }

    /// Whether nothing was logged yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All lines so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The first line from number `from` on with this text in it, and its number, if it comes within
    /// so long.
    #[must_use]
    pub fn within(&self, longest: Duration, from: usize, text: &str) -> Option<(usize, String)> {
        let deadline = Instant::now() + longest;
        let mut lines = self.lines();
        loop {
            let found = lines.iter().enumerate().skip(from).find(|(_, line)| line.contains(text));
            if let Some((number, line)) = found {
                return Some((number, line.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.shared.1.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
