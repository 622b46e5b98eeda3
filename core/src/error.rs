//! What a caller can do wrong, or run out of. Network garbage is never one of these.

use core::fmt;

/// The buffer is shorter than the message. Nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferTooSmall {
    /// How many bytes the message takes.
    pub needed: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message takes {} bytes", self.needed)
    }
}

impl core::error::Error for BufferTooSmall {}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }

        impl core::error::Error for $name {}
    )*};
}

errors! {
    /// Why [`Issuer::request`](crate::Issuer::request) did not begin.
    RequestError {
        /// All connection slots are taken: close one first.
        TableFull => "all connection slots are taken",
        /// The source of randomness failed: try again.
        NoEntropy => "the source of randomness failed",
        /// The target's id is no valid key.
        BadTarget => "the target's id is not a valid key",
    }
    /// Why `send` did not make a message.
    SendError {
        /// The connection is gone; a stale id gives this too.
        UnknownConnection => "there is no such connection",
        /// The connection is not established yet, or (acceptor) not confirmed by the issuer yet.
        NotReady => "the connection is not established yet",
        /// More than [`MAX_PAYLOAD`](crate::MAX_PAYLOAD) bytes.
        TooLong => "the payload is too long",
        /// The peer was not heard on this punched path for 30 s; another one is looked for.
        NoConsent => "the peer has not been heard on this path lately",
        /// The session's counter is used up: it must be closed and made anew.
        CounterExhausted => "the session's counter is used up",
    }
    /// Why a certificate was not accepted.
    CertificateError {
        /// Not a certificate of a version that we know.
        Malformed => "not a certificate that this version understands",
        /// Neither authority key has signed it.
        Untrusted => "not signed by a trusted authority",
        /// Its last day lies before the floor, or before the trusted clock's day.
        Expired => "expired",
        /// By the trusted clock, its first day has not come yet.
        NotYetValid => "not valid yet",
        /// It does not carry the name that was asked for.
        WrongName => "for another server name",
        /// Its serial is below the smallest that is still allowed.
        Revoked => "revoked",
    }
}
