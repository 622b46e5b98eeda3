//! `--stdio`: one stream, on standard input and output.
//!
//! The end of the input is passed on as a half-close; the command ends when the service has closed
//! its side.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::thread;

use genkan_std::Stream;

use super::door::Door;
use crate::exit::Failure;
use crate::output::Output;
use crate::stop::Stop;

/// The first attempt's own deadline is what ends a wait.
const PATIENCE: Duration = Duration::from_secs(600);
/// How much is moved at once.
const PIECE: usize = 16 << 10;

/// Moves bytes on threads of its own, and sets `stop` when the service has ended.
pub(super) fn start(door: &Door, stop: &Stop, output: &Output) -> Result<(), Failure> {
    let (door, stop, output) = (door.clone(), stop.clone(), output.clone());
    let started = thread::Builder::new().name("stdio".into()).spawn(move || {
        // A failed first attempt is told by the door itself.
        if let Ok(stream) = door.stream(PATIENCE) {
            if let Err(error) = both_ways(&stream, &output) {
                tracing::warn!("the stream broke off: {error}");
            }
            stop.set();
        }
    });
    started.map(drop).map_err(|error| Failure::other(format!("cannot start a thread: {error}")))
}

fn both_ways(stream: &Stream, output: &Output) -> io::Result<()> {
    let upward = stream.clone();
    // Not joined: a read from a terminal cannot be interrupted, and the process is about to end.
    thread::Builder::new().name("stdin".into()).spawn(move || {
        let sent = copy(io::stdin().lock(), &upward);
        match sent {
            Ok(()) => drop(upward.shutdown(Shutdown::Write)),
            Err(_) => upward.abort(),
        }
    })?;
    copy(stream, output.service())
}

fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(piece.get(..count).unwrap_or_default())?;
        to.flush()?;
    }
}
