//! IP packets as NATs see them.

use core::net::{IpAddr, SocketAddr};

use genkan_sim::Flow;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

/// Where a packet comes from and goes to.
pub(crate) struct Ends {
    pub(crate) flow: Flow,
    pub(crate) hop_limit: u8,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

impl Ends {
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let (source, destination, protocol, hop_limit, payload): (IpAddr, IpAddr, _, _, _) =
            match packet.first()? >> 4 {
                4 => {
                    let ip = Ipv4Packet::new_checked(packet).ok()?;
                    assert!(ip.verify_checksum(), "a broken IP header");
                    let ends = (ip.src_addr().into(), ip.dst_addr().into());
                    (ends.0, ends.1, ip.next_header(), ip.hop_limit(), &packet[20..])
                }
                _ => {
                    let ip = Ipv6Packet::new_checked(packet).ok()?;
                    let ends = (ip.src_addr().into(), ip.dst_addr().into());
                    (ends.0, ends.1, ip.next_header(), ip.hop_limit(), &packet[40..])
                }
            };
        let (flow, ports) = match protocol {
            IpProtocol::Udp => {
                let udp = UdpPacket::new_checked(payload).ok()?;
                (Flow::Udp, (udp.src_port(), udp.dst_port()))
            }
            IpProtocol::Tcp => {
                let tcp = TcpPacket::new_checked(payload).ok()?;
                let flow = match (tcp.syn(), tcp.ack(), tcp.fin(), tcp.rst()) {
                    (_, _, _, true) => Flow::Rst,
                    (true, false, ..) => Flow::Syn,
                    (true, true, ..) => Flow::SynAck,
                    (_, _, true, _) => Flow::Fin,
                    _ => Flow::Segment,
                };
                (flow, (tcp.src_port(), tcp.dst_port()))
            }
            // The NATs know nothing else.
            _ => return None,
        };
        let source = SocketAddr::new(source, ports.0);
        let destination = SocketAddr::new(destination, ports.1);
        Some(Self { flow, hop_limit, source, destination })
    }

    /// Writes the addresses into an IPv4 packet.
    pub(crate) fn write(&self, packet: &mut [u8]) {
        let (IpAddr::V4(source), IpAddr::V4(destination)) =
            (self.source.ip(), self.destination.ip())
        else {
            panic!("the NATs of these tests speak IPv4");
        };
        let mut ip = Ipv4Packet::new_unchecked(&mut packet[..]);
        ip.set_src_addr(source);
        ip.set_dst_addr(destination);
        ip.fill_checksum();
        let (source, destination) = (IpAddress::Ipv4(source), IpAddress::Ipv4(destination));
        if self.flow == Flow::Udp {
            let mut udp = UdpPacket::new_unchecked(&mut packet[20..]);
            udp.set_src_port(self.source.port());
            udp.set_dst_port(self.destination.port());
            udp.fill_checksum(&source, &destination);
        } else {
            let mut tcp = TcpPacket::new_unchecked(&mut packet[20..]);
            tcp.set_src_port(self.source.port());
            tcp.set_dst_port(self.destination.port());
            tcp.fill_checksum(&source, &destination);
        }
    }
}
