//! What an acceptor is told, and what it tells.

use super::admission::AdmissionPolicy;
use crate::addr::AddressPolicy;
use crate::id::{ConnectionId, EquipmentId};
use crate::link::{Anchors, Identity, ServerAddress, Transport};
use crate::nat::NatProfile;
use crate::peer::{CloseCause, Path};
use crate::punch::Ability;
use crate::wire::message::Verdict;
use core::net::SocketAddr;
use core::time::Duration;

/// What an acceptor is told at start.
#[derive(Clone, Debug)]
pub struct AcceptorConfig {
    /// Who it is.
    pub identity: Identity,
    /// Where its server is.
    pub server: ServerAddress,
    /// Whom it believes about the server.
    pub anchors: Anchors,
    /// Who may connect.
    pub admission: AdmissionPolicy,
    /// Which addresses it may dial.
    pub addresses: AddressPolicy,
    /// Seconds since 1970 at construction, by a clock that can be trusted; `None` without one.
    pub wall_clock: Option<u64>,
    /// The first registration leaves at a random time within this span, so that a power cut does
    /// not bring a whole town's devices to the server in the same second (threat T35). As long as
    /// the keepalive's interval, it brings them no faster than their keepalives come anyway.
    pub spread: Duration,
    /// Register over TCP when UDP stays unanswered.
    pub stream_fallback: bool,
    /// What it can do to punch UDP holes; `None`: it only dials back over TCP. It works where the
    /// server supports it, too, and in a build with the feature `punch`.
    pub punch: Option<Ability>,
    /// The caller's stack can open a TCP connection from the local port of another one
    /// ([`Command::ConnectFrom`](crate::Command::ConnectFrom)), so that it and an issuer that cannot be
    /// dialled may call each other at the same time. It works where the server and the issuer can do
    /// so, too, and in a build with the feature `punch`.
    pub simultaneous_open: bool,
    /// Find out after a measurement of the NAT how long it keeps a silent mapping, so that the server
    /// can advise an interval of keepalives that fits (PROTOCOL.md, NAT-8). It takes one of the
    /// measurement's sockets for up to 12 minutes and 12 datagrams (25 where most are lost), at most
    /// once in six hours.
    pub lifetime: bool,
    /// Ask for the server's certificate on each new TCP connection, although one is cached: a round
    /// trip more, and the server's key is certified where it is used (claims 4, 11).
    pub fetch_certificate_each: bool,
}

impl AcceptorConfig {
    /// A configuration with nobody admitted, public addresses only, a spread of 25 s (the server's
    /// default interval), the TCP fallback on, the hole punching of a microcontroller, calls
    /// over TCP, and no look for the NAT's lifetime.
    #[must_use]
    pub fn new(identity: Identity, server: ServerAddress, anchors: Anchors) -> Self {
        Self {
            identity,
            server,
            anchors,
            admission: AdmissionPolicy::default(),
            addresses: AddressPolicy::default(),
            wall_clock: None,
            spread: Duration::from_secs(25),
            stream_fallback: true,
            punch: Some(Ability::SMALL),
            simultaneous_open: true,
            lifetime: false,
            fetch_certificate_each: false,
        }
    }
}

/// What an acceptor tells its application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AcceptorEvent {
    /// The server has it on its list.
    Registered {
        /// Its address as the server sees it.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        observed: SocketAddr,
        /// What carries the registration.
        over: Transport,
    },
    /// The server does not answer any more; it goes on trying.
    RegistrationLost,
    /// A certificate was accepted that is new: cache [`Acceptor::certificate`](crate::Acceptor::certificate) and
    /// [`Acceptor::floor`](crate::Acceptor::floor).
    Certificate,
    /// A session stands that [`Acceptor::resumption`](crate::Acceptor::resumption) can bring back after a reboot.
    Resumable,
    /// Write [`Acceptor::failures`](crate::Acceptor::failures) to stable storage, then call [`Acceptor::handle_persisted`](crate::Acceptor::handle_persisted).
    /// The password that was tried is acted upon only then (threat T19).
    Persist,
    /// Somebody asked for it.
    Requested {
        /// Who, by the key that made the offer; `None` when the offer could not be opened.
        issuer: Option<EquipmentId>,
        /// From where, as the server says.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        address: SocketAddr,
        /// What it does about it.
        verdict: Verdict,
    },
    /// A connection stands and the issuer has confirmed it.
    Connected {
        /// Its name.
        connection: ConnectionId,
        /// Who is at the other end.
        peer: EquipmentId,
        /// What carries it.
        path: Path,
    },
    /// What the NAT in front of it is like, by what the server saw of a measurement.
    Nat(NatProfile),
    /// A connection goes another way from now on.
    PathChanged {
        /// Its name.
        connection: ConnectionId,
        /// What carries it now.
        path: Path,
    },
    /// A connection, or the attempt at one, has ended.
    Closed {
        /// Its name.
        connection: ConnectionId,
        /// Why.
        cause: CloseCause,
    },
}
