//! What a call can answer.

use genkan_core::{BufferTooSmall, CertificateError, SendError};
use genkan_stream::{ConnectError, ListenError, StreamError};

/// What a call answers. Nothing that comes from the network is ever an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum genkan_error {
    /// Done.
    Ok = 0,
    /// There is none: no command, no event, no datagram, no deadline, nobody to accept.
    Nothing = 1,
    /// A pointer is null that may not be.
    Null = 2,
    /// A pointer is not aligned for what it points to.
    Misaligned = 3,
    /// The memory is smaller than the constants of this header say.
    MemoryTooSmall = 4,
    /// The buffer is too short; nothing was written. Where the call tells a length, it tells the
    /// one that is needed.
    BufferTooSmall = 5,
    /// A value out of range, or a text that is no id.
    BadValue = 6,
    /// The datagram is not the next one any more: ask again.
    Stale = 7,
    /// There is no such connection or stream; it may have ended.
    Unknown = 8,
    /// The connection is not confirmed by the issuer yet.
    NotReady = 9,
    /// More than GENKAN_MAX_PAYLOAD bytes.
    TooLong = 10,
    /// The peer was not heard on this punched path for 30 s; another one is looked for.
    NoConsent = 11,
    /// The session's counter is used up: close the connection.
    CounterExhausted = 12,
    /// Every slot or listener is taken.
    TableFull = 13,
    /// This direction of the stream was finished in order.
    Finished = 14,
    /// The stream is over and there is nothing left to read.
    Ended = 15,
    /// Not a certificate of a version that this library knows.
    CertificateMalformed = 16,
    /// The certificate is not signed by an authority that is trusted.
    CertificateUntrusted = 17,
    /// The certificate has expired, or is not valid yet.
    CertificateDate = 18,
    /// The certificate is for another server name.
    CertificateName = 19,
    /// The certificate's serial is revoked.
    CertificateRevoked = 20,
}

/// A call's work; `?` leaves it with the error's code.
pub(crate) fn answer(work: impl FnOnce() -> Result<(), genkan_error>) -> genkan_error {
    match work() {
        Ok(()) => genkan_error::Ok,
        Err(error) => error,
    }
}

impl From<BufferTooSmall> for genkan_error {
    fn from(_: BufferTooSmall) -> Self {
        Self::BufferTooSmall
    }
}

impl From<SendError> for genkan_error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotReady => Self::NotReady,
            SendError::TooLong => Self::TooLong,
            SendError::NoConsent => Self::NoConsent,
            SendError::CounterExhausted => Self::CounterExhausted,
            _ => Self::Unknown,
        }
    }
}

impl From<CertificateError> for genkan_error {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Untrusted => Self::CertificateUntrusted,
            CertificateError::Expired | CertificateError::NotYetValid => Self::CertificateDate,
            CertificateError::WrongName => Self::CertificateName,
            CertificateError::Revoked => Self::CertificateRevoked,
            _ => Self::CertificateMalformed,
        }
    }
}

impl From<StreamError> for genkan_error {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Finished => Self::Finished,
            StreamError::Ended(_) => Self::Ended,
            _ => Self::Unknown,
        }
    }
}

impl From<ListenError> for genkan_error {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::InvalidPort => Self::BadValue,
            _ => Self::TableFull,
        }
    }
}

impl From<ConnectError> for genkan_error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::InvalidPort => Self::BadValue,
            _ => Self::TableFull,
        }
    }
}
