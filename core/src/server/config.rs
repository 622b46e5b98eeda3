//! What a server is told, and what it tells.

use crate::addr::Endpoint;
use crate::crypto::StaticKey;
use crate::entropy::EntropyError;
use crate::error::CertificateError;
use crate::id::{EquipmentId, SocketId};
use crate::link::Transport;
use crate::nat::{NatProfile, ServerEnd};
use crate::punch::{Hopeless, Plan};
use crate::wire::certificate::MAX_CERTIFICATE;
use crate::wire::message::Reason;
use core::net::SocketAddr;
use core::time::Duration;
use heapless::Vec;

/// How a request is brought to an acceptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Delivery {
    /// As a datagram when the acceptor takes them, over TCP otherwise.
    #[default]
    Auto,
    /// Always wake the acceptor, which then fetches the request over TCP (claims 2, 9, 13).
    Stream,
}

/// What a server is told at start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Its static key.
    pub key: StaticKey,
    /// The key before, during a rotation: equipment with the old certificate still gets in.
    pub previous_key: Option<StaticKey>,
    /// The certificate for `key`.
    pub certificate: Vec<u8, MAX_CERTIFICATE>,
    /// How requests are brought to acceptors.
    pub delivery: Delivery,
    /// The keepalive interval that devices are advised, in seconds (5 to 1,800); less where a NAT
    /// forgets a mapping sooner.
    pub interval: u16,
    /// The interval that it may grow to, in seconds, where an acceptor's NAT keeps a mapping long
    /// enough; below `interval`, as the default of 0 is, it does not grow.
    pub longest_interval: u16,
    /// After how many keepalives a full registration is wanted.
    pub register_every: u8,
    /// How long after a request a refusal leaves, whatever its reason.
    pub refusal_delay: Duration,
    /// Seconds since 1970 at construction; 0 without a clock: then no request is taken in a first
    /// message.
    pub wall_clock: u64,
    /// The UDP port of a second socket on the main one's address ([`SocketId::OTHER_PORT`]), as
    /// equipment reaches it. With one, the server measures NATs and lets the two ends punch holes;
    /// `None`: it does neither.
    pub other_port: Option<u16>,
    /// A socket on another address ([`SocketId::OTHER_ADDRESS`]), which tells address-dependent
    /// mapping and filtering from the endpoint-independent kind.
    pub other_address: Option<SocketAddr>,
    /// How many TCP connections may come from one address.
    pub streams_per_address: usize,
    /// Handshakes at once before cookies are demanded, and how fast that many come back.
    pub handshakes: crate::limit::Rate,
}

impl ServerConfig {
    /// A configuration with 25 s keepalives, a full registration after every eighth, refusals after
    /// 3 s, and cookies above 200 handshakes per second.
    #[must_use]
    pub fn new(key: StaticKey, certificate: Vec<u8, MAX_CERTIFICATE>) -> Self {
        Self {
            key,
            previous_key: None,
            certificate,
            delivery: Delivery::Auto,
            interval: 25,
            longest_interval: 0,
            register_every: 8,
            refusal_delay: Duration::from_secs(3),
            wall_clock: 0,
            other_port: None,
            other_address: None,
            streams_per_address: 32,
            handshakes: crate::limit::Rate::new(200, 5),
        }
    }

    /// Which of the server's ends a socket is; `None`: it has no such one.
    pub(crate) fn end(&self, socket: SocketId) -> Option<ServerEnd> {
        match socket {
            SocketId::MAIN => Some(ServerEnd::Main),
            SocketId::OTHER_PORT => self.other_port.map(|_| ServerEnd::OtherPort),
            SocketId::OTHER_ADDRESS => {
                self.other_port.and(self.other_address).map(|_| ServerEnd::OtherAddress)
            }
            _ => None,
        }
    }

    /// The end on another address, as far as equipment at this address can send to it.
    pub(crate) fn other_address_for(&self, equipment: Endpoint) -> Option<Endpoint> {
        let other = self.other_address.map(Endpoint::from);
        other.filter(|other| other.is_ipv4() == equipment.is_ipv4())
    }
}

/// Why a server could not be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ServerError {
    /// The certificate does not parse.
    Certificate(CertificateError),
    /// The certificate is for another key.
    WrongKey,
    /// A table is empty, or larger than handles can name.
    TableSize,
    /// The source of randomness failed.
    NoEntropy,
}

impl core::fmt::Display for ServerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Certificate(error) => write!(f, "the certificate: {error}"),
            Self::WrongKey => f.write_str("the certificate is for another key"),
            Self::TableSize => f.write_str("a table is empty or too large"),
            Self::NoEntropy => f.write_str("the source of randomness failed"),
        }
    }
}

impl core::error::Error for ServerError {}

impl From<EntropyError> for ServerError {
    fn from(_: EntropyError) -> Self {
        Self::NoEntropy
    }
}

/// What a server tells its operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ServerEvent {
    /// An acceptor has registered, or registered again after a change.
    Registered {
        /// Who.
        id: EquipmentId,
        /// Its address.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        address: SocketAddr,
        /// What carries the registration.
        over: Transport,
    },
    /// An acceptor has left, or was not heard of any more.
    Left {
        /// Who.
        id: EquipmentId,
    },
    /// An issuer has asked for an acceptor.
    Requested {
        /// Who asks.
        issuer: EquipmentId,
        /// For whom.
        target: EquipmentId,
        /// Whether that one is on the list.
        found: bool,
    },
    /// The acceptor comes.
    Accepted {
        /// Who asked.
        issuer: EquipmentId,
        /// For whom.
        target: EquipmentId,
    },
    /// A request came to nothing. The reason is for the operator; a stranger is not told.
    Refused {
        /// Who asked.
        issuer: EquipmentId,
        /// For whom.
        target: EquipmentId,
        /// Why.
        reason: Reason,
    },
    /// An equipment's NAT has been measured, or more is known of its lifetime.
    Measured {
        /// Whose.
        id: EquipmentId,
        /// What it is like.
        profile: NatProfile,
    },
    /// How an issuer and an acceptor are to meet through their NATs.
    Planned {
        /// Who asked.
        issuer: EquipmentId,
        /// For whom.
        target: EquipmentId,
        /// Method and roles, or why there is none.
        plan: Result<Plan, Hopeless>,
    },
    /// The equipment list is full; a new equipment was turned away.
    Full,
}
