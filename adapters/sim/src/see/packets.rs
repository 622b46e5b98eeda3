//! IP packets as they would have been on the wire, from the frames of a capture.
//!
//! A frame says of a TCP segment what it is and which bytes of its direction it carries. Here it
//! gets sequence numbers from that, and acknowledges what its sender's host had received without a
//! gap when it was sent; the same segment acknowledges the same at every other interface. Windows
//! are larger than what a world lets be under way. An ICMP error quotes the packet that it is
//! about, as it passed last.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode};
use etherparse::{
    Icmpv4Type, Icmpv6Type, IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader,
    TcpOptionElement, icmpv6, ip_number,
};

use crate::capture::{Frame, IcmpError, Interface, Load, SegmentKind};
use crate::packet::TcpId;

/// RFC 792 and RFC 1812, section 4.3.2.3: as much as fits into 576 bytes.
const LONGEST_QUOTE: usize = 576 - 20 - 8;
/// RFC 4443, section 2.4: as much as fits into 1280 bytes.
const LONGEST_QUOTE_V6: usize = 1280 - 40 - 8;
/// The hop limit with which a packet stands in the error about it.
const LAST_HOP: u8 = 1;

const WINDOW: u16 = u16::MAX;
/// Windows count 128 bytes (RFC 7323): 8 MiB.
const WINDOW_SCALE: u8 = 7;
const MAX_SEGMENT: u16 = 1_400;

/// One direction of a TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Direction {
    conn: TcpId,
    from_caller: bool,
}

impl Direction {
    const fn reverse(self) -> Self {
        Self { from_caller: !self.from_caller, ..self }
    }

    /// The sequence number of its SYN: no two connections of a run look alike.
    const fn start(self) -> u32 {
        (self.conn.0 as u32).wrapping_mul(0x9e37_79b1) ^ ((self.from_caller as u32) << 31)
    }
}

/// What of a direction has been sent and received so far.
#[derive(Debug, Default)]
struct Progress {
    /// Its SYN has been seen.
    begun: bool,
    /// Between which addresses its receiver has it. What comes from another is not of it: a NAT has
    /// changed its mind, and the receiver answers with an RST.
    ends: Option<(SocketAddr, SocketAddr)>,
    /// The end of what has been sent; a FIN counts as one.
    sent: u64,
    /// The end of what its receiver has without a gap; a FIN counts as one.
    received: u64,
    /// What its receiver has beyond that: where it begins, and its end.
    ahead: BTreeMap<u64, u64>,
}

impl Progress {
    fn receive(&mut self, from: u64, to: u64) {
        let end = self.ahead.entry(from).or_default();
        *end = to.max(*end);
        while let Some((from, to)) = self.ahead.pop_first() {
            if from > self.received {
                self.ahead.insert(from, to);
                return;
            }
            self.received = self.received.max(to);
        }
    }
}

/// A TCP segment, to recognise it at other interfaces: its direction, kind, offset and length.
type Segment = (Direction, u8, u64, usize);
/// Whether it is TCP, its source and its destination.
type Flow = (bool, SocketAddr, SocketAddr);

/// Makes the packets of one capture, frame by frame.
#[derive(Debug, Default)]
pub(super) struct Packets {
    progress: BTreeMap<Direction, Progress>,
    /// What each segment acknowledged when its sender sent it last.
    acknowledged: BTreeMap<Segment, u32>,
    /// The last packet of each flow, to be quoted.
    last: BTreeMap<Flow, Vec<u8>>,
}

impl Packets {
    /// The next frame's packet; `None` when there is none: addresses of two families, or too long.
    pub(super) fn packet(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        let ends = (frame.source, frame.destination);
        let packet = match &frame.load {
            Load::Udp(bytes) => {
                let ip = PacketBuilder::ip(ip(ends, frame.hop_limit)?);
                let mut packet = Vec::new();
                let udp = ip.udp(ends.0.port(), ends.1.port());
                udp.write_to_vec(&mut packet, bytes).ok()?;
                packet
            }
            Load::Tcp { bytes, .. } => {
                let mut packet = Vec::new();
                let header = self.tcp_header(frame)?;
                let tcp = PacketBuilder::ip(ip(ends, frame.hop_limit)?).tcp_header(header);
                tcp.write_to_vec(&mut packet, bytes).ok()?;
                packet
            }
            Load::Icmp { error, source, destination, tcp } => {
                return icmp(frame, *error, &self.quote((*tcp, *source, *destination))?);
            }
        };
        let tcp = matches!(frame.load, Load::Tcp { .. });
        self.last.insert((tcp, ends.0, ends.1), packet.clone());
        Some(packet)
    }

    fn tcp_header(&mut self, frame: &Frame) -> Option<TcpHeader> {
        let Load::Tcp { conn, from_caller, kind, offset, ref bytes } = frame.load else {
            return None;
        };
        let way = Direction { conn, from_caller };
        let segment = (way, kind as u8, offset, bytes.len());
        let sent_here = matches!(frame.interface, Interface::Host(_)) && !frame.inbound;
        let acknowledgment = match self.acknowledged.get(&segment) {
            Some(&number) if !sent_here => number,
            _ => self.acknowledgment(way.reverse()),
        };
        if sent_here {
            self.acknowledged.insert(segment, acknowledgment);
        }

        let here = self.progress.entry(way).or_default();
        let end = offset + bytes.len() as u64 + u64::from(kind == SegmentKind::Fin);
        let first = way.start().wrapping_add(1);
        let number = match kind {
            SegmentKind::Syn | SegmentKind::SynAck => way.start(),
            // Of an end that has never sent anything else (RFC 9293, section 3.10.7.1).
            SegmentKind::Rst if !here.begun => 0,
            SegmentKind::Rst => first.wrapping_add(here.sent as u32),
            SegmentKind::Ack | SegmentKind::Fin => first.wrapping_add(offset as u32),
        };
        if kind != SegmentKind::Rst {
            here.begun = true;
            here.sent = here.sent.max(end);
            if frame.inbound && matches!(frame.interface, Interface::Host(_)) {
                let ends = (frame.source, frame.destination);
                if *here.ends.get_or_insert(ends) == ends {
                    here.receive(offset, end);
                }
            }
        }

        let ports = (frame.source.port(), frame.destination.port());
        let mut header = TcpHeader::new(ports.0, ports.1, number, WINDOW);
        header.syn = matches!(kind, SegmentKind::Syn | SegmentKind::SynAck);
        header.ack = kind != SegmentKind::Syn;
        header.fin = kind == SegmentKind::Fin;
        header.rst = kind == SegmentKind::Rst;
        header.psh = !bytes.is_empty();
        if header.ack {
            header.acknowledgment_number = acknowledgment;
        }
        if header.syn {
            header.set_options(&syn_options()).ok()?;
        }
        Some(header)
    }

    /// What a segment acknowledges that is sent now: all that has arrived in the other direction.
    fn acknowledgment(&self, other: Direction) -> u32 {
        let received = self.progress.get(&other).map_or(0, |progress| progress.received);
        other.start().wrapping_add(1).wrapping_add(received as u32)
    }

    /// The beginning of the packet that an ICMP error is about: as it passed last, or, when it has
    /// not been seen, its IP header and ports.
    fn quote(&self, flow: Flow) -> Option<Vec<u8>> {
        let (tcp, source, destination) = flow;
        let mut packet = match self.last.get(&flow) {
            Some(packet) => packet.clone(),
            None => {
                let header = ip((source, destination), LAST_HOP)?;
                let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()];
                let protocol = if tcp { ip_number::TCP } else { ip_number::UDP };
                let mut packet = Vec::new();
                let rest = [ports.concat(), vec![0; 4]].concat();
                PacketBuilder::ip(header).write_to_vec(&mut packet, protocol, &rest).ok()?;
                packet
            }
        };
        match source {
            SocketAddr::V4(_) => {
                let (mut header, _) = Ipv4Header::from_slice(&packet).ok()?;
                header.time_to_live = LAST_HOP;
                header.header_checksum = header.calc_header_checksum();
                packet.splice(..header.header_len(), header.to_bytes());
                packet.truncate(LONGEST_QUOTE);
            }
            SocketAddr::V6(_) => {
                *packet.get_mut(7)? = LAST_HOP;
                packet.truncate(LONGEST_QUOTE_V6);
            }
        }
        Some(packet)
    }
}

const fn syn_options() -> [TcpOptionElement; 3] {
    [
        TcpOptionElement::MaximumSegmentSize(MAX_SEGMENT),
        TcpOptionElement::Noop,
        TcpOptionElement::WindowScale(WINDOW_SCALE),
    ]
}

/// An IP header; `None` for addresses of two families.
fn ip(ends: (SocketAddr, SocketAddr), hop_limit: u8) -> Option<IpHeaders> {
    match (ends.0.ip(), ends.1.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = Ipv4Header {
                time_to_live: hop_limit,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv4Header::default()
            };
            // Never fragmented, so it needs no identification (RFC 6864).
            header.dont_fragment = true;
            Some(IpHeaders::Ipv4(header, Default::default()))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                hop_limit,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            Some(IpHeaders::Ipv6(header, Default::default()))
        }
        _ => None,
    }
}

/// RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.
fn icmp(frame: &Frame, error: IcmpError, quote: &[u8]) -> Option<Vec<u8>> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ip(ip((frame.source, frame.destination), frame.hop_limit)?);
    if frame.source.is_ipv4() {
        let kind = match error {
            IcmpError::TimeExceeded => {
                Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit)
            }
            IcmpError::PortUnreachable => {
                Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port)
            }
            IcmpError::Prohibited => {
                Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FilterProhibited)
            }
        };
        builder.icmpv4(kind).write_to_vec(&mut packet, quote).ok()?;
    } else {
        let kind = match error {
            IcmpError::TimeExceeded => {
                Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::HopLimitExceeded)
            }
            IcmpError::PortUnreachable => {
                Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port)
            }
            IcmpError::Prohibited => {
                Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Prohibited)
            }
        };
        builder.icmpv6(kind).write_to_vec(&mut packet, quote).ok()?;
    }
    Some(packet)
}
