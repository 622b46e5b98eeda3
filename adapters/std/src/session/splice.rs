//! Joining a TCP connection and a stream, as forwarders do.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::stream::Stream;

/// How much is moved at once.
const PIECE: usize = 16 << 10;

/// How many bytes were moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spliced {
    /// From the TCP connection to the stream.
    pub sent: u64,
    /// From the stream to the TCP connection.
    pub received: u64,
}

/// Moves bytes both ways until both directions have ended. The end of one direction is passed on as
/// just that (a half-close); when one breaks, both sides are closed.
///
/// # Errors
/// What broke first.
pub fn splice(socket: &TcpStream, stream: &Stream) -> io::Result<Spliced> {
    // What breaks first breaks the other direction too; the second error tells nothing.
    let first = Mutex::new(None);
    let note = |moved: io::Result<u64>| {
        moved.unwrap_or_else(|error| {
            first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
            stream.abort();
            0
        })
    };
    let (sent, received) = thread::scope(|scope| {
        let upward = || note(move_all(socket, stream, || stream.shutdown(Shutdown::Write)));
        let sender =
            thread::Builder::new().name("splice".to_owned()).spawn_scoped(scope, upward)?;
        let received = note(move_all(stream, socket, || socket.shutdown(Shutdown::Write)));
        let sent = sender.join().map_err(|_| io::Error::other("a thread panicked"))?;
        Ok::<_, io::Error>((sent, received))
    })?;
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(Spliced { sent, received }),
    }
}

fn move_all(
    mut from: impl Read,
    mut to: impl Write,
    end: impl FnOnce() -> io::Result<()>,
) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut moved = 0;
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(piece.get(..count).unwrap_or_default())?;
        moved += count as u64;
    }
    match end() {
        // The other side has closed everything already, having got everything.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(moved),
        outcome => outcome.map(|()| moved),
    }
}
