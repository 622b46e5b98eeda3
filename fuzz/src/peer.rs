//! One side of a session between equipment, whoever keeps to no rule there.

use genkan_core::StreamId;
use genkan_core::wire::Kind;
use genkan_tests::evil::{hmac, seal};

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) stream: StreamId,
    key: [u8; 32],
    /// What this side's messages are.
    kind: Kind,
    /// The other side's index for it.
    handle: u32,
    counter: u64,
}

impl Session {
    /// An acceptor's side, whose messages go down.
    pub(crate) fn acceptors(stream: StreamId, root: &[u8; 32], handle: u32) -> Self {
        let key = hmac(root, &[b"transport down"]);
        Self { stream, key, kind: Kind::AcceptorTransport, handle, counter: 0 }
    }

    /// An issuer's side, whose messages go up.
    pub(crate) fn issuers(stream: StreamId, root: &[u8; 32], handle: u32) -> Self {
        let key = hmac(root, &[b"transport up  "]);
        Self { stream, key, kind: Kind::IssuerTransport, handle, counter: 0 }
    }

    /// A sealed body, and the stream that it is for.
    pub(crate) fn says(&mut self, body: &[u8]) -> (StreamId, Vec<u8>) {
        let counter = self.counter;
        self.counter += 1;
        (self.stream, seal(&self.key, self.kind, self.handle, counter, body))
    }
}
