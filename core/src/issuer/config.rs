//! What an issuer is told, and what it tells.

use crate::addr::AddressPolicy;
use crate::id::{ConnectionId, EquipmentId};
use crate::link::{Anchors, Identity, ServerAddress, Transport};
use crate::nat::NatProfile;
use crate::peer::{CloseCause, Path};
use crate::punch::{Ability, Hopeless};
use crate::wire::message::{MAX_CANDIDATES, Reason};
use core::net::SocketAddr;
use core::time::Duration;
use heapless::Vec;

/// How an issuer reaches the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RequestTransport {
    /// UDP and, 250 ms later, TCP; the first session wins. A session over UDP that stood and brings no
    /// word for 3.5 s after a request is raced anew (REQ-3).
    #[default]
    Race,
    /// UDP alone.
    Datagram,
    /// TCP alone.
    Stream,
}

/// What an issuer is told at start.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Who it is.
    pub identity: Identity,
    /// Where the server is.
    pub server: ServerAddress,
    /// Whom it believes about the server.
    pub anchors: Anchors,
    /// How it reaches the server.
    pub transport: RequestTransport,
    /// Seconds since 1970 at construction, by a clock that can be trusted; `None` without one, and
    /// then no request travels inside a handshake's first message.
    pub wall_clock: Option<u64>,
    /// How long a request may take before it has failed.
    pub deadline: Duration,
    /// The issuer's own addresses. They travel in the sealed offer; acceptors do not use them yet.
    pub candidates: Vec<SocketAddr, MAX_CANDIDATES>,
    /// Whether it opens a listener for a dial-back over TCP. Without one, or where none can be
    /// opened, only a hole that is punched leads to it.
    pub listen: bool,
    /// What it can do to punch UDP holes; `None`: it only waits for a dial-back over TCP. It works
    /// where the server and the acceptor support it, too, and in a build with the feature `punch`.
    pub punch: Option<Ability>,
    /// The caller's stack can open a TCP connection from the local port of another one
    /// ([`Command::ConnectFrom`](crate::Command::ConnectFrom)), so that it and an acceptor that cannot
    /// dial it may call each other at the same time. It works where the server and the acceptor can do
    /// so, too, and in a build with the feature `punch`.
    pub simultaneous_open: bool,
    /// Which addresses it may send to when it punches or calls.
    pub addresses: AddressPolicy,
    /// Ask for the server's certificate on each new TCP connection, although one is cached: a round
    /// trip more, and the server's key is certified where it is used (claims 4, 7).
    pub fetch_certificate_each: bool,
}

impl IssuerConfig {
    /// A configuration that races UDP and TCP, with 10 s for a request, punches holes to
    /// public addresses, and calls over TCP.
    #[must_use]
    pub fn new(identity: Identity, server: ServerAddress, anchors: Anchors) -> Self {
        Self {
            identity,
            server,
            anchors,
            transport: RequestTransport::default(),
            wall_clock: None,
            deadline: Duration::from_secs(10),
            candidates: Vec::new(),
            listen: true,
            punch: Some(Ability::LARGE),
            simultaneous_open: true,
            addresses: AddressPolicy::default(),
            fetch_certificate_each: false,
        }
    }
}

/// Whom to reach, and what opens the door.
#[derive(Clone)]
pub struct Target {
    /// The acceptor's id.
    pub id: EquipmentId,
    /// Password information = Argon2id(password, id).
    pub password: Option<[u8; 32]>,
    /// The acceptor's early key, for an issuer that it has paired with.
    pub early_key: Option<[u8; 16]>,
    /// Larger than in every earlier request to this acceptor, where the issuer keeps count; 0
    /// otherwise.
    pub counter: u64,
}

impl Target {
    /// A target without password, early key or counter.
    #[must_use]
    pub const fn new(id: EquipmentId) -> Self {
        Self { id, password: None, early_key: None, counter: 0 }
    }
}

impl core::fmt::Debug for Target {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Target").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a request has failed for the issuer itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FailCause {
    /// Neither UDP nor TCP reached the server.
    ServerUnreachable,
    /// The server's certificate is not acceptable.
    BadCertificate,
    /// The server did not answer the request in time.
    NoAnswer,
    /// The acceptor accepted, but its communication request never arrived: nothing can reach this
    /// issuer's listener.
    NotReached,
    /// There is no listener, so that nobody could dial back, and no hole was punched.
    NoListener,
}

/// What an issuer tells its application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IssuerEvent {
    /// A certificate was accepted that is new: cache [`Issuer::certificate`](crate::Issuer::certificate).
    Certificate,
    /// A session with the server stands.
    ServerReached {
        /// What carries it.
        over: Transport,
        /// Our address as the server sees it.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        observed: SocketAddr,
    },
    /// The acceptor has accepted (or, paired, was told) and will contact us.
    Planned {
        /// Which request.
        connection: ConnectionId,
        /// The acceptor's address as the server sees it.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        acceptor: SocketAddr,
        /// It has accepted.
        accepted: bool,
    },
    /// The connection stands.
    Connected {
        /// Its name.
        connection: ConnectionId,
        /// What carries it.
        path: Path,
    },
    /// What the NAT in front of it is like, by what the server saw of a measurement.
    Nat(NatProfile),
    /// The two NATs cannot be punched: without a dial-back over TCP the two ends can only meet at a
    /// relay.
    Hopeless {
        /// Which request.
        connection: ConnectionId,
        /// Why.
        why: Hopeless,
    },
    /// A connection goes another way from now on.
    PathChanged {
        /// Its name.
        connection: ConnectionId,
        /// What carries it now.
        path: Path,
    },
    /// The acceptor has given us its early key: keep it for the next [`Target`].
    EarlyKey {
        /// The connection over which it came.
        connection: ConnectionId,
        /// The key.
        key: [u8; 16],
    },
    /// The request was refused.
    Refused {
        /// Which request.
        connection: ConnectionId,
        /// Why; strangers are told [`Reason::Unspecified`].
        reason: Reason,
    },
    /// The request has failed.
    Failed {
        /// Which request.
        connection: ConnectionId,
        /// Why.
        cause: FailCause,
    },
    /// A connection has ended.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        cause: CloseCause,
    },
}
