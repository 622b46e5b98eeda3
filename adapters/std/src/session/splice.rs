//! Joining a TCP connection and a stream, as forwarders do.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
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
    let upward = thread::scope(|scope| {
        let sender = thread::Builder::new().name("splice".to_owned()).spawn_scoped(scope, || {
            move_all(socket, stream, || stream.shutdown(Shutdown::Write))
                .inspect_err(|_| break_both(socket, stream))
        })?;
        let received = move_all(stream, socket, || socket.shutdown(Shutdown::Write))
            .inspect_err(|_| break_both(socket, stream));
        let sent = sender.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")));
        Ok::<_, io::Error>((sent, received))
    })?;
    match upward {
        (Ok(sent), Ok(received)) => Ok(Spliced { sent, received }),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn break_both(socket: &TcpStream, stream: &Stream) {
    // It may be closed already.
    let _ = socket.shutdown(Shutdown::Both);
    stream.abort();
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
