//! What the acceptor tells, in flat structures: which fields count is said by the kind, the others
//! are 0.

use genkan_core::nat::{Allocation, NatProfile};
use genkan_core::wire::message::{Reason, Verdict};
use genkan_core::{AcceptorEvent, Channel, CloseCause, ConnectionId, Discard, Path, Transport};

use crate::names::{
    genkan_address, genkan_connection_id, genkan_path, genkan_stream_id, genkan_transport,
};

/// What became of a datagram or frame that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_received_kind {
    /// The acceptor's own business, or not a whole frame yet.
    Control = 0,
    /// Application data.
    Payload = 1,
    /// Nothing that the acceptor wants; counted by `reason`.
    Discarded = 2,
}

/// Which of a connection's two kinds of payload a datagram is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_channel {
    /// A datagram of the application's own.
    Datagram = 0,
    /// A packet of the inner network that carries byte streams: for genkan_streams_handle_packet.
    Stream = 1,
}

/// Why something that arrived was not wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_discard {
    /// Shorter or longer than its kind allows, or a body that does not decode.
    Malformed = 0,
    /// Another wire version, or a kind that this version does not know.
    UnknownKind = 1,
    /// A kind that only the other side of the link may send.
    WrongDirection = 2,
    /// It names no session, connection or request that stands.
    UnknownSession = 3,
    /// Its authentication failed.
    Unauthentic = 4,
    /// Seen before, or too old to tell.
    Replayed = 5,
    /// A rate limit or budget is exhausted.
    RateLimited = 6,
    /// A table is full.
    TableFull = 7,
    /// It came too late, too early or twice.
    Unexpected = 8,
    /// The source of randomness failed, so no answer could be made.
    NoEntropy = 9,
    /// The certificate is not valid.
    BadCertificate = 10,
    /// An address that may not be used this way.
    ForbiddenAddress = 11,
}

/// What became of a datagram or frame that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct genkan_received {
    /// Payload: the peer's bytes, decrypted, within the buffer that was handed in.
    pub payload: *mut u8,
    /// Payload: how many.
    pub length: usize,
    /// Payload: the connection that it came over.
    pub connection: genkan_connection_id,
    /// What became of it.
    pub kind: genkan_received_kind,
    /// Payload: which kind of it.
    pub channel: genkan_channel,
    /// Discarded: why.
    pub reason: genkan_discard,
}

/// What the application should know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_event_kind {
    /// The server has the acceptor on its list. `address`: the acceptor's as the server sees it;
    /// `over`: what carries the registration.
    Registered = 0,
    /// The server does not answer any more; the acceptor goes on trying.
    RegistrationLost = 1,
    /// A certificate was accepted that is new: cache genkan_certificate and genkan_floor.
    Certificate = 2,
    /// A session stands that genkan_resumption_of can bring back after a reboot.
    Resumable = 3,
    /// Write genkan_failures to stable storage, then call genkan_handle_persisted. The password that
    /// was tried is acted upon only then.
    Persist = 4,
    /// Somebody asked for the acceptor. `address`: from where, as the server says; `peer` where
    /// `has_peer`; `verdict`: what the acceptor does about it.
    Requested = 5,
    /// `connection` with `peer` stands and the issuer has confirmed it; `path` carries it.
    Connected = 6,
    /// What the NAT in front of the acceptor is like: `mapping`, `filtering`, `allocation`.
    Nat = 7,
    /// `connection` goes by `path` from now on.
    PathChanged = 8,
    /// `connection`, or the attempt at one, has ended by `cause`.
    Closed = 9,
}

/// What the acceptor does about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_verdict {
    /// It contacts the issuer.
    Accepted = 0,
    /// It has no room for another connection.
    Busy = 1,
    /// The issuer is not on the pairing list and gave no password.
    NotAllowed = 2,
    /// The password was wrong, or further tries must wait.
    WrongPassword = 3,
    /// The issuer's address is not one that it may contact.
    ForbiddenAddress = 4,
    /// It could not make sense of the offer, or has seen it before.
    BadOffer = 5,
    /// It could not reach the issuer's address.
    Unreachable = 6,
    /// Another reason.
    Declined = 7,
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_cause {
    /// The application closed it here.
    Local = 0,
    /// The peer closed it.
    Peer = 1,
    /// Nothing was heard of the peer for 45 s, or for 60 s over a punched path.
    Silent = 2,
    /// The path broke, or could never be made.
    PathLost = 3,
    /// The issuer never confirmed the session.
    Unconfirmed = 4,
    /// The session's counter is used up.
    CounterExhausted = 5,
    /// Another cause.
    Other = 6,
}

/// How a NAT gives out ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_allocation {
    /// Not measured, or too little seen.
    Unknown = 0,
    /// The port that the socket is bound to.
    Preserving = 1,
    /// The port that the socket is bound to, for its first destination only.
    PreservingFirst = 2,
    /// A counter.
    Sequential = 3,
    /// Drawn.
    Random = 4,
}

/// What the application should know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct genkan_event {
    /// Registered, Requested: an address.
    pub address: genkan_address,
    /// Connected, PathChanged: what carries the connection.
    pub path: genkan_path,
    /// Connected, PathChanged, Closed: which.
    pub connection: genkan_connection_id,
    /// Requested, Connected: who is at the other end.
    pub peer: [u8; 32],
    /// Requested: 1 when `peer` is known.
    pub has_peer: u8,
    /// What has happened.
    pub kind: genkan_event_kind,
    /// Registered: what carries the registration.
    pub over: genkan_transport,
    /// Requested: what the acceptor does about it.
    pub verdict: genkan_verdict,
    /// Closed: why.
    pub cause: genkan_cause,
    /// Nat: which packets of a socket share an external port: 0 not measured, 1 all, 2 at least
    /// those to one address, 3 only those to one address, 4 only those to one address and port.
    pub mapping: u8,
    /// Nat: whom it lets in: 0 not measured, 1 anybody, 2 at least any port of an address that was
    /// sent to, 3 only these, 4 only addresses and ports that were sent to.
    pub filtering: u8,
    /// Nat: how it gives out ports.
    pub allocation: genkan_allocation,
}

impl genkan_event {
    const fn new(kind: genkan_event_kind) -> Self {
        let address = genkan_address { ip: [0; 16], port: 0, family: 0 };
        let stream = genkan_stream_id { index: 0, generation: 0 };
        let over = genkan_transport::Datagram;
        Self {
            address,
            path: genkan_path { remote: address, stream, socket: 0, transport: over },
            connection: genkan_connection_id { index: 0, generation: 0 },
            peer: [0; 32],
            has_peer: 0,
            kind,
            over,
            verdict: genkan_verdict::Accepted,
            cause: genkan_cause::Local,
            mapping: 0,
            filtering: 0,
            allocation: genkan_allocation::Unknown,
        }
    }

    /// `None` for an event that this library does not know.
    pub(crate) fn of(event: AcceptorEvent) -> Option<Self> {
        use genkan_event_kind as kind;
        Some(match event {
            AcceptorEvent::Registered { observed, over } => {
                let over = match over {
                    Transport::Datagram => genkan_transport::Datagram,
                    Transport::Stream => genkan_transport::Stream,
                };
                Self { address: observed.into(), over, ..Self::new(kind::Registered) }
            }
            AcceptorEvent::RegistrationLost => Self::new(kind::RegistrationLost),
            AcceptorEvent::Certificate => Self::new(kind::Certificate),
            AcceptorEvent::Resumable => Self::new(kind::Resumable),
            AcceptorEvent::Persist => Self::new(kind::Persist),
            AcceptorEvent::Requested { issuer, address, verdict } => Self {
                address: address.into(),
                peer: issuer.map_or([0; 32], |id| id.0),
                has_peer: issuer.is_some().into(),
                verdict: verdict.into(),
                ..Self::new(kind::Requested)
            },
            AcceptorEvent::Connected { connection, peer, path } => Self {
                peer: peer.0,
                has_peer: 1,
                ..Self::connection(kind::Connected, connection, Some(path))
            },
            AcceptorEvent::Nat(profile) => Self::nat(&profile),
            AcceptorEvent::PathChanged { connection, path } => {
                Self::connection(kind::PathChanged, connection, Some(path))
            }
            AcceptorEvent::Closed { connection, cause } => {
                Self { cause: cause.into(), ..Self::connection(kind::Closed, connection, None) }
            }
            _ => return None,
        })
    }

    fn connection(kind: genkan_event_kind, connection: ConnectionId, path: Option<Path>) -> Self {
        let path = path.map_or_else(genkan_path::default, genkan_path::from);
        Self { connection: connection.into(), path, ..Self::new(kind) }
    }

    fn nat(profile: &NatProfile) -> Self {
        let allocation = match profile.allocation {
            Allocation::Unknown => genkan_allocation::Unknown,
            Allocation::Preserving => genkan_allocation::Preserving,
            Allocation::PreservingFirst => genkan_allocation::PreservingFirst,
            Allocation::Sequential(_) => genkan_allocation::Sequential,
            Allocation::Random => genkan_allocation::Random,
        };
        let (mapping, filtering) = (profile.mapping as u8, profile.filtering as u8);
        Self { mapping, filtering, allocation, ..Self::new(genkan_event_kind::Nat) }
    }
}

impl From<Verdict> for genkan_verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Self::Accepted,
            Verdict::Declined(Reason::Busy) => Self::Busy,
            Verdict::Declined(Reason::NotAllowed) => Self::NotAllowed,
            Verdict::Declined(Reason::WrongPassword) => Self::WrongPassword,
            Verdict::Declined(Reason::ForbiddenAddress) => Self::ForbiddenAddress,
            Verdict::Declined(Reason::BadOffer) => Self::BadOffer,
            Verdict::Declined(Reason::Unreachable) => Self::Unreachable,
            Verdict::Declined(_) => Self::Declined,
        }
    }
}

impl From<CloseCause> for genkan_cause {
    fn from(cause: CloseCause) -> Self {
        match cause {
            CloseCause::Local => Self::Local,
            CloseCause::Peer => Self::Peer,
            CloseCause::Silent => Self::Silent,
            CloseCause::PathLost => Self::PathLost,
            CloseCause::Unconfirmed => Self::Unconfirmed,
            CloseCause::CounterExhausted => Self::CounterExhausted,
            _ => Self::Other,
        }
    }
}

impl From<Channel> for genkan_channel {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Datagram => Self::Datagram,
            Channel::Stream => Self::Stream,
        }
    }
}

impl genkan_discard {
    pub(crate) const fn of(reason: Discard) -> Self {
        match reason {
            Discard::Malformed => Self::Malformed,
            Discard::UnknownKind => Self::UnknownKind,
            Discard::WrongDirection => Self::WrongDirection,
            Discard::UnknownSession => Self::UnknownSession,
            Discard::Unauthentic => Self::Unauthentic,
            Discard::Replayed => Self::Replayed,
            Discard::RateLimited => Self::RateLimited,
            Discard::TableFull => Self::TableFull,
            Discard::NoEntropy => Self::NoEntropy,
            Discard::BadCertificate => Self::BadCertificate,
            Discard::ForbiddenAddress => Self::ForbiddenAddress,
            _ => Self::Unexpected,
        }
    }
}
