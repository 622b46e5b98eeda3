//! Memory for the sockets, as one value of a size that the type says.
//!
//! Everything in it is zero before it is used, so that a `static` of it takes no flash: smoltcp's own
//! empty descriptors are not all zeros, and are therefore written when the sockets are made.

use genkan_core::{MAX_DATAGRAM, MAX_FRAME};
use heapless::Vec;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};

/// Datagrams that a UDP ring holds at the most, in each direction.
pub const PACKETS: usize = 4;
/// Bytes of a UDP ring in each direction, unless said otherwise: one of the longest datagrams. A turn
/// takes packets in and sends them out one by one.
pub const UDP_RING: usize = MAX_DATAGRAM;
/// Bytes of a TCP ring in each direction, unless said otherwise: two segments of 1,460 bytes. With
/// less, each would wait for the other side's delayed acknowledgement.
pub const TCP_RING: usize = 2_920;

#[derive(Debug)]
struct UdpRing<const BYTES: usize> {
    packets: Vec<udp::PacketMetadata, PACKETS>,
    bytes: [u8; BYTES],
}

impl<const BYTES: usize> UdpRing<BYTES> {
    const EMPTY: Self = Self { packets: Vec::new(), bytes: [0; BYTES] };

    fn buffer(&mut self) -> udp::PacketBuffer<'_> {
        while self.packets.push(udp::PacketMetadata::EMPTY).is_ok() {}
        udp::PacketBuffer::new(&mut self.packets[..], &mut self.bytes[..])
    }
}

/// The sockets' rings: `UDP` and `TCP` sockets with so many bytes in each direction.
///
/// An acceptor takes one socket of each kind at least. The UDP sockets that it may have open at once are
/// the main one, two of a measurement, and for each connection as many as it has for punching
/// ([`Limits::SMALL`](genkan_core::punch::Limits::SMALL): four; one of them stays with a punched
/// connection): 1 + 2 + 4 × connections. With fewer an attempt that comes at the same time as another,
/// or as a measurement, may fail and be made again: [`Counters::exhausted`](crate::Counters). And it
/// takes one TCP socket for each connection: for dial-backs, and for the registration where UDP is blocked. While it and
/// an issuer call each other over TCP it takes two more, beside the dial-back, which goes on: three for
/// that connection, of which one stays, and a fourth for the registration where that is over TCP. With
/// fewer those calls fail ([`Counters::exhausted`](crate::Counters)), and nothing else does. An issuer takes two
/// TCP sockets at least, one of which listens while the other reaches the server where UDP is blocked,
/// and two more for such calls; a connection over TCP keeps one. A server takes one for each caller,
/// and one to listen; a pair that calls each other takes two of those for a few seconds.
#[derive(Debug)]
pub struct Storage<
    const UDP: usize,
    const TCP: usize,
    const UDP_BYTES: usize = UDP_RING,
    const TCP_BYTES: usize = TCP_RING,
> {
    udp: [[UdpRing<UDP_BYTES>; 2]; UDP],
    tcp: [[[u8; TCP_BYTES]; 2]; TCP],
}

impl<const UDP: usize, const TCP: usize, const UDP_BYTES: usize, const TCP_BYTES: usize>
    Storage<UDP, TCP, UDP_BYTES, TCP_BYTES>
{
    /// Unused memory.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(UDP > 0, "every machine has a UDP socket");
            // Otherwise a message could wait for room for ever.
            assert!(UDP_BYTES >= MAX_DATAGRAM, "a UDP ring must hold the longest datagram");
            assert!(TCP_BYTES >= MAX_FRAME, "a TCP ring must hold the longest frame");
        }
        Self { udp: [const { [UdpRing::EMPTY; 2] }; UDP], tcp: [[[0; TCP_BYTES]; 2]; TCP] }
    }

    /// Puts the sockets into the application's set, which must have `UDP + TCP` places left.
    pub fn install<'a>(&'a mut self, sockets: &mut SocketSet<'a>) -> Handles<UDP, TCP> {
        let udp = self.udp.each_mut().map(|rings| {
            let [receive, transmit] = rings;
            sockets.add(udp::Socket::new(receive.buffer(), transmit.buffer()))
        });
        let tcp = self.tcp.each_mut().map(|[receive, transmit]| {
            let ring = |bytes| tcp::SocketBuffer::new(bytes);
            sockets.add(tcp::Socket::new(ring(&mut receive[..]), ring(&mut transmit[..])))
        });
        Handles { udp, tcp }
    }
}

impl<const UDP: usize, const TCP: usize, const UDP_BYTES: usize, const TCP_BYTES: usize> Default
    for Storage<UDP, TCP, UDP_BYTES, TCP_BYTES>
{
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "defmt")]
impl<const UDP: usize, const TCP: usize, const UDP_BYTES: usize, const TCP_BYTES: usize>
    defmt::Format for Storage<UDP, TCP, UDP_BYTES, TCP_BYTES>
{
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=usize} UDP and {=usize} TCP sockets' rings", UDP, TCP);
    }
}

/// The sockets that a [`Node`](crate::Node) may use: UDP and TCP sockets of the application's set,
/// none of them open. [`Storage::install`] makes them; whoever wants rings of different lengths makes
/// them by hand, with at least [`MAX_DATAGRAM`] and [`MAX_FRAME`] bytes in each ring.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Handles<const UDP: usize, const TCP: usize> {
    /// The first is the main one.
    pub udp: [SocketHandle; UDP],
    /// For connections in either direction, and for listening.
    pub tcp: [SocketHandle; TCP],
}
