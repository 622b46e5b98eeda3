//! The constants of the inner network and the few knobs.
//!
//! Both ends must agree on addresses and packet size, so those are constants and never negotiated.
//! The timeouts are one end's own business. Their defaults are chosen around a property of the TCP
//! below: its probes and retransmissions back off to one per minute, so that a user timeout near a
//! minute would end streams whose peer is alive and merely does not read.

use smoltcp::wire::Ipv4Address;

/// Largest packet of the inner network, and thus largest plaintext that this crate gives to the
/// session, in bytes. With the session's own header and tag and the outer UDP and IPv6 headers it
/// stays below 1280 bytes, which every IPv6 path carries whole.
pub const INNER_MTU: usize = 1200;

/// Largest buffer that a slot uses in one direction, in bytes; what lies beyond is left unused. At
/// this size TCP needs no window scaling, and the window that a handshake announces is exact: the
/// stack below would otherwise believe an inflated window until its first acknowledgement.
pub const MAX_BUFFER: usize = 65_535;

/// Smallest buffer that a slot accepts in one direction, in bytes. 2 KiB is a sensible size for
/// microcontrollers.
pub const MIN_BUFFER: usize = 256;

/// Buffer in one direction that hosts use, in bytes.
pub const HOST_BUFFER: usize = MAX_BUFFER;

/// Prefix length of the inner network that holds both ends.
pub(crate) const PREFIX_LEN: u8 = 30;

/// Which end of the session this is; it fixes the inner addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Role {
    /// The end that requested the connection: 10.71.0.1.
    Issuer,
    /// The end that accepted it: 10.71.0.2.
    Acceptor,
}

impl Role {
    /// The inner address of this end.
    #[must_use]
    pub const fn address(self) -> Ipv4Address {
        match self {
            Self::Issuer => Ipv4Address::new(10, 71, 0, 1),
            Self::Acceptor => Ipv4Address::new(10, 71, 0, 2),
        }
    }

    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Issuer => Self::Acceptor,
            Self::Acceptor => Self::Issuer,
        }
    }
}

/// Timeouts of one end, in microseconds. Values out of range are clamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// How long a handshake may take until the stream ends as timed out; 1 s to 1 h, default 20 s.
    pub open_timeout: u64,
    /// How long a stream may hear nothing from its peer until it ends as timed out; 1 s to 1 h,
    /// default 180 s. Below 61 s, a peer that is alive but reads nothing for minutes is given up
    /// too.
    pub user_timeout: u64,
    /// Silence after which an idle stream asks whether the peer is still there; 0.5 s to half the
    /// user timeout, default 25 s.
    pub keep_alive: u64,
    /// How long a released stream may still take to deliver what it holds until it is reset; 0 to 1
    /// h, default 60 s.
    pub linger: u64,
    /// How long an acknowledgement may wait for data to ride on; 0 to 200 ms, default 10 ms.
    pub ack_delay: u64,
}

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;

impl Default for Config {
    fn default() -> Self {
        Self {
            open_timeout: 20 * SECOND,
            user_timeout: 180 * SECOND,
            keep_alive: 25 * SECOND,
            linger: 60 * SECOND,
            ack_delay: 10_000,
        }
    }
}

impl Config {
    /// The same with every value moved into its documented range.
    #[must_use]
    pub(crate) fn clamped(self) -> Self {
        let user_timeout = self.user_timeout.clamp(SECOND, HOUR);
        Self {
            open_timeout: self.open_timeout.clamp(SECOND, HOUR),
            user_timeout,
            keep_alive: self.keep_alive.clamp(SECOND / 2, (user_timeout / 2).max(SECOND / 2)),
            linger: self.linger.min(HOUR),
            ack_delay: self.ack_delay.min(200_000),
        }
    }
}
