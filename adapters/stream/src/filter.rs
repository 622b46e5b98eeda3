//! What may enter the inner network.
//!
//! The peer is authenticated, but authenticated peers can be broken or hostile. Only whole TCP
//! segments between the two fixed addresses pass; everything else is dropped here, before the stack
//! below sees it, so that it never answers with ICMP, never reassembles fragments and never meets
//! an address or a protocol that this crate was not tested with. Checksums are verified here, once.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, TcpControl, TcpPacket, TcpRepr};

use crate::config::{INNER_MTU, Role};

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Discard {
    /// Longer than [`INNER_MTU`].
    Oversized,
    /// Not one whole IPv4 packet without options whose stated length is its length.
    NotIpv4,
    /// A fragment.
    Fragment,
    /// Another protocol than TCP.
    NotTcp,
    /// Not from the peer's inner address to this end's.
    WrongAddress,
    /// A damaged header, a wrong checksum, or a combination of flags that TCP does not have.
    Malformed,
}

/// What routing needs to know of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) control: TcpControl,
    pub(crate) sequence: i32,
    pub(crate) ack: Option<i32>,
    pub(crate) len: u16,
}

impl Segment {
    /// The first segment of a stream.
    pub(crate) fn opens(&self) -> bool {
        self.control == TcpControl::Syn && self.ack.is_none()
    }

    /// An acknowledgement that carries neither data nor flags.
    pub(crate) fn pure_ack(&self) -> Option<i32> {
        let plain = matches!(self.control, TcpControl::None | TcpControl::Psh);
        self.ack.filter(|_| plain && self.len == 0)
    }
}

/// Checks `packet` as received by `role`.
pub(crate) fn parse(role: Role, packet: &[u8]) -> Result<Segment, Discard> {
    if packet.len() > INNER_MTU {
        return Err(Discard::Oversized);
    }
    let ip = Ipv4Packet::new_checked(packet).map_err(|_| Discard::NotIpv4)?;
    if ip.version() != 4 || ip.header_len() != 20 || usize::from(ip.total_len()) != packet.len() {
        return Err(Discard::NotIpv4);
    }
    if !ip.verify_checksum() {
        return Err(Discard::Malformed);
    }
    if ip.src_addr() != role.peer().address() || ip.dst_addr() != role.address() {
        return Err(Discard::WrongAddress);
    }
    if ip.more_frags() || ip.frag_offset() != 0 {
        return Err(Discard::Fragment);
    }
    if ip.next_header() != IpProtocol::Tcp {
        return Err(Discard::NotTcp);
    }
    let tcp = TcpPacket::new_checked(ip.payload()).map_err(|_| Discard::Malformed)?;
    let (source, destination) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
    let repr = TcpRepr::parse(&tcp, &source, &destination, &ChecksumCapabilities::default())
        .map_err(|_| Discard::Malformed)?;
    Ok(Segment {
        local_port: repr.dst_port,
        remote_port: repr.src_port,
        control: repr.control,
        sequence: repr.seq_number.0,
        ack: repr.ack_number.map(|number| number.0),
        len: u16::try_from(repr.payload.len()).unwrap_or(u16::MAX),
    })
}
