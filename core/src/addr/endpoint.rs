//! The addresses inside of the machines and messages: 20 bytes and one form, so that they are compared,
//! copied and kept by little code. [`SocketAddr`] is what callers see.

use core::fmt;
use core::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wire::once::{fill, number};

/// An IP address and a port in the one form that [`canonical`](crate::canonical) describes.
#[derive(Clone, Copy)]
#[repr(align(4))]
pub struct Endpoint {
    /// IPv6, or IPv4 in its mapped form.
    ip: [u8; 16],
    port: u16,
    family: Family,
}

/// Can be told from the address, too; that an `Option` takes no more memory is what it is kept for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Endpoint {
    /// No address.
    pub const UNSPECIFIED: Self = Self::v4(Ipv4Addr::UNSPECIFIED, 0);

    /// An IPv4 address.
    #[must_use]
    pub const fn v4(ip: Ipv4Addr, port: u16) -> Self {
        Self { ip: ip.to_ipv6_mapped().octets(), port, family: Family::V4 }
    }

    /// An IPv6 address, or the IPv4 address that is mapped in it.
    #[must_use]
    pub const fn v6(ip: Ipv6Addr, port: u16) -> Self {
        let family = if ip.to_ipv4_mapped().is_some() { Family::V4 } else { Family::V6 };
        Self { ip: ip.octets(), port, family }
    }

    /// The IP address; never a mapped one.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        let [.., a, b, c, d] = self.ip;
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_octets(self.ip)),
        }
    }

    /// The port.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.port
    }

    /// Another port of this address.
    #[must_use]
    pub const fn at_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Whether it is IPv4.
    #[must_use]
    pub const fn is_ipv4(self) -> bool {
        matches!(self.family, Family::V4)
    }

    /// Whether both are on one IP address.
    #[must_use]
    #[inline(never)]
    pub fn shares_ip(self, other: Self) -> bool {
        self.ip == other.ip
    }

    /// IPv6 (IPv4 mapped) and port, as they go into tags.
    pub(crate) fn bytes(self) -> [u8; 18] {
        let mut out = [0; 18];
        let (ip, port) = out.split_at_mut(16);
        ip.copy_from_slice(&self.ip);
        port.copy_from_slice(&self.port.to_be_bytes());
        out
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.port == other.port && self.shares_ip(*other)
    }
}

impl Eq for Endpoint {}

impl core::hash::Hash for Endpoint {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (self.ip, self.port).hash(state);
    }
}

impl From<SocketAddr> for Endpoint {
    #[inline(never)]
    fn from(address: SocketAddr) -> Self {
        match address.ip() {
            IpAddr::V4(ip) => Self::v4(ip, address.port()),
            IpAddr::V6(ip) => Self::v6(ip, address.port()),
        }
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Endpoint {
    fn from((ip, port): (I, u16)) -> Self {
        SocketAddr::new(ip.into(), port).into()
    }
}

impl From<Endpoint> for SocketAddr {
    #[inline(never)]
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.ip(), endpoint.port)
    }
}

impl FromStr for Endpoint {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse::<SocketAddr>().map(Self::from)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Endpoint {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Debug2Format(self));
    }
}

/// Variant 0 and 4 bytes, or variant 1 and 16 bytes, then the port: what serde makes of a `SocketAddr`.
impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (variant, from) = if self.is_ipv4() { (0_u8, 12) } else { (1, 0) };
        let ip = self.ip.get(from..).unwrap_or_default();
        let mut tuple = to.serialize_tuple(ip.len().saturating_add(2))?;
        tuple.serialize_element(&variant)?;
        ip.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.serialize_element(&Port(self.port))?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // A sequence is as long as what is taken from it, which the variant says.
        from.deserialize_tuple(18, Fields)
    }
}

#[derive(Serialize, Deserialize)]
struct Port(#[serde(with = "number")] u16);

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Endpoint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address and a port")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Endpoint, A::Error> {
        let mut variant = [0];
        fill(&mut fields, &mut variant)?;
        let mut ip = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets();
        let own = match variant {
            [0] => ip.get_mut(12..).unwrap_or_default(),
            [1] => &mut ip,
            _ => return Err(A::Error::custom("no kind of address")),
        };
        fill(&mut fields, own)?;
        let port = fields.next_element::<Port>()?.ok_or_else(|| A::Error::custom("cut off"))?;
        let endpoint = Endpoint::v6(ip.into(), port.0);
        if endpoint.is_ipv4() != (variant == [0]) {
            return Err(A::Error::custom("another form of an IPv4 address"));
        }
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form_and_no_more_memory_than_it_needs() {
        let four: Endpoint = "192.0.2.1:4600".parse().unwrap();
        assert_eq!("[::ffff:192.0.2.1]:4600".parse(), Ok(four));
        assert_eq!(SocketAddr::from(four), "192.0.2.1:4600".parse().unwrap());
        let six: SocketAddr = "[2001:db8::1]:7".parse().unwrap();
        assert_eq!(SocketAddr::from(Endpoint::from(six)), six);
        assert_ne!(four, four.at_port(1));
        assert!(four.shares_ip(four.at_port(1)) && !four.shares_ip(six.into()));
        assert_eq!(size_of::<Option<Endpoint>>(), 20);
    }

    /// Any change of these bytes is another protocol.
    #[test]
    fn the_bytes_are_those_of_a_socket_address() {
        let mut space = [0; 20];
        for text in ["192.0.2.1:4600", "[2001:db8::1]:80", "0.0.0.0:0", "[::]:65535"] {
            let mut expected = [0; 20];
            let address: SocketAddr = text.parse().unwrap();
            let expected = postcard::to_slice(&address, &mut expected).unwrap();
            let written = postcard::to_slice(&Endpoint::from(address), &mut space).unwrap();
            assert_eq!(written, expected);
            assert_eq!(postcard::from_bytes(written), Ok(Endpoint::from(address)));
            for cut in 0..written.len() {
                assert!(postcard::from_bytes::<Endpoint>(&written[..cut]).is_err());
            }
        }
        assert!(postcard::from_bytes::<Endpoint>(&[2; 20]).is_err(), "no such variant");
    }
}
