//! What a link is carried by, and what becomes of its messages and deadlines.

use crate::wire::message::Welcome;

/// What carries a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transport {
    /// UDP.
    Datagram,
    /// One TCP connection.
    Stream,
}

#[cfg(feature = "inspect")]
impl<const P: usize, const N: usize> super::Link<P, N> {
    /// For [`Inspect`](crate::inspect::Inspect).
    pub(crate) fn inspect(&self, see: &mut dyn FnMut(u64)) {
        see(crate::inspect::bits([self.is_trying(), self.is_up(), self.due, self.refetched]));
        see(u64::from(self.index) << 32 | u64::from(self.next_index));
        see(crate::inspect::time(self.deadline));
        see(u64::from(self.tries));
        if let Some(session) = &self.session {
            session.inspect(see);
        }
    }
}

/// What became of a handshake message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// The certificate was accepted; call [`Link::start`](super::Link::start) again.
    Certified,
    /// A new session stands.
    Up(Welcome),
    /// The next message of the attempt is due.
    Waiting,
}

/// What a link's deadline came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expiry {
    /// Not due yet, or sent again.
    Pending,
    /// Three messages stayed unanswered; the certificate is asked for once more.
    Unanswered,
    /// The attempt is over.
    Failed,
}
