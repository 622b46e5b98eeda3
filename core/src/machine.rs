//! The interface that server, issuer and acceptor share.
//!
//! A machine is a value that never acts by itself. The caller tells it what happened (`handle_*`)
//! and asks what to do (`poll_*`). After every `handle_*`, drain in this order:
//!
//! 1. [`Machine::poll_command`]: open or close sockets and streams;
//! 2. [`Machine::poll_transmit`]: datagrams to send;
//! 3. [`Machine::poll_frame`], for every stream that can take bytes;
//! 4. [`Machine::poll_event`]: what the application should know;
//! 5. [`Machine::poll_timeout`]: when to call [`Machine::handle_timeout`] at the latest.
//!
//! After a full drain `poll_timeout` lies in the future or is `None`. Input that makes no sense is
//! never an error of the call: it is [`Received::Discarded`] with a reason, and a counter.

use core::net::SocketAddr;

use crate::id::{ConnectionId, SocketId, StreamId};
use crate::time::Instant;
use crate::transmit::{Frame, Outbox, Transmit};

/// Largest datagram that a machine sends or accepts, in bytes: the IPv6 minimum MTU of 1280 less
/// 40 bytes IPv6 and 8 bytes UDP header.
pub const MAX_DATAGRAM: usize = 1232;
/// Largest stream frame in bytes: a two-byte length and one message of [`MAX_DATAGRAM`].
pub const MAX_FRAME: usize = MAX_DATAGRAM + FRAME_PREFIX;
/// Length of a stream frame's length field in bytes.
pub const FRAME_PREFIX: usize = 2;

/// One protocol role as a pure state machine: no I/O, no clock, no allocator.
pub trait Machine: Outbox {
    /// What this role tells its application.
    type Event;

    /// A datagram arrived on `socket` from `remote`. It is decrypted in place; a payload is
    /// returned borrowed from it.
    fn handle_datagram<'d>(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &'d mut [u8],
    ) -> Received<'d>;

    /// Bytes stand at the front of `stream`. At most one frame is handled; call again with the rest
    /// until [`StreamInput::consumed`] is 0, then wait for more bytes. A caller's buffer of
    /// [`MAX_FRAME`] bytes always suffices.
    fn handle_stream<'d>(
        &mut self,
        now: Instant,
        stream: StreamId,
        bytes: &'d mut [u8],
    ) -> StreamInput<'d>;

    /// A stream that the machine asked for, or accepted, changed its state.
    fn handle_stream_state(&mut self, now: Instant, stream: StreamId, state: StreamState);

    /// A listener accepted a TCP connection from `remote`. `None`: the machine will not have it
    /// (table full, too many from there, not listening): close it at once.
    fn handle_accept(
        &mut self,
        now: Instant,
        listener: SocketId,
        remote: SocketAddr,
    ) -> Option<StreamId>;

    /// The answer to [`Command::Listen`] and [`Command::Bind`]: the local address that the listener
    /// or first socket is bound to, or `None` when it could not be opened.
    fn handle_bound(&mut self, now: Instant, socket: SocketId, local: Option<SocketAddr>);

    /// Time has passed. Harmless when called early.
    fn handle_timeout(&mut self, now: Instant);

    /// The next socket operation to carry out.
    fn poll_command(&mut self) -> Option<Command>;

    /// The next datagram to send. Not committed = still queued.
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_, Self>>
    where
        Self: Sized,
    {
        let head = self.next_datagram(now)?;
        Some(Transmit::new(self, now, head))
    }

    /// The next frame to write to `stream`. Not committed = still queued.
    fn poll_frame(&mut self, now: Instant, stream: StreamId) -> Option<Frame<'_, Self>>
    where
        Self: Sized,
    {
        let head = self.next_frame(now, stream)?;
        Some(Frame::new(self, now, head))
    }

    /// What the application should know next.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When to call [`Machine::handle_timeout`] at the latest, and why.
    fn poll_timeout(&self) -> Option<Wakeup>;
}

/// What became of a datagram or frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'d> {
    /// It was the machine's own business.
    Control,
    /// Application data, decrypted.
    Payload {
        /// The connection that it came over.
        connection: ConnectionId,
        /// What the peer's [`send`](crate::Issuer::send) was given.
        channel: Channel,
        /// The peer's bytes.
        plaintext: &'d mut [u8],
    },
    /// Nothing that this machine wants; counted by reason.
    Discarded(Discard),
}

/// What a stream's bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamInput<'d> {
    /// How many bytes at the front are done with; 0 = the frame is not complete yet.
    pub consumed: usize,
    /// What became of that frame ([`Received::Control`] when `consumed` is 0).
    pub received: Received<'d>,
}

impl StreamInput<'_> {
    /// The frame is not complete: wait for more bytes.
    #[must_use]
    pub const fn incomplete() -> Self {
        Self { consumed: 0, received: Received::Control }
    }
}

/// Which of a session's two kinds of payload a datagram is (PROTOCOL.md, SES-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Channel {
    /// A datagram of the application's own (CoAP, say).
    Datagram,
    /// A packet of the inner network that carries byte streams.
    Stream,
}

/// Why something that arrived was not wanted. Each has a counter in [`Counters`](crate::Counters).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
#[non_exhaustive]
pub enum Discard {
    /// Shorter or longer than its kind allows, or a body that does not decode.
    Malformed,
    /// Another wire version, or a kind that this version does not know.
    UnknownKind,
    /// A kind that only the other side of the link may send (threat T10).
    WrongDirection,
    /// It names no session, connection or request that stands.
    UnknownSession,
    /// Its authentication failed.
    Unauthentic,
    /// A counter, ephemeral key or offer that was seen before, or too old to tell.
    Replayed,
    /// A rate limit or budget is exhausted.
    RateLimited,
    /// A table is full.
    TableFull,
    /// It came too late, too early or twice: the state it belongs to is gone.
    Unexpected,
    /// The source of randomness failed, so no answer could be made.
    NoEntropy,
    /// The certificate is not valid for this equipment.
    BadCertificate,
    /// An address that may not be used this way (threats T11, T12).
    ForbiddenAddress,
}

impl Discard {
    /// How many reasons there are.
    pub const COUNT: usize = 12;
}

/// The latest time for [`Machine::handle_timeout`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Wakeup {
    /// When.
    pub at: Instant,
    /// For what.
    pub reason: TimerKind,
}

/// A machine ends at most some connections in one call, so that its queues hold what that takes.
/// When it has broken off, the others' deadlines come up again at `rest_at`.
pub(crate) fn rested(rest_at: Option<Instant>, wakeup: Option<Wakeup>) -> Option<Wakeup> {
    wakeup.map(|wakeup| Wakeup { at: rest_at.map_or(wakeup.at, |at| wakeup.at.max(at)), ..wakeup })
}

/// How long a machine that has broken off lets its caller drain.
pub(crate) const REST: core::time::Duration = core::time::Duration::from_millis(1);

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TimerKind {
    /// A handshake or certificate request is sent again, or given up.
    Handshake,
    /// A keepalive or registration is due or unanswered.
    Registration,
    /// A request, notification or refusal is due.
    Request,
    /// A connection's keepalive, liveness or confirmation.
    Connection,
    /// Expired entries are swept out of a table.
    Expiry,
}

/// A socket operation for the caller to carry out. None of them may block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command {
    /// Open a TCP connection to `remote`; report [`StreamState`].
    Connect {
        /// The name that the stream shall have.
        stream: StreamId,
        /// Where to.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        remote: SocketAddr,
    },
    /// As [`Command::Connect`], from the local address and port of the stream `beside`, which stands:
    /// the NAT before both shows them as one port, where its mapping does not depend on the
    /// destination. The other end does the same towards this one at the same time (simultaneous
    /// open, RFC 9293, section 3.5). One try: the machine asks again where it was refused. A stack
    /// that cannot do this reports [`StreamState::Closed`].
    ConnectFrom {
        /// The name that the stream shall have.
        stream: StreamId,
        /// Whose local port it takes.
        beside: StreamId,
        /// Where to.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        remote: SocketAddr,
    },
    /// Close a stream after what is queued on it; forget it.
    Shutdown {
        /// Which.
        stream: StreamId,
    },
    /// Listen for TCP connections; answer with [`Machine::handle_bound`].
    Listen {
        /// The name that the listener shall have.
        socket: SocketId,
    },
    /// Close a listener.
    Unlisten {
        /// Which.
        socket: SocketId,
    },
    /// Open so many UDP sockets, on the address of the main one and on consecutive ports where that
    /// can be. Answer with [`Machine::handle_bound`] for the first one: its local address, or `None`
    /// when not all of them could be opened (none of them stays open then). The answer is owed once
    /// for each of these commands, also when an [`Command::Unbind`] for the sockets has come before
    /// it: until then the slot that they were for opens no others.
    Bind {
        /// The name of the first; the others have the numbers that follow.
        first: SocketId,
        /// How many, at least 1.
        count: u8,
    },
    /// Close so many UDP sockets. Numbers that are not open are passed over.
    Unbind {
        /// The name of the first; the others have the numbers that follow.
        first: SocketId,
        /// How many.
        count: u8,
    },
}

/// What happened to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StreamState {
    /// The TCP handshake is complete; frames may be written.
    Connected,
    /// The connection could not be made, was reset, or ended. The stream is forgotten.
    Closed,
}
