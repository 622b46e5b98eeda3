//! What both kinds of equipment are: a key, a server to turn to, and whom to believe about it.

use core::net::SocketAddr;

use heapless::{String, Vec};

use super::handshake::Handshakes;
use crate::crypto::StaticKey;
use crate::error::CertificateError;
use crate::time::Instant;
use crate::wire::certificate::{Certificate, MAX_CERTIFICATE, MAX_NAMES, Trust};

/// Who a device is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its static key; the public half is its id.
    pub key: StaticKey,
    /// How often it has booted, where it keeps count; mixed into every secret that it draws, so that
    /// a generator that repeats itself after each boot does no harm. 0 where none is kept.
    pub boots: u64,
}

/// Where the server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerAddress {
    /// Its UDP address.
    pub datagram: SocketAddr,
    /// Its TCP address.
    pub stream: SocketAddr,
}

impl ServerAddress {
    /// UDP and TCP at the same address and port.
    #[must_use]
    pub const fn both(address: SocketAddr) -> Self {
        Self { datagram: address, stream: address }
    }
}

/// Whom a device believes about its server (see [`Trust`] for how each field counts).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Anchors {
    /// Authority keys: the current and, during a change, the next.
    pub authorities: Vec<[u8; 32], 2>,
    /// The name that the certificate must carry.
    pub name: Option<String<MAX_NAMES>>,
    /// The smallest serial that is not revoked.
    pub min_serial: u32,
    /// Seconds since 1970 that have certainly passed: build time or the persisted floor.
    pub floor: u64,
}

/// Key, trust and certificate of an equipment, and the handshakes under way.
#[derive(Debug)]
pub(crate) struct Equipment<const P: usize, const N: usize> {
    pub(crate) key: StaticKey,
    pub(crate) server: ServerAddress,
    pub(crate) anchors: Anchors,
    /// A trusted clock's reading and the instant at which it was read.
    wall: Option<(Instant, u64)>,
    certificate: Vec<u8, MAX_CERTIFICATE>,
    /// A new certificate or floor should be persisted.
    pub(crate) changed: bool,
    /// The certificate is asked for on each new TCP connection, cached or not.
    pub(crate) fetch_each: bool,
    pub(super) handshakes: Handshakes<P, N>,
}

impl<const P: usize, const N: usize> Equipment<P, N> {
    pub(crate) fn new(
        key: StaticKey,
        server: ServerAddress,
        anchors: Anchors,
        wall: Option<(Instant, u64)>,
        fetch_each: bool,
    ) -> Self {
        Self {
            key,
            server,
            anchors,
            wall,
            certificate: Vec::new(),
            changed: false,
            fetch_each,
            handshakes: Handshakes::NONE,
        }
    }

    /// Seconds since 1970 by the trusted clock, where there is one.
    pub(crate) fn wall_clock(&self, now: Instant) -> Option<u64> {
        self.wall.map(|(at, seconds)| seconds.saturating_add(now.since(at).as_secs()))
    }

    /// The server's key by the certificate that was accepted.
    pub(crate) fn server_key(&self) -> Option<[u8; 32]> {
        Certificate::parse(&self.certificate).ok().map(|certificate| certificate.server_key)
    }

    /// The accepted certificate, for the caller to cache.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Checks a certificate and keeps it.
    #[inline(never)]
    pub(crate) fn take_certificate(
        &mut self,
        now: Instant,
        bytes: &[u8],
    ) -> Result<(), CertificateError> {
        let certificate = Certificate::parse(bytes)?;
        let trust = Trust {
            authorities: &self.anchors.authorities,
            name: self.anchors.name.as_deref(),
            min_serial: self.anchors.min_serial,
            floor: self.anchors.floor,
            now: self.wall_clock(now),
        };
        trust.check(&certificate)?;
        self.changed |= self.certificate != bytes || certificate.not_before > self.anchors.floor;
        // Signed by the authority, so it may move the floor (T25); it never moves past the
        // certificate's own end, which check() has just compared with the old floor.
        self.anchors.floor = self.anchors.floor.max(certificate.not_before);
        self.certificate.clear();
        self.certificate.extend_from_slice(bytes).map_err(|_| CertificateError::Malformed)
    }
}
