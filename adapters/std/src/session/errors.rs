//! What goes wrong with sessions and streams, in the words of sockets.

use std::io::{self, ErrorKind};

use genkan_core::CloseCause;
use genkan_stream::{ConnectError, EndReason, StreamError};

/// The session is closed.
pub(super) fn closed(cause: CloseCause) -> io::Error {
    let (kind, text) = match cause {
        CloseCause::Local => (ErrorKind::NotConnected, "the session was closed here"),
        CloseCause::Peer => (ErrorKind::ConnectionAborted, "the peer has closed the session"),
        CloseCause::Silent => (ErrorKind::TimedOut, "the peer is silent; the session was closed"),
        CloseCause::PathLost => (ErrorKind::ConnectionReset, "the session's path broke"),
        _ => (ErrorKind::ConnectionAborted, "the session is closed"),
    };
    io::Error::new(kind, text)
}

/// A stream is over.
pub(super) fn ended(reason: EndReason) -> io::Error {
    let (kind, text) = match reason {
        EndReason::Finished => (ErrorKind::BrokenPipe, "the stream is finished"),
        EndReason::Refused => {
            (ErrorKind::ConnectionRefused, "the peer does not take streams there")
        }
        EndReason::Reset => (ErrorKind::ConnectionReset, "the peer has aborted the stream"),
        EndReason::TimedOut => (ErrorKind::TimedOut, "the peer did not answer on the stream"),
        EndReason::SessionLost => {
            (ErrorKind::ConnectionAborted, "the session under the stream is closed")
        }
        _ => (ErrorKind::ConnectionAborted, "the stream is over"),
    };
    io::Error::new(kind, text)
}

/// A call about a stream failed.
pub(super) fn stream(error: StreamError) -> io::Error {
    match error {
        StreamError::Ended(reason) => ended(reason),
        StreamError::Finished => io::Error::new(ErrorKind::BrokenPipe, "the stream is finished"),
        _ => io::Error::new(ErrorKind::NotConnected, "the stream is gone"),
    }
}

/// A stream could not be opened.
pub(super) fn connect(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::InvalidPort => ErrorKind::InvalidInput,
        _ => ErrorKind::WouldBlock,
    };
    io::Error::new(kind, error)
}
