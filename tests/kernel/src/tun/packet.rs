//! IPv4 packets as bytes: what a NAT reads in them and writes into them (RFC 791, 768, 9293, 792).
//!
//! Checksums are carried along with each change (RFC 1624 section 3, equation 3) and never made anew:
//! what was wrong before a NAT is wrong after it, and its receiver drops it.

use core::net::{Ipv4Addr, SocketAddrV4};

use genkan_sim::nat::{Flow, Proto};

/// The protocol numbers of ICMP, TCP and UDP.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where things are in a header without options.
const HEADER: usize = 20;
const LENGTH: usize = 2;
const FRAGMENT: usize = 6;
const HOPS: usize = 8;
const PROTOCOL: usize = 9;
const CHECKSUM: usize = 10;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;

/// How much an ICMP error has before the packet that it is about.
const ICMP_HEADER: usize = 8;

/// What an ICMP error says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Complaint {
    /// Destination unreachable, port unreachable.
    Port,
    /// Time exceeded in transit.
    Hops,
}

/// A whole packet, or as much of one as an ICMP error quotes.
#[derive(Debug)]
pub(super) struct Packet<'b> {
    bytes: &'b mut [u8],
    /// How long its IPv4 header is.
    header: usize,
}

impl<'b> Packet<'b> {
    /// A packet that is whole and no fragment.
    pub(super) fn whole(bytes: &'b mut [u8]) -> Option<Self> {
        let length = bytes.len();
        let packet = Self::quoted(bytes)?;
        let fragment = packet.word(FRAGMENT) & 0x3fff != 0;
        (!fragment && usize::from(packet.word(LENGTH)) == length).then_some(packet)
    }

    /// The beginning of a packet: the header, and 8 bytes of what follows.
    fn quoted(bytes: &'b mut [u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let header = 4 * usize::from(first & 15);
        let usable = first >> 4 == 4 && header >= HEADER && bytes.len() >= header + 8;
        usable.then_some(Self { bytes, header })
    }

    /// Which transport it is of, as a NAT sees it; `None`: neither UDP nor TCP.
    pub(super) fn flow(&self) -> Option<Flow> {
        const FIN: u8 = 1;
        const SYN: u8 = 2;
        const RST: u8 = 4;
        const ACK: u8 = 16;
        match self.bytes[PROTOCOL] {
            UDP => Some(Flow::Udp),
            TCP => {
                let flags = *self.bytes.get(self.header + 13)?;
                Some(match flags {
                    flags if flags & RST != 0 => Flow::Rst,
                    flags if flags & SYN != 0 && flags & ACK != 0 => Flow::SynAck,
                    flags if flags & SYN != 0 => Flow::Syn,
                    flags if flags & FIN != 0 => Flow::Fin,
                    _ => Flow::Segment,
                })
            }
            _ => None,
        }
    }

    /// As [`Packet::flow`], of a packet that is quoted: TCP flags may be cut off.
    fn proto(&self) -> Option<Proto> {
        match self.bytes[PROTOCOL] {
            UDP => Some(Proto::Udp),
            TCP => Some(Proto::Tcp),
            _ => None,
        }
    }

    /// Where it comes from; the port is that of UDP and TCP.
    pub(super) fn source(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(SOURCE), self.word(self.header))
    }

    /// Where it goes.
    pub(super) fn destination(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(DESTINATION), self.word(self.header + 2))
    }

    /// Its hop limit.
    pub(super) fn hops(&self) -> u8 {
        self.bytes[HOPS]
    }

    /// So many routers have passed it on, no more than it has left.
    pub(super) fn pass(&mut self, routers: u8) {
        let [hops, protocol] = self.word(HOPS).to_be_bytes();
        let word = u16::from_be_bytes([hops.saturating_sub(routers), protocol]);
        self.change(HOPS, word, &[CHECKSUM]);
    }

    /// Gives it another source, of a transport that has ports.
    pub(super) fn set_source(&mut self, to: SocketAddrV4) {
        self.readdress(SOURCE, *to.ip());
        self.change_port(self.header, to.port());
    }

    /// Gives it another destination, of a transport that has ports.
    pub(super) fn set_destination(&mut self, to: SocketAddrV4) {
        self.readdress(DESTINATION, *to.ip());
        self.change_port(self.header + 2, to.port());
    }

    /// The packet that an ICMP error is about, if this is a sound one about UDP or TCP: its transport,
    /// source and destination.
    pub(super) fn complaint(&mut self) -> Option<(Proto, SocketAddrV4, SocketAddrV4)> {
        let (kind, sound) = (self.bytes[self.header], sum(&self.bytes[self.header..]) == 0xffff);
        let error = self.bytes[PROTOCOL] == ICMP && matches!(kind, 3 | 11 | 12);
        let quote = self.quote().filter(|_| error && sound)?;
        Some((quote.proto()?, quote.source(), quote.destination()))
    }

    /// An ICMP error on its way in: it goes to whoever has sent what it is about.
    pub(super) fn complain_to(&mut self, inside: SocketAddrV4) {
        self.readdress(DESTINATION, *inside.ip());
        if let Some(mut quote) = self.quote() {
            quote.set_source(inside);
        }
        self.seal();
    }

    /// An ICMP error on its way out: it comes from where the packet was sent that it is about.
    pub(super) fn complain_from(&mut self, external: SocketAddrV4) {
        self.readdress(SOURCE, *external.ip());
        if let Some(mut quote) = self.quote() {
            quote.set_destination(external);
        }
        self.seal();
    }

    /// An ICMP error about this packet.
    pub(super) fn error(&self, complaint: Complaint, by: Ipv4Addr) -> Vec<u8> {
        let quote = &self.bytes[..self.bytes.len().min(self.header + 8)];
        let kind = match complaint {
            Complaint::Port => [3, 3],
            Complaint::Hops => [11, 0],
        };
        let length = HEADER + ICMP_HEADER + quote.len();
        let mut bytes = vec![0; length];
        // Version and length; the hop limit that a router of its own begins with.
        (bytes[0], bytes[HOPS], bytes[PROTOCOL]) = (0x45, 64, ICMP);
        bytes[LENGTH..LENGTH + 2].copy_from_slice(&(length as u16).to_be_bytes());
        bytes[SOURCE..SOURCE + 4].copy_from_slice(&by.octets());
        bytes[DESTINATION..DESTINATION + 4].copy_from_slice(&self.source().ip().octets());
        let check = !sum(&bytes[..HEADER]);
        bytes[CHECKSUM..CHECKSUM + 2].copy_from_slice(&check.to_be_bytes());
        bytes[HEADER..HEADER + 2].copy_from_slice(&kind);
        bytes[HEADER + ICMP_HEADER..].copy_from_slice(quote);
        let mut error = Packet { bytes: &mut bytes, header: HEADER };
        error.seal();
        bytes
    }

    /// What an ICMP error quotes.
    fn quote(&mut self) -> Option<Packet<'_>> {
        Packet::quoted(self.bytes.get_mut(self.header + ICMP_HEADER..)?)
    }

    /// Makes the checksum of an ICMP error anew: it was sound.
    fn seal(&mut self) {
        let at = self.header + 2;
        self.bytes[at..at + 2].fill(0);
        let check = !sum(&self.bytes[self.header..]);
        self.bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        let [a, b] = self.word(at).to_be_bytes();
        let [c, d] = self.word(at + 2).to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    }

    fn readdress(&mut self, at: usize, to: Ipv4Addr) {
        let [a, b, c, d] = to.octets();
        let transport = self.transport_checksum();
        let checksums: &[usize] = &[CHECKSUM, transport.unwrap_or(0)];
        let checksums = &checksums[..1 + usize::from(transport.is_some())];
        self.change(at, u16::from_be_bytes([a, b]), checksums);
        self.change(at + 2, u16::from_be_bytes([c, d]), checksums);
    }

    fn change_port(&mut self, at: usize, port: u16) {
        let transport = self.transport_checksum();
        self.change(at, port, transport.as_slice());
    }

    /// Where the transport's checksum is, when it has one and it was not cut off.
    fn transport_checksum(&self) -> Option<usize> {
        let at = self.header + if self.bytes[PROTOCOL] == UDP { 6 } else { 16 };
        let there = self.proto().is_some() && self.bytes.len() >= at + 2;
        // A UDP sender may leave it out (RFC 768).
        (there && (self.bytes[PROTOCOL] != UDP || self.word(at) != 0)).then_some(at)
    }

    /// Writes a word, and what that does to these checksums.
    fn change(&mut self, at: usize, to: u16, checksums: &[usize]) {
        let from = self.word(at);
        self.bytes[at..at + 2].copy_from_slice(&to.to_be_bytes());
        for &place in checksums {
            let mut check = !fold(u32::from(!self.word(place)) + u32::from(!from) + u32::from(to));
            if check == 0 && place == self.header + 6 && self.bytes[PROTOCOL] == UDP {
                check = 0xffff;
            }
            self.bytes[place..place + 2].copy_from_slice(&check.to_be_bytes());
        }
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }
}

/// The one's complement sum of 16-bit words (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    fold(words.sum())
}

/// The carries of a sum added to it.
const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP datagram or TCP segment, its checksums made from nothing.
    fn made(proto: u8, from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let (from, to): (SocketAddrV4, SocketAddrV4) = (from.parse().unwrap(), to.parse().unwrap());
        let own = if proto == UDP { 8 } else { 20 };
        let length = HEADER + own + payload.len();
        let mut bytes = vec![0; HEADER + own];
        (bytes[0], bytes[HOPS], bytes[PROTOCOL]) = (0x45, 64, proto);
        bytes[LENGTH..LENGTH + 2].copy_from_slice(&(length as u16).to_be_bytes());
        bytes[SOURCE..SOURCE + 4].copy_from_slice(&from.ip().octets());
        bytes[DESTINATION..DESTINATION + 4].copy_from_slice(&to.ip().octets());
        bytes[HEADER..HEADER + 2].copy_from_slice(&from.port().to_be_bytes());
        bytes[HEADER + 2..HEADER + 4].copy_from_slice(&to.port().to_be_bytes());
        if proto == UDP {
            let length = (own + payload.len()) as u16;
            bytes[HEADER + 4..HEADER + 6].copy_from_slice(&length.to_be_bytes());
        } else {
            (bytes[HEADER + 12], bytes[HEADER + 13]) = (0x50, 0x10);
        }
        bytes.extend(payload);
        let check = !sum(&bytes[..HEADER]);
        bytes[CHECKSUM..CHECKSUM + 2].copy_from_slice(&check.to_be_bytes());
        let at = HEADER + if proto == UDP { 6 } else { 16 };
        let check = match !transport_sum(&bytes) {
            0 if proto == UDP => 0xffff,
            check => check,
        };
        bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    /// Over the pseudo header too: all ones when the checksum in it is right.
    fn transport_sum(bytes: &[u8]) -> u16 {
        let length = ((bytes.len() - HEADER) as u16).to_be_bytes();
        let pseudo = [&bytes[SOURCE..HEADER], &[0, bytes[PROTOCOL]], &length];
        sum(&[&pseudo.concat()[..], &bytes[HEADER..]].concat())
    }

    fn sound(bytes: &[u8]) -> bool {
        sum(&bytes[..HEADER]) == 0xffff && transport_sum(bytes) == 0xffff
    }

    fn at(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    #[test]
    fn a_translated_packet_is_the_one_that_would_have_been_made_so() {
        let near = ["192.0.2.2:40000", "192.0.2.2:1", "0.0.0.0:65535", "255.255.255.255:0"];
        let far = ["203.0.113.1:20000", "192.0.2.3:40000", "255.255.255.254:65535", "1.2.3.4:9"];
        for proto in [UDP, TCP] {
            for length in [0, 1, 2, 3, 500, 1_401] {
                for fill in [0, 1, 0x55, 0xff] {
                    let payload = vec![fill; length];
                    for (from, to) in near.iter().zip(far) {
                        let mut bytes = made(proto, from, "198.51.100.9:3478", &payload);
                        Packet::whole(&mut bytes).unwrap().set_source(at(to));
                        assert_eq!(bytes, made(proto, to, "198.51.100.9:3478", &payload));
                        let mut bytes = made(proto, "198.51.100.9:3478", from, &payload);
                        let mut packet = Packet::whole(&mut bytes).unwrap();
                        packet.set_destination(at(to));
                        packet.pass(1);
                        assert_eq!((packet.hops(), packet.destination()), (63, at(to)));
                        assert!(sound(&bytes));
                    }
                }
            }
        }
    }

    #[test]
    fn a_checksum_that_comes_to_0_is_sent_as_all_ones_and_none_stays_none() {
        let (from, remote) = ("192.0.2.2:40000", "198.51.100.9:3478");
        let all_ones = (0..=u16::MAX).find(|word| {
            let packet = made(UDP, "203.0.113.1:20000", remote, &word.to_be_bytes());
            packet[HEADER + 6..HEADER + 8] == [0xff; 2]
        });
        let payload = all_ones.unwrap().to_be_bytes();
        let mut bytes = made(UDP, from, remote, &payload);
        Packet::whole(&mut bytes).unwrap().set_source(at("203.0.113.1:20000"));
        assert_eq!(bytes, made(UDP, "203.0.113.1:20000", remote, &payload));
        bytes[HEADER + 6..HEADER + 8].fill(0);
        Packet::whole(&mut bytes).unwrap().set_source(at(from));
        assert_eq!(bytes[HEADER + 6..HEADER + 8], [0, 0]);
    }

    #[test]
    fn what_was_damaged_before_is_damaged_after() {
        for damaged in [HEADER + 8, HEADER + 6] {
            let mut bytes = made(UDP, "192.0.2.2:40000", "198.51.100.9:3478", b"payload");
            bytes[damaged] ^= 4;
            Packet::whole(&mut bytes).unwrap().set_source(at("203.0.113.1:20000"));
            assert!(!sound(&bytes));
        }
    }

    #[test]
    fn an_error_finds_its_way_through_both_translations() {
        let (inside, outside, remote) =
            ("192.0.2.2:40000", "203.0.113.1:20000", "198.51.100.9:3478");
        for proto in [UDP, TCP] {
            let mut seen = made(proto, outside, remote, b"some bytes");
            let packet = Packet::whole(&mut seen).unwrap();
            let mut bytes = packet.error(Complaint::Port, *at(remote).ip());
            let mut error = Packet::whole(&mut bytes).unwrap();
            let about = error.complaint().unwrap();
            assert_eq!((about.1, about.2), (at(outside), at(remote)));
            error.complain_to(at(inside));
            assert_eq!(error.destination().ip(), at(inside).ip());
            // The quote is what the inside host has sent, its checksums too.
            let sent = made(proto, inside, remote, b"some bytes");
            assert_eq!(bytes[HEADER + ICMP_HEADER..], sent[..HEADER + 8]);
            assert_eq!(sum(&bytes[HEADER..]), 0xffff);
            assert_eq!(sum(&bytes[..HEADER]), 0xffff);

            let mut came = made(proto, remote, inside, b"some bytes");
            let packet = Packet::whole(&mut came).unwrap();
            let mut bytes = packet.error(Complaint::Hops, *at(inside).ip());
            let mut error = Packet::whole(&mut bytes).unwrap();
            error.complain_from(at(outside));
            assert_eq!(error.source().ip(), at(outside).ip());
            let sent = made(proto, remote, outside, b"some bytes");
            assert_eq!(bytes[HEADER + ICMP_HEADER..], sent[..HEADER + 8]);
            assert_eq!(sum(&bytes[HEADER..]), 0xffff);
            bytes[HEADER + 4] ^= 1;
            assert_eq!(Packet::whole(&mut bytes).unwrap().complaint(), None, "unsound");
        }
    }

    #[test]
    fn what_is_no_whole_packet_is_nothing() {
        let packet = made(UDP, "192.0.2.2:40000", "198.51.100.9:3478", b"payload");
        for cut in 0..packet.len() {
            assert!(Packet::whole(&mut packet[..cut].to_vec()).is_none(), "{cut} bytes");
        }
        for (place, value) in [(0, 0x65), (0, 0x44), (0, 0x4f), (FRAGMENT, 0x20), (FRAGMENT + 1, 1)]
        {
            let mut bytes = packet.clone();
            bytes[place] = value;
            assert!(Packet::whole(&mut bytes).is_none(), "{value:#x} at {place}");
        }
        let mut bytes = [&packet[..], &[0]].concat();
        assert!(Packet::whole(&mut bytes).is_none(), "longer than it says");
    }
}
