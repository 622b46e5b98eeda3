//! What can be refused to the application, and how a stream stands.
//!
//! Nothing here is ever caused by a packet alone: garbage from the network is counted, and the fate
//! of a stream is a [`StreamState`], not an error of the call that happened to notice it first.

use core::fmt;

/// How a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamState {
    /// The handshake is under way; nothing can be sent or received yet.
    Opening,
    /// Both directions are open.
    Open,
    /// This end has finished; the peer may still send.
    LocalFinished,
    /// The peer has finished; this end may still send, and read what is left.
    PeerFinished,
    /// Both have finished; the last acknowledgements are under way.
    BothFinished,
    /// Over. What had arrived can still be read, until the handle is released.
    Ended(EndReason),
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EndReason {
    /// Both ends finished and everything was delivered.
    Finished,
    /// The peer does not listen on the port, or its table is full.
    Refused,
    /// The peer aborted the stream. Also reported when only the very last acknowledgement of an
    /// orderly end was lost and the peer has already forgotten the stream.
    Reset,
    /// The peer was silent for too long.
    TimedOut,
    /// The session under the stream is gone
    /// ([`StreamStack::session_lost`](crate::StreamStack::session_lost)).
    SessionLost,
}

/// Why [`connect`](crate::StreamStack::connect) opened nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConnectError {
    /// Port 0 cannot be connected to.
    InvalidPort,
    /// Every slot holds a stream.
    TableFull,
}

/// Why [`listen`](crate::StreamStack::listen) refused a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ListenError {
    /// Port 0 cannot be listened on.
    InvalidPort,
    /// [`MAX_LISTENERS`](crate::MAX_LISTENERS) ports are listened on already.
    TableFull,
}

/// Why a call about one stream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamError {
    /// The handle was freed, or belongs to another stack.
    Stale,
    /// This direction was finished in order: by this end for `send`; by the peer, and everything
    /// read, for `recv`.
    Finished,
    /// The stream is over and there is nothing left to read.
    Ended(EndReason),
}

/// A buffer given to a slot is shorter than [`MIN_BUFFER`](crate::MIN_BUFFER).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferTooSmall;

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished by both ends",
            Self::Refused => "refused by the peer",
            Self::Reset => "reset by the peer",
            Self::TimedOut => "the peer was silent for too long",
            Self::SessionLost => "the session is gone",
        })
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidPort => "port 0 is not valid",
            Self::TableFull => "every slot holds a stream",
        })
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidPort => "port 0 is not valid",
            Self::TableFull => "too many ports are listened on",
        })
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the stream handle is stale"),
            Self::Finished => f.write_str("this direction is finished"),
            Self::Ended(reason) => write!(f, "the stream has ended: {reason}"),
        }
    }
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too small for a stream")
    }
}

impl core::error::Error for ConnectError {}
impl core::error::Error for ListenError {}
impl core::error::Error for StreamError {}
impl core::error::Error for BufferTooSmall {}
