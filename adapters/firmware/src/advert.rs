//! What a router advertisement says (RFC 4861, section 4.2; name servers: RFC 8106, section 5.1).
//!
//! Needs no board, no stack and no memory.

use core::net::Ipv6Addr;

use heapless::Vec;

/// Name servers that are taken of an advertisement.
pub const SERVERS: usize = 2;
/// The message without its options.
const HEAD: usize = 16;
const PREFIX: u8 = 3;
const NAME_SERVERS: u8 = 25;
/// The prefix is for addresses that devices make themselves.
const AUTONOMOUS: u8 = 1 << 6;

/// An advertisement, as far as a device of one address has use for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advert {
    /// How long the router is a default router, in seconds; 0: it is none.
    pub lifetime: u16,
    /// The network in which the device may make itself an address, 64 bits, and for how many seconds.
    /// Only one of the internet's own (2000::/3): another leads nowhere that the server is.
    pub prefix: Option<(Ipv6Addr, u32)>,
    /// Whom to ask for names.
    pub name_servers: Vec<Ipv6Addr, SERVERS>,
}

impl Advert {
    /// Reads the ICMPv6 message, whose checksum was looked at. `None`: it is to be discarded.
    pub fn read(message: &[u8]) -> Option<Self> {
        let lifetime = u16::from_be_bytes(array(message, 6)?);
        let mut advert = Self { lifetime, prefix: None, name_servers: Vec::new() };
        let mut rest = message.get(HEAD..)?;
        while let [kind, eighths, ..] = *rest {
            // One of no length would never end.
            let length = 8 * usize::from(eighths).max(1);
            let option = rest.get(..length).filter(|_| eighths > 0)?;
            match kind {
                PREFIX => advert.prefix = advert.prefix.or_else(|| prefix(option)),
                NAME_SERVERS if array::<4>(option, 4)? != [0; 4] => {
                    let servers = option.get(8..)?.as_chunks().0.iter().copied();
                    // Those for which there is room.
                    servers.map(Ipv6Addr::from_octets).for_each(|it| {
                        let _full = advert.name_servers.push(it);
                    });
                }
                _ => {}
            }
            rest = rest.get(length..)?;
        }
        rest.is_empty().then_some(advert)
    }
}

/// The prefix of such an option, if it is of use.
fn prefix(option: &[u8]) -> Option<(Ipv6Addr, u32)> {
    let &[_, _, length, flags, ..] = option else { return None };
    let valid = u32::from_be_bytes(array(option, 4)?);
    let preferred = u32::from_be_bytes(array(option, 8)?);
    let network = Ipv6Addr::from_octets(array(option, 16)?);
    let is_public = network.octets()[0] >> 5 == 1;
    // From one that is preferred no more nothing new is to begin (RFC 4862, section 5.5.4).
    let holds = valid > 0 && preferred > 0;
    (length == 64 && flags & AUTONOMOUS != 0 && holds && is_public).then_some((network, valid))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
