//! The network device that lasts for one call.
//!
//! smoltcp pulls packets from a device and pushes packets into it. Here a device is made for a
//! single call: it holds at most the one packet that arrived and room for the one packet that may
//! leave, in memory that the caller lent. A packet is thus written once, straight from the stream's
//! ring into the caller's buffer.

use smoltcp::phy::{self, Checksum, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use crate::config::INNER_MTU;

/// Room for the longest answer that TCP gives without data: IPv4 header and TCP header with
/// options.
pub(crate) const REPLY_LEN: usize = 80;

/// A device for one call.
pub(crate) struct Pipe<'p> {
    inbound: Option<&'p [u8]>,
    room: &'p mut [u8],
    written: usize,
}

impl<'p> Pipe<'p> {
    /// Delivers `packet` and has room for its answer.
    pub(crate) fn inbound(packet: &'p [u8], room: &'p mut [u8; REPLY_LEN]) -> Self {
        Self { inbound: Some(packet), room, written: 0 }
    }

    /// Has room for one packet.
    pub(crate) fn outbound(room: &'p mut [u8; INNER_MTU]) -> Self {
        Self { inbound: None, room, written: 0 }
    }

    /// Delivers nothing and takes nothing; only its capabilities count.
    pub(crate) fn shut() -> Self {
        Self { inbound: None, room: &mut [], written: 0 }
    }

    /// Length of the packet that was written, 0 if there was none.
    pub(crate) fn written(&self) -> usize {
        self.written
    }
}

impl Device for Pipe<'_> {
    type RxToken<'t>
        = RxToken<'t>
    where
        Self: 't;
    type TxToken<'t>
        = TxToken<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let packet = self.inbound.take()?;
        Some((RxToken(packet), TxToken { room: self.room, written: &mut self.written }))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        let vacant = self.written == 0 && !self.room.is_empty();
        vacant.then_some(TxToken { room: self.room, written: &mut self.written })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = INNER_MTU;
        // Verified before a packet gets here.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

/// The packet that arrived.
pub(crate) struct RxToken<'t>(&'t [u8]);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

/// Room for the packet that leaves.
pub(crate) struct TxToken<'t> {
    room: &'t mut [u8],
    written: &'t mut usize,
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        // Packets are at most INNER_MTU long and answers, which carry no data, at most REPLY_LEN:
        // the room is always long enough.
        let len = len.min(self.room.len());
        *self.written = len;
        write(&mut self.room[..len])
    }
}
