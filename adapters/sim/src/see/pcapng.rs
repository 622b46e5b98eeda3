//! A capture file in the pcapng format (draft-ietf-opsawg-pcapng), as Wireshark opens it.
//!
//! Each interface of the world is one of the file, and each packet tells in which direction it
//! passed. The link type is `LINKTYPE_RAW`, IP without a link layer: the simulated network has none,
//! and Ethernet addresses would be made up. Times are nanoseconds after [`START`], the time of the
//! wall clocks in a fleet, so they agree with the times in certificates. No secret of any session
//! gets into the file.
//!
//! A packet that crosses a NAT's outer side and reaches a host has the same addresses at both
//! places. In a file with both, Wireshark takes the second sight of a TCP segment for a
//! retransmission. For its TCP analysis write one file for each host.
//!
//! The format's four block types are written here: the one crate for it, `pcap-file`, has had no
//! release but a candidate since 2022.

use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use super::packets::Packets;
use crate::capture::{Frame, Interface};
use crate::fleet::START;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const LINKTYPE_RAW: u16 = 101;

const END_OF_OPTIONS: u16 = 0;
const SECTION_PROGRAM: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_NOTE: u16 = 3;
const INTERFACE_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;

const NANOSECONDS: u8 = 9;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A frame that no IP packet can be made of: its addresses are of two families, or it is longer
/// than a packet can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unwritable {
    /// Its place among the frames, from 0.
    pub frame: usize,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no IP packet can be made of frame {}", self.frame)
    }
}

impl Error for Unwritable {}

/// The file with those of `frames` whose interface `keep` wants, each interface under its name from
/// `name` ([`World::interface_name`](crate::World::interface_name)).
///
/// Give all frames of the run: TCP's acknowledgements are worked out from what arrived where.
///
/// # Errors
/// [`Unwritable`], for the first such frame, kept or not.
pub fn write(
    frames: &[Frame],
    name: impl Fn(Interface) -> String,
    keep: impl Fn(Interface) -> bool,
) -> Result<Vec<u8>, Unwritable> {
    let mut numbers: BTreeMap<Interface, u32> = BTreeMap::new();
    numbers.extend(frames.iter().map(|f| (f.interface, 0)).filter(|&(at, _)| keep(at)));
    let mut file = section_header();
    for (number, (&interface, place)) in (0..).zip(&mut numbers) {
        *place = number;
        file.extend(interface_description(interface, &name(interface)));
    }
    let mut packets = Packets::default();
    for (number, frame) in frames.iter().enumerate() {
        let packet = packets.packet(frame).ok_or(Unwritable { frame: number })?;
        if let Some(&interface) = numbers.get(&frame.interface) {
            file.extend(enhanced_packet(interface, frame, &packet));
        }
    }
    Ok(file)
}

fn section_header() -> Vec<u8> {
    let mut body = BYTE_ORDER.to_le_bytes().to_vec();
    body.extend([1, 0, 0, 0]); // version 1.0
    body.extend([0xff; 8]); // the section's length is not stated
    option(&mut body, SECTION_PROGRAM, b"genkan-sim");
    option(&mut body, END_OF_OPTIONS, &[]);
    block(SECTION_HEADER, &body)
}

fn interface_description(interface: Interface, name: &str) -> Vec<u8> {
    let note = match interface {
        Interface::Host(_) => "a host's interface",
        Interface::Inside(_) => "a NAT's inner side",
        Interface::Outside(_) => "a NAT's outer side",
    };
    let mut body = LINKTYPE_RAW.to_le_bytes().to_vec();
    body.extend([0; 6]); // reserved, and no limit to a packet's length
    option(&mut body, INTERFACE_NAME, name.as_bytes());
    option(&mut body, INTERFACE_NOTE, note.as_bytes());
    option(&mut body, INTERFACE_RESOLUTION, &[NANOSECONDS]);
    option(&mut body, END_OF_OPTIONS, &[]);
    block(INTERFACE_DESCRIPTION, &body)
}

fn enhanced_packet(interface: u32, frame: &Frame, packet: &[u8]) -> Vec<u8> {
    let time = (Duration::from_secs(START) + frame.at).as_nanos() as u64;
    let len = packet.len() as u32;
    let flags = if frame.inbound { INBOUND } else { OUTBOUND };
    let mut body = interface.to_le_bytes().to_vec();
    for word in [(time >> 32) as u32, time as u32, len, len] {
        body.extend(word.to_le_bytes());
    }
    body.extend(packet);
    pad(&mut body);
    option(&mut body, PACKET_FLAGS, &flags.to_le_bytes());
    option(&mut body, END_OF_OPTIONS, &[]);
    block(ENHANCED_PACKET, &body)
}

/// Appends an option; a value of more than 65,535 bytes is cut.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend(code.to_le_bytes());
    body.extend(len.to_le_bytes());
    body.extend(&value[..usize::from(len)]);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A block: its type, its length, its body, its length again.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 12).to_le_bytes();
    let mut block = kind.to_le_bytes().to_vec();
    block.extend(len);
    block.extend(body);
    block.extend(len);
    block
}
